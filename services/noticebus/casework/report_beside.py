"""What stands on the report's page beside the report: ages, who is at it, who is alone, figures.

It is of the present, or of the report's own time where the ledger can tell.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import report_figures
from noticebus.casework.report_basis import Basis, Wanted
from noticebus.contracts.report import Age, ReportItem
from noticebus.domain.at_risk import Answering, is_at_risk
from noticebus.domain.places import NATION_KEY, state_key
from noticebus.ids import AgencyId, ObligationId
from noticebus.store import attendances, report_details, waivers
from noticebus.store import report_beside as store
from noticebus.store.attendances import Attendance
from noticebus.store.report_beside import FellDue, LeftOut
from noticebus.store.waivers import WaiveRequest

FEW = 10
_OF_STATE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What the page shows beside the report.

    `alone` names, by obligation, the places for which everybody responsible is past the deadline
    without an answer, in a role without which a place is uncovered. `unreached` counts all open
    lines that no channel reaches, listed or not; None in a past report.
    `silent_for`: how long the latest of those past their deadline has been silent. Both, and
    `left_out`, who attends to what and which waivers wait, are of the present report alone.
    `fell_due` lists all that fell due where they are fewer than `FEW`: then a percentage says
    nothing.
    """

    ages: Mapping[Age, int]
    alone: Mapping[str, tuple[str, ...]]
    attending: Mapping[ObligationId, Attendance]
    waivers: Mapping[ObligationId, WaiveRequest]
    silent_for: dt.timedelta | None
    left_out: LeftOut | None
    unreached: int | None = None
    fell_due: Sequence[FellDue] = ()


async def read_beside(
    conn: AsyncConnection, wanted: Wanted, basis: Basis, items: Sequence[ReportItem]
) -> Beside:
    """Read it in a constant number of statements, whatever the number of lines."""
    if wanted.is_past:
        return Beside(
            ages=basis.ages, alone={}, attending={}, waivers={}, silent_for=None, left_out=None
        )
    scope, now = wanted.selection, wanted.at
    watches = scope.agency_id is None
    ids = {line.id for line in basis.lines} if watches else set()
    few = 0 < basis.figures.due < FEW
    aside = await _aside(conn, wanted, basis)
    return Beside(
        ages=aside.ages,
        alone=await _alone(conn, items, now=now),
        attending=await attendances.of(conn, ids, now=now),
        waivers=await waivers.of(conn, ids),
        silent_for=aside.silent_for,
        left_out=aside.left_out,
        unreached=aside.unreached,
        fell_due=await store.fell_due(conn, scope, now=now, limit=FEW) if few else (),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aside:
    ages: Mapping[Age, int]
    silent_for: dt.timedelta | None
    left_out: LeftOut
    unreached: int


async def _aside(conn: AsyncConnection, wanted: Wanted, basis: Basis) -> _Aside:
    """Count what is not in the report itself; what was read for its figures is not read again."""
    scope, now, found = wanted.selection, wanted.at, basis.scoped
    if found is None:
        return _Aside(
            ages=await report_figures.count_ages(conn, scope, now=wanted.ranked_at),
            silent_for=await store.shortest_silence(conn, scope, now=now),
            left_out=await report_figures.count_left_out(conn, scope, now=now),
            unreached=await store.count_unreached(conn, scope),
        )
    exercised = await store.count_exercised(conn, scope, now=now)
    since = found.silent_since
    return _Aside(
        ages=found.ages,
        silent_for=None if since is None else now - since,
        left_out=LeftOut(waived=found.waived, exercised=exercised),
        unreached=found.unreached,
    )


async def count_unreached(conn: AsyncConnection, wanted: Wanted, basis: Basis) -> int:
    """Count all open lines of a present report that no channel reaches, listed or not."""
    found = basis.scoped
    if found is not None:
        return found.unreached
    return await store.count_unreached(conn, wanted.selection)


async def _alone(
    conn: AsyncConnection, items: Sequence[ReportItem], *, now: dt.datetime
) -> dict[str, tuple[str, ...]]:
    """Find the places that would be uncovered if those silent past their deadline did not exist.

    Two statements, whatever the number of lines.
    """
    late = [one for one in items if one.overdue_s is not None]
    chains = {place.key: _chain(place.key) for one in late for place in one.places}
    keys = {key for chain in chains.values() for key in chain}
    found = await report_details.answering_for(conn, keys) if keys else []
    incidents = {item.incident_id for item in late}
    agency_ids = {id_ for one in found for id_ in one.among}
    present: defaultdict[str, set[str]] = defaultdict(set)
    silent: defaultdict[str, set[str]] = defaultdict(set)
    for item in late:
        silent[item.incident_id].add(item.agency.id)
    # Those of other pages, and those that a filter leaves out, are silent too.
    there = await report_details.there_in(conn, incidents, agency_ids, now=now) if found else ()
    for agency in there:
        present[agency.incident_id].add(agency.agency_id)
        if agency.overdue:
            silent[agency.incident_id].add(agency.agency_id)
    by_key: defaultdict[str, list[Answering]] = defaultdict(list)
    for one in found:
        by_key[one.area_key].append(one)
    answering = {
        place: [one for key in chain for one in by_key[key]] for place, chain in chains.items()
    }
    alone = {
        item.obligation_id: tuple(
            place.name or place.key
            for place in item.places
            if is_at_risk(
                AgencyId(item.agency.id),
                answering[place.key],
                present=present[item.incident_id],
                silent=silent[item.incident_id],
            )
        )
        for item in late
    }
    return {obligation_id: places for obligation_id, places in alone.items() if places}


def _chain(key: str) -> tuple[str, ...]:
    """Give the keys under which somebody may answer for a place: itself, its state, the nation."""
    prefix, _, code = key.partition(":")
    if prefix == "county":
        return (key, state_key(code[:_OF_STATE]), NATION_KEY)
    return (key, NATION_KEY) if prefix == "state" else (key,)
