"""An agency's calendar as it is sent and shown: hours, closures, terms and the bell schedule."""

import datetime as dt
import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from noticebus.contracts.base import (
    YEAR_FIRST,
    YEAR_LAST,
    Accepted,
    AgencyIdText,
    Instant,
    Published,
    at,
    refuse,
)

CLOSURES_MAX = 400
TERMS_MAX = 24
EARLY_RELEASES_MAX = 200


class Weekday(StrEnum):
    """The days of the week, from Monday as `datetime.date.weekday` counts them."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


def _read_day(value: object) -> dt.date:
    if isinstance(value, str):
        try:
            value = dt.date.fromisoformat(value) if len(value) == len("2019-08-07") else None
        except ValueError:
            value = None
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise _wrong("day", "write a date that exists, like 2019-08-07")
    if not YEAR_FIRST <= value.year <= YEAR_LAST:
        raise _wrong("day", f"give a year from {YEAR_FIRST} to {YEAR_LAST}")
    return value


TIME_FORM = "([01][0-9]|2[0-3]):[0-5][0-9]"


def _read_time(value: object) -> dt.time:
    if isinstance(value, str):
        value = dt.time.fromisoformat(value) if re.fullmatch(TIME_FORM, value) else None
    if not isinstance(value, dt.time):
        raise _wrong("time", "write a local time of day as hours and minutes, like 15:10")
    return value


def _write_time(value: dt.time) -> str:
    return value.strftime("%H:%M")


def _wrong(kind: str, sentence: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{sentence}", {"sentence": sentence})


def _sorted_days(days: tuple[dt.date, ...]) -> tuple[dt.date, ...]:
    return tuple(sorted(set(days)))


Day = Annotated[
    dt.date,
    BeforeValidator(_read_day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2019-08-07"]}),
]
"""A date where the agency is."""

TimeOfDay = Annotated[
    dt.time,
    BeforeValidator(_read_time),
    PlainSerializer(_write_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{TIME_FORM}$", "examples": ["15:10"]}),
]
"""A local time of day, to the minute."""


class HoursPart(Accepted):
    """Opening hours in local time. Closing at or before opening means on the next day."""

    opens: TimeOfDay
    closes: TimeOfDay
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)]
    rests_on_holidays: Annotated[bool, Field(strict=True)] = True


class TermPart(Accepted):
    """A school term: its first and its last day."""

    first: Day
    last: Day

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        refuse([at("/last", "end the term on or after its first day")] * (self.last < self.first))
        return self


class EarlyReleasePart(Accepted):
    """A day on which the last bus leaves at another time."""

    day: Day
    dismissal: TimeOfDay


class BellPart(Accepted):
    """The school day: when it starts, and when the last bus leaves."""

    starts: TimeOfDay
    dismissal: TimeOfDay
    early_release: Annotated[
        tuple[EarlyReleasePart, ...], Field(max_length=EARLY_RELEASES_MAX)
    ] = ()

    @model_validator(mode="after")
    def _each_day_once(self) -> Self:
        days = [one.day for one in self.early_release]
        refuse(
            [
                at(f"/early_release/{number}/day", "name each early release once")
                for number, day in enumerate(days)
                if day in days[:number]
            ]
        )
        return self


class CalendarPut(Accepted):
    """An agency's whole calendar. What is left out is not stated.

    `hours` left out: the usual ones of its kind. `terms` left out: every opening day of a school is
    a school day.
    """

    hours: HoursPart | None = None
    closures: Annotated[
        tuple[Day, ...], Field(max_length=CLOSURES_MAX), AfterValidator(_sorted_days)
    ] = ()
    terms: Annotated[tuple[TermPart, ...], Field(max_length=TERMS_MAX)] = ()
    bell: BellPart | None = None


class CalendarView(Published):
    """An agency's calendar as it stands; `revision` is its ETag.

    `hours` are those in force, its own or the usual ones of its kind (`own_hours` says which); with
    a bell schedule a day of school ends at dismissal. Revision 0 means that it has stated nothing.
    """

    agency_id: AgencyIdText
    zone: str
    holidays_state: str | None
    own_hours: bool
    hours: HoursPart
    closures: tuple[Day, ...]
    terms: tuple[TermPart, ...]
    bell: BellPart | None
    revision: int
    updated_at: Instant | None
