"""The report's counters: written by the sequencer alone, with the indexes of what they count.

At any index they are the sum of the history's lines in force. What is committed and has no index
yet stands in `unindexed`; both together are what the rows say in the same snapshot.
"""

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    AgencyKind,
    NoticeClass,
    ObligationState,
    Owed,
    Standing,
    Status,
)
from noticebus.domain.figures import Owing
from noticebus.domain.tallies import MINUTES_OF_HOUR, Cell, Counted, cell_of
from noticebus.store import prepared
from noticebus.store.sequencing import FIRST, IS_GIVEN, LAST, Given
from noticebus.store.tables import (
    agencies,
    entries,
    markers,
    obligation_history,
    obligations,
    report_counters,
)

ALL, HOUR, MINUTE = 0, 1, 2  # `span`
STALE = "report.counters.stale"  # a marker: they must be counted anew before they are read
LISTED = frozenset({Counted.OPEN, Counted.UNDATED, Counted.ADVISORY_OPEN, Counted.ADVISORY_UNDATED})
_OLDEST_MAX = 50
_HOUR_MAX = 9_000_000  # less than any minute of this century: what tells the planner them apart
KEY = tuple(column.name for column in report_counters.primary_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """Which obligations to add up; None is any. Areas and single agencies are not counted."""

    status: Status
    kind: AgencyKind | None = None
    notice_class: NoticeClass | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """How many count as a cell, in all and of those whose minute has begun and is over."""

    counted: Counted
    took: int
    in_all: int
    due: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """By how much committed changes without an index will change what counts as `cell`."""

    cell: Cell
    n: int


def columns_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a line of the history counts as, beside its facts (those of `facts_of`)."""
    cell = None
    if facts.get("round_started_at") is not None:
        cell = _cell(*(facts[name] for name in _COUNTS_BY))
    if cell is None:
        return {"counted": None, "notice_class": None, "due_minute": None, "took": None}
    return {
        "counted": cell.counted,
        "notice_class": facts["notice_class"],
        "due_minute": cell.due_minute,
        "took": cell.took,
    }


Told = dt.datetime | str | None  # an instant, as it is or as the history has it
_COUNTS_BY = ("standing", "state", "due_at", "round_started_at", "closed_at")


@functools.lru_cache(maxsize=1024)
def _cell(
    standing: str, state: str, due_at: Told, started_at: Told, closed_at: Told
) -> Cell | None:
    # Kept, because those whom one notice binds, and whom it reaches, count alike.
    return cell_of(
        Owing(
            standing=Standing(standing),
            state=ObligationState(state),
            due_at=_instant(due_at),
            started_at=_instant(started_at),
            closed_at=_instant(closed_at),
        )
    )


def _instant(told: Told) -> Any:
    return dt.datetime.fromisoformat(told) if isinstance(told, str) else told


def spread(counts: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """Give the spans in which a line is counted: span, due and bucket of each."""
    minute, took = counts["due_minute"], counts["took"]
    if minute is None:
        return [(ALL, 0, took)]
    return [(ALL, 0, took), (HOUR, minute // MINUTES_OF_HOUR, took), (MINUTE, minute, took)]


async def count_history(conn: AsyncConnection, given: Given) -> None:
    """Add what began in a batch and take away what ended in it, in one statement."""
    span = {"first": given.first, "last": given.last}
    await prepared.run(conn, _adding_changes(conn.dialect.name), span)


def changes(dialect: str) -> sa.Select[Any]:
    """Select by how much a batch, of entries from `first` to `last`, changes each counter."""
    line = obligation_history.c
    fresh = obligation_history.alias("fresh")
    touched = sa.select(fresh.c.obligation_id).where(fresh.c.entry_id == entries.c.id, IS_GIVEN)
    told = (line.obligation_id, line.counted, line.notice_class, line.due_minute, line.took)
    begun = sa.select(*told, sa.literal(1).label("d")).where(
        line.counted.is_not(None), line.entry_id == entries.c.id, IS_GIVEN
    )
    ended = sa.select(*told, sa.literal(-1).label("d")).where(
        line.counted.is_not(None),
        line.obligation_id.in_(touched),
        line.to_index.between(FIRST, LAST),
    )
    return _spread(sa.union_all(begun, ended).subquery("lines"), dialect)


def _spread(lines: sa.Subquery, dialect: str) -> sa.Select[Any]:
    """Add lines up for all spans; those that cancel out are left out."""
    owing, owed, agency = with_owed(lines, dialect)
    spans = sa.union_all(*(sa.select(sa.literal(one).label("span")) for one in (ALL, HOUR, MINUTE)))
    span = spans.subquery("spans").c.span
    due = sa.case(
        (span == ALL, 0), (span == HOUR, lines.c.due_minute // MINUTES_OF_HOUR),
        else_=lines.c.due_minute,
    )  # fmt: skip
    key = (
        owed.c.status,
        span,
        due.label("due"),
        agency.c.kind,
        lines.c.notice_class,
        lines.c.counted,
        lines.c.took,
    )
    count = sa.func.sum(lines.c.d)
    return (
        sa.select(*key, count.label("n"))
        .select_from(owing)
        .join(span.table, sa.true())
        .where(owed.c.owed == Owed.NOTICE)
        .where((span == ALL) | lines.c.due_minute.is_not(None))
        .group_by(*key[:2], due, *key[3:])
        .having(count != 0)
    )


def with_owed(
    lines: sa.Subquery, dialect: str
) -> tuple[sa.FromClause, sa.FromClause, sa.FromClause]:
    """Join lines to what is owed and to whose it is: looked up for each, line by line.

    PostgreSQL, of a table it knew as small, went from an agency to all that it ever owed instead.
    """
    if dialect == "sqlite":  # which goes line by line anyway
        joined = lines.join(obligations, obligations.c.id == lines.c.obligation_id)
        joined = joined.join(agencies, agencies.c.id == obligations.c.agency_id)
        return joined, obligations, agencies
    told = (obligations.c.status, obligations.c.owed, obligations.c.agency_id)
    is_of = obligations.c.id == lines.c.obligation_id
    owed = sa.select(*told).where(is_of).limit(1).lateral("owed")
    kind = sa.select(agencies.c.kind).where(agencies.c.id == owed.c.agency_id)
    agency = kind.limit(1).lateral("agency")
    return lines.join(owed, sa.true()).join(agency, sa.true()), owed, agency


@functools.cache
def _adding_changes(dialect: str) -> sa.Insert:
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = make(report_counters).from_select([*KEY, "n"], changes(dialect))
    more = report_counters.c.n + statement.excluded.n
    return statement.on_conflict_do_update(index_elements=list(KEY), set_={"n": more})


async def are_stale(conn: AsyncConnection) -> bool:
    """Tell whether the counters must be counted anew: after an upgrade, until that is done."""
    found = await conn.execute(sa.select(markers.c.name).where(markers.c.name == STALE))
    return found.first() is not None


async def sums(conn: AsyncConnection, sort: Sort, *, minute: int) -> list[Sum]:
    """Add up all of a sort, and apart those due before `minute`: all, less those due later."""
    counter = report_counters.c
    hour = minute // MINUTES_OF_HOUR
    later_hours = (counter.span == HOUR, counter.due.between(hour + 1, _HOUR_MAX))
    this_hour = (counter.span == MINUTE, counter.due.between(minute, _minutes_of(hour)[1]))
    parts = (
        (counter.n, counter.n, (counter.span == ALL, counter.due == 0)),
        (sa.literal(0), -counter.n, later_hours),
        (sa.literal(0), -counter.n, this_hour),
    )
    cells = sa.union_all(
        *(
            sa.select(
                counter.counted, counter.took, in_all.label("in_all"), due.label("due")
            ).where(*of_sort(sort), *part)
            for in_all, due, part in parts
        )
    ).subquery("cells")
    in_all, due = (
        sa.cast(sa.func.sum(one), sa.BigInteger) for one in (cells.c.in_all, cells.c.due)
    )
    statement = sa.select(cells.c.counted, cells.c.took, in_all, due).group_by(
        cells.c.counted, cells.c.took
    )
    return [
        Sum(counted=row[0], took=row[1], in_all=row[2], due=row[3])
        for row in (await conn.execute(statement)).all()
    ]


async def first_due(
    conn: AsyncConnection, sort: Sort, *, counted: Sequence[Counted]
) -> list[tuple[int, int]]:
    """Give the first minutes in which something counted so falls due, and how much it is.

    At most `_OLDEST_MAX` of them, all within one hour.
    """
    counter = report_counters.c
    wanted = (*of_sort(sort), counter.counted.in_(counted))
    first_hour = (
        sa.select(counter.due)
        .where(*wanted, counter.span == HOUR, counter.n > 0)
        .order_by(counter.due)
        .limit(1)
        .scalar_subquery()
    )
    begins = first_hour * MINUTES_OF_HOUR
    total = sa.func.sum(counter.n)
    statement = (
        sa.select(counter.due, total)
        .where(*wanted, counter.span == MINUTE)
        .where(counter.due.between(begins, begins + MINUTES_OF_HOUR - 1))
        .group_by(counter.due)
        .having(total > 0)
        .order_by(counter.due)
        .limit(_OLDEST_MAX)
    )
    return [(row[0], int(row[1])) for row in await conn.execute(statement)]


async def open_before(
    conn: AsyncConnection, sort: Sort, *, minutes: Sequence[int]
) -> tuple[list[int], int]:
    """Count the open lines due before each of `minutes` begins, and all open lines."""
    counter = report_counters.c
    hours = sorted({one // MINUTES_OF_HOUR for one in minutes})
    wanted = (*of_sort(sort), counter.counted.in_(LISTED))
    # What lies before the first hour asked about is one number.
    early = sa.case((counter.due < hours[0], -1), else_=counter.due)
    parts = (
        (early, (counter.span == HOUR, counter.due.between(0, hours[-1] - 1))),
        (
            counter.due,
            (
                counter.span == MINUTE,
                sa.or_(*(counter.due.between(*_minutes_of(hour)) for hour in hours)),
            ),
        ),
        (sa.literal(0), (counter.span == ALL, counter.due == 0)),
    )
    of_all = sa.union_all(
        *(
            sa.select(counter.span, due.label("due"), sa.func.sum(counter.n).label("n"))
            .where(*wanted, *part)
            .group_by(counter.span, due)
            for due, part in parts
        )
    )
    found = [(row[0], row[1], int(row[2])) for row in await conn.execute(of_all)]
    before = [
        sum(n for span, due, n in found if span == HOUR and due < minute // MINUTES_OF_HOUR)
        + sum(
            n
            for span, due, n in found
            if span == MINUTE and minute // MINUTES_OF_HOUR * MINUTES_OF_HOUR <= due < minute
        )
        for minute in minutes
    ]
    return before, sum(n for span, _, n in found if span == ALL)


def _minutes_of(hour: int) -> tuple[int, int]:
    return hour * MINUTES_OF_HOUR, (hour + 1) * MINUTES_OF_HOUR - 1


def of_sort(sort: Sort) -> list[sa.ColumnElement[bool]]:
    """Select the counters of a sort."""
    wanted = [report_counters.c.status == sort.status]
    if sort.kind is not None:
        wanted.append(report_counters.c.kind == sort.kind)
    if sort.notice_class is not None:
        wanted.append(report_counters.c.notice_class == sort.notice_class)
    return wanted
