"""F3: the broker comes back with empty storage, without topics, groups or offsets.

A dispatcher that loops on the error until somebody restarts it would be the fault. Ours says what
to do, the sweep delivers meanwhile, and once the topics are there the bus carries again.
"""

from pathlib import Path

import pytest

from harness import desk as furnish
from harness.bused import PAST_THE_HOLD, bused, until_bus
from harness.kafka import Broker
from harness.system import open_bus
from noticebus.bus.topics import init_topics
from noticebus.clock import ManualClock


@pytest.mark.slow(reason="a broker starts, twice")
async def test_a_broker_that_forgot_everything_is_used_again_without_a_restart(
    tmp_path: Path, private_broker: Broker
) -> None:
    place = await bused(tmp_path, private_broker.bootstrap)
    machine = ManualClock(furnish.MORNING)
    async with open_bus(place, machine=machine) as bus:
        county = await bus.agency("Scott County CPS")
        await county.receives("notice", await bus.post_notice())

        await private_broker.stop()
        private_broker.lose_data()
        await private_broker.start()
        await until_bus(
            bus.desk.bus,
            lambda one: len([each for each in one.faults() if "kafka init" in each]) == 2,
        )
        unaided = await bus.post_notice()
        machine.advance(PAST_THE_HOLD)
        await county.receives("notice", unaided)  # by the sweep

        await init_topics(place.bus)
        await until_bus(bus.desk.bus, lambda one: one.healthy())
        await county.receives("notice", await bus.post_notice())  # by the bus: time stands still
