"""What a report stands on: its lines and figures, live or rebuilt from the history."""

import datetime as dt
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.report_figures import read_figures
from noticebus.contracts.report import Age
from noticebus.contracts.vocabulary import ObligationState
from noticebus.domain import figures
from noticebus.domain.figures import Figures, Owing
from noticebus.store import ledger, report_areas, report_history, reports
from noticebus.store.report_scoped import Narrowed, Scoped, plan_each_time, read_scoped
from noticebus.store.reports import Line, Place, Scope, place_of

CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A report's bounds: of what, as of when, which page. `ranked_at` decides what leads."""

    selection: Scope
    overdue: bool | None
    at: dt.datetime
    ranked_at: dt.datetime
    is_past: bool
    after: Place | None
    limit: int
    age: Age | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """One page's lines in order, whether more follow, the figures of all, and the ledger index.

    `ages` counts the open lines by age where the history was read for it, whatever was listed;
    `scoped` is what a report of an area, an agency or a poster was read from.
    """

    index: int
    figures: Figures
    lines: list[Line]
    more: bool
    ages: Mapping[Age, int] = field(default_factory=dict)
    scoped: Scoped | None = None


async def live(conn: AsyncConnection, wanted: Wanted) -> Basis:
    """Read the present: a bounded page, and counts by the database."""
    scope, now = wanted.selection, wanted.at
    if scope.area_key is not None or scope.agency_id is not None:
        return await _scoped(conn, wanted)
    index = await ledger.newest_index(conn)
    counted = await read_figures(conn, scope, now=now)
    lines = await reports.open_lines(
        conn,
        scope,
        overdue=wanted.overdue,
        age=wanted.age,
        now=wanted.ranked_at,
        after=wanted.after,
        limit=wanted.limit + 1,
    )
    return Basis(
        index=index,
        figures=counted,
        lines=lines[: wanted.limit],
        more=len(lines) > wanted.limit,
    )


async def _scoped(conn: AsyncConnection, wanted: Wanted) -> Basis:
    """Read an area, an agency or a poster, which the counters do not know, at one go."""
    narrowed = Narrowed(
        overdue=wanted.overdue,
        age=wanted.age,
        after=wanted.after,
        limit=wanted.limit + 1,
        ranked_at=wanted.ranked_at,
    )
    await plan_each_time(conn)
    found = await read_scoped(conn, wanted.selection, narrowed, now=wanted.at)
    counts = found.counts
    return Basis(
        index=await ledger.newest_index(conn),
        figures=Figures(
            open=counts.open,
            overdue=counts.overdue,
            oldest_due_at=counts.oldest_due_at,
            due=counts.due,
            closed_within=counts.closed_within,
            p50=found.p50,
            p90=found.p90,
        ),
        lines=found.lines[: wanted.limit],
        more=len(found.lines) > wanted.limit,
        scoped=found,
    )


async def past(conn: AsyncConnection, wanted: Wanted) -> Basis:
    """Rebuild the report as of `wanted.at`, in chunks: every obligation there was, as it was."""
    index = await ledger.index_at(conn, at=wanted.at)
    tally = Tally(wanted=wanted)
    after = ""
    while True:
        chunk = await report_history.past_lines(
            conn, wanted.selection, index=index, as_of=wanted.at, after=after, limit=CHUNK
        )
        if not chunk:
            return tally.basis(index)
        after = chunk[-1][0].id
        tally.take(await _selected(conn, wanted.selection, report_history.begun(chunk)))


async def _selected(conn: AsyncConnection, scope: Scope, lines: list[Line]) -> list[Line]:
    if scope.notice_class is not None:
        lines = [line for line in lines if line.notice_class is scope.notice_class]
    if scope.area_key is None:
        return lines
    there = await report_areas.touching(
        conn, {line.round_notice_id for line in lines}, area_key=scope.area_key
    )
    return [line for line in lines if line.round_notice_id in there]


@dataclass(slots=True, kw_only=True)
class Tally:
    """The running sums of a past report; of its lines it keeps no more than one page."""

    wanted: Wanted
    open: int = 0
    overdue: int = 0
    due: int = 0
    closed_within: int = 0
    oldest_due_at: dt.datetime | None = None
    answered: list[dt.timedelta] = field(default_factory=list)
    page: list[tuple[Place, Line]] = field(default_factory=list)
    ages: Counter[Age] = field(default_factory=Counter)

    def take(self, lines: Iterable[Line]) -> None:
        """Count lines, and keep those that belong on the page so far."""
        listed = []
        for line in lines:
            self._count(_owing(line))
            if self._is_listed(line):
                listed.append((place_of(line, now=self.wanted.at), line))
        after = self.wanted.after
        fresh = [one for one in listed if after is None or one[0] > after]
        self.page = heapq.nsmallest(self.wanted.limit + 1, [*self.page, *fresh], key=_by_place)

    def basis(self, index: int) -> Basis:
        """Close the sums."""
        limit = self.wanted.limit
        answered = sorted(self.answered)
        p50, p90 = (
            figures.percentile_of(answered, count=self.due, percent=percent) for percent in (50, 90)
        )
        return Basis(
            index=index,
            figures=Figures(
                open=self.open,
                overdue=self.overdue,
                oldest_due_at=self.oldest_due_at,
                due=self.due,
                closed_within=self.closed_within,
                p50=p50,
                p90=p90,
            ),
            lines=[line for _, line in self.page[:limit]],
            more=len(self.page) > limit,
            ages={age: self.ages[age] for age in Age},
        )

    def _count(self, owing: Owing) -> None:
        now = self.wanted.at
        if not figures.counts(owing):
            return
        if owing.state is ObligationState.OPEN:
            self.open += 1
            if owing.due_at is not None and owing.due_at <= now:
                self.overdue += 1
                self.oldest_due_at = min(self.oldest_due_at or owing.due_at, owing.due_at)
        if figures.fell_due(owing, now=now):
            self.due += 1
            self.closed_within += figures.closed_within_target(owing)
            took = figures.time_to_close(owing)
            if took is not None:
                self.answered.append(took)

    def _is_listed(self, line: Line) -> bool:
        if line.state is not ObligationState.OPEN:
            return False
        is_overdue = line.due_at is not None and line.due_at <= self.wanted.at
        age = figures.age_of(line.due_at, now=self.wanted.at)
        self.ages[age] += 1
        return self.wanted.overdue in {None, is_overdue} and self.wanted.age in {None, age}


def _owing(line: Line) -> Owing:
    return Owing(
        standing=line.standing,
        state=line.state,
        due_at=line.due_at,
        started_at=line.round_started_at,
        closed_at=line.closed_at,
    )


def _by_place(one: tuple[Place, Line]) -> Place:
    return one[0]
