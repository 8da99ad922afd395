"""The database is away when a shard is to be claimed: the sweep has it, and the bus goes on."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from harness import by_hand
from harness import desk as furnish
from harness.bused import PAST_THE_HOLD, QUICK, bused, until_bus
from harness.place import Place, production
from harness.roles import until
from harness.system import open_bus
from noticebus.bus.kafka import KafkaBus
from noticebus.bus.memory import MemoryBus
from noticebus.bus.port import Bus as Port
from noticebus.clock import ManualClock


@dataclass(frozen=True, slots=True, kw_only=True)
class OneAtATime(Place):
    """A place whose bus hands out one shard, and no other until that is done."""

    def make_bus(self) -> Port:
        """Make one more process's bus."""
        if self.bus is None:
            return MemoryBus(outstanding_max=1)
        return KafkaBus(self.bus, outstanding_max=1, pace=QUICK)


async def the_bus_goes_on(place: Place) -> None:
    """Let a claim fail; the machine's clock stands still, so that what comes next is the bus's."""
    machine = ManualClock(furnish.MORNING)
    stop = asyncio.Event()
    with structlog.testing.capture_logs() as lines:
        async with (
            open_bus(place, machine=machine, roles=(), strict=False) as bus,
            asyncio.TaskGroup() as tasks,
        ):
            county = await bus.agency("Scott County CPS")
            first = await bus.post_notice()

            async def left_to_sweep() -> bool:
                return "shards.left_to_sweep" in {one["event"] for one in lines}

            claims = "NEW.state = 'sending'"
            async with by_hand.refusing(
                bus,
                "UPDATE",
                table="deliveries",
                when=claims,
                sqlstate=by_hand.CANNOT_CONNECT_NOW,
            ):
                tasks.create_task(bus.system.dispatcher.run(stop))
                await until(left_to_sweep)
            second = await bus.post_notice()
            await county.receives("notice", second)  # by the bus
            machine.advance(PAST_THE_HOLD)
            await bus.post_notice()
            events = await county.next_events(2)  # the third by the bus, the first by the sweep

            assert first.id in {one["subject"] for one in events}
            await until_bus(bus.desk.bus, lambda one: one.lag() == {0: 0})
            stop.set()


@pytest.mark.usefixtures("postgres_url")  # the server starts before the test's time does
async def test_a_shard_that_could_not_be_claimed_makes_room_for_the_next(tmp_path: Path) -> None:
    async with production(tmp_path) as database:
        await the_bus_goes_on(OneAtATime(folder=tmp_path, database_url=database.database_url))


@pytest.mark.usefixtures("postgres_url")
@pytest.mark.slow(reason="a group of consumers settles")
async def test_a_shard_that_could_not_be_claimed_is_left_behind_on_its_topic(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    async with production(tmp_path) as database:
        place = await bused(
            tmp_path, kafka_bootstrap, partitions=1, database_url=database.database_url
        )
        await the_bus_goes_on(
            OneAtATime(folder=tmp_path, database_url=place.database_url, bus=place.bus)
        )
