"""How endpoints do, in the database: counted and held in as many statements for 500 as for one."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.orders import add_deliveries, add_orders, ids_of
from noticebus.casework import health, probes, waiting
from noticebus.casework.desk import Desk
from noticebus.casework.health import Heard
from noticebus.casework.waiting import PutBack
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    Channel,
    DeliveryState,
    EndpointState,
    Fault,
    HeldReason,
    NoticeClass,
    SubscriptionState,
)
from noticebus.domain.health import PROBE_MAX, Health
from noticebus.ids import SubscriptionId
from noticebus.store import claims, endpoints
from noticebus.store import subscriptions as order_rows
from noticebus.store.claims import GivenBack
from noticebus.store.deliveries import Delivery
from noticebus.store.subscriptions import Subscription
from noticebus.store.tables import deliveries

SECOND = dt.timedelta(seconds=1)
HELD: dict[str, Any] = {"due_at": None, "held_reason": HeldReason.ENDPOINT_DOWN}
TURN: dict[str, Any] = {"due_at": None, "held_reason": HeldReason.TURN}
TRIED: dict[str, Any] = {"attempts": 1}


@contextlib.contextmanager
def statements(desk: Desk) -> Iterator[list[str]]:
    """Record every statement of the block."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        if arguments[2] != "BEGIN":
            seen.append(arguments[2])

    engines = [one.sync_engine for one in desk.database.engines]
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)


async def hear(desk: Desk, heard: Sequence[Heard]) -> list[str]:
    """Note a batch, and give the statements that it took."""
    async with desk.database.begin() as conn:
        with statements(desk) as seen:
            await health.note(
                conn, desk, heard, now=desk.world.now(), machine_now=desk.machine.now()
            )
    return seen


def heard(desk: Desk, delivery: Delivery, fault: Fault | None = Fault.RECIPIENT) -> Heard:
    return Heard(delivery=delivery, fault=fault, error="503", at=desk.world.now())


async def standing(desk: Desk, order: Subscription) -> Health | None:
    async with desk.database.read() as conn:
        return (await endpoints.endpoints_of(conn, [order.id])).get(order.id)


async def stored(desk: Desk, order: Subscription) -> list[Delivery]:
    statement = (
        sa.select(deliveries)
        .where(deliveries.c.subscription_id == order.id)
        .order_by(deliveries.c.id)
    )
    async with desk.database.read() as conn:
        return [Delivery(**row) for row in (await conn.execute(statement)).mappings()]


async def set_health(desk: Desk, order: Subscription, stands: Health) -> None:
    async with desk.database.begin() as conn:
        await endpoints.insert_missing(conn, [order.id], now=desk.world.now())
        await endpoints.write(conn, {order.id: stands}, now=desk.world.now())


def down(desk: Desk, **changes: Any) -> Health:
    now = desk.world.now()
    made = Health(
        state=EndpointState.TRIPPED,
        failures=10,
        trips=1,
        failing_since=now,
        tripped_at=now,
        probe_at=desk.machine.now() - SECOND,
        last_error="503",
    )
    return replace(made, **changes)


async def test_a_batch_of_500_costs_as_many_statements_as_one_of_20(desk: Desk) -> None:
    counted: dict[tuple[int, str], int] = {}
    for size in (20, 500):
        orders = await add_orders(desk, size)
        made = await add_deliveries(desk, *((one, TRIED) for one in orders))
        counted[size, "well"] = len(await hear(desk, [heard(desk, one, None) for one in made]))
        for what, times in (("failing", 4), ("warned", 1), ("tripped", 5)):
            batch = [heard(desk, one) for one in made for _ in range(times)]
            counted[size, what] = len(await hear(desk, batch))
        counted[size, "recovered"] = len(await hear(desk, [heard(desk, one, None) for one in made]))

        assert {(await standing(desk, one)) is not None for one in orders[:3]} == {True}

    for what in ("well", "failing", "warned", "tripped", "recovered"):
        assert counted[20, what] == counted[500, what], what
    assert counted[500, "well"] == 1
    assert counted[500, "tripped"] <= 12


async def test_a_healthy_endpoint_that_never_failed_gets_no_row(desk: Desk) -> None:
    (order,) = await add_orders(desk, 1)
    (made,) = await add_deliveries(desk, (order, TRIED))

    await hear(desk, [heard(desk, made, None)])
    await hear(desk, [heard(desk, made, Fault.OURS)])
    await hear(desk, [heard(desk, replace(made, subscription_id=None))])
    await hear(desk, [heard(desk, replace(made, channel=Channel.EMAIL))])
    await hear(desk, [heard(desk, replace(made, cause=Cause.HANDSHAKE))])

    assert await standing(desk, order) is None


async def test_an_answered_handshake_makes_an_endpoint_healthy(desk: Desk) -> None:
    """Another address has proved itself: what was held against the old one is over."""
    (order,) = await add_orders(desk, 1)
    (made,) = await add_deliveries(desk, (order, {"cause": Cause.HANDSHAKE}))
    await set_health(desk, order, down(desk))

    await hear(desk, [heard(desk, made, None)])

    stands = await standing(desk, order)
    assert stands is not None
    assert stands.state is EndpointState.HEALTHY
    assert stands.drain_at is not None


async def test_what_waits_for_a_tripped_endpoint_is_held_in_one_statement(desk: Desk) -> None:
    order, other = await add_orders(desk, 2)
    later = desk.world.now() + SECOND
    made = await add_deliveries(
        desk,
        (order, TRIED | {"due_at": later}),
        (order, TRIED),
        (order, {"held_reason": HeldReason.TURN}),
        (order, {}),  # never tried: the first of it may be the probe
        (order, TRIED | {"state": DeliveryState.SENDING}),
        (order, TRIED | {"cause": Cause.HANDSHAKE}),
        (order, TRIED | {"channel": Channel.EMAIL}),
        (other, TRIED),
    )

    async with desk.database.begin() as conn:
        with statements(desk) as seen:
            await endpoints.hold_waiting(conn, [order.id])

    found = {one.id: one for one in (*await stored(desk, order), *await stored(desk, other))}
    stopped = [found[one.id] for one in made if found[one.id].due_at is None]
    assert len(seen) == 1
    assert [one.id for one in stopped] == [one.id for one in made[:3]]
    assert {one.held_reason for one in stopped} == {HeldReason.ENDPOINT_DOWN}


async def test_the_gravest_and_oldest_of_each_backlog_is_let_through(desk: Desk) -> None:
    order, other, empty = await add_orders(desk, 3)
    made = await add_deliveries(
        desk,
        (order, HELD | {"notice_class": NoticeClass.B}),
        (order, HELD | {"notice_class": NoticeClass.A}),
        (order, HELD | {"notice_class": NoticeClass.A}),
        (order, HELD | {"notice_class": NoticeClass.A, "state": DeliveryState.MOOT}),
        (other, {"due_at": None, "held_reason": HeldReason.PAUSED}),
        (other, HELD | {"notice_class": NoticeClass.D}),
    )
    for one in (order, other, empty):
        await set_health(desk, one, down(desk))

    async with desk.database.begin() as conn:
        found = await endpoints.let_through(
            conn, ids_of([order, other, empty]), now=desk.world.now()
        )

    going = {
        one.id
        for whose in (order, other)
        for one in await stored(desk, whose)
        if one.due_at is not None
    }
    assert found == {order.id, other.id}
    assert going == {made[1].id, made[5].id}


async def test_what_is_older_than_its_class_lasts_is_exhausted_a_batch_at_a_time(
    desk: Desk,
) -> None:
    order, lately = await add_orders(desk, 2)
    now = desk.world.now()
    young = HELD | {"notice_class": NoticeClass.A}
    old, older = now - 10 * SECOND, now - 20 * SECOND
    await set_health(desk, order, down(desk, tripped_at=older))
    await set_health(desk, lately, down(desk))
    made = await add_deliveries(
        desk,
        (order, young | {"created_at": old}),
        (order, young | {"created_at": older, "first_failed_at": now}),
        (order, HELD | {"notice_class": NoticeClass.D, "created_at": old}),
        (order, HELD | {"notice_class": NoticeClass.D, "created_at": older}),
        (order, TURN | {"notice_class": NoticeClass.D, "created_at": older}),
        (lately, HELD | {"notice_class": NoticeClass.D, "created_at": older}),
    )
    too_old = {NoticeClass.A: now - 5 * SECOND, NoticeClass.D: now - 15 * SECOND}

    rounds = []
    for _ in range(3):
        async with desk.database.begin() as conn:
            rounds.append(
                await endpoints.exhaust_held(
                    conn, ids_of([order, lately]), too_old=too_old, now=now, batch_size_max=2
                )
            )

    assert [len(one) for one in rounds] == [2, 1, 0]
    ended = {one.id for one in await stored(desk, order) if one.state is DeliveryState.EXHAUSTED}
    assert ended == {made[0].id, made[3].id, made[4].id}
    (waits_on,) = await stored(desk, lately)
    assert waits_on.state is DeliveryState.QUEUED, "its endpoint has not been down for so long"


async def test_what_is_given_back_is_as_if_it_had_not_been_claimed(desk: Desk) -> None:
    (order,) = await add_orders(desk, 1)
    sending = {"state": DeliveryState.SENDING, "attempts": 2}
    made = await add_deliveries(desk, (order, sending), (order, sending), (order, TRIED))
    due = desk.world.now() + 5 * SECOND

    given = [
        GivenBack(delivery_id=one.id, attempts=number, due_at=due, held_reason=None)
        for one, number in zip(made, (2, 1, 1), strict=True)
    ]
    async with desk.database.begin() as conn:
        with statements(desk) as seen:
            await claims.give_back(conn, given, machine_now=desk.machine.now())

    first, second, third = await stored(desk, order)
    assert len(seen) == 1
    assert (first.state, first.attempts, first.due_at) == (DeliveryState.QUEUED, 1, due)
    assert (second.state, second.attempts) == (DeliveryState.SENDING, 2), "another one holds it"
    assert (third.state, third.attempts) == (DeliveryState.QUEUED, 1)


async def test_what_is_put_back_keeps_its_lane_and_comes_again_in_a_few_seconds(
    desk: Desk,
) -> None:
    """What goes in its turn stays due, so that it counts in its window, and is free later."""
    (order,) = await add_orders(desk, 1)
    made = await add_deliveries(
        desk,
        (order, {"state": DeliveryState.SENDING, "attempts": 1, "held_reason": HeldReason.TURN}),
        (order, {"state": DeliveryState.SENDING, "attempts": 1}),
    )

    await waiting.put_back(desk, [PutBack(delivery=one, jitter=0.5) for one in made])

    first, second = await stored(desk, order)
    assert (first.held_reason, second.held_reason) == (HeldReason.TURN, None)
    now = desk.world.now()
    assert (first.due_at, second.due_at) == (now, now + 4 * SECOND)
    assert first.lease_until - second.lease_until == 4 * SECOND
    assert {one.attempts for one in (first, second)} == {0}


@pytest.mark.parametrize("state", list(EndpointState))
async def test_what_is_held_while_its_endpoint_recovers_does_not_stay(
    desk: Desk, state: EndpointState
) -> None:
    """The claim saw it down; by the time it is held the endpoint may be well again."""
    (order,) = await add_orders(desk, 1)
    made = await add_deliveries(desk, (order, {"state": DeliveryState.SENDING, "attempts": 1}))
    await set_health(desk, order, down(desk, state=state, drain_at=None))

    await waiting.hold_back(desk, made)

    (held,) = await stored(desk, order)
    stands = await standing(desk, order)
    assert stands is not None
    assert (held.due_at, held.held_reason, held.attempts) == (None, HeldReason.ENDPOINT_DOWN, 0)
    is_up = state in {EndpointState.HEALTHY, EndpointState.FAILING}
    assert (stands.drain_at is not None) is is_up


async def test_one_dispatcher_gets_the_probe(desk: Desk) -> None:
    tripped, probing, well = await add_orders(desk, 3)
    await set_health(desk, tripped, down(desk))
    await set_health(desk, probing, down(desk, state=EndpointState.PROBING))
    await set_health(desk, well, Health())
    wanted = ids_of([tripped, probing, well])

    assert await probes.take_probes(desk, wanted) == ({well.id}, {tripped.id})
    assert await probes.take_probes(desk, wanted) == ({well.id}, set())


async def test_only_active_subscriptions_are_probed(desk: Desk) -> None:
    (active,) = await add_orders(desk, 1)
    (paused,) = await add_orders(desk, 1, state=SubscriptionState.PAUSED)
    (ended,) = await add_orders(desk, 1, state=SubscriptionState.ENDED)
    for one in (active, paused, ended):
        await set_health(desk, one, down(desk))

    next_at = await probes.probe_due(desk)

    async def probe_at(order: Subscription) -> dt.datetime | None:
        stands = await standing(desk, order)
        assert stands is not None
        return stands.probe_at

    now = desk.machine.now()
    assert [one.cause for one in await stored(desk, active)] == [Cause.HEARTBEAT]
    assert await stored(desk, paused) == await stored(desk, ended) == []
    assert await probe_at(ended) is None
    later = await probe_at(paused)
    assert later is not None
    assert PROBE_MAX - 10 * SECOND < later - now <= PROBE_MAX
    assert next_at == await probe_at(active)
    assert await probes.probe_due(desk) == next_at, "nothing is due before then"


async def test_nothing_is_looked_up_twice_where_no_endpoint_is_down(desk: Desk) -> None:
    with statements(desk) as seen:
        assert await probes.probe_due(desk) is None

    assert len(seen) == 1


async def test_states_are_counted_and_chosen_by(desk: Desk) -> None:
    well, failing, tripped = await add_orders(desk, 3)
    (inbox,) = await add_orders(desk, 1, channel=Channel.INBOX)
    await add_orders(desk, 1, state=SubscriptionState.ENDED)
    await set_health(desk, failing, down(desk, state=EndpointState.FAILING))
    await set_health(desk, tripped, down(desk))

    async def chosen(state: EndpointState) -> list[SubscriptionId]:
        found = await order_rows.list_subscriptions(
            conn,
            agency_id=None,
            state=SubscriptionState.ACTIVE,
            endpoint_state=state,
            after="",
            limit=10,
        )
        return ids_of(found)

    async with desk.database.read() as conn:
        assert await endpoints.count_states(conn) == {
            EndpointState.HEALTHY: 1,
            EndpointState.FAILING: 1,
            EndpointState.TRIPPED: 1,
            EndpointState.PROBING: 0,
        }
        assert await chosen(EndpointState.HEALTHY) == [well.id]
        assert await chosen(EndpointState.TRIPPED) == [tripped.id]
        assert await chosen(EndpointState.PROBING) == []
    assert inbox.id


@pytest.fixture
async def operators(desk: Desk) -> str:
    row = await furnish.add_agency(desk, "Operators", kind=AgencyKind.OPERATOR, county_fips=None)
    return (await furnish.add_contact(desk, row, "Operator on duty")).id


async def test_an_agency_without_mail_is_warned_through_the_operators(
    desk: Desk, operators: str
) -> None:
    (order,) = await add_orders(desk, 1)
    (made,) = await add_deliveries(desk, (order, TRIED))

    await hear(desk, [heard(desk, made) for _ in range(5)])
    await hear(desk, [heard(desk, made, None)])
    await hear(desk, [heard(desk, made) for _ in range(5)])

    statement = sa.select(deliveries).where(deliveries.c.cause == Cause.WARNING)
    async with desk.database.read() as conn:
        (warning,) = [Delivery(**row) for row in (await conn.execute(statement)).mappings()]
    assert warning.contact_id == operators
    assert (warning.detail or {})["per_cent"] == 50
