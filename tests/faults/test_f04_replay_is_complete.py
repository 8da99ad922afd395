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
from harness.numbered import add_numbered, to_subscription
from harness.place import Place
from harness.system import Bus, open_bus
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import Cause, HeldReason, Scope
from noticebus.store.tables import deliveries

MANY = 10_500
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


def _api(bus: Bus) -> AbstractAsyncContextManager[Api]:
    return open_api(bus.desk)


async def _turn(bus: Bus) -> None:
    """Give the backlog its next turn; what it lets go is left to lie, as if nobody sent."""
    await bus.system.dispatcher.backlog.turn()
    by_hand.machine(bus).advance(LOOK)


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
