"""Closures, terms and early releases in an iCalendar file, as school districts publish them."""

import datetime as dt
import zoneinfo
from dataclasses import dataclass

from noticebus.domain import ics
from noticebus.domain.ics import ONE_DAY, Happening
from noticebus.errors import Detail

CLOSURE_DAYS_MAX = 120
TERM = "TERM"
EARLY_RELEASE = "EARLY-RELEASE"
CLOSURE = "CLOSURE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file says of a calendar, in the agency's own dates and times."""

    closures: frozenset[dt.date] = frozenset()
    terms: frozenset[tuple[dt.date, dt.date]] = frozenset()
    early_release: tuple[tuple[dt.date, dt.time], ...] = ()


def read_calendar(text: str, *, zone: str, now: dt.datetime) -> tuple[Imported, tuple[Detail, ...]]:
    """Read a calendar's file, or say what is wrong with it. What is over at `now` is left out.

    The category says what an event is: TERM (all day, from its first to its last day),
    EARLY-RELEASE (its start is the dismissal), CLOSURE, or none with an all-day event: a closure of
    each of its days.
    """
    read = ics.read(text, zone=zone, now=now)
    if read.faults:
        return Imported(), read.faults
    closures: set[dt.date] = set()
    terms: set[tuple[dt.date, dt.date]] = set()
    early: dict[dt.date, dt.time] = {}
    faults: list[Detail] = []
    for one in read.happenings:
        fault = _fault_of(one)
        if fault is not None:
            faults.append(Detail(pointer="", message=f"{one.where}: {fault}."))
        elif one.categories == (TERM,):
            terms.add((one.starts.date(), one.ends.date() - ONE_DAY))
        elif one.categories == (EARLY_RELEASE,):
            local = one.starts_at.astimezone(zoneinfo.ZoneInfo(zone))
            early[local.date()] = local.time().replace(second=0)
        else:
            closures.update(_days_of(one))
    if not read.happenings:
        sentence = "The file has no event that is not over; there is nothing to import."
        faults.append(Detail(pointer="", message=sentence))
    found = Imported(
        closures=frozenset(closures),
        terms=frozenset(terms),
        early_release=tuple(sorted(early.items())),
    )
    return found, tuple(faults[: ics.FAULTS_MAX])


def _fault_of(one: Happening) -> str | None:
    match one.categories:
        case ("TERM",) | ("CLOSURE",) if not one.all_day:
            return f"a {one.categories[0]} is an all-day event; write DTSTART as a date"
        case ("EARLY-RELEASE",) if one.all_day:
            return "an EARLY-RELEASE starts at the time of dismissal; write DTSTART with a time"
        case () if not one.all_day:
            return (
                "an event with a time is no closure; give it the category EARLY-RELEASE, or leave "
                "it out"
            )
        case ("CLOSURE",) | () if one.ends - one.starts > CLOSURE_DAYS_MAX * ONE_DAY:
            return f"a closure lasts at most {CLOSURE_DAYS_MAX} days"
        case () | ("TERM",) | ("CLOSURE",) | ("EARLY-RELEASE",):
            return None
        case _:
            return "its CATEGORIES must be one of TERM, EARLY-RELEASE and CLOSURE, or none"


def _days_of(one: Happening) -> list[dt.date]:
    count = (one.ends - one.starts) // ONE_DAY
    return [one.starts.date() + dt.timedelta(days=n) for n in range(count)]
