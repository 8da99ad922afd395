"""The sequencer: gives committed entries a contiguous index, and their history its span of indexes.

The report's counters change with them, in one more statement where a batch has any history.

One holder of an advisory lock at a time. Insert order is kept: of two changes to one obligation the
later could only
insert after the earlier had committed, so its entry has the greater position.
"""

import asyncio

import structlog

from noticebus.casework.desk import Desk
from noticebus.errors import UnavailableError
from noticebus.faultpoints import FaultPoint, reach
from noticebus.store import counters, sequencing

log = structlog.get_logger(__name__)

BATCH_ENTRIES_MAX = 2_000
LINGER_S = 0.05


class Sequencer:
    """Any number may run; those without the lock do nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def sweep(self) -> int:
        """Index every committed entry; say how many were indexed."""
        done = 0
        while True:
            count = await self._batch()
            done += count
            if count < BATCH_ENTRIES_MAX:
                return done

    async def _batch(self) -> int:
        async with self._desk.database.begin() as conn:
            if not await sequencing.take_lock(conn):
                return 0
            given = await sequencing.index_entries(
                conn, now=self._desk.world.now(), batch_size_max=BATCH_ENTRIES_MAX
            )
            if given:
                if await sequencing.span_history(conn, given):
                    await counters.count_history(conn, given)
                reach(FaultPoint.SEQUENCER_INDEXING)
        if given:
            reach(FaultPoint.SEQUENCER_INDEXED)
            self._desk.metrics.ledger_sequence.set(given.last)
        return given.count if given else 0

    async def run(self) -> None:
        """Index what was committed whenever something was, and look once a second in any case."""
        while True:
            try:
                await self.sweep()
            except UnavailableError:
                log.warning("sequencer.paused", exc_info=True)
            self._desk.ticked("sequencer")
            await self._desk.signals.entries.sleep(self._desk.machine, None)
            # A burst is indexed in one transaction rather than one for each of its commits.
            await asyncio.sleep(LINGER_S)
