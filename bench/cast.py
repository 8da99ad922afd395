"""The agencies of a measurement, written by SQL: one poster, and recipients of one county."""

import datetime as dt
from collections.abc import Sequence

from noticebus import ids
from noticebus.access.keyring import new_webhook_secret
from noticebus.access.principals import hash_key, new_key
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import AgencyKind, Role, Scope
from noticebus.store import tables

COUNTY = "28123"


async def seed(desk: Desk, urls: Sequence[str]) -> str:
    """Insert a recipient with a verified webhook for each of `urls`; give the poster's key."""
    now = desk.world.now()
    poster = ids.new_agency_id()
    recipients = [ids.new_agency_id() for _ in urls]
    key_id = ids.new_api_key_id()
    key = new_key(key_id)
    async with desk.database.begin() as conn:
        await conn.execute(
            tables.agencies.insert(),
            [_agency(poster, AgencyKind.FEDERAL, now=now)]
            + [_agency(one, AgencyKind.CPS, now=now) for one in recipients],
        )
        await conn.execute(
            tables.api_keys.insert(),
            {
                "id": key_id,
                "name": "bench",
                "secret_hash": hash_key(key),
                "agency_id": poster,
                "scopes": [Scope.POST],
                "created_at": now,
            },
        )
        for url, agency_id in zip(urls, recipients, strict=True):
            await _subscribe(conn, desk, agency_id, url=url, now=now)
    return key


def _agency(agency_id: str, kind: AgencyKind, *, now: dt.datetime) -> dict[str, object]:
    return {
        "id": agency_id,
        "name": f"{kind} {agency_id[-6:]}",
        "kind": kind,
        "zone": "America/Chicago",
        "holidays_state": "MS",
        "revision": 1,
        "created_at": now,
    }


async def _subscribe(conn, desk: Desk, agency_id: str, *, url: str, now: dt.datetime) -> None:  # type: ignore[no-untyped-def]
    area = f"county:{COUNTY}"
    subscription_id, duty_id = ids.new_subscription_id(), ids.new_responsibility_id()
    await conn.execute(
        tables.subscriptions.insert(),
        {
            "id": subscription_id,
            "agency_id": agency_id,
            "name": "bench",
            "state": "active",
            "channel": "webhook",
            "url": url,
            "content_level": "partner",
            "area_keys": [area],
            "kinds": [],
            "secrets_sealed": [
                {"sealed": desk.keyring.seal(new_webhook_secret()), "expires_at": None}
            ],
            "challenge": "answered",
            "approved_at": now,
            "verified_at": now,
            "revision": 1,
            "created_at": now,
        },
    )
    await conn.execute(
        tables.subscription_areas.insert(),
        {"area_key": area, "kind": "*", "subscription_id": subscription_id},
    )
    await conn.execute(
        tables.subscription_counters.insert(),
        {"subscription_id": subscription_id, "last_sequence": 0},
    )
    await conn.execute(
        tables.responsibilities.insert(),
        {
            "id": duty_id,
            "agency_id": agency_id,
            "role": Role.CPS,
            "area_keys": [area],
            "created_at": now,
        },
    )
    await conn.execute(
        tables.responsibility_areas.insert(), {"area_key": area, "responsibility_id": duty_id}
    )


def notice(number: int) -> dict[str, object]:
    """Make a notice of about 1.5 kB as posted."""
    return {
        "kind": "enforcement_action",
        "status": "actual",
        "class": "B",
        "occurred_at": "2026-08-07T12:55:00Z",
        "expires_at": "2026-08-08T13:00:00Z",
        "urgency": "Immediate",
        "severity": "Moderate",
        "certainty": "Observed",
        "sender": {
            "unit": "Field office",
            "role": "duty officer",
            "callback_phone": "+16015550100",
            "service_hours": "A",
        },
        "headline": f"Measurement {number}: children may need care after school",
        "description": "A worksite action was carried out this morning. " * 12,
        "areas": [{"county_fips": [COUNTY]}],
        "action_type": "worksite",
        "phase": "secured",
        "sites": [{"site_id": "s1", "label": "food plant"}],
        "counts": [
            {
                "site_id": "s1",
                "as_of": "2026-08-07T16:20:00Z",
                "basis": "estimate",
                "detained_total": 100,
                "in_custody": 96,
                "released_on_site_humanitarian": 4,
                "released_on_site_other": 0,
                "released_after_processing": 0,
                "transferred_out": 0,
            }
        ],
        "children": {"status": "unknown", "as_of": "2026-08-07T16:20:00Z"},
        "purpose": "child_safety",
        "legal_basis": "no_pii",
    }
