"""When a recipient can be expected to answer: opening hours in its own zone, with public holidays.

Instants go in and come out aware and UTC; only the inside of this module thinks in wall-clock time.
"""

import datetime as dt
import functools
import zoneinfo
from dataclasses import dataclass
from enum import StrEnum

import holidays

WEEK = frozenset(range(7))  # Monday is 0, as in `datetime.date.weekday`
MONDAY_TO_FRIDAY = frozenset(range(5))
HORIZON_DAYS = (
    400  # one opening day a week exists within it even if every holiday falls on that weekday
)
MIDNIGHT = dt.time(0, 0)
ONE_DAY = dt.timedelta(days=1)


class Window(StrEnum):
    """The opening hours an agency can choose, research/domain.md section 5.3."""

    ALWAYS = "always"
    OFFICE = "office"
    SCHOOL_DAY = "school_day"
    COMMUNITY = "community"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """An agency's opening hours in local time.

    A window that closes at or before it opens ends on the next day, so equal times mean a whole
    day. `country` (ISO 3166-1) and `subdiv` name the holidays: always for business days, for the
    window only if it rests on them. `closures` are days of rest whatever `rests_on_holidays` says;
    `early_closings` are the days that close at another time.
    """

    zone: str
    opens: dt.time
    closes: dt.time
    weekdays: frozenset[int]
    country: str | None = "US"
    subdiv: str | None = None
    rests_on_holidays: bool = True
    closures: frozenset[dt.date] = frozenset()
    early_closings: frozenset[tuple[dt.date, dt.time]] = frozenset()

    def __post_init__(self) -> None:
        if self.zone not in _known_zones():
            message = f"No time zone {self.zone!r}; use an IANA name such as America/Chicago."
            raise ValueError(message)
        if not self.weekdays or not self.weekdays <= WEEK:
            message = "Opening hours need at least one weekday between 0 (Monday) and 6 (Sunday)."
            raise ValueError(message)
        if self.country is not None and not _holidays_known(self.country, self.subdiv):
            message = (
                f"No public holidays for {self.country} {self.subdiv or ''}; use ISO 3166 codes."
            )
            raise ValueError(message)


def hours_for(
    window: Window, *, zone: str, country: str | None = "US", subdiv: str | None = None
) -> Hours:
    """Give the opening hours of a preset in `zone`, with the holidays of `country` and `subdiv`."""
    opens, closes, weekdays, rests_on_holidays = _PRESETS[window]
    return Hours(
        zone=zone,
        opens=opens,
        closes=closes,
        weekdays=weekdays,
        country=country,
        subdiv=subdiv,
        rests_on_holidays=rests_on_holidays,
    )


def is_open(hours: Hours, instant: dt.datetime) -> bool:
    """Say whether `instant` lies in a window; the closing instant is outside it."""
    today = local_date(hours, instant)
    windows = (_window(hours, today - ONE_DAY), _window(hours, today))  # last night's may still run
    return any(window is not None and window[0] <= instant < window[1] for window in windows)


def next_open(hours: Hours, instant: dt.datetime) -> dt.datetime:
    """Give `instant` itself while open, else the start of the next window, UTC."""
    if is_open(hours, instant):
        return instant
    opening = opening_within(hours, instant, days=HORIZON_DAYS)
    assert opening is not None, "a week without an opening cannot last a year"
    return opening


def opening_within(hours: Hours, instant: dt.datetime, *, days: int) -> dt.datetime | None:
    """Give the start of the first window after `instant`, None where none opens in `days` days."""
    today = local_date(hours, instant)
    coming = (today + dt.timedelta(days=n) for n in range(days))
    windows = (window for day in coming if (window := _window(hours, day)) is not None)
    return next((start for start, _ in windows if start > instant), None)


def next_business_day_at(hours: Hours, instant: dt.datetime, *, time: dt.time) -> dt.datetime:
    """Give local `time` on the first business day after `instant`'s local date, UTC.

    Business days are the opening weekdays from Monday to Friday (for an agency open at weekends
    only: its own days) without public holidays, even for a desk that never closes.
    """
    day = business_day_within(hours, local_date(hours, instant), days=HORIZON_DAYS)
    assert day is not None, "a week without a business day cannot last a year"
    return first_utc(day, time, zone=hours.zone)


def business_day_within(hours: Hours, day: dt.date, *, days: int) -> dt.date | None:
    """Give the first business day after `day`, None where there is none in `days` days."""
    weekdays = hours.weekdays & MONDAY_TO_FRIDAY or hours.weekdays
    coming = (day + dt.timedelta(days=n) for n in range(1, days))
    return next(
        (
            one
            for one in coming
            if one.weekday() in weekdays
            and one not in hours.closures
            and not _is_holiday(hours, one)
        ),
        None,
    )


def opens_on(hours: Hours, day: dt.date) -> bool:
    """Say whether a window opens on the local date `day`: no day of rest, no closure."""
    return _window(hours, day) is not None


def local_date(hours: Hours, instant: dt.datetime) -> dt.date:
    """Give the date that `instant` has where the agency is."""
    return instant.astimezone(zoneinfo.ZoneInfo(hours.zone)).date()


def first_utc(day: dt.date, time: dt.time, *, zone: str) -> dt.datetime:
    """Give the instant of a local time, UTC: the first of an hour that happens twice.

    A skipped hour moves on by the gap (PEP 495).
    """
    local = dt.datetime.combine(day, time, tzinfo=zoneinfo.ZoneInfo(zone)).replace(fold=0)
    return local.astimezone(dt.UTC)


@functools.lru_cache(maxsize=8192)
def _window(hours: Hours, day: dt.date) -> tuple[dt.datetime, dt.datetime] | None:
    """Give the window that opens on `day`, None on a day of rest.

    Kept, because one notice asks it of every school of a state.
    """
    rests = day in hours.closures or (hours.rests_on_holidays and _is_holiday(hours, day))
    if day.weekday() not in hours.weekdays or rests:
        return None
    closes = dict(hours.early_closings).get(day, hours.closes)
    last_day = day + ONE_DAY if closes <= hours.opens else day
    return (
        first_utc(day, hours.opens, zone=hours.zone),
        _last_utc(last_day, closes, zone=hours.zone),
    )


def _last_utc(day: dt.date, time: dt.time, *, zone: str) -> dt.datetime:
    """Take the last of an hour that happens twice, so that a window never loses its end."""
    local = dt.datetime.combine(day, time, tzinfo=zoneinfo.ZoneInfo(zone))
    return max(local.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))


def _is_holiday(hours: Hours, day: dt.date) -> bool:
    if hours.country is None:
        return False
    return day in _holidays_of(hours.country, hours.subdiv, year=day.year)


@functools.lru_cache(maxsize=1024)
def _holidays_of(country: str, subdiv: str | None, *, year: int) -> frozenset[dt.date]:
    """Copy one year, because the library's own calendars fill themselves while they are read."""
    return frozenset(holidays.country_holidays(country, subdiv=subdiv, years=year))


@functools.lru_cache(maxsize=256)
def _holidays_known(country: str, subdiv: str | None) -> bool:
    try:
        holidays.country_holidays(country, subdiv=subdiv)
    except NotImplementedError:
        return False
    return True


@functools.cache
def _known_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


_PRESETS = {
    Window.ALWAYS: (MIDNIGHT, MIDNIGHT, WEEK, False),
    Window.OFFICE: (dt.time(8, 0), dt.time(17, 0), MONDAY_TO_FRIDAY, True),
    Window.SCHOOL_DAY: (dt.time(6, 30), dt.time(17, 0), MONDAY_TO_FRIDAY, True),
    Window.COMMUNITY: (dt.time(8, 0), dt.time(21, 0), WEEK, False),
}
