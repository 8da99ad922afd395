"""F11: the broker is away for so long that a consumer which counts its errors would have given up.

Ours tries for ever, says so once and then once a minute, and reads again when the broker is back.
"""

from collections import Counter
from pathlib import Path

import pytest
import structlog

from harness import desk as furnish
from harness.bused import PAST_THE_HOLD, bused, until_bus
from harness.kafka import Broker
from harness.system import open_bus
from noticebus.clock import ManualClock

ERRORS = 50  # five times as many as the fault's consumer took


@pytest.mark.slow(reason="a broker starts, twice")
async def test_a_bus_that_failed_fifty_times_is_used_again_without_a_restart(
    tmp_path: Path, private_broker: Broker
) -> None:
    place = await bused(tmp_path, private_broker.bootstrap)
    machine = ManualClock(furnish.MORNING)
    with structlog.testing.capture_logs() as lines:
        async with open_bus(place, machine=machine) as bus:
            county = await bus.agency("Scott County CPS")
            await county.receives("notice", await bus.post_notice())

            await private_broker.stop()
            await until_bus(bus.desk.bus, lambda one: one.counts().retries >= ERRORS)
            await until_bus(bus.desk.bus, lambda one: len(one.faults()) == 2)
            unaided = await bus.post_notice()
            machine.advance(PAST_THE_HOLD)
            await county.receives("notice", unaided)  # by the sweep

            await private_broker.start()
            await until_bus(bus.desk.bus, lambda one: one.healthy())
            await county.receives("notice", await bus.post_notice())  # by the bus

    told = Counter((one["event"], one.get("kind")) for one in lines)
    for kind in ("publisher", "consumer"):  # a broker that starts may break off again
        assert 1 <= told["bus.disconnected", kind] < ERRORS / 5
        assert 1 <= told["bus.back", kind] < ERRORS / 5
