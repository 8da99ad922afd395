"""The auditor: looks at rows and ledger without the code that wrote them."""

import asyncio
import datetime as dt

import structlog

from noticebus.casework import audit
from noticebus.casework.audit import Verdict
from noticebus.casework.desk import Desk
from noticebus.errors import UnavailableError

log = structlog.get_logger(__name__)

EVERY = dt.timedelta(seconds=10)
FRESH = 6 * EVERY  # an older verdict says nothing about now


class Auditor:
    """Any number may run: each look is whole, and the first to finish is kept."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def look(self) -> Verdict:
        """Make every check once."""
        return await audit.look(self._desk)

    async def trouble(self) -> str | None:
        """Say what the last look found, as `/readyz` shows it; None while every check is good."""
        last = await audit.last_verdict(self._desk)
        if last is None or last.ok:
            return None
        return " ".join(f"{one.message} {one.remedy}" for one in last.findings)

    async def is_good(self) -> bool:
        """Tell whether somebody has looked lately and every check was good."""
        last = await audit.last_verdict(self._desk)
        return last is not None and last.ok and self._desk.machine.now() - last.looked_at < FRESH

    async def run(self) -> None:
        """Wait, so that a start is no alarm, then look."""
        while True:
            self._desk.ticked("auditor")
            await asyncio.sleep(EVERY.total_seconds())
            try:
                await self.look()
            except UnavailableError:
                log.warning("auditor.paused", exc_info=True)
