"""Backlogs in the database: who goes first, once, in how many statements, and from which index."""

import asyncio
import datetime as dt
from dataclasses import replace

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.numbered import add_held, add_webhook, to_subscription
from harness.statements import statements_of
from noticebus.casework import backlogs as casework
from noticebus.casework import replays as replay_casework
from noticebus.casework.desk import Desk
from noticebus.casework.replays import Wanted
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import DeliveryState, HeldReason, Scope
from noticebus.store import backlogs, endpoints
from noticebus.store.subscriptions import Subscription
from noticebus.store.tables import deliveries

WINDOW = 16
LATER = dt.timedelta(seconds=5)


@pytest.fixture
def still(desk: Desk) -> Desk:
    """Lend the desk with a machine's clock that the test moves."""
    return replace(desk, machine=ManualClock(furnish.MORNING + dt.timedelta(minutes=1)))


async def orders(desk: Desk, count: int) -> list[Subscription]:
    """Make so many subscriptions, each with a backlog of six that is due."""
    made = []
    for number in range(count):
        agency = await furnish.add_agency(desk, f"CPS {number}")
        made.append(await add_webhook(desk, agency))
    for one in made:
        await add_held(desk, one, 6, by_class=True)
    async with desk.database.begin() as conn:
        await backlogs.wake(
            conn, [one.id for one in made], now=desk.world.now(), machine_now=desk.machine.now()
        )
    return made


async def let_go_of(desk: Desk, order: Subscription) -> list[str]:
    found = await to_subscription(desk, order.id)
    return [one.id for one in found if one.due_at is not None and one.held_reason]


async def test_each_backlog_lets_its_share_go_the_gravest_then_the_oldest(still: Desk) -> None:
    first, second = await orders(still, 2)
    held = {one.id: await to_subscription(still, one.id) for one in (first, second)}

    async with still.database.begin() as conn:
        gone = await backlogs.let_go(conn, {first.id: 3, second.id: 1}, now=still.world.now())

    assert gone == {first.id: 3, second.id: 1}
    for order, count in ((first, 3), (second, 1)):
        waiting = [one for one in held[order.id] if one.held_reason is not None]
        ranked = sorted(waiting, key=lambda one: (one.notice_class, one.id))
        assert sorted(await let_go_of(still, order)) == sorted(one.id for one in ranked[:count])


async def test_a_round_takes_as_many_statements_for_many_backlogs_as_for_one(still: Desk) -> None:
    (alone,) = await orders(still, 1)
    with statements_of(still) as of_one:
        await casework.drain_due(still, window=WINDOW)
    assert len(await let_go_of(still, alone)) == 6
    made = await orders(still, 5)

    with statements_of(still) as of_many:
        await casework.drain_due(still, window=WINDOW)

    assert [len(await let_go_of(still, one)) for one in made] == [6] * 5
    assert len(of_many) == len(of_one)
    assert (
        len([one for one in of_many if one.startswith("UPDATE deliveries") or "chosen" in one]) == 1
    )


async def test_a_quiet_look_is_one_statement(still: Desk) -> None:
    await orders(still, 1)
    await casework.drain_due(still, window=WINDOW)
    machine = still.machine
    assert isinstance(machine, ManualClock)
    machine.advance(LATER)
    assert await casework.drain_due(still, window=WINDOW) is None  # nothing is left

    with statements_of(still) as asked:
        assert await casework.drain_due(still, window=WINDOW) is None

    assert len(asked) == 1


async def test_two_that_drain_at_once_let_each_go_once(still: Desk) -> None:
    await orders(still, 3)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(casework.drain_due(still, window=2))

    async with still.database.read() as conn:
        statement = sa.select(sa.func.count()).where(
            deliveries.c.held_reason == HeldReason.TURN, deliveries.c.due_at.is_not(None)
        )
        count = (await conn.execute(statement)).scalar_one()
    assert count == 6


async def test_what_has_ended_is_in_no_backlog(still: Desk) -> None:
    (order,) = await orders(still, 1)
    held = [one for one in await to_subscription(still, order.id) if one.held_reason]
    async with still.database.begin() as conn:
        await conn.execute(
            sa.update(deliveries)
            .where(deliveries.c.id == held[0].id)
            .values(state=DeliveryState.MOOT)
        )

    async with still.database.begin() as conn:
        counts = await endpoints.held_counts(conn, [order.id])
        gone = await backlogs.let_go(conn, {order.id: 10}, now=still.world.now())

    assert counts == {order.id: 5}
    assert gone == {order.id: 5}


async def test_a_share_is_read_from_the_index_over_what_waits(still: Desk) -> None:
    (order,) = await orders(still, 1)
    statement = backlogs._first(order.id, 3)
    compiled = statement.compile(
        still.database.engines[0].sync_engine, compile_kwargs={"literal_binds": True}
    )
    async with still.database.begin() as conn:
        if conn.dialect.name == "sqlite":
            explain = "EXPLAIN QUERY PLAN "
        else:
            await conn.execute(sa.text("SET LOCAL enable_seqscan = off"))
            explain = "EXPLAIN "
        plan = (await conn.execute(sa.text(explain + str(compiled)))).all()

    assert "ix_deliveries_backlog" in str(plan)


async def test_a_chunk_of_a_replay_is_a_constant_number_of_statements(still: Desk) -> None:
    (order,) = await orders(still, 1)
    principal = furnish.principal(Scope.OPERATE)
    wanted = Wanted(after=0, since=None, until=None)
    await replay_casework.begin_replay(still, principal, subscription_id=order.id, wanted=wanted)

    with statements_of(still) as asked:
        made = await replay_casework.queue_due(still)

    assert made == 7
    assert len(asked) == 5  # which are due; lock; read; insert; write
