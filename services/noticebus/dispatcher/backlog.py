"""The backlog's turn: what waits for its endpoint is let through, a little at a time."""

import datetime as dt

import structlog

from noticebus.casework import backlogs, probes
from noticebus.casework.desk import Desk

log = structlog.get_logger(__name__)

FORGOTTEN_EVERY = dt.timedelta(minutes=1)  # a backlog that nobody lets go waits no longer


class Backlog:
    """Any number may run on one database: each step is taken once, whoever takes it.

    At most `window` deliveries of one backlog are under way at once.
    """

    def __init__(self, desk: Desk, *, window: int) -> None:
        self._desk = desk
        self._window = window
        self._looked_at: dt.datetime | None = None

    async def turn(self) -> dt.datetime | None:
        """Let go what may go now; give the machine time when there is more to do, if known."""
        await self._look_for_forgotten()
        times = [
            await probes.probe_due(self._desk),
            await backlogs.drain_due(self._desk, window=self._window),
        ]
        return min((one for one in times if one is not None), default=None)

    async def _look_for_forgotten(self) -> None:
        now = self._desk.machine.now()
        if self._looked_at is not None and now - self._looked_at < FORGOTTEN_EVERY:
            return
        self._looked_at = now
        if found := await backlogs.wake_forgotten(self._desk):
            log.warning("backlog.woken", count=len(found))
