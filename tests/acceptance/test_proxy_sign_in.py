"""A header of a trusted proxy: it counts from the proxy alone, once, and with every request."""

import io
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest

from harness.accounts import account_entries, add_person, change, hash_fast
from harness.console import Browser, Console
from noticebus.access.proxy_header import TrustedProxy
from noticebus.access.ways import Ways
from noticebus.casework import users as people
from noticebus.contracts.vocabulary import UserRole
from noticebus.telemetry import configure_logging

HEADER = "X-Forwarded-User"
PROXY, STRANGER = "10.0.4.7", "10.0.4.8"
COOKIE = "__Host-noticebus_session"


@pytest.fixture
def behind_proxy(console: Console) -> Console:
    proxy = TrustedProxy(header=HEADER, networks=(ip_network(f"{PROXY}/32"),))
    console.api.app.state.ways = Ways(proxy=proxy)
    hash_fast(console)
    return console


def through(console: Console, *logins: str, peer: str = PROXY) -> Browser:
    """Open a browser whose requests come from `peer` with the header, once for each login."""
    transport = httpx2.ASGITransport(app=console.api.app, client=(peer, 40_000))
    client = httpx2.AsyncClient(transport=transport, base_url="https://bus.example.gov")
    client.headers = httpx2.Headers([(HEADER, one) for one in logins])
    return Browser(client=client)


async def test_whom_the_proxy_names_is_signed_in_on_the_way_to_the_page(
    behind_proxy: Console,
) -> None:
    user = await add_person(behind_proxy, UserRole.OPERATOR, password=None)
    browser = through(behind_proxy, "Dana.Reyes")
    first = await browser.get("/exercises", status=303)
    second = await browser.get(first.headers["location"], status=303)
    assert second.headers["location"] == "/exercises"
    await browser.get("/exercises")
    assert "Dana Reyes" in browser.page
    entries = [one for one in await account_entries(behind_proxy) if one["type"] != "user.created"]
    assert [(one["data"]["user_id"], one["data"]["method"]) for one in entries] == [
        (user.id, "proxy")
    ]


async def test_header_counts_from_the_proxy_alone_and_only_once(behind_proxy: Console) -> None:
    await add_person(behind_proxy, UserRole.OPERATOR, password=None)
    log = io.StringIO()
    configure_logging(log_format="json", stream=log)
    for browser in (
        through(behind_proxy, "dana.reyes", peer=STRANGER),
        through(behind_proxy, "dana.reyes", "dana.reyes"),
        through(behind_proxy, "dana.reyes", "somebody"),
        through(behind_proxy, "dana.reyes, somebody"),
        through(behind_proxy, "oidc:dana"),
        through(behind_proxy),
    ):
        await browser.get("/sign-in")
        assert COOKIE not in browser.client.cookies
    assert '"reason": "peer"' in log.getvalue()
    assert "dana" not in log.getvalue()
    assert log.getvalue().count("sign_in.header_ignored") == 1, "once a minute"


async def test_session_belongs_to_whom_the_proxy_names_with_each_request(
    behind_proxy: Console,
) -> None:
    await add_person(behind_proxy, UserRole.OPERATOR, password=None)
    await add_person(behind_proxy, UserRole.AUDITOR, login="lee", password=None)
    browser = through(behind_proxy, "dana.reyes")
    await browser.get("/sign-in", status=303)
    await browser.get("/")
    for changes in ({HEADER: "lee"}, {}):
        browser.client.headers = httpx2.Headers(changes)
        await browser.get("/", status=303)
    stolen = through(behind_proxy, "dana.reyes", peer=STRANGER)
    stolen.client.cookies = browser.client.cookies
    await stolen.get("/", status=303)


async def test_person_whom_the_bus_does_not_know_or_has_shut_out_is_told(
    behind_proxy: Console,
) -> None:
    gone = await add_person(behind_proxy, UserRole.OPERATOR, login="gone", password=None)
    async with behind_proxy.desk.database.begin() as conn:
        await people.disable_user(conn, gone.id, change=change(behind_proxy))
    for login in ("gone", "nobody"):
        browser = through(behind_proxy, login)
        await browser.get("/sign-in")
        assert "nobody here has that login" in browser.page
        assert COOKIE not in browser.client.cookies


async def test_whoever_signs_out_stays_out_until_they_ask_to_come_in(
    behind_proxy: Console,
) -> None:
    await add_person(behind_proxy, UserRole.OPERATOR, password=None)
    browser = through(behind_proxy, "dana.reyes")
    await browser.get("/sign-in", status=303)
    await browser.get("/")
    ended = await browser.post("/sign-out", {})
    page: Any = await browser.follow(ended)
    assert "You are signed out." in page.text
    assert "Sign in as your organisation knows you" in page.text
    await browser.get("/sign-in", status=303)
    await browser.get("/")
