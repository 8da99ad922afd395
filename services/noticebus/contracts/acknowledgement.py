"""The answer of a recipient: what it sends, and what everybody entitled sees of it."""

from typing import Self

from pydantic import model_validator

from noticebus.contracts.base import (
    Accepted,
    AcknowledgementIdText,
    IncidentIdText,
    Instant,
    Name,
    Note,
    NoticeIdText,
    ObligationIdText,
    Published,
    at,
    refuse,
)
from noticebus.contracts.receipt import Receipt
from noticebus.contracts.vocabulary import Answer, DeclineReason, How, ObligationState, VerifiedBy
from noticebus.errors import Detail


class Person(Accepted):
    """Who answers: an identified person, or the desk that acts."""

    name: Name
    role: Name


class PersonView(Published):
    """Who answered."""

    name: str
    role: str


class AcknowledgementPost(Accepted):
    """`need_more_time` needs an `eta`, `declined` a `reason`; neither belongs to another answer."""

    answer: Answer
    by: Person
    note: Note | None = None
    eta: Instant | None = None
    reason: DeclineReason | None = None
    reference: Name | None = None

    @model_validator(mode="after")
    def _says_what_the_answer_needs(self) -> Self:
        refuse(_answer_faults(self))
        return self


class OperatorAcknowledgementPost(AcknowledgementPost):
    """An answer to an obligation: the recipient's, its delegate's, or one an operator was told.

    An operator says `how` it came and `on_behalf_of` whom; the others leave both out.
    """

    how: How | None = None
    on_behalf_of: Name | None = None


def _answer_faults(post: AcknowledgementPost) -> list[Detail]:
    faults = []
    if post.answer is Answer.NEED_MORE_TIME and post.eta is None:
        faults.append(at("/eta", "say until when: the time by which you will answer"))
    if post.answer is not Answer.NEED_MORE_TIME and post.eta is not None:
        faults.append(at("/eta", "leave eta out, or answer need_more_time"))
    if post.answer is Answer.DECLINED and post.reason is None:
        faults.append(at("/reason", f"say why: one of {', '.join(DeclineReason)}"))
    if post.answer is not Answer.DECLINED and post.reason is not None:
        faults.append(at("/reason", "leave reason out, or answer declined"))
    return faults


class AcknowledgementView(Published):
    """An answer as recorded. `closed` says whether it closed the obligation."""

    id: AcknowledgementIdText
    obligation_id: ObligationIdText
    incident_id: IncidentIdText
    notice_id: NoticeIdText
    version: int
    answer: Answer
    by: PersonView
    note: str | None
    eta: Instant | None
    reason: DeclineReason | None
    reference: str | None
    verified_by: VerifiedBy
    how: How | None
    on_behalf_of: str | None
    late: bool
    closed: bool
    obligation_state: ObligationState | None = None
    acted_at: Instant
    recorded_at: Instant
    receipt: Receipt | None = None
