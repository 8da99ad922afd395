"""`noticebus kafka init` against a real broker."""

import dataclasses
import secrets

import pytest

from noticebus.bus.options import KafkaOptions
from noticebus.bus.topics import TopicState, init_topics
from noticebus.errors import UnavailableError


@pytest.fixture
def options(kafka_bootstrap: str) -> KafkaOptions:
    return KafkaOptions(
        bootstrap=kafka_bootstrap, prefix=f"test-{secrets.token_hex(6)}", partitions=2
    )


async def test_topics_are_made_once_and_found_afterwards(options: KafkaOptions) -> None:
    first = await init_topics(options)
    again = await init_topics(options)

    names = [options.notices_topic, options.events_topic]
    assert [each.topic for each in first] == names
    assert [each.state for each in first] == [TopicState.MADE] * 2
    assert [each.state for each in again] == [TopicState.PRESENT] * 2


async def test_topic_unlike_the_settings_is_told_and_left_alone(options: KafkaOptions) -> None:
    await init_topics(options)
    changed = dataclasses.replace(options, partitions=3, notices_retention=options.events_retention)

    notices, events = await init_topics(changed)

    assert notices.state is events.state is TopicState.MISMATCH
    assert "partitions 2 instead of 3" in notices.detail
    assert "retention.ms" in notices.detail
    assert "retention.ms" not in events.detail


async def test_topic_that_the_broker_refuses_is_told_with_its_cause(options: KafkaOptions) -> None:
    impossible = dataclasses.replace(options, replication=3)

    outcomes = await init_topics(impossible)

    assert {each.state for each in outcomes} == {TopicState.REFUSED}
    assert "InvalidReplicationFactor" in outcomes[0].detail


async def test_no_broker_is_an_error_with_cause_and_remedy() -> None:
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 did not answer.*check the address"):
        await init_topics(KafkaOptions(bootstrap="127.0.0.1:1"))
