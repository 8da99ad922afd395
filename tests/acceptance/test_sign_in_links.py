"""Links that sign somebody in: a technician to one agency's pages, or a known person once."""

import asyncio
import datetime as dt
import io

import pytest
import sqlalchemy as sa

from harness.accounts import account_entries, add_person, change, hash_fast
from harness.console import Browser, Console
from harness.desk import add_agency, add_contact, notice_body, obligation_of, post_notice
from noticebus.access import sign_in_links
from noticebus.access.sessions import Sessions
from noticebus.access.sign_in_links import UserLink
from noticebus.casework import users as people
from noticebus.casework.sign_in_links import address_of, make_user_link
from noticebus.contracts.vocabulary import AgencyKind, Scope, UserRole
from noticebus.ids import new_session_id
from noticebus.store.agencies import Agency
from noticebus.store.tables import sessions
from noticebus.store.users import User
from noticebus.telemetry import configure_logging

COOKIE = "__Host-noticebus_session"
FORM = {"name": "Jo Technician", "hours": "8"}


async def make(browser: Browser, agency: Agency) -> str:
    """Have `browser` make a link, and give its path."""
    await browser.get("/")
    await browser.post(f"/agencies/{agency.id}/links", FORM, status=200)
    shown = browser.page.partition("<textarea")[2].partition(">")[2].partition("<")[0]
    assert shown.startswith("https://bus.example.gov/sign-in/link/")
    return shown.removeprefix("https://bus.example.gov")


async def link_for(console: Console, user: User) -> str:
    desk = console.desk
    async with desk.database.begin() as conn:
        address = await make_user_link(
            conn, desk.keyring, user, base_url=desk.base_url, change=change(console)
        )
    return address.removeprefix(desk.base_url)


async def visitor_of(console: Console, browser: Browser) -> frozenset[Scope] | None:
    desk = console.desk
    found = Sessions(desk.database, keyring=desk.keyring, machine=desk.machine)
    visitor = await found.find(browser.client.cookies.get(COOKIE))
    return None if visitor is None else visitor.principal.scopes


async def test_technician_opens_one_agencys_pages_for_an_hour_and_answers_nothing(
    console: Console,
) -> None:
    agency = await add_agency(console.desk, "State CPS")
    path = await make(await console.sign_in(UserRole.OPERATOR), agency)

    technician = console.browser()
    await technician.client.head(path)
    await technician.get(path)
    assert "Jo Technician" in technician.page
    assert "State CPS" in technician.page
    assert COOKIE not in technician.client.cookies
    sent = await technician.post(path, {})
    assert sent.headers["location"] == f"/agencies/{agency.id}"
    assert await visitor_of(console, technician) == frozenset({Scope.SUBSCRIBE})
    contact = await add_contact(console.desk, agency, "County desk")
    await technician.get(f"/agencies/{agency.id}")
    tested = f"/agencies/{agency.id}/contacts/{contact.id}/test"
    assert tested not in technician.page
    await technician.post(tested, {"by": "email"}, status=403)
    async with console.desk.database.read() as conn:
        row = (await conn.execute(sa.select(sessions).where(sessions.c.method == "link"))).one()
    assert row.expires_at - row.created_at == dt.timedelta(hours=1)
    assert (row.agency_id, row.user_id, row.name) == (agency.id, None, "Jo Technician")

    entries = await account_entries(console)
    assert [one["type"] for one in entries] == ["agency.link_made", "user.signed_in"]
    assert entries[1]["data"]["granted_by"] == entries[0]["data"]["by"]
    assert "Jo Technician" not in str(entries)
    again = console.browser()
    await again.get(path)
    await again.post(path, {})


async def test_technician_reads_no_report_no_incident_and_no_obligation(console: Console) -> None:
    agency = await add_agency(console.desk, "State CPS")
    poster = await add_agency(console.desk, "Field office", kind=AgencyKind.FEDERAL)
    notice = await post_notice(console.desk, poster, body=notice_body(console.desk))
    owed = await obligation_of(console.desk, notice, agency.id)
    path = await make(await console.sign_in(UserRole.OPERATOR), agency)
    technician = console.browser()
    await technician.get(path)
    await technician.post(path, {})

    home = (await technician.get("/")).text
    for closed in (
        "/reports/unacknowledged",
        "/reports/unacknowledged.csv",
        "/incidents",
        f"/incidents/{notice.incident_id}",
        f"/notices/{notice.id}",
        f"/obligations/{owed.id}",
    ):
        await technician.get(closed, status=403)
        assert notice.incident_id not in technician.page

    assert 'href="/reports/unacknowledged"' not in home
    assert 'href="/incidents"' not in home
    assert 'href="/agencies"' in home
    theirs = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=agency)
    assert 'href="/reports/unacknowledged"' in (await theirs.get("/")).text
    assert notice.incident_id in (await theirs.get("/reports/unacknowledged.csv")).text


async def test_link_and_its_sessions_end_with_whoever_made_it(console: Console) -> None:
    agency = await add_agency(console.desk, "State CPS")
    for way in ("disabled", "role taken"):
        maker = await console.sign_in(UserRole.OPERATOR)
        assert maker.user is not None
        path = await make(maker, agency)
        technician = console.browser()
        await technician.get(path)
        await technician.post(path, {})
        assert await visitor_of(console, technician) is not None
        async with console.desk.database.begin() as conn:
            if way == "disabled":
                await people.disable_user(conn, maker.user.id, change=change(console))
            else:
                await people.change_roles(
                    conn,
                    maker.user.id,
                    roles=[UserRole.AUDITOR],
                    agency_id=None,
                    change=change(console),
                )
        assert await visitor_of(console, technician) is None, way
        late = console.browser()
        await late.get(path)
        await late.post(path, {}, status=400)
        assert "has ended" in late.page


async def test_who_may_lend_an_agencys_pages(console: Console) -> None:
    agency = await add_agency(console.desk, "State CPS")
    other = await add_agency(console.desk, "County schools")
    own = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=agency)
    path = await make(own, agency)
    await own.post(f"/agencies/{other.id}/links", FORM, status=404)
    await own.post("/agencies/agy_none/links", FORM, status=404)
    for role, status in ((UserRole.AUDITOR, 403), (UserRole.POSTER, 403)):
        browser = await console.sign_in(role, agency=agency)
        await browser.get("/")
        await browser.post(f"/agencies/{agency.id}/links", FORM, status=status)
    technician = console.browser()
    await technician.get(path)
    await technician.post(path, {})
    await technician.get("/")
    await technician.post(f"/agencies/{agency.id}/links", FORM, status=403)
    supervisor = await console.sign_in(UserRole.SUPERVISOR)
    await supervisor.get("/")
    for wrong in ({"hours": "25"}, {"hours": "x"}, {"name": " "}, {"name": "a" * 101}):
        await supervisor.post(f"/agencies/{agency.id}/links", FORM | wrong, status=422)
    made = [one for one in await account_entries(console) if one["type"] == "agency.link_made"]
    assert len(made) == 1


async def test_persons_link_signs_in_once_however_many_press_at_once(console: Console) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    path = await link_for(console, user)
    browsers = [console.browser() for _ in range(3)]
    for browser in browsers:
        await browser.get(path)
        assert "Dana Reyes" in browser.page
    async with asyncio.TaskGroup() as tasks:
        pressed = [
            tasks.create_task(one.client.post(path, data={"csrf": one.token})) for one in browsers
        ]
    assert sorted(one.result().status_code for one in pressed) == [303, 400, 400]
    assert sum(COOKIE in one.client.cookies for one in browsers) == 1
    assert sum("was used" in one.result().text for one in pressed) == 2
    methods = [one["data"].get("method") for one in await account_entries(console)]
    assert methods == [None, None, "link"]


async def test_persons_link_ends_with_time_and_with_every_change_of_the_account(
    console: Console,
) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    desk = console.desk
    link = UserLink(
        user_id=user.id,
        revision=user.revision,
        session_id=new_session_id(),
        expires_at=desk.machine.now() - dt.timedelta(seconds=1),
    )
    late = address_of(desk.keyring, link, base_url="")
    await console.browser().get(late, status=400)
    path = await link_for(console, user)
    async with desk.database.begin() as conn:
        await people.disable_user(conn, user.id, change=change(console))
        await people.enable_user(conn, user.id, change=change(console))
    browser = console.browser()
    await browser.get(path)
    await browser.post(path, {}, status=400)


@pytest.mark.parametrize("token", ["x", "é", "A" * 4000, "{token}x", "x{token}"])
async def test_link_that_was_changed_opens_nothing(console: Console, token: str) -> None:
    hash_fast(console)
    path = await link_for(console, await add_person(console, UserRole.OPERATOR))
    forged = sign_in_links.PATH + token.replace("{token}", path.rpartition("/")[2])
    browser = console.browser()
    await browser.get(forged, status=404)
    await browser.get("/sign-in")
    await browser.post(forged, {}, status=404)


async def test_link_without_the_pages_own_form_signs_nobody_in(console: Console) -> None:
    hash_fast(console)
    path = await link_for(console, await add_person(console, UserRole.OPERATOR))
    await console.browser().post(path, {}, status=403)
    browser = console.browser()
    await browser.get(path)
    await browser.post(path, {})


async def test_link_is_in_no_log(console: Console) -> None:
    hash_fast(console)
    user = await add_person(console, UserRole.OPERATOR)
    path = await link_for(console, user)
    log = io.StringIO()
    configure_logging(log_format="json", level="debug", stream=log)
    browser = console.browser()
    await browser.get(path)
    await browser.post(path, {})
    await browser.get("/sign-in/link/broken", status=404)
    console.api.app.state.sign_in = None  # the next fault is one that nobody expected
    await browser.post(path, {}, status=500)
    assert path.rpartition("/")[2][:40] not in log.getvalue()
    assert "request.failed" in log.getvalue()
