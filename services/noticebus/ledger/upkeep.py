"""The upkeep loop: the clock's offset and the gauges every ten seconds, old records every hour."""

import asyncio
import datetime as dt

import structlog

from noticebus.casework import recounting, report_upkeep, upkeep
from noticebus.casework.desk import Desk
from noticebus.clock import OffsetClock
from noticebus.errors import UnavailableError

log = structlog.get_logger(__name__)

EVERY = dt.timedelta(seconds=10)
PRUNE_EVERY = dt.timedelta(hours=1)


class Upkeep:
    """Any number may run: doing it twice does no harm."""

    def __init__(self, desk: Desk, *, keep_idempotency: dt.timedelta) -> None:
        self._desk = desk
        self._keep = keep_idempotency
        self._pruned_at: dt.datetime | None = None

    async def tend(self) -> None:
        """Agree with the database's clock, refresh gauges, enter areas, and prune once an hour."""
        if isinstance(self._desk.world, OffsetClock):
            self._desk.world.offset = await upkeep.sample_offset(self._desk)
        await upkeep.refresh_gauges(self._desk)
        now = self._desk.machine.now()
        if self._pruned_at is None or now - self._pruned_at >= PRUNE_EVERY:
            gone = await upkeep.prune_idempotency(self._desk, keep=self._keep)
            gone += await upkeep.prune_sessions(self._desk)
            gone += await upkeep.prune_post_drafts(self._desk)
            await recounting.tend_counters(self._desk)
            self._pruned_at = now
            if gone:
                log.info("records.pruned", count=gone)
        await report_upkeep.tend_areas(self._desk)

    async def run(self) -> None:
        """Tend, then wait."""
        while True:
            try:
                await self.tend()
            except UnavailableError:
                log.warning("upkeep.paused", exc_info=True)
            await asyncio.sleep(EVERY.total_seconds())
