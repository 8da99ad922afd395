"""The lines to endpoints: how many requests run at once to each, and how many may wait for that.

A slow endpoint costs others nothing (I12): what finds its line full is put back, and nobody waits
in one for longer than the limit of a slot.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable

from yarl import URL

from noticebus.contracts.vocabulary import Channel, HeldReason
from noticebus.dispatcher.carrier import Load
from noticebus.dispatcher.failures import NoSlotError
from noticebus.dispatcher.slots import LIMITS

WAITING_MAX = 500  # in one line, while what runs there ends in time
SHARE = 4  # no line takes more of the room that is left than a quarter


class Line:
    """The slots of one endpoint, and whoever is in line for them.

    What was held back and goes in its turn has at most half of the slots, so that something fresh
    never waits for it. A line in which nothing moves is `stalled`: it is no longer than its slots
    are many, until a request there ends in time. Slots beyond those of every line are used while
    there is room: an endpoint that agreed to many and then hangs takes no more than its share.
    """

    def __init__(self, key: str, most: int, *, usual: int) -> None:
        self.key = key
        self.most = most
        self._usual = usual
        self.slots = asyncio.Semaphore(most)
        self.backlog = asyncio.Semaphore(max(most // 2, 1))
        self.present = 0
        self.stalled = False

    def admits(self, *, left: int) -> bool:
        """Say whether one more may stand in line, where the dispatcher has room for `left`."""
        running = min(self.most, max(self._usual, left // SHARE))
        waiting = running if self.stalled else min(WAITING_MAX, left // SHARE)
        return self.present < running + waiting


class Place:
    """A place in a line, from when it is taken until `leave`; without a line one may go at once."""

    def __init__(
        self,
        line: Line | None,
        *,
        backlog: bool,
        limit: dt.timedelta,
        left: Callable[[Line], None],
    ) -> None:
        self._line = line
        self._left = left
        self._backlog = backlog
        self._limit = limit.total_seconds()
        if line is not None:
            line.present += 1

    @contextlib.asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot; NoSlotError if none came free within the limit."""
        line = self._line
        if line is None:
            yield
            return
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._limit):
                    if self._backlog:  # first, so that it stands in nobody's way for a slot
                        await held.enter_async_context(line.backlog)
                    await held.enter_async_context(line.slots)
            except TimeoutError as error:
                line.stalled = True
                raise NoSlotError from error
            began = loop.time()
            try:
                yield
            finally:
                line.stalled = loop.time() - began > self._limit

    def leave(self, _done: object = None) -> None:
        """Give the place up."""
        if self._line is not None:
            self._line.present -= 1
            self._left(self._line)


class Lines:
    """Every line of one dispatcher; those that nobody stands in are forgotten.

    A subscription whose handshake agreed to a number has a line of its own with so many slots.
    Others share the one of their origin, with `most`.
    """

    def __init__(self, most: int, *, limit: dt.timedelta = LIMITS.slot) -> None:
        self._most = most
        self._limit = limit
        self._lines: dict[str, Line] = {}

    def place(self, load: Load, *, left: int) -> Place | None:
        """Take a place in a load's line, or give None where that is full."""
        line = self._line_of(load)
        if line is not None and not line.admits(left=left):
            return None
        backlog = load.delivery.held_reason is HeldReason.TURN
        return Place(line, backlog=backlog, limit=self._limit, left=self._forget)

    def __len__(self) -> int:
        return len(self._lines)

    def _line_of(self, load: Load) -> Line | None:
        if load.delivery.channel is not Channel.WEBHOOK:
            return None
        agreed = load.destination.concurrency
        key = load.delivery.subscription_id if agreed else _origin(load.destination.url)
        if key is None:
            return None
        line = self._lines.get(key)
        if line is None or (line.most != (agreed or self._most) and not line.present):
            line = self._lines[key] = Line(key, agreed or self._most, usual=self._most)
        return line

    def _forget(self, line: Line) -> None:
        # A stalled one is remembered, or a silent endpoint would get a long line again every time.
        if not line.present and not line.stalled and self._lines.get(line.key) is line:
            del self._lines[line.key]


def _origin(url: str | None) -> str | None:
    """Give the origin of a URL; what is none goes at once, and the sender says so."""
    try:
        return str(URL(url or "").origin())
    except ValueError:
        return None
