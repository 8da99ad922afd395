"""Whether anything would reach an agency, before the event: its paths, and when each was proved.

A path is one way to one destination: an endpoint, or a contact's mail or telephone. It is tested
when something arrived over it, or when its address was verified.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noticebus.contracts.vocabulary import Channel, EndpointState, SubscriptionState
from noticebus.domain.delivery_words import Said
from noticebus.domain.health import DOWN

TESTED_WITHIN = dt.timedelta(days=30)
REACHABLE = Said(symbol="✓", word="reachable", tone="good")
NO_PATH = Said(symbol="✕", word="no viable path", tone="bad")
_WORKS = Said(symbol="✓", word="works", tone="good")
_UNUSABLE = Said(symbol="✕", word="no", tone="bad")
_BY_HAND = Said(symbol="☎", word="by hand only", tone="idle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One path. `problem` says why it cannot be used now, and is empty where it can.

    `by_hand`: only a person can use it, for this bus has no telephone provider.
    """

    destination: str
    channel: Channel
    label: str
    problem: str = ""
    by_hand: bool = False
    tested_at: dt.datetime | None = None

    @property
    def viable(self) -> bool:
        return not self.problem and not self.by_hand

    def is_tested(self, *, now: dt.datetime) -> bool:
        """Say whether it was proved lately."""
        return self.viable and self.tested_at is not None and now - self.tested_at <= TESTED_WITHIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What of a contact makes paths; `speaks` says that it is valid now."""

    id: str
    name: str
    email: str | None
    email_verified_at: dt.datetime | None
    phone: str | None
    phone_verified_at: dt.datetime | None
    texts: bool
    speaks: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What of a subscription makes a path."""

    id: str
    name: str
    channel: Channel
    state: SubscriptionState
    endpoint: EndpointState
    verified_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the bus has to send with."""

    sends_mail: bool
    dials: bool


def paths_of(
    people: Sequence[Person],
    orders: Sequence[Order],
    means: Means,
    *,
    arrived: Mapping[str, dt.datetime] | None = None,
) -> tuple[Path, ...]:
    """List the paths to an agency, endpoints first.

    `arrived` says when something last arrived, by subscription's id or contact's id and channel.
    """
    seen = arrived or {}
    found = [_of_order(one, seen) for one in orders if _counts(one)]
    for person in people:
        found += _of_person(person, means, seen)
    return tuple(found)


def word_for(paths: Sequence[Path]) -> Said:
    """Say in a word whether anything reaches an agency."""
    return REACHABLE if any(one.viable for one in paths) else NO_PATH


def summary_of(paths: Sequence[Path], *, now: dt.datetime) -> str:
    """Say how well an agency can be reached, before anything has happened."""
    if not paths:
        return "No viable path: it has no contact and no endpoint."
    ours = [one for one in paths if not one.by_hand]
    if not ours:
        return "No viable path: it has telephones only, and this bus cannot ring. Ring by hand."
    if not any(one.viable for one in ours):
        return f"No viable path: {ours[0].label}: {ours[0].problem}."
    tested = sum(one.is_tested(now=now) for one in ours)
    noun = "path" if len(ours) == 1 else "paths"
    return f"{tested} of {len(ours)} {noun} tested in the last {TESTED_WITHIN.days} days."


def said_of(path: Path) -> Said:
    """Say in a word whether a path can be used."""
    if path.by_hand:
        return _BY_HAND
    return _UNUSABLE if path.problem else _WORKS


def key_of(contact_id: str, channel: Channel) -> str:
    """Name a contact's path, as `arrived` has it."""
    return f"{contact_id} {channel}"


def _counts(order: Order) -> bool:
    # A mail subscription goes to a contact, whose own path it is; an ended one goes nowhere.
    return order.channel is not Channel.EMAIL and order.state is not SubscriptionState.ENDED


def _of_order(order: Order, arrived: Mapping[str, dt.datetime]) -> Path:
    return Path(
        destination=order.id,
        channel=order.channel,
        label=f"{order.channel} “{order.name}”",
        problem=_order_problem(order),
        tested_at=arrived.get(order.id),
    )


def _order_problem(order: Order) -> str:
    match order.state:
        case SubscriptionState.PENDING_APPROVAL:
            return "not approved yet"
        case SubscriptionState.PENDING_VERIFICATION:
            return "its handshake was not answered"
        case SubscriptionState.PAUSED:
            return "paused"
        case _:
            return "down, what comes is held back" if order.endpoint in DOWN else ""


def _of_person(person: Person, means: Means, arrived: Mapping[str, dt.datetime]) -> list[Path]:
    ways = []
    if person.email:
        ways.append((Channel.EMAIL, person.email_verified_at))
    if person.phone and person.texts:
        ways.append((Channel.SMS, person.phone_verified_at))
    if person.phone:
        ways.append((Channel.VOICE, person.phone_verified_at))
    return [
        Path(
            destination=key_of(person.id, channel),
            channel=channel,
            label=f"{person.name}, {_NAMES[channel]}",
            problem=_person_problem(person, channel, verified_at, means),
            by_hand=channel is not Channel.EMAIL and not means.dials,
            tested_at=_latest(arrived.get(key_of(person.id, channel)), verified_at),
        )
        for channel, verified_at in ways
    ]


def _person_problem(
    person: Person, channel: Channel, verified_at: dt.datetime | None, means: Means
) -> str:
    if not person.speaks:
        return "not valid today"
    if verified_at is None:
        return "never verified"
    if channel is Channel.EMAIL and not means.sends_mail:
        return "the bus has no mail server"
    return ""


def _latest(*instants: dt.datetime | None) -> dt.datetime | None:
    return max((one for one in instants if one is not None), default=None)


_NAMES: Mapping[Channel, str] = {
    Channel.EMAIL: "mail",
    Channel.SMS: "text message",
    Channel.VOICE: "call",
}
