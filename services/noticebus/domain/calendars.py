"""When an agency works: its hours, its closures and terms, and when its last school bus leaves."""

import datetime as dt
from dataclasses import dataclass, replace

from noticebus.domain.working_time import (
    Hours,
    business_day_within,
    first_utc,
    local_date,
    opens_on,
)

TERMS_WARNED_BEFORE = dt.timedelta(days=30)  # time enough for a district to send its next ones
REST_DAYS_MAX = 120  # no summer is longer; a notice that waited for more would wait for ever


@dataclass(frozen=True, slots=True, kw_only=True)
class BellSchedule:
    """The school day of a district in local time.

    `dismissal` is when the last bus leaves; `early_release`, sorted by date, names the days on
    which it leaves at another time.
    """

    starts: dt.time
    dismissal: dt.time
    early_release: tuple[tuple[dt.date, dt.time], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Everything an agency says about when it works.

    `terms` are first and last days, both inclusive; none stated means that every opening day of a
    school is a school day.
    """

    hours: Hours
    terms: tuple[tuple[dt.date, dt.date], ...] = ()
    bell: BellSchedule | None = None


def calendar_of(
    hours: Hours,
    *,
    closures: frozenset[dt.date] = frozenset(),
    terms: tuple[tuple[dt.date, dt.date], ...] = (),
    bell: BellSchedule | None = None,
) -> Calendar:
    """Put a calendar together.

    With a bell schedule the window of a day ends at its dismissal. Raises ValueError, with what to
    do, where the parts contradict each other.
    """
    whole = replace(hours, closures=closures)
    if bell is not None:
        _check_bell(bell, opens=hours.opens)
        early = frozenset(bell.early_release)
        whole = replace(whole, closes=bell.dismissal, early_closings=early)
    _check_rest(whole)
    return Calendar(hours=whole, terms=terms, bell=bell)


def dismissal_on(calendar: Calendar, day: dt.date) -> dt.datetime | None:
    """Give when the last bus leaves on the local date `day`, UTC.

    None where there is no school (weekend, holiday, closure, outside the terms that are stated), or
    no bell schedule.
    """
    bell = calendar.bell
    if bell is None or not _is_school_day(calendar, day):
        return None
    time = dict(bell.early_release).get(day, bell.dismissal)
    return first_utc(day, time, zone=calendar.hours.zone)


def dismissal_at(calendar: Calendar, instant: dt.datetime) -> dt.datetime | None:
    """Give the dismissal of the local day in which `instant` lies, before it or after; UTC."""
    return dismissal_on(calendar, local_date(calendar.hours, instant))


def is_school_time(calendar: Calendar, instant: dt.datetime) -> bool:
    """Say whether children are on their way or at school: from opening to dismissal, UTC."""
    day = local_date(calendar.hours, instant)
    dismissal = dismissal_on(calendar, day)
    opening = first_utc(day, calendar.hours.opens, zone=calendar.hours.zone)
    return dismissal is not None and opening <= instant < dismissal


def terms_must_pass(instant: dt.datetime) -> dt.date:
    """Give the day after which stated terms must go on at `instant`: 30 days ahead, UTC."""
    return (instant + TERMS_WARNED_BEFORE).astimezone(dt.UTC).date()


def terms_end(calendar: Calendar, instant: dt.datetime) -> bool:
    """Say whether terms are stated and none goes on beyond 30 days from `instant`.

    Outside them every day is one without school, and no dismissal brings a deadline forward.
    """
    day = terms_must_pass(instant)
    return bool(calendar.terms) and all(last <= day for _, last in calendar.terms)


def _is_school_day(calendar: Calendar, day: dt.date) -> bool:
    in_term = any(first <= day <= last for first, last in calendar.terms)
    return (in_term or not calendar.terms) and opens_on(calendar.hours, day)


def _check_bell(bell: BellSchedule, *, opens: dt.time) -> None:
    endings = [bell.dismissal, *(time for _, time in bell.early_release)]
    if min(endings) <= bell.starts:
        message = "Every dismissal must be later than the start of the school day."
        raise ValueError(message)
    if min(endings) <= opens:
        message = f"Every dismissal must be later than the opening at {opens:%H:%M}."
        raise ValueError(message)


def _check_rest(hours: Hours) -> None:
    """Refuse closures that shut an agency for so long that a notice would wait for ever.

    Every opening day of the week that is a business day is also a day with a window.
    """
    measured = dt.date.min
    for day in sorted(hours.closures):
        if day < measured:
            continue  # within a rest that was measured already
        following = business_day_within(hours, day, days=REST_DAYS_MAX)
        if following is None:
            message = (
                f"From {day.isoformat()} on there is no working day in {REST_DAYS_MAX} days. "
                "Take closures out, or end the agency's responsibilities if it has closed."
            )
            raise ValueError(message)
        measured = following
