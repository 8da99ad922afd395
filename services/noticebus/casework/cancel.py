"""Cancelling an incident: one person asks with a reason, another carries it out.

What it carries out is a last version that withdraws what is open and tells everybody who was told.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require
from noticebus.casework import accepted, offers, shards
from noticebus.casework.answer import MOOT_CAUSES, rules_view
from noticebus.casework.binding import Moment
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Answered
from noticebus.casework.revise import lock_latest, refuse_ended_or_stale
from noticebus.casework.second_person import is_second_person
from noticebus.casework.spacing import spaced
from noticebus.casework.telling import tell_bound
from noticebus.casework.tracing import notice_entry
from noticebus.contracts.acknowledgement import Person, PersonView
from noticebus.contracts.canonical import canonical
from noticebus.contracts.incident import CancelRequestView
from noticebus.contracts.notice import CancelConfirmPost, CancelPost
from noticebus.contracts.vocabulary import (
    ChangeReason,
    IncidentState,
    Msg,
    NoticeState,
    ObligationState,
    Owed,
    Scope,
)
from noticebus.domain.obligation import Withdraws, withdraw
from noticebus.domain.routing import Routing
from noticebus.errors import ConflictError, ForbiddenError, NotFoundError
from noticebus.ids import IncidentId, new_notice_id
from noticebus.store import cancel_requests, deliveries, ledger, matching, notices, obligations
from noticebus.store.cancel_requests import CancelRequest
from noticebus.store.deliveries import Delivery
from noticebus.store.ledger import Entry, History, Recorded, make_entry
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation, facts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The cancelling version, what it withdraws or can no longer reach, and whom it tells."""

    notice: Notice
    bound: list[Obligation]
    changed: list[Obligation]
    told: list[Delivery]
    routing: Routing


async def request_cancel(
    desk: Desk, principal: Principal, *, incident_id: IncidentId, post: CancelPost
) -> CancelRequestView:
    """Record that somebody wants an incident cancelled; nobody is told and nothing changes.

    The same request again is answered the same; another while one pends is a ConflictError.
    """
    require(principal, Scope.POST)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        incident, _ = await lock_latest(
            conn,
            principal,
            incident_id=incident_id,
            base_version=post.base_version,
            now=now,
        )
        wanted = CancelRequest(
            incident_id=incident_id,
            base_version=post.base_version,
            reason=post.reason,
            requested_by=principal.id,
            by_name=post.by.name,
            by_role=post.by.role,
            requested_at=now,
        )
        before = await pending_cancel(conn, incident, now=now)
        if before is not None:
            if replace(wanted, requested_at=before.requested_at) == before:
                return cancel_request_view(before)
            raise _pending_already(before)
        await cancel_requests.put_cancel_request(conn, wanted)
        data = {"base_version": post.base_version, "requested_by": principal.id}
        entry = make_entry("cancel.requested", data, at=now, incident_id=incident_id)
        await ledger.append(conn, [entry])
    desk.committed()
    return cancel_request_view(wanted)


async def take_back_cancel(desk: Desk, principal: Principal, *, incident_id: IncidentId) -> None:
    """Take a request back; again, or where none pends, changes nothing."""
    now = desk.world.now()
    async with desk.database.begin() as conn:
        incident = await _lock(conn, principal, incident_id)
        if await pending_cancel(conn, incident, now=now) is None:
            return
        await cancel_requests.delete_cancel_request(conn, incident_id)
        data = {"by": principal.id}
        entry = make_entry("cancel.taken_back", data, at=now, incident_id=incident_id)
        await ledger.append(conn, [entry])
    desk.committed()


async def confirm_cancel(
    desk: Desk,
    principal: Principal,
    *,
    incident_id: IncidentId,
    post: CancelConfirmPost,
    requested_at: dt.datetime | None = None,
) -> Answered:
    """End an incident: what is open is withdrawn, what is queued moot, all are told (I2, I7).

    Raises ForbiddenError for the person or the key that asked for it. Whoever says which request
    was read, by its `requested_at`, gets a ConflictError where another stands in its place. An
    embargoed notice that is cancelled was told to nobody, and nobody is told now.
    """
    async with desk.database.begin() as conn:
        incident = await _lock(conn, principal, incident_id)
        await obligations.lock_obligations(conn, incident_id=incident_id)
        # Once all is locked: a step that came before the end is not after it.
        at = Moment(world=desk.world.now(), machine=desk.machine.now())
        asked = await _to_confirm(conn, incident, now=at.world)
        if requested_at not in {None, asked.requested_at}:
            raise _other_request()
        _refuse_same_person(asked, principal, post.by)
        latest = (await notices.notices_by_id(conn, [incident.latest_notice_id]))[
            incident.latest_notice_id
        ]
        said = {
            "reason": asked.reason,
            "cancel_requested_by": {"name": asked.by_name, "role": asked.by_role},
            "cancel_confirmed_by": {"name": post.by.name, "role": post.by.role},
        }
        notice = cancelling(latest, posted_by=principal.id, said=said, now=at.world)
        ended, recorded = await carry_out(conn, desk, notice, latest, at=at)
        facts = await matching.agencies_by_id(conn, {one.agency_id for one in ended.bound})
        await cancel_requests.delete_cancel_request(conn, incident_id)
        await ledger.append(conn, [_confirmed(notice, asked, principal)])
    desk.committed(shards.of(notice, ended.told))
    response = accepted.response(
        notice,
        routing=ended.routing,
        obligations=[one for one in ended.bound if one.owed is Owed.NOTICE],
        facts=facts,
        warnings=[],
        receipt=accepted.receipt(desk.keyring, recorded),
    )
    return Answered(response=response, fresh=True)


async def pending_cancel(
    conn: AsyncConnection, incident: Incident, *, now: dt.datetime
) -> CancelRequest | None:
    """Read the request that waits for its second person, if there is one."""
    found = await cancel_requests.find_cancel_request(conn, incident.id)
    if found is None or not found.pends(latest_version=incident.latest_version, now=now):
        return None
    return found


def cancel_request_view(asked: CancelRequest) -> CancelRequestView:
    """Show a request that waits for its second person."""
    return CancelRequestView(
        incident_id=asked.incident_id,
        base_version=asked.base_version,
        reason=asked.reason,
        by=PersonView(name=asked.by_name, role=asked.by_role),
        requested_by=asked.requested_by,
        requested_at=asked.requested_at,
        lapses_at=asked.lapses_at,
    )


async def _lock(conn: AsyncConnection, principal: Principal, incident_id: IncidentId) -> Incident:
    """Lock an incident for its agency, or for an operator of the bus."""
    require(principal, Scope.POST, Scope.OPERATE)
    incident = (await notices.lock_incidents(conn, [incident_id])).get(incident_id)
    operates = Scope.OPERATE in principal.scopes
    if incident is None or not (operates or incident.agency_id == principal.agency_id):
        raise NotFoundError(f"There is no incident {incident_id} that you may cancel.")
    return incident


async def _to_confirm(
    conn: AsyncConnection, incident: Incident, *, now: dt.datetime
) -> CancelRequest:
    asked = await cancel_requests.find_cancel_request(conn, incident.id)
    base_version = incident.latest_version if asked is None else asked.base_version
    refuse_ended_or_stale(incident, base_version=base_version)
    if asked is None or now >= asked.lapses_at:
        raise ConflictError(
            "Nobody has asked to cancel this incident in the last 24 hours."
            " Ask for it at /cancel first; another person then confirms it.",
            code="no-cancel-requested",
        )
    return asked


def _refuse_same_person(asked: CancelRequest, principal: Principal, second: Person) -> None:
    if is_second_person(asked, principal, name=second.name):
        return
    raise ForbiddenError(
        f"{asked.by_name} asked for this cancel with the key {asked.requested_by}. Somebody else"
        " must confirm it, under another name and with another key.",
        code="second-person-needed",
    )


def _pending_already(before: CancelRequest) -> ConflictError:
    return ConflictError(
        f"{before.by_name} has asked to cancel this incident already."
        " Confirm that request as the second person, or take it back first.",
        code="cancel-pending",
    )


def _other_request() -> ConflictError:
    return ConflictError(
        "That request was taken back, and another was made. Read it, then confirm it.",
        code="cancel-pending",
    )


def _confirmed(notice: Notice, asked: CancelRequest, principal: Principal) -> Entry:
    """Name both persons by their keys: the ledger keeps no names."""
    data = {
        "notice_id": notice.id,
        "requested_by": asked.requested_by,
        "confirmed_by": principal.id,
    }
    return make_entry(
        "cancel.confirmed", data, at=notice.accepted_at, incident_id=notice.incident_id
    )


def cancelling(
    latest: Notice, *, posted_by: str, said: Mapping[str, object], now: dt.datetime
) -> Notice:
    """Make the version that cancels: the head of the one before it and what is said, no content.

    Of `said` the recipients read the reason; who asked and who confirmed only the poster does.
    """
    embargoed = latest.state is NoticeState.SCHEDULED
    content = accepted.body_of(latest)
    body = canonical({name: content[name] for name in KEPT if name in content} | dict(said))
    return replace(
        latest,
        id=new_notice_id(),
        version=latest.version + 1,
        msg=Msg.CANCEL,
        state=NoticeState.CANCELLED if embargoed else NoticeState.RELEASED,
        material=False,
        change_reason=ChangeReason.WITHDRAWN,
        accepted_at=now,
        release_at=None,
        released_at=None if embargoed else now,
        next_update_due=None,
        posted_by=posted_by,
        body=body,
        body_digest=hashlib.sha256(body).hexdigest(),
        uncovered=[],
    )


KEPT = (
    "kind",
    "status",
    "class",
    "occurred_at",
    "sender",
    "headline",
    "areas",
    "children",
    "agency",
)


def _is_withdrawn(owed: Obligation) -> bool:
    return isinstance(withdraw(rules_view(owed)), Withdraws)


def _withdrawn(owed: Obligation, *, now: dt.datetime) -> Obligation:
    return replace(owed, state=ObligationState.WITHDRAWN, next_step_at=None, closed_at=now)


async def carry_out(
    conn: AsyncConnection, desk: Desk, notice: Notice, latest: Notice, *, at: Moment
) -> tuple[Ended, Recorded]:
    """Store the cancelling version and what it does to everybody bound; the incident is locked."""
    ended = await _end(conn, desk, notice, latest, at=at)
    entry = notice_entry(notice, at=at.world)
    await _store(conn, ended, latest, at=at)
    (recorded,) = await ledger.append(conn, [entry])
    await offers.lapse_all(conn, notice.incident_id, now=at.world)
    await ledger.append_history(
        conn,
        [
            History(obligation_id=one.id, entry_id=entry.id, facts=facts_of(one))
            for one in ended.changed
        ],
    )
    return ended, recorded


async def _end(
    conn: AsyncConnection, desk: Desk, notice: Notice, latest: Notice, *, at: Moment
) -> Ended:
    """Withdraw what is open and tell everybody who was told."""
    before = await obligations.lock_obligations(conn, incident_id=notice.incident_id)
    untold = latest.state is NoticeState.SCHEDULED
    told = await tell_bound(conn, desk, notice, [] if untold else before, at=at)
    reached = before if untold else told.bound
    after = [_withdrawn(one, now=at.world) if _is_withdrawn(one) else one for one in reached]
    return Ended(
        notice=notice,
        bound=after,
        changed=[new for old, new in zip(before, after, strict=True) if new is not old],
        told=told.deliveries,
        routing=told.routing,
    )


async def _store(conn: AsyncConnection, ended: Ended, latest: Notice, *, at: Moment) -> None:
    await notices.insert_notices(conn, [ended.notice])
    await notices.advance_incident(
        conn, notice=ended.notice, state=IncidentState.CANCELLED, ended_at=at.world
    )
    if latest.state is NoticeState.SCHEDULED:
        await notices.mark_notices(conn, [latest.id], state=NoticeState.CANCELLED, released_at=None)
    await obligations.save_all(conn, ended.changed)
    ids = [one.id for one in ended.changed if one.state is ObligationState.WITHDRAWN]
    if ids:
        await deliveries.make_moot(conn, ids, finished_at=at.world, causes=MOOT_CAUSES)
    await deliveries.insert_deliveries(conn, await spaced(conn, ended.told, now=at.world))
