"""Records what came of deliveries: whatever has gathered, in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from noticebus.casework import outcomes, unsent, waiting
from noticebus.casework.desk import Desk
from noticebus.casework.outcomes import Tried
from noticebus.casework.unsent import Unsent
from noticebus.casework.waiting import PutBack
from noticebus.dispatcher.pacing import Pacing
from noticebus.errors import UnavailableError
from noticebus.store.deliveries import Delivery

log = structlog.get_logger(__name__)

T = TypeVar("T", Tried, Unsent, PutBack)
Record = Callable[[Desk, Sequence[T]], Awaitable[None]]

RECORD_LINGER_S = 0.03  # nobody waits for the record; a burst makes one transaction
RECORD_WAITING_MAX = 200  # what is sent and not recorded is sent again where this process dies
RECORD_TRIES = 20  # one a second, about a lease: what is not recorded by then is sent again


class Recorder:
    """The outcomes of one dispatcher that wait to be recorded, at most `RECORD_WAITING_MAX`.

    `recorded` is called after each batch.
    """

    def __init__(self, desk: Desk, pacing: Pacing, *, recorded: Callable[[], None]) -> None:
        self._desk = desk
        self._pacing = pacing
        self._recorded = recorded
        self._tried: asyncio.Queue[Tried | Unsent | PutBack] = asyncio.Queue(RECORD_WAITING_MAX)

    @property
    def waiting(self) -> int:
        """Give how many wait."""
        return self._tried.qsize()

    @property
    def is_full(self) -> bool:
        """Say whether the next one has to wait for room."""
        return self._tried.full()

    async def put(self, outcome: Tried | Unsent | PutBack) -> None:
        """Add one, once there is room for it."""
        await self._tried.put(outcome)

    async def run(self) -> None:
        """Record batch after batch, until it is cancelled."""
        while True:
            await self.record_waiting()

    async def caught_up(self) -> None:
        """Return once nothing waits."""
        await self._tried.join()

    async def record_waiting(self) -> int:
        """Record the outcomes that wait, one batch; say how many."""
        batch = [await self._tried.get()]
        self._take(batch)  # before the pause, so that whoever waits for room goes on meanwhile
        await asyncio.sleep(RECORD_LINGER_S)
        self._take(batch)
        await self._record_each([one for one in batch if isinstance(one, Tried)], outcomes.record)
        await self._record_each([one for one in batch if isinstance(one, Unsent)], unsent.drop)
        await self._record_each(
            [one for one in batch if isinstance(one, PutBack)], waiting.put_back
        )
        for _ in batch:
            self._tried.task_done()
        self._recorded()
        return len(batch)

    def _take(self, batch: list[Tried | Unsent | PutBack]) -> None:
        """Take what waits now."""
        while not self._tried.empty():
            batch.append(self._tried.get_nowait())

    async def _record_each(self, batch: Sequence[T], record: Record[T]) -> None:
        """Record a batch; where one of it cannot be recorded, the halves apart, so the rest is."""
        if not batch:
            return
        try:
            await self._record(batch, record)
        except Exception:
            if len(batch) == 1:  # the boundary of one item: whatever is wrong with it stays with it
                log.exception("outcome.unrecordable", delivery_id=batch[0].delivery.id)
                await self._give_up(batch[0].delivery)
                return
            log.warning("outcomes.apart", count=len(batch), exc_info=True)
            half = len(batch) // 2
            await self._record_each(batch[:half], record)
            await self._record_each(batch[half:], record)

    async def _record(self, batch: Sequence[T], record: Record[T]) -> None:
        """Record a batch; if the database stays away, leases end and it is all repeated (I3)."""
        for _ in range(RECORD_TRIES):
            try:
                async with self._pacing.timed(rows=len(batch)):
                    await record(self._desk, batch)
            except UnavailableError:
                log.warning("outcomes.waiting", count=len(batch), exc_info=True)
                await self._desk.machine.wait_until(None, wake=asyncio.Event())
            else:
                return
        log.error("outcomes.lost", count=len(batch))

    async def _give_up(self, delivery: Delivery) -> None:
        """End a delivery with its next channel, or without: that may be what is broken."""
        try:
            await outcomes.give_up(self._desk, delivery)
        except UnavailableError:
            log.exception("delivery.left_to_lease", delivery_id=delivery.id)
        except Exception:  # the boundary of one item, as below
            log.exception("next_channel.broken", delivery_id=delivery.id)
            await self._end(delivery)

    async def _end(self, delivery: Delivery) -> None:
        try:
            await outcomes.give_up(self._desk, delivery, starts_next=False)
        except Exception:  # the boundary of one item: the recorder goes on with the others
            log.exception("delivery.left_to_lease", delivery_id=delivery.id)
