"""Dispatchers come and go while shards are under way: nothing is lost, nothing is sent twice.

The machine's clock stands still, so that no sweep makes good what the bus would lose.
"""

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from harness import desk as furnish
from harness.bused import BusedPlace, bused, dispatching, until_bus
from harness.member import Member
from harness.place import production
from harness.receivers import Behaviour
from harness.roles import until
from harness.system import Bus, open_bus
from noticebus.clock import ManualClock
from noticebus.ids import NoticeId

PARTITIONS = 4
UNDER_WAY_MAX = 20  # notices posted and not yet arrived


@dataclass(slots=True, kw_only=True)
class Stream:
    """Notices posted one after the other for as long as a test likes, to a slow endpoint."""

    bus: Bus
    county: Member
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    posted: list[NoticeId] = field(default_factory=list)

    async def run(self) -> None:
        """Post until it is enough, and wait until everything has arrived."""
        while not self.enough.is_set():
            self.posted.append((await self.bus.post_notice()).id)
            await self.arrives(len(self.posted) - UNDER_WAY_MAX)
        await self.arrives(len(self.posted))

    async def arrives(self, count: int) -> None:
        """Wait until so many events have arrived in all."""

        async def there() -> bool:
            return len(self.county.receiver.arrivals.all) >= count

        await until(there)

    async def flows(self) -> None:
        """Wait until some more arrive."""
        await self.arrives(len(self.county.receiver.arrivals.all) + 5)


async def committed(place: BusedPlace) -> tuple[int, int]:
    """Count the records that the group has behind it, and those there are."""
    options = place.bus
    async with AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap, group_id=options.group, enable_auto_commit=False
    ) as consumer:
        partitions = [TopicPartition(options.notices_topic, n) for n in range(PARTITIONS)]
        consumer.assign(partitions)
        done = [await consumer.committed(each) or 0 for each in partitions]
        ends = await consumer.end_offsets(partitions)
    return sum(done), sum(ends.values())


@pytest.mark.usefixtures("postgres_url")  # the server starts before the test's time does
@pytest.mark.slow(reason="a group of consumers settles three times")
async def test_dispatchers_that_come_and_go_lose_nothing_and_send_nothing_twice(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    async with production(tmp_path) as database:
        place = await bused(
            tmp_path, kafka_bootstrap, partitions=PARTITIONS, database_url=database.database_url
        )
        machine = ManualClock(furnish.MORNING)
        async with open_bus(place, roles=(), machine=machine, strict=False) as bus:
            county = await bus.agency("Scott County CPS")
            county.receiver.always = Behaviour(delay_s=0.05)
            stream = Stream(bus=bus, county=county)
            async with contextlib.AsyncExitStack() as second, asyncio.TaskGroup() as tasks:
                tasks.create_task(stream.run())
                async with dispatching(place, bus):
                    await stream.flows()
                    late = await second.enter_async_context(dispatching(place, bus))
                    await until_bus(late, lambda one: one.counts().received > 5)
                await stream.flows()  # the first has left, with shards in its hands
                stream.enough.set()

            done, there = await committed(place)

    assert Counter(one["subject"] for one in county.received()) == Counter(stream.posted)
    assert done == there == len(stream.posted)
