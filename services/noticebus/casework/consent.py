"""Consent: an endpoint gets nothing but a handshake until it has answered one; and tests."""

import datetime as dt
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import heartbeats
from noticebus.casework.desk import Desk
from noticebus.casework.holding import let_go_held
from noticebus.casework.leases import leased
from noticebus.contracts.base import write_instant
from noticebus.contracts.vocabulary import (
    Cause,
    NoticeClass,
    PauseReason,
    SubscriptionState,
)
from noticebus.domain.handshakes import Agreed
from noticebus.ids import new_delivery_id
from noticebus.store import subscriptions as rows
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.ledger import append, make_entry
from noticebus.store.subscriptions import Subscription

CLASS = NoticeClass.B  # whose retry schedule handshakes and tests follow
ANSWERS = frozenset({SubscriptionState.PENDING_VERIFICATION, SubscriptionState.ACTIVE})


async def ask_consent(conn: AsyncConnection, desk: Desk, subscription: Subscription) -> Delivery:
    """Queue a handshake in place of those that still wait.

    The caller holds the subscription's lock.
    """
    await rows.moot_subscription_deliveries(
        conn,
        subscription_id=subscription.id,
        causes=[Cause.HANDSHAKE],
        finished_at=desk.world.now(),
    )
    return await carry(conn, desk, subscription, cause=Cause.HANDSHAKE)


async def confirm_handshake(
    conn: AsyncConnection,
    desk: Desk,
    *,
    subscription_id: str,
    challenge_ok: bool,
    agreed: Agreed | None = None,
) -> bool:
    """Record what a handshake brought back, in the caller's transaction; True where it began.

    A wrong answer changes nothing: the attempt says so, and the subscription keeps waiting. A right
    one begins a lease, or renews it where the subscription was active; its terms replace those
    before. Who had paused, and then moved, stays paused.
    """
    found = await rows.lock_subscription(conn, subscription_id=subscription_id)
    if not challenge_ok or found is None or found.state not in ANSWERS:
        return False
    at, terms = desk.world.now(), agreed or Agreed()
    verified = replace(
        _consented(leased(found, days=desk.lease_days, at=at), at=at),
        rate_per_minute=terms.rate_per_minute,
        concurrency=terms.concurrency,
    )
    await rows.update_subscription(conn, verified, revision=found.revision)
    begins = found.state is SubscriptionState.PENDING_VERIFICATION
    if begins:
        await heartbeats.begin(conn, verified, at=at)
        if verified.state is SubscriptionState.ACTIVE:
            await let_go_held(conn, desk, verified)  # what came since it was given a new URL
    await append(conn, [make_entry("subscription.verified", _verified(verified), at=at)])
    return begins


def _consented(order: Subscription, *, at: dt.datetime) -> Subscription:
    """Give what has consented: active, unless somebody paused it, which only somebody ends.

    A lease that had lapsed is renewed by a handshake, and renewing it resumes it.
    """
    lapsed = order.pause_reason is PauseReason.LEASE_LAPSED
    if order.paused_at is not None and not lapsed:
        return order.became(SubscriptionState.PAUSED, verified_at=at)
    active = order.became(SubscriptionState.ACTIVE, verified_at=at)
    return replace(active, paused_at=None, paused_by=None, pause_reason=None)


def _verified(order: Subscription) -> dict[str, Any]:
    until = order.lease_until
    return {
        "subscription_id": order.id,
        "agency_id": order.agency_id,
        "rate_per_minute": order.rate_per_minute,
        "concurrency": order.concurrency,
        "lease_until": None if until is None else write_instant(until),
    }


async def carry(
    conn: AsyncConnection, desk: Desk, subscription: Subscription, *, cause: Cause
) -> Delivery:
    """Queue a delivery about the subscription itself, due now.

    The caller holds the subscription's lock.
    """
    now = desk.world.now()
    version = await rows.next_version(conn, subscription_id=subscription.id, cause=cause)
    delivery = Delivery(
        id=new_delivery_id(),
        subscription_id=subscription.id,
        contact_id=subscription.contact_id,
        agency_id=subscription.agency_id,
        subject=subscription.id,
        destination=subscription.id,
        channel=subscription.channel,
        cause=cause,
        version=version,
        round=0,
        step=0,
        notice_class=CLASS,
        content_level=subscription.content_level,
        due_at=now,
        lease_until=desk.machine.now(),
        created_at=now,
    )
    await insert_deliveries(conn, [delivery])
    return delivery
