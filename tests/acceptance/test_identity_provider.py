"""Sign-in through an identity provider of one's own: a real one, on this machine, and its lies."""

import dataclasses
import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from harness.accounts import account_entries, change
from harness.console import Browser, Console
from harness.desk import add_agency
from harness.identity import (
    CLIENT_ID,
    CLIENT_SECRET,
    IdentityProvider,
    identity_provider,
    new_key,
    shared_key,
)
from harness.ports import free_port
from noticebus.access.oidc import Oidc, OidcClient
from noticebus.access.ways import Ways
from noticebus.casework import users as people
from noticebus.contracts.vocabulary import UserRole
from noticebus.store.tables import users

COOKIE = "__Host-noticebus_session"
STATE = "__Host-noticebus_oidc"
CALLBACK = "/sign-in/oidc/callback"
DANA = {"name": "Dana Reyes", "preferred_username": "Dana", "groups": ["staff", "bus-operators"]}


def offer(console: Console, issuer: str, **changes: Any) -> OidcClient:
    """Let the console offer a sign-in through `issuer`."""
    desk = console.desk
    client = OidcClient(
        issuer=issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri=desk.base_url + CALLBACK,
        roles={
            "bus-operators": UserRole.OPERATOR,
            "bus-auditors": UserRole.AUDITOR,
            "posters": UserRole.POSTER,
        },
        agency_claim="agency",
    )
    client = dataclasses.replace(client, **changes)
    oidc = Oidc(client, keyring=desk.keyring, machine=desk.machine)
    console.api.app.state.ways = Ways(oidc=oidc)
    return client


@pytest.fixture
async def provider(console: Console) -> AsyncIterator[IdentityProvider]:
    async with identity_provider(console.desk.machine.now) as running:
        running.says = dict(DANA)
        offer(console, running.issuer)
        yield running


async def come_back(
    browser: Browser, provider: IdentityProvider, *, status: int = 303, wanted: str = ""
) -> Any:
    """Go to the provider, sign in there, and come back."""
    sent = await browser.get(f"/sign-in/oidc?next={wanted}", status=303)
    assert sent.headers["location"].startswith(f"{provider.issuer}/authorize?")
    return await browser.get(provider.authorize(sent.headers["location"]), status=status)


async def stored(console: Console) -> list[Any]:
    async with console.desk.database.read() as conn:
        in_order = sa.select(users).order_by(users.c.created_at, users.c.id)
        return list(await conn.execute(in_order))


async def test_newcomer_with_a_role_is_entered_and_signed_in(
    console: Console, provider: IdentityProvider
) -> None:
    browser = console.browser()
    await browser.get("/sign-in?next=/exercises")
    assert f"Sign in with 127.0.0.1:{provider.issuer.rpartition(':')[2]}" in browser.page
    answer = await come_back(browser, provider, wanted="/exercises")
    assert answer.headers["location"] == "/exercises"
    assert STATE not in browser.client.cookies
    await browser.get("/")
    assert "Dana Reyes" in browser.page
    (user,) = await stored(console)
    assert (user.login, user.roles, user.password_hash) == ("oidc:dana", ["operator"], None)
    assert (user.issuer, user.subject) == (provider.issuer, "248289761001")
    types = [one["type"] for one in await account_entries(console)]
    assert types == ["user.created", "user.signed_in"]


async def test_roles_name_and_agency_follow_the_token_and_end_with_it(
    console: Console, provider: IdentityProvider
) -> None:
    agency = await add_agency(console.desk, "Field office")
    first = console.browser()
    await come_back(first, provider)
    provider.says |= {"groups": "posters", "name": "Dana R.", "agency": agency.id}
    await come_back(console.browser(), provider)
    (user,) = await stored(console)
    assert (user.roles, user.name, user.agency_id) == (["poster"], "Dana R.", agency.id)

    provider.says |= {"groups": ["staff"]}
    refused = console.browser()
    await come_back(refused, provider, status=403)
    assert "gives you no role" in refused.page
    assert COOKIE not in refused.client.cookies
    await first.get("/", status=303)
    (user,) = await stored(console)
    assert user.roles == []


async def test_provider_may_take_the_last_supervisor_and_then_everybody_is_told(
    console: Console, provider: IdentityProvider
) -> None:
    roles = {"bus-operators": UserRole.OPERATOR, "bus-supervisors": UserRole.SUPERVISOR}
    offer(console, provider.issuer, roles=roles)
    provider.says |= {"groups": ["bus-operators", "bus-supervisors"]}
    browser = console.browser()
    await come_back(browser, provider)
    await browser.get("/")
    assert "No supervisor is left" not in browser.page

    provider.says |= {"groups": ["bus-operators"]}
    with structlog.testing.capture_logs() as lines:
        await come_back(browser, provider)
    (line,) = [one for one in lines if one["event"] == "users.nobody_manages"]
    assert "noticebus user add" in line["remedy"]
    for page in ("/", "/status"):
        await browser.get(page)
        assert "No supervisor is left" in browser.page, page
    poster = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR)
    await poster.get("/status")
    assert "No supervisor is left" not in poster.page


@pytest.mark.parametrize(
    ("says", "status", "said"),
    [
        ({"groups": []}, 403, "gives you no role"),
        ({"groups": None}, 403, "gives you no role"),
        ({"groups": ["posters"]}, 422, "belongs to one agency"),
        ({"groups": ["posters"], "agency": "agy_none"}, 422, "no such agency"),
    ],
)
async def test_whoever_comes_without_what_a_role_needs_is_not_entered(
    console: Console, provider: IdentityProvider, says: dict[str, Any], status: int, said: str
) -> None:
    provider.says |= says
    browser = console.browser()
    await come_back(browser, provider, status=status)
    assert said in browser.page
    assert await stored(console) == []


async def test_two_people_of_one_name_are_two_and_nobody_takes_over_a_local_account(
    console: Console, provider: IdentityProvider
) -> None:
    await come_back(console.browser(), provider)
    provider.says |= {"sub": "another"}
    await come_back(console.browser(), provider)
    first, second = await stored(console)
    assert first.login == "oidc:dana"
    assert second.login == f"oidc:{second.id}"


async def test_disabled_person_is_told_so_and_stays_out(
    console: Console, provider: IdentityProvider
) -> None:
    await come_back(console.browser(), provider)
    (user,) = await stored(console)
    async with console.desk.database.begin() as conn:
        await people.disable_user(conn, user.id, change=change(console))
    browser = console.browser()
    await come_back(browser, provider, status=403)
    assert "is disabled" in browser.page


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"changes": {"nonce": "x" * 43}},
    "no nonce": {"changes": {"nonce": None}},
    "another audience": {"changes": {"aud": "another"}},
    "two audiences and no azp": {"changes": {"aud": [CLIENT_ID, "another"]}},
    "another azp": {"changes": {"azp": "another"}},
    "another issuer": {"changes": {"iss": "https://evil.example"}},
    "expired": {"changes": {"exp": 1_500_000_000}},
    "no expiry": {"changes": {"exp": None}},
    "issued tomorrow": {"changes": {"iat": 4_000_000_000, "exp": 4_000_000_300}},
    "nobody": {"changes": {"sub": ""}},
    "a number for a subject": {"changes": {"sub": 7}},
    "not signed": {"alg": "none"},
    "signed with the client's secret": {"alg": "HS256", "signs_with": shared_key()},
    "signed with another key": {"signs_with": new_key("first")},
    "signed with a key that is not published": {"signs_with": new_key("new"), "kid": "new"},
    "no token": {"token_answer": {"access_token": "x"}},
    "not a token": {"token_answer": {"id_token": "x.y.z"}},
    "a token that is too large": {"token_answer": {"id_token": "a" * 20_000}},
}


@pytest.mark.parametrize("lie", LIES)
async def test_token_that_does_not_hold_signs_nobody_in(
    console: Console, provider: IdentityProvider, lie: str
) -> None:
    for name, value in LIES[lie].items():
        setattr(provider, name, value)
    browser = console.browser()
    await come_back(browser, provider, status=503 if lie == "no token" else 400)
    assert "Try again" in browser.page or "begin again" in browser.page
    assert COOKIE not in browser.client.cookies
    assert STATE not in browser.client.cookies
    assert await stored(console) == []


async def test_answer_counts_once_in_the_browser_that_asked_and_within_ten_minutes(
    console: Console, provider: IdentityProvider
) -> None:
    browser = console.browser()
    sent = await browser.get("/sign-in/oidc", status=303)
    state = browser.client.cookies[STATE]
    back = provider.authorize(sent.headers["location"])
    await console.browser().get(back, status=400)  # somebody else's browser, without the cookie
    other = console.browser()
    await other.get("/sign-in/oidc", status=303)
    await other.get(back, status=400)  # the cookie of another sign-in
    assert "another sign-in" in other.page
    assert provider.asked.count("token") == 0
    await browser.get(back, status=303)
    await browser.get(back, status=400)

    again = provider.authorize(sent.headers["location"])
    replayed = console.browser()
    replayed.client.cookies.set(STATE, state)
    await replayed.get(again, status=400)  # a fresh code, but the state was used
    assert "was used" in replayed.page
    assert COOKIE not in replayed.client.cookies

    late = console.browser()
    late.client.cookies.set(STATE, state[:-4] + "AAAA")
    await late.get(again, status=400)


async def test_state_ends_after_ten_minutes(console: Console, provider: IdentityProvider) -> None:
    oidc: Oidc = console.api.app.state.ways.oidc
    started = await oidc.start(next_path="/")

    class Later:
        def now(self) -> dt.datetime:
            return console.desk.machine.now() + dt.timedelta(minutes=10, seconds=1)

    oidc._machine = Later()  # type: ignore[assignment]
    browser = console.browser()
    browser.client.cookies.set(STATE, started.cookie)
    await browser.get(provider.authorize(started.address), status=400)
    assert "more than ten minutes ago" in browser.page


async def test_refusal_of_the_provider_is_said_and_nothing_of_it_is_quoted(
    console: Console, provider: IdentityProvider
) -> None:
    for error, said in (("access_denied", "(access_denied)"), ("<script>", "did not sign you in.")):
        browser = console.browser()
        sent = await browser.get("/sign-in/oidc", status=303)
        state = provider.authorize(sent.headers["location"]).rpartition("state=")[2]
        await browser.get(f"{CALLBACK}?error={error}&state={state}", status=400)
        assert said in browser.page
        assert "<script>&" not in browser.page
    mixed = console.browser()
    sent = await mixed.get("/sign-in/oidc", status=303)
    back = provider.authorize(sent.headers["location"], iss="https://evil.example")
    await mixed.get(back, status=400)
    assert "another identity provider" in mixed.page


async def test_key_that_the_provider_changed_is_fetched_and_not_at_every_try(
    console: Console, provider: IdentityProvider
) -> None:
    await come_back(console.browser(), provider)
    assert provider.asked == ["description", "token", "keys"]
    oidc: Oidc = console.api.app.state.ways.oidc
    kept = oidc.provider._keys
    assert kept is not None
    oidc.provider._keys = (kept[0] - dt.timedelta(minutes=2), kept[1])
    provider.keys, provider.kid = [*provider.keys, new_key("second")], "second"
    await come_back(console.browser(), provider)
    assert provider.asked.count("keys") == 2

    provider.signs_with, provider.kid = new_key("forged"), "forged"
    for _ in range(4):
        await come_back(console.browser(), provider, status=400)
    assert provider.asked.count("keys") == 2, "asked again for a key nobody has, a minute later"
    assert provider.asked.count("description") == 1


async def test_provider_that_is_away_is_said_with_what_to_do(console: Console) -> None:
    offer(console, f"http://127.0.0.1:{free_port()}")
    browser = console.browser()
    await browser.get("/sign-in/oidc", status=503)
    assert "could not be reached" in browser.page
    assert "Whoever has a password here can sign in with it." in browser.page


@pytest.mark.parametrize(
    ("describes", "said"),
    [
        ({"issuer": "https://evil.example"}, "calls itself something else"),
        ({"token_endpoint": "ftp://evil.example/token"}, "no endpoints that can be trusted"),
        ({"jwks_uri": None}, "no endpoints that can be trusted"),
        ({"padding": "x" * 300_000}, "cannot be read"),
    ],
)
async def test_description_that_cannot_be_trusted_sends_nobody_away(
    console: Console, provider: IdentityProvider, describes: dict[str, Any], said: str
) -> None:
    provider.describes = describes
    browser = console.browser()
    await browser.get("/sign-in/oidc", status=503)
    assert said in browser.page


async def test_provider_that_has_just_failed_is_not_asked_for_everybody_in_turn(
    console: Console, provider: IdentityProvider
) -> None:
    provider.description_status = 500
    for _ in range(3):
        await console.browser().get("/sign-in/oidc", status=503)
    assert provider.asked == ["description"]
    oidc: Oidc = console.api.app.state.ways.oidc
    failed = oidc.provider._failed
    assert failed is not None
    oidc.provider._failed = (failed[0] - dt.timedelta(seconds=6), failed[1])
    provider.description_status = 200
    await console.browser().get("/sign-in/oidc", status=303)


async def test_code_that_the_provider_refuses_is_said(
    console: Console, provider: IdentityProvider
) -> None:
    provider.token_status = 500
    browser = console.browser()
    await come_back(browser, provider, status=503)
    assert "answered with status 500" in browser.page


@pytest.mark.parametrize("secret", [None, CLIENT_SECRET])
async def test_client_shows_itself_as_the_provider_wants(
    console: Console, provider: IdentityProvider, secret: str | None
) -> None:
    provider.secret_in_body, provider.secret = True, secret
    provider.describes = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    offer(console, provider.issuer, client_secret=secret)
    await come_back(console.browser(), provider)


async def test_passwords_can_be_turned_off(console: Console, provider: IdentityProvider) -> None:
    browser = console.browser()
    await browser.get("/sign-in")
    ways: Ways = console.api.app.state.ways
    console.api.app.state.ways = dataclasses.replace(ways, passwords=False)
    await browser.get("/sign-in")
    assert 'type="password"' not in browser.page
    assert "Sign in with" in browser.page
    await browser.post("/sign-in", {"login": "dana", "password": "x"}, status=404)
    await browser.post("/sign-in/password", {"ticket": "x"}, status=404)


async def test_without_a_provider_there_is_no_way_to_it(console: Console) -> None:
    browser = console.browser()
    await browser.get("/sign-in")
    assert "/sign-in/oidc" not in browser.page
    await browser.get("/sign-in/oidc", status=404)
    await browser.get(f"{CALLBACK}?code=x&state=y", status=404)
