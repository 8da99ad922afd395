"""Cancelling an incident.

A last version that withdraws what is still open and tells everybody who was told.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require
from noticebus.casework import accepted, shards
from noticebus.casework.answer import MOOT_CAUSES, rules_view
from noticebus.casework.binding import Moment, counts_of, number
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Answered
from noticebus.casework.recipients import find_for, route_notice, tell
from noticebus.casework.revise import lock_latest
from noticebus.casework.tracing import notice_entry
from noticebus.contracts.canonical import canonical
from noticebus.contracts.notice import CancelPost
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
from noticebus.ids import EntryId, IncidentId, new_notice_id
from noticebus.store import deliveries, ledger, matching, notices, obligations
from noticebus.store.deliveries import Delivery
from noticebus.store.ledger import History
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation, facts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The cancelling version, what it withdraws, and whom it tells."""

    notice: Notice
    withdrawn: list[Obligation]
    told: list[Delivery]


async def cancel(
    desk: Desk, principal: Principal, *, incident_id: IncidentId, post: CancelPost
) -> Answered:
    """End an incident: what is open is withdrawn, what is queued moot, all are told (I2, I7).

    An embargoed notice that is cancelled was told to nobody, and nobody is told now.
    """
    require(principal, Scope.POST)
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        _, latest = await lock_latest(
            conn, principal, incident_id=incident_id, base_version=post.base_version
        )
        notice = _cancelling(latest, principal, reason=post.reason, now=at.world)
        bound = await obligations.lock_obligations(conn, incident_id=incident_id)
        withdrawn = [_withdrawn(one, now=at.world) for one in bound if _is_withdrawn(one)]
        embargoed = latest.state is NoticeState.SCHEDULED
        routing, told = await _tell(conn, desk, notice, [] if embargoed else bound, at=at)
        ended = Ended(notice=notice, withdrawn=withdrawn, told=told)
        facts = await matching.agencies_by_id(conn, {one.agency_id for one in bound})
        entry = notice_entry(notice, at=at.world)
        await _store(conn, ended, latest, entry_id=entry.id, at=at)
        (recorded,) = await ledger.append(conn, [entry])
    desk.committed(shards.of(notice, told))
    after = {one.id: one for one in withdrawn}
    response = accepted.response(
        notice,
        routing=routing,
        obligations=[after.get(one.id, one) for one in bound if one.owed is Owed.NOTICE],
        facts=facts,
        warnings=[],
        receipt=accepted.receipt(desk.keyring, recorded),
    )
    return Answered(response=response, fresh=True)


def _cancelling(latest: Notice, principal: Principal, *, reason: str, now: dt.datetime) -> Notice:
    """Make the version that cancels: the head of the one before it and the reason, no content."""
    embargoed = latest.state is NoticeState.SCHEDULED
    content = accepted.body_of(latest)
    kept = {name: content[name] for name in KEPT if name in content}
    body = canonical({**kept, "reason": reason})
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
        posted_by=principal.key_id,
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


async def _tell(
    conn: AsyncConnection, desk: Desk, notice: Notice, bound: list[Obligation], *, at: Moment
) -> tuple[Routing, list[Delivery]]:
    found = await find_for(conn, desk, [notice])
    routing = route_notice(notice, found)
    recipients = {one.agency_id: one for one in routing.recipients}
    owed = [one for one in bound if one.owed is Owed.NOTICE]
    told = await tell(conn, notice, owed, recipients, at=at)
    return routing, number(told, await matching.take_sequences(conn, counts_of(told)))


async def _store(
    conn: AsyncConnection, ended: Ended, latest: Notice, *, entry_id: EntryId, at: Moment
) -> None:
    await notices.insert_notices(conn, [ended.notice])
    await notices.advance_incident(
        conn, notice=ended.notice, state=IncidentState.CANCELLED, ended_at=at.world
    )
    if latest.state is NoticeState.SCHEDULED:
        await notices.mark_notices(conn, [latest.id], state=NoticeState.CANCELLED, released_at=None)
    await obligations.save_all(conn, ended.withdrawn)
    ids = [one.id for one in ended.withdrawn]
    if ids:
        await deliveries.make_moot(conn, ids, finished_at=at.world, causes=MOOT_CAUSES)
    await deliveries.insert_deliveries(conn, ended.told)
    await ledger.append_history(
        conn,
        [
            History(obligation_id=one.id, entry_id=entry_id, facts=facts_of(one))
            for one in ended.withdrawn
        ],
    )
