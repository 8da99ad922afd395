"""Waiving an obligation: what an operator sends, what the second person does, what is shown."""

from noticebus.contracts.base import (
    Accepted,
    IncidentIdText,
    Instant,
    Name,
    Note,
    ObligationIdText,
    Published,
)
from noticebus.contracts.vocabulary import ObligationState


class WaiverPost(Accepted):
    """Asks that an open answer be waived, and says why. A second person confirms it."""

    reason: Note
    by_name: Name


class WaiverConfirmPost(Accepted):
    """The second person: somebody else, with another key, who has looked at it as well.

    `requested_at` is that of the request that was read: if another stands there by now, nothing is
    waived.
    """

    by_name: Name
    requested_at: Instant | None = None


class WaiverView(Published):
    """A waiver of an obligation's present round.

    While `needs_second_person` nothing has changed: the bus goes on calling. It lapses when the
    obligation is answered or a new round begins. Who confirmed it, and when, is null until then.
    """

    obligation_id: ObligationIdText
    incident_id: IncidentIdText
    obligation_state: ObligationState
    epoch: int
    reason: str
    by_name: str
    requested_by: str
    requested_at: Instant
    needs_second_person: bool
    confirmed_by: str | None = None
    confirmed_by_name: str | None = None
    confirmed_at: Instant | None = None
