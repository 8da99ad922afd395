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
from noticebus.contracts.vocabulary import Cause, Channel, Notify
from noticebus.domain.escalation import resolve
from noticebus.domain.policies import ENDPOINTS
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
    if not bound:
        return []
    agency_ids = [one.agency_id for one in bound]
    people = await reaching.people(conn, desk, agency_ids, at=at.world)
    orders = await reaching.endpoints(conn, agency_ids, people)
    made: list[Delivery] = []
    for owed in bound:
        made += [
            to_subscription(owed, notice=notice, order=order, cause=message.cause, at=at)
            for order in orders.get(owed.agency_id, ())
            if order.channel in ENDPOINTS
        ]
        on_duty = resolve(Notify.ON_DUTY, people.of(owed.agency_id)).contacts
        made += [
            to_contact(
                owed,
                notice=notice,
                contact=contact,
                channel=Channel.EMAIL,
                cause=message.cause,
                at=at,
            )
            for contact in on_duty
            if Channel.EMAIL in contact.channels
        ]
    return [_about(one, message) for one in made]


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
