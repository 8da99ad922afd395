"""Informing agencies of what asks no answer of them: an answer to their question, an offer.

Over each agency's endpoints, and by mail without content to whoever is on duty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import reach as reaching
from noticebus.casework.binding import Moment, to_contact, to_subscription
from noticebus.casework.desk import Desk
from noticebus.casework.reach import People
from noticebus.contracts.vocabulary import Cause, Channel, Notify
from noticebus.domain.escalation import resolve
from noticebus.domain.policies import ENDPOINTS
from noticebus.domain.routing import SubscriptionMatch
from noticebus.store.deliveries import Delivery
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is told: why, about which question or offer, and the number of its telling."""

    cause: Cause
    subject: str
    detail: Mapping[str, Any]
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """A message about a notice to the debtors of `bound`."""

    notice: Notice
    bound: Sequence[Obligation]
    message: Message


async def inform(
    conn: AsyncConnection,
    desk: Desk,
    notice: Notice,
    bound: Sequence[Obligation],
    message: Message,
    *,
    at: Moment,
) -> list[Delivery]:
    """Make what tells the debtors of `bound`: a constant number of statements."""
    return await inform_all(
        conn, desk, [Telling(notice=notice, bound=bound, message=message)], at=at
    )


async def inform_all(
    conn: AsyncConnection, desk: Desk, tellings: Sequence[Telling], *, at: Moment
) -> list[Delivery]:
    """Make what tells several things: as many statements as one of them takes."""
    agency_ids = {owed.agency_id for one in tellings for owed in one.bound}
    if not agency_ids:
        return []
    people = await reaching.people(conn, desk, agency_ids, at=at.world)
    orders = await reaching.endpoints(conn, agency_ids, people)
    return [
        _about(made, one.message)
        for one in tellings
        for owed in one.bound
        for made in _deliveries(owed, one, people, orders.get(owed.agency_id, ()), at=at)
    ]


def _deliveries(
    owed: Obligation,
    telling: Telling,
    people: People,
    orders: Sequence[SubscriptionMatch],
    *,
    at: Moment,
) -> list[Delivery]:
    notice, cause = telling.notice, telling.message.cause
    on_duty = resolve(Notify.ON_DUTY, people.of(owed.agency_id)).contacts
    called = [
        to_subscription(owed, notice=notice, order=order, cause=cause, at=at)
        for order in orders
        if order.channel in ENDPOINTS
    ]
    mailed = [
        to_contact(owed, notice=notice, contact=contact, channel=Channel.EMAIL, cause=cause, at=at)
        for contact in on_duty
        if Channel.EMAIL in contact.channels
    ]
    return [*called, *mailed]


def _about(made: Delivery, message: Message) -> Delivery:
    """Let a delivery serve what it tells; only a question to the poster has a time to answer by."""
    asks = message.cause is Cause.QUESTION
    return replace(
        made,
        subject=message.subject,
        step=message.number,
        detail=dict(message.detail),
        answer_due_at=made.answer_due_at if asks else None,
    )
