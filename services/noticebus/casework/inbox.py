"""The feed a subscriber pulls: what its webhook would carry, by gap-free number (I10)."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require
from noticebus.casework.bodies import webhook_body
from noticebus.casework.desk import Desk
from noticebus.casework.next_channel import CARRIES_DUTY
from noticebus.casework.views import Contents
from noticebus.contracts.vocabulary import (
    Channel,
    DeliveryState,
    Outcome,
    Scope,
    SubscriptionState,
)
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import DeliveryId, ObligationId
from noticebus.store import (
    claims,
    deliveries,
    exercises,
    inbox,
    ledger,
    notices,
    obligations,
    subscriptions,
)
from noticebus.store.deliveries import Attempt, Delivery
from noticebus.store.ledger import Entry, History, make_entry
from noticebus.store.obligations import facts_of
from noticebus.store.subscriptions import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """One numbered delivery and its body, as a webhook would carry it."""

    delivery: Delivery
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A page of the feed. `last_sequence` is the last number given, in the same snapshot."""

    subscription_id: str
    items: list[Carried]
    last_sequence: int


async def fetch(
    desk: Desk, principal: Principal, *, subscription_id: str, after: int, limit: int
) -> Fetched:
    """Read at most `limit` deliveries of the caller's own subscription after number `after`.

    Those that wait to be fetched are noted as delivered, once. Nothing is acknowledged by it (I4).
    """
    require(principal, Scope.SUBSCRIBE, Scope.ANSWER)
    async with desk.database.read() as conn:
        order = await _own(conn, principal, subscription_id)
        page = await inbox.inbox_page(conn, subscription_id=order.id, after=after, limit=limit)
        last = await subscriptions.last_sequences(conn, subscription_ids=[order.id])
        items = await _render(conn, page, base_url=desk.base_url)
    waiting = [one for one in items if _waits(one.delivery)]
    if waiting:
        await _note_fetched(desk, waiting)
    return Fetched(subscription_id=order.id, items=items, last_sequence=last.get(order.id, 0))


async def _own(conn: AsyncConnection, principal: Principal, subscription_id: str) -> Subscription:
    order = await subscriptions.find_subscription(conn, subscription_id=subscription_id)
    if order is None or order.agency_id != own_agency(principal):
        raise NotFoundError(f"Your agency has no subscription {subscription_id}. Check the id.")
    if order.state is SubscriptionState.ENDED:
        raise ConflictError(
            "The subscription has ended, and with it the right to what it carried."
            " Read a notice you must answer at /v1/notices."
        )
    return order


async def _render(
    conn: AsyncConnection, page: Sequence[Delivery], *, base_url: str
) -> list[Carried]:
    if not page:
        return []
    about = await notices.notices_by_id(conn, {one.notice_id for one in page if one.notice_id})
    destinations = await claims.destinations_of(conn, [one.id for one in page])
    contents = Contents()
    return [
        Carried(
            delivery=one,
            body=webhook_body(
                one,
                notice=about[one.notice_id] if one.notice_id else None,
                destination=destinations[one.id],
                contents=contents,
                base_url=base_url,
            ),
        )
        for one in page
    ]


def _waits(delivery: Delivery) -> bool:
    return delivery.channel is Channel.INBOX and delivery.state is DeliveryState.QUEUED


async def _note_fetched(desk: Desk, waiting: Sequence[Carried]) -> None:
    """Note first fetches on obligations, then on deliveries (lock order), in one transaction."""
    now = desk.world.now()
    carried = {one.delivery.id: one for one in waiting}
    async with desk.database.begin() as conn:
        history = await _mark_obligations(conn, waiting, now=now)
        first = await inbox.mark_fetched(conn, list(carried), at=now)
        if first:
            made = [_attempt(carried[one], now=now) for one in sorted(first)]
            await deliveries.insert_attempts(conn, made)
        entries = [_entry(carried[one], now=now) for one in sorted(first)]
        await ledger.append(conn, [*entries, *(entry for entry, _ in history)])
        await ledger.append_history(conn, [line for _, line in history])
        live = await exercises.live_among(conn, [carried[one].delivery for one in first])
    for _ in live:
        desk.metrics.count_delivery(Channel.INBOX, Outcome.DELIVERED, dt.timedelta(0))
    desk.committed()


async def _mark_obligations(
    conn: AsyncConnection, waiting: Sequence[Carried], *, now: dt.datetime
) -> list[tuple[Entry, History]]:
    reached = _reached(waiting)
    if not reached:
        return []
    lines = []
    for owed in await obligations.mark_delivered(conn, list(reached.values()), at=now):
        data = {"obligation_id": owed.id, "delivery_id": reached[owed.id]}
        entry = make_entry("obligation.delivered", data, at=now, incident_id=owed.incident_id)
        lines.append(
            (entry, History(obligation_id=owed.id, entry_id=entry.id, facts=facts_of(owed)))
        )
    return lines


def _reached(waiting: Sequence[Carried]) -> Mapping[ObligationId, DeliveryId]:
    return {
        one.delivery.obligation_id: one.delivery.id
        for one in waiting
        if one.delivery.obligation_id is not None and one.delivery.cause in CARRIES_DUTY
    }


def _attempt(one: Carried, *, now: dt.datetime) -> Attempt:
    return Attempt(
        delivery_id=one.delivery.id,
        number=1,
        started_at=now,
        finished_at=now,
        outcome=Outcome.DELIVERED,
        fault=None,
        status_code=None,
        body_digest=hashlib.sha256(one.body).hexdigest(),
        response_excerpt="",
        error="",
        duration_ms=0,
    )


def _entry(one: Carried, *, now: dt.datetime) -> Entry:
    data = {
        "delivery_id": one.delivery.id,
        "obligation_id": one.delivery.obligation_id,
        "subscription_id": one.delivery.subscription_id,
        "channel": one.delivery.channel,
        "cause": one.delivery.cause,
        "sequence": one.delivery.sequence,
        "body_sha256": hashlib.sha256(one.body).hexdigest(),
    }
    return make_entry("delivery.delivered", data, at=now, incident_id=one.delivery.incident_id)
