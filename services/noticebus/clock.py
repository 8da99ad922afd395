"""The two clocks, injected wherever the time is needed; nothing else in noticebus reads the time.

*World* time decides deadlines, steps, retries and entries; tests and the demo set, step or speed it
up.
*Machine* time decides leases, timeouts and signatures' timestamps; it is never scaled.
"""

import asyncio
import contextlib
import datetime as dt
from typing import Protocol

WAIT_MAX = dt.timedelta(seconds=1)  # no loop sleeps longer than this in machine time


class Clock(Protocol):
    """What needs the time takes one of these. Instants are aware and UTC."""

    def now(self) -> dt.datetime:
        """Give the present instant, aware, UTC."""
        ...

    async def wait_until(self, instant: dt.datetime | None, *, wake: asyncio.Event) -> None:
        """Return at `instant`, when `wake` is set (it is cleared), or after `WAIT_MAX`."""
        ...


class SystemClock:
    """The process's own clock."""

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    async def wait_until(self, instant: dt.datetime | None, *, wake: asyncio.Event) -> None:
        await _wait(wake, WAIT_MAX if instant is None else instant - self.now())


class OffsetClock:
    """The production profile's world clock: a machine's clock, corrected to the database's.

    Every process of an installation then agrees on when something is due. `offset` is set anew
    every few seconds by whoever samples the database.
    """

    def __init__(self, machine: Clock) -> None:
        self._machine = machine
        self.offset = dt.timedelta(0)

    def now(self) -> dt.datetime:
        return self._machine.now() + self.offset

    async def wait_until(self, instant: dt.datetime | None, *, wake: asyncio.Event) -> None:
        corrected = None if instant is None else instant - self.offset
        await self._machine.wait_until(corrected, wake=wake)


class ScaledClock:
    """A world clock that starts at `start` and runs `speed` times as fast as the machine's."""

    def __init__(self, *, start: dt.datetime, speed: float, machine: Clock) -> None:
        self._machine = machine
        self._speed = speed
        self._world_origin = start
        self._machine_origin = machine.now()
        self._moved: list[asyncio.Event] = []

    def now(self) -> dt.datetime:
        elapsed = self._machine.now() - self._machine_origin
        return self._world_origin + elapsed * self._speed

    def jump_to(self, instant: dt.datetime) -> None:
        """Step forward to `instant`, stand still there, and let every waiter look again.

        The demo's second half moves from due time to due time.
        """
        self._set(instant, speed=0.0)

    def run_at(self, speed: float) -> None:
        """Go on from here, `speed` times as fast as the machine's clock."""
        self._set(self.now(), speed=speed)

    def _set(self, instant: dt.datetime, *, speed: float) -> None:
        self._world_origin, self._machine_origin = instant, self._machine.now()
        self._speed = speed
        for event in self._moved:
            event.set()

    async def wait_until(self, instant: dt.datetime | None, *, wake: asyncio.Event) -> None:
        if wake not in self._moved:
            self._moved.append(wake)
        if instant is None or (self._speed == 0.0 and instant > self.now()):
            await _wait(wake, WAIT_MAX)
        else:
            await _wait(wake, (instant - self.now()) / (self._speed or 1.0))


class ManualClock:
    """A clock that tests move. Waiters return as soon as the clock has reached their instant."""

    def __init__(self, start: dt.datetime) -> None:
        self._now = start
        self._moved: list[asyncio.Event] = []

    def now(self) -> dt.datetime:
        return self._now

    def move_to(self, instant: dt.datetime) -> None:
        """Set the clock and let every waiter look again."""
        self._now = instant
        for event in self._moved:
            event.set()

    def advance(self, by: dt.timedelta) -> None:
        """Move the clock forward by `by`."""
        self.move_to(self._now + by)

    async def wait_until(self, instant: dt.datetime | None, *, wake: asyncio.Event) -> None:
        if instant is not None and instant <= self._now:
            return
        if wake not in self._moved:
            self._moved.append(wake)
        await _wait(wake, WAIT_MAX)


async def _wait(wake: asyncio.Event, how_long: dt.timedelta) -> None:
    seconds = min(how_long, WAIT_MAX).total_seconds()
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await wake.wait()
    wake.clear()
