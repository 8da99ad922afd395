"""The lines to endpoints: how many requests run at once to each, and how many may wait for that.

A slow endpoint costs others nothing (I12): what finds its line full is put back, and nobody waits
in one for longer than the limit of a slot.
"""

import asyncio
import datetime as dt
import math
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Self

from yarl import URL

from noticebus.casework.waiting import AGAIN_MIN, AGAIN_SPREAD
from noticebus.contracts.vocabulary import Channel, HeldReason
from noticebus.dispatcher.carrier import Load
from noticebus.dispatcher.failures import NoSlotError
from noticebus.dispatcher.slots import LIMITS

WAITING_MAX = 1_000  # in one line, where it is not known to be quick, or slow
ORIGINS_MAX = 4096  # that are read once and kept
LINES_MAX = 4096  # that are remembered though nobody stands in them
QUEUED_MAX = 32  # of one line, in what is waiting in all: no slow endpoint makes others wait
QUICK = 500  # requests a second, about what a dispatcher sends: all who wait there are counted
RECENT = 64  # requests, about, whose times make a pace: one pause of ours is no slow endpoint
SHARE = 4  # no line takes more of the room that is left than a quarter
QUICK_SHARE = 2  # or, where it is quick, than half
BACK_WITHIN = AGAIN_MIN + AGAIN_SPREAD + dt.timedelta(seconds=1)  # a sweep, for what was put back


class Line:
    """The slots of one endpoint, and whoever is in line for them.

    What was held back and goes in its turn has at most half of the slots, and few places beside
    those of what is fresh, so that this never waits for it. Of an only slot there is no half: it
    goes there while nothing fresh is in line or about to come again.

    One in which nothing moves is `stalled`: it is no longer than its slots are many, until a
    request there ends in time. One that is slow or quick is as long as will have gone within the
    limit of a slot, by what its requests took of late. Slots beyond those of every line are used
    while there is room: an endpoint that agreed to many and hangs takes no more than its share.
    """

    def __init__(
        self, most: int, *, usual: int, limit: dt.timedelta, back_within: dt.timedelta
    ) -> None:
        self.most = most
        self._usual = usual
        self._limit_s = limit.total_seconds()
        self._back_within = back_within.total_seconds()
        self.slots = asyncio.Semaphore(most)
        self.backlog = asyncio.Semaphore(max(most // 2, 1))
        self.present = 0
        self.in_turn = 0  # of those present
        self.stalled = False
        self.slow = False  # its last request took half the time that one waits for a slot
        self.counted = 0  # of those in `Lines.queued`
        self._took_s: float | None = None  # a request, of late
        self._moved_at: float | None = None
        self._expects_until = 0.0

    @property
    def pace(self) -> float:
        """Give how many requests a second it takes with every slot in use; 0 if not known yet."""
        return 0.0 if self._took_s is None else self.most / max(self._took_s, sys.float_info.min)

    @property
    def quick(self) -> bool:
        """Say whether it takes what it is given as fast as a dispatcher sends."""
        return self.pace >= QUICK and not self.stalled

    @property
    def queued(self) -> int:
        """Give how many wait for a slot that comes free soon.

        At most `QUEUED_MAX`, but where it is quick: then all of them.
        """
        waiting = max(self.present - self.most, 0)
        if self.stalled or self.slow:
            return 0
        return waiting if self.quick else min(waiting, QUEUED_MAX)

    def admits(self, *, backlog: bool, left: int) -> bool:
        """Say whether one more may stand in line, where the dispatcher has room for `left`."""
        share = max(self._usual, left // SHARE)
        running = min(self.most, share)
        waiting = running if self.stalled else self._waiting_max(left)
        if not backlog:
            return self.present - self.in_turn < running + waiting
        in_turn_max = min(max(self.most, 2), share)  # as many wait as run, who have half the slots
        return self.in_turn < in_turn_max and not self.is_for_the_fresh()

    def ended(self, took_s: float) -> None:
        """Note that a request has ended, after so many seconds."""
        before = took_s if self._took_s is None else self._took_s
        self.stalled = took_s > self._limit_s
        self.slow = took_s > self._limit_s / 2
        self._took_s = before + (took_s - before) / RECENT
        self._moved_at = time.monotonic()

    def waited_in_vain(self) -> None:
        """Note that no slot came free for something fresh within the limit.

        Where a request has ended meanwhile, it is not the endpoint that holds them.
        """
        moved_at = -math.inf if self._moved_at is None else self._moved_at
        if time.monotonic() - moved_at > self._limit_s:
            self.stalled = True
        self.expect()

    def _waiting_max(self, left: int) -> int:
        in_time = int(self.pace * self._limit_s)
        if self.quick:
            return min(in_time, left // QUICK_SHARE)
        return min(max(in_time, self.most) if self.slow else WAITING_MAX, left // SHARE)

    def expect(self) -> None:
        """Note that something fresh is put back and comes again."""
        self._expects_until = time.monotonic() + self._back_within

    def is_for_the_fresh(self) -> bool:
        """Say whether its only slot is kept from a backlog now."""
        if self.most > 1:
            return False
        now = time.monotonic()
        return self.present > self.in_turn or now < self._expects_until


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
            line.in_turn += backlog

    def slot(self) -> "Slot":
        """Hold a slot; NoSlotError if none came free within the limit."""
        return Slot(self._line, backlog=self._backlog, limit_s=self._limit)

    def leave(self, _done: object = None) -> None:
        """Give the place up."""
        if self._line is not None:
            self._line.present -= 1
            self._line.in_turn -= self._backlog
            self._left(self._line)


class Slot:
    """A slot while it is held. One that is free is taken without a timer.

    What it is held for beyond `answered` is not the endpoint's time.
    """

    def __init__(self, line: Line | None, *, backlog: bool, limit_s: float) -> None:
        self._line = line
        self._backlog = backlog
        self._limit_s = limit_s
        self._held: list[asyncio.Semaphore] = []
        self._began = 0.0
        self._took_s: float | None = None

    async def __aenter__(self) -> Self:
        line = self._line
        if line is None:
            return self
        try:
            if self._backlog or line.slots.locked():
                async with asyncio.timeout(self._limit_s):
                    await self._take(line)
            else:
                await self._take(line)
        except TimeoutError as error:
            self._give_back()
            if not self._backlog:  # which waits for its half, however quick the endpoint is
                line.waited_in_vain()
            raise NoSlotError from error
        except BaseException:
            self._give_back()
            raise
        self._began = time.monotonic()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._line is None:
            return
        self.answered()
        self._give_back()

    def answered(self) -> None:
        """Note that the request has ended; once."""
        if self._took_s is None and self._line is not None:
            self._took_s = time.monotonic() - self._began
            self._line.ended(self._took_s)

    async def _take(self, line: Line) -> None:
        if self._backlog:  # first, so that it stands in nobody's way for a slot
            await line.backlog.acquire()
            self._held.append(line.backlog)
            if line.is_for_the_fresh():
                raise NoSlotError
        await line.slots.acquire()
        self._held.append(line.slots)

    def _give_back(self) -> None:
        while self._held:
            self._held.pop().release()


class Lines:
    """Every line of one dispatcher; of those that nobody stands in, some thousands are remembered.

    A subscription whose handshake agreed to a number has a line of its own with so many slots.
    Others share the one of their origin, with `most`. `back_within` is how soon at the latest what
    is put back comes again.
    """

    def __init__(
        self,
        most: int,
        *,
        limit: dt.timedelta = LIMITS.slot,
        back_within: dt.timedelta = BACK_WITHIN,
    ) -> None:
        self._most = most
        self._limit = limit
        self._back_within = back_within
        self._lines: dict[str, Line] = {}
        self._forget_at = LINES_MAX
        self.queued = 0  # how many wait for slots in lines that move

    def place(self, load: Load, *, left: int) -> Place | None:
        """Take a place in a load's line, or give None where that is full."""
        line = self._line_of(load)
        backlog = load.delivery.held_reason is HeldReason.TURN
        if line is not None and not line.admits(backlog=backlog, left=left):
            if not backlog:
                line.expect()
            return None
        place = Place(line, backlog=backlog, limit=self._limit, left=self._count)
        if line is not None:
            self._count(line)
        return place

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
            if len(self._lines) >= self._forget_at:
                self._forget()
            line = self._lines[key] = Line(
                agreed or self._most,
                usual=self._most,
                limit=self._limit,
                back_within=self._back_within,
            )
        return line

    def _count(self, line: Line) -> None:
        self.queued += line.queued - line.counted
        line.counted = line.queued

    def _forget(self) -> None:
        """Forget the lines in which nobody stands and of which nothing must be remembered."""
        # A stalled one is remembered, or a silent endpoint would get a long line again every time;
        # so is one whose only slot is kept.
        self._lines = {
            key: line
            for key, line in self._lines.items()
            if line.present or line.stalled or line.is_for_the_fresh()
        }
        self._forget_at = max(LINES_MAX, 2 * len(self._lines))


@lru_cache(ORIGINS_MAX)
def _origin(url: str | None) -> str | None:
    """Give the origin of a URL; what is none goes at once, and the sender says so."""
    try:
        return str(URL(url or "").origin())
    except ValueError:
        return None
