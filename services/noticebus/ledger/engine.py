"""The escalation clock: wakes at the next step or release, fires what is due in batches."""

import datetime as dt

import sqlalchemy as sa
import structlog

from noticebus.casework import exercises, offers, step
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
        # First: after an outage what is over neither begins nor reminds.
        while count := await exercises.end_due_exercises(self._desk):
            done += count
        while count := await step.release_due_notices(self._desk):
            done += count
        while count := await self._fire():
            done += count
        while count := await offers.end_due_offers(self._desk):
            done += count
        return done

    async def _fire(self) -> int:
        """Fire a batch; if the database refuses one of it, fire one by one and park that one."""
        try:
            return await step.fire_due_steps(self._desk)
        except sa.exc.DBAPIError:
            log.warning("steps.apart", exc_info=True)
        try:
            return await step.fire_due_steps(self._desk, most=1)
        except sa.exc.DBAPIError:
            log.exception("step.refused")
            await step.park_first_due(self._desk)
            return 1

    async def _next_due_at(self) -> dt.datetime | None:
        due = [
            await step.next_due_at(self._desk),
            await exercises.next_end_at(self._desk),
            await offers.next_end_at(self._desk),
        ]
        return min((at for at in due if at is not None), default=None)

    async def run(self) -> None:
        """Sweep, then sleep until the next due time or a wake-up, one second at most."""
        while True:
            try:
                await self.sweep()
                until = await self._next_due_at()
            except UnavailableError:
                log.warning("engine.paused", exc_info=True)
                until = None
            self._desk.ticked("engine")
            await self._desk.signals.steps.sleep(self._desk.world, until)
