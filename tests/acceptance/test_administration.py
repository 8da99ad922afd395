"""Administration over the real HTTP application."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from harness import tables
from harness.apps import lent_app
from noticebus.access.keyring import Keyring
from noticebus.bus.memory import MemoryBus
from noticebus.casework.consent import confirm_handshake
from noticebus.casework.desk import Desk
from noticebus.casework.keys import create_first_key
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import Cause, DeliveryState
from noticebus.refdata.counties import load
from noticebus.store.database import Database
from noticebus.store.deliveries import deliveries_of
from noticebus.store.ledger import newest_index
from noticebus.store.tables import entries
from noticebus.telemetry import Metrics

START = dt.datetime(2019, 8, 7, 12, 55, tzinfo=dt.UTC)
BASE_URL = "https://bus.example.gov"
DAY = dt.timedelta(hours=24)


class Api:
    """One caller of the API, by its key."""

    def __init__(self, app: Any, key: str) -> None:
        transport = httpx2.ASGITransport(app=app)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.AsyncClient(transport=transport, base_url=BASE_URL, headers=headers)

    async def call(
        self, method: str, path: str, *, status: int, json: Any = None, revision: int | None = None
    ) -> dict[str, Any]:
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        response = await self._client.request(method, path, json=json, headers=headers)
        assert response.status_code == status, response.text
        assert response.headers["x-request-id"].startswith("req_")
        answer: dict[str, Any] = response.json()
        if status >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            assert answer["request_id"] == response.headers["x-request-id"]
            page = await self._client.get(answer["type"])
            assert page.status_code == 200, answer["type"]
        elif "revision" in answer:
            assert response.headers["etag"] == f'"{answer["revision"]}"'
        return answer

    async def raw(self, method: str, path: str, **parts: Any) -> httpx2.Response:
        return await self._client.request(method, path, **parts)


@dataclass(frozen=True, kw_only=True)
class Office:
    """The application, with its clocks and its administrator."""

    app: Any
    desk: Desk
    machine: ManualClock
    admin: Api

    async def caller(self, agency_id: str | None, *scopes: str) -> Api:
        body = {"name": "test", "agency_id": agency_id, "scopes": list(scopes)}
        made = await self.admin.call("POST", "/v1/api-keys", status=201, json=body)
        return Api(self.app, made["key"])

    async def agency(self, name: str = "Scott County CPS", kind: str = "cps") -> str:
        body = {"name": name, "kind": kind, "zone": "America/Chicago", "holidays_state": "MS"}
        made = await self.admin.call("POST", "/v1/agencies", status=201, json=body)
        return str(made["id"])

    async def contact(self, agency_id: str) -> dict[str, Any]:
        body = {"name": "Duty desk", "role": "intake", "email": "desk@cps.example"}
        path = f"/v1/agencies/{agency_id}/contacts"
        return await self.admin.call("POST", path, status=201, json=body)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    database = Database(await tables.on_sqlite(tmp_path))
    world, machine = ManualClock(START), ManualClock(START)
    desk = Desk(
        database=database,
        bus=MemoryBus(),
        world=world,
        machine=machine,
        keyring=Keyring(b"k" * 32),
        places=load(),
        metrics=Metrics.create(),
        base_url=BASE_URL,
    )
    first = await create_first_key(desk, path=tmp_path / "first-key")
    assert first is not None
    with lent_app(desk) as app:
        yield Office(app=app, desk=desk, machine=machine, admin=Api(app, first.secret))
    await database.close()


def a_webhook(**other: Any) -> dict[str, Any]:
    return {
        "name": "All notices",
        "channel": "webhook",
        "url": "https://alerts.example.gov/noticebus",
        "areas": [{"county_fips": ["28123"]}],
        "content_level": "partner",
        **other,
    }


async def handshakes(office: Office, subscription_id: Any) -> list[DeliveryState]:
    async with office.desk.database.read() as conn:
        found = await deliveries_of(conn, subscription_id=subscription_id, limit=99)
    return [one.state for one in found if one.cause is Cause.HANDSHAKE]


async def consent(office: Office, subscription_id: str) -> bool:
    async with office.desk.database.begin() as conn:
        return await confirm_handshake(
            conn, office.desk, subscription_id=subscription_id, challenge_ok=True
        )


async def test_first_key_is_in_a_file_that_only_its_owner_reads_and_is_made_once(
    office: Office, tmp_path: Path
) -> None:
    file = tmp_path / "first-key"

    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text().startswith("noticebus_live_")
    assert await create_first_key(office.desk, path=tmp_path / "second-key") is None
    assert not (tmp_path / "second-key").exists()


async def test_subscriber_asks_operator_approves_endpoint_consents_secret_rotates(
    office: Office,
) -> None:
    agency_id = await office.agency()
    operator = await office.caller(None, "operate")
    county = await office.caller(agency_id, "subscribe")
    await office.contact(agency_id)

    asked = await county.call("POST", "/v1/subscriptions", status=201, json=a_webhook())
    path = f"/v1/subscriptions/{asked['id']}"
    assert asked["state"] == "pending_approval"
    assert asked["secret"].startswith("whsec_")
    assert asked["public_key"].startswith("whpk_")
    assert asked["last_sequence"] == 0
    assert await handshakes(office, asked["id"]) == []

    await county.call("POST", f"{path}/approve", status=403)
    waiting = await operator.call("GET", "/v1/subscriptions?state=pending_approval", status=200)
    assert [one["id"] for one in waiting["items"]] == [asked["id"]]
    approved = await operator.call("POST", f"{path}/approve", status=200, revision=1)
    assert approved["state"] == "pending_verification"
    assert await handshakes(office, asked["id"]) == [DeliveryState.QUEUED]

    await county.call("POST", f"{path}/verify", status=202)
    assert await handshakes(office, asked["id"]) == [DeliveryState.QUEUED, DeliveryState.MOOT]
    await county.call("POST", f"{path}/test", status=409)
    assert await consent(office, asked["id"])
    assert not await consent(office, asked["id"])
    active = await county.call("GET", path, status=200)
    assert active["state"] == "active"
    assert "secret" not in active

    test = await county.call("POST", f"{path}/test", status=202)
    assert (test["cause"], test["state"]) == ("test", "queued")
    sent = await county.call("GET", f"{path}/deliveries", status=200)
    assert [one["cause"] for one in sent["items"]] == ["test", "handshake", "handshake"]

    rotated = await county.call("POST", f"{path}/rotate-secret", status=200)
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != asked["secret"]
    assert dt.datetime.fromisoformat(rotated["previous_valid_until"]) == START + DAY


async def test_pause_resume_and_end_are_refused_in_the_wrong_state(office: Office) -> None:
    agency_id = await office.agency()
    inbox = {
        "agency_id": agency_id,
        "name": "Inbox",
        "channel": "inbox",
        "areas": [{"nation": True}],
        "content_level": "cps",
    }
    made = await office.admin.call("POST", "/v1/subscriptions", status=201, json=inbox)
    path = f"/v1/subscriptions/{made['id']}"
    assert made["state"] == "active"

    await office.admin.call("POST", f"{path}/resume", status=409)
    paused = await office.admin.call("POST", f"{path}/pause", status=200)
    assert paused["state"] == "paused"
    assert (await office.admin.call("POST", f"{path}/resume", status=200))["state"] == "active"
    assert (await office.admin.call("DELETE", path, status=200))["state"] == "ended"
    await office.admin.call("DELETE", path, status=409)
    await office.admin.call("PATCH", path, status=409, json={"name": "Again"}, revision=5)


async def test_webhook_without_a_person_behind_it_is_refused(office: Office) -> None:
    agency_id = await office.agency()
    county = await office.caller(agency_id, "subscribe")

    refused = await county.call("POST", "/v1/subscriptions", status=409, json=a_webhook())

    assert refused["code"] == "contacts-first"
    assert agency_id in refused["detail"]


async def test_mail_subscription_needs_an_address_that_an_operator_entered(office: Office) -> None:
    agency_id = await office.agency()
    county = await office.caller(agency_id, "subscribe")
    contacts = f"/v1/agencies/{agency_id}/contacts"
    body = {"name": "Desk", "role": "intake", "email": "desk@cps.example"}
    contact = await county.call("POST", contacts, status=201, json=body)
    assert contact["email_verified_at"] is None
    order = a_webhook(channel="email", url=None, contact_id=contact["id"])
    asked = await county.call("POST", "/v1/subscriptions", status=201, json=order)
    approve = f"/v1/subscriptions/{asked['id']}/approve"

    refused = await office.admin.call("POST", approve, status=409)
    assert refused["code"] == "contact-unverified"
    patch = {"email": "desk@cps.example"}
    verified = await office.admin.call(
        "PATCH", f"{contacts}/{contact['id']}", status=200, json=patch, revision=1
    )
    assert verified["email_verified_at"] is not None
    assert (await office.admin.call("POST", approve, status=200))["state"] == "active"


async def test_another_url_must_consent_again_and_wider_areas_are_the_operators(
    office: Office,
) -> None:
    agency_id = await office.agency()
    county = await office.caller(agency_id, "subscribe")
    await office.contact(agency_id)
    body = a_webhook(agency_id=agency_id, areas=[{"county_fips": ["28123", "28121"]}])
    made = await office.admin.call("POST", "/v1/subscriptions", status=201, json=body)
    path = f"/v1/subscriptions/{made['id']}"
    await consent(office, made["id"])

    wider = {"areas": [{"state": ["28"]}]}
    refused = await county.call("PATCH", path, status=403, json=wider, revision=3)
    assert "operator" in refused["detail"]
    narrower = {"areas": [{"county_fips": ["28123"]}]}
    changed = await county.call("PATCH", path, status=200, json=narrower, revision=3)
    assert changed["areas"][0]["county_fips"] == ["28123"]
    assert changed["state"] == "active"
    moved = {"url": "https://new.example.gov/noticebus"}
    changed = await county.call("PATCH", path, status=200, json=moved, revision=4)
    assert changed["state"] == "pending_verification"
    assert (await handshakes(office, made["id"]))[0] is DeliveryState.QUEUED


async def test_edit_needs_if_match_and_a_stale_one_changes_nothing(office: Office) -> None:
    agency_id = await office.agency()
    path = f"/v1/agencies/{agency_id}"
    admin = office.admin

    missing = await admin.call("PATCH", path, status=428, json={"name": "One"})
    assert missing["code"] == "precondition-required"
    renamed = await admin.call("PATCH", path, status=200, json={"name": "Two"}, revision=1)
    assert (renamed["name"], renamed["revision"], renamed["kind"]) == ("Two", 2, "cps")
    stale = await admin.call("PATCH", path, status=412, json={"name": "Three"}, revision=1)
    assert stale["code"] == "stale-revision"
    foreign = await admin.raw("PATCH", path, json={"name": "4"}, headers={"If-Match": "*"})
    assert foreign.status_code == 412
    assert (await admin.call("GET", path, status=200))["name"] == "Two"


async def test_contact_is_edited_and_ended_and_its_agency_keeps_the_rest(office: Office) -> None:
    agency_id = await office.agency()
    contact = await office.contact(agency_id)
    path = f"/v1/agencies/{agency_id}/contacts/{contact['id']}"
    assert contact["email_verified_at"] is not None

    gone = await office.admin.call("PATCH", path, status=200, json={"email": None}, revision=1)
    assert gone["email"] is None
    assert gone["email_verified_at"] is None
    ended = await office.admin.call("DELETE", path, status=200, revision=2)
    assert ended["ended_at"] is not None
    await office.admin.call("GET", path, status=404)
    listed = await office.admin.call("GET", f"/v1/agencies/{agency_id}/contacts", status=200)
    assert listed == {"items": [], "next": None}


async def test_responsibility_is_made_listed_and_ended_once(office: Office) -> None:
    agency_id = await office.agency()
    path = f"/v1/agencies/{agency_id}/responsibilities"
    areas = [{"state": ["28"], "county_fips": ["28123"]}]

    made = await office.admin.call("POST", path, status=201, json={"role": "cps", "areas": areas})
    assert made["areas"][0]["state"] == ["28"]
    listed = await office.admin.call("GET", path, status=200)
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    await office.admin.call("DELETE", f"{path}/{made['id']}", status=200)
    await office.admin.call("DELETE", f"{path}/{made['id']}", status=409)
    assert (await office.admin.call("GET", path, status=200))["items"] == []


async def test_one_agency_neither_sees_nor_changes_what_is_anothers(office: Office) -> None:
    mine, theirs = await office.agency("Mine"), await office.agency("Theirs")
    await office.contact(theirs)
    order = a_webhook(agency_id=theirs)
    made = await office.admin.call("POST", "/v1/subscriptions", status=201, json=order)
    stranger = await office.caller(mine, "subscribe", "answer")
    path = f"/v1/subscriptions/{made['id']}"

    assert (await stranger.call("GET", "/v1/subscriptions", status=200))["items"] == []
    agencies = await stranger.call("GET", "/v1/agencies", status=200)
    assert [one["id"] for one in agencies["items"]] == [mine]
    await stranger.call("GET", path, status=404)
    await stranger.call("GET", f"{path}/deliveries", status=404)
    await stranger.call("PATCH", path, status=404, json={"name": "Mine now"}, revision=1)
    for verb in ("verify", "test", "pause", "resume", "rotate-secret"):
        await stranger.call("POST", f"{path}/{verb}", status=404)
    await stranger.call("DELETE", path, status=404)
    await stranger.call("POST", "/v1/subscriptions", status=404, json=order)
    await stranger.call("GET", f"/v1/agencies/{theirs}", status=404)
    await stranger.call("GET", f"/v1/agencies/{theirs}/contacts", status=404)
    auditor = await office.caller(mine, "audit")
    await auditor.call("GET", path, status=200)
    await auditor.call("POST", f"{path}/pause", status=403)


async def test_revoked_key_opens_nothing_within_five_seconds(office: Office) -> None:
    made = await office.admin.call(
        "POST", "/v1/api-keys", status=201, json={"name": "audit", "scopes": ["audit"]}
    )
    auditor = Api(office.app, made["key"])
    await auditor.call("GET", "/v1/agencies", status=200)

    await office.admin.call("DELETE", f"/v1/api-keys/{made['id']}", status=200)
    office.machine.advance(dt.timedelta(seconds=5))

    refused = await auditor.call("GET", "/v1/agencies", status=401)
    assert refused["code"] == "key-revoked"


async def test_expired_key_opens_nothing_from_its_very_moment(office: Office) -> None:
    until = START + dt.timedelta(seconds=2)
    body = {"name": "short", "scopes": ["audit"], "expires_at": until.isoformat()}
    made = await office.admin.call("POST", "/v1/api-keys", status=201, json=body)
    short = Api(office.app, made["key"])
    await short.call("GET", "/v1/agencies", status=200)

    office.machine.move_to(until)

    assert (await short.call("GET", "/v1/agencies", status=401))["code"] == "key-expired"


async def test_administrators_cannot_lock_themselves_out_or_make_keys_that_do_too_much(
    office: Office,
) -> None:
    admin, agency_id = office.admin, await office.agency()
    listed = await admin.call("GET", "/v1/api-keys", status=200)
    assert "key" not in listed["items"][0]

    await admin.call("DELETE", f"/v1/api-keys/{listed['items'][0]['id']}", status=409)
    body = {"name": "too much", "agency_id": agency_id, "scopes": ["admin"]}
    refused = await admin.call("POST", "/v1/api-keys", status=422, json=body)
    assert refused["errors"][0]["pointer"] == "/scopes"
    nobody = {"name": "nobody's", "scopes": ["post"]}
    refused = await admin.call("POST", "/v1/api-keys", status=422, json=nobody)
    assert refused["errors"][0]["pointer"] == "/agency_id"


@pytest.mark.parametrize("key", ["", "nonsense", "noticebus_live_" + "0" * 26 + "_" + "a" * 43])
async def test_no_key_or_a_strange_one_is_told_what_to_send(office: Office, key: str) -> None:
    refused = await Api(office.app, key).raw("GET", "/v1/agencies")

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.json()["code"] == "unauthenticated"


async def test_key_may_come_as_x_api_key(office: Office, tmp_path: Path) -> None:
    key = (tmp_path / "first-key").read_text().strip()

    answer = await Api(office.app, "").raw("GET", "/v1/agencies", headers={"X-Api-Key": key})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "two\nlines"}, "/name"),
        ({"name": None}, "/name"),
        ({"kinds": ["rumour"]}, "/kinds/0"),
        ({"areas": []}, "/areas"),
        ({"areas": [{}]}, "/areas/0"),
        ({"areas": [{"county_fips": ["28123", "28999"]}]}, "/areas/0/county_fips/1"),
        ({"areas": [{"state": ["28", "99"]}]}, "/areas/0/state/1"),
        ({"areas": [{"lea_id": ["9903060"]}]}, "/areas/0/lea_id/0"),
        ({"content_level": "everything"}, "/content_level"),
        ({"url": None}, "/url"),
        ({"url": "ftp://alerts.example.gov"}, "/url"),
        ({"url": "http://alerts.example.gov/"}, "/url"),
        ({"url": "https://127.0.0.1/"}, "/url"),
        ({"url": "https://169.254.169.254/latest"}, "/url"),
        ({"url": "https://user:word@alerts.example.gov/"}, "/url"),
        ({"contact_id": "cnt_1"}, "/contact_id"),
        ({"channel": "pigeon"}, "/channel"),
        ({"colour": "red"}, "/colour"),
    ],
)
async def test_each_fault_of_a_subscription_is_pointed_at(
    office: Office, change: dict[str, Any], pointer: str
) -> None:
    agency_id = await office.agency()
    await office.contact(agency_id)
    body = {**a_webhook(agency_id=agency_id), **change}

    refused = await office.admin.call("POST", "/v1/subscriptions", status=422, json=body)

    assert pointer in [one["pointer"] for one in refused["errors"]]
    assert all(one["message"] for one in refused["errors"])
    listed = await office.admin.call("GET", "/v1/subscriptions", status=200)
    assert listed["items"] == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kind": "circus"}, "/kind"),
        ({"zone": "Mars/Olympus"}, "/zone"),
        ({"holidays_state": "XX"}, "/holidays_state"),
        ({"id": "agy_mine"}, "/id"),
    ],
)
async def test_each_fault_of_an_agency_is_pointed_at(
    office: Office, change: dict[str, Any], pointer: str
) -> None:
    body = {"name": "CPS", "kind": "cps", "zone": "America/Chicago", **change}

    refused = await office.admin.call("POST", "/v1/agencies", status=422, json=body)

    assert [one["pointer"] for one in refused["errors"]] == [pointer]


async def test_subscription_above_the_agencys_kind_or_for_a_strangers_contact_is_refused(
    office: Office,
) -> None:
    school = await office.agency("Scott County Schools", kind="school_district")
    other = await office.contact(await office.agency("Theirs"))
    await office.contact(school)

    async def pointer(**change: Any) -> str:
        body = a_webhook(agency_id=school, **change)
        refused = await office.admin.call("POST", "/v1/subscriptions", status=422, json=body)
        return str(refused["errors"][0]["pointer"])

    assert await pointer(content_level="cps") == "/content_level"
    assert await pointer(channel="email", url=None, contact_id=other["id"]) == "/contact_id"


async def test_list_is_walked_by_its_link_to_the_end(office: Office) -> None:
    made = {await office.agency(f"Agency {number}") for number in range(5)}
    path, seen = "/v1/agencies?limit=2", []
    while path:
        response = await office.admin.raw("GET", path)
        seen += [one["id"] for one in response.json()["items"]]
        path = response.links.get("next", {}).get("url", "")
        assert bool(path) == bool(response.json()["next"])

    assert len(seen) == 5
    assert set(seen) == made


async def test_every_change_leaves_a_line_in_the_ledger_without_names_or_secrets(
    office: Office,
) -> None:
    agency_id = await office.agency("Canary County")
    contact = await office.contact(agency_id)
    body = a_webhook(agency_id=agency_id)
    made = await office.admin.call("POST", "/v1/subscriptions", status=201, json=body)

    lines = await _entries(office.desk)
    types = [type_ for type_, _ in lines]
    text = b"".join(line for _, line in lines).decode()
    assert types == [
        "key.created",
        "agency.created",
        "contact.created",
        "subscription.created",
        "subscription.approved",
    ]
    assert contact["id"] in text
    for private in ("Canary", "Duty desk", "desk@cps.example", "alerts.example", made["secret"]):
        assert private not in text
    async with office.desk.database.read() as conn:
        assert await newest_index(conn) == -1, "the sequencer has not run"


async def _entries(desk: Desk) -> list[tuple[str, bytes]]:
    async with desk.database.read() as conn:
        rows = await conn.execute(sa.select(entries.c.type, entries.c.body).order_by("position"))
        return [(row.type, row.body) for row in rows]
