"""The agencies of a measurement, written by SQL: one poster, and recipients in counties."""

import datetime as dt
from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from noticebus import ids
from noticebus.access.keyring import new_webhook_secret
from noticebus.access.principals import hash_key, new_key
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import AgencyKind, Role, Scope
from noticebus.store import tables

COUNTY = "28123"
ROWS_AT_ONCE = 1_000
COUNTIES = tuple(f"28{number:03}" for number in range(1, 164, 2))  # all 82 of Mississippi


async def seed(desk: Desk, urls: Sequence[str], *, counties: Sequence[str] = (COUNTY,)) -> str:
    """Insert a recipient with a verified webhook for each of `urls`; give the poster's key.

    The recipients take turns with the counties: each gets what is posted for its own.
    """
    now = desk.world.now()
    poster = ids.new_agency_id()
    key_id = ids.new_api_key_id()
    key = new_key(key_id)
    rows: dict[sa.Table, list[dict[str, object]]] = {
        tables.agencies: [_agency(poster, AgencyKind.FEDERAL, now=now)],
        tables.api_keys: [
            {
                "id": key_id,
                "name": "bench",
                "secret_hash": hash_key(key),
                "agency_id": poster,
                "scopes": [Scope.POST],
                "created_at": now,
            }
        ],
    }
    for number, url in enumerate(urls):
        county = counties[number % len(counties)]
        for table, row in _recipient(desk, url=url, county=county, now=now):
            rows.setdefault(table, []).append(row)
    async with desk.database.begin() as conn:
        for table, its in rows.items():
            for first in range(0, len(its), ROWS_AT_ONCE):
                await conn.execute(table.insert(), its[first : first + ROWS_AT_ONCE])
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


def _recipient(
    desk: Desk, *, url: str, county: str, now: dt.datetime
) -> Iterator[tuple[sa.Table, dict[str, object]]]:
    """Make the rows of one recipient: who it is, what it subscribed to, what it answers for."""
    area = f"county:{county}"
    agency_id, subscription_id = ids.new_agency_id(), ids.new_subscription_id()
    duty_id = ids.new_responsibility_id()
    yield tables.agencies, _agency(agency_id, AgencyKind.CPS, now=now)
    yield (
        tables.subscriptions,
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
    yield (
        tables.subscription_areas,
        {"area_key": area, "kind": "*", "subscription_id": subscription_id},
    )
    yield (
        tables.subscription_counters,
        {"subscription_id": subscription_id, "last_sequence": 0},
    )
    yield (
        tables.responsibilities,
        {
            "id": duty_id,
            "agency_id": agency_id,
            "role": Role.CPS,
            "area_keys": [area],
            "created_at": now,
        },
    )
    yield tables.responsibility_areas, {"area_key": area, "responsibility_id": duty_id}


def notice(number: int, *, county: str = COUNTY) -> dict[str, object]:
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
        "areas": [{"county_fips": [county]}],
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
