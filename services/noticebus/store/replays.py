"""Replays: what a subscription was sent, sent again; each item is a delivery that names another."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import DeliveryState, ReplayState
from noticebus.ids import DeliveryId, ReplayId, SubscriptionId
from noticebus.store.deliveries import Delivery
from noticebus.store.rows import values_of
from noticebus.store.tables import deliveries, endpoints, replays


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """A request to be sent again what has a number after `after_sequence`, up to another.

    `total` was counted before it began; `queued` of them have been made into deliveries, up to
    the number `cursor`.
    """

    id: ReplayId
    subscription_id: SubscriptionId
    after_sequence: int
    until_sequence: int
    since: dt.datetime | None
    total: int
    queued: int
    cursor: int
    state: ReplayState
    requested_by: str
    created_at: dt.datetime
    finished_at: dt.datetime | None

    @property
    def all_queued(self) -> bool:
        return self.cursor >= self.until_sequence

    def ended(self, state: ReplayState, *, at: dt.datetime) -> "Replay":
        """Give what this is once it has ended."""
        return replace(self, state=state, finished_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """How the items of a replay stand: `moot` ones ended unsent, `waiting` ones have not ended."""

    delivered: int = 0
    failed: int = 0
    moot: int = 0
    waiting: int = 0


async def insert_replay(conn: AsyncConnection, new: Replay) -> None:
    """Store a new replay; the caller holds the subscription, so that no two begin at once."""
    await conn.execute(replays.insert().values(values_of(new)))


async def find_replay(conn: AsyncConnection, replay_id: str) -> Replay | None:
    """Find a replay by its id."""
    return await _one(conn, sa.select(replays).where(replays.c.id == replay_id))


async def running_of(conn: AsyncConnection, subscription_id: SubscriptionId) -> Replay | None:
    """Find the one replay of a subscription that runs, and lock it."""
    return await _one(
        conn,
        sa.select(replays)
        .where(replays.c.state == _running(), replays.c.subscription_id == subscription_id)
        .with_for_update(key_share=True),  # SQLite: the single writer
    )


async def lock_replay(
    conn: AsyncConnection, replay_id: str, *, skip_locked: bool = False
) -> Replay | None:
    """Find a replay and hold it; with `skip_locked` one that another holds is not found."""
    return await _one(
        conn,
        sa.select(replays)
        .where(replays.c.id == replay_id)
        .with_for_update(key_share=True, skip_locked=skip_locked),  # SQLite: the single writer
    )


async def list_replays(
    conn: AsyncConnection, subscription_id: SubscriptionId, *, before: str, limit: int
) -> list[Replay]:
    """List at most `limit` replays of a subscription, the newest first; older than `before`."""
    statement = (
        sa.select(replays)
        .where(replays.c.subscription_id == subscription_id)
        .order_by(replays.c.id.desc())
        .limit(limit)
    )
    if before:
        statement = statement.where(replays.c.id < before)
    return [Replay(**row) for row in (await conn.execute(statement)).mappings()]


async def due_replays(
    conn: AsyncConnection, *, machine_now: dt.datetime, batch_size_max: int
) -> list[ReplayId]:
    """List at most `batch_size_max` replays that run and whose backlog is due, oldest first."""
    statement = (
        sa.select(replays.c.id)
        .join(endpoints, endpoints.c.subscription_id == replays.c.subscription_id)
        .where(replays.c.state == _running(), endpoints.c.drain_at <= machine_now)
        .order_by(endpoints.c.drain_at, replays.c.id)
        .limit(batch_size_max)
    )
    return [ReplayId(one) for one in (await conn.execute(statement)).scalars()]


async def running_among(
    conn: AsyncConnection, subscription_ids: Collection[SubscriptionId]
) -> set[SubscriptionId]:
    """Tell which subscriptions have a replay that runs."""
    statement = sa.select(replays.c.subscription_id).where(
        replays.c.state == _running(), replays.c.subscription_id.in_(sorted(subscription_ids))
    )
    return {SubscriptionId(one) for one in (await conn.execute(statement)).scalars()}


async def write_replay(conn: AsyncConnection, changed: Replay) -> None:
    """Write how far a replay is, or how it ended; the caller holds it."""
    statement = (
        sa.update(replays)
        .where(replays.c.id == changed.id)
        .values(
            queued=changed.queued,
            cursor=changed.cursor,
            state=changed.state,
            finished_at=changed.finished_at,
        )
    )
    await conn.execute(statement)


async def number_before(
    conn: AsyncConnection, subscription_id: SubscriptionId, *, since: dt.datetime
) -> int | None:
    """Give the number before the first that was given at `since` or later; None: there is none."""
    statement = sa.select(sa.func.min(deliveries.c.sequence)).where(
        deliveries.c.subscription_id == subscription_id,
        deliveries.c.sequence.is_not(None),
        deliveries.c.created_at >= since,
    )
    first: int | None = (await conn.execute(statement)).scalar_one_or_none()
    return None if first is None else first - 1


async def count_originals(
    conn: AsyncConnection, subscription_id: SubscriptionId, *, after: int, until: int
) -> int:
    """Count what a subscription was sent under the numbers after `after` up to `until`."""
    statement = (
        sa.select(sa.func.count())
        .select_from(deliveries)
        .where(_numbered(subscription_id, after=after, until=until))
    )
    return int((await conn.execute(statement)).scalar_one())


async def originals(
    conn: AsyncConnection, subscription_id: SubscriptionId, *, after: int, until: int, limit: int
) -> list[Delivery]:
    """Read at most `limit` deliveries with a number after `after` up to `until`, in order."""
    statement = (
        sa.select(deliveries)
        .where(_numbered(subscription_id, after=after, until=until))
        .order_by(deliveries.c.sequence)
        .limit(limit)
    )
    return [Delivery(**row) for row in (await conn.execute(statement)).mappings()]


async def deliveries_by_id(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId]
) -> dict[DeliveryId, Delivery]:
    """Read the deliveries that replays repeat: one statement, none where there are none."""
    if not delivery_ids:
        return {}
    statement = sa.select(deliveries).where(deliveries.c.id.in_(sorted(delivery_ids)))
    found = [Delivery(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.id: one for one in found}


async def ends_of(conn: AsyncConnection, replay_ids: Collection[ReplayId]) -> dict[ReplayId, Ends]:
    """Count how the items of replays have ended, from the index over them."""
    statement = (
        sa.select(deliveries.c.replay_id, deliveries.c.state, sa.func.count())
        .where(deliveries.c.replay_id.in_(sorted(replay_ids)))
        .group_by(deliveries.c.replay_id, deliveries.c.state)
    )
    counts: dict[ReplayId, dict[DeliveryState, int]] = {one: {} for one in replay_ids}
    for replay_id, state, count in await conn.execute(statement):
        counts[replay_id][state] = count
    return {one: _ends(found) for one, found in counts.items()}


async def end_items(conn: AsyncConnection, replay_id: ReplayId, *, finished_at: dt.datetime) -> int:
    """End the items of a replay that are queued; say how many. What is being sent goes out."""
    queued = (
        sa.select(deliveries.c.id)
        .where(deliveries.c.replay_id == replay_id, deliveries.c.state == DeliveryState.QUEUED)
        .order_by(deliveries.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(queued.scalar_subquery()))
        .values(state=DeliveryState.MOOT, due_at=None, held_reason=None, finished_at=finished_at)
    )
    return (await conn.execute(statement)).rowcount


def _ends(counts: dict[DeliveryState, int]) -> Ends:
    delivered = counts.get(DeliveryState.DELIVERED, 0)
    failed = counts.get(DeliveryState.EXHAUSTED, 0) + counts.get(DeliveryState.REVOKED, 0)
    waiting = counts.get(DeliveryState.QUEUED, 0) + counts.get(DeliveryState.SENDING, 0)
    moot = counts.get(DeliveryState.MOOT, 0)
    return Ends(delivered=delivered, failed=failed, moot=moot, waiting=waiting)


def _numbered(subscription_id: SubscriptionId, *, after: int, until: int) -> sa.ColumnElement[bool]:
    return sa.and_(
        deliveries.c.subscription_id == subscription_id,
        deliveries.c.sequence.is_not(None),  # what the partial index holds
        deliveries.c.sequence > after,
        deliveries.c.sequence <= until,
    )


def _running() -> sa.ColumnElement[str]:
    """Write the word out, so that the partial index serves."""
    running: sa.ColumnElement[str] = sa.literal_column(f"'{ReplayState.RUNNING}'")
    return running


async def _one(conn: AsyncConnection, statement: sa.Select[tuple[object, ...]]) -> Replay | None:
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Replay(**row)
