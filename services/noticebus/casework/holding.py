"""What a paused subscription does not get: it is numbered, held back, and freed when it goes on.

The recipient's obligations, and the mail to its contacts, do not wait for it.
"""

import datetime as dt
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.casework import next_channel
from noticebus.casework.desk import Desk
from noticebus.casework.next_channel import Undelivered
from noticebus.contracts.vocabulary import Cause, Channel, DeliveryState, HeldBack, HeldReason
from noticebus.domain.delivery import NEXT_CHANNEL_AFTER
from noticebus.store import backlogs, claims
from noticebus.store import subscriptions as rows
from noticebus.store.claims import GivenBack
from noticebus.store.deliveries import Delivery
from noticebus.store.subscriptions import Subscription


async def hold_queued(conn: AsyncConnection, desk: Desk, order: Subscription) -> int:
    """Hold back what is queued for a subscription, in the transaction that pauses it; count it.

    What was never tried is told to the contacts by the next channel, as if it had failed.
    """
    now, machine_now = desk.world.now(), desk.machine.now()
    await rows.moot_subscription_deliveries(
        conn, subscription_id=order.id, causes=[Cause.HEARTBEAT], finished_at=now
    )
    fresh = await backlogs.lock_fresh(conn, order.id)
    count = await backlogs.hold_paused(conn, order.id)
    await next_channel.start(conn, desk, _untold(fresh, now), now=now, machine_now=machine_now)
    return count


async def let_go_held(
    conn: AsyncConnection, desk: Desk, order: Subscription, *, held_back: HeldBack = HeldBack.SEND
) -> int:
    """Free what a pause held back, in the transaction that ends it; count it.

    A feed is fetched, so that there is nothing to send or to leave.
    """
    now = desk.world.now()
    if order.channel is Channel.INBOX:
        return await backlogs.free_feed(conn, order.id)
    if held_back is HeldBack.LEAVE:
        return await backlogs.end_held(conn, order.id, state=DeliveryState.MOOT, finished_at=now)
    queue = backlogs.queue_mail if order.channel is Channel.EMAIL else backlogs.queue_held
    count = await queue(conn, order.id)
    await backlogs.wake(conn, [order.id], now=now, machine_now=desk.machine.now())
    return count


async def hold_claimed(desk: Desk, claimed: Sequence[Delivery]) -> None:
    """Hold back what was claimed while its subscription was being paused; it is no try."""
    now, machine_now = desk.world.now(), desk.machine.now()
    given = [
        GivenBack(
            delivery_id=one.id,
            attempts=one.attempts,
            due_at=None,
            held_reason=HeldReason.PAUSED,
        )
        for one in claimed
    ]
    async with desk.database.begin() as conn:
        await claims.give_back(conn, given, machine_now=machine_now)
        await next_channel.start(
            conn, desk, _untold(claimed, now), now=now, machine_now=machine_now
        )
    desk.committed_many(steps_by=None, deliveries_by=now)


def _untold(held_back: Sequence[Delivery], now: dt.datetime) -> list[Undelivered]:
    return [
        Undelivered(delivery=one, next_at=max(now, one.created_at + NEXT_CHANNEL_AFTER))
        for one in held_back
    ]
