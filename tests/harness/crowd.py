"""Many agencies at once, written straight into the tables: what fan-out is measured on."""

import datetime as dt
import secrets
from dataclasses import dataclass
from typing import Any

from harness.desk import SCOTT
from harness.system import Bus
from noticebus.access.keyring import new_webhook_secret
from noticebus.contracts.vocabulary import Channel, ContentLevel, SubscriptionState
from noticebus.ids import SubscriptionId, new_subscription_id
from noticebus.store import subscriptions
from noticebus.store.subscriptions import Subscription
from noticebus.store.tables import agencies as agency_rows
from noticebus.store.tables import responsibilities, responsibility_areas


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Many agencies made at once: their subscriptions, in order."""

    agency_ids: list[str]
    subscription_ids: list[SubscriptionId]


async def add_crowd(bus: Bus, count: int, *, url: str) -> Crowd:
    """Add `count` responsible school districts, each with an active endpoint at `url`/n."""
    now = bus.world.now()
    sealed = {"sealed": bus.desk.keyring.seal(new_webhook_secret()), "expires_at": None}
    crowd = Crowd(
        agency_ids=[f"agy_{secrets.token_hex(13)}" for _ in range(count)],
        subscription_ids=[new_subscription_id() for _ in range(count)],
    )
    async with bus.desk.database.begin() as conn:
        await conn.execute(agency_rows.insert(), [_district(one, now) for one in crowd.agency_ids])
        duties = [(f"rsp_{secrets.token_hex(13)}", one) for one in crowd.agency_ids]
        await conn.execute(
            responsibilities.insert(),
            [
                {
                    "id": id_,
                    "agency_id": agency_id,
                    "role": "school",
                    "area_keys": [SCOTT],
                    "created_at": now,
                }
                for id_, agency_id in duties
            ],
        )
        await conn.execute(
            responsibility_areas.insert(),
            [{"area_key": SCOTT, "responsibility_id": id_} for id_, _ in duties],
        )
        for number, (agency_id, id_) in enumerate(
            zip(crowd.agency_ids, crowd.subscription_ids, strict=True)
        ):
            new = _order(agency_id, id_, url=f"{url}/{number}", sealed=sealed, now=now)
            await subscriptions.insert_subscription(conn, new)
            await subscriptions.index_areas(conn, new)
    return crowd


def _district(agency_id: str, now: dt.datetime) -> dict[str, Any]:
    return {
        "id": agency_id,
        "name": f"District {agency_id[-6:]}",
        "kind": "school_district",
        "zone": "America/Chicago",
        "holidays_state": "MS",
        "revision": 1,
        "created_at": now,
    }


def _order(
    agency_id: str, id_: SubscriptionId, *, url: str, sealed: Any, now: dt.datetime
) -> Subscription:
    return Subscription(
        id=id_,
        agency_id=agency_id,  # type: ignore[arg-type]
        name="endpoint",
        state=SubscriptionState.ACTIVE,
        channel=Channel.WEBHOOK,
        url=url,
        contact_id=None,
        content_level=ContentLevel.PARTNER,
        area_keys=[SCOTT],
        kinds=[],
        secrets_sealed=[sealed],
        challenge="c",
        approved_at=now,
        approved_by="test",
        verified_at=now,
        revision=1,
        created_at=now,
    )
