"""The unacknowledged report over the real HTTP application, on both databases."""

import contextlib
import csv
import datetime as dt
import html
import io
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from harness import tables
from harness.apps import lent_app
from harness.desk import (
    MORNING,
    add_agency,
    add_contact,
    notice_body,
    obligation_of,
    open_desk,
    post_notice,
    principal,
    world,
)
from harness.statements import statements_of
from noticebus.access.principals import hash_key, new_key
from noticebus.casework import speaking
from noticebus.casework.agencies import create_contact
from noticebus.casework.answer import GivenAnswer
from noticebus.casework.desk import Desk
from noticebus.casework.report_csv import harmless
from noticebus.casework.signs_of_life import Part
from noticebus.casework.step import fire_due_steps
from noticebus.clock import ManualClock
from noticebus.console import app as pages
from noticebus.contracts.agency import ContactPost
from noticebus.contracts.report import NOT_REACHED, Age
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    DeclineReason,
    How,
    Position,
    Scope,
    Status,
)
from noticebus.domain.policies import default_policies
from noticebus.ids import new_api_key_id
from noticebus.ledger.sequencer import Sequencer
from noticebus.store.agencies import Agency
from noticebus.store.keys import ApiKey, insert_key, revoke_key
from noticebus.store.notices import Notice
from noticebus.store.policies import seed_policies
from noticebus.store.reports import Scope as Selection
from noticebus.store.reports import count_ages
from noticebus.store.tables import contacts, entries

PATH = "/v1/reports/unacknowledged"
HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Office:
    """The application over one desk, and its clocks."""

    app: Any
    desk: Desk
    machine: ManualClock

    async def key(self, *scopes: Scope, agency: Agency | None = None) -> tuple[ApiKey, str]:
        key_id = new_api_key_id()
        secret = new_key(key_id)
        key = ApiKey(
            id=key_id,
            name="Duty operator",
            agency_id=agency.id if agency else None,
            scopes=scopes,
            created_at=MORNING,
            expires_at=None,
            revoked_at=None,
        )
        async with self.desk.database.begin() as conn:
            await insert_key(conn, key, secret_hash=hash_key(secret))
        return key, secret

    async def client(self, *scopes: Scope, agency: Agency | None = None) -> httpx2.AsyncClient:
        _, secret = await self.key(*(scopes or (Scope.OPERATE,)), agency=agency)
        return self.browser(secret)

    def browser(self, secret: str = "") -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        transport = httpx2.ASGITransport(app=self.app)
        return httpx2.AsyncClient(transport=transport, base_url=self.desk.base_url, headers=headers)

    async def sequence(self) -> None:
        await Sequencer(self.desk).sweep()

    async def after(self, duration: dt.timedelta) -> None:
        """Move the world on, fire what fell due, and index what was written."""
        world(self.desk).advance(duration)
        while await fire_due_steps(self.desk):
            pass
        await self.sequence()

    async def says_yes(self, notice: Notice, agency: Agency) -> None:
        await self.says(notice, agency, Answer.ACCEPTED)

    async def says(
        self,
        notice: Notice,
        agency: Agency,
        answer: Answer,
        reason: DeclineReason | None = None,
    ) -> None:
        owed = await obligation_of(self.desk, notice, agency.id)
        given = GivenAnswer(answer=answer, reason=reason, by_name="Ana", by_role="duty officer")
        await speaking.answer_obligation(
            self.desk,
            principal(Scope.OPERATE),
            obligation_id=owed.id,
            given=given,
            how=How.PHONE,
            on_behalf_of="the duty desk",
        )

    async def entries_of_type(self, type_: str) -> list[str]:
        async with self.desk.database.read() as conn:
            statement = sa.select(entries.c.body).where(entries.c.type == type_)
            statement = statement.order_by(entries.c.position)
            return [body.decode() for body in (await conn.execute(statement)).scalars()]


@pytest.fixture(params=["sqlite", "postgresql"])
async def office(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Office]:
    machine = ManualClock(MORNING)
    async with open_desk(tmp_path) as on_sqlite:
        if request.param == "sqlite":
            with _office(replace(on_sqlite, machine=machine), machine) as lent:
                yield lent
            return
        async with tables.database(request.param, tmp_path) as database:
            async with database.begin() as conn:
                await seed_policies(conn, default_policies(), now=MORNING)
            desk = replace(on_sqlite, machine=machine, database=database)
            with _office(desk, machine) as lent:
                yield lent


@contextlib.contextmanager
def _office(desk: Desk, machine: ManualClock) -> Iterator[Office]:
    with lent_app(desk, routers=pages.ROUTERS) as app:
        pages.install(app, desk)
        yield Office(app=app, desk=desk, machine=machine)


async def add_telephone(
    desk: Desk, agency: Agency, name: str, *, position: Position, phone: str
) -> None:
    post = ContactPost(
        name=name, role="duty officer", position=position, email="desk@a.example", phone=phone
    )
    await create_contact(desk, principal(Scope.ADMIN), agency_id=agency.id, post=post)


async def told(office: Office, **changes: Any) -> tuple[Notice, Agency, Agency, Agency]:
    """Post a notice to a county's CPS, which can only be mailed, and its schools."""
    desk = office.desk
    poster = await add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    cps = await add_agency(desk, "Scott County CPS")
    schools = await add_agency(desk, "Pine County Schools", kind=AgencyKind.SCHOOL_DISTRICT)
    await add_contact(desk, cps, "Cora")
    for name, position, phone in (
        ("Dana", Position.ON_DUTY, "+16015550101"),
        ("Sam", Position.SECOND, "+16015550102"),
    ):
        await add_telephone(desk, schools, name, position=position, phone=phone)
    notice = await post_notice(desk, poster, body=notice_body(desk, **changes))
    await office.sequence()
    return notice, poster, cps, schools


async def read(client: httpx2.AsyncClient, expected: int = 200, **query: Any) -> dict[str, Any]:
    response = await client.get(PATH, params=query)
    assert response.status_code == expected, response.text
    body: dict[str, Any] = response.json()
    return body


async def test_operator_reads_who_is_silent_whom_to_call_and_what_happens_next(
    office: Office,
) -> None:
    _, _, _, schools = await told(office)
    operator = await office.client()

    await office.after(HOUR)
    report = await read(operator)

    assert report["summary"]["open"] == 2
    assert report["summary"]["overdue"] == 2
    assert report["summary"]["oldest_overdue_s"] == 30 * 60
    assert report["summary"]["closed_within_target_share"] == 0
    silent = next(one for one in report["items"] if one["agency"]["id"] == schools.id)
    assert silent["overdue_s"] == 30 * 60
    assert silent["step"] == 2
    assert silent["contact"] == {"name": "Sam", "role": "duty officer", "phone": "+16015550102"}
    assert silent["next_action"]["what"] in {"head", "operators"}
    assert silent["places"] == [{"key": "county:28123", "name": "Scott County, MS"}]
    assert silent["last_attempt"] is None
    assert report["items"][0]["agency"]["id"] == schools.id  # two steps lead one
    assert report["index"] >= 0


async def test_nobody_whose_time_in_the_post_is_over_is_named_to_be_called(office: Office) -> None:
    _, _, _, schools = await told(office)
    operator = await office.client()
    async with office.desk.database.begin() as conn:
        until = contacts.update().where(contacts.c.name == "Sam")
        await conn.execute(until.values(valid_until=office.desk.world.now()))

    await office.after(HOUR)
    report = await read(operator)

    (silent,) = [one for one in report["items"] if one["agency"]["id"] == schools.id]
    assert silent["contact"]["name"] == "Dana"


async def test_answer_takes_a_line_off_and_enters_the_figures(office: Office) -> None:
    notice, _, cps, schools = await told(office)
    operator = await office.client()

    world(office.desk).advance(MINUTE)
    await office.says_yes(notice, cps)
    await office.after(HOUR)
    report = await read(operator)

    assert [one["agency"]["id"] for one in report["items"]] == [schools.id]
    summary = report["summary"]
    assert (summary["due"], summary["closed_within_target"]) == (2, 1)
    assert summary["closed_within_target_share"] == 0.5
    assert summary["time_to_close_p50"] == {"seconds": 60, "label": "60 s"}
    assert summary["time_to_close_p90"] == {"seconds": None, "label": NOT_REACHED}


async def test_past_report_comes_again_byte_for_byte(office: Office) -> None:
    notice, _, cps, schools = await told(office)
    operator = await office.client()
    await office.after(40 * MINUTE)
    live = await read(operator)
    then = live["as_of"]

    await office.after(HOUR)
    first = await operator.get(PATH, params={"as_of": then})
    await office.says_yes(notice, schools)
    await office.says_yes(notice, cps)
    await office.after(24 * HOUR)
    second = await operator.get(PATH, params={"as_of": then})

    assert first.content == second.content
    assert (await read(operator))["items"] == []
    past = second.json()
    assert past["index"] == live["index"]
    assert past["summary"] == live["summary"]
    assert past["items"] == [{**one, "contact": None} for one in live["items"]]
    assert past["owed_by_posters"] == live["owed_by_posters"]
    assert past["uncovered"] == live["uncovered"]
    assert past["data_quality"] == []


async def test_past_report_keeps_the_places_that_nobody_answered_for_then(office: Office) -> None:
    notice, _, _, schools = await told(office)
    operator = await office.client()
    moments = [await moment_of(office, operator)]
    await office.says(notice, schools, Answer.DECLINED, DeclineReason.NO_CAPACITY)
    moments.append(await moment_of(office, operator))
    await office.says_yes(notice, schools)
    moments.append(await moment_of(office, operator))

    missing = [[one["missing"] for one in live["uncovered"]] for live, _ in moments]
    assert missing == [[], ["school"], []]
    counts = set()
    for live, at_once in moments:
        with statements_of(office.desk) as asked:
            again = await operator.get(PATH, params={"as_of": live["as_of"]})
        assert again.content == at_once
        assert again.json()["uncovered"] == [{**one, "held": None} for one in live["uncovered"]]
        counts.add(len(asked))
    assert len(counts) == 1


async def test_past_report_is_asked_of_the_database_as_often_for_many_incidents_as_for_one(
    office: Office,
) -> None:
    notice, poster, _, schools = await told(office)
    operator = await office.client()
    await office.says(notice, schools, Answer.DECLINED, DeclineReason.NO_CAPACITY)
    live, _ = await moment_of(office, operator)
    with statements_of(office.desk) as for_one:
        await read(operator, as_of=live["as_of"])
    for _ in range(4):
        more = await post_notice(office.desk, poster, body=notice_body(office.desk))
        await office.says(more, schools, Answer.DECLINED, DeclineReason.NO_CAPACITY)
    live, _ = await moment_of(office, operator)

    with statements_of(office.desk) as for_many:
        past = await read(operator, as_of=live["as_of"])

    assert len(past["uncovered"]) == 5
    assert len(for_many) == len(for_one)


async def moment_of(office: Office, client: httpx2.AsyncClient) -> tuple[dict[str, Any], bytes]:
    """Read the report live, and a minute later as of then."""
    await office.after(MINUTE)
    live = await read(client)
    await office.after(MINUTE)
    return live, (await client.get(PATH, params={"as_of": live["as_of"]})).content


async def test_past_report_has_the_figures_and_filters_of_its_time(office: Office) -> None:
    notice, _, cps, schools = await told(office)
    operator = await office.client()
    world(office.desk).advance(MINUTE)
    await office.says_yes(notice, cps)
    await office.after(HOUR)
    then = (await read(operator))["as_of"]
    world(office.desk).advance(MINUTE)
    await office.says_yes(notice, schools)
    await office.after(HOUR)

    past = await read(operator, as_of=then)
    assert past["summary"]["due"] == 2
    assert past["summary"]["time_to_close_p50"]["seconds"] == 60
    assert past["summary"]["time_to_close_p90"]["label"] == NOT_REACHED
    assert len(past["items"]) == 1
    filters: list[tuple[dict[str, Any], int]] = [
        ({"class": "A"}, 0),
        ({"class": "B", "area": "28123"}, 1),
        ({"area": "county:28101"}, 0),
        ({"kind": "cps"}, 0),
        ({"overdue": "true"}, 1),
        ({"overdue": "false"}, 0),
        ({"age": "late"}, 1),
        ({"age": "later"}, 0),
        ({"status": "exercise"}, 0),
    ]
    for narrowed, count in filters:
        found = await read(operator, as_of=then, **narrowed)
        assert len(found["items"]) == count, narrowed


async def test_live_lines_of_each_age_are_as_many_as_are_counted(office: Office) -> None:
    await told(office)
    operator = await office.client()
    for waited in (10, 8, 20, 50, 600, 1440):
        await office.after(waited * MINUTE)
        async with office.desk.database.read() as conn:
            counted = await count_ages(
                conn, Selection(status=Status.ACTUAL), now=office.desk.world.now()
            )
        listed = {age: len((await read(operator, age=age))["items"]) for age in Age}
        assert counted == listed
        assert sum(listed.values()) == 2


async def test_pages_follow_the_cursor_live_and_past(office: Office) -> None:
    await told(office)
    operator = await office.client()
    await office.after(HOUR)
    whole = await read(operator)
    await office.sequence()

    for query in ({}, {"as_of": whole["as_of"]}):
        response = await operator.get(PATH, params={"limit": 1, **query})
        first = response.json()
        link = re.fullmatch(r'<(.+)>; rel="next"', response.headers["link"])
        assert link is not None
        second = (await operator.get(link[1])).json()
        ids = [one["obligation_id"] for one in (*first["items"], *second["items"])]
        assert ids == [one["obligation_id"] for one in whole["items"]]
        assert second["next"] is None


async def test_agency_sees_its_own_lines_and_a_poster_those_of_its_incidents(
    office: Office,
) -> None:
    _, poster, cps, schools = await told(office)
    await office.after(HOUR)

    own = await read(await office.client(Scope.ANSWER, agency=schools))
    posted = await read(await office.client(Scope.POST, agency=poster))
    stranger = await add_agency(office.desk, "Elsewhere", county_fips=None)
    nothing = await read(await office.client(Scope.ANSWER, agency=stranger))

    assert [one["agency"]["id"] for one in own["items"]] == [schools.id]
    assert own["items"][0]["contact"]["name"] == "Sam"
    assert own["summary"]["open"] == 1
    assert {one["agency"]["id"] for one in posted["items"]} == {cps.id, schools.id}
    assert [one["contact"] for one in posted["items"]] == [None, None]
    assert nothing["items"] == []
    assert [one["code"] for one in nothing["data_quality"]] == ["no_contact"]


async def test_key_of_no_agency_without_a_reading_scope_is_refused(office: Office) -> None:
    client = await office.client(Scope.ANSWER)

    problem = await read(client, 403)
    refused = await client.post(f"{PATH}/links", json={})

    assert problem["code"] == "forbidden"
    assert refused.status_code == 403


async def test_key_that_reads_no_notice_reads_no_report_and_makes_no_link_to_one(
    office: Office,
) -> None:
    _, _, _, schools = await told(office)
    client = await office.client(Scope.SUBSCRIBE, agency=schools)

    for form in ("json", "csv", "xlsx"):
        refused = await client.get(PATH, params={"format": form})
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), form
    linked = await client.post(f"{PATH}/links", json={})

    assert linked.status_code == 403


async def test_exercise_never_mixes_with_the_actual(office: Office) -> None:
    await told(office, status="exercise")
    operator = await office.client()
    await office.after(HOUR)

    actual = await read(operator)
    drill = await read(operator, status="exercise")
    page = await operator.get(PATH, params={"status": "exercise", "format": "html"})

    assert (actual["items"], actual["summary"]["open"], actual["summary"]["due"]) == ([], 0, 0)
    assert drill["summary"]["open"] == 2
    assert "DRILL" in page.text
    assert "EXERCISE Unacknowledged" in page.text


async def test_embargoed_notice_is_on_no_report(office: Office) -> None:
    await told(office, release_at=(MORNING + 2 * HOUR).isoformat())
    operator = await office.client()
    await office.after(MINUTE)

    live = await read(operator)
    past = await read(operator, as_of=live["as_of"])

    assert live["items"] == past["items"] == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"as_of": "2099-01-01T00:00:00Z"}, "/as_of"),
        ({"as_of": "yesterday"}, "/as_of"),
        ({"area": "Mississippi"}, "/area"),
        ({"area": "county:99999"}, "/area"),
        ({"area": "state:99"}, "/area"),
        ({"status": "real"}, "/status"),
        ({"limit": "201"}, "/limit"),
    ],
)
async def test_faulty_filter_is_refused_with_its_pointer(
    office: Office, query: dict[str, str], pointer: str
) -> None:
    problem = await read(await office.client(), 422, **query)

    assert [one["pointer"] for one in problem["errors"]] == [pointer]


@pytest.mark.parametrize("cursor", ["x", "!!", "é", "MC4wLjAub2JsXzE", "OS4wLjAueC4w"])
async def test_foreign_cursor_is_refused(office: Office, cursor: str) -> None:
    problem = await read(await office.client(), 400, cursor=cursor)

    assert problem["code"] == "bad-request"


async def test_csv_is_rectangular_and_harmless_and_says_what_it_stands_on(
    office: Office,
) -> None:
    desk = office.desk
    await add_agency(desk, '=HYPERLINK("http://evil.example")')
    await told(office)
    operator = await office.client()
    await office.after(HOUR)

    response = await operator.get(PATH, params={"format": "csv", "class": "B"})

    assert response.headers["content-type"].startswith("text/csv")
    disposition = response.headers["content-disposition"]
    assert re.search(r'"unacknowledged-2019-08-07T140000Z-index-\d+\.csv"', disposition)
    assert response.content.count(b"\r\n") == response.content.count(b"\n") == 4
    header, *rows = csv.reader(io.StringIO(response.text, newline=""))
    assert {len(row) for row in rows} == {len(header)}
    lines = [dict(zip(header, row, strict=True)) for row in rows]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert '\'=HYPERLINK("http://evil.example")' in {line["recipient"] for line in lines}
    schools = next(line for line in lines if line["recipient"] == "Pine County Schools")
    assert schools["due_at_utc"] == "2019-08-07T13:30:00Z"
    assert schools["due_at_recipient_local"] == "2019-08-07 08:30:00"
    assert schools["recipient_zone"] == "America/Chicago"
    assert schools["contact_phone"] == "'+16015550102"
    assert schools["report_as_of_utc"] == "2019-08-07T14:00:00Z"
    assert schools["report_filter"] == "class=B status=actual"
    assert schools["report_asked_by"] == "Duty operator"
    assert schools["report_more_rows_follow"] == "no"
    assert response.headers["noticebus-report-rows"] == "3"


@pytest.mark.parametrize("start", ["=1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_cell_that_would_be_a_formula_gets_an_apostrophe(start: str) -> None:
    assert harmless(start).startswith("'")
    assert harmless("a" + start.strip()) == "a" + start.strip()


class Tags(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs


def said_on(page: str) -> str:
    """Give a page's text alone."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page)).split())


def tags_of(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


async def test_page_says_it_in_a_sentence_and_runs_nothing(office: Office) -> None:
    notice, _, cps, _ = await told(office)
    await office.says_yes(notice, cps)
    operator = await office.client()
    await office.after(77 * MINUTE)

    response = await operator.get(PATH, params={"format": "html"})
    page, tags = response.text, tags_of(response.text)

    assert (
        "ACTION: 1 recipient has not answered. Oldest: Pine County Schools, 47 min overdue."
        in said_on(page)
    )
    assert "<title>(1) Unacknowledged notices" in page
    assert 'href="tel:+16015550102"' in page
    assert "Wed 07 Aug 2019, 08:30 CDT" in page
    assert "08:30 CDT (13:30Z)" in said_on(page)
    assert "standing on ledger index" in page
    assert not tags.names & {"script", "style", "iframe", "form", "img"}
    names = {name for name, _ in tags.attributes}
    assert not any(name == "style" or name.startswith("on") for name in names)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; font-src 'self';")
    assert "unsafe" not in policy


async def test_without_signs_of_life_no_page_of_the_report_is_clear(office: Office) -> None:
    operator = await office.client()
    soon = office.machine.now() + HOUR
    office.desk.signals.ticks.update(dict.fromkeys(Part, soon))
    link = (await operator.post(f"{PATH}/links", json={"valid_minutes": 60})).json()["url"]
    assert "CLEAR" in said_on((await office.browser().get(link)).text)
    office.desk.signals.ticks[Part.ENGINE] = office.machine.now() - HOUR

    for client, path in ((office.browser(), link), (operator, f"{PATH}?format=html")):
        page = (await client.get(path)).text
        assert "UNKNOWN: silence escalates nowhere. As last known, nothing" in said_on(page)
        assert "nb-sentence--clear" not in page


async def test_page_is_clear_or_asks_to_check_when_nothing_is_overdue(office: Office) -> None:
    desk = office.desk
    desk.signals.ticks.update(dict.fromkeys(Part, office.machine.now() + HOUR))
    operator = await office.client()

    empty = await operator.get(PATH, params={"format": "html"})
    assert empty.text.count("nothing has fallen due") == 3
    poster = await add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    body = notice_body(desk, next_update_due=(MORNING + MINUTE).isoformat())
    await post_notice(desk, poster, body=body)
    await office.after(HOUR)
    uncovered = await operator.get(PATH, params={"format": "html"})
    report = await read(operator)

    assert "CLEAR: nothing is overdue." in said_on(empty.text)
    assert "<title>(0) " in empty.text
    assert "CHECK: no answer is overdue, but 2 places are uncovered" in said_on(uncovered.text)
    assert "owe 1 answer or updates" in uncovered.text
    assert {one["missing"] for one in report["uncovered"]} == {"cps", "school"}
    assert {one["name"] for one in report["uncovered"]} == {"Scott County, MS"}
    (debt,) = report["owed_by_posters"]
    assert (debt["owed"], debt["agency"]["id"]) == ("update", poster.id)
    assert debt["overdue_s"] == 59 * 60


async def test_names_on_the_page_are_text_and_nothing_else(office: Office) -> None:
    await add_agency(office.desk, "<script>alert(1)</script>")
    await told(office)
    await office.after(HOUR)

    page = await (await office.client()).get(PATH, params={"format": "html"})

    assert "script" not in tags_of(page.text).names
    assert "&lt;script&gt;" in page.text
    assert "no channel reaches it" in page.text


async def test_style_is_served_by_ourselves_and_repeats_the_header_in_print(
    office: Office,
) -> None:
    operator = await office.client()
    page = await operator.get(PATH, params={"format": "html"})
    address = re.search(r'href="(/static/report\.css\?v=[0-9a-f]+)"', page.text)
    assert address is not None

    style = await operator.get(address[1])

    assert style.headers["content-type"].startswith("text/css")
    assert "table-header-group" in style.text
    assert "url(" not in style.text


async def test_link_shows_one_report_for_a_while_without_a_key(office: Office) -> None:
    await told(office)
    await office.after(HOUR)
    operator = await office.client()
    made = await operator.post(f"{PATH}/links", json={"kind": "school_district", "class": "B"})
    assert made.status_code == 201, made.text
    url = made.json()["url"]
    browser = office.browser()

    shown = await browser.get(url)
    tampered = await browser.get(url[:-2] + ("AA" if not url.endswith("AA") else "BB"))
    gibberish = await browser.get("/r/!")
    office.machine.advance(dt.timedelta(minutes=15))
    ended = await browser.get(url)

    assert url.startswith(f"{office.desk.base_url}/r/")
    assert shown.status_code == 200
    assert "Pine County Schools" in shown.text
    assert "<strong>Scott County CPS</strong>" not in shown.text
    assert shown.headers["referrer-policy"] == "no-referrer"
    assert shown.headers["cache-control"] == "no-store"
    assert tampered.status_code == gibberish.status_code == 404
    assert (ended.status_code, "has ended" in ended.text) == (400, True)
    assert len(await office.entries_of_type("report.linked")) == 1


async def test_link_ends_with_the_key_that_made_it(office: Office) -> None:
    _, _, _, schools = await told(office)
    await office.after(HOUR)
    key, secret = await office.key(Scope.ANSWER, agency=schools)
    as_of = office.desk.world.now().isoformat()
    made = await office.browser(secret).post(
        f"{PATH}/links", json={"valid_minutes": 720, "as_of": as_of}
    )
    url = made.json()["url"]

    before = await office.browser().get(url)
    async with office.desk.database.begin() as conn:
        await revoke_key(conn, key_id=key.id, now=MORNING)
    after = await office.browser().get(url)

    assert before.status_code == 200
    assert "Past report." in before.text
    assert "Scott County CPS" not in before.text
    assert after.status_code == 400


async def test_linked_page_leads_to_its_next_lines(office: Office) -> None:
    desk = office.desk
    poster = await add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    for number in range(201):
        await add_agency(desk, f"Church {number:03}", kind=AgencyKind.FAITH)
    await post_notice(desk, poster, body=notice_body(desk))
    url = (await (await office.client()).post(f"{PATH}/links", json={})).json()["url"]

    first = await office.browser().get(url)
    following = re.search(r'href="(\?cursor=[A-Za-z0-9_-]+)"', first.text)
    assert following is not None
    second = await office.browser().get(url + following[1])

    shown = set(re.findall(r"Church \d{3}", first.text + second.text))
    assert len(shown) >= 201
    assert "Next lines" not in second.text


async def test_every_reading_is_entered_in_the_ledger_without_personal_data(
    office: Office,
) -> None:
    await told(office)
    await office.after(HOUR)
    operator = await office.client()
    for form in ("json", "csv", "html"):
        await operator.get(PATH, params={"format": form})

    found = await office.entries_of_type("report.read")

    assert len(found) == 3
    assert all(
        f'"format":"{form}"' in body
        for form, body in zip(("json", "csv", "html"), found, strict=True)
    )
    assert all('"rows":2' in body for body in found)
    assert not any("Dana" in body or "Pine" in body for body in found)


async def test_process_without_pages_says_so(office: Office) -> None:
    office.app.state.render_report = None

    problem = await read(await office.client(), 400, format="html")

    assert "serves no pages" in problem["detail"]
