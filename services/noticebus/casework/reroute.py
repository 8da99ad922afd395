"""After a decline, after a waiver, and after one that is taken back.

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
from noticebus.casework.recipients import (
    Found,
    bind_all,
    find_for,
    in_state,
    route_notice,
    uncovered_of,
    without,
)
from noticebus.casework.spacing import spaced
from noticebus.casework.tracing import routing_entries
from noticebus.contracts.vocabulary import ObligationState, Owed
from noticebus.ids import AgencyId
from noticebus.store import ledger, matching, notices, obligations
from noticebus.store.deliveries import insert_deliveries
from noticebus.store.ledger import Entry, make_entry
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation

BOUND_MAX = 100_000


async def after_decline(conn: AsyncConnection, desk: Desk, declined: Obligation) -> Sequence[Shard]:
    """Route the incident's latest notice again, in the decline's own transaction.

    Give what goes to the bus.

    Recipients are only added, and owe what the decliner owed. Places whose every responsible
    recipient has declined, or was waived beside one that has, become uncovered (I6).
    """
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    notice = await _latest(conn, declined)
    owed = await obligations.obligations_of(conn, incident_id=notice.incident_id, limit=BOUND_MAX)
    known = {one.agency_id for one in owed if one.owed is Owed.NOTICE}
    lost = in_state(owed, ObligationState.DECLINED)
    found = await find_for(conn, desk, [notice])
    asked = replace(notice, notice_class=min(notice.notice_class, declined.notice_class))
    routing = without(route_notice(asked, found), known)
    (bound,) = await bind_all(conn, [(asked, routing)], found, at=at)
    numbered = number(
        bound.deliveries, await matching.take_sequences(conn, counts_of(bound.deliveries))
    )
    await obligations.insert_obligations(conn, bound.obligations)
    await insert_deliveries(conn, await spaced(conn, numbered, now=at.world))
    waived = in_state(owed, ObligationState.WAIVED)
    uncovered = uncovered_of(notice, found, lost=lost, waived=waived)
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
    """Cover the places that a decline or a waiver left to nobody, once a person of theirs has it.

    Give what goes to the bus. Nobody is asked anew and no place is lost: whoever became responsible
    meanwhile and was never told covers nothing.
    """
    notice = await _latest(conn, taken)
    if not notice.uncovered:
        return ()
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    owed = await obligations.obligations_of(conn, incident_id=notice.incident_id, limit=BOUND_MAX)
    found = await find_for(conn, desk, [notice])
    waived = in_state(owed, ObligationState.WAIVED)
    gaps = uncovered_of(notice, found, lost=_not_answering(owed, found), waived=waived)
    left = [one for one in notice.uncovered if one in gaps]
    if left == notice.uncovered:
        return ()
    facts = {"notice_id": notice.id, "taken_by": taken.agency_id, "uncovered": left}
    entry = make_entry("routing.returned", facts, at=at.world, incident_id=notice.incident_id)
    return await _left_to_nobody(conn, desk, notice, left, because=taken, entry=entry, at=at)


async def after_waiver(conn: AsyncConnection, desk: Desk, waived: Obligation) -> Sequence[Shard]:
    """Say which places have nobody, once one is waived beside others who have all declined.

    Give what goes to the bus. Nobody is asked anew: whoever became responsible meanwhile and was
    never told covers nothing.
    """
    owed = await obligations.obligations_of(conn, incident_id=waived.incident_id, limit=BOUND_MAX)
    if not in_state(owed, ObligationState.DECLINED):
        return ()
    notice = await _latest(conn, waived)
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    found = await find_for(conn, desk, [notice])
    lost = _not_answering(owed, found) - {notice.agency_id}
    every = in_state(owed, ObligationState.WAIVED)
    before = uncovered_of(notice, found, lost=lost, waived=every - {waived.agency_id})
    gaps = uncovered_of(notice, found, lost=lost, waived=every)
    added = [one for one in gaps if one not in before and one not in notice.uncovered]
    if not added:
        return ()
    uncovered = [*notice.uncovered, *added]
    facts = {"notice_id": notice.id, "waived": waived.agency_id, "uncovered": uncovered}
    entry = make_entry("routing.waived", facts, at=at.world, incident_id=notice.incident_id)
    return await _left_to_nobody(conn, desk, notice, uncovered, because=waived, entry=entry, at=at)


async def _left_to_nobody(  # noqa: PLR0913  (which places of what, and why)
    conn: AsyncConnection,
    desk: Desk,
    notice: Notice,
    uncovered: list[dict[str, str]],
    *,
    because: Obligation,
    entry: Entry,
    at: Moment,
) -> Sequence[Shard]:
    """Store which places have nobody now, and have the operators hold these; give what goes out."""
    await notices.set_uncovered(conn, notice.id, uncovered)
    await ledger.append(conn, [entry])
    asked = replace(notice, notice_class=min(notice.notice_class, because.notice_class))
    holding = Holding(notice=replace(asked, uncovered=uncovered), before=notice.uncovered)
    return shards.of(notice, await coverage.hold(conn, desk, [holding], at=at))


def _not_answering(owed: Sequence[Obligation], found: Found) -> frozenset[AgencyId]:
    """Name who has declined, or is responsible and was never bound."""
    answering = {
        one.agency_id
        for one in owed
        if one.owed is Owed.NOTICE and one.state is not ObligationState.DECLINED
    }
    return frozenset(one.agency_id for one in found.duties) - answering


async def _latest(conn: AsyncConnection, owed: Obligation) -> Notice:
    """Read the latest notice of an obligation's incident."""
    incident = await notices.incident_by_id(conn, owed.incident_id)
    assert incident is not None, "an obligation belongs to an incident"
    return (await notices.notices_by_id(conn, [incident.latest_notice_id]))[
        incident.latest_notice_id
    ]
