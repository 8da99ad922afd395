"""Bounds on what runs at once. Waiting for a slot is our time, never the recipient's fault."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from noticebus.dispatcher.failures import NoSlotError


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLimits:
    """How long each part of one send may take; together less than the lease of 20 s."""

    slot: dt.timedelta = dt.timedelta(seconds=2)
    request: dt.timedelta = dt.timedelta(seconds=15)
    excerpt: dt.timedelta = dt.timedelta(seconds=2)  # reading an answer whose status is known


LIMITS = SendLimits()
PATIENCE_S = 0.5


@asynccontextmanager
async def taken(slots: asyncio.Semaphore, *, limit: dt.timedelta) -> AsyncIterator[None]:
    """Hold one of `slots`; NoSlotError if none came free within `limit`."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            await slots.acquire()
    except TimeoutError as error:
        raise NoSlotError from error
    try:
        yield
    finally:
        slots.release()


class Room:
    """Counts what is in flight. Claims wait while it is full; a batch goes in whole.

    They wait as well while nothing more can be recorded (`held_up`), and while it is `crowded`, but
    then one goes every `PATIENCE_S`: whom the crowd does not concern waits no longer for it (I12).
    Either may end whenever one leaves.
    """

    def __init__(
        self,
        most: int,
        *,
        crowded: Callable[[], bool] = lambda: False,
        held_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._most = most
        self._crowded = crowded
        self._held_up = held_up
        self._held = 0
        self._expected = 0
        self._let_through_at = -PATIENCE_S
        self._freed = asyncio.Event()

    @property
    def left(self) -> int:
        """Give how many there is room for; a batch that went in whole may leave none."""
        return max(self._most - self._held, 0)

    async def wait(self) -> None:
        """Return once there is room for one."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (full := self._is_full()) or self._crowded():
            until = max(began, self._let_through_at) + PATIENCE_S
            if not full and loop.time() >= until:
                self._let_through_at = loop.time()
                return
            self._freed.clear()
            alarm = None if full else loop.call_at(until, self._freed.set)
            try:
                await self._freed.wait()
            finally:
                if alarm is not None:
                    alarm.cancel()

    def _is_full(self) -> bool:
        return self._held + self._expected >= self._most or self._held_up()

    @property
    def expected(self) -> int:
        """Give how many have been claimed, or are about to be, and have not come in yet."""
        return self._expected

    def expect(self, count: int) -> None:
        """Keep room for a batch that is about to come in, or be refused: then it was `met`."""
        self._expected += count

    def met(self, count: int) -> None:
        """Keep it no longer."""
        self._expected -= count
        self._freed.set()

    @contextmanager
    def expecting(self, count: int) -> Iterator[None]:
        """Keep room for a batch while it is claimed."""
        self.expect(count)
        try:
            yield
        finally:
            self.met(count)

    def take(self) -> None:
        """Count one in."""
        self._held += 1

    def give_back(self, _done: object = None) -> None:
        """Count one out."""
        self._held -= 1
        self._freed.set()

    def look_again(self) -> None:
        """Let those who wait see whether it is still crowded."""
        self._freed.set()
