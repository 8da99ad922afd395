"""The Kafka interface as an AsyncAPI 3.1 document (design section 9): its topics and events."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from noticebus.contracts.base import DeliveryIdText, IncidentIdText, NoticeIdText, Published
from noticebus.contracts.vocabulary import Msg, NoticeClass, NoticeKind, Status
from noticebus.contracts.webhook import EVENTS

NOTICES = "noticebus.notices.v1"
EVENTS_OUT = "noticebus.events.v1"
AGENCY = "noticebus.agency.{agency_id}.v1"
MEDIA_TYPE = "application/cloudevents+json"
_SCHEMA = "#/components/schemas/{model}"


class ShardNotice(Published):
    """What a shard says of its notice: its head, and nothing of its content."""

    incident_id: IncidentIdText
    version: int
    msg: Msg
    kind: NoticeKind
    status: Status
    notice_class: NoticeClass = Field(alias="class")


class ShardData(Published):
    """`data` of `org.noticebus.shard.v1`: at most 500 deliveries of one released notice."""

    notice_id: NoticeIdText
    number: int
    delivery_ids: tuple[DeliveryIdText, ...] = Field(max_length=500)
    notice: ShardNotice


class ShardEvent(Published):
    """A shard as a CloudEvent. For dispatchers only: the ids in it open nothing without a key."""

    specversion: str
    id: str
    source: str
    type: str
    data: ShardData


class FactEvent(Published):
    """One fact of the ledger as a CloudEvent, public tier: ids, words and counts."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    sequence: str
    data: dict[str, Any]


def document(version: str) -> dict[str, Any]:
    """Build the document; `version` is the installation's."""
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "noticebus over Kafka",
            "version": version,
            "description": "What consumers read. The database decides, Kafka distributes: repeats "
            "are to be expected and recognised by the event's id, order by version and sequence.",
        },
        "defaultContentType": MEDIA_TYPE,
        "channels": {
            "notices": _channel(NOTICES, "Shards of released notices, for dispatchers.", "shard"),
            "events": _channel(EVENTS_OUT, "Every fact in ledger order, public tier.", "fact"),
            "agency": {
                **_channel(AGENCY, "What one agency's webhook would carry.", "webhook"),
                "parameters": {"agency_id": {"description": "The agency's id, `agy_…`."}},
            },
        },
        "operations": {
            "read_shards": _reads("notices", "Take shards, as the group noticebus-dispatcher."),
            "read_facts": _reads("events", "Follow what happens, in ledger order."),
            "read_own": _reads("agency", "Be told over Kafka instead of by webhook."),
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _channel(address: str, description: str, message: str) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _reads(channel: str, summary: str) -> dict[str, Any]:
    # Seen from the bus: it sends what others receive.
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
    }


def _messages() -> dict[str, Any]:
    def message(title: str, key: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "title": title,
            "contentType": MEDIA_TYPE,
            "payload": dict(payload),
            "bindings": {"kafka": {"key": {"type": "string", "description": key}}},
        }

    webhook = [{"$ref": _ref(model)} for model in EVENTS.values()]
    return {
        "shard": message("A shard", "notice id and shard number", {"$ref": _ref(ShardEvent)}),
        "fact": message("A fact", "incident id", {"$ref": _ref(FactEvent)}),
        "webhook": message("A webhook's event", "incident id", {"oneOf": webhook}),
    }


def _ref(model: type[Published]) -> str:
    name = model.__name__.replace("[", "_").replace("]", "_")  # as pydantic names its definition
    assert name in _defined([model]), f"pydantic names {model} otherwise"
    return _SCHEMA.format(model=name)


def _schemas() -> dict[str, Any]:
    return _defined([ShardEvent, FactEvent, *EVENTS.values()])


def _defined(models: Sequence[type[Published]]) -> dict[str, Any]:
    # The reading side's schema: what has a default may be absent.
    wanted: list[tuple[type[BaseModel], Literal["validation"]]] = [
        (model, "validation") for model in models
    ]
    _, schema = models_json_schema(wanted, ref_template=_SCHEMA)
    defined: dict[str, Any] = schema["$defs"]
    return defined
