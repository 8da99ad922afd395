"""When each subscription is due a heartbeat, and what is known of it then."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    EndpointState,
    SubscriptionState,
)
from noticebus.ids import AgencyId, SubscriptionId
from noticebus.store.tables import deliveries, endpoints, subscription_counters, subscriptions

VERSION = 1  # of every heartbeat's delivery: its `step` is what numbers it


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A subscription that is due a heartbeat.

    `told_at` is when the notice with its last number was delivered, None where it was not.
    """

    subscription_id: SubscriptionId
    agency_id: AgencyId
    channel: Channel
    content_level: ContentLevel
    state: SubscriptionState
    endpoint_state: EndpointState | None
    heartbeat_minutes: int | None
    heartbeat_at: dt.datetime
    last_sequence: int
    told_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """The heartbeats of a subscription, numbered from `since` on, that a later one supersedes."""

    subscription_id: SubscriptionId
    since: int


async def next_heartbeat_at(conn: AsyncConnection) -> dt.datetime | None:
    """Tell when the next heartbeat is due, None where nobody wants any."""
    statement = sa.select(sa.func.min(subscription_counters.c.heartbeat_at)).where(
        subscription_counters.c.heartbeat_at.is_not(None)
    )
    found: dt.datetime | None = (await conn.execute(statement)).scalar_one()
    return found


async def lock_listeners(
    conn: AsyncConnection, *, now: dt.datetime, batch_size_max: int
) -> list[Listener]:
    """Lock and read at most `batch_size_max` subscriptions due a heartbeat, the longest due first.

    Those whose counter a notice holds at this moment are left for the next look.
    """
    counter, told = subscription_counters, deliveries
    statement = (
        sa.select(
            counter.c.subscription_id,
            subscriptions.c.agency_id,
            subscriptions.c.channel,
            subscriptions.c.content_level,
            subscriptions.c.state,
            endpoints.c.state.label("endpoint_state"),
            subscriptions.c.heartbeat_minutes,
            counter.c.heartbeat_at,
            counter.c.last_sequence,
            told.c.finished_at.label("told_at"),
        )
        .select_from(counter)
        .join(subscriptions, subscriptions.c.id == counter.c.subscription_id)
        .outerjoin(endpoints, endpoints.c.subscription_id == counter.c.subscription_id)
        .outerjoin(
            told,
            sa.and_(
                told.c.subscription_id == counter.c.subscription_id,
                told.c.sequence == counter.c.last_sequence,
                told.c.cause == Cause.NOTICE,
                told.c.state == DeliveryState.DELIVERED,
            ),
        )
        .where(counter.c.heartbeat_at.is_not(None), counter.c.heartbeat_at <= now)
        .order_by(counter.c.heartbeat_at, counter.c.subscription_id)
        .limit(batch_size_max)
        # SQLite: the single writer
        .with_for_update(of=counter, skip_locked=True, key_share=True)
    )
    return [Listener(**row) for row in (await conn.execute(statement)).mappings()]


async def set_heartbeats(
    conn: AsyncConnection, at: Mapping[SubscriptionId, dt.datetime | None]
) -> None:
    """Set when subscriptions are due their next heartbeat; None: no more."""
    statement = (
        sa.update(subscription_counters)
        .where(subscription_counters.c.subscription_id == sa.bindparam("b_id"))
        .values(heartbeat_at=sa.bindparam("b_at"))
    )
    await conn.execute(statement, [{"b_id": one, "b_at": at[one]} for one in sorted(at)])


async def moot_heartbeats(
    conn: AsyncConnection, superseded: Sequence[Superseded], *, finished_at: dt.datetime
) -> None:
    """End the heartbeats that still wait: another one, or a notice, says what they would have."""
    if not superseded:
        return
    statement = (
        sa.update(deliveries)
        .where(
            # The columns of the unique key in their order, so that its index is used.
            deliveries.c.subject == sa.bindparam("b_id"),
            deliveries.c.version == VERSION,
            deliveries.c.destination == sa.bindparam("b_id"),
            deliveries.c.cause == Cause.HEARTBEAT,
            deliveries.c.round == 0,
            deliveries.c.step >= sa.bindparam("b_since"),
            # Not IN: a list of its own length cannot be sent for many rows at once.
            (deliveries.c.state == DeliveryState.QUEUED)
            | (deliveries.c.state == DeliveryState.SENDING),
        )
        .values(state=DeliveryState.MOOT, finished_at=finished_at, due_at=None)
    )
    rows = [{"b_id": one.subscription_id, "b_since": one.since} for one in superseded]
    await conn.execute(statement, rows)
