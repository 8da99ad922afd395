"""F4: a recovery stops at 10,000 without a word, and answers "running" with a task nobody can ask.

Better: it is counted first, queues all of it in order, says how far it is, and goes on from there
after a restart.
"""

import datetime as dt
from contextlib import AbstractAsyncContextManager

import pytest
import sqlalchemy as sa

from harness import by_hand
from harness import desk as furnish
from harness.api import Api, open_api
from harness.member import Member
from harness.numbered import add_numbered, to_subscription
from harness.place import Place
from harness.system import Bus, open_bus
from noticebus.casework.replays import CHUNK
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import Cause, HeldReason, Scope
from noticebus.store.tables import deliveries, subscriptions

MANY = 10_500
SEVERAL = 2 * CHUNK + 1  # three chunks, the last of one item
AT_ONCE = 100
FIRST = 1  # notice sent in earnest, that the others are like
LOOK = dt.timedelta(seconds=5)


@pytest.mark.slow(reason="makes 10,500 deliveries twice over")
async def test_f04_a_replay_of_more_than_10000_queues_all_in_order_over_a_restart(
    place: Place,
) -> None:
    clock = ManualClock(furnish.MORNING)
    async with open_bus(place, roles=(), strict=False, machine=clock) as bus, _api(bus) as api:
        county = await bus.agency("Scott County CPS")
        await bus.post_notice()
        await by_hand.sweep_unclaimed(bus)
        (like,) = await to_subscription(bus.desk, county.subscription_id)
        await add_numbered(bus.desk, like, MANY)
        key = await api.caller(Scope.OPERATE)
        path = f"/v1/subscriptions/{county.subscription_id}"

        count = await key.post(f"{path}/replay?dry_run=true", {"after": FIRST}, status=200)
        replay = await key.post(f"{path}/replay", {"after": FIRST}, status=202)
        for _ in range(7):
            await _turn(bus)
        half = await key.get(f"{path}/replays/{replay['id']}")

    assert count["total"] == replay["total"] == MANY
    assert half["queued"] == 3500
    assert half["waiting"] == MANY

    # What was made and not sent waits in the database; another process goes on where it was.
    async with open_bus(place, roles=(), strict=False, machine=clock) as bus, _api(bus) as api:
        key = await api.caller(Scope.OPERATE)
        for _ in range(MANY // 500 - 7):
            await _turn(bus)
        whole = await key.get(f"{path}/replays/{replay['id']}")
        again = await key.post(f"{path}/replay", {"after": FIRST}, status=409)
        repeated = await _repeated(bus)

    assert whole["queued"] == MANY
    assert whole["state"] == "running"
    assert whole["waiting"] + whole["delivered"] == MANY
    assert again["code"] == "replay-running"
    assert repeated == list(range(FIRST + 1, FIRST + MANY + 1))


async def test_f04_a_replay_of_several_chunks_ends_done_with_everything_delivered(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    (like,) = await to_subscription(bus.desk, county.subscription_id)
    numbered = await add_numbered(bus.desk, like, SEVERAL)
    await _agree(bus, county, rate_per_minute=60 * AT_ONCE, concurrency=2 * AT_ONCE)

    async with _api(bus) as api:
        key = await api.caller(Scope.OPERATE)
        path = f"/v1/subscriptions/{county.subscription_id}"
        replay = await key.post(f"{path}/replay", {"after": FIRST}, status=202)
        for _ in range(SEVERAL // AT_ONCE + 2):
            await bus.system.dispatcher.backlog.turn()
            await by_hand.sweep(bus)
            by_hand.machine(bus).advance(LOOK)
        ended = await key.get(f"{path}/replays/{replay['id']}")

    assert replay["total"] == SEVERAL
    assert {
        name: ended[name] for name in ("state", "queued", "delivered", "failed", "waiting")
    } == {
        "state": "done",
        "queued": SEVERAL,
        "delivered": SEVERAL,
        "failed": 0,
        "waiting": 0,
    }
    arrived = [one.headers["webhook-id"] for one in county.receiver.arrivals.all[1:]]
    assert sorted(arrived) == sorted(one.id for one in numbered)


def _api(bus: Bus) -> AbstractAsyncContextManager[Api]:
    return open_api(bus.desk)


async def _turn(bus: Bus) -> None:
    """Give the backlog its next turn; what it lets go is left to lie, as if nobody sent."""
    await bus.system.dispatcher.backlog.turn()
    by_hand.machine(bus).advance(LOOK)


async def _agree(bus: Bus, county: Member, **pace: int) -> None:
    """Let an endpoint have agreed to a pace."""
    async with bus.desk.database.begin() as conn:
        of_county = subscriptions.c.id == county.subscription_id
        await conn.execute(sa.update(subscriptions).where(of_county).values(**pace))


async def _repeated(bus: Bus) -> list[int]:
    """Give the numbers of what the items repeat, in the order of the items."""
    original = deliveries.alias("original")
    statement = (
        sa.select(original.c.sequence)
        .select_from(deliveries)
        .join(original, original.c.id == deliveries.c.replays_id)
        .where(deliveries.c.cause == Cause.REPLAY, deliveries.c.held_reason == HeldReason.TURN)
        .order_by(deliveries.c.id)
    )
    async with bus.desk.database.read() as conn:
        return [int(one) for one in (await conn.execute(statement)).scalars()]
