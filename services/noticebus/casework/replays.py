"""Replays: a subscriber asks to be sent again what it was sent since a number or a time.

Counted before it begins, complete, at the rate of a backlog, and its progress can be read.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework.administration import enter
from noticebus.casework.desk import Desk
from noticebus.casework.orders import held, names, require_state, visible
from noticebus.contracts.base import write_instant
from noticebus.contracts.vocabulary import (
    Cause,
    DeliveryState,
    HeldReason,
    ReplayState,
    SubscriptionState,
)
from noticebus.domain.leases import CALLED
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import ReplayId, new_delivery_id, new_replay_id
from noticebus.store import backlogs, deliveries, ledger, subscriptions
from noticebus.store import replays as rows
from noticebus.store.deliveries import Delivery
from noticebus.store.ledger import make_entry
from noticebus.store.replays import Ends, Replay
from noticebus.store.subscriptions import Subscription

CHUNK = 500  # items made at a time
REPLAYS_MAX = 20  # of one round, one short transaction each


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be sent again: after a number, or since a time; up to a number if one is given."""

    after: int | None
    since: dt.datetime | None
    until: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The numbers of a replay, and how many deliveries that is."""

    after: int
    until: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A replay and how its items have ended so far."""

    replay: Replay
    ends: Ends

    @property
    def id(self) -> ReplayId:
        return self.replay.id

    @property
    def waiting(self) -> int:
        """Give how many are still to be sent, made or not."""
        if self.replay.state is not ReplayState.RUNNING:
            return self.ends.waiting
        return self.replay.total - self.ends.delivered - self.ends.failed - self.ends.moot

    @property
    def not_sent(self) -> int:
        """Give how many will not be sent: it was cancelled, or they were left in the inbox."""
        return self.replay.total - self.ends.delivered - self.ends.failed - self.waiting


async def count_replay(
    desk: Desk, principal: Principal, *, subscription_id: str, wanted: Wanted
) -> Span:
    """Count what a replay would send, and change nothing."""
    async with desk.database.read() as conn:
        found = visible(
            principal, await subscriptions.find_subscription(conn, subscription_id=subscription_id)
        )
        _refuse_uncalled(found)
        return await _span(conn, found, wanted)


async def begin_replay(
    desk: Desk,
    principal: Principal,
    *,
    subscription_id: str,
    wanted: Wanted,
    counted: int | None = None,
) -> Progress:
    """Begin a replay; its items follow in their turn. One that has nothing to send has ended.

    Whoever has confirmed a number says it as `counted`; where it is another now, nothing begins.
    """
    now = desk.world.now()
    async with desk.database.begin() as conn:
        order = await held(conn, principal, subscription_id)
        _refuse_uncalled(order)
        require_state(order, SubscriptionState.ACTIVE, verb="replayed")
        _refuse_second(await rows.running_of(conn, order.id))
        span = await _span(conn, order, wanted)
        _refuse_other_count(span, counted)
        new = _new(order, span, wanted, by=principal, at=now)
        await rows.insert_replay(conn, new)
        await enter(conn, "replay.requested", _facts(order, new), by=principal, at=now)
        if new.state is ReplayState.RUNNING:
            await backlogs.wake(conn, [order.id], now=now, machine_now=desk.machine.now())
    desk.committed()
    return Progress(replay=new, ends=Ends())


async def get_replay(
    desk: Desk, principal: Principal, *, subscription_id: str, replay_id: str
) -> Progress:
    """Read how far a replay is."""
    async with desk.database.read() as conn:
        order = visible(
            principal, await subscriptions.find_subscription(conn, subscription_id=subscription_id)
        )
        found = _of(order, await rows.find_replay(conn, replay_id), replay_id)
        return (await _progress(conn, [found]))[0]


async def list_replays(
    desk: Desk, principal: Principal, *, subscription_id: str, before: str, limit: int
) -> list[Progress]:
    """List at most `limit` replays of a subscription, the newest first; older than `before`."""
    async with desk.database.read() as conn:
        order = visible(
            principal, await subscriptions.find_subscription(conn, subscription_id=subscription_id)
        )
        found = await rows.list_replays(conn, order.id, before=before, limit=limit)
        return await _progress(conn, found)


async def cancel_replay(
    desk: Desk, principal: Principal, *, subscription_id: str, replay_id: str
) -> Progress:
    """Cancel a replay that runs: what is on its way arrives, nothing follows."""
    now = desk.world.now()
    async with desk.database.begin() as conn:
        order = await held(conn, principal, subscription_id)
        found = _of(order, await rows.lock_replay(conn, replay_id), replay_id)
        if found.state is not ReplayState.RUNNING:
            raise ConflictError(
                f"The replay is '{found.state}' already, so there is nothing to cancel."
            )
        cancelled = await end(conn, found, at=now)
        (progress,) = await _progress(conn, [cancelled])
        body = {**_facts(order, cancelled), **_counts(progress)}
        await enter(conn, "replay.cancelled", body, by=principal, at=now)
    desk.committed()
    return progress


async def end(conn: AsyncConnection, found: Replay, *, at: dt.datetime) -> Replay:
    """End a replay before its time, with everything of it that is queued; the caller holds it."""
    await rows.end_items(conn, found.id, finished_at=at)
    cancelled = found.ended(ReplayState.CANCELLED, at=at)
    await rows.write_replay(conn, cancelled)
    return cancelled


async def queue_due(desk: Desk) -> int:
    """Make the next items of replays whose backlog is due, and end those that are through.

    At most `CHUNK` items of at most `REPLAYS_MAX`, one short transaction each; say how many items.
    """
    async with desk.database.read() as conn:
        due = await rows.due_replays(
            conn, machine_now=desk.machine.now(), batch_size_max=REPLAYS_MAX
        )
    made = 0
    for one in due:
        async with desk.database.begin() as conn:
            made += await _go_on(conn, desk, one)
    return made


async def _go_on(conn: AsyncConnection, desk: Desk, replay_id: ReplayId) -> int:
    """Take one replay a chunk further, from where its row says it is."""
    found = await rows.lock_replay(conn, replay_id, skip_locked=True)
    if found is None or found.state is not ReplayState.RUNNING:
        return 0
    if found.all_queued:
        await _finish(conn, desk, found)
        return 0
    chunk = await rows.originals(
        conn,
        found.subscription_id,
        after=found.cursor,
        until=found.until_sequence,
        limit=CHUNK,
    )
    now, machine_now = desk.world.now(), desk.machine.now()
    items = [_item(one, found, now=now, machine_now=machine_now) for one in chunk]
    await deliveries.insert_deliveries(conn, items)
    last = chunk[-1].sequence if len(chunk) == CHUNK else found.until_sequence
    assert last is not None, "originals have numbers"
    await rows.write_replay(conn, replace(found, queued=found.queued + len(items), cursor=last))
    return len(items)


async def _finish(conn: AsyncConnection, desk: Desk, found: Replay) -> None:
    """End a replay whose items have all ended."""
    (progress,) = await _progress(conn, [found])
    if progress.ends.waiting:
        return
    now = desk.world.now()
    await rows.write_replay(conn, found.ended(ReplayState.DONE, at=now))
    ids = {"replay_id": found.id, "subscription_id": found.subscription_id}
    body = {**ids, "total": found.total, **_counts(progress)}
    await ledger.append(conn, [make_entry("replay.finished", body, at=now)])


def _item(
    original: Delivery, found: Replay, *, now: dt.datetime, machine_now: dt.datetime
) -> Delivery:
    """Make the delivery that carries `original` again. Its step is what tells it from the others.

    It consumes no number, and waits for its turn.
    """
    return replace(
        original,
        id=new_delivery_id(),
        subject=found.id,
        cause=Cause.REPLAY,
        step=original.sequence or 0,
        sequence=None,
        state=DeliveryState.QUEUED,
        attempts=0,
        recipient_attempts=0,
        due_at=None,
        lease_until=machine_now,
        first_failed_at=None,
        finished_at=None,
        created_at=now,
        bundle=None,
        held_reason=HeldReason.TURN,
        replays_id=original.id,
        replay_id=found.id,
    )


def _refuse_uncalled(order: Subscription) -> None:
    if order.channel not in CALLED:
        raise ConflictError(
            f"Only a webhook or a Kafka topic is sent anything again; the channel of this "
            f"subscription is '{order.channel}'. A program reads what it was sent from "
            f"/v1/inbox?subscription={order.id}&after=N."
        )


def _refuse_second(running: Replay | None) -> None:
    if running is not None:
        raise ConflictError(
            f"The replay {running.id} of this subscription runs still. Wait until it is done, or "
            "cancel it with POST …/cancel; then ask again.",
            code="replay-running",
        )


def _refuse_other_count(span: Span, counted: int | None) -> None:
    if counted is not None and counted != span.total:
        raise ConflictError(
            f"It would be {span.total} deliveries now, not the {counted} that were confirmed."
            " Nothing was sent. Count again."
        )


async def _span(conn: AsyncConnection, order: Subscription, wanted: Wanted) -> Span:
    """Find the numbers and count them: up to the last there is now, and no later one."""
    last = (await subscriptions.last_sequences(conn, subscription_ids=[order.id]))[order.id]
    after = wanted.after
    if wanted.since is not None:
        after = await rows.number_before(conn, order.id, since=wanted.since)
    after = last if after is None else min(after, last)
    until = last if wanted.until is None else min(wanted.until, last)
    until = max(until, after)
    total = await rows.count_originals(conn, order.id, after=after, until=until)
    return Span(after=after, until=until, total=total)


def _new(
    order: Subscription, span: Span, wanted: Wanted, *, by: Principal, at: dt.datetime
) -> Replay:
    new = Replay(
        id=new_replay_id(),
        subscription_id=order.id,
        after_sequence=span.after,
        until_sequence=span.until,
        since=wanted.since,
        total=span.total,
        queued=0,
        cursor=span.after,
        state=ReplayState.RUNNING,
        requested_by=by.id,
        created_at=at,
        finished_at=None,
    )
    return new if span.total else new.ended(ReplayState.DONE, at=at)


def _of(order: Subscription, found: Replay | None, replay_id: str) -> Replay:
    if found is None or found.subscription_id != order.id:
        raise NotFoundError(f"This subscription has no replay {replay_id}. Check the id.")
    return found


async def _progress(conn: AsyncConnection, found: Sequence[Replay]) -> list[Progress]:
    ends = await rows.ends_of(conn, [one.id for one in found]) if found else {}
    return [Progress(replay=one, ends=ends[one.id]) for one in found]


def _facts(order: Subscription, found: Replay) -> dict[str, object]:
    since = None if found.since is None else write_instant(found.since)
    return {
        **names(order),
        "replay_id": found.id,
        "after": found.after_sequence,
        "until": found.until_sequence,
        "since": since,
        "total": found.total,
    }


def _counts(progress: Progress) -> dict[str, int]:
    return {
        "queued": progress.replay.queued,
        "delivered": progress.ends.delivered,
        "failed": progress.ends.failed,
        "not_sent": progress.not_sent,
    }
