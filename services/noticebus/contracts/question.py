"""Questions of recipients to the poster, and the poster's answers."""

from typing import Self

from pydantic import model_validator

from noticebus.contracts.acknowledgement import Person, PersonView
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.base import (
    Accepted,
    Count,
    IncidentIdText,
    Instant,
    Line,
    Note,
    NoticeIdText,
    ObligationIdText,
    Published,
    QuestionIdText,
    at,
    refuse,
)
from noticebus.contracts.receipt import Receipt
from noticebus.contracts.vocabulary import ContentLevel, QuestionState, QuestionTopic


def same_words(text: str) -> str:
    """Give a text for comparing: without case, and with single spaces."""
    return " ".join(text.casefold().split())


class QuestionPost(Accepted):
    """What a recipient asks about an incident. No personal data in the text."""

    topic: QuestionTopic
    text: Note | None = None

    @model_validator(mode="after")
    def _other_needs_words(self) -> Self:
        if self.topic is QuestionTopic.OTHER and self.text is None:
            refuse([at("/text", "write the question: the topic is other")])
        return self


class AnswerPost(Accepted):
    """The poster's answer, in one of three ways.

    A value (`text`, `number` or both), a promise (`unknown_will_report_at`: once, and bounded by
    the class), or the legal ground on which it may not be shared (`cannot_share`).
    """

    text: Note | None = None
    number: Count | None = None
    unknown_will_report_at: Instant | None = None
    cannot_share: Line | None = None
    by: Person | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        value = self.text is not None or self.number is not None
        ways = (value, self.unknown_will_report_at is not None, self.cannot_share is not None)
        if sum(ways) != 1:
            message = "give one of: text or number; unknown_will_report_at; cannot_share"
            refuse([at("", message)])
        return self


class AnswerView(Published):
    """The poster's answer, shared with every recipient who may see it."""

    text: str | None = None
    number: int | None = None
    unknown_will_report_at: Instant | None = None
    cannot_share: str | None = None
    by: PersonView | None = None


class AskersView(Published):
    """How many agencies ask a question; which ones, for the poster and the operators."""

    count: int
    agencies: tuple[AgencyRef, ...] | None


class QuestionView(Published):
    """A question, when its answer is due, and the answer once there is one.

    `asked_by` asked first. `tier` is the least content level at which the question is read.
    """

    id: QuestionIdText
    incident_id: IncidentIdText
    notice_id: NoticeIdText
    obligation_id: ObligationIdText
    asked_by: AgencyRef
    askers: AskersView
    tier: ContentLevel
    topic: QuestionTopic
    text: str
    state: QuestionState
    due_at: Instant
    answer: AnswerView | None
    answered_at: Instant | None
    created_at: Instant
    receipt: Receipt | None = None
