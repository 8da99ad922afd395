"""An agency's calendar in sentences: its hours, its school day, its terms, its next closures."""

import datetime as dt
from collections.abc import Collection, Sequence

from noticebus.domain.calendars import Calendar
from noticebus.domain.working_time import MONDAY_TO_FRIDAY, WEEK, Hours, is_open, local_date

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
CLOSURES_SHOWN = 3


def sentences_of(calendar: Calendar, *, own_hours: bool, now: dt.datetime) -> tuple[str, ...]:
    """Say when an agency works, as it stands at `now`."""
    hours, today = calendar.hours, local_date(calendar.hours, now)
    said = [
        f"{'Open' if is_open(hours, now) else 'Closed'} now.",
        f"{'Its own hours' if own_hours else 'The usual hours of its kind'}: {_hours(hours)}.",
    ]
    if calendar.bell is not None:
        bell = calendar.bell
        said.append(
            f"School from {bell.starts:%H:%M}; the last bus leaves at {bell.dismissal:%H:%M}."
        )
        said += _early(bell.early_release, today=today)
    if calendar.terms:
        said.append(_terms(calendar.terms, today=today))
    coming = sorted(one for one in hours.closures if one >= today)[:CLOSURES_SHOWN]
    if coming:
        said.append(f"Next closures: {', '.join(f'{one:%a %d %b %Y}' for one in coming)}.")
    return tuple(said)


def _hours(hours: Hours) -> str:
    days = _days(hours.weekdays)
    time = "round the clock" if hours.opens == hours.closes else _span(hours)
    rests = "closed on public holidays" if hours.rests_on_holidays else "public holidays too"
    return f"{days}, {time}, {rests} ({hours.zone})"


def _span(hours: Hours) -> str:
    return f"{hours.opens:%H:%M} to {hours.closes:%H:%M}"


def _days(weekdays: Collection[int]) -> str:
    if frozenset(weekdays) == WEEK:
        return "every day"
    if frozenset(weekdays) == MONDAY_TO_FRIDAY:
        return "Monday to Friday"
    return ", ".join(DAYS[one] for one in sorted(weekdays))


def _early(early_release: Sequence[tuple[dt.date, dt.time]], *, today: dt.date) -> list[str]:
    coming = [(day, time) for day, time in early_release if day >= today][:CLOSURES_SHOWN]
    if not coming:
        return []
    days = ", ".join(f"{day:%a %d %b %Y} at {time:%H:%M}" for day, time in coming)
    return [f"Early release: {days}."]


def _terms(terms: Sequence[tuple[dt.date, dt.date]], *, today: dt.date) -> str:
    for first, last in terms:
        if first <= today <= last:
            return f"In term until {last:%a %d %b %Y}."
        if today < first:
            return f"Out of term until {first:%a %d %b %Y}: no school before that."
    return "Out of term: every stated term is over, so it counts as on holiday."
