"""The present report's figures: from the counters where they know the sort, else from the rows.

Counters know the sort of obligations and the minute each falls due. What is due in the minute that
is not over, and what is committed and has no index yet, is read as it stands. So the figures are
those of the snapshot they are read in, whatever the sequencer has still to do, and nothing needs to
be written for something to fall due.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.report import Age
from noticebus.contracts.vocabulary import Standing, Status
from noticebus.domain.figures import AGE_BEGINS, Figures, nearest_rank
from noticebus.domain.tallies import NO_TIME, Cell, Counted, cell_of, minute_of, start_of
from noticebus.store import (
    counters,
    installation,
    report_beside,
    report_minutes,
    reports,
    unindexed,
)
from noticebus.store.counters import Change, Sort, Sum
from noticebus.store.installation import OpenCounts
from noticebus.store.report_beside import LeftOut
from noticebus.store.report_minutes import InBucket
from noticebus.store.reports import Scope

PERCENTS = (50, 90)
_IN_DENOMINATOR = (Counted.OPEN, Counted.IN_TIME, Counted.LATE, Counted.UNANSWERED)
_CLOSED = (Counted.IN_TIME, Counted.LATE)
_MINUTE = dt.timedelta(minutes=1)
_INSTANT = dt.timedelta(microseconds=1)


@dataclass(slots=True, kw_only=True)
class Tallied:
    """How many there are of each sort in all, and of those whose deadline has passed."""

    in_all: Counter[Counted] = field(default_factory=Counter)
    due: Counter[Counted] = field(default_factory=Counter)
    took: Counter[int] = field(default_factory=Counter)  # of what closed and fell due, by bucket

    def add(self, cell: Cell, n: int, *, is_due: bool) -> None:
        """Add `n` more of a cell."""
        self.in_all[cell.counted] += n
        if is_due:
            self.add_due(cell, n)

    def add_due(self, cell: Cell | Sum, n: int) -> None:
        """Say that `n` of a cell, counted before, have fallen due."""
        self.due[cell.counted] += n
        if cell.took != NO_TIME:
            self.took[cell.took] += n


async def read_figures(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> Figures:
    """Read the headline figures in a bounded number of statements."""
    sort = await sort_of(conn, scope)
    if sort is None:
        return await _exact(conn, scope, now=now)
    pending = await unindexed.pending(conn, sort)
    tallied = await tally(conn, scope, sort, pending=pending, now=now)
    p50, p90 = await _percentiles(conn, scope, tallied, now=now)
    overdue = tallied.due[Counted.OPEN]
    oldest = None
    if overdue:
        oldest = await first_due(conn, scope, sort, pending=pending, now=now)
    return Figures(
        open=tallied.in_all[Counted.OPEN] + tallied.in_all[Counted.UNDATED],
        overdue=overdue,
        oldest_due_at=oldest,
        due=sum(tallied.due[one] for one in _IN_DENOMINATOR),
        closed_within=tallied.due[Counted.IN_TIME],
        p50=p50,
        p90=p90,
    )


async def sort_of(conn: AsyncConnection, scope: Scope) -> Sort | None:
    """Give the sort that the counters know a scope as; None where they do not, or are stale."""
    if scope.area_key is not None or scope.agency_id is not None:
        return None
    if await counters.are_stale(conn):
        return None
    return Sort(status=scope.status, kind=scope.kind, notice_class=scope.notice_class)


async def tally(
    conn: AsyncConnection,
    scope: Scope,
    sort: Sort,
    *,
    pending: Sequence[Change],
    now: dt.datetime,
) -> Tallied:
    """Add up counters, what is pending, and what falls due within the minute of `now`."""
    minute = minute_of(now)
    tallied = Tallied()
    for one in await counters.sums(conn, sort, minute=minute):
        tallied.in_all[one.counted] += one.in_all
        tallied.add_due(one, one.due)
    for change in pending:
        due_minute = change.cell.due_minute
        is_past = due_minute is None or due_minute < minute
        tallied.add(change.cell, change.n, is_due=is_past)
    for owing in await report_minutes.due_since_minute(conn, scope, now=now):
        found = cell_of(owing)
        if found is not None:
            tallied.add_due(found, 1)
    return tallied


async def first_due(
    conn: AsyncConnection,
    scope: Scope,
    sort: Sort,
    *,
    pending: Sequence[Change],
    now: dt.datetime,
    counted: Sequence[Counted] = (Counted.OPEN,),
) -> dt.datetime | None:
    """Give the first deadline of what is open, of those that have passed."""
    by_minute: Counter[int] = Counter()
    for minute, n in await counters.first_due(conn, sort, counted=counted):
        by_minute[minute] += n
    first_hour = set(by_minute)
    for change in pending:
        if change.cell.counted in counted and change.cell.due_minute is not None:
            by_minute[change.cell.due_minute] += change.n
    left = {minute for minute, n in by_minute.items() if n > 0}
    if not left or (first_hour and left.isdisjoint(first_hour)):
        # All of the first hour is answered, and has no index yet: what comes next was not read.
        since, until = reports.EPOCH, now
    else:
        since = start_of(min(left))
        until = min(since + _MINUTE - _INSTANT, now)
    standings = [Standing.MANDATORY]
    if Counted.ADVISORY_OPEN in counted:
        standings.append(Standing.ADVISORY)
    return await report_minutes.first_open_due(
        conn, scope, standings=standings, since=since, until=until
    )


async def count_ages(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> Mapping[Age, int]:
    """Count all open lines by how they stand to their deadline."""
    sort = await sort_of(conn, scope)
    if sort is None:
        return await reports.count_ages(conn, scope, now=now)
    instants = [now - since for since in AGE_BEGINS.values()]
    begun, in_all = await open_by(conn, scope, sort, instants=instants)
    counts = [one - later for one, later in zip(begun, [*begun[1:], 0], strict=True)]
    return {Age.EARLY: in_all - begun[0], **dict(zip(AGE_BEGINS, counts, strict=True))}


async def open_by(
    conn: AsyncConnection, scope: Scope, sort: Sort, *, instants: Sequence[dt.datetime]
) -> tuple[list[int], int]:
    """Count the open lines due by each of `instants`, and all open lines."""
    pending = await unindexed.pending(conn, sort)
    minutes = [minute_of(one) for one in instants]
    found, in_all = await counters.open_before(conn, sort, minutes=minutes)
    for change in pending:
        if change.cell.counted not in counters.LISTED:
            continue
        in_all += change.n
        due_minute = change.cell.due_minute
        found = [
            n + (change.n if due_minute is not None and due_minute < minute else 0)
            for n, minute in zip(found, minutes, strict=True)
        ]
    spans = [(start_of(minute), one) for minute, one in zip(minutes, instants, strict=True)]
    exact = await report_minutes.count_open_in(conn, scope, spans)
    return [n + more for n, more in zip(found, exact, strict=True)], in_all


async def count_open(conn: AsyncConnection, *, now: dt.datetime) -> OpenCounts:
    """Count what recipients owe now, need they answer or not: what the gauges show."""
    scope = Scope(status=Status.ACTUAL)
    sort = await sort_of(conn, scope)
    if sort is None:
        return await installation.count_open(conn, now=now)
    (overdue,), in_all = await open_by(conn, scope, sort, instants=[now])
    oldest = None
    if overdue:
        pending = await unindexed.pending(conn, sort)
        oldest = await first_due(
            conn,
            scope,
            sort,
            pending=pending,
            now=now,
            counted=(Counted.OPEN, Counted.ADVISORY_OPEN),
        )
    return OpenCounts(open=in_all, overdue=overdue, oldest_due_at=oldest)


async def count_left_out(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> LeftOut:
    """Count what fell due and is in no figure: the waived, and what is not real (I9)."""
    sort = await sort_of(conn, scope)
    if sort is None:
        return await report_beside.count_left_out(conn, scope, now=now)
    tallied = await _tallied(conn, scope, sort, now=now)
    if scope.status is Status.EXERCISE:
        return LeftOut(waived=tallied.due[Counted.WAIVED], exercised=0)
    drills = replace(scope, status=Status.EXERCISE)
    drilled = await _tallied(conn, drills, replace(sort, status=Status.EXERCISE), now=now)
    exercised = sum(drilled.due[one] for one in (*_IN_DENOMINATOR, Counted.WAIVED))
    return LeftOut(waived=tallied.due[Counted.WAIVED], exercised=exercised)


async def _tallied(conn: AsyncConnection, scope: Scope, sort: Sort, *, now: dt.datetime) -> Tallied:
    pending = await unindexed.pending(conn, sort)
    return await tally(conn, scope, sort, pending=pending, now=now)


async def _exact(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> Figures:
    counted = await reports.count(conn, scope, now=now)
    p50, p90 = [
        await reports.time_to_close_at(conn, scope, counted=counted, percent=percent, now=now)
        for percent in PERCENTS
    ]
    return Figures(
        open=counted.open,
        overdue=counted.overdue,
        oldest_due_at=counted.oldest_due_at,
        due=counted.due,
        closed_within=counted.closed_within,
        p50=p50,
        p90=p90,
    )


async def _percentiles(
    conn: AsyncConnection, scope: Scope, tallied: Tallied, *, now: dt.datetime
) -> list[dt.timedelta | None]:
    """Find the bucket of each nearest rank, and in it the very row; the silent rank last."""
    places = [_place_of(tallied, percent) for percent in PERCENTS]
    wanted = [one for one in places if one is not None]
    found = await report_minutes.times_in_buckets(conn, scope, wanted, now=now) if wanted else []
    took = iter(found)
    return [None if one is None else next(took) for one in places]


def _place_of(tallied: Tallied, percent: int) -> InBucket | None:
    rank = nearest_rank(sum(tallied.due[one] for one in _IN_DENOMINATOR), percent=percent)
    if not 0 < rank <= sum(tallied.due[one] for one in _CLOSED):
        return None
    before = 0
    for bucket in sorted(tallied.took):
        if rank <= before + tallied.took[bucket]:
            return InBucket(bucket=bucket, rank=rank - before)
        before += tallied.took[bucket]
    return None
