"""The one task that publishes: a bounded queue in front of a link that may be away at any time."""

import asyncio
import contextlib
import datetime as dt
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from noticebus.bus.outage import Outage
from noticebus.bus.port import Shard, Tally
from noticebus.faultpoints import FaultPoint, reach

BATCH_SHARDS_MAX = 64
FIRST_PAUSE = dt.timedelta(milliseconds=100)
PAUSE_MAX = dt.timedelta(seconds=2)
PROBE_INTERVAL = dt.timedelta(seconds=5)

Send = Callable[[Sequence[Shard]], Awaitable[None]]
"""Publish a batch and count each shard as published or failed; `LinkLostError` asks for a new link.
An empty batch asks only whether the link still works."""

Connect = Callable[[], contextlib.AbstractAsyncContextManager[Send]]
"""Open a link, or raise `LinkLostError`."""


class LinkLostError(Exception):
    """The broker is away or refuses us, and why. It is waited out, never passed to a poster."""

    def __init__(self, reason: str, *, remedy: str = "see to the broker") -> None:
        super().__init__(reason)
        self.remedy = remedy


class Backoff:
    """Pauses between tries: they double up to `pause_max`, and end early when `stop` is set."""

    def __init__(self, stop: asyncio.Event, *, pause_max: dt.timedelta = PAUSE_MAX) -> None:
        self._stop = stop
        self._pause_max = pause_max
        self._next = FIRST_PAUSE

    def reset(self) -> None:
        self._next = FIRST_PAUSE

    async def pause(self) -> None:
        seconds, self._next = self._next.total_seconds(), min(self._next * 2, self._pause_max)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


class Publisher:
    """Takes offers without waiting and publishes them in batches, one batch at a time.

    While a batch is on the wire the next one gathers, so load makes batches and idleness costs no
    delay. When the link fails, what is on it and what waits behind it is given up and counted: by
    the time the broker is back the sweep has delivered it, and new shards must not queue behind it.
    """

    def __init__(
        self,
        *,
        connect: Connect,
        tally: Tally,
        queue_max: int,
        pause_max: dt.timedelta = PAUSE_MAX,
    ) -> None:
        self._connect = connect
        self._tally = tally
        self._queue_max = queue_max
        self._pause_max = pause_max
        self._outage = Outage("publisher")
        self._waiting: deque[Shard] = deque()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._stopped = asyncio.Event()
        self._drain: asyncio.Timeout | None = None  # there while `run` runs
        self._close_at: float | None = None
        self.fault: str | None = None

    def offer(self, shards: Sequence[Shard]) -> None:
        """Queue what there is room for; the rest is dropped and counted."""
        room = 0 if self._closing.is_set() else max(self._queue_max - len(self._waiting), 0)
        self._waiting.extend(shards[:room])
        self._tally.add("offered", len(shards))
        self._tally.add("dropped", max(len(shards) - room, 0))
        self._wake.set()

    async def run(self) -> None:
        """Publish until `close`, and past every outage."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._close_at) as self._drain:
                    await self._publish_until_closed()
        finally:
            self._drain = None
            self._give_up()
            self._stopped.set()

    async def close(self, *, grace: dt.timedelta) -> None:
        """Refuse further offers, let `run` publish what waits within `grace`, await its end."""
        self._closing.set()
        self._wake.set()
        self._close_at = asyncio.get_running_loop().time() + grace.total_seconds()
        if self._drain is None and self._waiting:  # `run` may be about to start
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._close_at):
                    await self._stopped.wait()
        if self._drain is not None:
            self._drain.reschedule(self._close_at)
            await self._stopped.wait()
        self._give_up()

    async def _publish_until_closed(self) -> None:
        backoff = Backoff(self._closing, pause_max=self._pause_max)
        while not self._closing.is_set() or self._waiting:
            try:
                async with self._connect() as send:
                    self._mark_connected(backoff)
                    await self._pump(send)
            except LinkLostError as error:
                self._mark_lost(error)
                await backoff.pause()

    async def _pump(self, send: Send) -> None:
        while not self._closing.is_set() or self._waiting:
            batch = await self._next_batch()
            if batch:
                reach(FaultPoint.BUS_PUBLISHING)
            await send(batch)

    async def _next_batch(self) -> list[Shard]:
        """Take what waits, a batch at most; none after `PROBE_INTERVAL` or when closing."""
        if not self._waiting and not self._closing.is_set():
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_INTERVAL.total_seconds()):
                    await self._wake.wait()
        size = min(len(self._waiting), BATCH_SHARDS_MAX)
        return [self._waiting.popleft() for _ in range(size)]

    def _mark_connected(self, backoff: Backoff) -> None:
        backoff.reset()
        self.fault = None
        self._outage.end()

    def _mark_lost(self, error: LinkLostError) -> None:
        self._tally.add("retries")
        self._outage.note(str(error), given_up=self._give_up())
        self.fault = f"Kafka cannot be published to ({error}): the sweep delivers; {error.remedy}."

    def _give_up(self) -> int:
        given_up = len(self._waiting)
        self._waiting.clear()
        self._tally.add("failed", given_up)
        return given_up
