"""After a decline, and after one that is taken back.

Look again for who is responsible, and say so where nobody is left.
"""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.bus.port import Shard
from noticebus.casework import coverage, shards
from noticebus.casework.binding import Moment, counts_of, number
from noticebus.casework.coverage import Holding
from noticebus.casework.desk import Desk
from noticebus.casework.recipients import bind_all, find_for, route_notice, uncovered_of, without
from noticebus.casework.spacing import spaced
from noticebus.casework.tracing import routing_entries
from noticebus.contracts.vocabulary import ObligationState, Owed
from noticebus.store import ledger, matching, notices, obligations
from noticebus.store.deliveries import insert_deliveries
from noticebus.store.ledger import make_entry
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation

BOUND_MAX = 100_000


async def after_decline(conn: AsyncConnection, desk: Desk, declined: Obligation) -> Sequence[Shard]:
    """Route the incident's latest notice again, in the decline's own transaction.

    Give what goes to the bus.

    Recipients are only added, and owe what the decliner owed. Places whose every responsible
    recipient has declined become uncovered (I6).
    """
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    notice = await _latest(conn, declined)
    owed = await obligations.obligations_of(conn, incident_id=notice.incident_id, limit=BOUND_MAX)
    known = {one.agency_id for one in owed if one.owed is Owed.NOTICE}
    lost = frozenset(one.agency_id for one in owed if one.state is ObligationState.DECLINED)
    found = await find_for(conn, desk, [notice])
    asked = replace(notice, notice_class=min(notice.notice_class, declined.notice_class))
    routing = without(route_notice(asked, found), known)
    (bound,) = await bind_all(conn, [(asked, routing)], found, at=at)
    numbered = number(
        bound.deliveries, await matching.take_sequences(conn, counts_of(bound.deliveries))
    )
    await obligations.insert_obligations(conn, bound.obligations)
    await insert_deliveries(conn, await spaced(conn, numbered, now=at.world))
    uncovered = uncovered_of(notice, found, lost=lost)
    await notices.set_uncovered(conn, notice.id, uncovered)
    trace = routing_entries(notice, bound.obligations, routing, at=at.world)
    entry = make_entry(
        "routing.repeated",
        {"notice_id": notice.id, "declined_by": declined.agency_id, "uncovered": uncovered},
        at=at.world,
        incident_id=notice.incident_id,
    )
    await ledger.append(conn, [*(trace.entries[1:] if bound.obligations else ()), entry])
    await ledger.append_history(conn, trace.history)
    holding = Holding(notice=replace(asked, uncovered=uncovered), before=notice.uncovered)
    held = await coverage.hold(conn, desk, [holding], at=at)
    return shards.of(notice, [*numbered, *held])


async def after_return(conn: AsyncConnection, desk: Desk, taken: Obligation) -> Sequence[Shard]:
    """Cover the places that a decline left to nobody, once a person of the decliner has it.

    Give what goes to the bus. Nobody is asked anew and no place is lost: whoever became responsible
    meanwhile and was never told covers nothing.
    """
    notice = await _latest(conn, taken)
    if not notice.uncovered:
        return ()
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    owed = await obligations.obligations_of(conn, incident_id=notice.incident_id, limit=BOUND_MAX)
    found = await find_for(conn, desk, [notice])
    answering = {
        one.agency_id
        for one in owed
        if one.owed is Owed.NOTICE and one.state is not ObligationState.DECLINED
    }
    lost = frozenset(one.agency_id for one in found.duties) - answering
    gaps = uncovered_of(notice, found, lost=lost)
    left = [one for one in notice.uncovered if one in gaps]
    if left == notice.uncovered:
        return ()
    await notices.set_uncovered(conn, notice.id, left)
    entry = make_entry(
        "routing.returned",
        {"notice_id": notice.id, "taken_by": taken.agency_id, "uncovered": left},
        at=at.world,
        incident_id=notice.incident_id,
    )
    await ledger.append(conn, [entry])
    asked = replace(notice, notice_class=min(notice.notice_class, taken.notice_class))
    holding = Holding(notice=replace(asked, uncovered=left), before=notice.uncovered)
    return shards.of(notice, await coverage.hold(conn, desk, [holding], at=at))


async def _latest(conn: AsyncConnection, owed: Obligation) -> Notice:
    """Read the latest notice of an obligation's incident."""
    incident = await notices.incident_by_id(conn, owed.incident_id)
    assert incident is not None, "an obligation belongs to an incident"
    return (await notices.notices_by_id(conn, [incident.latest_notice_id]))[
        incident.latest_notice_id
    ]
