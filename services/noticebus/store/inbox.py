"""What a subscription was sent, by its gap-free number, and noting that it was fetched."""

import datetime as dt
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Channel, DeliveryState
from noticebus.ids import DeliveryId, SubscriptionId
from noticebus.store.deliveries import Delivery
from noticebus.store.tables import deliveries


async def inbox_page(
    conn: AsyncConnection, *, subscription_id: SubscriptionId, after: int, limit: int
) -> list[Delivery]:
    """Read at most `limit` numbered deliveries of a subscription after number `after`, in order."""
    statement = (
        sa.select(deliveries)
        .where(
            deliveries.c.subscription_id == subscription_id,
            deliveries.c.sequence.is_not(None),
            deliveries.c.sequence > after,
        )
        .order_by(deliveries.c.sequence)
        .limit(limit)
    )
    return [Delivery(**row) for row in (await conn.execute(statement)).mappings()]


async def find_delivery(conn: AsyncConnection, delivery_id: str) -> Delivery | None:
    """Find one delivery by its id."""
    statement = sa.select(deliveries).where(deliveries.c.id == delivery_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Delivery(**row)


async def mark_fetched(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId], *, at: dt.datetime
) -> set[DeliveryId]:
    """Note that deliveries to a feed were fetched; give those for which it was the first time.

    Their obligations are locked before (lock order).
    """
    waiting = (
        sa.select(deliveries.c.id)
        .where(
            deliveries.c.id.in_(sorted(delivery_ids)),
            deliveries.c.channel == Channel.INBOX,
            deliveries.c.state == DeliveryState.QUEUED,
        )
        .order_by(deliveries.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_((await conn.execute(waiting)).scalars().all()))
        .values(state=DeliveryState.DELIVERED, attempts=1, due_at=None, finished_at=at)
        .returning(deliveries.c.id)
    )
    return {DeliveryId(one) for one in (await conn.execute(statement)).scalars()}
