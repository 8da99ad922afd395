"""Consent: an endpoint gets nothing but a handshake until it has answered one; and tests."""

import datetime as dt

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Cause, DeliveryState, NoticeClass, SubscriptionState
from noticebus.ids import new_delivery_id
from noticebus.store import subscriptions as rows
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.ledger import append, make_entry
from noticebus.store.subscriptions import Subscription

CLASS = NoticeClass.B  # whose retry schedule handshakes and tests follow


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
    conn: AsyncConnection, *, subscription_id: str, challenge_ok: bool, at: dt.datetime
) -> bool:
    """Record what a handshake brought back, in the caller's transaction; True where it began.

    A wrong answer changes nothing: the attempt says so, and the subscription keeps waiting.
    """
    found = await rows.lock_subscription(conn, subscription_id=subscription_id)
    if not challenge_ok or found is None:
        return False
    if found.state is not SubscriptionState.PENDING_VERIFICATION:
        return False
    active = found.became(SubscriptionState.ACTIVE, verified_at=at)
    await rows.update_subscription(conn, active, revision=found.revision)
    body = {"subscription_id": found.id, "agency_id": found.agency_id}
    await append(conn, [make_entry("subscription.verified", body, at=at)])
    return True


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
        incident_id=None,
        obligation_id=None,
        notice_id=None,
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
        sequence=None,
        answer_due_at=None,
        state=DeliveryState.QUEUED,
        attempts=0,
        recipient_attempts=0,
        due_at=now,
        lease_until=desk.machine.now(),
        first_failed_at=None,
        finished_at=None,
        detail=None,
        created_at=now,
    )
    await insert_deliveries(conn, [delivery])
    return delivery
