"""Files of events as programs export them: what is read, within which bounds."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import Position
from noticebus.domain import ics
from noticebus.domain.calendar_files import read_calendar
from noticebus.domain.roster_files import read_csv, read_ics
from noticebus.domain.rosters import Person, names_of
from noticebus.ids import ContactId

ZONE = "America/Chicago"
NOW = dt.datetime(2019, 10, 1, 12, 0, tzinfo=dt.UTC)
NAMES = names_of([Person(id=ContactId("cnt_a"), name="Ada", email="ada@a.example")])


def event(*lines: str, uid: str = "e1") -> str:
    return "\n".join(["BEGIN:VEVENT", f"UID:{uid}", *lines, "END:VEVENT"])


def calendar(*events: str) -> str:
    return "\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:t", *events, "END:VCALENDAR"])


def read(*events: str, now: dt.datetime = NOW) -> ics.Read:
    return ics.read(calendar(*events), zone=ZONE, now=now)


def starts(*lines: str) -> list[str]:
    found = read(event(*lines))
    assert found.faults == ()
    return [one.starts_at.isoformat() for one in found.happenings]


def fault(*lines: str) -> str:
    found = read(event(*lines))
    assert found.happenings == ()
    return found.faults[0].message


def test_a_night_ends_at_the_same_local_hour_when_the_clock_goes_back() -> None:
    found = read(
        event("DTSTART:20191101T200000", "DURATION:PT12H", "RRULE:FREQ=DAILY;COUNT=3")
    ).happenings

    assert [(one.starts_at.hour, one.ends_at.hour) for one in found] == [(1, 13), (1, 14), (2, 14)]
    assert all(one.starts_at.tzinfo is dt.UTC for one in found)


def test_a_shift_in_the_skipped_hour_moves_on_and_in_the_doubled_one_takes_the_first() -> None:
    skipped = starts("DTSTART:20200308T023000", "DURATION:PT4H")
    doubled = starts("DTSTART:20191103T013000", "DURATION:PT4H")

    assert skipped == ["2020-03-08T08:30:00+00:00"]
    assert doubled == ["2019-11-03T06:30:00+00:00"]


def test_zones_are_those_of_the_event_of_windows_or_of_the_agency() -> None:
    assert starts("DTSTART;TZID=America/New_York:20191010T080000", "DURATION:PT1H") == [
        "2019-10-10T12:00:00+00:00"
    ]
    assert starts("DTSTART;TZID=Central Standard Time:20191010T080000", "DURATION:PT1H") == [
        "2019-10-10T13:00:00+00:00"
    ]
    assert starts("DTSTART:20191010T080000Z", "DURATION:PT1H") == ["2019-10-10T08:00:00+00:00"]
    mixed = read(
        event(
            "DTSTART;TZID=America/New_York:20191010T080000",
            "DTEND;TZID=America/Chicago:20191010T080000",
        )
    ).happenings[0]
    assert mixed.ends_at - mixed.starts_at == dt.timedelta(hours=1)


def test_recurrences_end_at_count_until_or_the_horizon_and_leave_out_what_is_over() -> None:
    daily = ("DTSTART;VALUE=DATE:20190901", "RRULE:FREQ=DAILY")
    everything = read(event(*daily)).happenings

    assert everything[0].starts == dt.datetime(2019, 10, 1)  # noqa: DTZ001 - a local time
    assert len(everything) == ics.HORIZON.days + 1
    assert len(starts(daily[0], "RRULE:FREQ=DAILY;UNTIL=20191005")) == 5
    assert (
        len(
            starts(
                "DTSTART:20191002T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20191005T080000"
            )
        )
        == 4
    )
    assert starts("DTSTART;VALUE=DATE:20190901", "RRULE:FREQ=DAILY;COUNT=3") == []
    monthly = ("DTSTART;VALUE=DATE:20191001", "RRULE:FREQ=MONTHLY;BYDAY=-1FR,2MO;COUNT=4")
    assert len(starts(*monthly)) == 4
    assert (
        len(starts("DTSTART;VALUE=DATE:20191001", "RRULE:FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=2")) == 2
    )


def test_exceptions_are_left_out_whichever_way_they_are_written() -> None:
    rule = ("DTSTART:20191007T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=4")

    for exdate in (
        "EXDATE:20191008T080000",
        "EXDATE;TZID=America/New_York:20191008T090000",
        "EXDATE;VALUE=DATE:20191008",
        "EXDATE:20191008T130000Z",
    ):
        assert [one[8:10] for one in starts(*rule, exdate)] == ["07", "09", "10"]
    two = starts(*rule, "EXDATE:20191008T080000", "EXDATE:20191009T080000")
    assert [one[8:10] for one in two] == ["07", "10"]


def test_an_occurrence_that_was_moved_stands_once() -> None:
    found = read(
        event("DTSTART:20191007T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2"),
        event("RECURRENCE-ID:20191008T080000", "DTSTART:20191008T120000", "DURATION:PT1H"),
        event(
            "RECURRENCE-ID:18990101T080000", "DTSTART:20191009T120000", "DURATION:PT1H", uid="e2"
        ),
    ).happenings

    assert [(one.starts.day, one.starts.hour) for one in found] == [(7, 8), (8, 12), (9, 12)]


@pytest.mark.parametrize(
    "lines",
    [
        ("RECURRENCE-ID:20191008T080000", "STATUS:CANCELLED"),
        ("RECURRENCE-ID:20191008T130000Z", "STATUS:Cancelled", "DTSTART:20191008T080000"),
        ("RECURRENCE-ID;TZID=America/New_York:20191008T090000", "STATUS:cancelled"),
        ("RECURRENCE-ID;VALUE=DATE:20191008", "STATUS:CANCELLED"),
    ],
)
def test_an_occurrence_that_was_cancelled_does_not_stand(lines: tuple[str, ...]) -> None:
    series = event("DTSTART:20191007T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=4")

    for found in (read(series, event(*lines)), read(event(*lines), series)):
        assert found.faults == ()
        assert [one.starts.day for one in found.happenings] == [7, 9, 10]


def test_a_cancelled_day_of_an_all_day_series_does_not_stand() -> None:
    found = read(
        event("DTSTART;VALUE=DATE:20191007", "RRULE:FREQ=DAILY;COUNT=3"),
        event("RECURRENCE-ID;VALUE=DATE:20191008", "STATUS:CANCELLED"),
    )

    assert [one.starts.day for one in found.happenings] == [7, 9]


def test_an_event_that_was_cancelled_is_left_out_whatever_else_it_says() -> None:
    assert read(event("DTSTART:x", "STATUS:cancelled")) == ics.Read()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("RECURRENCE-ID;RANGE=THISANDFUTURE:20191008T080000",), "RANGE"),
        (("RECURRENCE-ID;RANGE=THISANDFUTURE:20191008T080000", "STATUS:CANCELLED"), "RANGE"),
        (("RECURRENCE-ID:x", "STATUS:CANCELLED"), "RECURRENCE-ID cannot be read"),
        (("RECURRENCE-ID;TZID=Mars/Olympus:20191008T080000", "STATUS:CANCELLED"), "Mars/Olympus"),
    ],
)
def test_a_change_of_a_series_that_cannot_be_told_is_refused(
    lines: tuple[str, ...], words: str
) -> None:
    series = event("DTSTART:20191007T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=4")
    moved = event("DTSTART:20191008T120000", "DURATION:PT1H", *lines)

    found = read(series, moved)

    assert found.happenings == ()
    assert found.faults[0].message.startswith("Event e1: ")
    assert words in found.faults[0].message


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("SUMMARY:x",), "exactly one DTSTART"),
        (("DTSTART:20191010T080000", "DTSTART:20191011T080000"), "exactly one DTSTART"),
        (("DTSTART:20191010T080000",), "no DTEND"),
        (("DTSTART:20191010T080000", "DTEND:20191010T080000"), "end after it starts"),
        (("DTSTART:20191010T080000", "DTEND;VALUE=DATE:20191011"), "both be dates"),
        (("DTSTART:18991010T080000", "DURATION:PT1H"), "from 2000 to 2099"),
        (("DTSTART;VALUE=DATE:20210101",), "400 days ahead"),
        (("DTSTART;TZID=Mars/Olympus:20191010T080000", "DURATION:PT1H"), "'Mars/Olympus'"),
        (("DTSTART;VALUE=DATE:20191010", "RDATE;VALUE=DATE:20191012"), "RDATE"),
        (("DTSTART:2019", "DURATION:PT1H"), "DTSTART cannot be read"),
        (("DTSTART:20191010T080000", "DURATION:P999999999D"), "longer than any calendar"),
        (("DTSTART:20191010T080000", "DURATION:20191010"), "DURATION cannot be read"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=DAILY;UNTIL=080000"), "RRULE"),
        (("DTSTART:20191010T080000", "DURATION:PT1H", "RRULE:FREQ=HOURLY"), "form"),
        (("DTSTART:20191010T080000", "DURATION:PT1H", "RRULE:FREQ=YEARLY"), "form"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=DAILY;BYDAY=MO"), "form"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:COUNT=2"), "RRULE"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=MONTHLY;BYDAY=MO;BYMONTHDAY=1"), "form"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=MONTHLY;BYMONTHDAY=31"), "bounds"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=MONTHLY;BYDAY=5MO"), "bounds"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=WEEKLY;BYDAY=1MO"), "bounds"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=DAILY;INTERVAL=0"), "bounds"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=DAILY;COUNT=x"), "RRULE"),
        (("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=DAILY;COUNT=1,2"), "RRULE cannot be read"),
        (
            ("DTSTART;VALUE=DATE:20191010", "RRULE:FREQ=DAILY", "RRULE:FREQ=WEEKLY"),
            "exactly one RRULE",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_events_uid(
    lines: tuple[str, ...], words: str
) -> None:
    said = fault(*lines)

    assert said.startswith("Event e1: ")
    assert words in said


def test_everything_is_bounded() -> None:
    long_ago = ("DTSTART;VALUE=DATE:20000101", "RRULE:FREQ=DAILY")
    many = [event(*long_ago, uid=f"e{n}") for n in range(3)]
    found = read(*many)
    assert "recurs more than 20,000 times" in found.faults[0].message
    occurrences = read(
        *[event("DTSTART;VALUE=DATE:20191001", "RRULE:FREQ=DAILY", uid=f"e{n}") for n in range(6)]
    )
    assert "2,406 occurrences" in occurrences.faults[0].message
    events = read(*[event("DTSTART;VALUE=DATE:20191001", uid=f"e{n}") for n in range(2001)])
    assert "2,001 events" in events.faults[0].message
    huge = ics.read("X" * (ics.TEXT_BYTES_MAX + 1), zone=ZONE, now=NOW)
    assert "larger than 262,144 bytes" in huge.faults[0].message


@given(st.text(max_size=300))
@settings(max_examples=50)
def test_any_text_is_refused_and_nothing_breaks(text: str) -> None:
    assert ics.read(text, zone=ZONE, now=NOW).happenings == ()
    assert read_csv(text, names=NAMES, zone=ZONE).written == ()


@given(
    st.lists(
        st.sampled_from(
            [
                "DTSTART:20191010T080000",
                "DTSTART;VALUE=DATE:20191010",
                "DTSTART;TZID=Nowhere:20191010T080000",
                "DTEND:20191011T080000",
                "DURATION:-PT1H",
                "DURATION:P1W",
                "RRULE:FREQ=WEEKLY;BYDAY=XX",
                "RRULE:FREQ=WEEKLY;INTERVAL=-1",
                "RRULE:FREQ=MONTHLY;BYMONTHDAY=0",
                "RRULE:FREQ=DAILY;UNTIL=18000101",
                "RRULE:",
                "DURATION:20191010",
                "DTSTART:PT1H",
                "DTSTART;TZID=America/Chicago:20191010T080000Z",
                "RRULE:FREQ=DAILY;UNTIL=080000",
                "RRULE:FREQ=DAILY;COUNT=-1",
                "RRULE:FREQ=DAILY;X=1",
                "EXDATE:PT1H",
                "EXDATE:20191010T080000/PT1H",
                "EXDATE:x",
                "EXDATE;VALUE=DATE:20191011",
                "CATEGORIES:",
                "CATEGORIES:TERM,CLOSURE",
                "RECURRENCE-ID:x",
                "RECURRENCE-ID;RANGE=THISANDFUTURE:20191010T080000",
                "RECURRENCE-ID;VALUE=DATE:20191010",
                "ATTENDEE:",
                "STATUS:TENTATIVE",
                "STATUS:CANCELLED",
                "SUMMARY:Ada",
            ]
        ),
        max_size=6,
    )
)
@settings(max_examples=200)
def test_any_event_is_read_or_refused(lines: list[str]) -> None:
    text = calendar(event(*lines))
    found = read_ics(text, names=NAMES, zone=ZONE, now=NOW)

    assert not (found.written and found.faults)
    read_calendar(text, zone=ZONE, now=NOW)


def test_local_times_of_a_csv_follow_the_clock_both_ways() -> None:
    rows = (
        "contact,position,starts,ends",
        "Ada,,2019-11-03 00:30,2019-11-03 01:30",
        "Ada,on duty,2019-11-03 01:30:00,2019-11-03T03:00",
        "ada@a.example,Supervisor,2020-03-08T02:30:00,2020-03-08T09:00:00-05:00",
    )

    found = read_csv("\ufeff" + "\r\n".join(rows), names=NAMES, zone=ZONE)

    assert found.faults == ()
    assert [
        (one.shift.starts_at.isoformat(), one.shift.ends_at.isoformat()) for one in found.written
    ] == [
        ("2019-11-03T05:30:00+00:00", "2019-11-03T06:30:00+00:00"),
        ("2019-11-03T06:30:00+00:00", "2019-11-03T09:00:00+00:00"),
        ("2020-03-08T08:30:00+00:00", "2020-03-08T14:00:00+00:00"),
    ]
    assert found.written[2].shift.position is Position.HEAD
    assert [one.where for one in found.written] == ["Row 2", "Row 3", "Row 4"]


def test_a_csv_has_at_most_2000_rows() -> None:
    rows = ["contact,position,starts,ends", *["Ada,,2019-11-03 00:30,2019-11-03 01:30"] * 2001]

    (said,) = read_csv("\n".join(rows), names=NAMES, zone=ZONE).faults

    assert "at most 2,000 rows" in said.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("garbage", "Line 1"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR", "Line 3"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT", "line 2 has no end"),
        ("X:1", "not an iCalendar file"),
    ],
)
def test_a_file_that_is_no_calendar_is_refused_with_its_line(text: str, words: str) -> None:
    (said,) = ics.read(text, zone=ZONE, now=NOW).faults

    assert words in said.message


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("SUMMARY:Ada", "CATEGORIES:COOK"), "name one position"),
        (("SUMMARY:Ada", "CATEGORIES:HEAD,SECOND"), "name one position"),
        (("SUMMARY:Nobody",), "no living contact"),
        (("ATTENDEE:mailto:a@b.example", "ATTENDEE:mailto:c@b.example"), "one ATTENDEE"),
        (("ATTENDEE:tel:1",), "mailto"),
    ],
)
def test_an_event_that_is_no_shift_is_refused(lines: tuple[str, ...], words: str) -> None:
    text = calendar(event("DTSTART:20191010T080000", "DURATION:PT1H", *lines))

    (said,) = read_ics(text, names=NAMES, zone=ZONE, now=NOW).faults

    assert words in said.message


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("Ada,cook,2019-11-03 00:30,2019-11-03 01:30", "on_duty, second or head"),
        ("Ada,,soon,2019-11-03 01:30", "2026-11-01 20:00"),
        ("Ada,,2019-11-03 00:30", "4 fields"),
    ],
)
def test_a_row_that_is_no_shift_is_refused(row: str, words: str) -> None:
    text = f"contact,position,starts,ends\n\n{row}"

    (said,) = read_csv(text, names=NAMES, zone=ZONE).faults

    assert said.message.startswith("Row 3")
    assert words in said.message


def test_a_calendar_file_says_closures_terms_and_early_releases() -> None:
    found, faults = read_calendar(
        calendar(
            event("DTSTART;VALUE=DATE:20191007", "DTEND;VALUE=DATE:20191009"),
            event("DTSTART;VALUE=DATE:20200106", "DTEND;VALUE=DATE:20200523", "CATEGORIES:term"),
            event("DTSTART:20191101T180000Z", "DURATION:PT1H", "CATEGORIES:Early_Release"),
        ),
        zone=ZONE,
        now=NOW,
    )

    assert faults == ()
    assert found.closures == {dt.date(2019, 10, 7), dt.date(2019, 10, 8)}
    assert found.terms == {(dt.date(2020, 1, 6), dt.date(2020, 5, 22))}
    assert found.early_release == ((dt.date(2019, 11, 1), dt.time(13, 0)),)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("DTSTART:20191007T130000", "DURATION:PT1H", "CATEGORIES:TERM"), "all-day event"),
        (("DTSTART;VALUE=DATE:20191007", "CATEGORIES:EARLY-RELEASE"), "with a time"),
        (("DTSTART:20191007T130000", "DURATION:PT1H"), "no closure"),
        (("DTSTART;VALUE=DATE:20191007", "DTEND;VALUE=DATE:20200601"), "at most 120 days"),
        (("DTSTART;VALUE=DATE:20191007", "CATEGORIES:PARTY"), "must be one of"),
        (("DTSTART;VALUE=DATE:20180101",), "nothing to import"),
    ],
)
def test_an_event_that_says_nothing_of_a_calendar_is_refused(
    lines: tuple[str, ...], words: str
) -> None:
    _, (said,) = read_calendar(calendar(event(*lines)), zone=ZONE, now=NOW)

    assert words in said.message


def test_shifts_come_from_attendee_or_summary_with_the_position_of_their_category() -> None:
    rule = ("DTSTART:20191010T080000", "DURATION:PT1H")
    until = "RRULE:FREQ=DAILY;UNTIL=20191011T130000Z"
    text = calendar(
        event(*rule, until, "ATTENDEE:MAILTO:Ada@a.example", uid="one"),
        event(*rule, "SUMMARY:Ada", "CATEGORIES:Supervisor", uid="two"),
    )

    found = read_ics(text, names=NAMES, zone=ZONE, now=NOW)

    assert found.faults == ()
    assert [(one.where, one.shift.position) for one in found.written] == [
        ("Event one", Position.ON_DUTY),
        ("Event two", Position.HEAD),
        ("Event one", Position.ON_DUTY),
    ]


@pytest.mark.parametrize("row", ['"Ada,on_duty,2019-10-01 08:00,2019-10-01 09:00', "x" * 140_000])
def test_a_row_that_is_no_csv_is_named_with_what_to_check(row: str) -> None:
    read = read_csv(f"contact,position,starts,ends\n{row}\n", names=NAMES, zone=ZONE)

    assert read.written == ()
    assert read.faults[0].message.startswith("Row 2 cannot be read as CSV (")
    assert read.faults[0].message.endswith("; check its quotation marks and commas.")
