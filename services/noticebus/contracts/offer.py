"""Offers of help for an incident: what is offered, and what becomes of it.

The fields are those of an offer of unsolicited resources (EDXL-RM; research/domain.md section 4.6).
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.base import (
    Accepted,
    IncidentIdText,
    Instant,
    Line,
    Name,
    Note,
    OfferIdText,
    Phone,
    Published,
    at,
    refuse,
)
from noticebus.contracts.receipt import Receipt
from noticebus.contracts.vocabulary import BackgroundChecked, OfferAnswer, OfferState, OfferType

Quantity = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class OfferContact(Accepted):
    """The person of the offering body to ring. Nobody of a family is ever named in an offer."""

    name: Name
    phone: Phone


class OfferPost(Accepted):
    """What a recipient can provide. Childcare is by cleared persons only.

    It lapses at `lapses_at`; without that at `until`, and without either a day after it was made.
    """

    offer_type: OfferType
    quantity: Quantity
    unit: Name
    where: Line
    from_: Annotated[Instant | None, Field(alias="from")] = None
    until: Instant | None = None
    contact: OfferContact
    background_checked: BackgroundChecked
    conditions: Note | None = None
    lapses_at: Instant | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        faults = []
        cleared = self.background_checked is BackgroundChecked.YES
        if self.offer_type is OfferType.CHILDCARE and not cleared:
            message = "childcare is offered by cleared persons only: say yes once they are"
            faults.append(at("/background_checked", message))
        if self.from_ is not None and self.until is not None and self.until <= self.from_:
            faults.append(at("/until", "give a time after `from`"))
        refuse(faults)
        return self


class OfferAnswerPost(Accepted):
    """The answer to an offer.

    `accept` takes `quantity` or all of it; `decline` needs a `reason`; `hold` keeps it for you
    `until` then. None takes what belongs to another.
    """

    answer: OfferAnswer
    quantity: Quantity | None = None
    reason: Line | None = None
    until: Instant | None = None

    @model_validator(mode="after")
    def _says_what_the_answer_needs(self) -> Self:
        owner = {
            "quantity": OfferAnswer.ACCEPT,
            "reason": OfferAnswer.DECLINE,
            "until": OfferAnswer.HOLD,
        }
        faults = []
        for name, answer in owner.items():
            given = getattr(self, name) is not None
            if given and self.answer is not answer:
                faults.append(at(f"/{name}", f"leave it out: it belongs to {answer}"))
            if not given and self.answer is answer and name != "quantity":
                faults.append(at(f"/{name}", f"{answer} needs it"))
        refuse(faults)
        return self


class OfferContactView(Published):
    """Whom to ring about an offer."""

    name: str
    phone: str


class OfferAnswerView(Published):
    """What was answered last, and which agency did; null where the bus's operators did."""

    answer: OfferAnswer
    by: AgencyRef | None
    quantity: int | None = None
    reason: str | None = None
    until: Instant | None = None
    answered_at: Instant


class OfferView(Published):
    """An offer: for child protection, the operators, and whoever made it."""

    id: OfferIdText
    incident_id: IncidentIdText
    agency: AgencyRef
    state: OfferState
    offer_type: OfferType
    quantity: int
    unit: str
    where: str
    from_: Annotated[Instant | None, Field(alias="from")]
    until: Instant | None
    contact: OfferContactView
    background_checked: BackgroundChecked
    conditions: str | None
    lapses_at: Instant
    held_until: Instant | None
    answer: OfferAnswerView | None
    created_at: Instant
    receipt: Receipt | None = None
