import datetime as dt
from dataclasses import replace

import pytest

from noticebus.contracts.vocabulary import Status
from noticebus.domain import digest as rules
from noticebus.domain.digest import Digest, DigestKind, Tally, Told

NOW = dt.datetime(2019, 8, 7, 14, 0, tzinfo=dt.UTC)  # 9 in the morning in Mississippi
ZONE = "America/Chicago"
TIMES = rules.read_times("07:00, 19:00")
QUIET = Tally(open=3, overdue=0, oldest_due_at=None, unreachable=0, uncovered=0, owed=0)
SILENT = replace(QUIET, overdue=2, oldest_due_at=NOW - dt.timedelta(minutes=47))
KNOWN = Told(overdue=True, hourly=2)


def kind(tally: Tally, told: Told = Told(), **changes: bool) -> DigestKind | None:  # noqa: B008 - frozen
    facts = {"shift_changed": False, "hour_passed": False, "is_real": True} | changes
    return rules.due_kind(tally, told, **facts)


def mail(of: DigestKind, tally: Tally, *, number: int = 3, status: Status = Status.ACTUAL) -> str:
    made = Digest(kind=of, status=status, at=NOW, number=number, tally=tally)
    composed = rules.compose_digest(
        made, zone=ZONE, address="https://bus.example.gov/r?overdue=true"
    )
    assert "\n" not in composed.subject
    assert "https://bus.example.gov/r?overdue=true" in composed.text
    assert "As of Wed 7 Aug 2019 09:00 CDT (14:00Z)." in composed.text
    assert "As of Wed 7 Aug 2019 09:00 CDT (14:00Z)." in composed.html
    assert ("This is about an exercise." in composed.html) is (status is not Status.ACTUAL)
    return composed.subject


def test_a_change_of_shift_is_told_whatever_stands_and_an_hour_only_what_is_overdue() -> None:
    assert kind(QUIET, shift_changed=True) is DigestKind.SHIFT
    assert kind(SILENT, shift_changed=True, hour_passed=True) is DigestKind.SHIFT
    assert kind(QUIET, hour_passed=True) is None
    assert kind(SILENT, hour_passed=True) is DigestKind.HOURLY
    assert kind(SILENT) is None


def test_the_all_clear_follows_only_what_the_operators_were_told_of() -> None:
    assert kind(QUIET, KNOWN) is DigestKind.CLEAR
    assert kind(QUIET, KNOWN, shift_changed=True) is DigestKind.CLEAR
    assert kind(QUIET, Told()) is None
    assert kind(SILENT, KNOWN) is None


def test_an_exercise_in_which_nothing_is_open_has_no_change_of_shift() -> None:
    nothing = replace(QUIET, open=0)

    assert kind(nothing, shift_changed=True, is_real=False) is None
    assert kind(QUIET, shift_changed=True, is_real=False) is DigestKind.SHIFT


def test_hours_are_counted_from_the_first_and_begin_anew_after_the_all_clear() -> None:
    assert rules.after(DigestKind.HOURLY, Told(), SILENT) == Told(overdue=True, hourly=1)
    assert rules.after(DigestKind.HOURLY, KNOWN, SILENT) == Told(overdue=True, hourly=3)
    assert rules.after(DigestKind.SHIFT, KNOWN, SILENT) == KNOWN
    assert rules.after(DigestKind.CLEAR, KNOWN, QUIET) == Told()


@pytest.mark.parametrize(
    ("of", "tally", "number", "subject"),
    [
        ("hourly", SILENT, 1, "ACTION: 2 not answered, oldest 47 min overdue (1st hourly)"),
        ("hourly", SILENT, 2, "ACTION: 2 not answered, oldest 47 min overdue (2nd hourly)"),
        ("hourly", SILENT, 3, "ACTION: 2 not answered, oldest 47 min overdue (3rd hourly)"),
        ("hourly", SILENT, 11, "ACTION: 2 not answered, oldest 47 min overdue (11th hourly)"),
        ("hourly", SILENT, 22, "ACTION: 2 not answered, oldest 47 min overdue (22nd hourly)"),
        ("shift", SILENT, 3, "ACTION: 2 not answered, oldest 47 min overdue (change of shift)"),
        ("shift", QUIET, 1, "CLEAR: nothing is overdue, 3 open (change of shift)"),
        (
            "shift",
            replace(QUIET, uncovered=1),
            1,
            "CHECK: nothing is overdue, 3 open (change of shift)",
        ),
        ("clear", QUIET, 1, "ALL CLEAR: nothing is overdue any more, 3 open"),
    ],
)
def test_the_subject_says_which_it_is(of: str, tally: Tally, number: int, subject: str) -> None:
    assert mail(DigestKind(of), tally, number=number) == subject


def test_the_second_form_says_the_same_and_fetches_nothing() -> None:
    made = Digest(kind=DigestKind.HOURLY, status=Status.ACTUAL, at=NOW, number=3, tally=SILENT)

    composed = rules.compose_digest(made, zone=ZONE, address="https://bus.example.gov/r?a=1&b=2")

    assert '<a href="https://bus.example.gov/r?a=1&amp;b=2">' in composed.html
    assert ">Overdue</th>" in composed.html
    assert ">2</td>" in composed.html
    assert "Overdue:                  2\n" in composed.text
    assert not any(word in composed.html for word in ("src=", "<link", "<img", "url(", "<script"))


def test_an_exercise_says_so_first() -> None:
    subject = mail(DigestKind.HOURLY, SILENT, status=Status.EXERCISE)

    assert subject.startswith("[EXERCISE] ACTION: 2 not answered")


def test_times_of_day_are_those_of_the_operators_clock_and_follow_it_in_autumn() -> None:
    since = NOW - dt.timedelta(hours=12)

    assert rules.last_time(TIMES, zone=ZONE, since=since, until=NOW) == NOW - dt.timedelta(hours=2)
    assert rules.next_time(TIMES, zone=ZONE, now=NOW) == NOW + dt.timedelta(hours=10)
    exact = NOW - dt.timedelta(hours=2)
    assert rules.last_time(TIMES, zone=ZONE, since=exact, until=NOW) is None
    winter = dt.datetime(2019, 11, 3, 18, 0, tzinfo=dt.UTC)  # the day clocks are put back
    assert rules.last_time(
        TIMES, zone=ZONE, since=winter - dt.timedelta(hours=9), until=winter
    ) == dt.datetime(2019, 11, 3, 13, 0, tzinfo=dt.UTC)


def test_the_next_hour_is_a_full_one() -> None:
    assert rules.next_hour(NOW) == NOW + dt.timedelta(hours=1)
    assert rules.next_hour(NOW + dt.timedelta(minutes=59)) == NOW + dt.timedelta(hours=1)
