"""The dead-man ping: an address outside hears that every check is good, or alarms.

What watches the bus from within dies with it; silence is what tells the outside.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable

import aiohttp
import structlog

from noticebus.casework.desk import Desk
from noticebus.errors import UnavailableError

log = structlog.get_logger(__name__)

REQUEST_LIMIT_S = 10.0
ANSWER_BYTES_MAX = 1024
SUCCESS = range(200, 300)


class Deadman:
    """Pings `url` every `every`, only while `is_good`; one per process with the ledger's role.

    The address is the operator's own setting, so no egress guard stands before it.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        url: str | None,
        every: dt.timedelta,
        is_good: Callable[[], Awaitable[bool]],
    ) -> None:
        self._desk = desk
        self._url = url
        self._every = every
        self._is_good = is_good

    async def ping(self) -> bool:
        """Ping once if every check is good; say whether the address took it."""
        if self._url is None or not await self._is_good():
            return False
        taken = await self._get(self._url)
        if taken:
            self._desk.metrics.watch.last_ping.set(self._desk.machine.now().timestamp())
        else:
            self._desk.metrics.watch.failures.inc()
        return taken

    async def _get(self, url: str) -> bool:
        """Call the address, and read little of the answer; a redirect is no success."""
        limit = aiohttp.ClientTimeout(total=REQUEST_LIMIT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                await answer.content.read(ANSWER_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning(
                "deadman.failed", reason=type(error).__name__
            )  # its message has the address
            return False
        if answer.status not in SUCCESS:
            log.warning("deadman.failed", reason="refused", status=answer.status)
        return answer.status in SUCCESS

    async def run(self) -> None:
        """Ping, then wait; without an address there is nothing to do."""
        while self._url is not None:
            try:
                await self.ping()
            except UnavailableError:
                log.warning("deadman.paused", exc_info=True)
            await asyncio.sleep(self._every.total_seconds())
