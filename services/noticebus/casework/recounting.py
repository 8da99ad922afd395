"""Counting the report's counters anew, for an upgrade, a restored backup or a finding of the audit.

The sequencer waits meanwhile, and so do past reports of these minutes; notices, answers and the
escalation clock go on.
"""

from collections import Counter
from dataclasses import dataclass

import structlog

from noticebus.casework.desk import Desk
from noticebus.domain.tallies import minute_of
from noticebus.store import recounting
from noticebus.store.counters import are_stale
from noticebus.store.database import Database
from noticebus.store.recounting import Key

log = structlog.get_logger(__name__)

CHUNK = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recounted:
    """How many lines were counted, how many of them said something else before, and the result."""

    lines: int
    mended: int
    counters: int


async def tend_counters(desk: Desk) -> None:
    """Count anew what an upgrade left uncounted, and drop what has come to nothing."""
    async with desk.database.read() as conn:
        stale = await are_stale(conn)
    if stale:
        counted = await recount(desk.database, only_stale=True)
        log.info("counters.recounted", count=0 if counted is None else counted.lines)
    async with desk.database.begin() as conn:
        await recounting.drop_empty(conn, before_minute=minute_of(desk.world.now()))


async def recount(database: Database, *, only_stale: bool = False) -> Recounted | None:
    """Count all lines in force, in chunks, in one transaction that keeps the sequencer waiting.

    With `only_stale` nothing where another process has counted meanwhile, and None.
    """
    counters: Counter[Key] = Counter()
    done = mended = 0
    async with database.begin() as conn:
        await recounting.hold_sequencer(conn)
        if only_stale and not await are_stale(conn):
            return None
        after = 0
        while lines := await recounting.lines_in_force(conn, after=after, limit=CHUNK):
            after = lines[-1].position
            done += len(lines)
            mended += await recounting.mend_lines(conn, lines)
            for line in lines:
                counters.update(line.key)
        await recounting.replace_counters(conn, counters)
    return Recounted(lines=done, mended=mended, counters=len(counters))
