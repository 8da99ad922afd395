"""Credentials of an endpoint: entered over HTTP, sealed, and shown on the wire."""

import datetime as dt
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from aiohttp import web

from harness import desk as furnish
from harness.api import Api, Caller, County
from harness.certificates import DAY, Authority
from harness.member import Member
from harness.place import Place, embedded
from harness.proxy import forward_proxy
from harness.receivers import Behaviour, WebhookArrival, webhook_receiver
from harness.system import Bus, minutes, open_bus
from harness.tokens import CLIENT_ID, CLIENT_SECRET, TokenServer, token_server, tokens_of
from noticebus.casework import credentials, endpoints
from noticebus.contracts.credentials import CredentialsPut
from noticebus.contracts.vocabulary import DeliveryState, Fault, Outcome, Scope, SubscriptionState
from noticebus.store import subscriptions as rows
from noticebus.store.tables import attempts, entries
from noticebus.store.tables import endpoints as endpoint_rows

AUTHORITY = Authority("County authority")
ISSUED = AUTHORITY.issue("bus.test")
CERTIFICATE = {"certificate_pem": ISSUED.certificate_pem, "key_pem": ISSUED.key_pem}
OAUTH2 = {
    "token_url": "https://login.cps.example/oauth2/token",
    "client_id": "noticebus",
    "client_secret": "psst-4711-psst",
    "scope": "notices.write",
}
HIDDEN = ("psst-4711", *ISSUED.key_pem.splitlines()[1:-1])


class Order:
    """A subscription of the county's CPS, by one caller."""

    def __init__(self, caller: Caller, made: dict[str, Any]) -> None:
        self.caller = caller
        self.id = str(made["id"])
        self.path = f"/v1/subscriptions/{self.id}"
        self.revision: int = made["revision"]

    async def call(
        self, method: str, *, status: int = 200, revision: int | None = None, body: Any = None
    ) -> dict[str, Any]:
        headers = {"If-Match": f'"{self.revision if revision is None else revision}"'}
        answer = await self.caller.send(
            method, f"{self.path}/credentials", json=body, headers=headers
        )
        assert answer.status_code == status, answer.text
        said: dict[str, Any] = answer.json()
        if status == 200:
            self.revision = said["revision"]
            assert answer.headers["etag"] == f'"{self.revision}"'
        return said


@pytest.fixture
async def order(api: Api, county: County) -> Order:
    return await subscribed(county.cps)


async def subscribed(caller: Caller, **changes: Any) -> Order:
    body = {
        "name": "intake",
        "areas": [{"county_fips": ["28123"]}],
        "content_level": "partner",
        "channel": "webhook",
        "url": "https://intake.cps.example/notices",
    }
    made = await caller.post("/v1/subscriptions", body | changes)
    return Order(caller, made)


def pointers(problem: dict[str, Any]) -> list[str]:
    return [one["pointer"] for one in problem["errors"]]


async def test_credentials_are_set_shown_as_facts_replaced_and_removed(
    api: Api, order: Order
) -> None:
    nothing = await order.call("GET")
    both = await order.call("PUT", body={"client_certificate": CERTIFICATE, "oauth2": OAUTH2})
    again = await order.call("GET")
    one = await order.call("PUT", body={"client_certificate": None, "oauth2": OAUTH2})
    subscription = await order.caller.get(order.path)
    removed = await order.call("DELETE")
    still = await order.call("DELETE")

    assert (nothing["client_certificate"], nothing["oauth2"]) == (None, None)
    assert both == again
    assert both["client_certificate"]["subject"] == "CN=bus.test"
    assert both["client_certificate"]["issuer"] == "CN=County authority"
    assert both["client_certificate"]["expires_soon"] is False
    assert both["oauth2"] == {
        "token_url": OAUTH2["token_url"],
        "client_id": "noticebus",
        "scope": "notices.write",
        "audience": None,
    }
    assert one["client_certificate"] is None
    assert subscription["certificate_expires_at"] is None
    assert (removed["oauth2"], removed["revision"]) == (None, still["revision"])
    async with api.desk.database.read() as conn:
        written = [json.loads(row[0]) for row in await conn.execute(sa.select(entries.c.body))]
    changes = [entry["type"] for entry in written if "credentials" in entry["type"]]
    assert changes == [
        "subscription.credentials_set",
        "subscription.credentials_set",
        "subscription.credentials_removed",
    ]


async def test_no_secret_is_in_an_answer_an_entry_or_a_row(api: Api, order: Order) -> None:
    answer = await order.call("PUT", body={"client_certificate": CERTIFICATE, "oauth2": OAUTH2})
    refused = await order.call(
        "PUT", status=422, body={"oauth2": {**OAUTH2, "token_url": 7}, "more": 1}
    )

    kept = json.dumps([answer, refused]) + str(await api.everything())
    assert [one for one in HIDDEN if one in kept] == []


async def test_the_ledger_keeps_which_certificate_and_never_where_tokens_are_had(
    api: Api, order: Order
) -> None:
    keyed = {**OAUTH2, "token_url": "https://login.cps.example/token?key=psst-4711"}
    shown = await order.call("PUT", body={"client_certificate": CERTIFICATE, "oauth2": keyed})

    async with api.desk.database.read() as conn:
        written = [json.loads(row[0]) for row in await conn.execute(sa.select(entries.c.body))]
    (entry,) = [one for one in written if one["type"] == "subscription.credentials_set"]
    assert entry["data"]["oauth2"] is True
    kept = entry["data"]["client_certificate"]
    assert kept["fingerprint_sha256"] == shown["client_certificate"]["fingerprint_sha256"]
    assert "login.cps.example" not in json.dumps(written)


async def test_an_end_takes_the_credentials_with_it(api: Api, order: Order) -> None:
    await order.call("PUT", body={"client_certificate": CERTIFICATE, "oauth2": OAUTH2})

    await order.caller.send("DELETE", order.path)

    async with api.desk.database.read() as conn:
        found = await rows.find_subscription(conn, subscription_id=order.id)
    assert found is not None
    assert (found.state, found.credentials_sealed) == (SubscriptionState.ENDED, None)
    assert found.certificate_expires_at is None
    nothing = await order.call("GET")
    assert (nothing["client_certificate"], nothing["oauth2"]) == (None, None)


REFUSED = [
    ({}, "", "DELETE removes both"),
    (
        {"client_certificate": {**CERTIFICATE, "key_pem": "x"}},
        "/client_certificate/key_pem",
        "PEM",
    ),
    (
        {"client_certificate": {**CERTIFICATE, "certificate_pem": "x" * 40_000}},
        "/client_certificate/certificate_pem",
        "",
    ),
    (
        {"client_certificate": {**CERTIFICATE, "key_pem": "x" * 20_000}},
        "/client_certificate/key_pem",
        "",
    ),
    ({"oauth2": {**OAUTH2, "token_url": "http://login.example/"}}, "/oauth2/token_url", "TLS"),
    (
        {"oauth2": {**OAUTH2, "token_url": "https://169.254.169.254/"}},
        "/oauth2/token_url",
        "metadata",
    ),
    ({"oauth2": {**OAUTH2, "client_secret": "short"}}, "/oauth2/client_secret", ""),
    ({"oauth2": {**OAUTH2, "client_secret": "psst-4711-\u00e9"}}, "/oauth2/client_secret", "ASCII"),
    ({"oauth2": {**OAUTH2, "client_id": "n\u00f6"}}, "/oauth2/client_id", ""),
    ({"oauth2": {**OAUTH2, "scope": "a\nb"}}, "/oauth2/scope", ""),
]


async def test_what_cannot_be_used_is_refused_and_nothing_is_stored(api: Api, order: Order) -> None:
    before = await api.everything()

    for body, pointer, words in REFUSED:
        problem = await order.call("PUT", status=422, body=body)
        assert pointers(problem) == [pointer], body
        assert words in json.dumps(problem)

    assert await api.everything() == before


async def test_an_older_revision_another_agency_and_a_reader_change_nothing(
    api: Api, county: County, order: Order
) -> None:
    body = {"oauth2": OAUTH2}
    auditor = Order(await api.caller(Scope.AUDIT), {"id": order.id, "revision": order.revision})
    other = Order(county.school, {"id": order.id, "revision": order.revision})
    before = await api.everything()

    await order.call("PUT", status=412, revision=order.revision + 1, body=body)
    unsaid = await order.caller.send("PUT", f"{order.path}/credentials", json=body)
    await other.call("PUT", status=404, body=body)
    await other.call("GET", status=404)
    await auditor.call("GET", status=403)
    await auditor.call("DELETE", status=403)

    assert unsaid.status_code == 428
    after = await api.everything()
    assert {name: after[name] for name in ("subscriptions", "entries")} == {
        name: before[name] for name in ("subscriptions", "entries")
    }


async def test_only_a_living_webhook_is_shown_credentials(
    api: Api, county: County, order: Order
) -> None:
    inbox = await subscribed(county.cps, channel="inbox", url=None)
    ended = await county.cps.send("DELETE", order.path)
    order.revision = ended.json()["revision"]

    of_inbox = await inbox.call("PUT", status=409, body={"oauth2": OAUTH2})
    of_ended = await order.call("PUT", status=409, body={"oauth2": OAUTH2})

    assert "Only a webhook" in of_inbox["detail"]
    assert "ended" in of_ended["detail"]


async def test_credentials_do_not_move_to_another_server_with_the_url(
    api: Api, order: Order
) -> None:
    """Goal: who may edit the address gains no token for a server of their own."""
    await order.call("PUT", body={"oauth2": OAUTH2})

    async def move(url: str, *, status: int) -> dict[str, Any]:
        headers = {"If-Match": f'"{order.revision}"'}
        answer = await order.caller.send("PATCH", order.path, json={"url": url}, headers=headers)
        assert answer.status_code == status, answer.text
        said: dict[str, Any] = answer.json()
        order.revision = said.get("revision", order.revision)
        return said

    problem = await move("https://evil.example/notices", status=422)
    await move("https://intake.cps.example:8443/notices", status=422)
    await move("https://intake.cps.example:443/v2", status=200)
    await order.call("DELETE")
    await move("https://evil.example/notices", status=200)

    assert pointers(problem) == ["/url"]
    assert "Remove them first" in problem["detail"]


async def test_a_certificate_with_a_month_left_is_on_the_report_and_in_the_view(
    api: Api, order: Order
) -> None:
    now = api.desk.world.now()
    operator = await api.caller(Scope.OPERATE)
    found = {}
    for days in (31, 29):
        issued = AUTHORITY.issue("bus.test", until=now + days * DAY)
        given = {"certificate_pem": issued.certificate_pem, "key_pem": issued.key_pem}
        view = await order.call("PUT", body={"client_certificate": given})
        report = await operator.get("/v1/reports/unacknowledged")
        listed = [one for one in report["data_quality"] if one["code"] == "certificate_expires"]
        found[days] = view["client_certificate"]["expires_soon"], len(listed)

    assert found == {31: (False, 0), 29: (True, 1)}


# On the wire


@pytest.fixture
async def one_place(tmp_path: Path) -> AsyncIterator[Place]:
    """Lend one profile, for what has no statement of its own."""
    async with embedded(tmp_path) as lent:
        yield lent


async def enter(bus: Bus, member: Member, body: dict[str, Any]) -> None:
    """Set a member's credentials, as an operator does; the machine's own addresses are open."""
    assert member.subscription_id is not None
    operator = furnish.principal(Scope.OPERATE)
    async with bus.desk.database.read() as conn:
        found = await rows.find_subscription(conn, subscription_id=member.subscription_id)
    assert found is not None
    await credentials.set_credentials(
        bus.desk,
        operator,
        subscription_id=found.id,
        put=CredentialsPut.model_validate(body),
        revision=found.revision,
        allow=bus.system.app.state.egress_allow,
    )


def token_client(server: TokenServer) -> dict[str, Any]:
    return {
        "oauth2": {
            "token_url": server.url,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
        }
    }


async def test_notices_go_with_a_token_and_a_token_servers_failure_is_told(place: Place) -> None:
    async with token_server() as server, open_bus(place) as bus:
        county = await bus.agency("Scott County CPS")
        await enter(bus, county, token_client(server))
        server.then.append(web.Response(status=503))
        notice = await bus.post_notice()
        await bus.carried()
        await bus.fast_forward(minutes(1))
        await county.receives("notice", notice)

        (delivery,) = await bus.deliveries_of(notice)
        tried = await bus.attempts_of(delivery)
        assert [(one.outcome, one.fault) for one in tried] == [
            (Outcome.FAILED, Fault.RECIPIENT),
            (Outcome.DELIVERED, None),
        ]
        assert "Your token server failed with 503" in tried[0].error
        assert tokens_of(county.receiver) == [server.newest]
        assert server.newest not in str(tried)


async def test_the_handshake_shows_the_credentials_too(one_place: Place) -> None:
    def consent(arrival: WebhookArrival) -> bytes:
        return str(json.loads(arrival.body)["data"]["challenge"]).encode()

    async with token_server() as server, open_bus(one_place, strict=False) as bus:
        county = await bus.agency("Scott County CPS")
        await enter(bus, county, token_client(server))
        county.receiver.always = Behaviour(body=consent)
        assert county.subscription_id is not None
        async with bus.desk.database.begin() as conn:
            found = await rows.find_subscription(conn, subscription_id=county.subscription_id)
            assert found is not None
            waiting = found.became(SubscriptionState.PENDING_VERIFICATION)
            await rows.update_subscription(conn, waiting, revision=found.revision)
        operator = furnish.principal(Scope.OPERATE)
        await endpoints.verify_subscription(
            bus.desk, operator, subscription_id=county.subscription_id
        )
        await county.receiver.arrivals.wait_for(1)
        await bus.settled()

        assert tokens_of(county.receiver) == [server.newest]
        async with bus.desk.database.read() as conn:
            verified = await rows.find_subscription(conn, subscription_id=county.subscription_id)
        assert verified is not None
        assert verified.state is SubscriptionState.ACTIVE
        assert verified.credentials_sealed is not None


async def test_notices_go_with_a_client_certificate_to_who_asks_for_one(
    one_place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority_file = tmp_path / "authority.pem"
    authority_file.write_text(AUTHORITY.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
    tls = AUTHORITY.serving(tmp_path, asks_clients=True)
    async with webhook_receiver(tls=tls) as receiver, open_bus(one_place) as bus:
        county = await bus.agency("Scott County CPS", endpoint=False)
        county.receiver = receiver
        await bus.subscribe(county)
        await enter(bus, county, {"client_certificate": CERTIFICATE})
        notice = await bus.post_notice()
        await county.receives("notice", notice)


async def test_a_proxy_that_fails_costs_the_recipient_nothing(one_place: Place) -> None:
    """No try of theirs is used up and no endpoint is tripped; the notice goes once it works."""
    async with (
        forward_proxy() as proxy,
        open_bus(one_place, egress_proxy_url=proxy.url, endpoint_trip_after=2) as bus,
    ):
        proxy.answers += [b"HTTP/1.1 503 Busy\r\n\r\n"] * 3
        county = await bus.agency("Scott County CPS")
        notice = await bus.post_notice()
        while proxy.answers:
            await bus.fast_forward(dt.timedelta(minutes=5))
        await bus.fast_forward(dt.timedelta(minutes=30))
        await county.receives("notice", notice)

        (delivery,) = await bus.deliveries_of(notice)
        tried = await bus.attempts_of(delivery)
        assert delivery.state is DeliveryState.DELIVERED
        assert [one.fault for one in tried] == [Fault.OURS] * 3 + [None]
        assert all(one.error.startswith("Our proxy ") for one in tried[:3])
        async with bus.desk.database.read() as conn:
            failing = sa.select(sa.func.count()).select_from(endpoint_rows)
            counted = sa.select(sa.func.count()).where(attempts.c.fault == Fault.RECIPIENT)
            assert (await conn.execute(failing)).scalar_one() == 0
            assert (await conn.execute(counted)).scalar_one() == 0
        assert len(proxy.asked) == 4
