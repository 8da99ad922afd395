"""The production profile as it is run: three processes over PostgreSQL and Kafka."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from harness import postgres
from harness.commands import command, read_until, started
from harness.receivers import Behaviour, WebhookArrival, webhook_receiver

ROLES = ("gateway", "dispatcher", "ledger")
NOTICE = {
    "kind": "enforcement_action",
    "status": "actual",
    "class": "B",
    "occurred_at": "2026-08-07T12:55:00Z",
    "sender": {"unit": "Field office", "role": "duty officer", "callback_phone": "+16015550100"},
    "headline": "Enforcement action near Morton",
    "areas": [{"county_fips": ["28123"]}],
    "children": {"status": "unknown", "as_of": "2026-08-07T12:55:00Z"},
}


@contextlib.asynccontextmanager
async def three_processes(folder: Path, **settings: str) -> AsyncIterator[dict[str, str]]:
    """Serve each role in a process of its own; give where each answers."""
    with contextlib.ExitStack() as running:
        found = {}
        for role in ROLES:
            process = running.enter_context(
                started("serve", "--role", role, "--port", "0", folder=folder, **settings)
            )
            said = read_until(process, "next:" if role == "gateway" else "health:")
            address = re.search(r"(?:address|health): +(http://[0-9.:]+)", said)
            assert address is not None, said
            found[role] = address[1]
        yield found


class Caller:
    """One key at the gateway."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._key = key

    async def post(self, path: str, body: object, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self._key}", **headers}
        async with self._session.post(self._url + path, json=body, headers=sent) as response:
            answer = await response.json()
            assert response.status in {200, 201, 202}, answer
            return answer


def echo(arrival: WebhookArrival) -> bytes:
    """Answer a handshake with its challenge, and anything else with nothing."""
    challenge = re.search(rb'"challenge":"([^"]+)"', arrival.body)
    return challenge[1] if challenge else b""


@pytest.mark.slow(reason="three processes start, each over PostgreSQL and Kafka")
async def test_three_processes_carry_a_notice_and_each_tells_how_it_is(
    tmp_path: Path, kafka_bootstrap: str
) -> None:
    async with postgres.fresh_database() as database_url, webhook_receiver() as receiver:
        receiver.always = Behaviour(body=echo)
        settings = {
            "NOTICEBUS_DATABASE_URL": database_url,
            "NOTICEBUS_KAFKA_BOOTSTRAP": kafka_bootstrap,
            "NOTICEBUS_KAFKA_REPLICATION": "1",
            "NOTICEBUS_EGRESS_ALLOW": "127.0.0.1/32",
        }
        for words in (("db", "upgrade"), ("kafka", "init")):
            ended = command(*words, folder=tmp_path, **settings)
            assert ended.code == 0, ended
        async with (
            three_processes(tmp_path, **settings) as urls,
            aiohttp.ClientSession() as session,
        ):
            key = (tmp_path / "first-admin.key").read_text().strip()
            poster = await furnish(Caller(session, urls["gateway"], key), receiver.url)
            await receiver.arrivals.wait_for(1)  # the handshake
            await consented(session, urls["gateway"], key)
            caller = Caller(session, urls["gateway"], poster)
            notice = await caller.post("/v1/notices", NOTICE, **{"Idempotency-Key": "one"})
            arrived = (await receiver.arrivals.wait_for(2))[1]
            figures = await read(session, urls["dispatcher"] + "/metrics")
            report = urls["gateway"] + "/v1/reports/unacknowledged?format="
            page, table = [await read(session, report + form, key) for form in ("html", "csv")]
            ready = [await read(session, urls[role] + "/readyz") for role in ROLES]

    assert notice["id"].encode() in arrived.body
    assert 'noticebus_deliveries_total{channel="webhook",outcome="delivered"}' in figures
    assert "Who has not answered" in page
    assert "Scott CPS" in table
    assert all('"ready"' in one for one in ready)


async def furnish(admin: Caller, url: str) -> str:
    """Enter a poster and a recipient with an endpoint; give the poster's key."""
    zone = {"zone": "America/Chicago"}
    office = await admin.post("/v1/agencies", {"name": "Office", "kind": "federal", **zone})
    county = await admin.post("/v1/agencies", {"name": "Scott CPS", "kind": "cps", **zone})
    of_county = f"/v1/agencies/{county['id']}"
    desk = {"name": "Desk", "role": "intake", "phone": "+16015550110", "position": "on_duty"}
    await admin.post(f"{of_county}/contacts", desk)
    areas = [{"county_fips": ["28123"]}]
    await admin.post(f"{of_county}/responsibilities", {"role": "cps", "areas": areas})
    order = {
        "agency_id": county["id"],
        "name": "County",
        "channel": "webhook",
        "url": url,
        "areas": areas,
        "content_level": "partner",
    }
    await admin.post("/v1/subscriptions", order)
    asked = {"name": "poster", "agency_id": office["id"], "scopes": ["post"]}
    key: str = (await admin.post("/v1/api-keys", asked))["key"]
    return key


async def consented(session: aiohttp.ClientSession, url: str, key: str) -> None:
    """Read the subscription until another process has recorded that its endpoint consented."""
    headers = {"Authorization": f"Bearer {key}"}
    async with asyncio.timeout(30):
        while True:
            async with session.get(url + "/v1/subscriptions", headers=headers) as response:
                (order,) = (await response.json())["items"]
            if order["state"] == "active":
                return


async def read(session: aiohttp.ClientSession, url: str, key: str = "") -> str:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with session.get(url, headers=headers) as response:
        return await response.text()
