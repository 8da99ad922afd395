"""The escalation clock: wakes at the next step or release, fires what is due in batches."""

import datetime as dt

import sqlalchemy as sa
import structlog

from noticebus.casework import exercises, offers, step
from noticebus.casework.desk import Desk
from noticebus.errors import UnavailableError
from noticebus.store import due

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
        return await step.fire_first_due(self._desk)

    async def look(self) -> dt.datetime | None:
        """Sweep if anything is due; say when something will be. A quiet second costs one statement.

        None where nothing is to come.
        """
        until = await self._next_due_at()
        if until is None or until > self._desk.world.now():
            return until
        await self.sweep()
        return await self._next_due_at()

    async def _next_due_at(self) -> dt.datetime | None:
        async with self._desk.database.read() as conn:
            return await due.next_due_at(conn)

    async def run(self) -> None:
        """Look, then sleep until the next due time or a wake-up, one second at most."""
        while True:
            try:
                until = await self.look()
            except UnavailableError:
                log.warning("engine.paused", exc_info=True)
                until = None
            self._desk.ticked("engine")
            await self._desk.signals.steps.sleep(self._desk.world, until)
