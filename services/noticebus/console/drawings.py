"""What the drawings of an incident are given: places in percent, counties by number."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noticebus.casework.incident_pages import Recipient
from noticebus.casework.incident_places import MappedPlace, PlaceState
from noticebus.contracts.vocabulary import ObligationState, Standing
from noticebus.domain.figures import how_long
from noticebus.domain.gazetteer import Gazetteer
from noticebus.domain.recipient_groups import Group
from noticebus.refdata.county_map import StateMap, state_map

MAPS_MAX = 3  # states drawn on one page; the table beside them has all
_OF_STATE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One recipient's time to answer, in percent of the longest."""

    name: str
    href: str
    said: str
    kind: str
    end: float
    due: float | None
    delivered: float | None
    opened: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """An addressed county as map and table show it."""

    number: int
    name: str
    state: PlaceState
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnState:
    """One state of a notice: its outline, and its addressed counties by code."""

    name: str
    drawn: StateMap
    places: Mapping[str, Numbered]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One place on a line in time."""

    x: float
    mark: str
    label: str
    at: dt.datetime


def lanes_of(recipients: Sequence[Recipient], *, now: dt.datetime) -> list[Lane]:
    """Draw the time to answer of those who must; clocks that have not started have no line."""
    running = [
        one
        for one in recipients
        if one.owed.round_started_at is not None and one.owed.standing is Standing.MANDATORY
    ]
    spans = [_end(one, now) - _start(one) for one in running]
    spans += [one.owed.due_at - _start(one) for one in running if one.owed.due_at]
    longest = max(spans, default=dt.timedelta(0))
    return [_lane(one, now=now, longest=longest) for one in running]


def _start(one: Recipient) -> dt.datetime:
    assert one.owed.round_started_at is not None, "only clocks that run are drawn"
    return one.owed.round_started_at


def _end(one: Recipient, now: dt.datetime) -> dt.datetime:
    return now if one.owed.closed_at is None else one.owed.closed_at


def _lane(one: Recipient, *, now: dt.datetime, longest: dt.timedelta) -> Lane:
    start, owed = _start(one), one.owed

    def place(at: dt.datetime | None) -> float | None:
        if at is None or not longest:
            return None
        return min(max(100 * ((at - start) / longest), 0.0), 100.0)

    return Lane(
        name=one.agency.name,
        href=f"/obligations/{owed.id}",
        said=said_of(one, now=now),
        kind=_kind(one),
        end=place(_end(one, now)) or 0.0,
        due=place(owed.due_at),
        delivered=place(owed.delivered_at),
        opened=place(owed.opened_at),
    )


def _kind(one: Recipient) -> str:
    match one.group:
        case Group.ANSWERED:
            return "answered"
        case Group.ANSWERED_LATE:
            return "late"
        case Group.UNREACHABLE | Group.OVERDUE | Group.OPEN:
            return "silent"
        case _:
            return "ended"


def said_of(one: Recipient, *, now: dt.datetime) -> str:
    """Say how long an answer took, or how long there has been none, and against the deadline."""
    owed = one.owed
    took = how_long(_end(one, now) - _start(one))
    if owed.state is ObligationState.OPEN:
        return f"no closing answer for {took}, {_against(owed.due_at, now)}"
    if owed.state is ObligationState.CLOSED and owed.closed_at is not None:
        return f"closed after {took}, {_against(owed.due_at, owed.closed_at)}"
    return f"{owed.state} after {took}"


def _against(due_at: dt.datetime | None, at: dt.datetime) -> str:
    if due_at is None:
        return "without a deadline"
    if at > due_at:
        return f"{how_long(at - due_at)} past its deadline"
    return f"{how_long(due_at - at)} before its deadline"


PLACES_SAID = {
    PlaceState.UNCOVERED: "⚠ uncovered",
    PlaceState.OVERDUE: "⚠ overdue",
    PlaceState.WAITING: "○ waiting",
    PlaceState.ANSWERED: "✓ answered",
    PlaceState.UNLISTED: "· nobody answers for the county as a whole",
    PlaceState.ADDRESSED: "▪ addressed",
}


def said_of_place(place: MappedPlace) -> str:
    """Say how a county stands."""
    said = PLACES_SAID[place.state]
    if place.missing:
        said += f": no {', no '.join(one.replace('_', ' ') for one in place.missing)}"
    if place.silent:
        said += f": all who answer as {', '.join(place.silent).replace('_', ' ')} are silent"
    if place.count:
        said += f" ({place.answered} of {place.count} answered)"
    return said


def number_places(places: Sequence[MappedPlace]) -> dict[str, Numbered]:
    """Give the counties of a notice the numbers that its map and its table show."""
    return {
        one.county_fips: Numbered(
            number=number, name=one.name, state=one.state, said=said_of_place(one)
        )
        for number, one in enumerate(places, start=1)
    }


def draw_states(places: Mapping[str, Numbered], gazetteer: Gazetteer) -> list[DrawnState]:
    """Draw the states of a notice, `MAPS_MAX` at most; a state is computed once, about 20 ms."""
    found = []
    for fips in sorted({code[:_OF_STATE] for code in places})[:MAPS_MAX]:
        drawn, state = state_map(fips), gazetteer.state(fips)
        if drawn is not None:
            here = {code: one for code, one in places.items() if code[:_OF_STATE] == fips}
            name = fips if state is None else state.name
            found.append(DrawnState(name=name, drawn=drawn, places=here))
    return found


def points_between(
    moments: Sequence[tuple[str, str, dt.datetime]],
) -> list[Point]:
    """Place (mark, label, instant) on a line from the first to the last."""
    if not moments:
        return []
    ordered = sorted(moments, key=lambda one: one[2])
    first, last = ordered[0][2], ordered[-1][2]
    span = (last - first) or dt.timedelta(seconds=1)
    return [
        Point(x=100 * ((at - first) / span), mark=mark, label=label, at=at)
        for mark, label, at in ordered
    ]
