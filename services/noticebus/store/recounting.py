"""The report's counters made anew from the history, and compared with the rows they count."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Owed
from noticebus.domain.tallies import MINUTES_OF_HOUR
from noticebus.store.counters import HOUR, KEY, MINUTE, STALE, columns_of, spread
from noticebus.store.sequencing import SEQUENCER_LOCK
from noticebus.store.tables import (
    agencies,
    markers,
    obligation_history,
    obligations,
    report_counters,
)

INSERT_MAX = 2_000
_TOLD = ("counted", "notice_class", "due_minute", "took")

Key = tuple[Any, ...]  # the columns of `report_counters` but the number


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A line of the history that is in force, what it counts as, and what it says it counts as."""

    position: int
    says: Mapping[str, Any]
    counts: Mapping[str, Any]
    key: Sequence[Key]


async def hold_sequencer(conn: AsyncConnection) -> None:
    """Wait for the sequencer's lock, and keep it until the transaction ends: nothing is indexed.

    Raises what a statement that waited too long raises. On SQLite the writer's own lock is enough.
    """
    if conn.dialect.name != "sqlite":
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(SEQUENCER_LOCK)))


async def lines_in_force(conn: AsyncConnection, *, after: int, limit: int) -> list[InForce]:
    """Read at most `limit` lines in force after a position, and work out what each counts as."""
    line = obligation_history.c
    statement = (
        sa.select(
            line.position,
            line.facts,
            line.counted,
            line.notice_class,
            line.due_minute,
            line.took,
            obligations.c.owed,
            obligations.c.status,
            agencies.c.kind,
        )
        .join(obligations, obligations.c.id == line.obligation_id)
        .join(agencies, agencies.c.id == obligations.c.agency_id)
        .where(line.position > after, line.from_index.is_not(None), line.to_index.is_(None))
        .order_by(line.position)
        .limit(limit)
    )
    return [_in_force(row) for row in (await conn.execute(statement)).mappings()]


def _in_force(row: sa.RowMapping) -> InForce:
    counts = columns_of(row["facts"])
    is_counted = counts["counted"] is not None and row["owed"] == Owed.NOTICE
    key = [
        (row["status"], span, due, row["kind"], counts["notice_class"], counts["counted"], took)
        for span, due, took in (spread(counts) if is_counted else ())
    ]
    return InForce(
        position=row["position"],
        says={name: row[name] for name in counts},
        counts=counts,
        key=key,
    )


async def mend_lines(conn: AsyncConnection, lines: Sequence[InForce]) -> int:
    """Write what lines count as where they say something else; say how many did."""
    wrong = [one for one in lines if one.says != one.counts]
    if not wrong:
        return 0
    if conn.dialect.name == "sqlite":
        at = obligation_history.c.position == sa.bindparam("b_position")
        told: dict[str, Any] = {name: sa.bindparam(f"b_{name}") for name in _TOLD}
        rows = [
            {"b_position": one.position} | {f"b_{name}": one.counts[name] for name in _TOLD}
            for one in wrong
        ]
        await conn.execute(sa.update(obligation_history).where(at).values(told), rows)
    else:  # one statement for all: PostgreSQL takes a row at a time very slowly
        right = sa.values(
            *(sa.column(one, obligation_history.c[one].type) for one in ("position", *_TOLD)),
            name="right",
        ).data([(one.position, *(one.counts[name] for name in _TOLD)) for one in wrong])
        change = sa.update(obligation_history).values(
            {name: sa.cast(right.c[name], obligation_history.c[name].type) for name in _TOLD}
        )
        await conn.execute(change.where(obligation_history.c.position == right.c.position))
    return len(wrong)


async def replace_counters(conn: AsyncConnection, counted: Counter[Key]) -> None:
    """Put these counters in the place of all there are; they are stale no more."""
    await conn.execute(sa.delete(report_counters))
    rows = [{**dict(zip(KEY, key, strict=True)), "n": n} for key, n in sorted(counted.items())]
    for first in range(0, len(rows), INSERT_MAX):
        await conn.execute(report_counters.insert(), rows[first : first + INSERT_MAX])
    await conn.execute(sa.delete(markers).where(markers.c.name == STALE))


async def drop_empty(conn: AsyncConnection, *, before_minute: int) -> int:
    """Delete counters of past due times that have come to nothing; say how many there were.

    A batch of the sequencer that counts on one of them waits, and begins it anew.
    """
    counter = report_counters.c
    hour = before_minute // MINUTES_OF_HOUR
    is_past = ((counter.span == HOUR) & (counter.due < hour)) | (
        (counter.span == MINUTE) & (counter.due < hour * MINUTES_OF_HOUR)
    )
    return (await conn.execute(sa.delete(report_counters).where(counter.n == 0, is_past))).rowcount
