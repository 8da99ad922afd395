"""Draining: what waited for its endpoint goes a little at a time, the gravest and oldest first.

Fresh notices do not wait for any of it.
"""

import datetime as dt
from collections.abc import Sequence

from noticebus.casework import replays
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import SubscriptionState
from noticebus.domain.backlog import LOOK_AGAIN, PAUSE_MIN, Round, next_round
from noticebus.domain.health import DOWN
from noticebus.faultpoints import FaultPoint, reach
from noticebus.ids import SubscriptionId
from noticebus.store import backlogs
from noticebus.store import replays as replay_rows
from noticebus.store.backlogs import DueDrain
from noticebus.store.endpoints import held_counts

DRAINS_MAX = 100  # backlogs of one round
FORGOTTEN_MAX = 500


async def drain_due(desk: Desk, *, window: int) -> dt.datetime | None:
    """Let every backlog that is due go its next step; give the machine time of the next one.

    At most `window` of each are under way at once, or as many as its endpoint agreed to. What goes
    out and fails is tried again at its own time, and takes up room in the window only then.
    """
    machine_now = desk.machine.now()
    async with desk.database.read() as conn:
        next_at = await backlogs.next_drain_at(conn)
    if next_at is None or next_at > machine_now:
        return next_at
    await replays.queue_due(desk)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        due = await backlogs.lock_due_drains(
            conn, now=now, machine_now=machine_now, batch_size_max=DRAINS_MAX
        )
        if not due:  # another process has them in hand
            return machine_now + PAUSE_MIN
        rounds = {one.subscription_id: _round(desk, one, window) for one in due if _flows(one)}
        counts = {one: turn.count for one, turn in rounds.items()}
        gone = await backlogs.let_go(conn, counts, now=now)
        left = await backlogs.with_backlog(conn, rounds.keys())
        running = await replay_rows.running_among(conn, rounds.keys())
        pauses = {
            id_: turn.pause if id_ in left else LOOK_AGAIN
            for id_, turn in rounds.items()
            if id_ in left | running
        }
        times = {one.subscription_id: _after(pauses, one, machine_now) for one in due}
        await backlogs.set_drains(conn, times)
    if gone:
        reach(FaultPoint.BACKLOG_LET_GO)
    desk.committed_many(steps_by=None, deliveries_by=now if gone else None)
    return await _next(desk)


async def wake_forgotten(desk: Desk) -> Sequence[SubscriptionId]:
    """Let go on what waits although nothing stops it; normally there is none.

    What waits for a subscription that has ended is let go as well: it is revoked when it is to be
    sent, where everybody sees it.
    """
    async with desk.database.read() as conn:
        found = await backlogs.forgotten(conn, limit=FORGOTTEN_MAX)
        ended = await backlogs.left_behind(conn, limit=DRAINS_MAX)
    if found or ended:
        now, machine_now = desk.world.now(), desk.machine.now()
        async with desk.database.begin() as conn:
            await backlogs.let_go(conn, dict.fromkeys(ended, FORGOTTEN_MAX), now=now)
            await backlogs.wake(conn, found, now=now, machine_now=machine_now)
        desk.committed_many(steps_by=None, deliveries_by=now)
    return [*found, *ended]


async def held_back(
    desk: Desk, subscription_ids: Sequence[SubscriptionId]
) -> dict[SubscriptionId, int]:
    """Count what waits in each backlog, whatever holds it."""
    async with desk.database.read() as conn:
        return await held_counts(conn, subscription_ids)


async def _next(desk: Desk) -> dt.datetime | None:
    async with desk.database.read() as conn:
        return await backlogs.next_drain_at(conn)


def _flows(one: DueDrain) -> bool:
    """Say whether a backlog may go: what is paused or down says itself when it may again."""
    active = one.subscription_state is SubscriptionState.ACTIVE
    return active and one.endpoint_state not in DOWN


def _round(desk: Desk, one: DueDrain, window: int) -> Round:
    return next_round(
        rate_per_minute=one.rate_per_minute or desk.backlog_rate,
        window=one.concurrency or window,
        under_way=one.under_way,
    )


def _after(
    pauses: dict[SubscriptionId, dt.timedelta], one: DueDrain, machine_now: dt.datetime
) -> dt.datetime | None:
    pause = pauses.get(one.subscription_id)
    return None if pause is None else machine_now + pause
