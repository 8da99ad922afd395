"""Which subscriptions are told their last number, and which leases are due, on both databases."""

import asyncio
import datetime as dt
import json
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from harness import desk as furnish
from noticebus.casework import heartbeats, inspection
from noticebus.casework import leases as minding
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    EndpointState,
    Scope,
    SubscriptionState,
)
from noticebus.domain.leases import WARNED_BEFORE
from noticebus.ids import AgencyId, SubscriptionId, new_subscription_id
from noticebus.store import heartbeats as rows
from noticebus.store import leases, subscriptions
from noticebus.store.deliveries import Delivery, deliveries_of
from noticebus.store.subscriptions import Subscription
from noticebus.store.tables import deliveries, endpoints, entries

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)


async def an_order(desk: Desk, **changes: Any) -> Subscription:
    """Add an active webhook of an agency of its own, with a heartbeat every hour from now."""
    agency = await furnish.add_agency(desk, "Scott County CPS")
    now = desk.world.now()
    order = Subscription(
        id=new_subscription_id(),
        agency_id=AgencyId(agency.id),
        name="endpoint",
        state=SubscriptionState.ACTIVE,
        channel=Channel.WEBHOOK,
        url="https://alerts.example.gov/noticebus",
        contact_id=None,
        content_level=ContentLevel.PARTNER,
        area_keys=["county:28123"],
        kinds=[],
        secrets_sealed=[],
        challenge="c",
        approved_at=now,
        approved_by="test",
        verified_at=now,
        revision=1,
        created_at=now,
        heartbeat_minutes=60,
    )
    order = replace(order, **changes)
    async with desk.database.begin() as conn:
        await subscriptions.insert_subscription(conn, order)
        await heartbeats.begin(conn, order, at=now)
    return order


async def beats_of(desk: Desk, order: Subscription) -> list[Delivery]:
    """Read a subscription's heartbeats, newest first."""
    async with desk.database.read() as conn:
        found = await deliveries_of(conn, subscription_id=order.id, limit=50)
    return [one for one in found if one.cause is Cause.HEARTBEAT]


async def next_at(desk: Desk) -> dt.datetime | None:
    return await heartbeats.next_heartbeat_at(desk)


async def test_one_sweep_serves_many_and_the_next_is_an_interval_later(desk: Desk) -> None:
    orders = [await an_order(desk), await an_order(desk, channel=Channel.KAFKA, url=None)]
    quiet = await an_order(desk, heartbeat_minutes=None)
    assert await heartbeats.beat_due(desk) == 0
    furnish.world(desk).advance(HOUR)

    assert await heartbeats.beat_due(desk) == 2
    assert await heartbeats.beat_due(desk) == 0

    for order in orders:
        (beat,) = await beats_of(desk, order)
        assert (beat.channel, beat.detail) == (order.channel, {"last_sequence": 0})
    assert await beats_of(desk, quiet) == []
    assert await next_at(desk) == desk.world.now() + HOUR


async def test_two_clocks_at_once_send_one_heartbeat(desk: Desk) -> None:
    order = await an_order(desk)
    furnish.world(desk).advance(HOUR)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(heartbeats.beat_due(desk))

    assert len(await beats_of(desk, order)) == 1


async def test_an_earlier_heartbeat_that_still_waits_is_moot_after_the_next(desk: Desk) -> None:
    order = await an_order(desk)
    for _ in range(2):
        furnish.world(desk).advance(HOUR)
        await heartbeats.beat_due(desk)

    newest, earlier = await beats_of(desk, order)
    assert (newest.state, earlier.state) == (DeliveryState.QUEUED, DeliveryState.MOOT)
    assert earlier.due_at is None


async def test_after_an_outage_one_heartbeat_goes_and_what_waited_before_it_is_moot(
    desk: Desk,
) -> None:
    order = await an_order(desk)
    furnish.world(desk).advance(HOUR)
    await heartbeats.beat_due(desk)
    furnish.world(desk).advance(10 * DAY)

    assert await heartbeats.beat_due(desk) == 1

    newest, earlier = await beats_of(desk, order)
    assert (newest.state, earlier.state) == (DeliveryState.QUEUED, DeliveryState.MOOT)
    assert await next_at(desk) == desk.world.now() + HOUR


async def test_paused_and_tripped_are_told_nothing_and_a_probe_under_way_is_left_alone(
    desk: Desk,
) -> None:
    paused = await an_order(desk, state=SubscriptionState.PAUSED)
    tripped = await an_order(desk)
    furnish.world(desk).advance(HOUR)
    await heartbeats.beat_due(desk)
    async with desk.database.begin() as conn:
        await conn.execute(
            endpoints.insert().values(
                subscription_id=tripped.id,
                state=EndpointState.PROBING,
                failures=10,
                trips=1,
                last_error="",
                changed_at=desk.world.now(),
            )
        )
    furnish.world(desk).advance(HOUR)

    assert await heartbeats.beat_due(desk) == 2

    assert await beats_of(desk, paused) == []
    (probe,) = await beats_of(desk, tripped)
    assert probe.state is DeliveryState.QUEUED


async def test_the_heartbeats_of_a_minute_are_one(desk: Desk) -> None:
    order = await an_order(desk)
    furnish.world(desk).advance(HOUR)
    await heartbeats.beat_due(desk)
    async with desk.database.begin() as conn:
        await rows.set_heartbeats(conn, {order.id: desk.world.now()})

    assert await heartbeats.beat_due(desk) == 1

    assert len(await beats_of(desk, order)) == 1


async def test_a_topics_delivery_shows_a_record_and_what_never_went_no_body(desk: Desk) -> None:
    order = await an_order(desk, channel=Channel.KAFKA, url=None)
    furnish.world(desk).advance(HOUR)
    await heartbeats.beat_due(desk)
    (beat,) = await beats_of(desk, order)
    caller = replace(furnish.principal(Scope.ANSWER), agency_id=order.agency_id)

    shown = await inspection.inspect_delivery(
        desk, caller, subscription_id=order.id, delivery_id=beat.id
    )

    assert shown.sent is not None
    assert shown.sent.url is None
    assert shown.sent.headers["ce_id"] == beat.id
    assert (shown.sent.body, shown.sent.withheld) == (None, inspection.NOT_SENT)


async def test_a_replay_shows_what_it_carries_again(desk: Desk) -> None:
    order = await an_order(desk)
    furnish.world(desk).advance(HOUR)
    await heartbeats.beat_due(desk)
    furnish.world(desk).advance(HOUR)
    await heartbeats.beat_due(desk)
    again, original = await beats_of(desk, order)
    async with desk.database.begin() as conn:
        await conn.execute(
            sa.update(deliveries)
            .where(deliveries.c.id == again.id)
            .values(cause=Cause.REPLAY, replays_id=original.id)
        )
    caller = replace(furnish.principal(Scope.ANSWER), agency_id=order.agency_id)

    shown = await inspection.inspect_delivery(
        desk, caller, subscription_id=order.id, delivery_id=again.id
    )

    assert shown.sent is not None
    assert shown.sent.headers["webhook-id"] == original.id


async def due_now(desk: Desk) -> list[SubscriptionId]:
    async with desk.database.read() as conn:
        return await leases.due_leases(
            conn, now=desk.world.now(), warned_before=WARNED_BEFORE, batch_size_max=10
        )


async def test_only_active_leases_with_something_due_are_found_the_first_to_end_first(
    desk: Desk,
) -> None:
    now = desk.world.now()
    ends = {
        "lapsed": await an_order(desk, lease_until=now, lease_warned=3),
        "last day": await an_order(desk, lease_until=now + DAY, lease_warned=2),
        "a month": await an_order(desk, lease_until=now + 30 * DAY, lease_warned=0),
    }
    await an_order(desk, lease_until=now + 31 * DAY)
    await an_order(desk, lease_until=now + 30 * DAY, lease_warned=1)
    await an_order(desk, lease_until=now, state=SubscriptionState.PAUSED)
    await an_order(desk)

    assert await due_now(desk) == [one.id for one in ends.values()]


async def test_an_edit_before_the_handshake_waits_for_it(desk: Desk) -> None:
    order = await an_order(
        desk, heartbeat_minutes=None, state=SubscriptionState.PENDING_VERIFICATION
    )
    async with desk.database.begin() as conn:
        changed = replace(order, heartbeat_minutes=5)
        await heartbeats.follow(conn, order, changed, at=desk.world.now())

    assert await next_at(desk) is None


async def test_a_lease_nobody_can_be_told_of_lapses_all_the_same_and_the_ledger_says_so(
    desk: Desk,
) -> None:
    order = await an_order(desk, lease_until=desk.world.now(), lease_warned=3)
    upcoming = await an_order(desk, lease_until=desk.world.now() + DAY, lease_warned=2)

    assert await minding.mind_leases(replace(desk, lease_days=0)) == 0, "leases were given up"
    assert await minding.mind_leases(desk) == 2
    assert await minding.mind_leases(desk) == 0

    async with desk.database.read() as conn:
        lapsed = await subscriptions.find_subscription(conn, subscription_id=order.id)
        warned = await subscriptions.find_subscription(conn, subscription_id=upcoming.id)
        found = (await conn.execute(sa.select(entries.c.body))).scalars().all()
    assert lapsed is not None
    assert (lapsed.state, lapsed.pause_reason) == (SubscriptionState.PAUSED, "lease_lapsed")
    assert warned is not None
    assert (warned.lease_warned, warned.revision) == (3, upcoming.revision)
    said = [json.loads(one) for one in found]
    types = {"subscription.lease_lapsed", "subscription.lease_warned"}
    assert [one["data"]["mails"] for one in said if one["type"] in types] == [0, 0]
