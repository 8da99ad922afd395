"""The bus within one process: the embedded profile's, and the tests'."""

import asyncio
import contextlib
import datetime as dt
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence

from noticebus.bus.port import (
    CLOSE_GRACE,
    OUTSTANDING_SHARDS_MAX,
    QUEUE_SHARDS_MAX,
    Counts,
    Received,
    Shard,
    Tally,
)
from noticebus.errors import ConflictError, UnavailableError
from noticebus.ids import AgencyId

NO_KAFKA = "This installation has no Kafka, so agencies have no topics. Choose another channel."


class MemoryBus:
    """`Bus` over a bounded queue. A shard counts towards the bound until it is done.

    What is offered is published at once, so `close` has nothing to wait for: what nobody has
    received by then is left to the sweep.
    """

    def __init__(
        self,
        *,
        queue_max: int = QUEUE_SHARDS_MAX,
        outstanding_max: int = OUTSTANDING_SHARDS_MAX,
    ) -> None:
        self._pool = _Pool(shards_max=queue_max)
        self._outstanding_max = outstanding_max
        self._tally = Tally()

    @property
    def serves_agencies(self) -> bool:
        return False

    async def open_topic(self, agency_id: AgencyId) -> None:
        raise ConflictError(NO_KAFKA)

    async def send_to_agency(
        self, agency_id: AgencyId, *, key: str, value: bytes, headers: Mapping[str, str]
    ) -> None:
        raise UnavailableError(NO_KAFKA)

    def offer(self, shards: Sequence[Shard]) -> None:
        taken = self._pool.put(shards)
        self._tally.add("offered", len(shards))
        self._tally.add("published", taken)
        self._tally.add("dropped", len(shards) - taken)

    @contextlib.asynccontextmanager
    async def consume(self) -> AsyncIterator[AsyncIterator[Received]]:
        consumer = _Consumer(
            pool=self._pool, tally=self._tally, outstanding_max=self._outstanding_max
        )
        try:
            yield consumer
        finally:
            consumer.leave()

    async def run(self) -> None:
        await self._pool.closed.wait()

    async def close(self, *, grace: dt.timedelta = CLOSE_GRACE) -> None:
        self._pool.close()

    def faults(self) -> tuple[str, ...]:
        return ()

    def healthy(self) -> bool:
        return True

    def lag(self) -> Mapping[int, int]:
        return {0: self._pool.waiting}

    def counts(self) -> Counts:
        return self._tally.counts()


class _Pool:
    """What the consumers share: the shards that wait, how many are out, and whom to wake."""

    def __init__(self, *, shards_max: int) -> None:
        self._shards_max = shards_max
        self._waiting: deque[Shard] = deque()
        self._out = 0
        self.wakers: set[asyncio.Event] = set()
        self.closed = asyncio.Event()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def put(self, shards: Sequence[Shard]) -> int:
        """Add as many shards as there is room for, and tell how many that was."""
        if self.closed.is_set():
            return 0
        taken = shards[: max(self._shards_max - len(self._waiting) - self._out, 0)]
        self._waiting.extend(taken)
        self._wake()
        return len(taken)

    def take(self) -> Shard | None:
        if not self._waiting:
            return None
        self._out += 1
        return self._waiting.popleft()

    def release(self) -> None:
        """Forget a shard that is done."""
        self._out -= 1

    def give_back(self, shards: Sequence[Shard]) -> None:
        """Put shards that were not done before all others."""
        self._out -= len(shards)
        self._waiting.extendleft(reversed(shards))
        self._wake()

    def close(self) -> None:
        self.closed.set()
        self._wake()

    def _wake(self) -> None:
        for waker in self.wakers:
            waker.set()


class _Consumer:
    """One consumer's iterator, and the shards in its hands."""

    def __init__(self, *, pool: _Pool, tally: Tally, outstanding_max: int) -> None:
        self._pool = pool
        self._tally = tally
        self._outstanding_max = outstanding_max
        self._in_hand: dict[int, Shard] = {}
        self._numbers = itertools.count()
        self._wake = asyncio.Event()
        pool.wakers.add(self._wake)

    def __aiter__(self) -> AsyncIterator[Received]:
        return self

    async def __anext__(self) -> Received:
        while not self._pool.closed.is_set():
            if len(self._in_hand) < self._outstanding_max and (shard := self._pool.take()):
                return self._hand_out(shard)
            self._wake.clear()
            await self._wake.wait()
        raise StopAsyncIteration

    def leave(self) -> None:
        """Give back what is not done. A `done` that comes later is too late and changes nothing."""
        self._pool.wakers.discard(self._wake)
        self._pool.give_back(list(self._in_hand.values()))
        self._in_hand.clear()

    def _hand_out(self, shard: Shard) -> Received:
        number = next(self._numbers)
        self._in_hand[number] = shard
        self._tally.add("received")

        async def done() -> None:
            if self._in_hand.pop(number, None) is not None:
                self._pool.release()
                self._wake.set()

        return Received(shard=shard, done=done)
