"""What became of an obligation in a word, and an agency's calendar in sentences."""

import datetime as dt
from dataclasses import replace

import pytest

from noticebus.contracts.vocabulary import ObligationState
from noticebus.domain.calendar_words import sentences_of
from noticebus.domain.calendars import BellSchedule, Calendar, calendar_of
from noticebus.domain.record_words import outcome_of, reached
from noticebus.domain.working_time import MONDAY_TO_FRIDAY, WEEK, Hours

NOW = dt.datetime(2019, 8, 7, 15, 0, tzinfo=dt.UTC)  # Wednesday, 10 in the morning
EARLIER, LATER = NOW - dt.timedelta(hours=1), NOW + dt.timedelta(hours=1)
TODAY = dt.date(2019, 8, 7)
OFFICE = Hours(
    zone="America/Chicago", opens=dt.time(8), closes=dt.time(17), weekdays=MONDAY_TO_FRIDAY
)


@pytest.mark.parametrize(
    ("state", "due_at", "closed_at", "word"),
    [
        (ObligationState.CLOSED, NOW, EARLIER, "acknowledged in time"),
        (ObligationState.CLOSED, NOW, LATER, "acknowledged late"),
        (ObligationState.CLOSED, None, LATER, "acknowledged"),
        (ObligationState.DECLINED, NOW, EARLIER, "declined"),
        (ObligationState.WITHDRAWN, NOW, EARLIER, "withdrawn"),
        (ObligationState.WAIVED, NOW, EARLIER, "waived"),
        (ObligationState.OPEN, NOW, None, "overdue"),
        (ObligationState.OPEN, LATER, None, "open"),
        (ObligationState.OPEN, None, None, "open"),
    ],
)
def test_obligation_is_said_in_a_word(
    state: ObligationState, due_at: dt.datetime | None, closed_at: dt.datetime | None, word: str
) -> None:
    assert outcome_of(state, due_at=due_at, closed_at=closed_at, now=NOW).word == word


def test_percentile_among_the_silent_is_not_reached() -> None:
    assert reached(None) == "not reached"
    assert reached(dt.timedelta(minutes=4)) == "4 min"


def test_office_says_its_hours_and_that_it_is_open() -> None:
    assert sentences_of(Calendar(hours=OFFICE), own_hours=False, now=NOW) == (
        "Open now.",
        (
            "The usual hours of its kind: Monday to Friday, 08:00 to 17:00, closed on public"
            " holidays (America/Chicago)."
        ),
    )


def test_desk_round_the_clock_says_so() -> None:
    always = replace(OFFICE, closes=dt.time(8), weekdays=WEEK, rests_on_holidays=False)
    _, hours = sentences_of(Calendar(hours=always), own_hours=True, now=NOW)

    assert hours == (
        "Its own hours: every day, round the clock, public holidays too (America/Chicago)."
    )


def test_church_says_its_days_and_the_next_closures() -> None:
    sunday = replace(OFFICE, weekdays=frozenset({2, 6}))
    closed = calendar_of(sunday, closures=frozenset({TODAY, dt.date(2019, 8, 6)}))
    said = sentences_of(closed, own_hours=True, now=NOW)

    assert said[0] == "Closed now."
    assert "Wednesday, Sunday" in said[1]
    assert said[2] == "Next closures: Wed 07 Aug 2019."


def school(*terms: tuple[dt.date, dt.date]) -> Calendar:
    """Give a school's calendar that lets out early on the ninth."""
    bell = BellSchedule(
        starts=dt.time(8, 30),
        dismissal=dt.time(15, 10),
        early_release=((dt.date(2019, 8, 1), dt.time(12)), (dt.date(2019, 8, 9), dt.time(13))),
    )
    return calendar_of(OFFICE, terms=terms, bell=bell)


def test_school_says_when_the_last_bus_leaves() -> None:
    said = sentences_of(school((TODAY, dt.date(2019, 12, 20))), own_hours=True, now=NOW)

    assert said[2:] == (
        "School from 08:30; the last bus leaves at 15:10.",
        "Early release: Fri 09 Aug 2019 at 13:00.",
        "In term until Fri 20 Dec 2019.",
    )


@pytest.mark.parametrize(
    ("term", "says"),
    [
        (
            (dt.date(2019, 8, 12), dt.date(2019, 12, 20)),
            "Out of term until Mon 12 Aug 2019: no school before that.",
        ),
        (
            (dt.date(2019, 1, 7), dt.date(2019, 5, 24)),
            "Out of term: every stated term is over, so it counts as on holiday.",
        ),
    ],
)
def test_school_out_of_term_says_until_when(term: tuple[dt.date, dt.date], says: str) -> None:
    assert sentences_of(school(term), own_hours=True, now=NOW)[-1] == says


def test_school_without_an_early_release_to_come_says_none() -> None:
    bell = BellSchedule(starts=dt.time(8, 30), dismissal=dt.time(15, 10))
    said = sentences_of(calendar_of(OFFICE, bell=bell), own_hours=True, now=NOW)

    assert said[-1] == "School from 08:30; the last bus leaves at 15:10."
