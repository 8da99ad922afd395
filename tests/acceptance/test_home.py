"""The first page: the state in a sentence, whom to ring next, what happens next by itself."""

import datetime as dt
import re

import pytest
import sqlalchemy as sa

from harness.console import Browser, Console
from harness.desk import add_agency, add_contact, notice_body, post_notice, world
from harness.statements import statements_of
from noticebus.casework.page_views import ENTRY_TYPE as VIEWED
from noticebus.casework.reports import ENTRY_TYPE as REPORT_READ
from noticebus.casework.signs_of_life import Part
from noticebus.contracts.vocabulary import AgencyKind, UserRole
from noticebus.ids import new_user_id
from noticebus.store import attendances
from noticebus.store.agencies import Agency
from noticebus.store.attendances import Attendance
from noticebus.store.notices import Notice
from noticebus.store.tables import entries, obligations

LATE = dt.timedelta(hours=3)


@pytest.fixture
async def works(console: Console) -> Console:
    """Lend a console whose bus gives its signs of life, however slow the machine."""
    soon = console.desk.machine.now() + dt.timedelta(minutes=10)
    console.desk.signals.ticks.update(dict.fromkeys(Part, soon))
    return console


async def silent_school(
    console: Console, name: str = "Pine County Schools"
) -> tuple[Agency, Agency]:
    """Add a poster, and a school that somebody can ring."""
    office = await add_agency(console.desk, "Field office", kind=AgencyKind.FEDERAL)
    school = await add_agency(console.desk, name, kind=AgencyKind.SCHOOL_DISTRICT)
    await add_contact(console.desk, school, "R. Alvarez", phone="+16015550142")
    return office, school


async def overdue(console: Console) -> tuple[Agency, Agency, Notice]:
    """Let a school be silent past its deadline."""
    office, school = await silent_school(console)
    notice = await post_notice(console.desk, office, body=notice_body(console.desk))
    world(console.desk).advance(LATE)
    return office, school, notice


def sentence(browser: Browser) -> str:
    found = re.search(r'<h1 class="nb-sentence[^"]*">(.*?)</h1>', browser.page, re.DOTALL)
    assert found is not None
    return " ".join(re.sub(r"<[^>]+>", "", found[1]).split())


def rows(browser: Browser) -> list[str]:
    return re.findall(r'<tr(?: class="nb-row--late")?>\s*<th scope="row">', browser.page)


async def test_operator_sees_who_is_silent_whom_to_ring_and_what_happens_next(
    works: Console,
) -> None:
    _, _, notice = await overdue(works)
    browser = await works.sign_in(UserRole.OPERATOR)
    page = await browser.get("/")

    assert re.fullmatch(
        r"⚠ ACTION: 1 recipient has not answered\. Oldest: Pine County Schools, .* overdue\.",
        sentence(browser),
    )
    assert "R. Alvarez" in page.text
    assert 'href="tel:+16015550142"' in page.text
    assert "(601) 555-0142" in page.text
    assert re.search(r"(in \d+ \w+|now)</strong>: (tell|remind|hand)", page.text)
    assert 'action="/obligations/obl_' in page.text
    assert f'href="/incidents/{notice.incident_id}/resend">Resend to all silent</a>' in page.text
    assert "0/1 acknowledged" in page.text
    assert "<title>(1) Home" in page.text
    assert 'href="/icon/1.svg"' in page.text


async def test_quiet_day_is_clear_and_says_what_is_awaited(works: Console) -> None:
    browser = await works.sign_in(UserRole.OPERATOR)
    await browser.get("/")
    assert sentence(browser) == "✓ CLEAR: nothing is overdue."

    office, _ = await silent_school(works)
    await add_agency(works.desk, "State CPS")
    await post_notice(works.desk, office, body=notice_body(works.desk))
    page = await browser.get("/")
    assert "✓ CLEAR" not in sentence(browser)  # no channel reaches State CPS
    assert sentence(browser).startswith("! CHECK: no answer is overdue, but no channel reaches")
    assert "2 more due later" in page.text
    assert "<title>Home" in page.text


async def test_without_signs_of_life_nothing_is_clear(console: Console) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)
    page = await browser.get("/")
    assert sentence(browser).startswith(
        "✗ UNKNOWN: nobody is sending and silence escalates nowhere"
    )
    assert "nb-sentence--clear" not in page.text

    await overdue(console)
    page = await browser.get("/")
    assert sentence(browser).startswith("⚠ ACTION")
    assert "not certain" in page.text


async def test_no_more_than_ten_lines_the_most_pressing_first_in_a_constant_number_of_statements(
    works: Console,
) -> None:
    office, _ = await silent_school(works, "School 0")
    browser = await works.sign_in(UserRole.OPERATOR)
    await post_notice(works.desk, office, body=notice_body(works.desk))
    world(works.desk).advance(LATE)
    await browser.get("/")
    with statements_of(works.desk) as few:
        await browser.get("/")
    for number in range(1, 12):
        await add_agency(works.desk, f"School {number}", kind=AgencyKind.SCHOOL_DISTRICT)
    for _ in range(3):
        await post_notice(works.desk, office, body=notice_body(works.desk))
    world(works.desk).advance(LATE)
    with statements_of(works.desk) as many:
        page = await browser.get("/")

    assert len(rows(browser)) == 10
    assert "more than these 10" in page.text
    assert page.text.count("✗ Out of reach") == 10  # the one that can be rung comes after them
    assert len(many) <= len(few) + 1


async def test_refreshing_page_is_one_view_in_five_minutes_and_no_report_each_time(
    works: Console,
) -> None:
    await overdue(works)
    browser = await works.sign_in(UserRole.OPERATOR)
    for _ in range(3):
        await browser.get("/", headers={"HX-Request": "true"})
    async with works.desk.database.read() as conn:
        found = (await conn.execute(sa.select(entries.c.type))).scalars().all()
    assert found.count(VIEWED) == 1
    assert REPORT_READ not in found


async def test_agency_sees_what_it_owes_and_nothing_of_another(works: Console) -> None:
    _, school, _ = await overdue(works)
    other = await add_agency(
        works.desk, "Other Schools", kind=AgencyKind.SCHOOL_DISTRICT, county_fips="28121"
    )
    browser = await works.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=school)
    page = await browser.get("/")
    assert sentence(browser).startswith("⚠ ACTION: you have not answered one notice in time.")
    assert "What waits for your answer" in page.text
    assert ">Answer" in page.text
    assert "Resend" not in page.text
    assert "I am on this" not in page.text

    stranger = await works.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=other)
    page = await stranger.get("/")
    assert sentence(stranger) == "✓ CLEAR: no notice waits for your answer."
    assert "Pine County Schools" not in page.text
    assert "Enforcement action near Morton" not in page.text


async def test_poster_sees_who_has_not_answered_but_rings_nobody(works: Console) -> None:
    office, _, _ = await overdue(works)
    browser = await works.sign_in(UserRole.POSTER, agency=office)
    page = await browser.get("/")
    assert "Oldest: Pine County Schools" in sentence(browser)
    assert "Who has not answered you</h2>" in page.text
    assert "tel:" not in page.text
    assert "Record a call" not in page.text
    assert "I am on this" not in page.text


async def test_auditor_sees_all_and_has_nothing_to_press(works: Console) -> None:
    await overdue(works)
    browser = await works.sign_in(UserRole.AUDITOR)
    page = await browser.get("/")
    assert "Pine County Schools" in page.text
    assert 'action="/obligations/' not in page.text


async def test_who_is_on_it_stands_in_the_line(works: Console) -> None:
    await overdue(works)
    now = works.desk.world.now()
    async with works.desk.database.begin() as conn:
        owed = (await conn.execute(sa.select(obligations.c.id))).scalar_one()
        put = Attendance(
            obligation_id=owed,
            actor=new_user_id(),
            name="Dana Reyes",
            began_at=now - dt.timedelta(minutes=2),
            lapses_at=now + dt.timedelta(minutes=20),
        )
        await attendances.put(conn, put)
    browser = await works.sign_in(UserRole.OPERATOR, name="Sam Ortiz")
    page = await browser.get("/")
    assert "Dana Reyes is on this" in page.text
    assert "Take over" in page.text


async def test_exercise_is_in_no_figure_of_the_page(works: Console) -> None:
    office, _ = await silent_school(works)
    drill = notice_body(works.desk, status="exercise")
    await post_notice(works.desk, office, body=drill)
    world(works.desk).advance(LATE)
    browser = await works.sign_in(UserRole.OPERATOR)
    page = await browser.get("/")
    assert sentence(browser) == "✓ CLEAR: nothing is overdue."
    assert "Pine County Schools" not in page.text.split('id="repair"')[0]


async def test_hostile_names_are_shown_as_text(works: Console) -> None:
    office, _ = await silent_school(works, '<script>alert("1")</script>')
    body = notice_body(works.desk, headline='<img src=x onerror="alert(1)">')
    await post_notice(works.desk, office, body=body)
    world(works.desk).advance(LATE)
    browser = await works.sign_in(UserRole.OPERATOR)
    page = await browser.get("/")
    assert "<script>alert" not in page.text
    assert "<img" not in page.text
    assert "&lt;script&gt;" in page.text


async def test_page_refreshes_itself_with_and_without_a_script(works: Console) -> None:
    browser = await works.sign_in(UserRole.OPERATOR)
    page = await browser.get("/")
    assert 'hx-get="/" hx-trigger="every 15s, refresh"' in page.text
    assert (
        '<noscript><meta http-equiv="refresh" content="30; url=/?refreshed=1"></noscript>'
        in page.text
    )


async def test_what_can_wait_is_not_counted_with_what_keeps_a_notice_from_somebody(
    works: Console,
) -> None:
    _, school, _ = await overdue(works)
    browser = await works.sign_in(UserRole.OPERATOR)
    home = re.sub(r"<[^>]+>", "", (await browser.get("/")).text)
    report = (await browser.get("/reports/unacknowledged")).text
    agency = (await browser.get(f"/agencies/{school.id}")).text
    keeping, waiting = (
        found.split("</details>")[0] for found in report.split('<details class="nb-quality"')[1:]
    )
    grave, later = agency.split('id="to-do"')

    (count,) = re.findall(r"(\d+) keeps? a notice from somebody, or leaves? it with nobody", home)
    assert keeping.count("<li>") == int(count)
    (count,) = re.findall(r"(\d+) to do before (?:it counts|they count)", home)
    assert waiting.count("<li>") == int(count)
    assert "never completed an exercise" in waiting
    assert "never completed an exercise" not in keeping
    assert "never completed an exercise" in later
    assert "no verified channel reaches it" in grave.split('id="warnings"')[1]
