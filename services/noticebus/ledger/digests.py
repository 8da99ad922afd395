"""The clock of digests: counts for the operators at a change of shift, and while silence lasts."""

import datetime as dt

import structlog

from noticebus.casework import digest
from noticebus.casework.desk import Desk
from noticebus.domain.digest import read_times
from noticebus.errors import UnavailableError

log = structlog.get_logger(__name__)


class DigestClock:
    """Any number may run on one database: one row says how far it has got, and is held.

    `times`, like 07:00 19:00, are when shifts change where no roster says it; `is_on`: they are
    wanted.
    """

    def __init__(self, desk: Desk, *, times: str, is_on: bool) -> None:
        self._desk = desk
        self._times = read_times(times)
        self._is_on = is_on and desk.sends_mail

    async def look(self) -> dt.datetime:
        """Make the digests that are due; say when the next occasion is."""
        return await digest.look(self._desk, times=self._times)

    async def run(self) -> None:
        """Look, then sleep until the next occasion or a wake-up, one second at most."""
        while self._is_on:
            try:
                until: dt.datetime | None = await self.look()
            except UnavailableError:
                log.warning("digests.paused", exc_info=True)
                until = None
            self._desk.ticked("digests")
            await self._desk.signals.digests.sleep(self._desk.world, until)
