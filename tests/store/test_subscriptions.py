"""Subscriptions, their index and their counters on both databases; API keys beside them."""

import datetime as dt
from dataclasses import replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    NoticeClass,
    NoticeKind,
    Scope,
    SubscriptionState,
)
from noticebus.ids import (
    AgencyId,
    new_agency_id,
    new_api_key_id,
    new_delivery_id,
    new_subscription_id,
)
from noticebus.store import agencies, deliveries, keys, subscriptions
from noticebus.store.agencies import Agency
from noticebus.store.database import Database
from noticebus.store.deliveries import Delivery
from noticebus.store.keys import ApiKey
from noticebus.store.subscriptions import Subscription
from noticebus.store.tables import subscription_areas

NOW = dt.datetime(2019, 8, 7, 12, 55, tzinfo=dt.UTC)


async def an_agency(conn: AsyncConnection) -> AgencyId:
    agency = Agency(
        id=new_agency_id(),
        name="Leake County School District",
        kind=AgencyKind.SCHOOL_DISTRICT,
        zone="America/Chicago",
        holidays_state=None,
        revision=1,
        created_at=NOW,
    )
    await agencies.insert_agency(conn, agency)
    return agency.id


def a_subscription(agency_id: AgencyId) -> Subscription:
    return Subscription(
        id=new_subscription_id(),
        agency_id=agency_id,
        name="All notices",
        state=SubscriptionState.PENDING_APPROVAL,
        channel=Channel.WEBHOOK,
        url="https://alerts.example.gov/noticebus",
        contact_id=None,
        content_level=ContentLevel.PARTNER,
        area_keys=["county:28079", "lea:2802490"],
        kinds=[],
        secrets_sealed=[{"sealed": "sealed1.x", "expires_at": None}],
        challenge="a-challenge",
        approved_at=None,
        approved_by=None,
        verified_at=None,
        revision=1,
        created_at=NOW,
    )


def a_handshake(subscription: Subscription, *, version: int) -> Delivery:
    return Delivery(
        id=new_delivery_id(),
        incident_id=None,
        obligation_id=None,
        notice_id=None,
        subscription_id=subscription.id,
        contact_id=None,
        agency_id=subscription.agency_id,
        subject=subscription.id,
        destination=subscription.id,
        channel=Channel.WEBHOOK,
        cause=Cause.HANDSHAKE,
        version=version,
        round=0,
        step=0,
        notice_class=NoticeClass.B,
        content_level=ContentLevel.PARTNER,
        sequence=None,
        answer_due_at=None,
        state=DeliveryState.QUEUED,
        attempts=0,
        recipient_attempts=0,
        due_at=NOW,
        lease_until=NOW,
        first_failed_at=None,
        finished_at=None,
        detail=None,
        created_at=NOW,
    )


async def test_subscription_is_read_back_with_a_counter_at_zero(database: Database) -> None:
    async with database.begin() as conn:
        stored = replace(
            a_subscription(await an_agency(conn)), kinds=[NoticeKind.ENFORCEMENT_ACTION]
        )
        await subscriptions.insert_subscription(conn, stored)

    async with database.read() as conn:
        found = await subscriptions.find_subscription(conn, subscription_id=stored.id)
        counters = await subscriptions.last_sequences(conn, subscription_ids=[stored.id])
    assert found == stored
    assert counters == {stored.id: 0}


async def test_index_holds_every_area_with_every_kind_until_dropped(database: Database) -> None:
    rows = sa.select(subscription_areas.c.area_key, subscription_areas.c.kind).order_by(
        subscription_areas.c.area_key
    )
    async with database.begin() as conn:
        stored = a_subscription(await an_agency(conn))
        await subscriptions.insert_subscription(conn, stored)
        assert (await conn.execute(rows)).all() == []

        await subscriptions.index_areas(conn, stored)
        assert (await conn.execute(rows)).all() == [("county:28079", "*"), ("lea:2802490", "*")]

        narrowed = replace(stored, area_keys=["county:28079"], kinds=[NoticeKind.ADVANCE])
        await subscriptions.index_areas(conn, narrowed)
        assert (await conn.execute(rows)).all() == [("county:28079", "advance")]

        await subscriptions.drop_areas(conn, subscription_id=stored.id)
        assert (await conn.execute(rows)).all() == []


async def test_second_change_of_one_revision_changes_nothing(database: Database) -> None:
    async with database.begin() as conn:
        stored = a_subscription(await an_agency(conn))
        await subscriptions.insert_subscription(conn, stored)
        paused = stored.became(SubscriptionState.PAUSED)
        ended = stored.became(SubscriptionState.ENDED)
        assert await subscriptions.update_subscription(conn, paused, revision=1)
        assert not await subscriptions.update_subscription(conn, ended, revision=1)

        held = await subscriptions.lock_subscription(conn, subscription_id=stored.id)
    assert held == paused


async def test_list_is_limited_to_an_agency_and_a_state(database: Database) -> None:
    async with database.begin() as conn:
        mine, theirs = await an_agency(conn), await an_agency(conn)
        first, second = a_subscription(mine), a_subscription(mine)
        second = replace(second, state=SubscriptionState.ACTIVE)
        other = a_subscription(theirs)
        for one in (first, second, other):
            await subscriptions.insert_subscription(conn, one)

        async def listed(agency_id: str | None, state: SubscriptionState | None) -> list[str]:
            found = await subscriptions.list_subscriptions(
                conn, agency_id=agency_id, state=state, after="", limit=9
            )
            return [one.id for one in found]

        assert await listed(None, None) == sorted([first.id, second.id, other.id])
        assert await listed(mine, None) == sorted([first.id, second.id])
        assert await listed(mine, SubscriptionState.ACTIVE) == [second.id]


async def test_next_handshake_has_a_number_of_its_own_and_replaces_the_waiting_one(
    database: Database,
) -> None:
    async with database.begin() as conn:
        stored = a_subscription(await an_agency(conn))
        await subscriptions.insert_subscription(conn, stored)
        number = await subscriptions.next_version(
            conn, subscription_id=stored.id, cause=Cause.HANDSHAKE
        )
        await deliveries.insert_deliveries(conn, [a_handshake(stored, version=number)])
        await subscriptions.moot_subscription_deliveries(
            conn, subscription_id=stored.id, causes=[Cause.HANDSHAKE], finished_at=NOW
        )
        following = await subscriptions.next_version(
            conn, subscription_id=stored.id, cause=Cause.HANDSHAKE
        )
        (waiting,) = await deliveries.deliveries_of(conn, subscription_id=stored.id, limit=9)

    assert (number, following) == (1, 2)
    assert waiting.state is DeliveryState.MOOT
    assert waiting.due_at is None


async def test_key_is_found_by_its_hash_with_the_kind_of_its_agency(database: Database) -> None:
    async with database.begin() as conn:
        key = ApiKey(
            id=new_api_key_id(),
            name="district system",
            agency_id=await an_agency(conn),
            scopes=(Scope.ANSWER, Scope.SUBSCRIBE),
            created_at=NOW,
            expires_at=None,
            revoked_at=None,
        )
        assert not await keys.any_key_exists(conn)
        await keys.insert_key(conn, key, secret_hash="ab" * 32)
        known = await keys.find_key_by_hash(conn, secret_hash="ab" * 32)
        unknown = await keys.find_key_by_hash(conn, secret_hash="cd" * 32)

        assert await keys.any_key_exists(conn)
        assert await keys.revoke_key(conn, key_id=key.id, now=NOW)
        assert not await keys.revoke_key(conn, key_id=key.id, now=NOW)
        listed = await keys.list_keys(conn, agency_id=key.agency_id, after="", limit=9)
    assert known is not None
    assert (known.key, known.agency_kind) == (key, AgencyKind.SCHOOL_DISTRICT)
    assert unknown is None
    assert listed == [replace(key, revoked_at=NOW)]


async def test_right_to_make_the_first_key_is_given_once(database: Database) -> None:
    async with database.begin() as conn:
        assert await keys.claim_first_key(conn)
        assert not await keys.claim_first_key(conn)
