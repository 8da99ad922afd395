"""The page People: supervisors add, change, disable and reset; nobody else sees it."""

import asyncio
import re

import pytest

from harness.accounts import PASSWORD, account_entries, add_person, change, hash_fast
from harness.console import Browser, Console
from harness.desk import add_agency
from harness.statements import statements_of
from noticebus.casework import users as people
from noticebus.contracts.vocabulary import AgencyKind, UserRole
from noticebus.errors import ForbiddenError
from noticebus.store.users import User, list_users

ONCE = "<code>"


async def supervisor(console: Console) -> Browser:
    hash_fast(console)
    return await console.sign_in(UserRole.SUPERVISOR, name="Sam Supervisor")


def revision_of(browser: Browser) -> str:
    return browser.page.partition('name="revision" value="')[2].partition('"')[0]


async def test_supervisor_adds_a_person_who_chooses_a_password_and_works(console: Console) -> None:
    browser = await supervisor(console)
    await browser.get("/users")
    assert "Sam Supervisor" in browser.page
    form = {"login": "Lee.Operator", "name": "Lee Operator", "role": ["operator"]}
    await browser.post("/users", form, status=200)
    once = browser.page.partition(ONCE)[2].partition("<")[0]
    assert len(once) == 24
    await browser.get("/users")
    assert once not in browser.page
    assert "lee.operator" in browser.page

    lee = console.browser()
    await lee.get("/sign-in")
    await lee.post("/sign-in", {"login": "lee.operator", "password": once}, status=200)
    ticket = lee.page.partition('name="ticket" value="')[2].partition('"')[0]
    await lee.post("/sign-in/password", {"ticket": ticket, "password": PASSWORD, "again": PASSWORD})
    await lee.get("/")
    assert "Lee Operator" in lee.page
    assert 'href="/users"' not in lee.page
    await lee.get("/users", status=403)


async def test_what_was_typed_wrongly_stays_in_the_form_and_adds_nobody(console: Console) -> None:
    browser = await supervisor(console)
    for changes, said in (
        ({"login": "lee<script>"}, "must be 2 to 99"),
        ({"name": " "}, "1 to 100 printable"),
        ({"role": []}, "choose at least one"),
        ({"role": ["emperor"]}, "no such role"),
        ({"role": ["poster"]}, "belongs to one agency"),
        ({"role": ["poster"], "agency": "agy_01"}, "no such agency"),
        ({"login": "taken"}, "is taken"),
    ):
        if "taken" in said:
            await add_person(console, UserRole.OPERATOR, login="taken")
        await browser.get("/users")
        form = {"login": "lee", "name": "Lee <b>Bold</b>", "role": ["operator"], **changes}
        status = 409 if "taken" in said else 422
        await browser.post("/users", form, status=status)
        assert said in browser.page, said
        assert "Nobody was added." in browser.page
        assert "<script>alert" not in browser.page
        assert "<b>Bold" not in browser.page
    entries = await account_entries(console)
    assert [one["type"] for one in entries] == ["user.created"]


async def test_roles_of_the_bus_and_of_one_agency_do_not_mix(console: Console) -> None:
    browser = await supervisor(console)
    cps = await add_agency(console.desk, "State CPS")
    watch = await add_agency(console.desk, "Bus operators", kind=AgencyKind.OPERATOR)
    await browser.get("/users")
    form = {"login": "lee", "name": "Lee", "role": ["operator"], "agency": cps.id}
    await browser.post("/users", form, status=422)
    assert "belongs to none that is told or tells" in browser.page
    await browser.post("/users", form | {"agency": watch.id}, status=200)


async def test_change_is_made_on_what_was_seen_and_holds_at_the_next_click(
    console: Console,
) -> None:
    browser = await supervisor(console)
    lee = await console.sign_in(UserRole.OPERATOR, name="Lee")
    assert lee.user is not None
    path = f"/users/{lee.user.id}"
    await browser.get(path)
    seen = revision_of(browser)
    form = {"role": ["auditor"], "revision": seen}
    changed = await browser.post(f"{path}/roles", form)
    await browser.follow(changed)
    assert "next click" in browser.page
    await browser.post(f"{path}/roles", {"role": ["operator"], "revision": seen}, status=412)
    await browser.post(f"{path}/roles", {"role": ["operator"]}, status=422)
    await lee.get("/users", status=403)

    await browser.get(path)
    disabled = await browser.post(f"{path}/disable", {"revision": revision_of(browser)})
    await lee.get("/", status=303)
    await browser.follow(disabled)
    enabled = await browser.post(f"{path}/enable", {"revision": revision_of(browser)})
    await lee.get("/", status=303)
    await browser.follow(enabled)
    await browser.post(f"{path}/reset-password", {"revision": revision_of(browser)}, status=200)
    assert ONCE in browser.page
    types = [one["type"] for one in await account_entries(console)]
    assert types == ["user.changed", "user.disabled", "user.enabled", "user.password_reset"]


async def test_second_click_says_that_the_password_was_lost_and_blames_nobody(
    console: Console,
) -> None:
    browser = await supervisor(console)
    await browser.get("/users")
    form = {"login": "Lee.Operator", "name": "Lee Operator", "role": ["operator"]}
    form_of_page = {"csrf": browser.token, **form}
    async with asyncio.TaskGroup() as clicks:
        sent = [
            clicks.create_task(browser.client.post("/users", data=form_of_page)) for _ in range(2)
        ]
    first, second = (one.result() for one in sent)
    assert sorted((first.status_code, second.status_code)) == [200, 409]
    refused = first if first.status_code != 200 else second
    assert "You clicked twice: the person was added once" in refused.text
    assert "Nobody was added" not in refused.text
    path = re.search(r'href="(/users/[^"]+)">lee.operator<', refused.text)
    assert path is not None

    await browser.get(path[1])
    seen = {"revision": revision_of(browser)}
    await browser.post(f"{path[1]}/reset-password", seen, status=200)
    await browser.post(f"{path[1]}/reset-password", seen, status=409)
    assert "You clicked twice: a one-time password was made, and shown to nobody." in browser.page
    assert revision_of(browser) != seen["revision"]
    other = await console.sign_in(UserRole.SUPERVISOR)
    await other.get("/users")
    await other.post("/users", form, status=409)
    assert "is taken. Choose another. Nobody was added." in other.page
    await other.post(f"{path[1]}/reset-password", seen, status=412)
    assert "Read it again and repeat your change on it. Nothing was changed." in other.page
    types = [one["type"] for one in await account_entries(console)]
    assert types == ["user.created", "user.password_reset"]


async def test_person_who_signs_in_elsewhere_gets_no_password(console: Console) -> None:
    browser = await supervisor(console)
    await browser.get("/users")
    form = {"login": "lee", "name": "Lee", "role": ["operator"], "way": "elsewhere"}
    added = await browser.post("/users", form)
    await browser.follow(added)
    assert "through the proxy, or by a link" in browser.page
    path = added.headers["location"].partition("?")[0]
    form = {"role": ["poster"], "revision": revision_of(browser)}
    await browser.post(f"{path}/roles", form, status=422)
    assert "belongs to one agency" in browser.page
    assert "Nothing was changed." in browser.page
    for verb in ("enable", "disable", "disable"):  # the first and the last change nothing
        await browser.get(path)
        await browser.post(f"{path}/{verb}", {"revision": revision_of(browser)})
    types = [one["type"] for one in await account_entries(console)]
    assert types == ["user.created", "user.disabled"]


async def test_supervisors_cannot_shut_themselves_out(console: Console) -> None:
    browser = await supervisor(console)
    assert browser.user is not None
    path = f"/users/{browser.user.id}"
    await browser.get(path)
    assert f"{path}/disable" not in browser.page
    await browser.post(f"{path}/disable", {"revision": revision_of(browser)}, status=409)
    form = {"role": ["operator"], "revision": "1"}
    await browser.get(path)
    await browser.post(f"{path}/roles", form, status=409)
    assert "shut yourself out" in browser.page


async def test_of_supervisors_who_shut_each_other_out_at_once_one_stays(console: Console) -> None:
    hash_fast(console)
    sam = await add_person(console, UserRole.SUPERVISOR, login="sam")
    kim = await add_person(console, UserRole.SUPERVISOR, login="kim")

    async def shuts_out(by: User, other: User) -> bool:
        try:
            async with console.desk.database.begin() as conn:
                await people.disable_user(conn, other.id, change=change(console, by=by.id))
        except ForbiddenError:
            return False
        return True

    async with asyncio.TaskGroup() as both:
        first = both.create_task(shuts_out(sam, kim))
        second = both.create_task(shuts_out(kim, sam))
    assert sorted((first.result(), second.result())) == [False, True]
    async with console.desk.database.read() as conn:
        left = [one for one in await list_users(conn, after="", limit=9) if one.disabled_at is None]
    assert [one.id for one in left] == [(sam if first.result() else kim).id]

    await add_person(console, UserRole.SUPERVISOR, login="lee")
    gone = kim if first.result() else sam
    with pytest.raises(ForbiddenError, match="no supervisor any more"):
        async with console.desk.database.begin() as conn:
            await people.change_roles(
                conn,
                left[0].id,
                roles=[UserRole.AUDITOR],
                agency_id=None,
                change=change(console, by=gone.id),
            )


@pytest.mark.parametrize(
    "role", [UserRole.OPERATOR, UserRole.AUDITOR, UserRole.AGENCY_ADMINISTRATOR, UserRole.POSTER]
)
async def test_nobody_but_a_supervisor_sees_or_changes_people(
    console: Console, role: UserRole
) -> None:
    agency = await add_agency(console.desk, "State CPS")
    other = await console.sign_in(role, agency=agency)
    person = await add_person(console, UserRole.OPERATOR, password=None)
    await other.get("/")
    await other.get("/users", status=403)
    await other.get(f"/users/{person.id}", status=403)
    await other.post("/users", {"login": "x1", "name": "X", "role": ["supervisor"]}, status=403)
    for verb in ("roles", "disable", "enable", "reset-password"):
        form = {"role": ["supervisor"], "revision": "1"}
        await other.post(f"/users/{person.id}/{verb}", form, status=403)
    assert [one["type"] for one in await account_entries(console)] == ["user.created"]


async def test_list_asks_the_same_however_many_people_there_are(console: Console) -> None:
    browser = await supervisor(console)
    await browser.get("/users")
    with statements_of(console.desk) as few:
        await browser.get("/users")
    for number in range(105):
        await add_person(console, UserRole.OPERATOR, login=f"person{number:03}", password=None)
    with statements_of(console.desk) as many:
        await browser.get("/users")
    assert len(many) == len(few)
    assert "person098" in browser.page
    assert "person104" not in browser.page
    await browser.get("/users?after=person099")
    assert "person104" in browser.page


async def test_person_who_does_not_exist_is_not_found(console: Console) -> None:
    browser = await supervisor(console)
    await browser.get("/users/usr_none", status=404)
