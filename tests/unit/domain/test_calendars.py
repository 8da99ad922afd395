"""School days and their dismissal, closures, and both changes of the clock."""

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.domain.calendars import (
    BellSchedule,
    Calendar,
    calendar_of,
    dismissal_at,
    dismissal_on,
    is_school_time,
    terms_end,
)
from noticebus.domain.working_time import (
    Window,
    hours_for,
    is_open,
    next_business_day_at,
    next_open,
)

CHICAGO = "America/Chicago"
SCHOOL = hours_for(Window.SCHOOL_DAY, zone=CHICAGO, subdiv="MS")
OFFICE = hours_for(Window.OFFICE, zone=CHICAGO, subdiv="MS")
BELL = BellSchedule(
    starts=dt.time(7, 45),
    dismissal=dt.time(15, 10),
    early_release=((dt.date(2019, 9, 6), dt.time(13, 0)),),
)
TERMS = ((dt.date(2019, 8, 5), dt.date(2019, 12, 20)), (dt.date(2020, 1, 6), dt.date(2020, 5, 22)))
CLOSED = frozenset({dt.date(2019, 10, 14)})
DISTRICT = calendar_of(SCHOOL, closures=CLOSED, terms=TERMS, bell=BELL)


def local(text: str, *, fold: int = 0) -> dt.datetime:
    naive = dt.datetime.fromisoformat(text).replace(fold=fold)
    return naive.replace(tzinfo=zoneinfo.ZoneInfo(CHICAGO)).astimezone(dt.UTC)


@pytest.mark.parametrize(
    ("day", "dismissal"),
    [
        ("2019-09-05", "2019-09-05T15:10"),
        ("2019-09-06", "2019-09-06T13:00"),  # early release
        ("2019-09-07", None),  # Saturday
        ("2019-09-02", None),  # Labor Day
        ("2019-10-14", None),  # closed
        ("2019-12-23", None),  # between the terms
        ("2020-01-06", "2020-01-06T15:10"),  # the first day of a term is in it
        ("2020-05-22", "2020-05-22T15:10"),  # and so is the last
        ("2020-05-26", None),
    ],
)
def test_the_last_bus_leaves_on_school_days_only(day: str, dismissal: str | None) -> None:
    found = dismissal_on(DISTRICT, dt.date.fromisoformat(day))

    assert found == (None if dismissal is None else local(dismissal))


def test_without_terms_every_opening_day_is_a_school_day() -> None:
    always = calendar_of(SCHOOL, bell=BELL)

    assert dismissal_on(always, dt.date(2020, 7, 15)) == local("2020-07-15T15:10")


def test_without_a_bell_schedule_there_is_no_dismissal_and_the_day_ends_as_usual() -> None:
    plain = calendar_of(SCHOOL, closures=CLOSED)

    assert dismissal_on(plain, dt.date(2019, 9, 5)) is None
    assert not is_school_time(plain, local("2019-09-05T09:00"))
    assert is_open(plain.hours, local("2019-09-05T16:59"))


def test_dismissal_is_that_of_the_local_day_and_follows_the_clock() -> None:
    spring = ("2020-03-06T23:30", "2020-03-06T21:10"), ("2020-03-09T00:30", "2020-03-09T20:10")
    autumn = ("2019-11-01T23:30", "2019-11-01T20:10"), ("2019-11-04T00:30", "2019-11-04T21:10")

    for instant, dismissal in (*spring, *autumn):
        expected = dt.datetime.fromisoformat(dismissal).replace(tzinfo=dt.UTC)
        assert dismissal_at(DISTRICT, local(instant)) == expected


@pytest.mark.parametrize(
    ("instant", "school"),
    [
        ("2019-09-05T06:29", False),
        ("2019-09-05T06:30", True),
        ("2019-09-05T15:09", True),
        ("2019-09-05T15:10", False),
        ("2019-09-06T12:59", True),
        ("2019-09-06T13:00", False),
        ("2019-09-07T09:00", False),
    ],
)
def test_school_time_is_from_opening_to_dismissal(instant: str, school: bool) -> None:
    assert is_school_time(DISTRICT, local(instant)) is school
    assert is_open(DISTRICT.hours, local(instant)) is school


def test_in_summer_a_notice_still_waits_for_the_next_weekday_only() -> None:
    assert next_open(DISTRICT.hours, local("2020-07-11T09:00")) == local("2020-07-13T06:30")


def test_closures_are_days_of_rest_whatever_the_holidays_are() -> None:
    church = hours_for(Window.COMMUNITY, zone=CHICAGO)
    closed = calendar_of(church, closures=frozenset({dt.date(2019, 8, 7)})).hours

    assert next_open(closed, local("2019-08-07T09:00")) == local("2019-08-08T08:00")
    monday = next_business_day_at(
        calendar_of(OFFICE, closures=frozenset({dt.date(2019, 8, 8)})).hours,
        local("2019-08-07T09:00"),
        time=dt.time(12),
    )
    assert monday == local("2019-08-09T12:00")


@pytest.mark.parametrize(
    ("bell", "sentence"),
    [
        (BellSchedule(starts=dt.time(8), dismissal=dt.time(8)), "later than the start"),
        (BellSchedule(starts=dt.time(5), dismissal=dt.time(6, 30)), "opening at 06:30"),
        (
            BellSchedule(
                starts=dt.time(8),
                dismissal=dt.time(15),
                early_release=((dt.date(2019, 9, 6), dt.time(7)),),
            ),
            "later than the start",
        ),
    ],
)
def test_a_bell_schedule_that_makes_no_sense_is_refused(bell: BellSchedule, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        calendar_of(SCHOOL, bell=bell)


def test_a_summer_of_closures_is_fine_and_half_a_year_is_not() -> None:
    first = dt.date(2020, 5, 25)
    summer = frozenset(first + dt.timedelta(days=n) for n in range(75))
    for_ever = frozenset(first + dt.timedelta(days=n) for n in range(150))

    assert calendar_of(SCHOOL, closures=summer).hours.closures == summer
    with pytest.raises(ValueError, match="2020-05-25"):
        calendar_of(SCHOOL, closures=for_ever)


days = st.dates(dt.date(2019, 1, 1), dt.date(2021, 12, 31))
afternoons = st.times(dt.time(12), dt.time(17)).map(
    lambda time: time.replace(second=0, microsecond=0)
)
calendars = st.builds(
    lambda dismissal, early, closures, terms: calendar_of(
        SCHOOL,
        closures=frozenset(closures),
        terms=terms,
        bell=BellSchedule(
            starts=dt.time(7, 45), dismissal=dismissal, early_release=tuple(sorted(early.items()))
        ),
    ),
    afternoons,
    st.dictionaries(days, afternoons, max_size=20),
    st.lists(days, max_size=20),
    st.sampled_from([(), TERMS]),
)


@given(calendars, days)
def test_the_window_of_a_school_day_ends_with_its_dismissal(
    calendar: Calendar, day: dt.date
) -> None:
    dismissal = dismissal_on(calendar, day)

    if dismissal is not None:
        assert is_school_time(calendar, dismissal - dt.timedelta(minutes=1))
        assert not is_school_time(calendar, dismissal)
        assert is_open(calendar.hours, dismissal - dt.timedelta(minutes=1))
        assert not is_open(calendar.hours, dismissal)
        assert day not in calendar.hours.closures


@pytest.mark.parametrize(
    ("terms", "day", "ending"),
    [
        (TERMS, "2020-04-21", False),
        (TERMS, "2020-04-22", True),  # 30 days before the last day of school
        (TERMS, "2020-09-11", True),
        (tuple(reversed(TERMS)), "2019-12-01", False),
        ((), "2020-09-11", False),
    ],
)
def test_terms_end_where_none_goes_on_after_the_next_30_days(
    terms: tuple[tuple[dt.date, dt.date], ...], day: str, *, ending: bool
) -> None:
    calendar = calendar_of(SCHOOL, terms=terms, bell=BELL)

    assert terms_end(calendar, local(f"{day}T13:50")) is ending
