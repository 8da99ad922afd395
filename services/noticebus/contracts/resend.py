"""Telling the silent of an incident again: what it would be now, and its confirmation by count."""

from typing import Annotated

from pydantic import Field

from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.base import (
    Accepted,
    IncidentIdText,
    Instant,
    ObligationIdText,
    Published,
)
from noticebus.contracts.vocabulary import Channel, UnreachableReason

Count = Annotated[int, Field(ge=0, le=1_000_000)]


class ResendPost(Accepted):
    """Confirms what `GET` of the same address said: its `count`, `mark` and `after`.

    `again` is needed where the last one was less than ten minutes ago.
    """

    count: Count
    mark: Annotated[str, Field(min_length=1, max_length=64)]
    after: Count
    again: bool = False


class ToldAgain(Published):
    """One silent recipient, and the channels that would carry it the reminder."""

    obligation_id: ObligationIdText
    agency: AgencyRef
    channels: tuple[Channel, ...]


class NotToldAgain(Published):
    """One silent recipient that nothing would reach. Without a reason it reads its feed."""

    obligation_id: ObligationIdText
    agency: AgencyRef
    reason: UnreachableReason | None


class ResendCount(Published):
    """What a resend would do now. Nothing has been sent.

    `told` and `not_told` name 200 each at most; `count` and `not_told_count` are of all. `heard` is
    how many owe an answer and have said that they have it: they are left alone. `soon`: the last
    one was less than ten minutes ago, so that another needs `again`.
    """

    incident_id: IncidentIdText
    count: int
    mark: str
    after: int
    last_at: Instant | None
    soon: bool
    told: tuple[ToldAgain, ...]
    not_told_count: int
    not_told: tuple[NotToldAgain, ...]
    heard: int


class ResentView(Published):
    """It was done: the `number`-th of the incident, to `count` recipients."""

    incident_id: IncidentIdText
    number: int
    count: int
