"""The bus in figures, read from it each time somebody asks."""

from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from noticebus.bus.port import Bus

SHARDS = ("offered", "published", "dropped", "failed", "received")


class BusFigures(Collector):
    """What Prometheus is told of one process's bus; register it once."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def collect(self) -> Iterator[Metric]:
        counts = asdict(self._bus.counts())
        up = GaugeMetricFamily("noticebus_bus_up", "1 while nothing is wrong with the bus")
        up.add_metric([], float(self._bus.healthy()))
        yield up
        lag = GaugeMetricFamily(
            "noticebus_bus_lag",
            "Records published and not yet claimed, of the partitions this process reads",
            labels=["partition"],
        )
        for partition, behind in sorted(self._bus.lag().items()):
            lag.add_metric([str(partition)], behind)
        yield lag
        shards = CounterMetricFamily(
            "noticebus_bus_shards", "Shards by what became of them", labels=["outcome"]
        )
        for outcome in SHARDS:
            shards.add_metric([outcome], counts[outcome])
        yield shards
        yield CounterMetricFamily(
            "noticebus_bus_poisoned",
            "Records that are not shards, skipped",
            value=counts["poisoned"],
        )
        yield CounterMetricFamily(
            "noticebus_bus_retries",
            "Tries to reach the broker that failed",
            value=counts["retries"],
        )
