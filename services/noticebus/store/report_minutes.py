"""Rows at the borders of what counters can tell: a minute not over yet, a bucket of times."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Standing
from noticebus.domain.figures import Owing
from noticebus.domain.tallies import bounds_of, minute_of, start_of
from noticebus.store.reports import STEP_MAX, Scope, about, fell_due_by, took_of
from noticebus.store.tables import obligations

# Written out, so that the partial indexes serve, and in both of them the order of due times.
_IS_OPEN = sa.text("obligations.state = 'open' AND obligations.owed = 'notice'")
_IS_OVER = sa.text("obligations.state <> 'open' AND obligations.owed = 'notice'")
_ANY_STEP = sa.text(f"obligations.step IN ({', '.join(map(str, range(STEP_MAX + 1)))})")
_EITHER = sa.text("obligations.reachable IN (true, false)")


async def due_since_minute(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> list[Owing]:
    """Read the mandatory obligations due in the minute of `now` and no later than `now`."""
    due_at = obligations.c.due_at
    columns = (
        obligations.c.standing,
        obligations.c.state,
        due_at,
        obligations.c.round_started_at.label("started_at"),
        obligations.c.closed_at,
    )
    wanted = (
        *about(scope),
        obligations.c.standing == Standing.MANDATORY,
        due_at.between(start_of(minute_of(now)), now),
    )
    still_open = sa.select(*columns).where(*wanted, _IS_OPEN, _EITHER, _ANY_STEP)
    over = sa.select(*columns).where(*wanted, _IS_OVER)
    rows = (await conn.execute(sa.union_all(still_open, over))).mappings()
    return [Owing(**row) for row in rows]


async def count_open_in(
    conn: AsyncConnection, scope: Scope, spans: Sequence[tuple[dt.datetime, dt.datetime]]
) -> list[int]:
    """Count the open lines due in each of `spans`, both ends included; spans are short."""
    counts = [
        sa.select(sa.func.count())
        .where(*about(scope), _IS_OPEN, _EITHER, _ANY_STEP)
        .where(obligations.c.due_at.between(first, last))
        .scalar_subquery()
        for first, last in spans
    ]
    return list((await conn.execute(sa.select(*counts))).one())


async def first_open_due(
    conn: AsyncConnection,
    scope: Scope,
    *,
    standings: Sequence[Standing],
    since: dt.datetime,
    until: dt.datetime,
) -> dt.datetime | None:
    """Give the first deadline of an open line in a span, both ends included."""
    statement = sa.select(sa.func.min(obligations.c.due_at)).where(
        *about(scope),
        _IS_OPEN,
        _EITHER,
        _ANY_STEP,
        obligations.c.standing.in_(standings),
        obligations.c.due_at.between(since, until),
    )
    found: dt.datetime | None = (await conn.execute(statement)).scalar_one()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class InBucket:
    """The `rank`th shortest (from 1) of the times to close of one bucket."""

    bucket: int
    rank: int


async def times_in_buckets(
    conn: AsyncConnection, scope: Scope, wanted: Sequence[InBucket], *, now: dt.datetime
) -> list[dt.timedelta]:
    """Give times to close by their rank in a bucket, in the order wanted."""
    parts = [
        _in_bucket(conn, scope, one, now=now).subquery(f"at_{place}")
        for place, one in enumerate(wanted)
    ]
    selected = [
        sa.select(sa.literal(place).label("place"), part.c.closed_at, part.c.round_started_at)
        for place, part in enumerate(parts)
    ]
    rows = await conn.execute(sa.union_all(*selected))
    took = {place: closed_at - started_at for place, closed_at, started_at in rows}
    return [took[place] for place in range(len(wanted))]


def _in_bucket(
    conn: AsyncConnection, scope: Scope, wanted: InBucket, *, now: dt.datetime
) -> sa.Select[Any]:
    shortest, longer = bounds_of(wanted.bucket)
    took = took_of(conn)
    within = [took < _length(conn, longer)]
    if wanted.bucket:  # the first also holds what closed before it began, by another clock
        within.append(took >= _length(conn, shortest))
    return (
        sa.select(obligations.c.closed_at, obligations.c.round_started_at)
        .where(*fell_due_by(scope, now=now), *within)
        .where(sa.text("obligations.state = 'closed' AND obligations.owed = 'notice'"))
        .order_by(took, obligations.c.id)
        .offset(wanted.rank - 1)
        .limit(1)
    )


def _length(conn: AsyncConnection, duration: dt.timedelta) -> sa.ColumnElement[Any]:
    if conn.dialect.name == "sqlite":
        return sa.literal(duration // dt.timedelta(microseconds=1))
    return sa.literal(duration, sa.Interval)
