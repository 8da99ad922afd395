"""How messages to one contact are spaced, and steps to one recipient after an outage. Pure.

The first message to a contact goes at once. Those made shortly after it wait and go together as
one message, a bundle; a contact gets no more than so many messages in an hour. What children may
depend on, class A, never waits for any of this.
"""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from noticebus.contracts.vocabulary import Channel, HeldReason, NoticeClass, Status
from noticebus.ids import ContactId, DeliveryId, SubscriptionId

WINDOW = dt.timedelta(minutes=2)  # after a message, in which further ones are gathered
HOUR = dt.timedelta(hours=1)
MESSAGES_PER_HOUR_MAX = 20  # to one contact over one channel
BURST_MAX = 20  # steps sent to one subscription at once
BURST_EVERY = dt.timedelta(seconds=10)
BUNDLED = frozenset({Channel.EMAIL, Channel.SMS})
"""What is gathered. A call is about one notice: what it speaks must be short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is spaced apart: one contact's mailbox or telephone, for notices of one status.

    An exercise neither delays the actual nor shares a message with it (I9).
    """

    contact_id: ContactId
    channel: Channel
    status: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why a message waits until when, and the bundle it goes in where it has one.

    One that was made for later anyway has no reason.
    """

    due_at: dt.datetime
    bundle: str | None
    reason: HeldReason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message to be made: its delivery, its line, its class and when it is to go.

    One for later stands in for a channel that fails, and is dropped where that recovers.
    """

    delivery_id: DeliveryId
    line: Line
    notice_class: NoticeClass
    due_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a line has had: when its messages of the last hour went, and what waits.

    `waiting` is the bundle that was held, `later` that of messages made for later.
    """

    went_at: tuple[dt.datetime, ...] = ()
    waiting: Hold | None = None
    later: str | None = None


NOTHING_YET = Past()


def space(
    messages: Sequence[Message], *, past: Mapping[Line, Past], now: dt.datetime
) -> dict[DeliveryId, Hold]:
    """Say which of `messages`, in the order they are made at `now`, wait, until when and why.

    Those it leaves out go at once.
    """
    held: dict[DeliveryId, Hold] = {}
    known = dict(past)
    for one in messages:
        before = known.get(one.line, NOTHING_YET)
        hold = None if one.notice_class is NoticeClass.A else _hold(one, before, now=now)
        if hold is not None:
            held[one.delivery_id] = hold
        known[one.line] = _after(one, hold, before, now=now)
    return held


def _after(message: Message, hold: Hold | None, before: Past, *, now: dt.datetime) -> Past:
    if hold is None:
        went = now >= message.due_at
        return replace(before, went_at=(*before.went_at, now)) if went else before
    if hold.reason is None:
        return replace(before, later=hold.bundle)
    return replace(before, waiting=hold)


def _hold(message: Message, past: Past, *, now: dt.datetime) -> Hold | None:
    line = message.line
    name = f"{line.contact_id}:{line.channel}:{line.status}:{message.delivery_id}"
    if message.due_at > now:  # the first that falls due takes the others along
        return Hold(due_at=message.due_at, bundle=past.later or name, reason=None)
    if past.waiting is not None:
        return past.waiting
    recent = sorted(at for at in past.went_at if now - HOUR < at <= now)
    if len(recent) >= MESSAGES_PER_HOUR_MAX:
        frees = recent[-MESSAGES_PER_HOUR_MAX] + HOUR
        return Hold(due_at=frees, bundle=name, reason=HeldReason.HOURLY_CAP)
    if recent and now < recent[-1] + WINDOW:
        return Hold(due_at=recent[-1] + WINDOW, bundle=name, reason=HeldReason.BUNDLE)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMessage:
    """A step to be sent to a subscription's endpoint or topic."""

    delivery_id: DeliveryId
    subscription_id: SubscriptionId
    notice_class: NoticeClass


def bursts(steps: Sequence[StepMessage]) -> set[SubscriptionId]:
    """Give the subscriptions that would get more than `BURST_MAX` of `steps` at once."""
    counts = Counter(one.subscription_id for one in steps)
    return {subscription_id for subscription_id, count in counts.items() if count > BURST_MAX}


def spread(
    steps: Sequence[StepMessage],
    *,
    waiting: Mapping[SubscriptionId, int],
    now: dt.datetime,
) -> dict[DeliveryId, Hold]:
    """Say which of `steps` wait: `BURST_MAX` a subscription go now, as many each `BURST_EVERY`.

    The gravest class goes first. `waiting` counts those of before that have not gone yet.
    """
    held: dict[DeliveryId, Hold] = {}
    places = Counter(waiting)
    for one in sorted(steps, key=lambda step: step.notice_class):
        turn = places[one.subscription_id] // BURST_MAX
        places[one.subscription_id] += 1
        if turn:
            due_at = now + turn * BURST_EVERY
            held[one.delivery_id] = Hold(due_at=due_at, bundle=None, reason=HeldReason.BURST)
    return held
