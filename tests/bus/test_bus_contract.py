"""What every bus promises (`noticebus.bus.port.Bus`), held against each implementation."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable

import pytest

from noticebus.bus.port import Bus, Received, Shard, running, split
from noticebus.ids import new_delivery_id, new_notice_id

MakeBus = Callable[..., Bus]

LIMIT_S = 30.0  # for what must happen; a broker may need a while to settle its group
SILENCE_S = 0.3  # long enough to see what must not happen


def shards(count: int) -> list[Shard]:
    return [
        shard
        for _ in range(count)
        for shard in split(new_notice_id(), [new_delivery_id()], notice={"class": "B"})
    ]


async def receive(arriving: AsyncIterator[Received], count: int) -> list[Received]:
    async with asyncio.timeout(LIMIT_S):
        return [await anext(arriving) for _ in range(count)]


async def next_or_none(arriving: AsyncIterator[Received]) -> Received | None:
    return await anext(arriving, None)


async def finish(received: list[Received]) -> None:
    for each in received:
        await each.done()


def keys(received: list[Received]) -> set[str]:
    return {each.shard.key for each in received}


async def test_each_offered_shard_is_received_as_it_was(make_bus: MakeBus) -> None:
    offered = {shard.key: shard for shard in shards(20)}
    async with running(make_bus()) as bus, bus.consume() as arriving:
        bus.offer(list(offered.values()))

        received = await receive(arriving, 20)

        assert {each.shard.key: each.shard for each in received} == offered


async def test_shard_that_was_not_done_goes_to_another_consumer(make_bus: MakeBus) -> None:
    offered = shards(3)
    async with running(make_bus()) as bus:
        bus.offer(offered)
        async with bus.consume() as leaving:
            first = await receive(leaving, 3)
            await first[0].done()

        async with bus.consume() as staying:
            again = await receive(staying, 2)

        assert keys(first) == {shard.key for shard in offered}
        assert keys(again) <= keys(first)
        assert keys(again) & keys(first[1:])


async def test_shard_that_is_done_does_not_come_again(make_bus: MakeBus) -> None:
    (later,) = shards(1)
    async with running(make_bus()) as bus:
        bus.offer(shards(5))
        async with bus.consume() as leaving:
            await finish(await receive(leaving, 5))
        bus.offer([later])

        async with bus.consume() as staying:
            (received,) = await receive(staying, 1)

        assert received.shard == later


async def test_consumers_share_the_work(make_bus: MakeBus) -> None:
    async with (
        running(make_bus(outstanding_max=1)) as bus,
        bus.consume() as one,
        bus.consume() as other,
        asyncio.TaskGroup() as tasks,
    ):
        bus.offer(shards(40))

        first = tasks.create_task(receive(one, 1))
        second = tasks.create_task(receive(other, 1))
        async with asyncio.timeout(LIMIT_S):
            await first
            await second

        assert bus.counts().received >= 2


async def test_slow_consumer_is_handed_no_more_than_its_limit(make_bus: MakeBus) -> None:
    async with running(make_bus(outstanding_max=2)) as bus, bus.consume() as arriving:
        bus.offer(shards(3))
        held = await receive(arriving, 2)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                await anext(arriving)

        await finish(held)
        (third,) = await receive(arriving, 1)

        assert third.shard.key not in keys(held)


async def test_full_queue_drops_and_counts_and_does_not_wait(make_bus: MakeBus) -> None:
    bus = make_bus(queue_max=2)

    bus.offer(shards(3))
    bus.offer(shards(1))

    assert bus.counts().offered == 4
    assert bus.counts().dropped == 2


async def test_offer_after_close_is_dropped_and_counted(make_bus: MakeBus) -> None:
    async with running(make_bus()) as bus:
        pass

    bus.offer(shards(2))

    assert bus.counts().dropped == 2


async def test_closing_publishes_what_waits(make_bus: MakeBus) -> None:
    async with running(make_bus()) as bus:
        bus.offer(shards(10))
        await bus.close(grace=dt.timedelta(seconds=LIMIT_S))

        assert bus.counts().published == 10
        assert bus.counts().failed == 0


async def test_closing_ends_the_consumers(make_bus: MakeBus) -> None:
    async with running(make_bus()) as bus, bus.consume() as arriving, asyncio.timeout(LIMIT_S):
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(next_or_none(arriving))
            await bus.close()

        assert waiting.result() is None


async def test_consumer_that_joins_a_closed_bus_ends_at_once(make_bus: MakeBus) -> None:
    async with running(make_bus()) as bus:
        pass

    async with asyncio.timeout(LIMIT_S), bus.consume() as arriving:
        assert [each async for each in arriving] == []


async def test_error_of_the_consumer_leaves_as_it_came(make_bus: MakeBus) -> None:
    async with running(make_bus()) as bus:
        with pytest.raises(LookupError):
            async with bus.consume():
                raise LookupError


async def test_done_may_be_said_twice_and_too_late(make_bus: MakeBus) -> None:
    async with running(make_bus()) as bus:
        bus.offer(shards(2))
        async with bus.consume() as arriving:
            received = await receive(arriving, 2)
            await finish(received[:1])
            await finish(received[:1])
        await finish(received)

        async with bus.consume() as staying:
            (again,) = await receive(staying, 1)

        assert again.shard.key in keys(received)


async def test_no_shard_is_lost_from_the_counts(make_bus: MakeBus) -> None:
    async with running(make_bus(queue_max=30)) as bus:
        for _ in range(5):
            bus.offer(shards(10))
        await bus.close()
    bus.offer(shards(1))

    counts = bus.counts()
    assert counts.offered == 51
    assert counts.published + counts.dropped + counts.failed == counts.offered


async def test_working_bus_has_no_fault(make_bus: MakeBus) -> None:
    async with running(make_bus()) as bus, bus.consume() as arriving:
        bus.offer(shards(1))
        await receive(arriving, 1)

        assert bus.faults() == ()
        assert bus.healthy()
