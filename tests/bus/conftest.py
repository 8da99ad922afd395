"""Buses for the tests: a factory for either implementation, on topics of its own."""

import secrets
from collections.abc import Callable

import pytest

from noticebus.bus.kafka import KafkaBus
from noticebus.bus.memory import MemoryBus
from noticebus.bus.options import KafkaOptions
from noticebus.bus.port import OUTSTANDING_SHARDS_MAX, QUEUE_SHARDS_MAX, Bus
from noticebus.bus.topics import init_topics

MakeBus = Callable[..., Bus]


@pytest.fixture
async def kafka_options(kafka_bootstrap: str) -> KafkaOptions:
    """Give options whose topics exist and belong to this test alone."""
    options = KafkaOptions(
        bootstrap=kafka_bootstrap, prefix=f"test-{secrets.token_hex(6)}", partitions=4
    )
    await init_topics(options)
    return options


@pytest.fixture(params=["memory", "kafka"])
def make_bus(request: pytest.FixtureRequest) -> MakeBus:
    if request.param == "memory":
        return MemoryBus
    options: KafkaOptions = request.getfixturevalue("kafka_options")

    def make(
        *, queue_max: int = QUEUE_SHARDS_MAX, outstanding_max: int = OUTSTANDING_SHARDS_MAX
    ) -> Bus:
        return KafkaBus(options, queue_max=queue_max, outstanding_max=outstanding_max)

    return make
