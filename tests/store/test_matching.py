"""Matching and numbering: what routing finds, and sequences that nobody takes twice."""

import asyncio

import sqlalchemy as sa

from harness import desk as furnish
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import AgencyKind, Position
from noticebus.ids import SubscriptionId, new_subscription_id
from noticebus.store import matching
from noticebus.store.tables import subscription_counters, subscriptions


async def subscribe(desk: Desk) -> SubscriptionId:
    """Store a bare subscription with its counter."""
    agency = await furnish.add_agency(desk, "Mercy House", kind=AgencyKind.FAITH)
    id_ = new_subscription_id()
    async with desk.database.begin() as conn:
        await conn.execute(
            subscriptions.insert().values(
                id=id_,
                agency_id=agency.id,
                name="feed",
                state="active",
                channel="inbox",
                content_level="partner",
                area_keys=[],
                kinds=[],
                secrets_sealed=[],
                challenge="c",
                revision=1,
                created_at=desk.world.now(),
            )
        )
        await conn.execute(
            subscription_counters.insert().values(subscription_id=id_, last_sequence=0)
        )
    return id_


async def test_numbers_taken_at_once_have_no_gap_and_no_double(desk: Desk) -> None:
    id_ = await subscribe(desk)

    async def take(count: int) -> range:
        async with desk.database.begin() as conn:
            first = (await matching.take_sequences(conn, {id_: count}))[id_]
            return range(first, first + count)

    async with asyncio.TaskGroup() as tasks:
        taken = [tasks.create_task(take(1 + number % 3)) for number in range(12)]

    numbers = sorted(number for one in taken for number in one.result())
    assert numbers == list(range(1, 25))


async def test_responsibilities_come_with_the_area_that_matched(desk: Desk) -> None:
    county = await furnish.add_agency(desk, "Scott County CPS")
    await furnish.add_agency(desk, "Other CPS", county_fips="28049")
    async with desk.database.read() as conn:
        found = await matching.responsibilities_for(conn, ["county:28123", "state:28"])

    assert [(one.agency_id, one.area_key) for one in found] == [(county.id, "county:28123")]


async def test_who_has_moved_since_it_consented_is_found_as_paused_and_who_never_did_is_not(
    desk: Desk,
) -> None:
    moved, never = await subscribe(desk), await subscribe(desk)
    async with desk.database.begin() as conn:
        await conn.execute(sa.update(subscriptions).values(state="pending_verification"))
        mine = subscriptions.c.id == moved
        await conn.execute(sa.update(subscriptions).where(mine).values(verified_at=furnish.MORNING))
        whose = sa.select(subscriptions.c.agency_id).where(subscriptions.c.id.in_([moved, never]))
        agency_ids = (await conn.execute(whose)).scalars().all()

        found = await matching.orders_of_agencies(conn, agency_ids, paused_too=True)
        reached = await matching.orders_of_agencies(conn, agency_ids)

    (order,) = [one for orders in found.values() for one in orders]
    assert (order.subscription_id, order.verified, order.paused) == (moved, True, True)
    assert reached == {}


async def test_ended_contacts_are_not_reached(desk: Desk) -> None:
    county = await furnish.add_agency(desk, "Scott County CPS")
    gone = await furnish.add_contact(desk, county, "Gone")
    there = await furnish.add_contact(desk, county, "There", position=Position.HEAD)
    await furnish.end_contact(desk, gone)
    async with desk.database.read() as conn:
        found = await matching.contact_points(
            conn, [county.id], at=furnish.MORNING, telephone=False
        )

    assert [one.id for one in found[county.id]] == [there.id]
