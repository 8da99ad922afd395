"""What a webhook carries: CloudEvents 1.0 structured events, one type per cause.

`render` is a pure function of stored facts, so that every repeat is the same body, byte for byte
(I3).
"""

import datetime as dt
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field

from noticebus.contracts.answers import NoticeView
from noticebus.contracts.base import (
    DeliveryIdText,
    Instant,
    ObligationIdText,
    Published,
    SubscriptionIdText,
    write_instant,
)
from noticebus.contracts.canonical import Written, canonical
from noticebus.contracts.event_parts import (
    AnsweredQuestionData,
    OfferData,
    OfferPart,
    QuestionData,
    QuestionPart,
    offer_body,
    question_body,
)
from noticebus.contracts.vocabulary import (
    Answer,
    Cause,
    ContentLevel,
    NoticeClass,
    Notify,
    Owed,
)
from noticebus.records import lean

CONTENT_TYPE = "application/cloudevents+json"
SEQUENCE_DIGITS = 20
Data = TypeVar("Data")
_EVENTS = {
    Cause.NOTICE: "notice",
    Cause.STEP: "step",
    Cause.CORRECTION: "correction",
    Cause.QUESTION: "question",
    Cause.ANSWER: "answer",
    Cause.OFFER: "offer",
    Cause.COVERAGE: "coverage",
    Cause.HANDSHAKE: "subscription.verify",
    Cause.HEARTBEAT: "heartbeat",
    Cause.TEST: "test",
}


@cache
def event_type(cause: Cause) -> str:
    """Give the CloudEvents `type` of a cause."""
    return f"org.noticebus.{_EVENTS[cause]}.v1"


@cache
def schema_name(cause: Cause) -> str:
    """Give the file name of the JSON Schema of a cause's `data`."""
    return f"{_EVENTS[cause].replace('.', '-')}.v1.json"


@lean
class ObligationPart:
    """The recipient's duty, as the event tells it. `step` and `notify` belong to a step's event."""

    id: str
    notice_class: NoticeClass
    closes_with: Answer | None
    due_at: dt.datetime | None
    acknowledge_url: str
    acknowledge_page: str
    step: int | None = None
    notify: Notify | None = None
    owed: Owed | None = None


@lean
class SubscriptionPart:
    """The standing order it goes to; `sequence` is this notice's, or a heartbeat's last one."""

    id: str
    sequence: int | None
    content_level: ContentLevel


@lean
class Envelope:
    """Everything an event is rendered from. `source` is the bus's own address, without a slash.

    `notice` is what `rendering.redact` left of it, which may be written already, once for all who
    see the same of it; `subject` names what the event is about;
    `sequence` of the envelope is the subscription's, and only a notice consumes one (I10).
    """

    delivery_id: str
    source: str
    cause: Cause
    subject: str
    time: dt.datetime
    notice: Mapping[str, Any] | Written | None = None
    obligation: ObligationPart | None = None
    subscription: SubscriptionPart | None = None
    question: QuestionPart | None = None
    offer: OfferPart | None = None
    challenge: str | None = None


def render(envelope: Envelope) -> bytes:
    """Write the event as canonical JSON (RFC 8785); equal envelopes give equal bytes."""
    return canonical(event(envelope))


def event(envelope: Envelope) -> dict[str, Any]:
    """Build the event as a JSON value; parts that are not there are absent, not null."""
    body: dict[str, Any] = {
        "specversion": "1.0",
        "id": envelope.delivery_id,
        "source": envelope.source,
        "type": event_type(envelope.cause),
        "subject": envelope.subject,
        "time": write_instant(envelope.time),
        "datacontenttype": "application/json",
        "dataschema": f"{envelope.source}/schemas/{schema_name(envelope.cause)}",
        "data": _data(envelope),
    }
    part = envelope.subscription
    if envelope.cause is Cause.NOTICE and part is not None and part.sequence is not None:
        body["sequence"] = f"{part.sequence:0{SEQUENCE_DIGITS}d}"
    return body


def _data(envelope: Envelope) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if envelope.challenge is not None:
        data["challenge"] = envelope.challenge
    if envelope.notice is not None:
        told = envelope.notice
        data["notice"] = told if isinstance(told, Written) else dict(told)
    if envelope.obligation is not None:
        data["obligation"] = _obligation(envelope.obligation)
    if envelope.question is not None:
        data["question"] = question_body(envelope.question)
    if envelope.offer is not None:
        data["offer"] = offer_body(envelope.offer)
    if envelope.subscription is not None:
        data["subscription"] = _subscription(envelope.subscription)
    return data


def _obligation(part: ObligationPart) -> dict[str, Any]:
    body = {
        "id": part.id,
        "class": str(part.notice_class),
        "closes_with": None if part.closes_with is None else str(part.closes_with),
        "due_at": None if part.due_at is None else write_instant(part.due_at),
        "acknowledge_url": part.acknowledge_url,
        "acknowledge_page": part.acknowledge_page,
    }
    if part.step is not None:
        body["step"] = part.step  # type: ignore[assignment]
    if part.notify is not None:
        body["notify"] = str(part.notify)
    if part.owed is not None:
        body["owed"] = str(part.owed)
    return body


def _subscription(part: SubscriptionPart) -> dict[str, Any]:
    return {
        "id": part.id,
        "sequence": part.sequence,
        "content_level": str(part.content_level),
    }


# --- the same, as published models ----------------------------------------------------------------


class ObligationData(Published):
    """`ObligationPart` on the wire."""

    id: ObligationIdText
    notice_class: Annotated[NoticeClass, Field(alias="class")]
    closes_with: Answer | None
    due_at: Instant | None
    acknowledge_url: str
    acknowledge_page: str
    step: int | None = None
    notify: Notify | None = None
    owed: Owed | None = None


class SubscriptionData(Published):
    """`SubscriptionPart` on the wire."""

    id: SubscriptionIdText
    sequence: int | None
    content_level: ContentLevel


class NoticeEventData(Published):
    """`data` of `org.noticebus.notice.v1`: a notice, and what the recipient owes for it."""

    notice: NoticeView
    obligation: ObligationData | None = None
    subscription: SubscriptionData | None = None


class StepEventData(NoticeEventData):
    """`data` of `org.noticebus.step.v1`: a reminder; the obligation is still open."""


class CorrectionEventData(NoticeEventData):
    """`data` of `org.noticebus.correction.v1`: what corrects a notice that was told before."""


class QuestionEventData(Published):
    """`data` of `org.noticebus.question.v1`: a recipient asks the poster."""

    question: QuestionData
    notice: NoticeView | None = None
    obligation: ObligationData | None = None
    subscription: SubscriptionData | None = None


class AnswerEventData(Published):
    """`data` of `org.noticebus.answer.v1`: the poster has answered what the recipient asked."""

    question: AnsweredQuestionData
    subscription: SubscriptionData | None = None


class OfferEventData(Published):
    """`data` of `org.noticebus.offer.v1`: somebody offers help, or there is news of your offer."""

    offer: OfferData
    subscription: SubscriptionData | None = None


class CoverageEventData(NoticeEventData):
    """`data` of `org.noticebus.coverage.v1`: nobody answers for a place; the operators hold it."""


class VerifyEventData(Published):
    """`data` of `org.noticebus.subscription.verify.v1`: answer 2xx with the challenge."""

    challenge: str
    subscription: SubscriptionData | None = None


class HeartbeatEventData(Published):
    """`data` of `org.noticebus.heartbeat.v1`: the last sequence number sent."""

    subscription: SubscriptionData


class PingEventData(Published):
    """`data` of `org.noticebus.test.v1`: nothing happened; the subscriber asked for a trial."""

    subscription: SubscriptionData


class Event(Published, Generic[Data]):
    """The envelope (CloudEvents 1.0, structured mode). `data` depends on `type`."""

    specversion: Literal["1.0"]
    id: DeliveryIdText
    source: str
    type: str
    subject: str
    time: Instant
    datacontenttype: Literal["application/json"]
    dataschema: str
    sequence: Annotated[str, Field(pattern=r"^[0-9]{20}$")] | None = None
    data: Data


EVENT_DATA: Mapping[Cause, type[Published]] = {
    Cause.NOTICE: NoticeEventData,
    Cause.STEP: StepEventData,
    Cause.CORRECTION: CorrectionEventData,
    Cause.QUESTION: QuestionEventData,
    Cause.ANSWER: AnswerEventData,
    Cause.OFFER: OfferEventData,
    Cause.COVERAGE: CoverageEventData,
    Cause.HANDSHAKE: VerifyEventData,
    Cause.HEARTBEAT: HeartbeatEventData,
    Cause.TEST: PingEventData,
}
"""The model of each cause's `data`; the schemas `dataschema` points at are made from these."""

EVENTS: Mapping[Cause, type[Published]] = {
    Cause.NOTICE: Event[NoticeEventData],
    Cause.STEP: Event[StepEventData],
    Cause.CORRECTION: Event[CorrectionEventData],
    Cause.QUESTION: Event[QuestionEventData],
    Cause.ANSWER: Event[AnswerEventData],
    Cause.OFFER: Event[OfferEventData],
    Cause.COVERAGE: Event[CoverageEventData],
    Cause.HANDSHAKE: Event[VerifyEventData],
    Cause.HEARTBEAT: Event[HeartbeatEventData],
    Cause.TEST: Event[PingEventData],
}
"""The model of each cause's whole event."""
