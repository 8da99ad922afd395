"""The unacknowledged report in the console: whom to ring, the filter as an address, its files."""

import csv
import datetime as dt
import html
import io
import json
import re
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa

from harness.console import Browser, Console
from harness.desk import (
    SCOTT_COUNTY,
    add_agency,
    add_contact,
    notice_body,
    obligation_of,
    post_notice,
    principal,
    world,
)
from harness.statements import statements_of
from noticebus.casework import agencies, attendance, speaking, waiving
from noticebus.casework.answer import GivenAnswer
from noticebus.casework.reports import Asked, read_report
from noticebus.casework.signs_of_life import Part
from noticebus.casework.step import fire_due_steps
from noticebus.contracts.agency import ResponsibilityPost
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    DeclineReason,
    How,
    Position,
    Scope,
    UserRole,
)
from noticebus.contracts.waiver import WaiverConfirmPost, WaiverPost
from noticebus.ledger.sequencer import Sequencer
from noticebus.store.agencies import Agency
from noticebus.store.notices import Notice, notices_by_id
from noticebus.store.tables import entries

PATH = "/reports/unacknowledged"
MINUTE = dt.timedelta(minutes=1)
HOSTILE = "<script>alert(1)</script>\"'=1+1"


async def told(console: Console, **changes: Any) -> tuple[Notice, Agency, Agency]:
    """Post a notice to a county's CPS and its schools, both with somebody to ring."""
    desk = console.desk
    poster = await add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    cps = await add_agency(desk, "Scott County CPS")
    schools = await add_agency(desk, "Pine County Schools", kind=AgencyKind.SCHOOL_DISTRICT)
    await add_contact(desk, cps, "Cora", email="cora@cps.example", phone="+16015550101")
    await add_contact(desk, schools, "Dana", email="dana@pine.example", phone="+16015550102")
    await add_contact(
        desk,
        schools,
        "Sam",
        position=Position.SECOND,
        email="sam@pine.example",
        phone="+16015550103",
    )
    notice = await post_notice(desk, poster, body=notice_body(desk, **changes))
    await Sequencer(desk).sweep()
    return notice, cps, schools


async def after(console: Console, duration: dt.timedelta) -> None:
    world(console.desk).advance(duration)
    while await fire_due_steps(console.desk):
        pass
    await Sequencer(console.desk).sweep()


async def says_yes(console: Console, notice: Notice, agency: Agency) -> None:
    await says(console, notice, agency, Answer.ACCEPTED)


async def says(console: Console, notice: Notice, agency: Agency, answer: Answer) -> None:
    owed = await obligation_of(console.desk, notice, agency.id)
    reason = DeclineReason.NO_CAPACITY if answer is Answer.DECLINED else None
    given = GivenAnswer(answer=answer, reason=reason, by_name="Ana", by_role="duty officer")
    await speaking.answer_obligation(
        console.desk,
        principal(Scope.OPERATE),
        obligation_id=owed.id,
        given=given,
        how=How.PHONE,
        on_behalf_of="the duty desk",
    )


async def waive(console: Console, notice: Notice, agency: Agency) -> None:
    owed = await obligation_of(console.desk, notice, agency.id)
    asked = WaiverPost(reason="Merged.", by_name="Dana Reyes")
    seen = WaiverConfirmPost(by_name="Lee Ortiz")
    first, second = principal(Scope.OPERATE), principal(Scope.OPERATE)
    await waiving.ask(console.desk, first, obligation_id=owed.id, post=asked)
    await waiving.confirm(console.desk, second, obligation_id=owed.id, post=seen)


async def missing(console: Console, notice: Notice) -> list[str]:
    """Say as what somebody is missing, for an incident's places."""
    async with console.desk.database.read() as conn:
        found = await notices_by_id(conn, [notice.id])
    return [place["missing"] for place in found[notice.id].uncovered]


async def entered(console: Console, type_: str = "report.read") -> list[dict[str, Any]]:
    statement = sa.select(entries.c.body).where(entries.c.type == type_)
    async with console.desk.database.read() as conn:
        found = (await conn.execute(statement.order_by(entries.c.position))).scalars()
        return [json.loads(body)["data"] for body in found]


def said(browser: Browser) -> str:
    """Give the page's text alone."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", browser.page)).split())


def all_tick(console: Console) -> None:
    """Let every part have looked for work at whatever moment the page is shown."""
    soon = console.desk.machine.now() + dt.timedelta(minutes=10)
    console.desk.signals.ticks.update(dict.fromkeys(Part, soon))


def sentence(browser: Browser) -> str:
    """Give what the page says first."""
    found = re.search(r'<h1 class="nb-sentence.*?</h1>', browser.page, re.DOTALL)
    assert found is not None
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", found[0])).split())


def section(browser: Browser, name: str) -> str:
    """Give one section of the page as text."""
    found = re.search(
        rf'<section[^>]*aria-labelledby="{name}".*?</section>', browser.page, re.DOTALL
    )
    assert found is not None, name
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", found[0])).split())


def links(browser: Browser) -> list[str]:
    return [html.unescape(one) for one in re.findall(r'href="([^"]*)"', browser.page)]


async def test_operator_sees_first_whom_to_ring_and_what_happens_otherwise(
    console: Console,
) -> None:
    notice, cps, schools = await told(console)
    browser = await console.sign_in(UserRole.OPERATOR)

    await after(console, 60 * MINUTE)
    await browser.get(PATH)

    page = said(browser)
    assert "⚠ ACTION: 2 recipients have not answered. Oldest:" in page
    assert "(2) Unacknowledged notices" in page
    ring = section(browser, "ring")
    assert "Sam , duty officer, Pine County Schools ☎ (601) 555-0103" in ring
    assert "30 min overdue. If nobody rings, the bus will" in ring
    assert "tel:+16015550103" in links(browser)
    owed = await obligation_of(console.desk, notice, schools.id)
    assert {
        f"/obligations/{owed.id}",
        f"/incidents/{notice.incident_id}",
        f"/agencies/{schools.id}",
        f"/agencies/{cps.id}",
    } <= set(links(browser))
    assert "I am on this" in section(browser, "lines")


async def test_whoever_is_being_rung_already_is_not_rung_first(console: Console) -> None:
    notice, _, schools = await told(console)
    await after(console, 60 * MINUTE)
    owed = await obligation_of(console.desk, notice, schools.id)
    await attendance.attend(console.desk, principal(Scope.OPERATE), obligation_id=owed.id)
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(PATH)

    assert "Cora" in section(browser, "ring")
    assert "test is on this" in section(browser, "lines")


async def test_address_is_the_view_and_every_value_of_the_filter_is_kept(console: Console) -> None:
    await told(console)
    await after(console, 60 * MINUTE)
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(f"{PATH}?kind=cps&class=B&overdue=true&area=28123&age=late&status=actual")

    assert "Scott County CPS" in section(browser, "lines")
    assert "Pine County Schools" not in section(browser, "lines")
    for value in ("cps", "B", "true", "late", "actual"):
        assert f'<option value="{value}" selected>' in browser.page
    assert 'name="area" value="28123"' in browser.page
    query = "kind=cps&area=28123&class=B&overdue=true&age=late&status=actual"
    for form in ("csv", "xlsx", "json"):
        assert f"{PATH}.{form}?{query}" in links(browser)


async def test_each_part_of_the_bar_leads_to_its_lines_and_counts_them(console: Console) -> None:
    await told(console)
    await add_agency(console.desk, "First Church", kind=AgencyKind.FAITH)
    browser = await console.sign_in(UserRole.OPERATOR)
    await after(console, 60 * MINUTE)

    await browser.get(PATH)
    counts = dict(re.findall(r'href="([^"]+age=[^"]+)">[^<]+</a>:\s*<strong>(\d+)', browser.page))

    assert [html.unescape(one) for one in counts] == [
        f"{PATH}?age={age}" for age in ("early", "soon", "late", "later", "latest", "oldest")
    ]
    for address, count in counts.items():
        await browser.get(address)
        assert browser.page.count('<td data-label="Overdue by">') == int(count)
    assert sum(map(int, counts.values())) == 2


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("kind=bakery", "There is no such kind of recipient. Choose one."),
        ("class=E", "Classes are A, B, C and D. Choose one."),
        ("overdue=perhaps", "Choose overdue, not overdue, or any."),
        ("status=real", "A report is of actual, exercise or test. Choose one."),
        ("as_of=2019-08-07T15:04", "Write the time with its zone: 2019-08-07T15:04Z."),
        ("as_of=2099-01-01T00:00Z", "The time lies in the future"),
        ("area=Mississippi", "This is no area."),
        ("area=99999", "There is no county with the code 99999."),
        ("as_of=9999-12-31T23:59-14:00", "Write the time with its zone"),
        ("age=ancient", "There is no such part of the bar."),
    ],
)
async def test_bad_filter_says_beside_its_field_what_to_do_and_reads_nothing(
    console: Console, query: str, sentence: str
) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(f"{PATH}?{query}", status=422)

    name, _, typed = query.partition("=")
    field = {"class": "notice_class"}.get(name, name)
    found = re.search(rf'id="fault-{field}" role="alert">([^<]+)<', browser.page)
    assert found is not None
    assert html.unescape(found[1]).startswith(sentence)
    assert f'aria-describedby="hint-{name.replace("_", "-")} fault-{field}"' in browser.page or (
        f'aria-describedby="fault-{field}"' in browser.page
    )
    assert typed in browser.page
    assert await entered(console) == []


async def test_all_faults_of_a_filter_are_said_at_once(console: Console) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(f"{PATH}?class=E&area=Mississippi&as_of=noon", status=422)

    said_of = re.findall(r'id="fault-(\w+)"', browser.page)
    assert sorted(said_of) == ["area", "as_of", "notice_class"]


async def test_hostile_filter_and_names_are_text_and_nothing_else(console: Console) -> None:
    await told(console)
    await add_agency(console.desk, HOSTILE, kind=AgencyKind.CPS)
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(PATH, params={"area": HOSTILE}, status=422)
    assert "<script>alert" not in browser.page
    await post_notice(
        console.desk,
        await add_agency(console.desk, "Other office", kind=AgencyKind.FEDERAL),
        body=notice_body(console.desk),
    )
    await browser.get(PATH)

    assert "<script>alert" not in browser.page
    assert HOSTILE in html.unescape(browser.page)


async def test_recipient_sees_its_own_lines_alone_in_its_own_words(console: Console) -> None:
    _, _, schools = await told(console)
    await after(console, 60 * MINUTE)
    browser = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=schools)

    await browser.get(PATH)

    page = said(browser)
    assert "you have not answered one notice in time" in page
    assert "What we have not answered" in page
    assert "Scott County CPS" not in page
    assert "Ring first" not in page
    assert "I am on this" not in page


async def test_past_report_is_marked_and_names_nobody(console: Console) -> None:
    notice, cps, schools = await told(console)
    await after(console, 60 * MINUTE)
    then = "2019-08-07T14:00:00Z"
    for agency in (cps, schools):
        await says_yes(console, notice, agency)
    await after(console, 60 * MINUTE)
    browser = await console.sign_in(UserRole.AUDITOR)

    await browser.get(PATH)
    assert "✓ No open obligation matches." in said(browser)
    await browser.get(f"{PATH}?as_of={then}")

    page = said(browser)
    assert "Past report." in page
    assert "Pine County Schools" in section(browser, "lines")
    assert "tel:" not in browser.page
    assert "Records to repair" not in page
    assert re.search(r"overdue < 1 h</a>:\s*<strong>2<", html.unescape(browser.page))


async def test_sentence_says_when_it_was_so_and_a_past_one_begins_with_its_time(
    console: Console,
) -> None:
    all_tick(console)
    await told(console)
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(PATH)
    assert sentence(browser) == ("✓ CLEAR: nothing is overdue. As of Wed 07 Aug 2019, 13:00Z.")
    assert "data-ages>As of" in browser.page
    await after(console, 60 * MINUTE)
    await browser.get(f"{PATH}?as_of=2019-08-07T13:10:00Z")

    assert sentence(browser) == "✓ CLEAR: at Wed 07 Aug 2019, 13:10Z: nothing is overdue."
    assert "data-ages" not in browser.page


async def test_filter_never_speaks_for_the_whole(console: Console) -> None:
    all_tick(console)
    await told(console)
    await after(console, 60 * MINUTE)
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(f"{PATH}?kind=faith")
    assert sentence(browser).startswith("✓ CLEAR: in this filter: nothing is overdue.")
    await browser.get(f"{PATH}?kind=cps")
    assert sentence(browser).startswith("⚠ ACTION: in this filter: 1 recipient has not answered.")
    await browser.get(f"{PATH}?age=early")
    assert sentence(browser).startswith("⚠ ACTION: 2 recipients have not answered.")


async def test_exercise_is_marked_on_the_page_and_in_the_names_of_its_files(
    console: Console,
) -> None:
    await told(console, status="exercise")
    await after(console, 60 * MINUTE)
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(PATH)
    assert "Pine County Schools" not in section(browser, "lines")
    await browser.get(f"{PATH}?status=exercise")
    assert "DRILL · EXERCISE · EXERCISE Nothing on this page is real." in said(browser)
    assert "Pine County Schools" in section(browser, "lines")
    file = await browser.get(f"{PATH}.csv?status=exercise")

    assert 'filename="EXERCISE-unacknowledged-' in file.headers["content-disposition"]


async def test_silence_of_the_only_one_responsible_puts_a_place_at_risk(console: Console) -> None:
    await add_agency(console.desk, "First Church", kind=AgencyKind.FAITH)  # no place needs it
    await told(console)
    await after(console, 120 * MINUTE)
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(PATH)
    assert "everybody responsible for Scott County, MS is silent" in section(browser, "lines")
    assert section(browser, "uncovered").count("nobody else who is responsible") == 2
    await add_agency(console.desk, "State CPS", kind=AgencyKind.CPS, county_fips=SCOTT_COUNTY)
    await browser.get(PATH)

    at_risk = section(browser, "uncovered")
    assert at_risk.count("nobody else who is responsible") == 2  # who was never told is not there
    assert "Pine County Schools has not answered" in at_risk


async def test_decline_or_waiver_hides_no_silence_and_both_leave_a_place_to_nobody(
    console: Console,
) -> None:
    early = await add_agency(console.desk, "County Schools", kind=AgencyKind.SCHOOL_DISTRICT)
    notice, cps, schools = await told(console)
    await says(console, notice, cps, Answer.ACCEPTED)
    await after(console, 120 * MINUTE)
    browser = await console.sign_in(UserRole.OPERATOR)
    incident = f"/incidents/{notice.incident_id}"

    await says(console, notice, early, Answer.DECLINED)
    await browser.get(PATH)
    assert "Pine County Schools has not answered" in section(browser, "uncovered")
    await browser.get(incident)
    assert "Scott County : all who answer as school are silent" in section(browser, "uncovered")

    await waive(console, notice, schools)
    assert await missing(console, notice) == ["school"]
    await browser.get(incident)
    nobody_left = "No answer is needed of Pine County Schools, and all others there declined"
    assert nobody_left in said(browser)
    await says(console, notice, schools, Answer.ACCEPTED)
    assert await missing(console, notice) == []


async def test_three_responsible_who_are_all_silent_leave_a_place_at_risk(
    console: Console,
) -> None:
    schools_too = AgencyKind.SCHOOL_DISTRICT
    await add_agency(console.desk, "County Schools", kind=schools_too)
    both = await add_agency(console.desk, "Private Schools", kind=schools_too)
    duty = {"role": "cps", "areas": [{"county_fips": [SCOTT_COUNTY]}]}
    await agencies.create_responsibility(
        console.desk,
        principal(Scope.ADMIN),
        agency_id=both.id,
        post=ResponsibilityPost.model_validate(duty),
    )
    notice, _, schools = await told(console)
    await after(console, 120 * MINUTE)
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(PATH)
    assert section(browser, "uncovered").count("nobody else who is responsible") == 4
    operator = principal(Scope.OPERATE)
    for asked in (
        Asked(limit=1, kind=AgencyKind.SCHOOL_DISTRICT),  # of three, on three pages
        Asked(kind=AgencyKind.CPS),  # of two, one of whom the filter leaves out
    ):
        one = await read_report(console.desk, operator, asked=asked, output="html")
        assert one.beside is not None
        assert list(one.beside.alone.values()) == [("Scott County, MS",)]
    await browser.get(f"/incidents/{notice.incident_id}")
    assert "⚠ overdue: all who answer as cps, school are silent (0 of 4 answered)" in said(browser)
    assert "✓ None" not in section(browser, "uncovered")
    at_risk = section(browser, "uncovered")
    assert "At risk: everybody responsible is silent past the deadline" in at_risk
    assert "Scott County : all who answer as cps, school are silent" in at_risk

    await says_yes(console, notice, schools)
    await browser.get(PATH)
    assert section(browser, "uncovered").count("nobody else who is responsible") == 2
    await browser.get(f"/incidents/{notice.incident_id}")
    assert "all who answer as cps are silent (1 of 4 answered)" in said(browser)


async def test_few_are_listed_one_by_one_and_many_give_a_share_that_does_not_flatter(
    console: Console,
) -> None:
    notice, cps, _ = await told(console)
    world(console.desk).advance(MINUTE)
    await says_yes(console, notice, cps)
    await after(console, 60 * MINUTE)
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(PATH)
    figures = section(browser, "figures")
    assert "1 of 2 that fell due" in figures
    assert "%" not in figures
    assert "Scott County CPS : ✓ closed in time, after 1 min" in figures
    assert "Pine County Schools : ⚠ not closed for 1 h 1 min" in figures
    for number in range(12):
        await add_agency(console.desk, f"CPS {number:02}")
    poster = await add_agency(console.desk, "Other office", kind=AgencyKind.FEDERAL)
    await post_notice(console.desk, poster, body=notice_body(console.desk))
    await after(console, 120 * MINUTE)
    await browser.get(PATH)

    figures = section(browser, "figures")
    assert "6.2 % (1 of 16 that fell due)" in figures
    assert "n = 16, the silent rank last" in figures
    assert "not reached (> 2 h 0 min)" in figures
    assert "Not among them: 0 waived, 0 of exercises." in figures


async def test_pages_of_lines_are_real_links_and_statements_do_not_grow_with_them(
    console: Console,
) -> None:
    desk = console.desk
    browser = await console.sign_in(UserRole.OPERATOR)
    await told(console)
    await after(console, 60 * MINUTE)
    await browser.get(PATH)  # what is remembered is remembered
    with statements_of(desk) as few:
        await browser.get(PATH)
    for number in range(201):
        await add_agency(desk, f"Church {number:03}", kind=AgencyKind.FAITH)
    poster = await add_agency(desk, "Other office", kind=AgencyKind.FEDERAL)
    await post_notice(desk, poster, body=notice_body(desk))
    with statements_of(desk) as many:
        await browser.get(PATH)
    assert len(many) <= len(few) + 1

    first = set(re.findall(r"Church \d{3}", section(browser, "lines")))
    (following,) = [one for one in links(browser) if "cursor=" in one]
    await browser.get(following)
    second = set(re.findall(r"Church \d{3}", section(browser, "lines")))
    assert len(first | second) == 201
    assert not first & second
    assert "First lines" in section(browser, "lines")


async def test_file_of_the_page_is_whole_and_its_own_entry_of_the_ledger(
    console: Console,
) -> None:
    await told(console)
    await add_agency(console.desk, "Peña", kind=AgencyKind.FAITH)
    await after(console, 60 * MINUTE)
    browser = await console.sign_in(UserRole.SUPERVISOR, name="Dana Reyes")
    assert browser.user is not None

    as_csv = await browser.get(f"{PATH}.csv?overdue=true")
    as_book = await browser.get(f"{PATH}.xlsx?overdue=true")
    as_json = await browser.get(f"{PATH}.json?overdue=true")

    assert as_csv.content.startswith(b"\xef\xbb\xbf"), "a spreadsheet is what opens it"
    lines = list(csv.DictReader(io.StringIO(as_csv.content.decode("utf-8-sig"), newline="")))
    assert {line["recipient"] for line in lines} == {"Scott County CPS", "Pine County Schools"}
    assert {line["report_asked_by"] for line in lines} == {"Dana Reyes"}
    book = openpyxl.load_workbook(io.BytesIO(as_book.content))
    assert book.worksheets[0].max_row == 3
    report = json.loads(as_json.content)
    assert [one["agency"]["name"] for one in report["items"]] == [
        line["recipient"] for line in lines
    ]
    assert (report["next"], report["filter"]["overdue"]) == (None, True)
    found = await entered(console)
    assert [(one["format"], one["rows"], one["by"]) for one in found] == [
        (form, 2, browser.user.id) for form in ("csv", "xlsx", "json")
    ]
    assert as_csv.headers["cache-control"] == "no-store"


async def test_json_of_the_page_says_what_the_interface_says(console: Console) -> None:
    await told(console)
    await after(console, 60 * MINUTE)
    browser = await console.sign_in(UserRole.OPERATOR)
    caller = await console.api.caller(Scope.OPERATE)

    file = json.loads((await browser.get(f"{PATH}.json")).content)
    answer = await caller.get("/v1/reports/unacknowledged")

    assert file.pop("data_quality_as_of") <= answer.pop("data_quality_as_of")  # each read its own
    assert file == answer


async def test_file_with_a_bad_filter_is_refused_and_enters_nothing(console: Console) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)

    await browser.get(f"{PATH}.csv?class=E", status=422)

    assert "Classes are A, B, C and D." in said(browser)
    assert await entered(console) == []


async def test_whoever_is_not_signed_in_comes_back_to_the_same_view(console: Console) -> None:
    browser = console.browser()
    for path in (f"{PATH}?class=A", f"{PATH}.csv?class=A"):
        sent = await browser.get(path, status=303)
        assert sent.headers["location"].startswith("/sign-in?next=%2Freports%2Funack")
    assert await entered(console) == []


async def test_page_is_an_entry_with_its_filter_each_time_it_is_read(console: Console) -> None:
    browser = await console.sign_in(UserRole.OPERATOR)
    for _ in range(2):
        await browser.get(f"{PATH}?kind=cps")

    found = await entered(console)
    assert [one["format"] for one in found] == ["html", "html"]
    assert {one["filter"]["kind"] for one in found} == {"cps"}
