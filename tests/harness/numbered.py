"""Many deliveries of one subscription, made by SQL: what months of notices leave behind."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from harness.desk import SCOTT, add_agency, notice_body, post_notice
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    HeldReason,
    NoticeClass,
    SubscriptionState,
)
from noticebus.ids import SubscriptionId, new_delivery_id, new_subscription_id
from noticebus.store import deliveries as rows
from noticebus.store.agencies import Agency
from noticebus.store.deliveries import Delivery
from noticebus.store.subscriptions import Subscription, index_areas, insert_subscription
from noticebus.store.tables import deliveries, subscription_counters

CLASSES = (NoticeClass.C, NoticeClass.A, NoticeClass.B)  # in turn


async def to_subscription(desk: Desk, subscription_id: SubscriptionId | None) -> list[Delivery]:
    """Read everything that was made for a subscription, oldest first."""
    statement = (
        sa.select(deliveries)
        .where(deliveries.c.subscription_id == subscription_id)
        .order_by(deliveries.c.id)
    )
    async with desk.database.read() as conn:
        return [Delivery(**row) for row in (await conn.execute(statement)).mappings()]


async def add_numbered(
    desk: Desk, like: Delivery, count: int, *, by_class: bool = False, **values: Any
) -> list[Delivery]:
    """Add `count` numbered deliveries like one there is, delivered unless `values` say else.

    `by_class` gives them classes in turn.
    """
    assert like.subscription_id is not None
    first = like.sequence or 0
    delivered = {
        "state": DeliveryState.DELIVERED,
        "due_at": None,
        "attempts": 1,
        "lease_until": desk.machine.now(),
    }
    made = [
        replace(
            like,
            **{
                "id": new_delivery_id(),
                "step": first + number,
                "sequence": first + number,
                "notice_class": CLASSES[number % 3] if by_class else like.notice_class,
                **delivered,
                **values,
            },
        )
        for number in range(1, count + 1)
    ]
    async with desk.database.begin() as conn:
        for start in range(0, count, 1000):
            await rows.insert_deliveries(conn, made[start : start + 1000])
        await conn.execute(
            sa.update(subscription_counters)
            .where(subscription_counters.c.subscription_id == like.subscription_id)
            .values(last_sequence=first + count)
        )
    return made


def waiting(reason: HeldReason) -> dict[str, Any]:
    """Give what makes a delivery wait in a backlog for `reason`."""
    return {
        "state": DeliveryState.QUEUED,
        "due_at": None,
        "attempts": 0,
        "held_reason": reason,
        "finished_at": None,
        "cause": Cause.NOTICE,
    }


async def add_webhook(desk: Desk, agency: Agency, **values: Any) -> Subscription:
    """Give an agency an active webhook subscription, its consent proved."""
    now = desk.world.now()
    fields = {
        "id": new_subscription_id(),
        "agency_id": agency.id,
        "name": "endpoint",
        "state": SubscriptionState.ACTIVE,
        "channel": Channel.WEBHOOK,
        "url": "https://cps.example.gov/hook",
        "contact_id": None,
        "content_level": ContentLevel.PARTNER,
        "area_keys": [SCOTT],
        "kinds": [],
        "secrets_sealed": [],
        "challenge": "c",
        "approved_at": now,
        "approved_by": "test",
        "verified_at": now,
        "revision": 1,
        "created_at": now,
    }
    new = Subscription(**(fields | values))
    async with desk.database.begin() as conn:
        await insert_subscription(conn, new)
        await index_areas(conn, new)
    return new


async def add_held(
    desk: Desk, order: Subscription, count: int, *, by_class: bool = False
) -> list[Delivery]:
    """Add a backlog of `count` to a subscription that was sent nothing yet."""
    poster = await add_agency(desk, f"Field office {order.id}", county_fips=None)
    await post_notice(desk, poster, body=notice_body(desk))
    like = (await to_subscription(desk, order.id))[-1]
    held = await add_numbered(
        desk, like, count, by_class=by_class, **waiting(HeldReason.ENDPOINT_DOWN)
    )
    async with desk.database.begin() as conn:
        ended = {"state": DeliveryState.DELIVERED, "due_at": None}
        await conn.execute(sa.update(deliveries).where(deliveries.c.id == like.id).values(**ended))
    return held
