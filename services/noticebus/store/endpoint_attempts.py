"""The latest attempts at one endpoint, and when something last arrived over each path."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Cause, Channel, DeliveryState, NoticeClass, Status
from noticebus.domain.paths import key_of
from noticebus.ids import ContactId, DeliveryId, SubscriptionId
from noticebus.store.deliveries import Attempt
from noticebus.store.tables import attempts, contacts, deliveries, incidents, subscriptions

LOOKED_AT_MAX = 200  # deliveries whose attempts may be among the latest
_ATTEMPT = tuple(attempts.c[name] for name in Attempt.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLine:
    """One attempt, with what of its delivery a list shows; `status` of what it was about."""

    attempt: Attempt
    cause: Cause
    notice_class: NoticeClass
    sequence: int | None
    state: DeliveryState
    status: Status | None


async def latest_attempts(
    conn: AsyncConnection, subscription_id: SubscriptionId, *, limit: int
) -> list[AttemptLine]:
    """Read the `limit` latest attempts at a subscription's endpoint, newest first.

    Of its `LOOKED_AT_MAX` newest deliveries, and of as many older ones that are still tried: a
    probe may carry the oldest of a backlog.
    """
    of_it = deliveries.c.subscription_id == subscription_id
    newest = (
        sa.select(deliveries.c.id)
        .where(of_it)
        .order_by(deliveries.c.id.desc())
        .limit(LOOKED_AT_MAX)
        .subquery()
    )
    unfinished = (
        sa.select(deliveries.c.id)
        .where(
            of_it,
            deliveries.c.state.in_([DeliveryState.QUEUED, DeliveryState.SENDING]),
            deliveries.c.attempts > 0,
        )
        .order_by(deliveries.c.id)
        .limit(LOOKED_AT_MAX)
        .subquery()
    )
    looked_at = sa.union(sa.select(newest.c.id), sa.select(unfinished.c.id))
    statement = (
        sa.select(
            *_ATTEMPT,
            deliveries.c.cause,
            deliveries.c.notice_class,
            deliveries.c.sequence,
            deliveries.c.state,
            incidents.c.status,
        )
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .outerjoin(incidents, incidents.c.id == deliveries.c.incident_id)
        .where(deliveries.c.id.in_(looked_at))
        .order_by(
            attempts.c.started_at.desc(), attempts.c.delivery_id.desc(), attempts.c.number.desc()
        )
        .limit(limit)
    )
    return [
        AttemptLine(
            attempt=Attempt(**{name: row[name] for name in Attempt.__dataclass_fields__}),
            cause=row["cause"],
            notice_class=row["notice_class"],
            sequence=row["sequence"],
            state=row["state"],
            status=row["status"],
        )
        for row in (await conn.execute(statement)).mappings()
    ]


async def last_arrivals(
    conn: AsyncConnection,
    *,
    subscription_ids: Collection[SubscriptionId],
    contact_ids: Collection[ContactId],
    since: dt.datetime,
) -> dict[str, dt.datetime]:
    """Say when something last arrived over each path since `since`, as `domain.paths` names them.

    Two statements. Each looks back along an index until it finds one.
    """
    last = (
        sa.select(deliveries.c.finished_at)
        .where(
            deliveries.c.subscription_id == subscriptions.c.id,
            deliveries.c.state == DeliveryState.DELIVERED,
            deliveries.c.finished_at >= since,
        )
        .order_by(deliveries.c.id.desc())
        .limit(1)
        .correlate(subscriptions)
        .scalar_subquery()
    )
    orders = sa.select(subscriptions.c.id, last.label("at")).where(
        subscriptions.c.id.in_(sorted(subscription_ids))
    )
    found = {row.id: row.at for row in await conn.execute(orders) if row.at is not None}
    people = (
        sa.select(
            contacts.c.id,
            deliveries.c.channel,
            sa.func.max(deliveries.c.finished_at).label("at"),
        )
        .join(deliveries, deliveries.c.contact_id == contacts.c.id)
        .where(
            contacts.c.id.in_(sorted(contact_ids)),
            deliveries.c.created_at >= since,
            deliveries.c.state == DeliveryState.DELIVERED,
        )
        .group_by(contacts.c.id, deliveries.c.channel)
    )
    rows = await conn.execute(people)
    return found | {key_of(row.id, Channel(row.channel)): row.at for row in rows}


async def newest_of_cause(
    conn: AsyncConnection, subscription_id: SubscriptionId, *, cause: Cause
) -> DeliveryId | None:
    """Find a subscription's newest delivery for a cause, as its handshake."""
    statement = (
        sa.select(deliveries.c.id)
        .where(deliveries.c.subscription_id == subscription_id, deliveries.c.cause == cause)
        .order_by(deliveries.c.id.desc())
        .limit(1)
    )
    found: DeliveryId | None = (await conn.execute(statement)).scalar_one_or_none()
    return found
