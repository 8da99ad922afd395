"""Agencies, their contacts and their responsibilities: what administrators send and see."""

from typing import Annotated

from pydantic import Field

from noticebus.contracts.base import (
    UNSET,
    Accepted,
    AgencyIdText,
    ContactIdText,
    Email,
    Instant,
    Name,
    Phone,
    Published,
    ResponsibilityIdText,
    Zone,
)
from noticebus.contracts.places import StandingArea, StandingAreas
from noticebus.contracts.vocabulary import AgencyKind, Position, Role

HolidaysState = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
"""The postal code of the state whose public holidays the agency keeps, like MS."""


class AgencyRef(Published):
    """An agency, as named in other answers."""

    id: AgencyIdText
    name: str
    kind: AgencyKind


class AgencyPost(Accepted):
    """A new agency on the bus."""

    name: Name
    kind: AgencyKind
    zone: Zone
    holidays_state: HolidaysState | None = None


class AgencyPatch(Accepted):
    """A change of an agency (RFC 7396): what is left out stays; null removes, where it may."""

    name: Name = UNSET
    zone: Zone = UNSET
    holidays_state: HolidaysState | None = None


class AgencyView(Published):
    """An agency as it stands; `revision` is its ETag."""

    id: AgencyIdText
    name: str
    kind: AgencyKind
    zone: str
    holidays_state: str | None
    revision: int
    created_at: Instant


class ContactPost(Accepted):
    """A person or desk of an agency, with the channels that reach it."""

    name: Name
    role: Name
    position: Position = Position.OTHER
    email: Email | None = None
    phone: Phone | None = None
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    texts: Annotated[bool, Field(strict=True)] = True


class ContactPatch(Accepted):
    """A change of a contact (RFC 7396): what is left out stays; null removes a channel."""

    name: Name = UNSET
    role: Name = UNSET
    position: Position = UNSET
    email: Email | None = None
    phone: Phone | None = None
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    texts: Annotated[bool, Field(strict=True)] = UNSET


class ContactView(Published):
    """A contact as it stands; `revision` is its ETag."""

    id: ContactIdText
    agency_id: AgencyIdText
    name: str
    role: str
    position: Position
    email: str | None
    phone: str | None
    email_verified_at: Instant | None
    phone_verified_at: Instant | None
    valid_from: Instant | None
    valid_until: Instant | None
    texts: bool
    ended_at: Instant | None
    revision: int
    created_at: Instant


class ResponsibilityPost(Accepted):
    """The agency answers in this role for these areas: its obligations there are mandatory."""

    role: Role
    areas: StandingAreas


class ResponsibilityView(Published):
    """A responsibility as it stands, or stood until `ended_at`."""

    id: ResponsibilityIdText
    agency_id: AgencyIdText
    role: Role
    areas: tuple[StandingArea, ...]
    created_at: Instant
    ended_at: Instant | None
