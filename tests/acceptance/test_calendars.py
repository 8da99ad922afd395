"""Calendars, rosters and delegations over HTTP: what is taken, what is refused, who may."""

import datetime as dt
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from harness.api import Api, Caller
from harness.desk import add_agency, add_contact, world
from harness.statements import statements_of
from noticebus.contracts.vocabulary import AgencyKind, Position, Scope
from noticebus.domain.calendars import dismissal_on
from noticebus.store import matching
from noticebus.store.agencies import Agency
from noticebus.store.tables import entries

ICS = "text/calendar"
CSV = "text/csv"
DAY = dt.timedelta(days=1)
NIGHT_STARTS, NIGHT_ENDS = "2019-08-08T01:00:00Z", "2019-08-08T13:00:00Z"


@pytest.fixture
async def admin(api: Api) -> Caller:
    return await api.caller(Scope.ADMIN)


@pytest.fixture
async def district(api: Api) -> Agency:
    return await add_agency(api.desk, "Scott County schools", kind=AgencyKind.SCHOOL_DISTRICT)


@pytest.fixture
async def office(api: Api) -> Agency:
    """Furnish a CPS office with two people on its contact list."""
    agency = await add_agency(api.desk, "Scott County CPS")
    await add_contact(api.desk, agency, "Ada Day")
    await add_contact(api.desk, agency, "Ned Night", position=Position.OTHER)
    return agency


def vevent(uid: str, *lines: str) -> str:
    return "\r\n".join(
        ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20190801T000000Z", *lines, "END:VEVENT"]
    )


def vcalendar(*events: str) -> str:
    head = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//test//EN")
    return "\r\n".join([*head, *events, "END:VCALENDAR", ""])


async def put(
    caller: Caller, path: str, *, revision: int | None = None, **parts: Any
) -> httpx2.Response:
    headers = dict(parts.pop("headers", {}))
    if revision is not None:
        headers["If-Match"] = f'"{revision}"'
    return await caller.send("PUT", path, headers=headers, **parts)


async def put_file(
    caller: Caller, agency: Agency, text: str, *, media: str, revision: int | None = None
) -> httpx2.Response:
    return await put(
        caller,
        f"/v1/agencies/{agency.id}/roster",
        revision=revision,
        content=text.encode(),
        headers={"Content-Type": media},
    )


async def import_events(caller: Caller, agency: Agency, text: str) -> httpx2.Response:
    path = f"/v1/agencies/{agency.id}/calendar/import"
    return await caller.send(
        "POST", path, content=text.encode(), headers={"Content-Type": f"{ICS}; charset=utf-8"}
    )


def refused(response: httpx2.Response, *words: str, status: int = 422) -> dict[str, Any]:
    assert response.status_code == status, response.text
    problem: dict[str, Any] = response.json()
    said = " ".join([problem["detail"], *(one["message"] for one in problem["errors"])])
    for word in words:
        assert word in said, said
    return problem


SCHOOL: dict[str, Any] = {
    "closures": ["2019-10-14"],
    "terms": [{"first": "2019-08-05", "last": "2019-12-20"}],
    "bell": {
        "starts": "07:45",
        "dismissal": "15:10",
        "early_release": [{"day": "2019-09-06", "dismissal": "13:00"}],
    },
}


async def test_an_agency_that_has_stated_nothing_has_the_hours_of_its_kind(
    admin: Caller, district: Agency
) -> None:
    found = await admin.get(f"/v1/agencies/{district.id}/calendar")

    assert (found["revision"], found["own_hours"], found["bell"]) == (0, False, None)
    assert (found["hours"]["opens"], found["hours"]["closes"]) == ("06:30", "17:00")
    assert found["hours"]["weekdays"] == ["mon", "tue", "wed", "thu", "fri"]


async def test_a_district_states_its_bell_schedule_and_the_clock_knows_its_dismissal(
    api: Api, admin: Caller, district: Agency
) -> None:
    made = await put(admin, f"/v1/agencies/{district.id}/calendar", json=SCHOOL)

    assert made.status_code == 200, made.text
    assert made.headers["etag"] == '"1"'
    assert made.json()["hours"]["closes"] == "15:10"
    async with api.desk.database.read() as conn:
        facts = (await matching.agencies_by_id(conn, [district.id]))[district.id]
    assert dismissal_on(facts.calendar, dt.date(2019, 9, 5)) == dt.datetime(
        2019, 9, 5, 20, 10, tzinfo=dt.UTC
    )
    assert dismissal_on(facts.calendar, dt.date(2019, 9, 6)) == dt.datetime(
        2019, 9, 6, 18, 0, tzinfo=dt.UTC
    )
    assert facts.hours is facts.calendar.hours


async def test_a_district_whose_terms_run_out_is_warned_of_before_its_deadlines_lose_their_cap(
    api: Api, admin: Caller, district: Agency
) -> None:
    """Only terms of last year were imported: a Friday at 13:50 would count as a holiday."""
    path = f"/v1/agencies/{district.id}/policy-simulation?class=A&at="
    own = await api.caller(Scope.ANSWER, agency=district)
    stranger = await api.caller(Scope.ANSWER, agency=await add_agency(api.desk, "County CPS"))
    await put(admin, f"/v1/agencies/{district.id}/calendar", json=SCHOOL)  # until 20 December

    early = (await terms_ending(admin), await simulated(admin, f"{path}2019-11-19T18:50:00Z"))
    world(api.desk).advance(105 * DAY)  # to 20 November
    ((name, said),) = await terms_ending(admin)

    assert early == ([], [])
    assert name == district.name
    assert said.startswith(f"{district.name} has stated school terms")
    assert await terms_ending(own) == [(name, said)]
    assert await terms_ending(stranger) == []
    assert said in await simulated(admin, f"{path}2020-09-11T18:50:00Z")
    more = {**SCHOOL, "terms": [{"first": "2020-01-06", "last": "2020-05-22"}, *SCHOOL["terms"]]}
    await put(admin, f"/v1/agencies/{district.id}/calendar", json=more, revision=1)
    assert await terms_ending(admin) == []


async def test_a_district_is_warned_of_only_where_it_answers_and_has_stated_terms(
    api: Api, admin: Caller, district: Agency
) -> None:
    """However many they are, the report reads them in as many statements."""
    over = {**SCHOOL, "terms": [{"first": "2018-08-06", "last": "2019-05-24"}]}
    quiet = await add_agency(
        api.desk, "Answers nowhere", kind=AgencyKind.SCHOOL_DISTRICT, county_fips=None
    )
    await put(admin, f"/v1/agencies/{quiet.id}/calendar", json=over)
    await put(admin, f"/v1/agencies/{district.id}/calendar", json={"bell": SCHOOL["bell"]})
    with statements_of(api.desk) as none_ending:
        nobody = await terms_ending(admin)
    for number in range(3):
        one = await add_agency(api.desk, f"District {number}", kind=AgencyKind.SCHOOL_DISTRICT)
        await put(admin, f"/v1/agencies/{one.id}/calendar", json=over)

    with statements_of(api.desk) as three_ending:
        found = await terms_ending(admin)

    assert nobody == []
    assert [name for name, _ in found] == ["District 0", "District 1", "District 2"]
    assert len(three_ending) == len(none_ending)


async def terms_ending(caller: Caller) -> list[tuple[str, str]]:
    """Read from the report which districts' terms end, and what is said of them."""
    report = await caller.get("/v1/reports/unacknowledged")
    return [
        (one["agency"]["name"], one["message"])
        for one in report["data_quality"]
        if one["code"] == "terms_end"
    ]


async def simulated(caller: Caller, path: str) -> list[str]:
    """Play a notice, and give what is warned of about terms."""
    return [one for one in (await caller.get(path))["warnings"] if "school terms" in one]


async def test_a_calendar_is_changed_on_its_newest_revision_only(
    admin: Caller, office: Agency
) -> None:
    path = f"/v1/agencies/{office.id}/calendar"
    hours = {"opens": "08:00", "closes": "17:00", "weekdays": ["mon", "fri"]}
    assert (await put(admin, path, json={"hours": hours}, revision=7)).status_code == 412
    assert (await put(admin, path, json={"hours": hours})).status_code == 200

    assert (await put(admin, path, json={})).status_code == 428
    assert (await put(admin, path, json={}, revision=4)).status_code == 412
    second = await put(admin, path, json={}, revision=1)
    assert (second.json()["revision"], second.json()["own_hours"]) == (2, False)


@pytest.mark.parametrize(
    ("body", "pointer", "word"),
    [
        ({"bell": {"starts": "08:00", "dismissal": "07:00"}}, "", "later than the start"),
        ({"bell": {"starts": "05:00", "dismissal": "06:00"}}, "", "opening at 06:30"),
        ({"closures": ["2019-02-30"]}, "/closures/0", "a date that exists"),
        ({"closures": ["1899-01-01"]}, "/closures/0", "a year from 2000"),
        ({"closures": [5]}, "/closures/0", "a date that exists"),
        (
            {"terms": [{"first": "2019-08-05", "last": "2019-08-01"}]},
            "/terms/0/last",
            "on or after",
        ),
        ({"bell": {"starts": "8", "dismissal": "15:10"}}, "/bell/starts", "15:10"),
        ({"bell": {"starts": 8, "dismissal": "15:10"}}, "/bell/starts", "15:10"),
        ({"bell": {"starts": "25:00", "dismissal": "15:10"}}, "/bell/starts", "15:10"),
        (
            {
                "bell": {
                    "starts": "08:00",
                    "dismissal": "15:10",
                    "early_release": [{"day": "2019-09-06", "dismissal": "13:00"}] * 2,
                }
            },
            "/bell/early_release/1/day",
            "once",
        ),
        (
            {"hours": {"opens": "08:00", "closes": "17:00", "weekdays": []}},
            "/hours/weekdays",
            "",
        ),
        (
            {
                "closures": [
                    (dt.date(2019, 9, 1) + dt.timedelta(days=n)).isoformat() for n in range(200)
                ]
            },
            "",
            "no working day in 120 days",
        ),
    ],
)
async def test_a_calendar_that_contradicts_itself_is_refused(
    api: Api, admin: Caller, district: Agency, body: dict[str, Any], pointer: str, word: str
) -> None:
    before = await api.everything()

    problem = refused(await put(admin, f"/v1/agencies/{district.id}/calendar", json=body), word)

    assert problem["errors"][0]["pointer"] == pointer
    assert await api.everything() == before


async def test_only_a_school_has_a_bell(admin: Caller, office: Agency) -> None:
    answer = await put(admin, f"/v1/agencies/{office.id}/calendar", json=SCHOOL)

    assert refused(answer, "Only a school district")["errors"][0]["pointer"] == "/bell"


async def test_closures_terms_and_early_releases_come_from_a_districts_own_calendar(
    admin: Caller, district: Agency
) -> None:
    path = f"/v1/agencies/{district.id}/calendar"
    await put(admin, path, json=SCHOOL)
    file = vcalendar(
        vevent("fall", "DTSTART;VALUE=DATE:20191007", "DTEND;VALUE=DATE:20191009"),
        vevent(
            "spring", "DTSTART;VALUE=DATE:20200106", "DTEND;VALUE=DATE:20200523", "CATEGORIES:TERM"
        ),
        vevent(
            "fridays",
            "DTSTART;TZID=America/Chicago:20191101T130000",
            "DTEND;TZID=America/Chicago:20191101T133000",
            "RRULE:FREQ=WEEKLY;COUNT=2",
            "CATEGORIES:Early Release",
        ),
        vevent("old", "DTSTART;VALUE=DATE:20190101"),
        vevent("off", "DTSTART;VALUE=DATE:20191010", "STATUS:CANCELLED"),
    )

    merged = await import_events(admin, district, file)

    assert merged.status_code == 200, merged.text
    found = merged.json()
    assert found["revision"] == 2
    assert found["closures"] == ["2019-10-07", "2019-10-08", "2019-10-14"]
    assert found["terms"][1] == {"first": "2020-01-06", "last": "2020-05-22"}
    assert [(one["day"], one["dismissal"]) for one in found["bell"]["early_release"]] == [
        ("2019-09-06", "13:00"),
        ("2019-11-01", "13:00"),
        ("2019-11-08", "13:00"),
    ]


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (("DTSTART;VALUE=DATE:20191007", "CATEGORIES:PARTY"), "CATEGORIES must be one of"),
        (("DTSTART:20191007T130000", "DURATION:PT1H"), "no closure"),
        (("DTSTART:20191007T130000", "DURATION:PT1H", "CATEGORIES:TERM"), "all-day event"),
        (("DTSTART;VALUE=DATE:20191007", "CATEGORIES:EARLY-RELEASE"), "with a time"),
        (("DTSTART:20191007T130000Z", "DURATION:PT1H", "CATEGORIES:EARLY-RELEASE"), "bell"),
        (("DTSTART;TZID=Mars/Olympus:20191007T130000", "DURATION:PT1H"), "no time zone"),
        (("DTSTART;VALUE=DATE:20191007", "DTEND;VALUE=DATE:20200601"), "at most 120 days"),
        (("DTSTART;VALUE=DATE:20240101",), "400 days ahead"),
        (("DTSTART;VALUE=DATE:2019100",), "DTSTART cannot be read"),
        (("SUMMARY:nothing else",), "exactly one DTSTART"),
    ],
)
async def test_an_event_that_says_nothing_of_a_calendar_refuses_the_file_by_its_uid(
    api: Api, admin: Caller, district: Agency, lines: tuple[str, ...], word: str
) -> None:
    before = await api.everything()
    good = vevent("good", "DTSTART;VALUE=DATE:20191014")

    answer = await import_events(admin, district, vcalendar(good, vevent("bad-1", *lines)))

    problem = refused(answer, word)
    assert "bad-1" in problem["detail"] or word == "bell"
    assert await api.everything() == before


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("garbage", "Line 1"),
        ("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR\r\n", "Line 3"),
        ("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "cut off"),
        ("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n", "no event"),
        ("X:1\r\n", "not an iCalendar file"),
    ],
)
async def test_a_file_that_is_no_calendar_is_refused_with_its_line(
    api: Api, admin: Caller, district: Agency, text: str, word: str
) -> None:
    before = await api.everything()

    refused(await import_events(admin, district, text), word)
    assert await api.everything() == before


async def test_a_body_of_another_sort_is_refused(admin: Caller, office: Agency) -> None:
    path = f"/v1/agencies/{office.id}"
    as_json = await admin.send("POST", f"{path}/calendar/import", json={})
    as_text = await admin.send(
        "PUT", f"{path}/roster", content=b"a", headers={"Content-Type": "text/plain"}
    )
    empty = await admin.send("PUT", f"{path}/roster", headers={"Content-Type": CSV})
    elsewhere = await admin.send(
        "PUT", f"{path}/calendar", content=b"a", headers={"Content-Type": CSV}
    )

    assert [one.status_code for one in (as_json, as_text, empty, elsewhere)] == [415, 415, 400, 415]
    assert "text/calendar or text/csv" in as_text.json()["detail"]


async def test_a_roster_comes_as_json_and_is_read_back(
    api: Api, admin: Caller, office: Agency
) -> None:
    path = f"/v1/agencies/{office.id}/roster"
    shift = {"contact": "Ned Night", "starts_at": NIGHT_STARTS, "ends_at": NIGHT_ENDS}

    made = await put(admin, path, json={"shifts": [shift]})

    assert made.status_code == 200, made.text
    found = await admin.get(path)
    assert (found["revision"], found["zone"]) == (1, "America/Chicago")
    (only,) = found["shifts"]
    assert (only["contact_name"], only["position"]) == ("Ned Night", "on_duty")
    assert (only["starts_at"], only["ends_at"]) == (NIGHT_STARTS, NIGHT_ENDS)
    assert (await admin.get(f"{path}?from=2019-09-01T00:00:00Z"))["shifts"] == []
    async with api.desk.database.read() as conn:
        bodies = (await conn.execute(sa.select(entries.c.body))).scalars().all()
    said = [str(one) for one in bodies if "roster.changed" in str(one)]
    assert len(said) == 1
    assert "Ned" not in said[0]
    assert "@" not in said[0]


async def test_a_second_import_replaces_what_begins_within_its_span_and_nothing_else(
    admin: Caller, office: Agency
) -> None:
    rows = (
        "contact,position,starts,ends\r\n"
        "Ada Day,on_duty,2019-08-08 08:00,2019-08-08 20:00\r\n"
        "Ned Night,on_duty,2019-08-08 20:00,2019-08-09 08:00\r\n"
        "Ada Day,on_duty,2019-08-09 08:00,2019-08-09 20:00\r\n"
    )
    assert (await put_file(admin, office, rows, media=CSV)).status_code == 200
    other = (
        "starts,ends,contact,position\n"
        "2019-08-08T20:00,2019-08-09T08:00,ada.day@agency.example,on_duty\n"
        "\n"
        "2019-08-08T20:00,2019-08-09T08:00,Ned Night,BACKUP\n"
    )

    changed = await put_file(admin, office, other, media=CSV, revision=1)

    assert changed.status_code == 200, changed.text
    found = await admin.get(f"/v1/agencies/{office.id}/roster")
    assert [(one["contact_name"], one["position"]) for one in found["shifts"]] == [
        ("Ada Day", "on_duty"),
        ("Ada Day", "on_duty"),
        ("Ned Night", "second"),
        ("Ada Day", "on_duty"),
    ]
    assert (await put_file(admin, office, other, media=CSV)).status_code == 428
    assert (await put_file(admin, office, other, media=CSV, revision=1)).status_code == 412


async def test_a_span_is_cleared_where_it_is_named(admin: Caller, office: Agency) -> None:
    path = f"/v1/agencies/{office.id}/roster"
    shift = {"contact": "Ned Night", "starts_at": NIGHT_STARTS, "ends_at": NIGHT_ENDS}
    await put(admin, path, json={"shifts": [shift]})
    span = "?from=2019-08-01T00:00:00Z&until=2019-09-01T00:00:00Z"

    refused(await put(admin, path, json={"shifts": []}, revision=1), "`from` and `until`")
    backwards = "?from=2019-08-01T00:00:00Z&until=2019-07-01T00:00:00Z"
    refused(await put(admin, path + backwards, json={"shifts": []}, revision=1), "must end after")
    late = "?from=2019-09-01T00:00:00Z&until=2019-10-01T00:00:00Z"
    refused(await put(admin, path + late, json={"shifts": [shift]}, revision=1), "outside the span")
    cleared = await put(admin, path + span, json={"shifts": []}, revision=1)

    assert (cleared.json()["revision"], cleared.json()["shifts"]) == (2, [])


async def test_a_roster_is_repeated_weekly_by_its_ics_file(admin: Caller, office: Agency) -> None:
    file = vcalendar(
        vevent(
            "nights",
            "DTSTART;TZID=America/Chicago:20191028T200000",
            "DTEND;TZID=America/Chicago:20191029T080000",
            "RRULE:FREQ=WEEKLY;BYDAY=MO,SU;UNTIL=20191112T000000Z",
            "EXDATE;TZID=America/Chicago:20191104T200000",
            "SUMMARY:Night desk",
            "ATTENDEE;CN=Ned:MAILTO:Ned.Night@agency.example",
            "CATEGORIES:ON_DUTY",
        ),
        vevent(
            "head",
            "DTSTART;VALUE=DATE:20191101",
            "DTEND;VALUE=DATE:20191201",
            "SUMMARY:Ada Day",
            "CATEGORIES:SUPERVISOR",
        ),
    )

    made = await put_file(admin, office, file, media=ICS)

    assert made.status_code == 200, made.text
    assert [
        (one["position"], one["starts_at"], one["ends_at"]) for one in made.json()["shifts"]
    ] == [
        ("on_duty", "2019-10-29T01:00:00Z", "2019-10-29T13:00:00Z"),  # CDT
        ("head", "2019-11-01T05:00:00Z", "2019-12-01T06:00:00Z"),
        ("on_duty", "2019-11-04T02:00:00Z", "2019-11-04T14:00:00Z"),  # CST since that morning
        ("on_duty", "2019-11-11T02:00:00Z", "2019-11-11T14:00:00Z"),
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            (
                "Ada Day,on_duty,2019-08-08 08:00,2019-08-08 20:00",
                "Ned Night,on_duty,2019-08-08 19:00,2019-08-09 08:00",
            ),
            ("Row 3", "overlaps row 2", "on_duty"),
        ),
        (("Nobody,on_duty,2019-08-08 08:00,2019-08-08 20:00",), ("Row 2", "no living contact")),
        (
            ("Ada Day,other,2019-08-08 08:00,2019-08-08 20:00",),
            ("Row 2", "on_duty, second or head"),
        ),
        (("Ada Day,on_duty,2019-08-08 20:00,2019-08-08 08:00",), ("Row 2", "end after it starts")),
        (("Ada Day,on_duty,2019-08-08 20:00,2021-08-08 08:00",), ("Row 2", "at most 366 days")),
        (("Ada Day,on_duty,yesterday,2019-08-08 08:00",), ("Row 2", "2026-11-01 20:00")),
        (("Ada Day,on_duty,1999-01-01 08:00,2019-08-08 08:00",), ("Row 2", "year from 2000")),
        (("Ada Day,on_duty,2019-08-08 08:00",), ("Row 2", "4 fields")),
        (('Ada Day,"on_duty,2019-08-08 08:00',), ("unexpected end",)),
    ],
)
async def test_a_row_that_cannot_be_is_refused_by_its_number_and_nothing_is_stored(
    api: Api, admin: Caller, office: Agency, rows: tuple[str, ...], words: tuple[str, ...]
) -> None:
    before = await api.everything()
    text = "\n".join(["contact,position,starts,ends", *rows])

    refused(await put_file(admin, office, text, media=CSV), *words)
    assert await api.everything() == before


async def test_columns_that_are_missing_are_named(admin: Caller, office: Agency) -> None:
    refused(
        await put_file(admin, office, "who,when\na,b\n", media=CSV),
        "contact, position, starts, ends",
    )


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (("DTSTART;TZID=Mars/Olympus:20190808T200000", "DURATION:PT12H"), "Mars/Olympus"),
        (("DTSTART:20190808T200000", "DURATION:PT12H", "SUMMARY:Nobody"), "no living contact"),
        (("DTSTART:20190808T200000", "SUMMARY:Ada Day"), "no DTEND"),
        (
            ("DTSTART:20190808T200000", "DURATION:PT12H", "SUMMARY:Ada Day", "CATEGORIES:COOK"),
            "CATEGORIES must name one position",
        ),
        (
            ("DTSTART:20190808T200000", "DURATION:PT1H", "RRULE:FREQ=SECONDLY", "SUMMARY:Ada Day"),
            "RRULE",
        ),
        (
            (
                "DTSTART:20190808T200000",
                "DURATION:PT1H",
                "ATTENDEE:mailto:a@b.example",
                "ATTENDEE:mailto:c@b.example",
            ),
            "one ATTENDEE",
        ),
        (("DTSTART:20190808T200000", "DURATION:PT1H", "ATTENDEE:tel:1"), "mailto"),
    ],
)
async def test_an_event_that_is_no_shift_is_refused_by_its_uid(
    api: Api, admin: Caller, office: Agency, lines: tuple[str, ...], word: str
) -> None:
    before = await api.everything()

    problem = refused(
        await put_file(admin, office, vcalendar(vevent("shift-9", *lines)), media=ICS), word
    )

    assert "shift-9" in problem["detail"]
    assert await api.everything() == before


async def test_a_roster_in_json_is_refused_with_pointers(admin: Caller, office: Agency) -> None:
    path = f"/v1/agencies/{office.id}/roster"
    good = {"contact": "Ned Night", "starts_at": NIGHT_STARTS, "ends_at": NIGHT_ENDS}

    broken = await admin.send(
        "PUT", path, content=b"{", headers={"Content-Type": "application/json"}
    )
    assert broken.status_code == 400, broken.text
    naive = await put(admin, path, json={"shifts": [{**good, "starts_at": "2019-08-08T01:00:00"}]})
    assert refused(naive, "add the zone")["errors"][0]["pointer"] == "/shifts/0/starts_at"
    stranger = await put(admin, path, json={"shifts": [good, {**good, "contact": "Nobody"}]})
    assert refused(stranger, "Shift 2")["errors"][0]["pointer"] == "/shifts/1/contact"
    other = await put(admin, path, json={"shifts": [{**good, "position": "other"}]})
    assert refused(other, "leave other contacts out")["errors"][0]["pointer"] == "/shifts/0"
    twice = await put(admin, path, json={"shifts": [good, good]})
    assert refused(twice, "Shift 2", "overlaps shift 1")["errors"][0]["pointer"] == "/shifts/1"


async def test_a_shift_that_runs_into_the_span_must_not_overlap_the_new_ones(
    api: Api, admin: Caller, office: Agency
) -> None:
    path = f"/v1/agencies/{office.id}/roster"
    shift = {"contact": "Ned Night", "starts_at": NIGHT_STARTS, "ends_at": NIGHT_ENDS}
    await put(admin, path, json={"shifts": [shift]})
    before = await api.everything()
    later = {**shift, "starts_at": "2019-08-08T12:00:00Z", "ends_at": "2019-08-09T12:00:00Z"}

    refused(await put(admin, path, json={"shifts": [later]}, revision=1), "a shift that stays")
    assert await api.everything() == before


async def test_two_contacts_of_one_name_must_be_told_apart(
    api: Api, admin: Caller, office: Agency
) -> None:
    await add_contact(api.desk, office, "Ada Day", email="other@agency.example")
    shift = {"contact": "Ada Day", "starts_at": NIGHT_STARTS, "ends_at": NIGHT_ENDS}

    answer = await put(admin, f"/v1/agencies/{office.id}/roster", json={"shifts": [shift]})

    refused(answer, "write the contact's id")


async def test_an_agencys_own_key_keeps_its_own_roster_and_no_others(
    api: Api, office: Agency, district: Agency
) -> None:
    own = await api.caller(Scope.SUBSCRIBE, agency=office)
    reader = await api.caller(Scope.AUDIT)
    shift = {"contact": "Ned Night", "starts_at": NIGHT_STARTS, "ends_at": NIGHT_ENDS}
    body = {"shifts": [shift]}

    assert (await put(own, f"/v1/agencies/{office.id}/roster", json=body)).status_code == 200
    assert (await put(own, f"/v1/agencies/{office.id}/calendar", json={})).status_code == 200
    assert (await put(own, f"/v1/agencies/{district.id}/roster", json=body)).status_code == 404
    assert (await own.send("GET", f"/v1/agencies/{district.id}/calendar")).status_code == 404
    assert (await reader.send("GET", f"/v1/agencies/{office.id}/roster")).status_code == 200
    assert (await put(reader, f"/v1/agencies/{office.id}/roster", json=body)).status_code == 403


async def test_a_contact_that_ends_before_it_begins_is_refused(
    admin: Caller, office: Agency
) -> None:
    path = f"/v1/agencies/{office.id}/contacts"
    body = {"name": "Temp", "role": "relief", "valid_from": NIGHT_ENDS, "valid_until": NIGHT_STARTS}

    problem = await admin.post(path, body, status=422)

    assert problem["errors"][0]["pointer"] == "/valid_until"
    made = await admin.post(path, {**body, "valid_from": None})
    patched = await admin.send(
        "PATCH",
        f"{path}/{made['id']}",
        json={"valid_from": NIGHT_ENDS},
        headers={"If-Match": '"1"'},
    )
    assert patched.status_code == 422


async def test_the_county_dispatch_stands_in_until_the_delegation_ends(
    admin: Caller, office: Agency, district: Agency
) -> None:
    path = f"/v1/agencies/{district.id}/delegations"
    made = await admin.post(path, {"delegate_id": office.id, "hours": "out_of_hours"})

    listed = await admin.get(path)
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    assert (await admin.get(f"/v1/agencies/{office.id}/delegations"))["items"] == listed["items"]
    again = await admin.post(path, {"delegate_id": office.id, "hours": "always"}, status=409)
    assert again["code"] == "conflict"

    ended = await admin.send("DELETE", f"{path}/{made['id']}")
    assert ended.json()["ended_at"] is not None
    assert (await admin.send("DELETE", f"{path}/{made['id']}")).status_code == 409
    assert (await admin.send("DELETE", f"{path}/dlg_nothing")).status_code == 404
    await admin.post(path, {"delegate_id": office.id, "hours": "always"})


async def test_a_delegation_that_leads_back_is_refused_however_long_the_way(
    api: Api, admin: Caller, office: Agency, district: Agency
) -> None:
    third = await add_agency(api.desk, "Dispatch", kind=AgencyKind.COMMUNITY)
    one, two = {"hours": "always", "delegate_id": district.id}, {"hours": "out_of_hours"}
    await admin.post(f"/v1/agencies/{office.id}/delegations", one)
    await admin.post(f"/v1/agencies/{district.id}/delegations", {**two, "delegate_id": third.id})
    before = await api.everything()

    for agency, delegate in ((third, office), (third, third)):
        body = {**two, "delegate_id": delegate.id}
        problem = await admin.post(f"/v1/agencies/{agency.id}/delegations", body, status=409)
        assert problem["code"] == "delegation-loop"
    unknown = {**two, "delegate_id": "agy_" + "0" * 26}
    problem = await admin.post(f"/v1/agencies/{third.id}/delegations", unknown, status=422)
    assert problem["errors"][0]["pointer"] == "/delegate_id"
    assert await api.everything() == before


async def test_only_the_buss_own_people_delegate(
    api: Api, office: Agency, district: Agency
) -> None:
    own = await api.caller(Scope.SUBSCRIBE, agency=office)

    body = {"delegate_id": district.id, "hours": "always"}
    await own.post(f"/v1/agencies/{office.id}/delegations", body, status=403)
