"""The bus in figures, and an outage in the log."""

import structlog
from prometheus_client import CollectorRegistry, generate_latest

from harness.bused import until_bus
from noticebus.bus.figures import BusFigures
from noticebus.bus.kafka import KafkaBus
from noticebus.bus.memory import MemoryBus
from noticebus.bus.options import KafkaOptions
from noticebus.bus.outage import Outage
from noticebus.bus.port import Bus, running, split
from noticebus.ids import new_delivery_id, new_notice_id


def figures(bus: Bus) -> str:
    registry = CollectorRegistry()
    registry.register(BusFigures(bus))
    return generate_latest(registry).decode()


async def test_what_waits_to_be_claimed_is_the_lag() -> None:
    bus = MemoryBus()
    bus.offer(split(new_notice_id(), [new_delivery_id()]))
    waiting = figures(bus)
    async with bus.consume() as arriving:
        await anext(arriving)
    async with bus.consume() as arriving:
        await (await anext(arriving)).done()

    assert 'noticebus_bus_lag{partition="0"} 1.0' in waiting
    assert 'noticebus_bus_shards_total{outcome="published"} 1.0' in waiting
    assert "noticebus_bus_up 1.0" in waiting
    assert 'noticebus_bus_lag{partition="0"} 0.0' in figures(bus)


async def test_a_bus_without_a_broker_is_not_up() -> None:
    bus = KafkaBus(KafkaOptions(bootstrap="127.0.0.1:9"))
    async with running(bus):
        await until_bus(bus, lambda one: not one.healthy())
        shown = figures(bus)

    assert "noticebus_bus_up 0.0" in shown
    assert "noticebus_bus_lag{" not in shown


def test_an_outage_is_told_as_it_begins_once_a_minute_and_as_it_ends() -> None:
    now = 100.0
    outage = Outage("publisher", seconds=lambda: now)
    with structlog.testing.capture_logs() as lines:
        outage.end()
        for _ in range(150):  # every 2 s, for 5 minutes
            outage.note("KafkaConnectionError")
            now += 2
        outage.end()
        outage.end()

    assert [one["event"] for one in lines] == [
        "bus.disconnected",
        *["bus.still_away"] * 4,
        "bus.back",
    ]
    assert [one.get("waited_s") for one in lines] == [None, 60, 120, 180, 240, 300]
    assert lines[-1]["attempts"] == 150
