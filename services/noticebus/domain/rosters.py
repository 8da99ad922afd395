"""Who holds which position of an agency when: the rules of shifts, and what a roster changes."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from noticebus.contracts.base import write_instant
from noticebus.contracts.vocabulary import DelegationHours, Position
from noticebus.domain.calendars import Calendar
from noticebus.domain.escalation import ContactPoint
from noticebus.domain.working_time import is_open
from noticebus.errors import Detail
from noticebus.ids import AgencyId, ContactId

SHIFTS_MAX = 2_000
SHIFT_MAX = dt.timedelta(days=366)
FAULTS_MAX = 50
ROSTERED = (Position.ON_DUTY, Position.SECOND, Position.HEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A contact holds a position from `starts_at` to `ends_at`, which is outside it; UTC."""

    contact_id: ContactId
    position: Position
    starts_at: dt.datetime
    ends_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A shift as somebody wrote it, and where: a row, an event, or a JSON pointer."""

    shift: Shift
    where: str
    pointer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A living contact, by what a roster may call it."""

    id: ContactId
    name: str
    email: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The contacts of an agency, found by id, by mail address, or by exact name."""

    by_id: Mapping[str, ContactId]
    by_email: Mapping[str, tuple[ContactId, ...]]
    by_name: Mapping[str, tuple[ContactId, ...]]

    def find(self, text: str) -> ContactId:
        """Find one contact; ValueError with a sentence where there is none, or several."""
        known = self.by_id.get(text)
        found = (
            (known,)
            if known is not None
            else self.by_email.get(text.lower()) or self.by_name.get(text) or ()
        )
        if not found:
            message = "no living contact of the agency has this id, mail address or exact name"
            raise ValueError(message)
        if len(found) > 1:
            message = "several contacts of the agency are called so; write the contact's id"
            raise ValueError(message)
        return found[0]


def names_of(people: Iterable[Person]) -> Names:
    """Index contacts by what a roster may call them."""
    by_email: defaultdict[str, list[ContactId]] = defaultdict(list)
    by_name: defaultdict[str, list[ContactId]] = defaultdict(list)
    by_id: dict[str, ContactId] = {}
    for one in people:
        by_id[one.id] = one.id
        by_name[one.name].append(one.id)
        if one.email is not None:
            by_email[one.email.lower()].append(one.id)
    return Names(
        by_id=by_id,
        by_email={email: tuple(ids) for email, ids in by_email.items()},
        by_name={name: tuple(ids) for name, ids in by_name.items()},
    )


def faults_of(written: Sequence[Written], *, kept: Sequence[Shift] = ()) -> tuple[Detail, ...]:
    """List what is wrong with shifts, at most 50 faults.

    `kept` are the shifts that stay beside them. No two of one position overlap; each ends after it
    starts, and within 366 days.
    """
    if len(written) > SHIFTS_MAX:
        sentence = f"A roster has at most {SHIFTS_MAX:,} shifts; this one has {len(written):,}."
        return (Detail(pointer="", message=sentence),)
    alone = [fault for one in written if (fault := _fault_of(one)) is not None]
    if alone:
        return tuple(alone[:FAULTS_MAX])
    stays = [Written(shift=one, where="a shift that stays") for one in kept]
    return tuple(_overlaps([*stays, *written])[:FAULTS_MAX])


def seated(
    standing: Sequence[ContactPoint], running: Mapping[Position, ContactId]
) -> list[ContactPoint]:
    """Give contacts the positions that they hold while the shifts `running` run.

    Whoever is on shift holds its position, and others who stand there fall to `other`. Whoever
    stands elsewhere keeps that too while nobody else holds it, so one person can come twice. A
    contact on shift whom nothing reaches holds nothing: better the usual person than none.
    """
    reachable = {one.id for one in standing if one.channels}
    held = {position: id_ for position, id_ in running.items() if id_ in reachable}
    if not held:
        return list(standing)
    return [point for one in standing for point in _places_of(one, held, standing)]


def stands_in(hours: DelegationHours, calendar: Calendar, at: dt.datetime) -> bool:
    """Say whether a delegate stands in at `at` for an agency with this calendar."""
    return hours is DelegationHours.ALWAYS or not is_open(calendar.hours, at)


def makes_loop(
    delegates: Mapping[AgencyId, AgencyId], *, agency_id: AgencyId, delegate_id: AgencyId
) -> bool:
    """Say whether a delegation to `delegate_id` would lead back to the agency.

    `delegates` are the living ones, each agency's own.
    """
    seen: set[AgencyId] = set()
    one: AgencyId | None = delegate_id
    while one is not None and one not in seen:
        if one == agency_id:
            return True
        seen.add(one)
        one = delegates.get(one)
    return False


def _fault_of(one: Written) -> Detail | None:
    shift = one.shift
    if shift.position not in ROSTERED:
        words = ", ".join(ROSTERED)
        return _detail(one, f"a shift is of one of {words}; leave other contacts out")
    if shift.ends_at <= shift.starts_at:
        return _detail(one, "the shift must end after it starts")
    if shift.ends_at - shift.starts_at > SHIFT_MAX:
        return _detail(one, f"a shift lasts at most {SHIFT_MAX.days} days; divide it")
    return None


def _overlaps(shifts: Iterable[Written]) -> list[Detail]:
    """Name each shift that begins before an earlier one of its position has ended, with that."""
    found: list[Detail] = []
    latest: dict[Position, Written] = {}
    for one in sorted(shifts, key=_by_start):
        before = latest.get(one.shift.position)
        if before is not None and one.shift.starts_at < before.shift.ends_at:
            found.append(
                _detail(
                    one,
                    f"the shift {_span(one)} overlaps {_named(before)} {_span(before)}, which holds"
                    f" the same position, {one.shift.position}; end one before the other begins",
                )
            )
        if before is None or one.shift.ends_at > before.shift.ends_at:
            latest[one.shift.position] = one
    return found


def _detail(one: Written, sentence: str) -> Detail:
    return Detail(pointer=one.pointer, message=f"{one.where}: {sentence}.")


def _named(one: Written) -> str:
    return one.where[:1].lower() + one.where[1:]


def _span(one: Written) -> str:
    return f"from {write_instant(one.shift.starts_at)} to {write_instant(one.shift.ends_at)}"


def _by_start(one: Written) -> tuple[dt.datetime, dt.datetime]:
    return one.shift.starts_at, one.shift.ends_at


def _places_of(
    one: ContactPoint, held: Mapping[Position, ContactId], standing: Sequence[ContactPoint]
) -> list[ContactPoint]:
    places = [replace(one, position=position) for position, id_ in held.items() if id_ == one.id]
    if one.position in held:
        return places or [replace(one, position=Position.OTHER)]
    others = (other for other in standing if other.position is one.position and other.id != one.id)
    keeps = not places or (one.position is not Position.OTHER and not any(others))
    return [*places, one] if keeps else places
