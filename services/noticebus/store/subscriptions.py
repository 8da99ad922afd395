"""Subscriptions: standing orders, their area index, their counters; matching is elsewhere."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    EndpointState,
    NoticeKind,
    PauseReason,
    SubscriptionState,
)
from noticebus.ids import AgencyId, ContactId, SubscriptionId
from noticebus.store.rows import values_of
from noticebus.store.tables import (
    deliveries,
    endpoints,
    subscription_areas,
    subscription_counters,
    subscriptions,
)

ANY_KIND = "*"  # the index's word for a subscription to every kind of notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A standing order as it is stored.

    `secrets_sealed` is a list, newest first, of `{sealed, expires_at}`.
    """

    id: SubscriptionId
    agency_id: AgencyId
    name: str
    state: SubscriptionState
    channel: Channel
    url: str | None
    contact_id: ContactId | None
    content_level: ContentLevel
    area_keys: list[str]
    kinds: list[NoticeKind]
    secrets_sealed: list[dict[str, str | None]]
    challenge: str
    approved_at: dt.datetime | None
    approved_by: str | None
    verified_at: dt.datetime | None
    revision: int
    created_at: dt.datetime
    heartbeat_minutes: int | None = None
    rate_per_minute: int | None = None
    concurrency: int | None = None
    lease_until: dt.datetime | None = None
    lease_warned: int = 0
    paused_at: dt.datetime | None = None
    paused_by: str | None = None
    pause_reason: PauseReason | None = None
    credentials_sealed: dict[str, Any] | None = None
    certificate_expires_at: dt.datetime | None = None

    def became(
        self, state: SubscriptionState, *, verified_at: dt.datetime | None = None
    ) -> "Subscription":
        """Give what this is after its next change, in `state`."""
        return replace(
            self,
            state=state,
            verified_at=verified_at or self.verified_at,
            revision=self.revision + 1,
        )


async def insert_subscription(conn: AsyncConnection, new: Subscription) -> None:
    """Store a new subscription and its counter; it routes nothing until `index_areas` is called."""
    await conn.execute(subscriptions.insert().values(values_of(new)))
    await conn.execute(
        subscription_counters.insert().values(subscription_id=new.id, last_sequence=0)
    )


async def find_subscription(conn: AsyncConnection, *, subscription_id: str) -> Subscription | None:
    """Find a subscription, ended or not, by its id."""
    return await _find(conn, sa.select(subscriptions).where(subscriptions.c.id == subscription_id))


async def lock_subscription(conn: AsyncConnection, *, subscription_id: str) -> Subscription | None:
    """Find a subscription and hold it until the transaction ends: changes to it queue up."""
    return await _find(
        conn,
        sa.select(subscriptions)
        .where(subscriptions.c.id == subscription_id)
        .with_for_update(key_share=True),  # SQLite: the single writer
    )


async def list_subscriptions(
    conn: AsyncConnection,
    *,
    agency_id: str | None,
    state: SubscriptionState | None,
    endpoint_state: EndpointState | None = None,
    after: str,
    limit: int,
) -> list[Subscription]:
    """List at most `limit` subscriptions with ids after `after`, narrowed where asked, by id."""
    statement = sa.select(subscriptions).where(subscriptions.c.id > after)
    if agency_id is not None:
        statement = statement.where(subscriptions.c.agency_id == agency_id)
    if state is not None:
        statement = statement.where(subscriptions.c.state == state)
    if endpoint_state is not None:
        statement = statement.where(_endpoint_is(endpoint_state))
    statement = statement.order_by(subscriptions.c.id).limit(limit)
    return [_subscription(row) for row in (await conn.execute(statement)).mappings()]


def _endpoint_is(state: EndpointState) -> sa.ColumnElement[bool]:
    """Select those whose endpoint is in `state`: one that has never failed has no row."""
    same = sa.exists().where(endpoints.c.subscription_id == subscriptions.c.id)
    if state is not EndpointState.HEALTHY:
        return same.where(endpoints.c.state == state)
    called = subscriptions.c.channel.in_([Channel.WEBHOOK, Channel.KAFKA])
    return called & ~same.where(endpoints.c.state != state)


async def update_subscription(
    conn: AsyncConnection, changed: Subscription, *, revision: int
) -> bool:
    """Write `changed` over its `revision`; False where another change came first."""
    values = values_of(changed)
    statement = (
        subscriptions.update()
        .where(subscriptions.c.id == values.pop("id"), subscriptions.c.revision == revision)
        .values(values)
    )
    return (await conn.execute(statement)).rowcount == 1


async def index_areas(conn: AsyncConnection, subscription: Subscription) -> None:
    """Put an approved subscription into the index that routing reads, replacing what was there."""
    await drop_areas(conn, subscription_id=subscription.id)
    kinds: list[str] = [*sorted(set(subscription.kinds))] or [ANY_KIND]
    rows = [
        {"area_key": key, "kind": str(kind), "subscription_id": subscription.id}
        for key in sorted(set(subscription.area_keys))
        for kind in kinds
    ]
    await conn.execute(subscription_areas.insert(), rows)


async def drop_areas(conn: AsyncConnection, *, subscription_id: str) -> None:
    """Take a subscription out of routing."""
    await conn.execute(
        subscription_areas.delete().where(subscription_areas.c.subscription_id == subscription_id)
    )


async def last_sequences(
    conn: AsyncConnection, *, subscription_ids: list[SubscriptionId]
) -> dict[SubscriptionId, int]:
    """Give the last sequence number taken by each subscription, 0 where none was."""
    statement = sa.select(
        subscription_counters.c.subscription_id, subscription_counters.c.last_sequence
    ).where(subscription_counters.c.subscription_id.in_(sorted(subscription_ids)))
    return {SubscriptionId(id_): last for id_, last in await conn.execute(statement)}


async def next_version(conn: AsyncConnection, *, subscription_id: str, cause: Cause) -> int:
    """Give the number of the next handshake or test; the caller holds the subscription's lock."""
    statement = sa.select(sa.func.coalesce(sa.func.max(deliveries.c.version), 0) + 1).where(
        deliveries.c.subscription_id == subscription_id,
        deliveries.c.subject == subscription_id,
        deliveries.c.cause == cause,
    )
    return int((await conn.execute(statement)).scalar_one())


async def moot_subscription_deliveries(
    conn: AsyncConnection, *, subscription_id: str, causes: list[Cause], finished_at: dt.datetime
) -> None:
    """Make what still waits for an endpoint moot; an attempt under way finds its claim gone."""
    await conn.execute(
        deliveries.update()
        .where(
            deliveries.c.subscription_id == subscription_id,
            deliveries.c.cause.in_(causes),
            deliveries.c.state.in_([DeliveryState.QUEUED, DeliveryState.SENDING]),
        )
        .values(state=DeliveryState.MOOT, finished_at=finished_at, due_at=None)
    )


async def _find(
    conn: AsyncConnection, statement: sa.Select[tuple[object, ...]]
) -> Subscription | None:
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else _subscription(row)


def _subscription(row: sa.RowMapping) -> Subscription:
    fields = dict(row)
    fields["kinds"] = [NoticeKind(kind) for kind in row["kinds"]]
    return Subscription(**fields)
