"""Events of an iCalendar file (RFC 5545), recurrences expanded, within bounds.

Times come out as wall-clock times with their zone: a night shift ends at eight in the morning also
in the night of a change of the clock.
"""

import datetime as dt
import functools
import itertools
import re
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dateutil.rrule import rrulestr
from icalendar import Calendar
from icalendar.cal.component import Component
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from noticebus.contracts.base import YEAR_FIRST, YEAR_LAST
from noticebus.domain.recurrences import fault_of
from noticebus.domain.working_time import first_utc
from noticebus.errors import Detail

TEXT_BYTES_MAX = 256 * 1024  # as much as a request may hold
EVENTS_MAX = 2_000
STARTS_MAX = 20_000  # of all recurring events together, those that are over included
HORIZON = dt.timedelta(days=400)
FAULTS_MAX = 50
UID_SHOWN = 80
MIDNIGHT = dt.time(0)
ONE_DAY = dt.timedelta(days=1)
LINE = re.compile(r"[A-Za-z0-9-]+[;:].*", re.DOTALL)


class UnreadableError(ValueError):
    """A file that is no calendar, or an event that cannot be read: the sentence says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One occurrence of an event.

    `starts` and `ends` are naive local times of `zone`; those of an all-day event are midnights,
    and its end is the first day after it.
    """

    uid: str
    summary: str
    categories: tuple[str, ...]
    attendees: tuple[str, ...]
    starts: dt.datetime
    ends: dt.datetime
    zone: str
    all_day: bool

    @property
    def where(self) -> str:
        return f"Event {self.uid}"

    @property
    def starts_at(self) -> dt.datetime:
        return first_utc(self.starts.date(), self.starts.time(), zone=self.zone)

    @property
    def ends_at(self) -> dt.datetime:
        return first_utc(self.ends.date(), self.ends.time(), zone=self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a file says: its happenings by start, or what is wrong with it."""

    happenings: tuple[Happening, ...] = ()
    faults: tuple[Detail, ...] = ()


@dataclass(slots=True)
class Budget:
    """How many starts of recurring events may still be computed."""

    left: int = STARTS_MAX

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            message = (
                f"with the events before it, it recurs more than {STARTS_MAX:,} times; export the "
                "coming months only"
            )
            raise UnreadableError(message)


def read(text: str, *, zone: str, now: dt.datetime) -> Read:
    """Read the events of `text` that are not over at `now` and begin within 400 days of it.

    Floating times are of `zone`. Cancelled events are left out, and so are the occurrences of a
    series that they cancel; recurring ones end at the horizon. At most 2,000 occurrences.
    """
    try:
        events = _events(text)
    except UnreadableError as error:
        return Read(faults=(Detail(pointer="", message=str(error)),))
    found: list[Happening] = []
    faults: list[Detail] = []
    budget = Budget()
    moved = _moved(events, zone=zone)
    for event in events:
        try:
            if _stands(event, zone=zone):
                found += _happenings(event, zone=zone, now=now, moved=moved, budget=budget)
        except UnreadableError as error:
            faults.append(Detail(pointer="", message=f"Event {_uid(event)}: {error}."))
    if len(found) > EVENTS_MAX:
        sentence = f"The file has {len(found):,} occurrences; at most {EVENTS_MAX:,} are taken."
        faults.append(Detail(pointer="", message=sentence))
    return Read(
        happenings=() if faults else tuple(sorted(found, key=_by_start)),
        faults=tuple(faults[:FAULTS_MAX]),
    )


def _events(text: str) -> list[Component]:
    if len(text.encode()) > TEXT_BYTES_MAX:
        message = f"The file is larger than {TEXT_BYTES_MAX:,} bytes. Export fewer months."
        raise UnreadableError(message)
    _check_lines(text)
    try:
        whole = Calendar.from_ical(text)
    except (ValueError, IndexError, KeyError) as error:
        message = "The file is not an iCalendar file (RFC 5545): one VCALENDAR with its events."
        raise UnreadableError(message) from error
    events: list[Component] = whole.walk("VEVENT")
    standing = sum(not _is_cancelled(one) for one in events)
    if standing > EVENTS_MAX:
        message = f"The file has {standing:,} events; at most {EVENTS_MAX:,} are taken."
        raise UnreadableError(message)
    return events


def _check_lines(text: str) -> None:
    """Find the first line that is no content line, or closes what was not opened."""
    open_: list[tuple[str, int]] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        if not line.strip() or line[0] in " \t":
            continue  # empty, or the continuation of the line before
        if LINE.fullmatch(line) is None:
            message = f"Line {number} is no line of an iCalendar file: it has no name and colon."
            raise UnreadableError(message)
        name, _, value = line.partition(":")
        if name.upper() == "BEGIN":
            open_.append((value.strip().upper(), number))
        elif name.upper() == "END" and (not open_ or open_.pop()[0] != value.strip().upper()):
            message = f"Line {number} ends a part that was not begun before it."
            raise UnreadableError(message)
    if open_:
        message = f"The part that begins on line {open_[-1][1]} has no end; the file is cut off."
        raise UnreadableError(message)


def _is_cancelled(event: Component) -> bool:
    return str(event.get("STATUS", "")).strip().upper() == "CANCELLED"


def _stands(event: Component, *, zone: str) -> bool:
    """Say whether an event takes place.

    Raises UnreadableError where the occurrences that it stands for or cancels cannot be told: they
    would stand as the series has them.
    """
    if any("RANGE" in one.params for one in _all(event, "RECURRENCE-ID")):
        message = (
            "its RECURRENCE-ID changes all that follow (RANGE), which is not taken; end the series "
            "with UNTIL, and write an event for what comes after it"
        )
        raise UnreadableError(message)
    if not _is_cancelled(event):
        return True
    if "RECURRENCE-ID" in event:
        _check_errors(event)
        _local(_only(event, "RECURRENCE-ID"), zone=zone)
    return False


def _happenings(
    event: Component,
    *,
    zone: str,
    now: dt.datetime,
    moved: frozenset[tuple[str, dt.date]],
    budget: Budget,
) -> list[Happening]:
    """Expand one event to those of its occurrences that are not over."""
    first = _first(event, zone=zone)
    last_start = (now + HORIZON).astimezone(zoneinfo.ZoneInfo(first.zone)).replace(tzinfo=None)
    if "RRULE" not in event:
        if first.starts > last_start:
            message = f"it begins more than {HORIZON.days} days ahead; import it when it is nearer"
            raise UnreadableError(message)
        return [first] if first.ends_at > now else []
    without = _exdates(event, first=first)
    length = first.ends - first.starts
    found: list[Happening] = []
    for start in _starts(event, first=first, until=last_start):
        budget.take()
        one = replace(first, starts=start, ends=start + length)
        named = {(first.uid, one.starts_at), (first.uid, start.date())}
        if start not in without and moved.isdisjoint(named) and one.ends_at > now:
            found.append(one)
    return found


def _first(event: Component, *, zone: str) -> Happening:
    """Read an event as it stands, without its recurrences."""
    _check_errors(event)
    if "RDATE" in event:
        message = "dates listed by RDATE are not taken; write an event for each"
        raise UnreadableError(message)
    starts, where, all_day = _local(_only(event, "DTSTART"), zone=zone)
    return Happening(
        uid=_uid(event),
        summary=str(event.get("SUMMARY", "")).strip(),
        categories=_categories(event),
        attendees=tuple(str(one) for one in _all(event, "ATTENDEE")),
        starts=starts,
        ends=_end(event, starts=starts, zone=where, all_day=all_day),
        zone=where,
        all_day=all_day,
    )


def _check_errors(event: Component) -> None:
    if event.errors:
        message = f"its {event.errors[0][0]} cannot be read; write it by RFC 5545"
        raise UnreadableError(message)


def _end(event: Component, *, starts: dt.datetime, zone: str, all_day: bool) -> dt.datetime:
    if "DTEND" in event:
        ends, ends_zone, ends_day = _local(_only(event, "DTEND"), zone=zone)
        if ends_day != all_day:
            message = "DTSTART and DTEND must both be dates, or both be times"
            raise UnreadableError(message)
        if ends_zone != zone:
            instant = first_utc(ends.date(), ends.time(), zone=ends_zone)
            ends = instant.astimezone(zoneinfo.ZoneInfo(zone)).replace(tzinfo=None)
    elif "DURATION" in event:
        ends = _after(starts, _only(event, "DURATION").dt)
    elif all_day:
        ends = starts + ONE_DAY
    else:
        message = "it has no DTEND and no DURATION; say when it ends"
        raise UnreadableError(message)
    if ends <= starts:
        message = "it must end after it starts"
        raise UnreadableError(message)
    return ends


def _local(value: Any, *, zone: str) -> tuple[dt.datetime, str, bool]:
    """Read a date or time as a naive local time, its zone, and whether it is a date."""
    moment = value.dt
    if not isinstance(moment, dt.date) or not YEAR_FIRST <= moment.year <= YEAR_LAST:
        message = f"its dates must be from {YEAR_FIRST} to {YEAR_LAST}"
        raise UnreadableError(message)
    if not isinstance(moment, dt.datetime):
        return dt.datetime.combine(moment, MIDNIGHT), zone, True
    named = value.params.get("TZID")
    if named is not None:
        where = _zone_named(str(named))
    else:
        where = zone if moment.tzinfo is None else "UTC"
    return moment.replace(tzinfo=None, microsecond=0, fold=0), where, False


def _zone_named(name: str) -> str:
    known = WINDOWS_TO_OLSON.get(name, name)
    if known not in _known_zones():
        message = (
            f"there is no time zone {name[:UID_SHOWN]!r}; name one of the IANA database, like "
            "America/Chicago"
        )
        raise UnreadableError(message)
    return known


def _starts(event: Component, *, first: Happening, until: dt.datetime) -> Iterator[dt.datetime]:
    rule = _only(event, "RRULE")
    fault = fault_of(rule)
    if fault is not None:
        raise UnreadableError(fault)
    parts = {name: value for name, value in rule.items() if name.upper() != "UNTIL"}
    text = type(rule)(parts).to_ical().decode()
    ends = min([until, *(_until(one, first=first) for one in rule.get("UNTIL", []))])
    try:
        starts = iter(rrulestr(text, dtstart=first.starts))
    except (ValueError, TypeError) as error:
        message = "its RRULE cannot be read; write it by RFC 5545"
        raise UnreadableError(message) from error
    return itertools.takewhile(lambda start: start <= ends, starts)


def _until(until: object, *, first: Happening) -> dt.datetime:
    if not isinstance(until, dt.date):
        message = "the UNTIL of its RRULE cannot be read; write it by RFC 5545"
        raise UnreadableError(message)
    if not isinstance(until, dt.datetime):
        return dt.datetime.combine(until, first.starts.time())
    if until.tzinfo is None:
        return until
    return until.astimezone(zoneinfo.ZoneInfo(first.zone)).replace(tzinfo=None)


def _exdates(event: Component, *, first: Happening) -> frozenset[dt.datetime]:
    """Read the starts that are left out, as local times of the event's zone."""
    found: set[dt.datetime] = set()
    for group in _all(event, "EXDATE"):
        for value in group.dts:
            local, where, all_day = _local(value, zone=first.zone)
            if all_day:
                local = dt.datetime.combine(local.date(), first.starts.time())
            elif where != first.zone:
                instant = first_utc(local.date(), local.time(), zone=where)
                local = instant.astimezone(zoneinfo.ZoneInfo(first.zone)).replace(tzinfo=None)
            found.add(local)
    return frozenset(found)


def _moved(events: Iterable[Component], *, zone: str) -> frozenset[tuple[str, dt.date]]:
    """List the occurrences that another event of the same UID stands for, or cancels.

    Each by its instant, or by its local date where it is named so.
    """
    found: set[tuple[str, dt.date]] = set()
    for event in events:
        if "RECURRENCE-ID" in event and not event.errors:
            try:
                local, where, all_day = _local(_only(event, "RECURRENCE-ID"), zone=zone)
            except UnreadableError:
                continue  # said of the event itself, when it is read
            instant = first_utc(local.date(), local.time(), zone=where)
            found.add((_uid(event), local.date() if all_day else instant))
    return frozenset(found)


def _only(event: Component, name: str) -> Any:
    values = _all(event, name)
    if len(values) != 1:
        message = f"it needs exactly one {name}"
        raise UnreadableError(message)
    return values[0]


def _all(event: Component, name: str) -> Sequence[Any]:
    value = event.get(name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _categories(event: Component) -> tuple[str, ...]:
    words = (str(one) for group in _all(event, "CATEGORIES") for one in group.cats)
    found = {re.sub(r"[\s_]+", "-", word.strip().upper()) for word in words}
    return tuple(sorted(found - {""}))


def _uid(event: Component) -> str:
    return str(event.get("UID", "without a UID"))[:UID_SHOWN]


def _after(start: dt.datetime, length: object) -> dt.datetime:
    if not isinstance(length, dt.timedelta):
        message = "its DURATION cannot be read; write it by RFC 5545"
        raise UnreadableError(message)
    try:
        return start + length
    except OverflowError as error:
        message = "it lasts longer than any calendar"
        raise UnreadableError(message) from error


def _by_start(one: Happening) -> tuple[dt.datetime, str]:
    return one.starts_at, one.uid


@functools.cache
def _known_zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())
