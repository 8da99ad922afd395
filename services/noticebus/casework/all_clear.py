"""All-clear: the version that says an incident is over, and what is still open of it.

It is refused while somebody must still act for children who may be without a carer (class A),
unless the poster says why it stands all the same.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require
from noticebus.casework import accepted, debts, shards
from noticebus.casework.binding import Moment
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Answered
from noticebus.casework.revise import lock_latest
from noticebus.casework.spacing import spaced
from noticebus.casework.telling import tell_bound
from noticebus.casework.tracing import notice_entry
from noticebus.contracts.canonical import canonical
from noticebus.contracts.notice import AllClearPost
from noticebus.contracts.parts import Urgency
from noticebus.contracts.vocabulary import (
    ChangeReason,
    IncidentState,
    Msg,
    NoticeClass,
    NoticeKind,
    NoticeState,
    ObligationState,
    Owed,
    Scope,
    Standing,
)
from noticebus.domain.routing import Routing
from noticebus.errors import ConflictError, Detail
from noticebus.ids import AgencyId, EntryId, IncidentId, new_notice_id
from noticebus.store import deliveries, ledger, matching, notices, obligations
from noticebus.store.deliveries import Delivery
from noticebus.store.ledger import Entry, History, Recorded, make_entry
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import IdempotencyRecord, Notice
from noticebus.store.obligations import Obligation, facts_of

OPEN_NAMED_MAX = 20
LEFT_BEHIND = frozenset(
    {"release_at", "expires_at", "next_update_due", "description", "instruction",
     "requested_actions", "material_reasons", "still_open", "override_reason"}
)  # fmt: skip
"""What the version before said about what was to come; everything known of the event stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """The all-clear, everybody bound, what it changes for them, and whom it tells."""

    notice: Notice
    bound: list[Obligation]
    changed: list[Obligation]
    told: list[Delivery]
    routing: Routing
    facts: Mapping[AgencyId, AgencyFacts]


async def all_clear(
    desk: Desk,
    principal: Principal,
    *,
    incident_id: IncidentId,
    post: AllClearPost,
    key: str | None,
) -> Answered:
    """Say that an incident is over: everybody is told, nobody is asked anything.

    Raises ConflictError `class-a-open` while matters of class A are open and no reason is given.
    """
    require(principal, Scope.POST)
    fingerprint = _fingerprint(incident_id, post)
    async with desk.database.begin() as conn:
        await notices.lock_incidents(conn, [incident_id])  # a repeat finds the first's record
        if key is not None:
            records = await notices.find_idempotency_records(conn, [(principal.id, key)])
            if records:
                (record,) = records.values()
                response = accepted.replayed(record, fingerprint)
                return Answered(response=response, fresh=False)
        _, latest = await lock_latest(
            conn,
            principal,
            incident_id=incident_id,
            base_version=post.base_version,
            now=desk.world.now(),
        )
        await obligations.lock_obligations(conn, incident_id=incident_id)
        # Once all is locked: a step that came before a promised update ended is not after it.
        at = Moment(world=desk.world.now(), machine=desk.machine.now())
        cleared = await _clear(conn, desk, principal, latest=latest, post=post, at=at)
        recorded = await _store(conn, cleared, override=post.override_reason, at=at)
        response = _response(desk, cleared, recorded)
        if key is not None:
            record = IdempotencyRecord(
                client_id=principal.id,
                key=key,
                fingerprint=fingerprint,
                response=response,
                created_at=at.world,
            )
            await notices.insert_idempotency_records(conn, [record])
    desk.committed(shards.of(cleared.notice, cleared.told))
    return Answered(response=response, fresh=True)


async def _clear(
    conn: AsyncConnection,
    desk: Desk,
    principal: Principal,
    *,
    latest: Notice,
    post: AllClearPost,
    at: Moment,
) -> Cleared:
    if latest.state is NoticeState.SCHEDULED:
        raise ConflictError(
            "The notice is still embargoed and nobody has been told. Cancel it instead.",
            code="embargoed",
        )
    before = await obligations.lock_obligations(conn, incident_id=latest.incident_id)
    facts = await matching.agencies_by_id(conn, {one.agency_id for one in before})
    if post.override_reason is None:
        _refuse_open(before, facts)
    notice = _clearing(latest, principal, post=post, now=at.world)
    told = await tell_bound(conn, desk, notice, before, at=at)
    return Cleared(
        notice=notice,
        bound=told.bound,
        changed=[new for old, new in zip(before, told.bound, strict=True) if new is not old],
        told=told.deliveries,
        routing=told.routing,
        facts=facts,
    )


def _refuse_open(owed: Sequence[Obligation], facts: Mapping[AgencyId, AgencyFacts]) -> None:
    """Refuse while a mandatory matter of class A is open; a promised update is kept by this one."""
    still = [
        one
        for one in owed
        if one.state is ObligationState.OPEN
        and one.notice_class is NoticeClass.A
        and one.standing is Standing.MANDATORY
        and one.owed is not Owed.UPDATE
    ]
    if not still:
        return
    raise ConflictError(
        f"Matters of class A are still open: {len(still)}. See that each is answered, or say in"
        " override_reason why the all-clear stands all the same.",
        code="class-a-open",
        details=tuple(
            Detail(pointer="", message=f"{open_matter(one, facts[one.agency_id])} ({one.id}).")
            for one in still[:OPEN_NAMED_MAX]
        ),
    )


def open_matter(owed: Obligation, agency: AgencyFacts) -> str:
    """Say which matter of class A is open, for whoever would give the all-clear."""
    what = {
        Owed.NOTICE: "has not accepted the notice",
        Owed.QUESTION: "owes the answer to a question",
        Owed.COVERAGE: "holds a place that nobody answers for",
    }[owed.owed]
    return f"{agency.name} {what}"


def _clearing(
    latest: Notice, principal: Principal, *, post: AllClearPost, now: dt.datetime
) -> Notice:
    """Make the all-clear from the version before it: a record (class D) of what is over."""
    before = accepted.body_of(latest)
    said = post.model_dump(
        mode="json",
        include={"headline", "description", "still_open", "override_reason", "sender"},
        exclude_none=True,
    )
    content = {name: value for name, value in before.items() if name not in LEFT_BEHIND} | said
    content |= {
        "kind": NoticeKind.ALL_CLEAR.value,
        "class": NoticeClass.D.value,
        "urgency": Urgency.PAST.value,
    }
    body = canonical(content)
    return replace(
        latest,
        id=new_notice_id(),
        version=latest.version + 1,
        msg=Msg.UPDATE,
        kind=NoticeKind.ALL_CLEAR,
        notice_class=NoticeClass.D,
        state=NoticeState.RELEASED,
        material=False,
        change_reason=ChangeReason.NEW_INFO,
        accepted_at=now,
        release_at=None,
        released_at=now,
        next_update_due=None,
        posted_by=principal.id,
        body=body,
        body_digest=hashlib.sha256(body).hexdigest(),
        uncovered=[],
    )


async def _store(
    conn: AsyncConnection, cleared: Cleared, *, override: str | None, at: Moment
) -> Recorded:
    notice = cleared.notice
    await notices.insert_notices(conn, [notice])
    await notices.advance_incident(
        conn, notice=notice, state=IncidentState.CLEARED, ended_at=at.world
    )
    await obligations.save_all(conn, cleared.changed)
    await deliveries.insert_deliveries(conn, await spaced(conn, cleared.told, now=at.world))
    entries = [notice_entry(notice, at=at.world), _entry(cleared, override, now=at.world)]
    recorded = await ledger.append(conn, entries)
    await ledger.append_history(conn, _history(cleared, entries[1].id))
    await debts.follow(conn, notice, at=at)  # an update that was promised: this version is it
    return recorded[0]


def _entry(cleared: Cleared, override: str | None, *, now: dt.datetime) -> Entry:
    """Say what was still open, as a count, and that a reason was given to go on without it."""
    still = [one.id for one in cleared.bound if one.state is ObligationState.OPEN]
    data = {
        "notice_id": cleared.notice.id,
        "overridden": override is not None,
        "open": len(still),
        "obligations_open": still[:OPEN_NAMED_MAX],
    }
    return make_entry("incident.cleared", data, at=now, incident_id=cleared.notice.incident_id)


def _history(cleared: Cleared, entry_id: EntryId) -> list[History]:
    return [
        History(obligation_id=one.id, entry_id=entry_id, facts=facts_of(one))
        for one in cleared.changed
    ]


def _response(desk: Desk, cleared: Cleared, recorded: Recorded) -> dict[str, object]:
    return accepted.response(
        cleared.notice,
        routing=cleared.routing,
        obligations=[one for one in cleared.bound if one.owed is Owed.NOTICE],
        facts=cleared.facts,
        warnings=[],
        receipt=accepted.receipt(desk.keyring, recorded),
    )


def _fingerprint(incident_id: IncidentId, post: AllClearPost) -> str:
    said = canonical({"all_clear": incident_id, **post.model_dump(mode="json")})
    return hashlib.sha256(said).hexdigest()
