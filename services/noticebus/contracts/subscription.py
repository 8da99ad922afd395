"""Subscriptions: an agency's standing order, and what the bus says about it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from noticebus.contracts.base import (
    UNSET,
    Accepted,
    AgencyIdText,
    ContactIdText,
    Instant,
    Name,
    Published,
    SubscriptionIdText,
    Url,
    at,
    refuse,
)
from noticebus.contracts.endpoint import EndpointView
from noticebus.contracts.places import StandingArea, StandingAreas
from noticebus.contracts.vocabulary import (
    Channel,
    ContentLevel,
    HeldBack,
    NoticeKind,
    PauseReason,
    SubscriptionState,
)
from noticebus.errors import Detail

HEARTBEAT_MINUTES_DEFAULT = 60
HeartbeatMinutes = Annotated[
    int,
    Field(
        ge=1,
        le=24 * 60,
        description="After so long without a notice the endpoint is told its last number.",
    ),
]
OverlapHours = Annotated[
    int, Field(ge=0, le=168, description="How long the secret before it signs too; 0: no more.")
]
_CALLED = frozenset({Channel.WEBHOOK, Channel.KAFKA})

Kinds = Annotated[tuple[NoticeKind, ...], Field(max_length=20)]
"""Notice kinds; none listed means every kind, those to come included."""


class SubscriptionPost(Accepted):
    """A new standing order.

    A webhook needs its `url`, mail its `contact_id`, an inbox and a Kafka topic neither.
    """

    agency_id: AgencyIdText | None = None
    name: Name
    areas: StandingAreas
    kinds: Kinds = ()
    content_level: ContentLevel
    channel: Channel
    url: Url | None = None
    contact_id: ContactIdText | None = None
    heartbeat_minutes: HeartbeatMinutes | None = None

    @model_validator(mode="after")
    def _has_its_destination(self) -> Self:
        refuse(_destination_faults(self))
        return self

    @property
    def beats_every(self) -> int | None:
        """Give the minutes between heartbeats: as asked, none included, or the channel's own."""
        if "heartbeat_minutes" in self.model_fields_set:
            return self.heartbeat_minutes
        return HEARTBEAT_MINUTES_DEFAULT if self.channel in _CALLED else None


class SubscriptionPatch(Accepted):
    """A change (RFC 7396); new areas or another content level need an operator's approval."""

    name: Name = UNSET
    areas: StandingAreas = UNSET
    kinds: Kinds = UNSET
    content_level: ContentLevel = UNSET
    url: Url = UNSET
    heartbeat_minutes: HeartbeatMinutes | None = None


class RotatePost(Accepted):
    """How long the secret before the new one signs too; left out: 24 hours."""

    overlap_hours: OverlapHours = 24


class ResumePost(Accepted):
    """What becomes of what the pause held back: it is sent in its turn, or left in the inbox."""

    held: HeldBack = HeldBack.SEND


class ConsentPost(Accepted):
    """What proves that somebody reads a topic: `data.challenge` of the handshake that came over it.

    Without it, the handshake is sent again.
    """

    challenge: Annotated[str, Field(min_length=1, max_length=100)] | None = None


def _destination_faults(post: SubscriptionPost) -> list[Detail]:
    faults = []
    if post.channel is Channel.WEBHOOK and post.url is None:
        faults.append(at("/url", "give the address the webhook is sent to"))
    if post.channel is not Channel.WEBHOOK and post.url is not None:
        faults.append(at("/url", "leave url out, or choose the channel webhook"))
    if post.channel is Channel.EMAIL and post.contact_id is None:
        faults.append(at("/contact_id", "give the contact whose mail address is used"))
    if post.channel is not Channel.EMAIL and post.contact_id is not None:
        faults.append(at("/contact_id", "leave contact_id out, or choose the channel email"))
    if post.channel not in _CALLED and post.heartbeat_minutes is not None:
        faults.append(
            at("/heartbeat_minutes", "leave it out: only a webhook or a topic gets heartbeats")
        )
    return faults


class SubscriptionView(Published):
    """A standing order as it stands. The secret is never shown again after its creation.

    `secrets` is how many sign now, the one before the newest until `previous_valid_until`.
    `held_back` counts what waits for it: it is paused, down, or has more than can go at once.
    """

    id: SubscriptionIdText
    agency_id: AgencyIdText
    name: str
    state: SubscriptionState
    channel: Channel
    url: str | None
    contact_id: ContactIdText | None
    content_level: ContentLevel
    areas: tuple[StandingArea, ...]
    kinds: tuple[NoticeKind, ...]
    approved_at: Instant | None
    approved_by: str | None
    verified_at: Instant | None
    last_sequence: int
    revision: int
    created_at: Instant
    heartbeat_minutes: int | None = None
    rate_per_minute: int | None = None
    concurrency: int | None = None
    lease_until: Instant | None = None
    secrets: int = 0
    previous_valid_until: Instant | None = None
    paused_at: Instant | None = None
    pause_reason: PauseReason | None = None
    certificate_expires_at: Instant | None = None
    endpoint: EndpointView | None = None
    held_back: int = 0


class SubscriptionCreated(SubscriptionView):
    """The creation's answer: the only time the secret (`whsec_…`, Standard Webhooks) is shown."""

    secret: str | None
    public_key: str | None


class SecretRotated(Published):
    """A new secret. The one before it signs too until `previous_valid_until`, if that is given."""

    id: SubscriptionIdText
    secret: str
    public_key: str | None
    previous_valid_until: Instant | None
