"""Topics of agencies: made when they are approved, written to with the broker's word."""

import dataclasses
import secrets

import pytest
from aiokafka import AIOKafkaConsumer

from noticebus.bus.kafka import KafkaBus
from noticebus.bus.memory import MemoryBus
from noticebus.bus.options import KafkaOptions
from noticebus.bus.port import running
from noticebus.errors import ConflictError, UnavailableError
from noticebus.ids import AgencyId


@pytest.fixture
def agency_id() -> AgencyId:
    return AgencyId(f"agy_{secrets.token_hex(13)}")


async def test_without_kafka_no_agency_has_a_topic(agency_id: AgencyId) -> None:
    bus = MemoryBus()

    assert not bus.serves_agencies
    with pytest.raises(ConflictError, match="no Kafka"):
        await bus.open_topic(agency_id)
    with pytest.raises(UnavailableError, match="no Kafka"):
        await bus.send_to_agency(agency_id, key="inc_1", value=b"{}", headers={})


async def test_a_record_is_on_the_topic_when_the_send_returns(
    kafka_options: KafkaOptions, agency_id: AgencyId
) -> None:
    bus = KafkaBus(kafka_options)
    await bus.open_topic(agency_id)
    await bus.open_topic(agency_id)  # safe to repeat

    async with running(bus):
        await bus.send_to_agency(agency_id, key="inc_1", value=b"{}", headers={"exercise": "true"})
        async with AIOKafkaConsumer(
            kafka_options.agency_topic(agency_id),
            bootstrap_servers=kafka_options.bootstrap,
            auto_offset_reset="earliest",
        ) as consumer:
            record = await consumer.getone()

    assert (record.key, record.value) == (b"inc_1", b"{}")
    assert dict(record.headers) == {"exercise": b"true"}


async def test_a_bus_that_is_not_connected_says_that_kafka_took_nothing(
    kafka_options: KafkaOptions, agency_id: AgencyId
) -> None:
    with pytest.raises(UnavailableError, match="did not take the record"):
        await KafkaBus(kafka_options).send_to_agency(
            agency_id, key="inc_1", value=b"{}", headers={}
        )


async def test_a_topic_whose_broker_is_away_or_unwilling_is_not_made(
    kafka_options: KafkaOptions, agency_id: AgencyId
) -> None:
    away = dataclasses.replace(kafka_options, bootstrap="127.0.0.1:9")
    crowded = dataclasses.replace(kafka_options, replication=3)

    with pytest.raises(UnavailableError, match="did not answer"):
        await KafkaBus(away).open_topic(agency_id)
    with pytest.raises(UnavailableError, match="refused to make the topic"):
        await KafkaBus(crowded).open_topic(agency_id)


async def test_a_record_that_kafka_refuses_is_not_taken(
    kafka_options: KafkaOptions, agency_id: AgencyId
) -> None:
    bus = KafkaBus(kafka_options)
    await bus.open_topic(agency_id)

    async with running(bus):
        with pytest.raises(UnavailableError, match="MessageSizeTooLargeError"):
            await bus.send_to_agency(agency_id, key="inc_1", value=b"x" * 2_000_000, headers={})
