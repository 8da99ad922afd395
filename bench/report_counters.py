"""The report's counters by SQL, from the obligations as they stand: the rows a recount would write.

The product counts line by line in Python, which takes hours for ten million. Its rules are written
here once more, as SQL; `tests/store/test_report_counters.py` compares every row with its own.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.domain.tallies import FINE_BITS, MINUTE_S, MINUTES_OF_HOUR, NO_TIME
from noticebus.store.counters import ALL, HOUR, KEY, LISTED, MINUTE

_COUNTED = """
    CASE
        WHEN round_started_at IS NULL THEN NULL
        WHEN state = 'open' AND standing = 'mandatory'
            THEN CASE WHEN due_at IS NULL THEN 'undated' ELSE 'open' END
        WHEN state = 'open'
            THEN CASE WHEN due_at IS NULL THEN 'advisory_undated' ELSE 'advisory_open' END
        WHEN due_at IS NULL OR standing <> 'mandatory' THEN NULL
        WHEN state = 'waived' THEN 'waived'
        WHEN state = 'withdrawn' AND (closed_at IS NULL OR closed_at <= due_at) THEN NULL
        WHEN state <> 'closed' OR closed_at IS NULL THEN 'unanswered'
        WHEN closed_at <= due_at THEN 'in_time'
        ELSE 'late'
    END
"""
_SECONDS = """
    CASE WHEN state = 'closed' THEN CAST(
        greatest(floor(date_part('epoch', closed_at - round_started_at)), 0) AS integer) END
"""
# By how many bits a bucket is wider than a second: those of the number beyond the first few.
_SHIFT = f"greatest(length(ltrim(CAST(CAST(seconds AS bit(32)) AS text), '0')) - {FINE_BITS}, 0)"
_TOOK = f"""
    CASE WHEN counted IN ('in_time', 'late')
            THEN shift * {1 << (FINE_BITS - 1)} + (seconds >> shift)
        WHEN counted IS NOT NULL THEN {NO_TIME} END
"""
_MINUTE = f"CAST(floor(date_part('epoch', due_at) / {MINUTE_S}) AS integer)"


def counted_lines(columns: Sequence[str], *, where: str = "true") -> str:
    """Write what to select from: obligations, each with what its line in the history counts as.

    Beside `columns` it has `counted`, `counted_class`, `due_minute` and `took`.
    """
    told = ", ".join(dict.fromkeys((*columns, "notice_class", "due_at")))
    # OFFSET 0: what is selected inside is worked out once, however often it is asked for outside.
    return f"""(
        SELECT {told}, counted,
            CASE WHEN counted IS NOT NULL THEN notice_class END AS counted_class,
            CASE WHEN counted IS NOT NULL THEN {_MINUTE} END AS due_minute, {_TOOK} AS took
        FROM (SELECT *, {_SHIFT} AS shift
            FROM (SELECT {told}, {_COUNTED} AS counted, {_SECONDS} AS seconds
                FROM obligations WHERE {where} OFFSET 0) AS told OFFSET 0) AS measured
        OFFSET 0)"""  # noqa: S608 - all names here are ours


# First by the minute they fall due, which leaves a few rows of many; those are spread over spans.
_BY_MINUTE = f"""
    SELECT o.status, a.kind, o.counted_class AS notice_class, o.counted, o.due_minute, o.took,
        count(*) AS n
    FROM {counted_lines(("status", "agency_id", "owed"))} AS o JOIN agencies a ON a.id = o.agency_id
    WHERE o.owed = 'notice' AND o.counted IS NOT NULL
    GROUP BY o.status, a.kind, o.counted_class, o.counted, o.due_minute, o.took
"""  # noqa: S608 - as above
_SPREAD = f"""
    INSERT INTO report_counters ({", ".join(KEY)}, n)
    SELECT {", ".join(KEY)}, CAST(sum(n) AS bigint)
    FROM ({_BY_MINUTE}) AS minutes CROSS JOIN LATERAL (VALUES
        ({ALL}, 0), ({HOUR}, due_minute / {MINUTES_OF_HOUR}), ({MINUTE}, due_minute)
    ) AS spans (span, due)
    WHERE span = {ALL} OR due_minute IS NOT NULL
    GROUP BY {", ".join(KEY)}
    ORDER BY {", ".join(KEY)}
"""  # noqa: S608 - as above


async def count(conn: AsyncConnection) -> int:
    """Put the counters of all obligations in the place of all there are; say how many there are.

    Each obligation must have one line in force, with its index, which says how the row stands.
    """
    await conn.execute(sa.text("DELETE FROM report_counters"))
    return (await conn.execute(sa.text(_SPREAD))).rowcount


async def count_open(conn: AsyncConnection) -> int:
    """Say how many open obligations the report has, by its counters."""
    words = ", ".join(f"'{one}'" for one in sorted(LISTED))
    statement = f"""SELECT CAST(coalesce(sum(n), 0) AS bigint) FROM report_counters
        WHERE span = {ALL} AND counted IN ({words})"""  # noqa: S608 - as above
    return int((await conn.execute(sa.text(statement))).scalar_one())
