"""Opening hours in local time, through both changes of the clock and public holidays."""

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.domain.working_time import (
    WEEK,
    Hours,
    Window,
    hours_for,
    is_open,
    next_business_day_at,
    next_open,
)

CHICAGO = "America/Chicago"


def local(text: str, zone: str = CHICAGO, *, fold: int = 0) -> dt.datetime:
    naive = dt.datetime.fromisoformat(text).replace(fold=fold)
    return naive.replace(tzinfo=zoneinfo.ZoneInfo(zone)).astimezone(dt.UTC)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def hours(
    opens: str, closes: str, *, zone: str = CHICAGO, weekdays: frozenset[int] = WEEK
) -> Hours:
    return Hours(
        zone=zone,
        opens=dt.time.fromisoformat(opens),
        closes=dt.time.fromisoformat(closes),
        weekdays=weekdays,
        country=None,
    )


OFFICE = hours_for(Window.OFFICE, zone=CHICAGO, subdiv="MS")
SCHOOL = hours_for(Window.SCHOOL_DAY, zone=CHICAGO, subdiv="MS")
ALWAYS = hours_for(Window.ALWAYS, zone=CHICAGO, subdiv="MS")
COMMUNITY = hours_for(Window.COMMUNITY, zone=CHICAGO, subdiv="MS")


@pytest.mark.parametrize(
    ("window", "instant", "opening"),
    [
        (OFFICE, "2019-08-07T08:00", "2019-08-07T08:00"),  # opening belongs to the window
        (OFFICE, "2019-08-07T17:00", "2019-08-08T08:00"),  # closing does not
        (OFFICE, "2019-08-07T03:00", "2019-08-07T08:00"),
        (OFFICE, "2019-08-09T18:00", "2019-08-12T08:00"),  # Friday evening to Monday
        (SCHOOL, "2019-08-11T03:00", "2019-08-12T06:30"),  # 03:00 on a Sunday
        (SCHOOL, "2019-08-07T16:59", "2019-08-07T16:59"),
        (COMMUNITY, "2019-08-10T21:30", "2019-08-11T08:00"),  # Saturday night to Sunday
        (COMMUNITY, "2019-07-04T09:00", "2019-07-04T09:00"),  # a church is there on a holiday
        (OFFICE, "2019-08-31T09:00", "2019-09-03T08:00"),  # Labor Day weekend
        (OFFICE, "2021-12-31T09:00", "2022-01-03T08:00"),  # New Year kept in the old one
        (OFFICE, "2019-04-29T09:00", "2019-04-30T08:00"),  # Confederate Memorial Day, MS only
    ],
)
def test_next_opening_is_found(window: Hours, instant: str, opening: str) -> None:
    assert next_open(window, local(instant)) == local(opening)


def test_a_desk_that_never_closes_is_open_on_holidays_and_at_night() -> None:
    for instant in ("2019-12-25T03:00", "2019-08-11T00:00", "2019-08-11T23:59"):
        assert is_open(ALWAYS, local(instant))


def test_holidays_of_one_state_are_not_those_of_another() -> None:
    texas = hours_for(Window.OFFICE, zone=CHICAGO, subdiv="TX")
    federal = hours_for(Window.OFFICE, zone=CHICAGO)
    instant = local("2019-04-29T09:00")

    assert is_open(texas, instant)
    assert is_open(federal, instant)
    assert not is_open(OFFICE, instant)


def test_without_a_country_no_day_is_a_holiday() -> None:
    everyday = hours_for(Window.OFFICE, zone=CHICAGO, country=None)

    assert is_open(everyday, local("2019-12-25T09:00"))
    assert next_business_day_at(everyday, local("2019-12-24T09:00"), time=dt.time(12)) == local(
        "2019-12-25T12:00"
    )


def test_night_window_runs_into_the_next_day() -> None:
    night = hours("22:00", "06:00", weekdays=frozenset({4}))  # from Friday night

    assert is_open(night, local("2019-08-10T05:59"))
    assert not is_open(night, local("2019-08-10T06:00"))
    assert next_open(night, local("2019-08-10T06:00")) == local("2019-08-16T22:00")


def test_opening_in_the_skipped_hour_moves_on_by_the_gap() -> None:
    window = hours("02:30", "10:00")

    assert next_open(window, utc("2019-03-10T07:00")) == utc("2019-03-10T08:30")  # 03:30 CDT


def test_opening_follows_local_time_across_the_spring_change() -> None:
    assert next_open(OFFICE, local("2019-03-08T18:00")) == utc("2019-03-11T13:00")  # CDT
    assert next_open(OFFICE, local("2019-03-01T18:00")) == utc("2019-03-04T14:00")  # CST


def test_hour_that_happens_twice_opens_first_and_closes_last() -> None:
    opening = hours("01:30", "10:00")
    closing = hours("00:30", "01:30")

    assert next_open(opening, utc("2019-11-03T06:00")) == utc("2019-11-03T06:30")  # CDT, fold 0
    assert is_open(closing, utc("2019-11-03T07:29"))  # 01:29 CST, the second time
    assert not is_open(closing, utc("2019-11-03T07:30"))


@pytest.mark.parametrize(
    ("window", "instant", "time", "expected"),
    [
        (ALWAYS, "2019-08-07T09:00", "12:00", "2019-08-08T12:00"),
        (ALWAYS, "2019-08-09T23:00", "12:00", "2019-08-12T12:00"),  # Friday to Monday
        (ALWAYS, "2019-08-30T09:00", "12:00", "2019-09-03T12:00"),  # over Labor Day
        (SCHOOL, "2019-08-07T05:00", "07:00", "2019-08-08T07:00"),  # never the same day
        (COMMUNITY, "2019-08-09T09:00", "12:00", "2019-08-12T12:00"),
        (OFFICE, "2019-11-01T09:00", "12:00", "2019-11-04T12:00"),  # clocks go back between
    ],
)
def test_next_business_day_is_local_and_skips_rest_days(
    window: Hours, instant: str, time: str, expected: str
) -> None:
    found = next_business_day_at(window, local(instant), time=dt.time.fromisoformat(time))

    assert found == local(expected)


def test_agency_open_at_weekends_only_has_its_own_business_days() -> None:
    weekend = hours("09:00", "12:00", weekdays=frozenset({5, 6}))

    assert next_business_day_at(weekend, local("2019-08-07T09:00"), time=dt.time(12)) == local(
        "2019-08-10T12:00"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"zone": "Mississippi"}, "No time zone"),
        ({"weekdays": frozenset()}, "at least one weekday"),
        ({"weekdays": frozenset({7})}, "at least one weekday"),
        ({"subdiv": "ZZ"}, "No public holidays for US ZZ"),
        ({"country": "QQ"}, "No public holidays for QQ"),
    ],
)
def test_hours_that_make_no_sense_are_refused(change: dict[str, object], sentence: str) -> None:
    facts: dict[str, object] = {
        "zone": CHICAGO,
        "opens": dt.time(8),
        "closes": dt.time(17),
        "weekdays": frozenset({0}),
    }

    with pytest.raises(ValueError, match=sentence):
        Hours(**(facts | change))  # type: ignore[arg-type]


times = st.times().map(lambda time: time.replace(second=0, microsecond=0))
windows = st.builds(
    Hours,
    zone=st.sampled_from([CHICAGO, "America/New_York", "America/Havana", "Pacific/Apia", "UTC"]),
    opens=times,
    closes=times,
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    country=st.just("US"),
    rests_on_holidays=st.booleans(),
)
instants = st.datetimes(
    min_value=utc("2015-01-01").replace(tzinfo=None),
    max_value=utc("2035-01-01").replace(tzinfo=None),
    timezones=st.just(dt.UTC),
)


@given(windows, instants)
def test_next_opening_is_open_and_never_before_the_instant(
    window: Hours, instant: dt.datetime
) -> None:
    opening = next_open(window, instant)

    assert opening >= instant
    assert is_open(window, opening)
    assert (opening == instant) == is_open(window, instant)


@given(windows, instants, st.floats(0, 1))
def test_nothing_is_open_between_an_instant_and_the_next_opening(
    window: Hours, instant: dt.datetime, share: float
) -> None:
    opening = next_open(window, instant)
    between = instant + (opening - instant) * share

    assert is_open(window, between) == (opening in (between, instant))


@given(windows, instants, times)
def test_business_day_deadline_lies_in_the_future(
    window: Hours, instant: dt.datetime, time: dt.time
) -> None:
    assert next_business_day_at(window, instant, time=time) > instant


@given(instants)
def test_always_open_has_no_hole(instant: dt.datetime) -> None:
    havana = hours_for(Window.ALWAYS, zone="America/Havana")  # its clocks change at midnight

    assert next_open(havana, instant) == instant
