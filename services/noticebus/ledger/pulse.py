"""The pulse loop: every process says every five seconds that its loops work."""

import asyncio
import contextlib
import datetime as dt

import structlog

from noticebus.casework.signs_of_life import Pulse
from noticebus.errors import UnavailableError

log = structlog.get_logger(__name__)

EVERY = dt.timedelta(seconds=5)


async def run(pulse: Pulse) -> None:
    """Say that this process lives until it is stopped."""
    while True:
        try:
            await pulse.beat()
        except UnavailableError:
            log.warning("pulse.paused", exc_info=True)
        await asyncio.sleep(EVERY.total_seconds())


async def leave(pulse: Pulse) -> None:
    """Say that this process has ended; where that cannot be written, its silence says it."""
    with contextlib.suppress(UnavailableError):
        await pulse.leave()
