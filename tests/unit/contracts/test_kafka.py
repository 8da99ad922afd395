"""The Kafka interface as described, against what the bus really writes."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from noticebus.bus.options import KafkaOptions
from noticebus.bus.port import encode, split
from noticebus.contracts import kafka
from noticebus.ids import new_delivery_id, new_incident_id, new_notice_id

DOCUMENT = kafka.document("1")


def validator(message: str) -> Draft202012Validator:
    payload: dict[str, Any] = DOCUMENT["components"]["messages"][message]["payload"]
    schema = {**payload, "components": DOCUMENT["components"]}
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_topics_are_those_of_the_settings() -> None:
    options = KafkaOptions(bootstrap="broker:9092")
    addresses = {one["address"] for one in DOCUMENT["channels"].values()}

    assert {options.notices_topic, options.events_topic} <= addresses


def test_shard_is_as_described() -> None:
    about = {
        "incident_id": new_incident_id(),
        "version": 1,
        "msg": "alert",
        "kind": "enforcement_action",
        "status": "actual",
        "class": "B",
    }
    (shard,) = split(new_notice_id(), [new_delivery_id()], notice=about)
    written = json.loads(encode(shard))

    validator("shard").validate(written)
    kafka.ShardEvent.model_validate(written)


def test_every_operation_and_message_is_defined() -> None:
    channels, messages = DOCUMENT["channels"], DOCUMENT["components"]["messages"]

    for operation in DOCUMENT["operations"].values():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in channels
    for channel in channels.values():
        assert set(channel["messages"]) <= set(messages)
    for message in messages:
        validator(message)
