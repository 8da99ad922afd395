"""Binding a recipient: from what routing found to the rows that are stored."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from noticebus.casework.first_rounds import FirstRounds
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ContentLevel,
    HeldReason,
    NoticeClass,
    NoticeState,
    Notify,
    ObligationState,
    Owed,
    Status,
)
from noticebus.domain.escalation import ContactPoint, Round, start_round
from noticebus.domain.policies import policy_from_record, policy_to_record
from noticebus.domain.routing import Recipient, SubscriptionMatch
from noticebus.ids import (
    AgencyId,
    DeliveryId,
    IncidentId,
    NoticeId,
    ObligationId,
    SubscriptionId,
    new_delivery_id,
    new_obligation_id,
)
from noticebus.records import changed
from noticebus.store.deliveries import Delivery
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation

BUS_HOLD = dt.timedelta(seconds=2)  # how long the sweep leaves a delivery to the bus
WITH_NOTICE = "with_notice"  # in a step's detail, stored: what its message says stays the same (I3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One instant on both clocks."""

    world: dt.datetime
    machine: dt.datetime


def bind(
    recipient: Recipient,
    *,
    notice: Notice,
    facts: AgencyFacts,
    rounds: FirstRounds,
    at: dt.datetime,
    stood_in: bool = False,
) -> Obligation:
    """Make a recipient's obligation to answer `notice`.

    Its first round runs unless the notice is still embargoed.
    """
    first = rounds.of(recipient, facts, notice=notice, stood_in=stood_in)
    runs = notice.state is not NoticeState.SCHEDULED
    return Obligation(
        id=new_obligation_id(),
        incident_id=notice.incident_id,
        agency_id=recipient.agency_id,
        owed=Owed.NOTICE,
        owed_for="",
        standing=recipient.standing,
        role=recipient.role,
        status=notice.status,
        state=ObligationState.OPEN,
        epoch=1,
        notice_class=notice.notice_class,
        round_notice_id=notice.id,
        round_version=notice.version,
        round_started_at=first.current.started_at if runs else None,
        held_until=first.current.held_until if runs else None,
        due_at=first.current.due_at if runs else None,
        policy=first.policy,
        steps_at=first.steps_at if runs else [],
        step=0,
        next_step_at=first.next_step_at if runs else None,
        delivered_at=None,
        opened_at=None,
        received_at=None,
        promised_until=None,
        more_time_used=False,
        reachable=recipient.reachable,
        unreachable_reason=recipient.unreachable_reason,
        closed_at=None,
        answered_version=0,
        created_at=at,
    )


def run(obligation: Obligation, facts: AgencyFacts, at: dt.datetime) -> Obligation:
    """Start the clock of an obligation's present round under its frozen policy."""
    policy = policy_from_record(obligation.policy)
    return with_round(obligation, start_round(policy=policy, hours=facts.hours, started_at=at))


def with_round(obligation: Obligation, current: Round) -> Obligation:
    """Give an obligation the times of `current`; its next step is the one its `step` names."""
    steps_at = [instant.isoformat() for instant in current.steps_at]
    left = current.steps_at[obligation.step :]
    return replace(
        obligation,
        round_started_at=current.started_at,
        held_until=current.held_until,
        due_at=current.due_at,
        steps_at=steps_at,
        next_step_at=left[0] if left else None,
    )


def with_last_step_again(obligation: Obligation, *, until: dt.datetime) -> Obligation:
    """Put the last step once more at the end of a promise that comes when none is left.

    Else whoever was promised something would hear no more. Unchanged while steps are left.
    """
    policy = policy_from_record(obligation.policy)
    if obligation.step < len(policy.steps) or not policy.steps:
        return obligation
    current = round_of(obligation)
    last, fell_at = policy.steps[-1], current.steps_at[-1]
    after = last.after + max(until - fell_at, dt.timedelta(seconds=1))
    steps = (*policy.steps, replace(last, after=after))
    again = replace(obligation, policy=policy_to_record(replace(policy, steps=steps)))
    return with_round(again, replace(current, steps_at=(*current.steps_at, until)))


def round_of(obligation: Obligation) -> Round:
    """Read the times of an obligation's present round back."""
    assert obligation.round_started_at is not None, "a round that runs has a start"
    return Round(
        started_at=obligation.round_started_at,
        held_until=obligation.held_until,
        due_at=obligation.due_at,
        steps_at=tuple(dt.datetime.fromisoformat(one) for one in obligation.steps_at),
    )


def notice_deliveries(  # noqa: PLR0913  (what is carried, to whom, over what)
    obligation: Obligation,
    *,
    notice: Notice,
    orders: Sequence[SubscriptionMatch],
    desk: Sequence[ContactPoint],
    channels: Iterable[Channel],
    at: Moment,
    paused: Sequence[SubscriptionMatch] = (),
) -> list[Delivery]:
    """Make the deliveries of `notice` to one recipient over `channels`, none numbered yet.

    What goes to `paused` subscriptions is held back until they are resumed.
    """
    subscribed, called = first_calls(orders=orders, desk=desk, channels=channels)
    made = [
        to_subscription(obligation, notice=notice, order=order, cause=Cause.NOTICE, at=at)
        for order in (*subscribed, *paused)
    ]
    made += [
        to_contact(
            obligation, notice=notice, contact=one, channel=channel, cause=Cause.NOTICE, at=at
        )
        for one, channel in called
    ]
    return made


def first_calls(
    *,
    orders: Sequence[SubscriptionMatch],
    desk: Iterable[ContactPoint],
    channels: Iterable[Channel],
) -> tuple[list[SubscriptionMatch], list[tuple[ContactPoint, Channel]]]:
    """Choose what carries a notice over `channels`: subscriptions, and people by channel.

    Where mail is subscribed to, the desk gets no second one. Who stands in is told at once over its
    own first channel at least: the agency's server may take a notice that nobody there sees.
    """
    wanted = set(channels)
    subscribed = [order for order in orders if order.channel in wanted]
    if any(order.channel is Channel.EMAIL for order in orders):
        wanted.discard(Channel.EMAIL)
    called = [
        (one, channel)
        for one in desk
        for channel in one.channels
        if channel in wanted or (one.stands_in and channel is one.channels[0])
    ]
    return subscribed, called


def to_subscription(  # noqa: PLR0913  (what is carried, where, and why)
    obligation: Obligation,
    *,
    notice: Notice,
    order: SubscriptionMatch,
    cause: Cause,
    at: Moment,
    step: int = 0,
    notify: Notify | None = None,
) -> Delivery:
    """Make a delivery to a subscription's endpoint, mailbox or feed.

    A feed is fetched, never sent; and to one that is paused nothing is.
    """
    waits = order.channel is Channel.INBOX or order.paused
    return Delivery(
        **_carries(obligation, notice=notice, cause=cause, at=at),
        subscription_id=order.subscription_id,
        contact_id=order.contact_id,
        destination=order.subscription_id,
        channel=order.channel,
        content_level=order.content_level,
        step=step,
        detail=None if notify is None else _step_detail(obligation, notify, step=step),
        due_at=None if waits else at.world,
        held_reason=HeldReason.PAUSED if order.paused else None,
        lease_until=at.machine if waits else at.machine + BUS_HOLD,
    )


def to_contact(  # noqa: PLR0913  (what is carried, to whom, and why)
    obligation: Obligation,
    *,
    notice: Notice,
    contact: ContactPoint,
    channel: Channel,
    cause: Cause,
    at: Moment,
    step: int = 0,
    notify: Notify | None = None,
) -> Delivery:
    """Make a mail, text message or call to one contact; it carries a link and no content."""
    return Delivery(
        **_carries(obligation, notice=notice, cause=cause, at=at),
        contact_id=contact.id,
        destination=f"{contact.id}:{channel}",
        channel=channel,
        content_level=ContentLevel.ID_ONLY,
        step=step,
        detail=None if notify is None else _step_detail(obligation, notify, step=step),
        due_at=at.world,
        lease_until=at.machine + BUS_HOLD,
    )


def number(deliveries: Sequence[Delivery], first: Mapping[SubscriptionId, int]) -> list[Delivery]:
    """Give each delivery that consumes one its subscription's next number, from `first` on."""
    following = dict(first)
    numbered = []
    for one in deliveries:
        if consumes_number(one):
            assert one.subscription_id is not None, "held by consumes_number"
            sequence = following[one.subscription_id]
            following[one.subscription_id] = sequence + 1
            numbered.append(changed(one, sequence=sequence))
        else:
            numbered.append(one)
    return numbered


def _step_detail(obligation: Obligation, notify: Notify, *, step: int) -> dict[str, str | bool]:
    """Give what a step's message needs to know: whom it reaches, and what is owed if no answer.

    Or that it falls with the notice: nobody can have answered yet, so it reminds of nothing.
    """
    told: dict[str, str | bool] = {"notify": notify.value}
    if obligation.owed is not Owed.NOTICE:
        return told | {"owed": obligation.owed.value}
    current = round_of(obligation)
    return told | ({WITH_NOTICE: True} if current.steps_at[step] == current.started_at else {})


def consumes_number(delivery: Delivery) -> bool:
    """Say whether a delivery is one of those a subscription counts (I10)."""
    return delivery.subscription_id is not None and delivery.cause is Cause.NOTICE


def counts_of(deliveries: Iterable[Delivery]) -> dict[SubscriptionId, int]:
    """Count how many numbers each subscription needs for `deliveries`."""
    counts: dict[SubscriptionId, int] = {}
    for one in deliveries:
        if consumes_number(one):
            assert one.subscription_id is not None, "held by consumes_number"
            counts[one.subscription_id] = counts.get(one.subscription_id, 0) + 1
    return counts


class _Carried(TypedDict):
    id: DeliveryId
    incident_id: IncidentId
    obligation_id: ObligationId
    notice_id: NoticeId
    agency_id: AgencyId
    subject: str
    cause: Cause
    version: int
    round: int
    notice_class: NoticeClass
    answer_due_at: dt.datetime | None
    created_at: dt.datetime


def _carries(obligation: Obligation, *, notice: Notice, cause: Cause, at: Moment) -> _Carried:
    """Say what a delivery carries for an obligation, whatever way it goes."""
    return {
        "id": new_delivery_id(),
        "incident_id": obligation.incident_id,
        "obligation_id": obligation.id,
        "notice_id": notice.id,
        "agency_id": obligation.agency_id,
        "subject": obligation.id,
        "cause": cause,
        "version": notice.version,
        "round": obligation.epoch,
        "notice_class": obligation.notice_class,
        "answer_due_at": obligation.due_at,
        "created_at": at.world,
    }


def is_live(status: Status) -> bool:
    """Say whether a status counts in live figures (I9)."""
    return status is Status.ACTUAL
