"""The servers the tests run against are real, fresh and their own."""

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from harness.kafka import Broker


async def _query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("time", ["first", "second"])
async def test_every_test_gets_an_empty_database(postgres_url: str, time: str) -> None:
    tables = await _query(
        postgres_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    )
    await _query(postgres_url, "CREATE TABLE left_behind (id int)")

    assert tables == 0


async def test_the_database_is_a_supported_one(postgres_url: str) -> None:
    version = await _query(postgres_url, "SELECT current_setting('server_version_num')")

    assert int(str(version)) >= 150000


async def test_the_broker_makes_no_topic_by_itself(kafka_bootstrap: str) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=kafka_bootstrap, request_timeout_ms=2000
    ) as producer:
        with pytest.raises(KafkaError):
            await producer.send_and_wait("never-made", b"x")

    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    assert "never-made" not in await admin.list_topics()
    await admin.close()


@pytest.mark.slow(reason="starts a broker twice")
async def test_a_private_broker_keeps_its_port_and_data_over_a_restart(
    private_broker: Broker,
) -> None:
    before = private_broker.bootstrap
    admin = AIOKafkaAdminClient(bootstrap_servers=before)
    await admin.start()
    await admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=before, acks="all") as producer:
        await producer.send_and_wait("kept", b"still here")

    await private_broker.stop()
    await private_broker.start()

    assert private_broker.bootstrap == before
    async with AIOKafkaConsumer(
        "kept", bootstrap_servers=before, auto_offset_reset="earliest"
    ) as consumer:
        assert (await consumer.getone()).value == b"still here"
