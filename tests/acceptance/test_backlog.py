"""A backlog goes the gravest and oldest first, at the agreed rate; a fresh notice passes it."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence

import pytest
import sqlalchemy as sa

from harness import by_hand
from harness import desk as furnish
from harness.member import Member
from harness.numbered import add_numbered, to_subscription, waiting
from harness.place import Place
from harness.receivers import Behaviour
from harness.system import Bus, open_bus
from noticebus.casework import backlogs
from noticebus.casework.subscriptions import end_subscription
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import (
    Channel,
    ContentLevel,
    DeliveryState,
    EndpointState,
    HeldReason,
    NoticeClass,
    Scope,
    SubscriptionState,
)
from noticebus.store import backlogs as rows
from noticebus.store.deliveries import Delivery
from noticebus.store.tables import deliveries, endpoints, subscriptions

SECOND = dt.timedelta(seconds=1)
WINDOW = 16


@pytest.fixture
async def bus(place: Place) -> AsyncIterator[Bus]:
    """Lend a bus whose loops stand still, and whose clocks the test moves."""
    async with open_bus(place, roles=(), strict=False, machine=ManualClock(furnish.MORNING)) as bus:
        yield bus


async def agrees(bus: Bus, county: Member, **terms: int) -> None:
    """Let the county's endpoint have agreed to terms in its handshake."""
    async with bus.desk.database.begin() as conn:
        await conn.execute(
            sa.update(subscriptions)
            .where(subscriptions.c.id == county.subscription_id)
            .values(**terms)
        )


async def with_backlog(bus: Bus, county: Member, count: int) -> list[Delivery]:
    """Leave what an outage leaves: `count` deliveries held, and an endpoint that works again."""
    await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    return await hold(bus, county, count)


async def hold(bus: Bus, county: Member, count: int, *, tries: int = 0) -> list[Delivery]:
    """Hold `count` more like the one that arrived, each tried so often, and let them go."""
    like = (await to_subscription(bus.desk, county.subscription_id))[0]
    assert like.state is DeliveryState.DELIVERED
    values = waiting(HeldReason.ENDPOINT_DOWN) | {"attempts": tries, "recipient_attempts": tries}
    held = await add_numbered(bus.desk, like, count, by_class=True, **values)
    await wake(bus, county)
    return held


async def wake(bus: Bus, county: Member) -> None:
    assert county.subscription_id is not None
    async with bus.desk.database.begin() as conn:
        await rows.wake(
            conn,
            [county.subscription_id],
            now=bus.world.now(),
            machine_now=bus.desk.machine.now(),
        )


def carried(county: Member, *, after: int) -> list[str]:
    """Give the ids of what reached the endpoint after the first so many requests."""
    return [one.headers["webhook-id"] for one in county.receiver.arrivals.all[after:]]


async def test_a_backlog_drains_by_class_at_the_agreed_rate_and_a_fresh_notice_passes_it(
    bus: Bus,
) -> None:
    """120 a minute: two a second. The fresh notice of class C is not behind those of class A."""
    county = await bus.agency("Scott County CPS")
    await agrees(bus, county, rate_per_minute=120)
    held = await with_backlog(bus, county, 9)
    sent: list[int] = []

    fresh = await bus.post_notice(**{"class": "C"})
    for _ in range(6):
        await bus.system.dispatcher.backlog.turn()
        before = len(county.receiver.arrivals.all)
        await by_hand.sweep(bus)
        sent.append(len(county.receiver.arrivals.all) - before)
        by_hand.machine(bus).advance(SECOND)

    order = sorted(held, key=lambda one: (one.notice_class, one.id))
    (fresh_id,) = [one.id for one in await bus.deliveries_of(fresh)]
    arrived = carried(county, after=1)
    assert sum(sent) == 10
    assert _pairs([one for one in arrived if one != fresh_id]) == _pairs([one.id for one in order])
    assert max(sent) <= 3  # two of the backlog, and the fresh one
    assert arrived.index(fresh_id) <= 6  # once the bus has had its two seconds, and no later
    assert {one.state for one in await to_subscription(bus.desk, county.subscription_id)} == {
        DeliveryState.DELIVERED
    }


def _pairs(ids: Sequence[str]) -> list[set[str]]:
    """Give what went together: of two that go at once either may arrive first."""
    return [set(ids[start : start + 2]) for start in range(0, len(ids), 2)]


async def test_never_more_than_a_window_is_under_way(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    await agrees(bus, county, rate_per_minute=6000, concurrency=5)
    await with_backlog(bus, county, 12)

    for _ in range(3):
        await backlogs.drain_due(bus.desk, window=WINDOW)
        by_hand.machine(bus).advance(SECOND)
    found = await to_subscription(bus.desk, county.subscription_id)

    assert len([one for one in found if one.due_at is not None]) == 5


async def out_of(bus: Bus, county: Member) -> int:
    """Count what was let go of a backlog and has not ended."""
    found = await to_subscription(bus.desk, county.subscription_id)
    return len([one for one in found if one.due_at and one.held_reason is HeldReason.TURN])


async def drain(bus: Bus) -> None:
    """Let the backlogs go on for a second."""
    await backlogs.drain_due(bus.desk, window=WINDOW)
    await by_hand.sweep(bus)
    by_hand.machine(bus).advance(SECOND)
    bus.world.advance(SECOND)


@pytest.mark.parametrize("tries", [0, 1])
async def test_a_backlog_that_finds_no_place_in_line_goes_round_no_more_than_a_window(
    bus: Bus, tries: int
) -> None:
    """A fresh notice has the only slot; what the backlog lets go meanwhile is put back."""
    county = await bus.agency("Scott County CPS")
    await agrees(bus, county, rate_per_minute=6000, concurrency=1)
    await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    county.receiver.then.append(Behaviour(hang=True))
    await bus.post_notice()
    by_hand.machine(bus).advance(by_hand.BEHIND_THE_BUS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bus.system.dispatcher.sweep())
        await county.receiver.arrivals.wait_for(2)
        await hold(bus, county, 4, tries=tries)
        out = []
        for _ in range(3):
            await drain(bus)
            out.append(await out_of(bus, county))
        county.receiver.release()
    await by_hand.record(bus, 1)

    assert out == [1, 1, 1]
    await drains_to_its_end(bus, [county])


async def test_backlogs_at_one_host_have_never_more_than_a_window_each_out(bus: Bus) -> None:
    """Five recover together, and their host has one line for all of them."""
    counties = [await bus.agency(f"County {number}") for number in range(5)]
    async with bus.desk.database.begin() as conn:
        shared = {"url": counties[0].receiver.url, "rate_per_minute": 6000}
        await conn.execute(sa.update(subscriptions).values(**shared))
    await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    for county in counties:
        await hold(bus, county, 2 * WINDOW)

    most = await drains_to_its_end(bus, counties)

    assert most == WINDOW


async def drains_to_its_end(bus: Bus, counties: Sequence[Member]) -> int:
    """Drain until everything has arrived; say how many of one backlog were out at most."""
    most = 0
    for _ in range(60):
        await drain(bus)
        most = max([most, *[await out_of(bus, one) for one in counties]])
        ends = [await to_subscription(bus.desk, one.subscription_id) for one in counties]
        if {one.state for found in ends for one in found} == {DeliveryState.DELIVERED}:
            return most
    pytest.fail("a backlog did not drain")


async def test_what_is_let_go_and_fails_is_tried_at_its_time_and_leaves_room_meanwhile(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS")
    await agrees(bus, county, rate_per_minute=6000, concurrency=2)
    held = await with_backlog(bus, county, 4)
    county.receiver.then.extend([Behaviour(status=500)] * 2)

    await backlogs.drain_due(bus.desk, window=WINDOW)
    await by_hand.sweep(bus)
    by_hand.machine(bus).advance(SECOND)
    await backlogs.drain_due(bus.desk, window=WINDOW)
    await by_hand.sweep(bus)

    found = {one.id: one for one in await to_subscription(bus.desk, county.subscription_id)}
    failed = [found[one.id] for one in held if found[one.id].attempts == 1]
    retried = [one for one in failed if one.state is DeliveryState.QUEUED]
    assert len(failed) == 4
    assert len(retried) == 2
    for one in retried:
        assert one.due_at is not None
        assert one.due_at > bus.world.now()
        assert one.held_reason is HeldReason.TURN


@pytest.mark.parametrize("stops", ["paused", "tripped"])
async def test_a_backlog_stands_still_while_its_endpoint_is_paused_or_down(
    bus: Bus, stops: str
) -> None:
    county = await bus.agency("Scott County CPS")
    await with_backlog(bus, county, 2)
    assert county.subscription_id is not None
    async with bus.desk.database.begin() as conn:
        if stops == "paused":
            state = {"state": SubscriptionState.PAUSED}
            await conn.execute(sa.update(subscriptions).values(**state))
        else:
            tripped = {"state": EndpointState.TRIPPED}
            await conn.execute(sa.update(endpoints).values(**tripped))

    again_at = await backlogs.drain_due(bus.desk, window=WINDOW)

    assert again_at is None
    held = await backlogs.held_back(bus.desk, [county.subscription_id])
    assert held == {county.subscription_id: 2}


async def test_a_backlog_that_nobody_lets_go_is_found_within_a_minute(bus: Bus) -> None:
    """As where a notice was held for a pause that ended before it was stored."""
    county = await bus.agency("Scott County CPS")
    await with_backlog(bus, county, 1)
    async with bus.desk.database.begin() as conn:
        await conn.execute(sa.delete(endpoints))
    await bus.system.dispatcher.backlog.turn()
    await by_hand.sweep(bus)
    assert len(county.receiver.arrivals.all) == 2  # its first look found it

    await add_numbered(
        bus.desk,
        (await to_subscription(bus.desk, county.subscription_id))[-1],
        1,
        **waiting(HeldReason.PAUSED),
    )
    by_hand.machine(bus).advance(10 * SECOND)
    await bus.system.dispatcher.backlog.turn()
    await by_hand.sweep(bus)
    assert len(county.receiver.arrivals.all) == 2

    by_hand.machine(bus).advance(60 * SECOND)
    await bus.system.dispatcher.backlog.turn()
    await by_hand.sweep(bus)

    assert len(county.receiver.arrivals.all) == 3


async def test_ending_a_subscription_ends_its_backlog_where_everybody_sees_it(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    held = await with_backlog(bus, county, 2)
    assert county.subscription_id is not None

    await end_subscription(
        bus.desk, furnish.principal(Scope.OPERATE), subscription_id=county.subscription_id
    )

    found = {one.id: one for one in await to_subscription(bus.desk, county.subscription_id)}
    assert {found[one.id].state for one in held} == {DeliveryState.REVOKED}
    assert {found[one.id].held_reason for one in held} == {None}
    assert NoticeClass.A in {one.notice_class for one in held}


async def test_a_feed_whose_notice_was_held_for_a_pause_that_had_ended_keeps_it(bus: Bus) -> None:
    """It is fetched, not sent: letting it go would revoke it."""
    county = await bus.agency("Scott County CPS")
    await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    (like,) = await to_subscription(bus.desk, county.subscription_id)
    async with bus.desk.database.begin() as conn:
        await conn.execute(sa.update(subscriptions).values(channel=Channel.INBOX, url=None))
    (held,) = await add_numbered(
        bus.desk, like, 1, **waiting(HeldReason.PAUSED), channel=Channel.INBOX
    )

    await bus.system.dispatcher.backlog.turn()
    await by_hand.sweep(bus)

    found = {one.id: one for one in await to_subscription(bus.desk, county.subscription_id)}
    assert found[held.id].state is DeliveryState.QUEUED


async def test_what_was_held_while_its_subscription_ended_is_revoked_within_a_minute(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS")
    held = await with_backlog(bus, county, 2)
    async with bus.desk.database.begin() as conn:
        down = {"state": EndpointState.TRIPPED, "drain_at": None, "probe_at": None}
        await conn.execute(sa.update(endpoints).values(**down))
        await conn.execute(sa.update(subscriptions).values(state=SubscriptionState.ENDED))

    await bus.system.dispatcher.backlog.turn()
    await by_hand.sweep(bus)

    found = {one.id: one for one in await to_subscription(bus.desk, county.subscription_id)}
    assert {found[one.id].state for one in held} == {DeliveryState.REVOKED}
    assert len(county.receiver.arrivals.all) == 1


async def test_what_comes_due_while_a_new_address_has_not_consented_waits_for_it(bus: Bus) -> None:
    """Whoever mends its address because notices failed is the one who must not lose them."""
    county = await bus.agency("Scott County CPS")
    county.receiver.then.append(Behaviour(status=500))
    await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    await _becomes(bus, SubscriptionState.PENDING_VERIFICATION)

    bus.world.advance(10 * SECOND)
    assert await bus.system.dispatcher.sweep() == 1
    (held,) = await to_subscription(bus.desk, county.subscription_id)
    assert (held.state, held.due_at) == (DeliveryState.QUEUED, None)
    assert len(county.receiver.arrivals.all) == 1

    await _becomes(bus, SubscriptionState.ACTIVE)
    by_hand.machine(bus).advance(60 * SECOND)
    await bus.system.dispatcher.backlog.turn()
    await by_hand.sweep(bus)

    assert carried(county, after=1) == [held.id]


async def _becomes(bus: Bus, state: SubscriptionState) -> None:
    async with bus.desk.database.begin() as conn:
        await conn.execute(sa.update(subscriptions).values(state=state))


async def test_a_probe_that_may_not_go_is_followed_by_the_next_at_once(bus: Bus) -> None:
    """Else each one that may be seen no more would cost an endpoint that works five minutes."""
    county = await bus.agency("Scott County CPS")
    county.receiver.then.append(Behaviour(status=503))
    await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    machine_now = bus.desk.machine.now()
    async with bus.desk.database.begin() as conn:
        await conn.execute(
            sa.update(deliveries).values(due_at=None, held_reason=HeldReason.ENDPOINT_DOWN)
        )
        await conn.execute(sa.update(subscriptions).values(content_level=ContentLevel.ID_ONLY))
        down = {"state": EndpointState.TRIPPED, "trips": 5, "probe_at": machine_now}
        await conn.execute(sa.update(endpoints).values(**down))

    dispatcher = bus.system.dispatcher
    await dispatcher.backlog.turn()
    await dispatcher.sweep()
    await dispatcher.record_waiting()  # it is revoked, and another takes its place
    assert await dispatcher.sweep() == 1  # which waits, since a probe is under way
    await dispatcher.backlog.turn()
    await by_hand.sweep(bus)

    assert len(county.receiver.arrivals.all) == 2  # what takes its place, as the next probe
    async with bus.desk.database.read() as conn:
        state = (await conn.execute(sa.select(endpoints.c.state))).scalar_one()
    assert state is EndpointState.HEALTHY
