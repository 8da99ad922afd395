"""Who is signed in, by which cookie, and which forms are taken from them."""

import contextlib
import datetime as dt
from collections.abc import AsyncIterator

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from harness.console import Browser, Console
from noticebus.access.sessions import IDLE_FOR, SESSION_FOR, Sessions
from noticebus.casework.desk import Desk
from noticebus.casework.upkeep import SESSIONS_KEPT
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import Scope, UserRole
from noticebus.errors import UnavailableError
from noticebus.ledger.upkeep import Upkeep
from noticebus.store.database import Database
from noticebus.store.tables import sessions, users

A_MOMENT = dt.timedelta(seconds=1)


def sessions_of(desk: Desk) -> Sessions:
    return Sessions(desk.database, keyring=desk.keyring, machine=desk.machine)


def cookie_of(browser: Browser) -> str:
    return next(cookie.value or "" for cookie in browser.client.cookies.jar)


async def test_visitor_may_what_the_roles_say_and_loses_it_with_them(console: Console) -> None:
    browser = await console.sign_in(UserRole.SUPERVISOR)
    assert browser.user is not None
    cookie = cookie_of(browser)
    visitor = await sessions_of(console.desk).find(cookie)
    assert visitor is not None
    assert visitor.principal.scopes == {Scope.OPERATE, Scope.ADMIN}
    async with console.desk.database.begin() as conn:
        await conn.execute(users.update().values(roles=["auditor"]))
    visitor = await sessions_of(console.desk).find(cookie)
    assert visitor is not None
    assert visitor.principal.scopes == {Scope.AUDIT}
    async with console.desk.database.begin() as conn:
        await conn.execute(users.update().values(disabled_at=console.desk.world.now()))
    assert await sessions_of(console.desk).find(cookie) is None


async def test_cookie_that_was_changed_or_made_up_opens_nothing(console: Console) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)
    cookie = cookie_of(browser)
    secret, _, mac = cookie.partition(".")
    found = sessions_of(console.desk)
    assert await found.find(cookie) is not None
    for forged in (
        "",
        ".",
        secret,
        f"{secret}.",
        f"{secret}.{mac[:-1]}",
        f"x{cookie}",
        f"{secret}.é",
    ):
        assert await found.find(forged) is None, forged
    async with console.desk.database.read() as conn:
        stored = (await conn.execute(sa.select(sessions.c.secret_hash))).scalars().all()
    assert secret not in stored


async def test_session_ends_after_a_shift_after_an_idle_hour_and_at_once_when_told_to(
    console: Console,
) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)
    found = sessions_of(console.desk)
    cookie = cookie_of(browser)
    visitor = await found.find(cookie)
    assert visitor is not None
    await found.end(visitor.session_id)
    assert await found.find(cookie) is None
    for age, idle in ((SESSION_FOR, dt.timedelta(0)), (IDLE_FOR, IDLE_FOR)):
        later = await console.sign_in(UserRole.OPERATOR)
        now = console.desk.machine.now()
        async with console.desk.database.begin() as conn:
            await conn.execute(
                sessions.update().values(expires_at=now + SESSION_FOR - age, seen_at=now - idle)
            )
        assert await found.find(cookie_of(later)) is None


async def test_page_that_asks_by_itself_keeps_nobody_signed_in_and_goes_to_the_sign_in_page(
    console: Console,
) -> None:
    desk = console.desk
    machine = ManualClock(desk.machine.now())
    console.api.app.state.sessions = Sessions(desk.database, keyring=desk.keyring, machine=machine)
    browser = await console.sign_in(UserRole.AUDITOR)
    by_script = {"HX-Request": "true"}

    async def stays_open() -> None:
        await browser.get("/heartbeat?was=alive", headers=by_script)
        await browser.get("/", headers=by_script)
        await browser.get("/?refreshed=1")
        assert "refreshed" not in browser.page.partition("</noscript>")[2]

    for _ in range(3):  # somebody comes by twice
        for _ in range(2):
            machine.advance(IDLE_FOR / 2 - A_MOMENT)
            await stays_open()
        await browser.get("/incidents")
    machine.advance(IDLE_FOR - A_MOMENT)
    await stays_open()
    machine.advance(A_MOMENT)

    for part in ("/heartbeat?was=alive", "/"):
        ended = await browser.get(part, status=401, headers=by_script)
        assert ended.headers["hx-redirect"] == "/sign-in"
    ended = await browser.get("/?refreshed=1", status=303)
    assert ended.headers["location"].startswith("/sign-in")


async def test_sessions_that_ended_long_ago_are_deleted_and_later_ones_kept(
    console: Console,
) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)
    await console.sign_in(UserRole.AUDITOR)
    assert browser.user is not None
    now = console.desk.machine.now()
    async with console.desk.database.begin() as conn:
        await conn.execute(
            sessions.update()
            .where(sessions.c.user_id == browser.user.id)
            .values(expires_at=now - SESSIONS_KEPT - dt.timedelta(seconds=1))
        )
    await Upkeep(console.desk, keep_idempotency=dt.timedelta(days=7)).tend()
    async with console.desk.database.read() as conn:
        kept = (await conn.execute(sa.select(sessions.c.user_id))).scalars().all()
    assert len(kept) == 1
    assert browser.user.id not in kept


class Full(Database):
    """A database whose disk is full: it can be read, and takes nothing."""

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        if self.url:
            raise UnavailableError("The disk of the database is full.")
        yield  # type: ignore[misc]  # makes it a generator


async def test_whoever_is_signed_in_still_looks_while_nothing_can_be_stored(
    console: Console,
) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)
    desk = console.desk
    earlier = desk.machine.now() - dt.timedelta(minutes=10)
    async with desk.database.begin() as conn:
        await conn.execute(sessions.update().values(seen_at=earlier))
    full = Full(desk.database.url)
    try:
        found = Sessions(full, keyring=desk.keyring, machine=desk.machine)
        assert await found.find(cookie_of(browser)) is not None
    finally:
        await full.close()
    async with desk.database.read() as conn:
        assert (await conn.execute(sa.select(sessions.c.seen_at))).scalar_one() == earlier
    assert await sessions_of(desk).find(cookie_of(browser)) is not None
    async with desk.database.read() as conn:
        assert (await conn.execute(sa.select(sessions.c.seen_at))).scalar_one() > earlier
