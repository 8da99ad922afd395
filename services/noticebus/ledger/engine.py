"""The escalation clock: wakes at the next step or release, fires what is due in batches."""

import structlog

from noticebus.casework import step
from noticebus.casework.desk import Desk
from noticebus.errors import UnavailableError

log = structlog.get_logger(__name__)


class Engine:
    """Any number may run on one database: rows are claimed by skipping what another holds."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def sweep(self) -> int:
        """Fire everything due now, batch after batch.

        Say how many obligations and notices there were.
        """
        done = 0
        while count := await step.release_due_notices(self._desk):
            done += count
        while count := await step.fire_due_steps(self._desk):
            done += count
        return done

    async def run(self) -> None:
        """Sweep, then sleep until the next due time or a wake-up, one second at most."""
        while True:
            try:
                await self.sweep()
                until = await step.next_due_at(self._desk)
            except UnavailableError:
                log.warning("engine.paused", exc_info=True)
                until = None
            self._desk.ticked("engine")
            await self._desk.signals.steps.sleep(self._desk.world, until)
