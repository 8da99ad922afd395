"""Active webhook subscriptions and deliveries to them, written straight into the tables."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from harness.desk import SCOTT, add_agency
from harness.loads import a_delivery
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import (
    Channel,
    ContentLevel,
    DeliveryState,
    NoticeKind,
    SubscriptionState,
)
from noticebus.ids import AgencyId, SubscriptionId, new_subscription_id
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.rows import values_of
from noticebus.store.subscriptions import Subscription
from noticebus.store.tables import subscription_counters, subscriptions


async def add_orders(desk: Desk, count: int, **changes: Any) -> list[Subscription]:
    """Add `count` active webhooks of one new agency, each with `changes`."""
    agency = await add_agency(desk, f"Agency {secrets.token_hex(4)}", county_fips=None)
    made = [replace(_order(desk, agency.id), **changes) for _ in range(count)]
    async with desk.database.begin() as conn:
        await conn.execute(subscriptions.insert(), [values_of(one) for one in made])
        counters = [{"subscription_id": one.id, "last_sequence": 7} for one in made]
        await conn.execute(subscription_counters.insert(), counters)
    return made


async def add_deliveries(desk: Desk, *facts: tuple[Subscription, dict[str, Any]]) -> list[Delivery]:
    """Add one delivery per subscription and its facts: queued, due now, where they say no more."""
    made = []
    for number, (order, changes) in enumerate(facts):
        base = replace(
            a_delivery(order.id),
            agency_id=order.agency_id,
            version=number + 1,
            state=DeliveryState.QUEUED,
            attempts=0,
            due_at=desk.world.now(),
            lease_until=desk.machine.now(),
            created_at=desk.world.now(),
        )
        made.append(replace(base, **changes))
    async with desk.database.begin() as conn:
        await insert_deliveries(conn, made)
    return made


def ids_of(orders: Sequence[Subscription]) -> list[SubscriptionId]:
    """Give the ids of subscriptions."""
    return [one.id for one in orders]


def _order(desk: Desk, agency_id: AgencyId) -> Subscription:
    now = desk.world.now()
    return Subscription(
        id=new_subscription_id(),
        agency_id=agency_id,
        name="case system",
        state=SubscriptionState.ACTIVE,
        channel=Channel.WEBHOOK,
        url="https://agency.example/hook",
        contact_id=None,
        content_level=ContentLevel.PARTNER,
        area_keys=[SCOTT],
        kinds=list[NoticeKind](),
        secrets_sealed=[],
        challenge="c",
        approved_at=now,
        approved_by="test",
        verified_at=now,
        revision=1,
        created_at=now,
    )
