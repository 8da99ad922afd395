"""An agency's roster as it is sent and shown: who holds which position when."""

from typing import Annotated

from pydantic import Field

from noticebus.contracts.base import (
    Accepted,
    AgencyIdText,
    ContactIdText,
    Instant,
    Line,
    Published,
    ShiftIdText,
)
from noticebus.contracts.vocabulary import Position

SHIFTS_MAX = 2_000


class ShiftPart(Accepted):
    """One shift. `contact` is a contact's id, mail address or exact name."""

    contact: Line
    position: Position = Position.ON_DUTY
    starts_at: Instant
    ends_at: Instant


class RosterPut(Accepted):
    """The shifts of a span of time: every shift that begins within it is replaced by these."""

    shifts: Annotated[tuple[ShiftPart, ...], Field(max_length=SHIFTS_MAX)]


class ShiftView(Published):
    """A shift as it stands."""

    id: ShiftIdText
    contact_id: ContactIdText
    contact_name: str
    position: Position
    starts_at: Instant
    ends_at: Instant


class RosterView(Published):
    """The shifts that run at some time from `from` to `until`, by start.

    `revision` is the whole roster's ETag; 0 means that there is none.
    """

    agency_id: AgencyIdText
    zone: str
    revision: int
    updated_at: Instant | None
    from_: Annotated[Instant, Field(alias="from")]
    until: Instant
    shifts: tuple[ShiftView, ...]
