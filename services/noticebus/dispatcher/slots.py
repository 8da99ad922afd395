"""Bounds on what runs at once. Waiting for a slot is our time, never the recipient's fault."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL

from noticebus.dispatcher.failures import NoSlotError

SLOT_S = 3.0  # with a request's limit of 15 s, less than the lease of 20 s


@asynccontextmanager
async def taken(slots: asyncio.Semaphore) -> AsyncIterator[None]:
    """Hold one of `slots`; NoSlotError if none came free in `SLOT_S`."""
    try:
        async with asyncio.timeout(SLOT_S):
            await slots.acquire()
    except TimeoutError as error:
        raise NoSlotError from error
    try:
        yield
    finally:
        slots.release()


class OriginSlots:
    """At most `most` requests at once to one origin: a slow one costs others nothing (I12)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._slots: dict[URL, asyncio.Semaphore] = {}
        self._users: dict[URL, int] = {}

    @asynccontextmanager
    async def taken(self, origin: URL) -> AsyncIterator[None]:
        """Hold a slot of `origin`; NoSlotError if none came free. Unused origins are forgotten."""
        slots = self._slots.setdefault(origin, asyncio.Semaphore(self._most))
        self._users[origin] = self._users.get(origin, 0) + 1
        try:
            async with taken(slots):
                yield
        finally:
            self._users[origin] -= 1
            if not self._users[origin]:
                del self._users[origin], self._slots[origin]
