"""Claim, send, record: shards from the bus, and a sweep for what the bus did not carry."""

import asyncio
import datetime as dt
import random
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa
import structlog

from noticebus.bus.port import Received
from noticebus.casework.desk import Desk
from noticebus.casework.outcomes import Tried
from noticebus.casework.unsent import Dropped, Unsent
from noticebus.casework.waiting import PutBack
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher.backlog import Backlog
from noticebus.dispatcher.carrier import Carrier, Load
from noticebus.dispatcher.failures import NoSlotError
from noticebus.dispatcher.gate import admitted
from noticebus.dispatcher.handed import Handed
from noticebus.dispatcher.lines import Lines, Place, Slot
from noticebus.dispatcher.loads import loads_of
from noticebus.dispatcher.pacing import Pacing
from noticebus.dispatcher.recorder import Recorder
from noticebus.dispatcher.slots import Room
from noticebus.domain.bundle import PARTS_MAX
from noticebus.domain.delivery import AttemptResult
from noticebus.errors import UnavailableError
from noticebus.faultpoints import FaultPoint, reach
from noticebus.store import claims

log = structlog.get_logger(__name__)

LEASE = dt.timedelta(seconds=20)  # longer than a request may take
IN_FLIGHT_MAX = 6_000  # deliveries; one origin holds few of them, so that none starves others
QUEUED_MAX = 500  # waiting for slots in lines that move: more would wait in vain and come again
SLOTS = 16
CLAIMS_AT_ONCE = 2  # of what the bus hands over: the next gathers while one is under way
SWEPT_FEW = 50  # after so few the sweep lingers: what falls due meanwhile is claimed together
SWEEP_LINGER_S = 0.1


class Dispatcher:
    """Any number may run on one database and bus.

    Each delivery is held by one of them at a time.
    """

    def __init__(
        self,
        desk: Desk,
        carrier: Carrier,
        *,
        lease: dt.timedelta = LEASE,
        slots_per_origin: int = SLOTS,
    ) -> None:
        self._desk = desk
        self._carrier = carrier
        self._lease = lease
        self._pacing = Pacing(desk.machine, desk.metrics.pressure)
        self._lines = Lines(slots_per_origin)
        self._room = Room(IN_FLIGHT_MAX, crowded=self._is_crowded, held_up=self._is_behind)
        self._handed = Handed()
        self._recorder = Recorder(desk, self._pacing, recorded=self._room.look_again)
        self._random = random.Random()  # noqa: S311 - jitter, nothing secret
        self.backlog = Backlog(desk, window=slots_per_origin)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish and record what is in flight.

        Cancel it to leave that to the leases.
        """
        async with asyncio.TaskGroup() as recording:
            recorder = recording.create_task(self._recorder.run(), name="recorder")
            async with asyncio.TaskGroup() as sending:
                sources = [
                    sending.create_task(self._sweep_loop(sending), name="sweep"),
                    sending.create_task(self._bus_loop(), name="bus-consumer"),
                    *(
                        sending.create_task(self._claim_loop(sending), name="claims")
                        for _ in range(CLAIMS_AT_ONCE)
                    ),
                ]
                await stop.wait()
                for source in sources:
                    source.cancel()
            await self._recorder.caught_up()
            recorder.cancel()

    async def deliver(self, received: Received) -> None:
        """Claim a shard, let the bus forget it, send it."""
        await self._send_all(await self._claim_shards([received]))

    async def sweep(self) -> int:
        """Claim and send what is due now and nobody holds, one batch; say how many."""
        loads = await self._claim_due()
        await self._send_all(loads)
        return len(loads)

    async def record_waiting(self) -> int:
        """Record the outcomes that wait, one batch; say how many."""
        return await self._recorder.record_waiting()

    async def _bus_loop(self) -> None:
        async with self._desk.bus.consume() as shards:
            async for received in shards:
                reach(FaultPoint.BUS_RECEIVED)
                self._handed.put(received)

    async def _claim_loop(self, tasks: asyncio.TaskGroup) -> None:
        """Claim and send what the bus has handed over since the last claim."""
        while True:
            await self._handed.wait()
            await self._pacing.take_turn()
            try:
                await self._room.wait()  # claim nothing that could not be sent at once
                handed = self._handed.take()
                # A task of its own: told to stop meanwhile, it still ends and sends what it has.
                with self._room.expecting(sum(len(one.shard.delivery_ids) for one in handed)):
                    await asyncio.shield(tasks.create_task(self._claim_handed(handed, tasks)))
            finally:
                self._pacing.give_turn_back()

    async def _claim_handed(self, handed: Sequence[Received], tasks: asyncio.TaskGroup) -> None:
        if loads := await self._claim_each(handed):
            tasks.create_task(self._send_claimed(loads))

    async def _claim_each(self, handed: Sequence[Received]) -> list[Load]:
        """Claim shards together, or, where one is such that none can be claimed, apart."""
        if not handed:
            return []
        try:
            return await self._claim_shards(handed)
        except UnavailableError:
            log.warning("shards.left_to_sweep", count=len(handed), exc_info=True)
        except sa.exc.DBAPIError:  # a record that no database can read must not come again
            if len(handed) > 1:
                return [one for each in handed for one in await self._claim_each([each])]
            log.exception("shard.unreadable", shard=handed[0].shard.key)
        for one in handed:
            await one.done()  # else it keeps its place for good, and the bus runs out of them
        return []

    async def _sweep_loop(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            await self._room.wait()  # claim nothing that could not be sent at once
            loads, until = await self._look()
            self._desk.ticked("dispatcher")
            self._desk.metrics.dispatcher_last_tick.set(self._desk.machine.now().timestamp())
            if loads:
                reach(FaultPoint.SWEEP_CLAIMED)
                tasks.create_task(self._send_claimed(loads))
                if len(loads) < SWEPT_FEW:
                    await asyncio.sleep(SWEEP_LINGER_S)
            else:
                await self._desk.signals.deliveries.sleep(self._desk.world, until)

    async def _look(self) -> tuple[list[Load], dt.datetime | None]:
        """Claim what is due, or tell when something is."""
        try:
            turn_at = await self.backlog.turn()
            loads = await self._claim_due()
            return loads, None if loads else self._sooner(await self._next_due_at(), turn_at)
        except UnavailableError:
            log.warning("sweep.paused", exc_info=True)
            return [], None

    def _sooner(
        self, due_at: dt.datetime | None, turn_at: dt.datetime | None
    ) -> dt.datetime | None:
        """Give the world time of whichever comes first, a due time or the backlog's turn."""
        if turn_at is None:
            return due_at
        turn_at = self._desk.world.now() + (turn_at - self._desk.machine.now())
        return turn_at if due_at is None else min(due_at, turn_at)

    async def _send_claimed(self, loads: Sequence[Load]) -> None:
        try:
            await self._send_all(loads)
        except UnavailableError:
            log.warning("batch.left_to_sweep", count=len(loads), exc_info=True)

    async def _claim_shards(self, handed: Sequence[Received]) -> list[Load]:
        ids = [one for received in handed for one in received.shard.delivery_ids]
        async with self._pacing.timed(), self._desk.database.begin_relaxed() as conn:
            claimed = await claims.claim_shard(conn, ids, lease_until=self._lease_until())
            loads = await loads_of(conn, claimed)
        reach(FaultPoint.BUS_CLAIMED)
        for received in handed:
            await received.done()
        self._room.expect(len(loads))
        return loads

    async def _claim_due(self) -> list[Load]:
        async with self._pacing.timed(), self._desk.database.begin_relaxed() as conn:
            claimed = await claims.claim_due(
                conn,
                now=self._desk.world.now(),
                machine_now=self._desk.machine.now(),
                lease_until=self._lease_until(),
                batch_size_max=self._pacing.size,
            )
            loads = await loads_of(conn, claimed)
        self._room.expect(len(loads))
        return loads

    async def _next_due_at(self) -> dt.datetime | None:
        async with self._desk.database.read() as conn:
            return await claims.next_due_at(conn, machine_now=self._desk.machine.now())

    def _lease_until(self) -> dt.datetime:
        return self._desk.machine.now() + self._lease

    async def _send_all(self, claimed: Sequence[Load]) -> None:
        """Send a claimed batch concurrently.

        Each outcome goes to the recorder as soon as it is known (I12).
        """
        try:
            loads = await admitted(self._desk, claimed)
        except BaseException:
            self._room.met(len(claimed))
            raise
        async with asyncio.TaskGroup() as tasks:
            refused = self._line_up(loads, tasks)
            self._room.met(len(claimed))  # until now: else claims run ahead of slow holds
            for together in refused:
                await self._put_back(together)

    def _line_up(self, loads: Sequence[Load], tasks: asyncio.TaskGroup) -> list[list[Load]]:
        """Send what finds a place in its line, and give the rest."""
        refused = []
        for together in _messages(loads):
            place = self._lines.place(together[0], left=self._room.left)
            if place is None:
                refused.append(together)
                continue
            self._room.take()
            task = tasks.create_task(self._send_in_line(together, place))
            task.add_done_callback(partial(self._leave, place))
        return refused

    async def _send_in_line(self, loads: Sequence[Load], place: Place) -> None:
        try:
            async with place.slot() as slot:  # until it is handed on: the recorder may be behind
                await self._send(loads, slot)
        except NoSlotError:
            await self._put_back(loads)

    def _is_crowded(self) -> bool:
        return self._lines.queued + self._room.expected >= QUEUED_MAX

    def _is_behind(self) -> bool:
        return self._recorder.is_full  # were more claimed, leases would end

    def _leave(self, place: Place, _done: object) -> None:
        """Count one out, also where it was ended before it began."""
        place.leave()
        self._room.give_back()

    async def _put_back(self, loads: Sequence[Load]) -> None:
        """Let it come again in a few seconds: our own limit is no try."""
        for one in loads:
            await self._recorder.put(PutBack(delivery=one.delivery, jitter=self._random.random()))

    async def _send(self, loads: Sequence[Load], slot: Slot) -> None:
        """Send one message; a bundle that cannot be made goes apart: one spoils no other."""
        if len(loads) == 1:
            await self._send_one(loads[0], slot)
            return
        started_at, jitter = self._desk.world.now(), self._random.random()
        try:
            results = await self._carrier.carry_together(loads)
        except Exception:  # the boundary of one item is in `_send_one`
            log.exception("bundle.broken", count=len(loads))
            for one in loads:
                await self._send_one(one, slot)
            return
        slot.answered()
        for one, result in zip(loads, results, strict=True):
            await self._note(one, result, started_at=started_at, jitter=jitter)

    async def _send_one(self, load: Load, slot: Slot) -> None:
        started_at = self._desk.world.now()
        reach(FaultPoint.DISPATCHER_CLAIMED)
        try:
            result = await self._carrier.carry(load)
        except Exception:  # the boundary of one item: whatever is wrong with it stays with it
            log.exception("delivery.broken", delivery_id=load.delivery.id)
            result = _broken()
        slot.answered()
        await self._note(load, result, started_at=started_at, jitter=self._random.random())

    async def _note(
        self,
        load: Load,
        result: AttemptResult | Dropped,
        *,
        started_at: dt.datetime,
        jitter: float,
    ) -> None:
        """Hand what came of a delivery to the recorder."""
        reach(FaultPoint.DISPATCHER_ANSWERED)
        if isinstance(result, Dropped):
            await self._recorder.put(Unsent(delivery=load.delivery, dropped=result))
            return
        tried = Tried(
            delivery=load.delivery,
            result=result,
            started_at=started_at,
            finished_at=self._desk.world.now(),
            jitter=jitter,
            status=None if load.notice is None else load.notice.status,
        )
        await self._recorder.put(tried)


def _messages(loads: Sequence[Load]) -> list[list[Load]]:
    """Put together what goes as one message: the loads of one bundle, in the order of ids."""
    alone = [[one] for one in loads if one.delivery.bundle is None]
    bundles: dict[str, list[Load]] = {}
    for one in sorted(loads, key=lambda load: load.delivery.id):
        if one.delivery.bundle is not None:
            bundles.setdefault(one.delivery.bundle, []).append(one)
    return [*alone, *(part for bundle in bundles.values() for part in _parts(bundle))]


def _parts(bundle: Sequence[Load]) -> list[list[Load]]:
    most = PARTS_MAX.get(bundle[0].delivery.channel, 1)
    return [list(bundle[start : start + most]) for start in range(0, len(bundle), most)]


def _broken() -> AttemptResult:
    return AttemptResult(
        outcome=Outcome.UNSENDABLE,
        fault=Fault.OURS,
        error="The bus could not make this delivery. An operator finds the cause in the log.",
        body_digest="",
        duration=dt.timedelta(0),
    )
