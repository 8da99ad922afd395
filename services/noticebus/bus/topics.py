"""Make the bus's topics, for `noticebus kafka init`; what is there is compared, never changed.

An agency's own topic is made when its subscription is approved.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from noticebus.bus.options import KafkaOptions, connect_with
from noticebus.bus.reasons import explain, find_cause
from noticebus.errors import UnavailableError
from noticebus.ids import AgencyId

CREATE_TIMEOUT_MS = 10_000
OPEN_TIMEOUT = dt.timedelta(seconds=8)  # while an operator waits
AGENCY_PARTITIONS_MAX = 3
LOOKS_MAX = 3
LOOK_AGAIN_AFTER_S = 0.2


class TopicState(StrEnum):
    """What `init_topics` found or did."""

    MADE = "made"
    PRESENT = "present"  # and as the settings say
    MISMATCH = "mismatch"  # there, but not as the settings say
    REFUSED = "refused"  # the broker would not make it


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicOutcome:
    """What became of one topic; `detail` tells the operator what to do, if anything."""

    topic: str
    state: TopicState
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    topic: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


async def init_topics(options: KafkaOptions) -> tuple[TopicOutcome, ...]:
    """Make the topics that are missing and compare the others; safe to repeat and to run twice.

    Raises `UnavailableError` when no broker answers.
    """
    try:
        async with _admin(options) as admin:
            present = set(await admin.list_topics())
            return tuple(
                [await _settle(admin, wanted, present=present) for wanted in _wanted(options)]
            )
    except (KafkaError, OSError) as error:
        said = _away(options, await find_cause(options, error))
        raise UnavailableError(said, code="kafka-unavailable") from error


async def open_agency_topic(options: KafkaOptions, agency_id: AgencyId) -> None:
    """Make the topic of one agency where it is missing; safe to repeat and to run twice.

    Nothing on it is ever compacted: a later record, of an exercise say, takes the place of none.
    Raises `UnavailableError` when no broker answers or the broker refuses.
    """
    wanted = _Wanted(
        topic=options.agency_topic(agency_id),
        partitions=min(options.partitions, AGENCY_PARTITIONS_MAX),
        replication=options.replication,
        configs=_configured(options, options.events_retention),
    )
    try:
        async with asyncio.timeout(OPEN_TIMEOUT.total_seconds()), _admin(options) as admin:
            refusal = await _make(admin, wanted)
    except (KafkaError, OSError) as error:  # TimeoutError is an OSError
        raise UnavailableError(_away(options, error)) from error
    if refusal is not None and refusal is not TopicAlreadyExistsError:
        raise UnavailableError(
            f"Kafka refused to make the topic {wanted.topic} ({refusal.__name__}):"
            " let the bus create topics, or create it with Kafka's own tools, then repeat."
        )


def _away(options: KafkaOptions, error: Exception) -> str:
    cause, remedy = explain(options, error)
    return f"{cause}: {remedy}, then repeat."


def _wanted(options: KafkaOptions) -> tuple[_Wanted, ...]:
    retentions = {
        options.notices_topic: options.notices_retention,
        options.events_topic: options.events_retention,
    }
    return tuple(
        _Wanted(
            topic=topic,
            partitions=options.partitions,
            replication=options.replication,
            configs=_configured(options, retention),
        )
        for topic, retention in retentions.items()
    )


def _configured(options: KafkaOptions, retention: dt.timedelta) -> dict[str, str]:
    return {
        "retention.ms": str(retention // dt.timedelta(milliseconds=1)),
        "min.insync.replicas": str(options.min_insync),
        "cleanup.policy": "delete",
    }


@contextlib.asynccontextmanager
async def _admin(options: KafkaOptions) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connect_with(options))
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


async def _settle(
    admin: AIOKafkaAdminClient, wanted: _Wanted, *, present: set[str]
) -> TopicOutcome:
    if wanted.topic not in present:
        refusal = await _make(admin, wanted)
        if refusal is None:
            return TopicOutcome(topic=wanted.topic, state=TopicState.MADE)
        if refusal is not TopicAlreadyExistsError:  # else somebody made it in between: compare
            detail = f"The broker refused it ({refusal.__name__}): {refusal.description}"
            return TopicOutcome(topic=wanted.topic, state=TopicState.REFUSED, detail=detail)
    differences = await _differences(admin, wanted)
    for _ in range(LOOKS_MAX):
        if not differences:
            break
        await asyncio.sleep(LOOK_AGAIN_AFTER_S)  # a broker may not know yet what was made just now
        differences = await _differences(admin, wanted)
    if not differences:
        return TopicOutcome(topic=wanted.topic, state=TopicState.PRESENT)
    detail = f"It has {'; '.join(differences)}: change it with Kafka's own tools, or the settings."
    return TopicOutcome(topic=wanted.topic, state=TopicState.MISMATCH, detail=detail)


async def _make(admin: AIOKafkaAdminClient, wanted: _Wanted) -> type[KafkaError] | None:
    """Ask for the topic; None when it was made, else the error's class."""
    topic = NewTopic(
        wanted.topic, wanted.partitions, wanted.replication, topic_configs=dict(wanted.configs)
    )
    answer = await admin.create_topics([topic], timeout_ms=CREATE_TIMEOUT_MS)
    ((_, code, *_),) = answer.topic_errors
    return for_code(code) if code else None


async def _differences(admin: AIOKafkaAdminClient, wanted: _Wanted) -> list[str]:
    (topic,) = await admin.describe_topics([wanted.topic])
    partitions = topic["partitions"]
    found: dict[str, Any] = {
        "partitions": len(partitions),
        "replication": min((len(each["replicas"]) for each in partitions), default=0),
        **await _configs(admin, wanted),
    }
    expected = {
        "partitions": wanted.partitions,
        "replication": wanted.replication,
        **wanted.configs,
    }
    return [
        f"{name} {found.get(name)} instead of {value}"
        for name, value in expected.items()
        if found.get(name) != value
    ]


async def _configs(admin: AIOKafkaAdminClient, wanted: _Wanted) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, wanted.topic, configs=dict(wanted.configs))
    (answer,) = await admin.describe_configs([resource])
    ((*_, entries),) = answer.resources
    return {name: value for name, value, *_ in entries}
