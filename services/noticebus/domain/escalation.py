"""One round of an obligation's clock: when its steps fall, which applies now, whom it reaches."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from noticebus.contracts.vocabulary import Channel, Notify, Position, Standing
from noticebus.domain.policies import DESKS, ENDPOINTS, Hold, HoldRule, Policy, Step
from noticebus.domain.working_time import Hours, next_business_day_at, next_open
from noticebus.ids import ContactId
from noticebus.records import lean


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The times of one round, computed once when it starts.

    Only the clock is held, never the delivery itself.
    """

    started_at: dt.datetime
    held_until: dt.datetime | None
    due_at: dt.datetime | None
    steps_at: tuple[dt.datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """Step `step_index` fires now; those in `skipped` were overtaken.

    `next_at` is when the one after it falls.
    """

    step_index: int
    skipped: tuple[int, ...]
    next_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to do before `until`."""

    until: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Every step has fired or was skipped."""


@lean
class ContactPoint:
    """A person or desk of an agency, and how it is reached: only what may be used now.

    Without a telephone provider the bus does not dial, and whoever reads contacts leaves `phone`
    out. `texts` says that the telephone takes text messages, `stands_in` that it is a delegate's.
    """

    id: ContactId
    position: Position
    email: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    texts: bool = True
    stands_in: bool = False

    @property
    def channels(self) -> tuple[Channel, ...]:
        mail = (Channel.EMAIL,) if self.email else ()
        text = (Channel.SMS,) if self.phone and self.texts else ()
        return mail + text + ((Channel.VOICE,) if self.phone else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Whom a step reaches. `fell_through` is the level that took the place of an empty one, if any.

    Contacts can be empty only at the operators' level: where the bus has none, and for an advisory
    recipient, whom none stand behind.
    """

    contacts: tuple[ContactPoint, ...]
    fell_through: Notify | None


def start_round(*, policy: Policy, hours: Hours, started_at: dt.datetime) -> Round:
    """Compute a round's times.

    `policy` is the frozen one, fitted to the recipient's standing; instants are UTC.
    """
    base = base_of(policy.hold, hours, started_at=started_at)
    held = policy.hold.hold is Hold.WINDOW and bool(policy.steps) and base > started_at
    return Round(
        started_at=started_at,
        held_until=base if held else None,
        due_at=None if policy.due_after is None else base + policy.due_after,
        steps_at=tuple(base + step.after for step in policy.steps),
    )


def extended(current: Round, *, step_index: int, until: dt.datetime) -> Round:
    """Let the steps from `step_index` on wait for a promise.

    The next falls at `until`, the rest keep their distance. `due_at` stays. A promise sooner than
    the next step moves nothing, so that answering early is never punished.
    """
    left = current.steps_at[step_index:]
    if not left or until <= left[0]:
        return current
    delay = until - left[0]
    moved = tuple(instant + delay for instant in left)
    return replace(current, steps_at=current.steps_at[:step_index] + moved)


def hastened(current: Round, *, step_index: int, now: dt.datetime) -> Round:
    """Let the step at `step_index` fall now, and the rest keep their distance to it.

    For when waiting is pointless, as where too few people are left to answer. `due_at` stays.
    """
    left = current.steps_at[step_index:]
    if not left or left[0] <= now:
        return current
    sooner = left[0] - now
    moved = tuple(instant - sooner for instant in left)
    return replace(current, steps_at=current.steps_at[:step_index] + moved)


def next_firing(*, current: Round, step_index: int, now: dt.datetime) -> Fire | Wait | Finished:
    """Decide what happens at `now`, where `step_index` is the first step neither fired nor skipped.

    After an outage only the latest step that has fallen fires; those before it are skipped (I5).
    """
    steps_at = current.steps_at
    if step_index >= len(steps_at):
        return Finished()
    if now < steps_at[step_index]:
        return Wait(until=steps_at[step_index])
    fires = max(index for index in range(step_index, len(steps_at)) if steps_at[index] <= now)
    following = steps_at[fires + 1 :]
    return Fire(
        step_index=fires,
        skipped=tuple(range(step_index, fires)),
        next_at=following[0] if following else None,
    )


def resolve(
    notify: Notify,
    contacts: Iterable[ContactPoint],
    *,
    operators: Iterable[ContactPoint] = (),
    delegates: Iterable[ContactPoint] = (),
    over: frozenset[Channel] = frozenset(Channel),
) -> Resolved:
    """Find whom a step reaches `over` its channels.

    A level where nobody can be reached that way passes at once to the next with someone in it, last
    the operators. `delegates` are the contacts of the agency that stands in for this one now.
    """
    reachable = sorted((one for one in contacts if not over.isdisjoint(one.channels)), key=_by_id)
    for level in _levels_from(notify):
        found = _at(level, reachable, delegates=delegates)
        if found:
            return Resolved(contacts=found, fell_through=None if level is notify else level)
    return Resolved(
        contacts=_once(sorted((one for one in operators if one.channels), key=_by_id)),
        fell_through=None if notify is Notify.OPERATORS else Notify.OPERATORS,
    )


def backed_by(standing: Standing, operators: Sequence[ContactPoint]) -> Sequence[ContactPoint]:
    """Give the operators who take over where a recipient's own line is empty.

    Nobody does for an advisory one: its silence is listed, and rings nobody.
    """
    return operators if standing is Standing.MANDATORY else ()


def calls_of(step: Step, reached: Resolved) -> tuple[tuple[ContactPoint, Channel], ...]:
    """Pair each person a step reaches with each channel that both the step and the person have."""
    return tuple(
        (contact, channel)
        for contact in reached.contacts
        for channel in contact.channels
        if channel in step.channels
    )


def endpoint_channels(step: Step) -> tuple[Channel, ...]:
    """List the channels of a step that reach an agency's own endpoints.

    Only where its desk is meant: whoever stands elsewhere in the line has none.
    """
    meant = step.notify in DESKS
    return tuple(one for one in step.channels if meant and one in ENDPOINTS)


def base_of(rule: HoldRule, hours: Hours, *, started_at: dt.datetime) -> dt.datetime:
    """Give the instant from which the delays of a round count, UTC."""
    match rule.hold:
        case Hold.NEVER:
            return started_at
        case Hold.WINDOW:
            return next_open(hours, started_at)
        case Hold.BUSINESS_DAY:
            assert rule.at is not None, "held by HoldRule"
            return next_business_day_at(hours, started_at, time=rule.at)
        case _:  # pragma: no cover  (mypy proves it unreachable)
            assert_never(rule.hold)


TOGETHER = 2  # how many people `first_two` calls at once
_UP = (Notify.ON_DUTY, Notify.SECOND, Notify.HEAD)
_POSITIONS = {
    Notify.ON_DUTY: Position.ON_DUTY,
    Notify.SECOND: Position.SECOND,
    Notify.HEAD: Position.HEAD,
}
_LINE = tuple(Position)  # on duty, second, head, and whoever has no place in it


def _levels_from(notify: Notify) -> tuple[Notify, ...]:
    """List the agency's own levels to try, in order."""
    if notify is Notify.OPERATORS:
        return ()
    return _UP[_UP.index(notify) :] if notify in _UP else (notify,)


def _at(
    level: Notify, reachable: Sequence[ContactPoint], *, delegates: Iterable[ContactPoint]
) -> tuple[ContactPoint, ...]:
    """Give those of the agency (`reachable`, in id order), or of its delegate, at a level."""
    match level:
        case Notify.ALL_CONTACTS:
            return _once(reachable)
        case Notify.FIRST_TWO:
            return _once(sorted(reachable, key=_by_place))[:TOGETHER]
        case Notify.DELEGATE:
            return _once(sorted((one for one in delegates if one.channels), key=_by_id))
        case _:
            return tuple(one for one in reachable if one.position is _POSITIONS[level])


def _once(contacts: Iterable[ContactPoint]) -> tuple[ContactPoint, ...]:
    """Take each person once, in the first of the positions that a roster gives them."""
    found: dict[ContactId, ContactPoint] = {}
    for one in contacts:
        found.setdefault(one.id, one)
    return tuple(found.values())


def _by_place(contact: ContactPoint) -> tuple[int, str]:
    return _LINE.index(contact.position), contact.id


def _by_id(contact: ContactPoint) -> str:
    return contact.id
