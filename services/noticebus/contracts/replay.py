"""Replays: what a subscription was sent, sent again, and how far that is."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from noticebus.contracts.base import (
    Accepted,
    Instant,
    Published,
    ReplayIdText,
    SubscriptionIdText,
    at,
    refuse,
)
from noticebus.contracts.vocabulary import ReplayState

Number = Annotated[int, Field(ge=0, le=2**53 - 1)]


class ReplayPost(Accepted):
    """What is to be sent again: all after a number, or since a time; up to `until` if given."""

    after: Number | None = None
    since: Instant | None = None
    until: Number | None = None

    @model_validator(mode="after")
    def _says_from_where(self) -> Self:
        faults = []
        if (self.after is None) is (self.since is None):
            faults.append(
                at("/after", "give 'after', a number, or 'since', a time, and not both of them")
            )
        if self.after is not None and self.until is not None and self.until < self.after:
            faults.append(at("/until", "give a number that is not before 'after', or leave it out"))
        refuse(faults)
        return self


class ReplayCount(Published):
    """How many deliveries a replay would send again: those after number `after` up to `until`."""

    total: int
    after: int
    until: int


class ReplayView(Published):
    """A replay and how far it is.

    `queued` of `total` have been made into deliveries. `waiting` are still to be sent, made or not,
    and `not_sent` will not be: it was cancelled, or they were left in the inbox after a pause.
    `total` is the sum of `delivered`, `failed`, `waiting` and `not_sent`.
    """

    id: ReplayIdText
    subscription_id: SubscriptionIdText
    state: ReplayState
    after: int
    until: int
    since: Instant | None
    total: int
    queued: int
    delivered: int
    failed: int
    waiting: int
    not_sent: int
    requested_by: str
    created_at: Instant
    finished_at: Instant | None
