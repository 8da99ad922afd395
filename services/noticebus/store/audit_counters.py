"""The auditor's own counting of what the report's counters should say, from the rows.

It shares no rule with the code that keeps them: what counts as what is written here once more, as
SQL over the rows. How long answers took is left to the rows' own readers.
"""

import datetime as dt
from collections import Counter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.store.tables import agencies, obligations, report_counters
from noticebus.store.unindexed import pending_by_sort

HOUR_S = 3600
Sorted = tuple[str, str, str, str, int | None]  # status, kind, class, what as, hour it falls due

_COUNTED = """
CASE
    WHEN state = 'open' AND standing = 'mandatory'
        THEN CASE WHEN due_at IS NULL THEN 'undated' ELSE 'open' END
    WHEN state = 'open'
        THEN CASE WHEN due_at IS NULL THEN 'advisory_undated' ELSE 'advisory_open' END
    WHEN due_at IS NULL OR standing <> 'mandatory' THEN NULL
    WHEN state = 'waived' THEN 'waived'
    WHEN state = 'withdrawn' AND (closed_at IS NULL OR closed_at <= due_at) THEN NULL
    WHEN state = 'closed' AND closed_at <= due_at THEN 'in_time'
    WHEN state = 'closed' AND closed_at IS NOT NULL THEN 'late'
    ELSE 'unanswered'
END
"""


async def differences(conn: AsyncConnection) -> list[str]:
    """Name the sorts of which the counters and the rows say different numbers.

    What has no index yet is taken into account, so that it may run beside a busy bus.
    """
    should = await _by_rows(conn)
    for key, n in await pending_by_sort(conn):
        should[key] -= n
    counted = await _by_counters(conn)
    different = {key for key in should.keys() | counted.keys() if should[key] != counted[key]}
    named = [f"{'/'.join(key[:4])} due {_hour(key[4])}" for key in different]
    return sorted([*named, *await _torn(conn)])


def _hour(hour: int | None) -> str:
    if hour is None:
        return "never"
    return f"{dt.datetime.fromtimestamp(hour * HOUR_S, tz=dt.UTC):%Y-%m-%dT%HZ}"


async def _by_rows(conn: AsyncConnection) -> Counter[Sorted]:
    counted: sa.ColumnElement[str] = sa.literal_column(f"({_COUNTED})")
    key = (
        sa.type_coerce(obligations.c.status, sa.Text),
        sa.type_coerce(agencies.c.kind, sa.Text),
        sa.type_coerce(obligations.c.notice_class, sa.Text),
        counted,
        _hour_due(conn),
    )
    statement = (
        sa.select(*key, sa.func.count())
        .select_from(obligations)
        .join(agencies, agencies.c.id == obligations.c.agency_id)
        .where(
            sa.text("obligations.owed = 'notice' AND obligations.round_started_at IS NOT NULL"),
            counted.is_not(None),
        )
        .group_by(*(sa.text(str(place)) for place in range(1, len(key) + 1)))
    )
    return Counter({tuple(row[:-1]): row[-1] for row in await conn.execute(statement)})


def _hour_due(conn: AsyncConnection) -> sa.ColumnElement[Any]:
    """Give the hour something falls due in, from 1970; SQLite keeps instants as text."""
    if conn.dialect.name == "sqlite":
        return sa.literal_column(
            f"CAST(strftime('%s', substr(due_at, 1, 19)) AS INTEGER) / {HOUR_S}"
        )
    return sa.literal_column(f"CAST(floor(extract(epoch FROM due_at) / {HOUR_S}) AS integer)")


async def _by_counters(conn: AsyncConnection) -> Counter[Sorted]:
    counter = report_counters.c
    never = sa.case((counter.span == 1, counter.due), else_=None)
    undated = counter.counted.in_(["undated", "advisory_undated"])
    key = (
        sa.type_coerce(counter.status, sa.Text),
        sa.type_coerce(counter.kind, sa.Text),
        sa.type_coerce(counter.notice_class, sa.Text),
        sa.type_coerce(counter.counted, sa.Text),
        never,
    )
    statement = (
        sa.select(*key, sa.func.sum(counter.n))
        .where(((counter.span == 0) & undated) | (counter.span == 1))
        .group_by(*(sa.text(str(place)) for place in range(1, len(key) + 1)))
    )
    return Counter({tuple(row[:-1]): int(row[-1]) for row in await conn.execute(statement)})


async def _torn(conn: AsyncConnection) -> list[str]:
    """Name the sorts whose sums in all, by hour and by minute are not the same."""
    counter = report_counters.c
    sums = [sa.func.sum(sa.case((counter.span == span, counter.n), else_=0)) for span in (0, 1, 2)]
    undated = counter.counted.in_(["undated", "advisory_undated"])
    key = (counter.status, counter.kind, counter.notice_class, counter.counted, counter.took)
    statement = (
        sa.select(*(sa.type_coerce(one, sa.Text) for one in key[:4]), counter.took)
        .where(~undated)
        .group_by(*key)
        .having((sums[0] != sums[1]) | (sums[0] != sums[2]))
    )
    rows = (await conn.execute(statement)).all()
    return sorted({f"{'/'.join(row[:4])} in all" for row in rows})
