"""Who gets a notice: responsibilities make mandatory recipients, subscriptions alone advisory ones.

Areas are keys: `nation:us`, `state:28`, `county:28123`, `lea:2803060`, `tribe:<slug>`. Everything
here is one pass over the matches and one sort.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import StrEnum

from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    ContentLevel,
    NoticeClass,
    Position,
    Role,
    Standing,
    UnreachableReason,
)
from noticebus.domain.escalation import ContactPoint
from noticebus.ids import AgencyId, ContactId, SubscriptionId
from noticebus.records import lean

NATION = "nation:us"
PUSHED = (Channel.WEBHOOK, Channel.KAFKA, Channel.EMAIL, Channel.SMS, Channel.VOICE)
"""The channels that call somebody, in the order in which they are tried."""


@lean
class ResponsibilityMatch:
    """An agency answers in `role` for `area_key`, which is one of the notice's."""

    agency_id: AgencyId
    agency_kind: AgencyKind
    role: Role
    area_key: str


@lean
class SubscriptionMatch:
    """A subscription whose areas and notice kinds match.

    One that matches through several areas may come repeatedly. `paused`: what comes is held back,
    by a pause or, where it has also `moved`, until its new address has consented.
    """

    subscription_id: SubscriptionId
    agency_id: AgencyId
    agency_kind: AgencyKind
    channel: Channel
    content_level: ContentLevel
    verified: bool
    paused: bool
    contact_id: ContactId | None = None  # whose mailbox, where it is mail
    moved: bool = False

    @property
    def usable(self) -> bool:
        return self.verified and not self.paused


@lean
class Recipient:
    """One agency an obligation will bind, and how it is told.

    `first_channels` are used at once; `fallback_channels` in order, on refusal or while
    undelivered. Webhook and inbox go through `subscriptions`, mail through mail subscriptions and
    `contacts`. `paused` are the subscriptions that would be used if they were not paused: what goes
    to them is held back, and reaches nobody.
    """

    agency_id: AgencyId
    kind: AgencyKind
    standing: Standing
    role: Role | None
    responsibilities: tuple[ResponsibilityMatch, ...]
    subscriptions: tuple[SubscriptionMatch, ...]
    contacts: tuple[ContactPoint, ...]
    first_channels: tuple[Channel, ...]
    fallback_channels: tuple[Channel, ...]
    unreachable_reason: UnreachableReason | None
    paused: tuple[SubscriptionMatch, ...] = ()

    @property
    def reachable(self) -> bool:
        return self.unreachable_reason is None

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self.first_channels + self.fallback_channels

    @property
    def subscription_ids(self) -> tuple[SubscriptionId, ...]:
        return tuple(one.subscription_id for one in self.subscriptions)

    @property
    def contact_ids(self) -> tuple[ContactId, ...]:
        return tuple(one.id for one in self.contacts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """Every recipient once: mandatory before advisory, then by agency id."""

    recipients: tuple[Recipient, ...]

    @property
    def unreachable(self) -> tuple[Recipient, ...]:
        return tuple(one for one in self.recipients if not one.reachable)


def route(
    *,
    area_keys: frozenset[str],
    poster_id: AgencyId,
    notice_class: NoticeClass,
    responsibilities: Iterable[ResponsibilityMatch],
    subscriptions: Iterable[SubscriptionMatch],
    contacts_by_agency: Mapping[AgencyId, Iterable[ContactPoint]],
) -> Routing:
    """Find the recipients of a notice.

    A recipient that nothing reaches stays one, with the reason (I6).
    """
    duties: defaultdict[AgencyId, set[ResponsibilityMatch]] = defaultdict(set)
    orders: defaultdict[AgencyId, set[SubscriptionMatch]] = defaultdict(set)
    kinds: dict[AgencyId, AgencyKind] = {}
    for duty in responsibilities:
        if duty.area_key in area_keys and duty.agency_id != poster_id:
            duties[duty.agency_id].add(duty)
            kinds[duty.agency_id] = duty.agency_kind
    for order in subscriptions:
        if order.agency_id != poster_id:
            orders[order.agency_id].add(order)
            kinds[order.agency_id] = order.agency_kind
    recipients = (
        _recipient(
            agency_id,
            kind,
            notice_class=notice_class,
            duties=duties.get(agency_id, set()),
            orders=orders.get(agency_id, set()),
            contacts=contacts_by_agency.get(agency_id, ()),
        )
        for agency_id, kind in kinds.items()
    )
    return Routing(recipients=tuple(sorted(recipients, key=_order)))


def without_mail(routing: Routing) -> Routing:
    """Mark those as out of reach whom only mail would reach, where the bus has no mail server.

    Their mails are made all the same, and go out once there is one.
    """
    return Routing(
        recipients=tuple(
            replace(one, unreachable_reason=UnreachableReason.MAIL_NOT_CONFIGURED)
            if set(one.channels) == {Channel.EMAIL}
            else one
            for one in routing.recipients
        )
    )


class Missing(StrEnum):
    """What a place lacks."""

    CPS = "cps"
    SCHOOL = "school"


@dataclass(frozen=True, slots=True, kw_only=True)
class County:
    """A county of the notice, and the districts known to lie in it.

    None known: county-wide duties count alone.
    """

    fips: str
    lea_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncovered:
    """A place nobody answers for: a county, or a district that the notice names."""

    missing: Missing
    county_fips: str | None = None
    lea_id: str | None = None


def coverage(
    *,
    counties: Iterable[County],
    lea_ids: Iterable[str] = (),
    responsibilities: Iterable[ResponsibilityMatch],
    lost: frozenset[AgencyId] = frozenset(),
    waived: frozenset[AgencyId] = frozenset(),
) -> tuple[Uncovered, ...]:
    """List the places without a responsible agency.

    Those in `lost` (declined, silent) do not count, nor do those in `waived`: only where nobody but
    them is responsible, two persons have decided that none is needed. Each county needs a CPS
    agency and a district, each named district itself. Only responsibilities count: an advisory
    reader covers nothing, a tribal agency stands beside the state's and not instead. The poster
    counts: it knows.
    """
    keys = {missing: _Keys() for missing in Missing}
    for duty in responsibilities:
        missing = _ROLE_COVERS.get(duty.role)
        if missing is not None:
            keys[missing].of(duty.agency_id, lost=lost, waived=waived).add(duty.area_key)
    found = [
        Uncovered(missing=missing, county_fips=county.fips)
        for county in sorted(counties, key=_by_fips)
        for missing in Missing
        if not keys[missing].cover(_keys_that_cover(county, missing))
    ]
    found += [
        Uncovered(missing=Missing.SCHOOL, lea_id=lea_id)
        for lea_id in sorted(set(lea_ids))
        if not keys[Missing.SCHOOL].cover({f"lea:{lea_id}", f"state:{lea_id[:2]}", NATION})
    ]
    return tuple(found)


@dataclass(slots=True, kw_only=True)
class _Keys:
    """The areas that agencies answer for, by what became of the agencies."""

    held: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    waived: set[str] = field(default_factory=set)

    def of(
        self, agency_id: AgencyId, *, lost: AbstractSet[AgencyId], waived: AbstractSet[AgencyId]
    ) -> set[str]:
        if agency_id in lost:
            return self.lost
        return self.waived if agency_id in waived else self.held

    def cover(self, place: AbstractSet[str]) -> bool:
        """Say whether somebody answers under any key of a place, or nobody need to."""
        if not self.held.isdisjoint(place):
            return True
        return self.lost.isdisjoint(place) and not self.waived.isdisjoint(place)


def _recipient(
    agency_id: AgencyId,
    kind: AgencyKind,
    *,
    notice_class: NoticeClass,
    duties: Iterable[ResponsibilityMatch],
    orders: Iterable[SubscriptionMatch],
    contacts: Iterable[ContactPoint],
) -> Recipient:
    owed = tuple(sorted(duties, key=_duty_order))
    usable = tuple(sorted((one for one in orders if one.usable), key=_by_subscription_id))
    # Mail around a paused or unproven subscription is for those who must be told, not for readers.
    desk = _desk(contacts) if owed or usable else ()
    first, fallback = _channel_plan(notice_class, usable=usable, desk=desk)
    return Recipient(
        agency_id=agency_id,
        kind=kind,
        standing=Standing.MANDATORY if owed else Standing.ADVISORY,
        role=owed[0].role if owed else None,
        responsibilities=owed,
        subscriptions=usable,
        contacts=desk,
        first_channels=first,
        fallback_channels=fallback,
        unreachable_reason=None if first else _why_unreachable(orders),
        paused=_paused(notice_class, orders),
    )


def _paused(
    notice_class: NoticeClass, orders: Iterable[SubscriptionMatch]
) -> tuple[SubscriptionMatch, ...]:
    """Choose the paused subscriptions that would be sent a notice at once if they were not."""
    if not any(one.paused for one in orders):
        return ()
    verified = sorted((one for one in orders if one.verified), key=_by_subscription_id)
    first, _ = _channel_plan(notice_class, usable=verified, desk=())
    return tuple(one for one in verified if one.paused and one.channel in first)


def _desk(contacts: Iterable[ContactPoint]) -> tuple[ContactPoint, ...]:
    """Choose whom a notice goes to: on duty, or the next position with somebody reachable."""
    by_position: defaultdict[Position, list[ContactPoint]] = defaultdict(list)
    for contact in contacts:
        if contact.channels:
            by_position[contact.position].append(contact)
    if not by_position:
        return ()
    return tuple(
        sorted(by_position[min(by_position, key=_POSITION_ORDER.__getitem__)], key=_by_contact_id)
    )


def _channel_plan(
    notice_class: NoticeClass,
    *,
    usable: Iterable[SubscriptionMatch],
    desk: Iterable[ContactPoint],
) -> tuple[tuple[Channel, ...], tuple[Channel, ...]]:
    present = {one.channel for one in usable}
    for contact in desk:
        present.update(contact.channels)
    return _split(notice_class, frozenset(present))


@functools.cache  # a few dozen sets of channels, asked for by every recipient
def _split(
    notice_class: NoticeClass, present: frozenset[Channel]
) -> tuple[tuple[Channel, ...], tuple[Channel, ...]]:
    """Split the channels into those used at once and those after.

    A feed is always filled: it calls nobody.
    """
    pushed = tuple(one for one in PUSHED if one in present)
    feed = (Channel.INBOX,) if Channel.INBOX in present else ()
    if notice_class is NoticeClass.A:
        return pushed + feed, ()
    return pushed[:1] + feed, pushed[1:]


def _why_unreachable(orders: Iterable[SubscriptionMatch]) -> UnreachableReason:
    if any(one.paused and not one.moved for one in orders):  # nobody can resume what has moved
        return UnreachableReason.SUBSCRIPTION_PAUSED
    return UnreachableReason.NO_VERIFIED_CHANNEL


def _keys_that_cover(county: County, missing: Missing) -> frozenset[str]:
    keys = {f"county:{county.fips}", f"state:{county.fips[:2]}", NATION}
    if missing is Missing.SCHOOL:
        keys.update(f"lea:{lea_id}" for lea_id in county.lea_ids)
    return frozenset(keys)


_ROLE_COVERS = {Role.CPS: Missing.CPS, Role.SCHOOL: Missing.SCHOOL}
_ROLE_ORDER = {role: number for number, role in enumerate(Role)}
_POSITION_ORDER = {position: number for number, position in enumerate(Position)}


def _order(recipient: Recipient) -> tuple[bool, str]:
    return (recipient.standing is Standing.ADVISORY, recipient.agency_id)


def _duty_order(duty: ResponsibilityMatch) -> tuple[int, str]:
    return (_ROLE_ORDER[duty.role], duty.area_key)


def _by_fips(county: County) -> str:
    return county.fips


def _by_subscription_id(match: SubscriptionMatch) -> str:
    return match.subscription_id


def _by_contact_id(contact: ContactPoint) -> str:
    return contact.id
