"""What waits for its endpoint and is let go a little at a time; what a pause holds back."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    DeliveryState,
    EndpointState,
    HeldReason,
    NoticeClass,
    ReplayState,
    SubscriptionState,
)
from noticebus.domain.health import DOWN
from noticebus.ids import SubscriptionId
from noticebus.store import prepared
from noticebus.store.deliveries import Delivery
from noticebus.store.endpoints import drain_recovered, insert_missing, waits
from noticebus.store.tables import deliveries, endpoints, notices, replays, subscriptions

FRESH_MAX = 500  # deliveries never tried that one pause reports


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDrain:
    """A backlog of which more may go now, locked, and what its endpoint agreed to.

    `under_way` counts what was let go and is being sent, in line or put back, or due again; what
    failed and waits for its retry is not.
    """

    subscription_id: SubscriptionId
    subscription_state: SubscriptionState
    endpoint_state: EndpointState
    rate_per_minute: int | None
    concurrency: int | None
    under_way: int


_NEXT_DRAIN = sa.select(sa.func.min(endpoints.c.drain_at)).where(endpoints.c.drain_at.is_not(None))


async def next_drain_at(conn: AsyncConnection) -> dt.datetime | None:
    """Tell the machine time when more of a backlog may go, None where none does."""
    found: dt.datetime | None
    ((found,),) = await prepared.rows(conn, _NEXT_DRAIN, {})
    return found


async def lock_due_drains(
    conn: AsyncConnection, *, now: dt.datetime, machine_now: dt.datetime, batch_size_max: int
) -> list[DueDrain]:
    """Lock at most `batch_size_max` endpoints whose backlog is due, the longest due first.

    Those that another process has in hand are left to it. One statement.
    """
    sent = deliveries.alias("sent")
    under_way = (
        sa.select(sa.func.count())
        .select_from(sent)
        .where(
            sent.c.subscription_id == endpoints.c.subscription_id,
            sent.c.held_reason == _turn(),
            sent.c.due_at.is_not(None),
            sent.c.due_at <= now,
        )
        .correlate(endpoints)
        .scalar_subquery()
    )
    statement = (
        sa.select(
            endpoints.c.subscription_id,
            subscriptions.c.state.label("subscription_state"),
            endpoints.c.state.label("endpoint_state"),
            subscriptions.c.rate_per_minute,
            subscriptions.c.concurrency,
            under_way.label("under_way"),
        )
        .join(subscriptions, subscriptions.c.id == endpoints.c.subscription_id)
        .where(endpoints.c.drain_at.is_not(None), endpoints.c.drain_at <= machine_now)
        .order_by(endpoints.c.drain_at, endpoints.c.subscription_id)
        .limit(batch_size_max)
        .with_for_update(skip_locked=True, key_share=True, of=endpoints)  # SQLite: single writer
    )
    return [DueDrain(**row) for row in (await conn.execute(statement)).mappings()]


async def let_go(
    conn: AsyncConnection, counts: Mapping[SubscriptionId, int], *, now: dt.datetime
) -> dict[SubscriptionId, int]:
    """Let `counts[s]` of each backlog go, the gravest class first, then the oldest; count them.

    One statement for all of them: each reads no more of the index than it lets go.
    """
    shares = [_first(one, count) for one, count in sorted(counts.items()) if count]
    if not shares:
        return {}
    chosen = sa.union_all(*shares).cte("chosen") if len(shares) > 1 else shares[0].cte("chosen")
    statement = (
        sa.update(deliveries)
        .where(
            deliveries.c.id.in_(sa.select(chosen.c.id)),
            deliveries.c.state == DeliveryState.QUEUED,
            deliveries.c.due_at.is_(None),
        )
        .values(due_at=now, held_reason=HeldReason.TURN)
        .returning(deliveries.c.subscription_id)
    )
    gone: dict[SubscriptionId, int] = {}
    for one in (await conn.execute(statement)).scalars():
        gone[one] = gone.get(one, 0) + 1
    return gone


def _first(subscription_id: SubscriptionId, count: int) -> sa.Select[tuple[str]]:
    first = (
        sa.select(deliveries.c.id)
        .where(deliveries.c.subscription_id == subscription_id, waits(deliveries))
        .order_by(deliveries.c.notice_class, deliveries.c.id)
        .limit(count)
        .with_for_update(skip_locked=True, key_share=True)  # SQLite: the single writer
        .subquery()
    )
    return sa.select(first.c.id)


async def with_backlog(
    conn: AsyncConnection, subscription_ids: Collection[SubscriptionId]
) -> set[SubscriptionId]:
    """Tell in which backlogs anything waits: one seek each."""
    statement = sa.select(endpoints.c.subscription_id).where(
        endpoints.c.subscription_id.in_(sorted(subscription_ids)),
        _has_backlog(endpoints.c.subscription_id),
    )
    return {SubscriptionId(one) for one in (await conn.execute(statement)).scalars()}


async def set_drains(
    conn: AsyncConnection, at: Mapping[SubscriptionId, dt.datetime | None]
) -> None:
    """Write when more of each backlog goes, machine time; the caller holds the endpoints."""
    statement = (
        sa.update(endpoints)
        .where(endpoints.c.subscription_id == sa.bindparam("b_id"))
        .values(drain_at=sa.bindparam("b_at"))
    )
    await conn.execute(statement, [{"b_id": one, "b_at": at[one]} for one in sorted(at)])


async def wake(
    conn: AsyncConnection,
    subscription_ids: Collection[SubscriptionId],
    *,
    now: dt.datetime,
    machine_now: dt.datetime,
) -> None:
    """Let backlogs go from now on, unless their endpoint is down: then its recovery does it."""
    if not subscription_ids:
        return
    await insert_missing(conn, subscription_ids, now=now)
    await drain_recovered(conn, subscription_ids, machine_now=machine_now)


async def forgotten(conn: AsyncConnection, *, limit: int) -> list[SubscriptionId]:
    """Find active subscriptions with a backlog that nobody lets go although nothing stops it.

    As where a notice was held for a pause that ended before it was stored. A replay that runs is
    one as well, also while none of its items waits. A feed is fetched: what it holds is let go by
    nobody.
    """
    statement = (
        sa.select(subscriptions.c.id)
        .outerjoin(endpoints, endpoints.c.subscription_id == subscriptions.c.id)
        .where(
            subscriptions.c.state == SubscriptionState.ACTIVE,
            endpoints.c.drain_at.is_(None),
            subscriptions.c.channel != Channel.INBOX,
            endpoints.c.state.is_(None) | endpoints.c.state.not_in(sorted(DOWN)),
            _has_backlog(subscriptions.c.id) | _is_replayed(subscriptions.c.id),
        )
        .order_by(subscriptions.c.id)
        .limit(limit)
    )
    return [SubscriptionId(one) for one in (await conn.execute(statement)).scalars()]


async def left_behind(conn: AsyncConnection, *, limit: int) -> list[SubscriptionId]:
    """Find subscriptions that have ended with a backlog: something was held as they ended."""
    statement = (
        sa.select(subscriptions.c.id)
        .where(
            subscriptions.c.state == SubscriptionState.ENDED,
            subscriptions.c.channel != Channel.INBOX,
            _has_backlog(subscriptions.c.id),
        )
        .order_by(subscriptions.c.id)
        .limit(limit)
    )
    return [SubscriptionId(one) for one in (await conn.execute(statement)).scalars()]


async def lock_fresh(conn: AsyncConnection, subscription_id: SubscriptionId) -> list[Delivery]:
    """Lock what is due to a subscription and was never tried, `FRESH_MAX` at most, by id."""
    statement = (
        sa.select(deliveries)
        .where(
            _due_to(subscription_id),
            deliveries.c.attempts == 0,
            deliveries.c.held_reason.is_(None),
        )
        .order_by(deliveries.c.id)
        .limit(FRESH_MAX)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    return [Delivery(**row) for row in (await conn.execute(statement)).mappings()]


async def hold_paused(conn: AsyncConnection, subscription_id: SubscriptionId) -> int:
    """Hold back all that is queued for a subscription, until it is resumed; say how many.

    A handshake proves consent, and is not held.
    """
    queued = (
        sa.select(deliveries.c.id)
        .where(
            _due_to(subscription_id)
            | ((deliveries.c.subscription_id == subscription_id) & waits(deliveries)),
            deliveries.c.cause != Cause.HANDSHAKE,
        )
        .order_by(deliveries.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(queued.scalar_subquery()))
        .values(due_at=None, held_reason=HeldReason.PAUSED)
    )
    return (await conn.execute(statement)).rowcount


async def queue_held(conn: AsyncConnection, subscription_id: SubscriptionId) -> int:
    """Let what a pause held back wait for its turn; say how many."""
    return await _free(conn, subscription_id, held_reason=HeldReason.TURN)


async def queue_mail(conn: AsyncConnection, subscription_id: SubscriptionId) -> int:
    """Let mail that a pause held back go as few messages, those of class A apart; say how many.

    What is of an exercise and what is not never share one (I9).
    """
    status = (
        sa.select(notices.c.status).where(notices.c.id == deliveries.c.notice_id).scalar_subquery()
    )
    line = deliveries.c.contact_id + f":{Channel.EMAIL}:" + status + f":{subscription_id}"
    apart = deliveries.c.notice_class == NoticeClass.A
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(_held_of(subscription_id)))
        .values(held_reason=HeldReason.TURN, bundle=sa.case((apart, sa.null()), else_=line))
    )
    return (await conn.execute(statement)).rowcount


async def free_feed(conn: AsyncConnection, subscription_id: SubscriptionId) -> int:
    """Let what a pause held back of a feed be fetched as ever; say how many."""
    return await _free(conn, subscription_id, held_reason=None)


async def end_held(
    conn: AsyncConnection,
    subscription_id: SubscriptionId,
    *,
    state: DeliveryState,
    finished_at: dt.datetime,
) -> int:
    """End all that waits in a backlog, as `state` says; say how many."""
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(_held_of(subscription_id)))
        .values(state=state, held_reason=None, finished_at=finished_at)
    )
    return (await conn.execute(statement)).rowcount


async def _free(
    conn: AsyncConnection, subscription_id: SubscriptionId, *, held_reason: HeldReason | None
) -> int:
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(_held_of(subscription_id)))
        .values(held_reason=held_reason)
    )
    return (await conn.execute(statement)).rowcount


def _held_of(subscription_id: SubscriptionId) -> sa.ScalarSelect[str]:
    return (
        sa.select(deliveries.c.id)
        .where(deliveries.c.subscription_id == subscription_id, waits(deliveries))
        .order_by(deliveries.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
        .scalar_subquery()
    )


def _due_to(subscription_id: SubscriptionId) -> sa.ColumnElement[bool]:
    return sa.and_(
        deliveries.c.subscription_id == subscription_id,
        deliveries.c.state == DeliveryState.QUEUED,
        deliveries.c.due_at.is_not(None),
    )


def _has_backlog(subscription_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    held = deliveries.alias("held")
    return sa.exists().where(held.c.subscription_id == subscription_id, waits(held))


def _is_replayed(subscription_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    running: sa.ColumnElement[str] = sa.literal_column(f"'{ReplayState.RUNNING}'")
    return sa.exists().where(
        replays.c.subscription_id == subscription_id, replays.c.state == running
    )


def _turn() -> sa.ColumnElement[str]:
    """Write the word out, so that the partial index serves."""
    turn: sa.ColumnElement[str] = sa.literal_column(f"'{HeldReason.TURN}'")
    return turn
