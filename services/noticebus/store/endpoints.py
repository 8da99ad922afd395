"""How the endpoints of subscriptions do, and what waits for those that are down.

Whoever holds an endpoint's row takes deliveries with SKIP LOCKED or by what nobody else waits for,
so that endpoints come last in the order of locks.
"""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    EndpointState,
    HeldReason,
    NoticeClass,
    SubscriptionState,
)
from noticebus.domain.health import DOWN, Health
from noticebus.ids import AgencyId, SubscriptionId
from noticebus.store import prepared
from noticebus.store.deliveries import Delivery
from noticebus.store.rows import among_given, values_of
from noticebus.store.tables import (
    agencies,
    deliveries,
    endpoints,
    subscription_counters,
    subscriptions,
)

HELD_AT_ONCE_MAX = 5_000  # what is due beyond that is held when it is claimed
CALLED = (Channel.WEBHOOK, Channel.KAFKA)
_HEALTH = tuple(getattr(endpoints.c, name) for name in Health.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A subscription whose endpoint is called: whose it is, and what it was sent last."""

    id: SubscriptionId
    agency_id: AgencyId
    agency_name: str
    name: str
    channel: Channel
    content_level: ContentLevel
    last_sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DueProbe:
    """An endpoint whose time for a probe has come, locked, and how its subscription stands."""

    subscription_id: SubscriptionId
    subscription_state: SubscriptionState
    health: Health


def waits(held: sa.FromClause) -> sa.ColumnElement[bool]:
    """Select what waits in a backlog, in the words of its partial index."""
    return sa.and_(
        held.c.due_at.is_(None),
        held.c.held_reason.is_not(None),
        held.c.finished_at.is_(None),
        held.c.state == DeliveryState.QUEUED,
    )


async def insert_missing(
    conn: AsyncConnection, subscription_ids: Collection[SubscriptionId], *, now: dt.datetime
) -> None:
    """Give each endpoint a row that has none yet: healthy, until its failures are written."""
    if not subscription_ids:
        return
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    rows = [
        {"subscription_id": one, "changed_at": now, **values_of(Health())}
        for one in sorted(subscription_ids)
    ]
    await conn.execute(insert(endpoints).on_conflict_do_nothing(), rows)


_UNWELL = (
    sa.select(endpoints.c.subscription_id, *_HEALTH)
    .where(
        among_given(endpoints.c.subscription_id, "failed")
        | among_given(endpoints.c.subscription_id, "succeeded")
        & (endpoints.c.state != EndpointState.HEALTHY)
    )
    .order_by(endpoints.c.subscription_id)
    .with_for_update(key_share=True)  # SQLite: the single writer
)


async def lock_endpoints(
    conn: AsyncConnection,
    *,
    failed: Collection[SubscriptionId],
    succeeded: Collection[SubscriptionId] = (),
) -> dict[SubscriptionId, Health]:
    """Lock, in id order, the rows of `failed`, and of `succeeded` those that are not healthy."""
    given = {"failed": failed, "succeeded": succeeded}
    found = await prepared.rows(conn, _UNWELL, given)
    return {
        SubscriptionId(id_): Health(**dict(zip(Health.__dataclass_fields__, health, strict=True)))
        for id_, *health in found
    }


async def write(
    conn: AsyncConnection, changed: Mapping[SubscriptionId, Health], *, now: dt.datetime
) -> None:
    """Write how endpoints stand over their rows, which the caller holds: one statement."""
    if not changed:
        return
    names = [*Health.__dataclass_fields__, "changed_at"]
    statement = (
        sa.update(endpoints)
        .where(endpoints.c.subscription_id == sa.bindparam("b_id"))
        .values({name: sa.bindparam(f"b_{name}") for name in names})
    )
    rows = [
        {"b_id": one, "b_changed_at": now}
        | {f"b_{name}": value for name, value in values_of(changed[one]).items()}
        for one in sorted(changed)
    ]
    await conn.execute(statement, rows)


async def hold_waiting(conn: AsyncConnection, subscription_ids: Collection[SubscriptionId]) -> None:
    """Hold what waits to be tried again at endpoints that are down: one statement, so many.

    What was never tried is not held here: the first of it may be the probe.
    """
    waiting = (
        sa.select(deliveries.c.id)
        .where(
            deliveries.c.subscription_id.in_(sorted(subscription_ids)),
            deliveries.c.state == DeliveryState.QUEUED,
            deliveries.c.due_at.is_not(None),
            deliveries.c.channel.in_(CALLED),
            deliveries.c.cause != Cause.HANDSHAKE,
            (deliveries.c.attempts > 0) | (deliveries.c.held_reason == HeldReason.TURN),
        )
        .order_by(deliveries.c.id)
        .limit(HELD_AT_ONCE_MAX)
        .with_for_update(skip_locked=True, key_share=True)  # SQLite: the single writer
    )
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(sa.select(waiting.cte("waiting").c.id)))
        .values(due_at=None, held_reason=HeldReason.ENDPOINT_DOWN)
    )
    await conn.execute(statement)


async def drain_recovered(
    conn: AsyncConnection, subscription_ids: Collection[SubscriptionId], *, machine_now: dt.datetime
) -> None:
    """Let the backlog go on of endpoints that recovered while something was put into it.

    It waits for whoever holds the row: of a recovery and what is held meanwhile, one sees the
    other.
    """
    locked = (
        sa.select(endpoints.c.subscription_id)
        .where(endpoints.c.subscription_id.in_(sorted(subscription_ids)))
        .order_by(endpoints.c.subscription_id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    await conn.execute(locked)
    await conn.execute(
        sa.update(endpoints)
        .where(
            endpoints.c.subscription_id.in_(sorted(subscription_ids)),
            endpoints.c.state.not_in(sorted(DOWN)),
            endpoints.c.drain_at.is_(None),
        )
        .values(drain_at=machine_now)
    )


_NEXT_PROBE = sa.select(sa.func.min(endpoints.c.probe_at)).where(endpoints.c.probe_at.is_not(None))


async def next_probe_at(conn: AsyncConnection) -> dt.datetime | None:
    """Tell the machine time of the next probe, None where no endpoint is down."""
    found: dt.datetime | None
    ((found,),) = await prepared.rows(conn, _NEXT_PROBE, {})
    return found


async def lock_due_probes(
    conn: AsyncConnection, *, machine_now: dt.datetime, batch_size_max: int
) -> list[DueProbe]:
    """Lock at most `batch_size_max` endpoints whose time for a probe has come, longest due first.

    Those that another process has in hand are left to it.
    """
    statement = (
        sa.select(endpoints.c.subscription_id, *_HEALTH, subscriptions.c.state.label("order_state"))
        .join(subscriptions, subscriptions.c.id == endpoints.c.subscription_id)
        .where(endpoints.c.probe_at.is_not(None), endpoints.c.probe_at <= machine_now)
        .order_by(endpoints.c.probe_at, endpoints.c.subscription_id)
        .limit(batch_size_max)
        .with_for_update(skip_locked=True, key_share=True, of=endpoints)  # SQLite: as above
    )
    return [
        DueProbe(
            subscription_id=SubscriptionId(row["subscription_id"]),
            subscription_state=row["order_state"],
            health=_health(row),
        )
        for row in (await conn.execute(statement)).mappings()
    ]


async def let_through(
    conn: AsyncConnection, subscription_ids: Collection[SubscriptionId], *, now: dt.datetime
) -> set[SubscriptionId]:
    """Let one delivery of each backlog go, the gravest and oldest; tell whose backlog had one."""
    waiting = deliveries.alias("waiting")
    gravest = (
        sa.select(waiting.c.id)
        .where(
            waiting.c.subscription_id == endpoints.c.subscription_id,
            waits(waiting),
            waiting.c.held_reason.in_([HeldReason.ENDPOINT_DOWN, HeldReason.TURN]),
        )
        .order_by(waiting.c.notice_class, waiting.c.id)
        .limit(1)
        .correlate(endpoints)
        .scalar_subquery()
    )
    chosen = sa.select(gravest).where(endpoints.c.subscription_id.in_(sorted(subscription_ids)))
    statement = (
        sa.update(deliveries)
        .where(
            deliveries.c.id.in_(chosen),
            deliveries.c.state == DeliveryState.QUEUED,
            deliveries.c.due_at.is_(None),
        )
        .values(due_at=now, held_reason=HeldReason.TURN)
        .returning(deliveries.c.subscription_id)
    )
    return set((await conn.execute(statement)).scalars())


async def exhaust_held(
    conn: AsyncConnection,
    subscription_ids: Collection[SubscriptionId],
    *,
    too_old: Mapping[NoticeClass, dt.datetime],
    now: dt.datetime,
    batch_size_max: int,
) -> list[Delivery]:
    """End at most `batch_size_max` deliveries held since before what their class may last.

    Since their first failure, or where nothing was tried since they were made; but no longer than
    their endpoint has been down: what waited through a pause has had no try yet.
    """
    since = sa.func.coalesce(deliveries.c.first_failed_at, deliveries.c.created_at)
    past = [
        (deliveries.c.notice_class == one) & (since <= before) & (endpoints.c.tripped_at <= before)
        for one, before in too_old.items()
    ]
    old = (
        sa.select(deliveries.c.id)
        .join(endpoints, endpoints.c.subscription_id == deliveries.c.subscription_id)
        .where(
            deliveries.c.subscription_id.in_(sorted(subscription_ids)),
            waits(deliveries),
            deliveries.c.held_reason.in_([HeldReason.ENDPOINT_DOWN, HeldReason.TURN]),
            sa.or_(*past),
        )
        .order_by(deliveries.c.id)
        .limit(batch_size_max)
        # SQLite: the single writer
        .with_for_update(of=deliveries, skip_locked=True, key_share=True)
    )
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(sa.select(old.cte("old").c.id)))
        .values(state=DeliveryState.EXHAUSTED, held_reason=None, finished_at=now)
        .returning(*deliveries.c)
    )
    return [Delivery(**row) for row in (await conn.execute(statement)).mappings()]


async def endpoints_of(
    conn: AsyncConnection, subscription_ids: Collection[SubscriptionId]
) -> dict[SubscriptionId, Health]:
    """Read how endpoints stand; one without a row has never failed."""
    statement = sa.select(endpoints.c.subscription_id, *_HEALTH).where(
        endpoints.c.subscription_id.in_(sorted(subscription_ids))
    )
    rows = (await conn.execute(statement)).mappings()
    return {SubscriptionId(row["subscription_id"]): _health(row) for row in rows}


async def held_counts(
    conn: AsyncConnection, subscription_ids: Collection[SubscriptionId]
) -> dict[SubscriptionId, int]:
    """Count what waits in the backlog of each subscription, for whatever reason."""
    statement = (
        sa.select(deliveries.c.subscription_id, sa.func.count())
        .where(
            deliveries.c.subscription_id.in_(sorted(subscription_ids)),
            waits(deliveries),
        )
        .group_by(deliveries.c.subscription_id)
    )
    return {SubscriptionId(id_): count for id_, count in await conn.execute(statement)}


async def called(
    conn: AsyncConnection, subscription_ids: Collection[SubscriptionId]
) -> dict[SubscriptionId, Called]:
    """Read whose endpoints they are, as warnings name them and probes need them."""
    statement = (
        sa.select(
            subscriptions.c.id,
            subscriptions.c.agency_id,
            agencies.c.name.label("agency_name"),
            subscriptions.c.name,
            subscriptions.c.channel,
            subscriptions.c.content_level,
            subscription_counters.c.last_sequence,
        )
        .join(agencies, agencies.c.id == subscriptions.c.agency_id)
        .join(subscription_counters, subscription_counters.c.subscription_id == subscriptions.c.id)
        .where(subscriptions.c.id.in_(sorted(subscription_ids)))
    )
    found = [Called(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.id: one for one in found}


async def count_states(conn: AsyncConnection) -> dict[EndpointState, int]:
    """Count the endpoints of active subscriptions by state; one without a row is healthy."""
    state = sa.func.coalesce(endpoints.c.state, EndpointState.HEALTHY)
    statement = (
        sa.select(state, sa.func.count())
        .select_from(subscriptions)
        .outerjoin(endpoints, endpoints.c.subscription_id == subscriptions.c.id)
        .where(
            subscriptions.c.state == SubscriptionState.ACTIVE, subscriptions.c.channel.in_(CALLED)
        )
        .group_by(state)
    )
    found = {EndpointState(one): count for one, count in await conn.execute(statement)}
    return {one: found.get(one, 0) for one in EndpointState}


def _health(row: sa.RowMapping) -> Health:
    return Health(**{name: row[name] for name in Health.__dataclass_fields__})
