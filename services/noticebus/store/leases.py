"""Which subscriptions' leases are to be warned about, or have run out."""

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import SubscriptionState
from noticebus.ids import SubscriptionId
from noticebus.store.tables import subscriptions


async def due_leases(
    conn: AsyncConnection,
    *,
    now: dt.datetime,
    warned_before: Sequence[dt.timedelta],
    batch_size_max: int,
) -> list[SubscriptionId]:
    """List at most `batch_size_max` active subscriptions with something due of their lease.

    The first to run out comes first. `warned_before` are the warnings, the earliest first.
    """
    stages = [
        sa.and_(subscriptions.c.lease_warned <= given, subscriptions.c.lease_until <= now + before)
        for given, before in enumerate(warned_before)
    ]
    statement = (
        sa.select(subscriptions.c.id)
        .where(
            subscriptions.c.lease_until.is_not(None),  # what the partial index holds
            subscriptions.c.lease_until <= now + max(warned_before),
            subscriptions.c.state == SubscriptionState.ACTIVE,
            sa.or_(subscriptions.c.lease_until <= now, *stages),
        )
        .order_by(subscriptions.c.lease_until, subscriptions.c.id)
        .limit(batch_size_max)
    )
    return [SubscriptionId(one) for one in (await conn.execute(statement)).scalars()]
