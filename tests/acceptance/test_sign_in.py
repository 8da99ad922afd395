"""Signing in with a password: what a person and a stranger see, and what the ledger keeps."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from harness.accounts import LOGIN, PASSWORD, account_entries, add_person, change, hash_fast
from harness.console import Browser, Console
from noticebus.access.sessions import Sessions
from noticebus.casework import users as people
from noticebus.casework.sign_in import LOCKED_FOR, REFUSED, TRIES_MAX
from noticebus.console.sign_in import own_path
from noticebus.contracts.vocabulary import UserRole
from noticebus.store.tables import idempotency_records, sessions, users

COOKIE = "__Host-noticebus_session"
DEVICE = "__Host-noticebus_device"
FAILED = "user.sign_in_failed"


async def try_to_sign_in(
    browser: Browser,
    login: str = LOGIN,
    password: str = PASSWORD,
    *,
    status: int = 303,
    **more: str,
) -> Any:
    await browser.get("/sign-in")
    return await browser.post(
        "/sign-in", {"login": login, "password": password, **more}, status=status
    )


async def test_person_signs_in_goes_where_they_wanted_and_signs_out(console: Console) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    browser = console.browser()
    sent = await browser.get("/exercises?before=exr_1", status=303)
    await browser.follow(sent)
    assert 'name="next" value="/exercises?before=exr_1"' in browser.page

    answer = await browser.post(
        "/sign-in",
        {"login": " Dana.REYES ", "password": PASSWORD, "next": "/exercises?before=exr_1"},
    )
    assert answer.headers["location"] == "/exercises?before=exr_1"
    await browser.get("/")
    assert "Dana Reyes" in browser.page

    cookie = browser.client.cookies[COOKIE]
    ended = await browser.post("/sign-out", {})
    assert ended.headers["location"] == "/sign-in?said=signed-out"
    assert COOKIE not in browser.client.cookies
    await browser.follow(ended)
    assert "You are signed out." in browser.page
    browser.client.cookies.set(COOKIE, cookie)
    await browser.get("/", status=303)

    entries = await account_entries(console)
    assert [one["type"] for one in entries] == ["user.created", "user.signed_in", "user.signed_out"]
    assert entries[1]["data"]["user_id"] == user.id
    assert entries[1]["data"]["method"] == "password"
    assert LOGIN not in str(entries)


async def test_cookie_is_kept_from_scripts_other_sites_and_other_hosts(console: Console) -> None:
    hash_fast(console)
    await add_person(console, UserRole.OPERATOR)
    browser = console.browser()
    answer = await try_to_sign_in(browser)
    (set_cookie,) = [
        value for value in answer.headers.get_list("set-cookie") if value.startswith(COOKIE)
    ]
    parts = {part.strip().lower() for part in set_cookie.split(";")[1:]}
    assert {"httponly", "secure", "path=/", "samesite=lax"} <= parts
    assert not any(part.startswith("domain") for part in parts)


async def test_session_that_a_browser_came_with_is_not_the_one_it_leaves_with(
    console: Console,
) -> None:
    hash_fast(console)
    await add_person(console, UserRole.OPERATOR)
    browser = console.browser()
    planted = await console.sign_in(UserRole.OPERATOR, name="Mallory")
    old = planted.client.cookies[COOKIE]
    await browser.get("/sign-in")
    browser.client.cookies.set(COOKIE, old, domain="bus.example.gov", path="/")
    await browser.post("/sign-in", {"login": LOGIN, "password": PASSWORD})
    fresh = next(
        cookie.value
        for cookie in browser.client.cookies.jar
        if cookie.name == COOKIE and cookie.value != old
    )
    desk = console.desk
    found = Sessions(desk.database, keyring=desk.keyring, machine=desk.machine)
    assert fresh is not None
    assert await found.find(fresh) is not None
    assert await found.find(old) is None, "the session before has ended"


async def test_nobody_can_tell_an_unknown_login_from_a_wrong_password_or_a_closed_account(
    console: Console,
) -> None:
    hasher = hash_fast(console)
    await add_person(console, UserRole.OPERATOR)
    await add_person(console, UserRole.OPERATOR, login="no.password", password=None)
    gone = await add_person(console, UserRole.OPERATOR, login="gone")
    async with console.desk.database.begin() as conn:
        await people.disable_user(conn, gone.id, change=change(console))
    pages = []
    for login, password in (
        ("nobody.at.all", PASSWORD),
        ("<script>", PASSWORD),
        (LOGIN, "wrong" * 4),
        (LOGIN, "x" * 5000),
        ("gone", PASSWORD),
        ("no.password", PASSWORD),
    ):
        before = hasher.compared
        browser = console.browser()
        await try_to_sign_in(browser, login, password, status=401)
        assert hasher.compared == before + 1, login
        assert REFUSED in browser.page, login
        assert "<script>" not in browser.page
        pages.append(browser.page.replace(browser.token, "").replace(login, ""))
    assert len({page for page in pages if "&lt;" not in page}) == 1


async def test_five_wrong_passwords_in_a_row_lock_for_a_quarter_of_an_hour(
    console: Console,
) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    browser = console.browser()
    for _ in range(TRIES_MAX - 1):
        await try_to_sign_in(browser, password="wrong" * 4, status=401)
    await try_to_sign_in(browser)
    await browser.get("/")
    browser = console.browser()
    for _ in range(TRIES_MAX):
        await try_to_sign_in(browser, password="wrong" * 4, status=401)
    page = browser.page
    await try_to_sign_in(browser, status=401)
    assert "in a row an account waits for 15 minutes" in browser.page
    assert len(browser.page) == len(page)

    ended = console.desk.machine.now() - dt.timedelta(seconds=1)
    async with console.desk.database.begin() as conn:
        locked = (await conn.execute(sa.select(users.c.locked_until))).scalar_one()
        assert LOCKED_FOR - dt.timedelta(minutes=1) < locked - console.desk.machine.now()
        await conn.execute(users.update().values(locked_until=ended))
    await try_to_sign_in(browser, password="wrong" * 4, status=401)
    await try_to_sign_in(browser)
    entries = await account_entries(console)
    failed = [one["data"] for one in entries if one["type"] == "user.sign_in_failed"]
    assert [one["tries"] for one in failed if one["user_id"] == user.id] == [
        1, 2, 3, 4, 1, 2, 3, 4, 5, 1,
    ]  # fmt: skip


async def test_strangers_tries_do_not_lock_somebody_out_of_their_own_browser(
    console: Console,
) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    await add_person(console, UserRole.OPERATOR, login="lee.okafor")
    own, stranger = console.browser(), console.browser()
    signed = await try_to_sign_in(own)
    for login in ("lee.okafor", LOGIN):  # one desk, two people of a shift
        await own.get("/")
        await own.post("/sign-out", {})
        await try_to_sign_in(own, login)
    await own.get("/")
    await own.post("/sign-out", {})
    (set_cookie,) = [one for one in signed.headers.get_list("set-cookie") if one.startswith(DEVICE)]
    assert "httponly; " in (set_cookie.lower() + "; ")
    assert "secure" in set_cookie.lower()
    assert "samesite=lax" in set_cookie.lower()

    for _ in range(TRIES_MAX + 1):
        await try_to_sign_in(stranger, password="wrong" * 4, status=401)
    known = own.client.cookies[DEVICE]
    await try_to_sign_in(own)
    await try_to_sign_in(stranger, status=401)
    stranger.client.cookies.set(DEVICE, known.swapcase())
    await try_to_sign_in(stranger, status=401)

    # Their tries are bounded, all together: also of a browser that got hold of an old cookie.
    thief = console.browser()
    thief.client.cookies.set(DEVICE, ".".join((known, own.client.cookies[DEVICE])))
    for _ in range(TRIES_MAX):  # their owner's own, which were right, count no more
        await try_to_sign_in(thief, password="wrong" * 4, status=401)
    await try_to_sign_in(thief, status=401)
    entries = await account_entries(console)
    failed = [one["data"] for one in entries if one["type"] == "user.sign_in_failed"]
    of_known = [one["tries"] for one in failed if one.get("known_device")]
    assert of_known == [1, 2, 3, 4, 5]

    # A new password ends what is known of the one before: the thief is a stranger from then on.
    fresh = await console.api.app.state.sign_in.passwords.hash("another one altogether")
    async with console.desk.database.begin() as conn:
        await conn.execute(idempotency_records.delete())
        await people.reset_password(conn, user.id, password_hash=fresh, change=change(console))
    await try_to_sign_in(thief, password="wrong" * 4, status=401)
    failed = [one for one in await account_entries(console) if one["type"] == FAILED]
    assert failed[-1]["data"] == {"user_id": user.id, "tries": 1}


async def test_supervisor_sees_until_when_somebody_is_locked_and_unlocks(console: Console) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    browser = console.browser()
    for _ in range(TRIES_MAX):
        await try_to_sign_in(browser, password="wrong" * 4, status=401)
    boss = await console.sign_in(UserRole.SUPERVISOR)
    async with console.desk.database.read() as conn:
        found = await conn.execute(sa.select(users.c.locked_until).where(users.c.id == user.id))
    until = f"locked until {found.scalar_one():%Y-%m-%d %H:%M:%S} UTC"
    await boss.get("/users")
    assert until in boss.page
    await boss.get(f"/users/{user.id}")
    assert until in boss.page

    await boss.follow(await boss.post(f"/users/{user.id}/unlock", {"revision": "1"}))
    assert "locked until" not in boss.page
    assert "Unlocked. This person can sign in now" in boss.page
    await boss.post(f"/users/{user.id}/unlock", {"revision": "1"})
    await try_to_sign_in(browser)
    entries = await account_entries(console)
    assert [one["type"] for one in entries].count("user.unlocked") == 1


async def test_tries_with_logins_of_nobody_cannot_fill_the_ledger(console: Console) -> None:
    hash_fast(console)
    browser = console.browser()
    for number in range(12):
        await try_to_sign_in(browser, f"nobody{number}", status=401)
    entries = await account_entries(console)
    failed = [one["data"] for one in entries if one["type"] == "user.sign_in_failed"]
    assert failed == [{"user_id": None, "tries": 1}]


async def test_form_of_another_site_signs_nobody_in(console: Console) -> None:
    hasher = hash_fast(console)
    await add_person(console, UserRole.OPERATOR)
    typed = {"login": LOGIN, "password": PASSWORD}
    without_cookie = console.browser()
    await without_cookie.post("/sign-in", typed, status=403)
    other = console.browser()
    await other.get("/sign-in")
    without_cookie.token = other.token
    await without_cookie.post("/sign-in", typed, status=403)
    assert "Allow cookies" in without_cookie.page
    other.client.headers["Sec-Fetch-Site"] = "cross-site"
    await other.post("/sign-in", typed, status=403)
    assert hasher.compared == 0


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/ok\r\nSet-Cookie: a=b",
        " //evil.example",
        "/é",
        "/" + "a" * 2000,
        "/sign-out",
        "",
    ],
)
def test_nobody_is_sent_to_another_site(wanted: str) -> None:
    assert own_path(wanted) == "/"


async def test_one_time_password_opens_the_choice_of_another_and_nothing_else(
    console: Console,
) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    passwords, now = console.api.app.state.sign_in.passwords, console.desk.machine.now()
    stored = await passwords.hash_one_time("once-once-only-once", now=now)
    async with console.desk.database.begin() as conn:
        await people.reset_password(conn, user.id, password_hash=stored, change=change(console))
    browser = console.browser()
    await try_to_sign_in(browser, password="once-once-only-once", status=200)
    assert "Choose a password" in browser.page
    assert COOKIE not in browser.client.cookies
    ticket = browser.page.partition('name="ticket" value="')[2].partition('"')[0]

    for password, again, said in (
        ("too short", "too short", "needs 15"),
        ("dana.reyes.dana.reyes", "dana.reyes.dana.reyes", "your own name"),
        ("thequickbrownfox", "thequickbrownfox", "tried first"),
        ("vier Enten rudern", "vier Gänse rudern", "differ"),
    ):
        form = {"ticket": ticket, "password": password, "again": again}
        await browser.post("/sign-in/password", form, status=422)
        assert said in browser.page
    form = {"ticket": ticket, "password": " vier Gänse rudern", "again": " vier Gänse rudern"}
    given = {"csrf": browser.token}
    await browser.post("/sign-in/password", form)
    await browser.get("/")
    await browser.post("/sign-in/password", form | given, status=400)

    afresh = console.browser()
    await try_to_sign_in(afresh, password="once-once-only-once", status=401)
    await try_to_sign_in(afresh, password="vier Gänse rudern", status=401)
    await try_to_sign_in(afresh, password=" vier Ga\u0308nse rudern")


async def test_one_time_password_ends_after_three_days(console: Console) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    passwords = console.api.app.state.sign_in.passwords
    earlier = console.desk.machine.now() - dt.timedelta(hours=73)
    stored = await passwords.hash_one_time("once-once-only-once", now=earlier)
    async with console.desk.database.begin() as conn:
        await people.reset_password(conn, user.id, password_hash=stored, change=change(console))
    await try_to_sign_in(console.browser(), password="once-once-only-once", status=401)


async def test_password_is_hashed_anew_where_its_parameters_are_those_of_earlier(
    console: Console,
) -> None:
    hash_fast(console)
    await add_person(console, UserRole.OPERATOR)
    async with console.desk.database.read() as conn:
        before = (await conn.execute(sa.select(users.c.password_hash))).scalar_one()
    hash_fast(console, passes=2)
    browser = console.browser()
    await try_to_sign_in(browser)
    async with console.desk.database.read() as conn:
        after = (await conn.execute(sa.select(users.c.password_hash))).scalar_one()
        living = (
            await conn.execute(sa.select(sa.func.count()).where(sessions.c.ended_at.is_(None)))
        ).scalar_one()
    assert ",t=1," in before
    assert ",t=2," in after
    assert living == 1
    await try_to_sign_in(console.browser())


async def test_ticket_ends_with_the_account_and_with_another_password(console: Console) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    passwords, now = console.api.app.state.sign_in.passwords, console.desk.machine.now()
    typed = {"password": "vier Enten rudern", "again": "vier Enten rudern"}
    for way in ("another password", "disabled"):
        stored = await passwords.hash_one_time("once-once-only-once", now=now)
        async with console.desk.database.begin() as conn:
            await people.reset_password(conn, user.id, password_hash=stored, change=change(console))
        browser = console.browser()
        await try_to_sign_in(browser, password="once-once-only-once", status=200)
        ticket = browser.page.partition('name="ticket" value="')[2].partition('"')[0]
        async with console.desk.database.begin() as conn:
            if way == "disabled":
                await people.disable_user(conn, user.id, change=change(console))
            else:
                await people.reset_password(
                    conn, user.id, password_hash=stored[:-1], change=change(console)
                )
        await browser.post("/sign-in/password", {"ticket": ticket, **typed}, status=400)
        assert "Sign in again" in browser.page
        await browser.post("/sign-in/password", {"ticket": ticket + "x", **typed}, status=400)


async def test_first_supervisor_is_entered_once_with_a_password_in_a_file(
    console: Console, tmp_path: Path
) -> None:
    hash_fast(console)
    desk, passwords = console.desk, console.api.app.state.sign_in.passwords
    file = tmp_path / "first-sign-in.txt"
    first = await people.create_first_user(desk, passwords, path=file)
    assert first is not None
    assert first.roles == (UserRole.SUPERVISOR,)
    written = file.read_text()
    assert await people.create_first_user(desk, passwords, path=file) is None
    assert file.read_text() == written
    once = written.rpartition(": ")[2].strip()
    await try_to_sign_in(console.browser(), "supervisor", once, status=200)


async def test_whoever_is_signed_in_is_sent_on_from_the_sign_in_page(console: Console) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)
    sent = await browser.get("/sign-in?next=/exercises", status=303)
    assert sent.headers["location"] == "/exercises"
