"""Parts of events that are about a question or an offer: as facts, as JSON, and as models."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noticebus.contracts.base import (
    IncidentIdText,
    Instant,
    NoticeIdText,
    OfferIdText,
    Published,
    QuestionIdText,
    write_instant,
)
from noticebus.contracts.question import AnswerView
from noticebus.contracts.vocabulary import OfferState, OfferType, QuestionTopic


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionPart:
    """What a recipient asks the poster, and until when; `answered_at` makes it an answered one.

    Of an answered one `text` and `answer` are None for an endpoint that may not read them.
    """

    id: str
    incident_id: str
    notice_id: str
    topic: QuestionTopic
    text: str | None
    due_at: dt.datetime
    answer: Mapping[str, Any] | None = None
    answered_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferPart:
    """What is offered for an incident, and what became of it. Nothing about a person."""

    id: str
    incident_id: str
    notice_id: str
    offer_type: OfferType
    quantity: int
    unit: str
    state: OfferState
    accepted_quantity: int | None
    lapses_at: dt.datetime


def question_body(part: QuestionPart) -> dict[str, Any]:
    """Give a question as JSON; an answered one with its answer, as far as it may be read."""
    body = {
        "id": part.id,
        "incident_id": part.incident_id,
        "notice_id": part.notice_id,
        "topic": str(part.topic),
        "text": part.text,
        "due_at": write_instant(part.due_at),
    }
    if part.answered_at is not None:
        body["answered_at"] = write_instant(part.answered_at)
        body["answer"] = None if part.answer is None else dict(part.answer)  # type: ignore[assignment]
    return body


def offer_body(part: OfferPart) -> dict[str, Any]:
    """Give an offer as JSON."""
    return {
        "id": part.id,
        "incident_id": part.incident_id,
        "notice_id": part.notice_id,
        "offer_type": str(part.offer_type),
        "quantity": part.quantity,
        "unit": part.unit,
        "state": str(part.state),
        "accepted_quantity": part.accepted_quantity,
        "lapses_at": write_instant(part.lapses_at),
    }


class QuestionData(Published):
    """`QuestionPart` on the wire."""

    id: QuestionIdText
    incident_id: IncidentIdText
    notice_id: NoticeIdText
    topic: QuestionTopic
    text: str
    due_at: Instant


class AnsweredQuestionData(Published):
    """A question with its answer.

    `text` and `answer` are null for an endpoint whose content level is below the question's tier.
    """

    id: QuestionIdText
    incident_id: IncidentIdText
    notice_id: NoticeIdText
    topic: QuestionTopic
    text: str | None
    due_at: Instant
    answer: AnswerView | None
    answered_at: Instant


class OfferData(Published):
    """`OfferPart` on the wire: the rest is read from the incident's offers."""

    id: OfferIdText
    incident_id: IncidentIdText
    notice_id: NoticeIdText
    offer_type: OfferType
    quantity: int
    unit: str
    state: OfferState
    accepted_quantity: int | None
    lapses_at: Instant
