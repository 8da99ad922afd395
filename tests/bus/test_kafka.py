"""What only the bus over Kafka can show: outages and foreign records."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from harness.kafka import Broker
from noticebus.bus.kafka import KafkaBus
from noticebus.bus.options import KafkaOptions
from noticebus.bus.port import Received, Shard, running, split
from noticebus.bus.topics import init_topics
from noticebus.ids import new_delivery_id, new_notice_id

LIMIT_S = 30.0  # a broker starts within this


def shards(count: int) -> list[Shard]:
    return [split(new_notice_id(), [new_delivery_id()])[0] for _ in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - the broker is a process of its own: no signal
            await asyncio.sleep(0.02)


async def receive(arriving: AsyncIterator[Received], count: int) -> list[Shard]:
    received: list[Shard] = []
    async with asyncio.timeout(LIMIT_S):
        while len(received) < count:
            each = await anext(arriving)
            await each.done()
            received.append(each.shard)
    return received


async def produce(options: KafkaOptions, *values: bytes | None) -> None:
    async with AIOKafkaProducer(bootstrap_servers=options.bootstrap) as producer:
        for value in values:
            await producer.send_and_wait(options.notices_topic, value, key=b"foreign")


async def committed(options: KafkaOptions) -> int:
    """Count the records that the group has behind it."""
    async with AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap, group_id=options.group, enable_auto_commit=False
    ) as consumer:
        partitions = [TopicPartition(options.notices_topic, n) for n in range(options.partitions)]
        consumer.assign(partitions)
        return sum([await consumer.committed(each) or 0 for each in partitions])


async def test_poison_is_skipped_counted_and_left_behind(kafka_options: KafkaOptions) -> None:
    (good,) = shards(1)
    await produce(kafka_options, b"\xff not json", b"[" * 100_000, b"{}", None)
    async with running(KafkaBus(kafka_options)) as bus:
        bus.offer([good])
        async with bus.consume() as arriving:
            assert await receive(arriving, 1) == [good]
            await until(lambda: bus.counts().poisoned == 4)

    assert await committed(kafka_options) == 5


async def test_nothing_is_committed_before_it_is_done(kafka_options: KafkaOptions) -> None:
    async with running(KafkaBus(kafka_options)) as bus:
        bus.offer(shards(3))
        async with bus.consume() as arriving, asyncio.timeout(LIMIT_S):
            for _ in range(3):
                await anext(arriving)

    assert await committed(kafka_options) == 0


async def test_two_buses_share_a_group(kafka_options: KafkaOptions) -> None:
    offered = shards(60)
    async with (
        running(KafkaBus(kafka_options)) as gateway,
        running(KafkaBus(kafka_options)) as dispatcher,
        dispatcher.consume() as arriving,
    ):
        gateway.offer(offered)
        received = await receive(arriving, 60)

    assert {each.key for each in received} == {each.key for each in offered}


async def test_broker_away_at_the_start_costs_no_offer_and_no_crash() -> None:
    bus = KafkaBus(KafkaOptions(bootstrap="127.0.0.1:1"))
    async with running(bus, grace=dt.timedelta(seconds=1)), bus.consume():
        bus.offer(shards(10))
        await until(lambda: bus.counts().failed == 10)

        assert not bus.healthy()
        assert "see to the broker" in bus.faults()[0]

    bus.offer(shards(1))
    assert bus.counts().dropped == 1


@pytest.mark.slow(reason="a broker stops and starts")
async def test_bus_survives_a_broker_that_goes_and_comes_back(
    private_broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    options = KafkaOptions(bootstrap=private_broker.bootstrap, partitions=2)
    await init_topics(options)
    before, after = shards(2)
    async with running(KafkaBus(options, queue_max=100)) as bus, bus.consume() as arriving:
        bus.offer([before])
        assert await receive(arriving, 1) == [before]

        await private_broker.stop()
        bus.offer(shards(200))
        await until(lambda: bus.counts().failed + bus.counts().dropped == 200)
        await until(lambda: not bus.healthy())

        await private_broker.start()
        await until(bus.healthy)
        bus.offer([after])
        assert after in await receive(arriving, 1)

    assert [record for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.slow(reason="a broker stops and starts")
async def test_idle_bus_notices_that_the_broker_went(private_broker: Broker) -> None:
    options = KafkaOptions(bootstrap=private_broker.bootstrap, partitions=1)
    await init_topics(options)
    async with running(KafkaBus(options)) as bus:
        bus.offer(shards(1))
        await until(lambda: bus.counts().published == 1)

        await private_broker.stop()

        await until(lambda: not bus.healthy())


@pytest.mark.slow(reason="a broker stops")
async def test_bus_and_consumer_end_while_the_broker_is_away(
    private_broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    options = KafkaOptions(bootstrap=private_broker.bootstrap, partitions=1)
    await init_topics(options)
    async with running(KafkaBus(options), grace=dt.timedelta(seconds=1)) as bus:
        async with bus.consume() as arriving:
            bus.offer(shards(2))
            await receive(arriving, 1)
            await private_broker.stop()
        bus.offer(shards(1))

    counts = bus.counts()
    assert counts.published + counts.failed == counts.offered
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_shard_that_cannot_be_a_record_fails_alone(kafka_options: KafkaOptions) -> None:
    (good,) = shards(1)
    notice_id, delivery_ids = new_notice_id(), [new_delivery_id()]
    unwritable = split(notice_id, delivery_ids, notice={"class": object()})
    huge = split(notice_id, delivery_ids, notice={"headline": "x" * 300_000})
    async with running(KafkaBus(kafka_options)) as bus, bus.consume() as arriving:
        bus.offer([*unwritable, *huge, good])

        assert await receive(arriving, 1) == [good]
        await until(lambda: bus.counts().failed == 2)
