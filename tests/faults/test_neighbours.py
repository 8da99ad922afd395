"""One slow recipient costs the others nothing (I12): what is counted, never how long it took."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from harness.member import Member
from harness.misbehaving import GIGABYTE, BadServer, Manner, bad_server
from harness.place import Place, embedded, production
from harness.roles import until
from harness.system import Bus, minutes, open_bus
from noticebus.contracts.vocabulary import AgencyKind, Cause, DeliveryState, HeldReason, Outcome
from noticebus.dispatcher.lines import WAITING_MAX
from noticebus.dispatcher.worker import IN_FLIGHT_MAX, SLOTS
from noticebus.ids import new_delivery_id
from noticebus.store.deliveries import insert_deliveries
from noticebus.store.tables import attempts, deliveries, subscriptions

ENDPOINTS = 20
OVERDUE = WAITING_MAX + 60


@contextlib.asynccontextmanager
async def dispatching(bus: Bus, bad: Sequence[BadServer]) -> AsyncIterator[None]:
    """Run the dispatcher for the length of a block; what still hangs then is released."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bus.system.dispatcher.run(stop))
        yield
        for one in bad:
            one.release()
        stop.set()


async def neighbours(bus: Bus, bad: Sequence[BadServer], *, count: int) -> list[Member]:
    """Add `count` districts, the first of which have the `bad` servers; give the others."""
    made = [
        await bus.agency(f"District {number}", kind=AgencyKind.SCHOOL_DISTRICT)
        for number in range(count)
    ]
    async with bus.desk.database.begin() as conn:
        for member, server in zip(made, bad, strict=False):
            await conn.execute(
                sa.update(subscriptions)
                .where(subscriptions.c.id == member.subscription_id)
                .values(url=server.url)
            )
    return made[len(bad) :]


async def rows(bus: Bus, statement: sa.Select[Any]) -> list[Any]:
    async with bus.desk.database.read() as conn:
        return list((await conn.execute(statement)).all())


@pytest.mark.parametrize("count", [1, 10])
async def test_bad_endpoints_hold_their_slots_and_no_more_and_the_others_get_everything(
    tmp_path: Path, count: int
) -> None:
    """Of 20 endpoints 1, or 10, hang, drip and answer a gigabyte, one manner after another."""
    async with contextlib.AsyncExitStack() as stack:
        bad = [await stack.enter_async_context(bad_server()) for _ in range(count)]
        place = await stack.enter_async_context(embedded(tmp_path))
        bus = await stack.enter_async_context(open_bus(place, roles=(), strict=False))
        others = await neighbours(bus, bad, count=ENDPOINTS)

        async with dispatching(bus, bad):
            for manner in Manner:
                for one in bad:
                    one.behave(manner)
                for _ in range(2):
                    notice = await bus.post_notice()
                    for member in others:
                        await member.receives("notice", notice)

    assert all(one.requests >= 2 for one in bad), "they were called"
    assert all(one.most <= SLOTS for one in bad)
    assert all(one.sent_bytes < GIGABYTE / 50 for one in bad), "nobody reads a gigabyte"


async def test_retries_that_wait_for_hung_endpoints_delay_nobodys_fresh_notice(
    tmp_path: Path, place: Place
) -> None:
    """Three endpoints that hang, each with more overdue retries than a line takes; one is well."""
    async with contextlib.AsyncExitStack() as stack:
        bad = [await stack.enter_async_context(bad_server()) for _ in range(3)]
        bus = await stack.enter_async_context(open_bus(place, roles=(), strict=False))
        (well,) = await neighbours(bus, bad, count=4)
        overdue = await pile_up(bus, well)

        async with dispatching(bus, bad):
            room = [await look(bus)]

            async def were_put_back() -> bool:
                room.append(await look(bus))
                ((count,),) = await rows(bus, sa.select(sa.func.count()).where(put_back()))
                return bool(count >= 3 * (OVERDUE - SLOTS - WAITING_MAX))

            await until(were_put_back)
            notice = await bus.post_notice()
            await well.receives("notice", notice)

            tried = await rows(bus, sa.select(attempts.c.outcome))
            waiting = await rows(
                bus, sa.select(deliveries.c.attempts, deliveries.c.due_at).where(put_back())
            )

    assert {one.most for one in bad} == {SLOTS}
    assert IN_FLIGHT_MAX - min(room) <= 3 * (SLOTS + WAITING_MAX) + 4
    assert Outcome.UNSENDABLE not in {one.outcome for one in tried}, "waiting in line is no attempt"
    assert {one.attempts for one in waiting} == {1}, "nor does it use up a try"
    assert len({one.due_at for one in waiting}) > len(waiting) / 2, "they do not come back as one"
    assert overdue == 3 * OVERDUE


async def look(bus: Bus) -> int:
    """Say how much room the dispatcher has left, once its tasks have gone on."""
    await asyncio.sleep(0)
    return bus.system.dispatcher._room.left


def put_back() -> sa.ColumnElement[bool]:
    """Select what was claimed and found its line full."""
    return sa.and_(
        deliveries.c.state == DeliveryState.QUEUED,
        deliveries.c.attempts == 1,
        deliveries.c.due_at > deliveries.c.created_at,
    )


async def pile_up(bus: Bus, well: Member) -> int:
    """Give every endpoint but one `OVERDUE` retries that are due, as after an hour's outage."""
    notice = await bus.post_notice()
    made = [one for one in await bus.deliveries_of(notice) if one.agency_id != well.row.id]
    due = bus.world.now() - minutes(1)
    piled = [
        replace(
            one,
            id=new_delivery_id(),
            cause=Cause.CORRECTION,
            version=number + 1,
            sequence=None,
            attempts=1,
            recipient_attempts=1,
            due_at=due,
            lease_until=bus.desk.machine.now() - minutes(1),
            first_failed_at=due,
        )
        for one in made
        for number in range(OVERDUE)
    ]
    async with bus.desk.database.begin() as conn:
        await conn.execute(sa.update(deliveries).values(state=DeliveryState.MOOT, due_at=None))
        await insert_deliveries(conn, piled)
    return len(piled)


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    made = embedded(tmp_path) if request.param == "sqlite" else production(tmp_path)
    async with made as lent:
        yield lent


@pytest.mark.parametrize("turns", [SLOTS, WAITING_MAX + 2 * SLOTS])
async def test_what_goes_in_its_turn_leaves_half_of_the_slots_to_what_is_fresh(
    place: Place, turns: int
) -> None:
    """A backlog fills its lane at a silent endpoint; a fresh notice has a slot all the same.

    So it has where as much goes in its turn as would fill the line: it is not even put back.
    """
    async with contextlib.AsyncExitStack() as stack:
        bad = [await stack.enter_async_context(bad_server())]
        bus = await stack.enter_async_context(open_bus(place, roles=(), strict=False))
        await neighbours(bus, bad, count=1)
        await fill_lane(bus, turns)
        began = bus.desk.machine.now()

        async with dispatching(bus, bad):
            await until(lambda: are_open(bad[0], SLOTS // 2))
            await until(lambda: were_claimed(bus, since=began))
            notice = await bus.post_notice()
            await until(lambda: are_open(bad[0], SLOTS // 2 + 1))

            (fresh,) = await bus.deliveries_of(notice)
            assert bad[0].open == SLOTS // 2 + 1
            assert fresh.due_at == fresh.created_at  # what is put back is due later


async def are_open(server: BadServer, count: int) -> bool:
    await asyncio.sleep(0)
    return server.open >= count


async def were_claimed(bus: Bus, *, since: dt.datetime) -> bool:
    """Say whether everything in the lane has been sent, is in line, or was put back."""
    unclaimed = sa.select(sa.func.count()).where(
        deliveries.c.held_reason == HeldReason.TURN, deliveries.c.lease_until < since
    )
    ((count,),) = await rows(bus, unclaimed)
    return bool(count == 0)


async def fill_lane(bus: Bus, count: int) -> None:
    notice = await bus.post_notice()
    (first,) = await bus.deliveries_of(notice)
    turn = [
        replace(
            first,
            id=new_delivery_id(),
            cause=Cause.CORRECTION,
            version=number + 1,
            sequence=None,
            held_reason=HeldReason.TURN,
            lease_until=bus.desk.machine.now() - minutes(1),
        )
        for number in range(count)
    ]
    async with bus.desk.database.begin() as conn:
        await conn.execute(sa.update(deliveries).values(state=DeliveryState.MOOT, due_at=None))
        await insert_deliveries(conn, turn)
