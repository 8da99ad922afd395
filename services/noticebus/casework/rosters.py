"""Rosters: who is on duty when, as an agency sends it, all or nothing."""

import asyncio
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework.administration import enter, following_revision, require_manager, stale
from noticebus.casework.agencies import visible_agency_row
from noticebus.casework.desk import Desk
from noticebus.contracts.roster import RosterPut, ShiftPart
from noticebus.domain.roster_files import FileRead, read_csv, read_ics
from noticebus.domain.rosters import (
    SHIFTS_MAX,
    Names,
    Person,
    Shift,
    Written,
    faults_of,
    names_of,
)
from noticebus.errors import Detail, InvalidError
from noticebus.ids import AgencyId, new_shift_id
from noticebus.store import agencies
from noticebus.store import rosters as rows
from noticebus.store.agencies import Agency
from noticebus.store.rosters import NamedShift, Roster, ShiftRow

CONTACTS_MAX = 2_000
SHOWN = dt.timedelta(days=31)  # where the reader names no end
SPAN_MAX = dt.timedelta(days=800)
NOTHING_STORED = "Nothing was stored."


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFile:
    """A roster as rows."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IcsFile:
    """A roster as events of an iCalendar file."""

    text: str


Upload = RosterPut | CsvFile | IcsFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span of time, as far as somebody said; UTC."""

    start: dt.datetime | None = None
    end: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterRead:
    """An agency's shifts from `start` to `end`; without a roster the revision is 0."""

    agency: Agency
    roster: Roster | None
    start: dt.datetime
    end: dt.datetime
    shifts: Sequence[NamedShift]


async def get_roster(desk: Desk, principal: Principal, *, agency_id: str, span: Span) -> RosterRead:
    """Read the shifts that run at some time in a span; it begins now and lasts 31 days."""
    start = span.start or desk.world.now()
    end = span.end or start + SHOWN
    _check_span(start, end)
    async with desk.database.read() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        roster = await rows.find_roster(conn, agency_id=agency.id)
        return await _read(conn, agency, roster, start=start, end=end)


async def put_roster(
    desk: Desk,
    principal: Principal,
    *,
    agency_id: str,
    upload: Upload,
    span: Span,
    revision: int | None,
) -> RosterRead:
    """Replace every shift that begins within a span by those sent, all or nothing.

    The span, where it is not said, is that of the shifts: from the first start to the last end.
    """
    require_manager(principal, agency_id, what="agency")
    now = desk.world.now()
    async with desk.database.read() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        names = await _names(conn, agency.id)
    written = await asyncio.to_thread(_written, upload, names=names, zone=agency.zone, now=now)
    start, end = _span_of(written, said=span)
    async with desk.database.begin() as conn:
        roster = await _next_roster(conn, agency.id, revision=revision, now=now)
        await _check_beside(conn, agency.id, written, start=start, end=end)
        removed = await rows.delete_shifts(conn, agency_id=agency.id, start=start, end=end)
        await rows.insert_shifts(conn, [_row(one.shift, agency.id, now=now) for one in written])
        await _check_count(conn, agency.id, now=now)
        body = {
            "agency_id": agency.id,
            "revision": roster.revision,
            "shifts": len(written),
            "removed": removed,
        }
        await enter(conn, "roster.changed", body, by=principal, at=now)
        read = await _read(conn, agency, roster, start=start, end=end)
    desk.committed()
    return read


def _written(upload: Upload, *, names: Names, zone: str, now: dt.datetime) -> tuple[Written, ...]:
    """Read what was sent; raises with every fault that needs no database."""
    match upload:
        case RosterPut():
            read = _read_parts(upload.shifts, names=names)
        case CsvFile():
            read = read_csv(upload.text, names=names, zone=zone)
        case IcsFile():
            read = read_ics(upload.text, names=names, zone=zone, now=now)
        case _:  # pragma: no cover  (mypy proves it unreachable)
            assert_never(upload)
    _refuse(read.faults or faults_of(read.written))
    return read.written


def _read_parts(parts: Sequence[ShiftPart], *, names: Names) -> FileRead:
    written: list[Written] = []
    faults: list[Detail] = []
    for number, part in enumerate(parts):
        where = f"Shift {number + 1}"
        try:
            contact_id = names.find(part.contact)
        except ValueError as error:
            faults.append(Detail(pointer=f"/shifts/{number}/contact", message=f"{where}: {error}."))
            continue
        shift = Shift(
            contact_id=contact_id,
            position=part.position,
            starts_at=part.starts_at,
            ends_at=part.ends_at,
        )
        written.append(Written(shift=shift, where=where, pointer=f"/shifts/{number}"))
    return FileRead(written=tuple(written), faults=tuple(faults))


def _span_of(written: Sequence[Written], *, said: Span) -> tuple[dt.datetime, dt.datetime]:
    start = said.start or min((one.shift.starts_at for one in written), default=None)
    end = said.end or max((one.shift.ends_at for one in written), default=None)
    if start is None or end is None:
        raise InvalidError(
            "There is no shift in it that is not over. To clear a span, name it with `from` and "
            f"`until`. {NOTHING_STORED}"
        )
    _check_span(start, end)
    outside = [one for one in written if not start <= one.shift.starts_at < end]
    _refuse(
        tuple(
            Detail(
                pointer=one.pointer,
                message=f"{one.where}: the shift begins outside the span from `from` to `until`.",
            )
            for one in outside
        )
    )
    return start, end


def _check_span(start: dt.datetime, end: dt.datetime) -> None:
    if not start < end <= start + SPAN_MAX:
        sentence = f"The span must end after it begins, and within {SPAN_MAX.days} days."
        raise InvalidError(sentence, details=(Detail(pointer="/query:until", message=sentence),))


async def _next_roster(
    conn: AsyncConnection, agency_id: AgencyId, *, revision: int | None, now: dt.datetime
) -> Roster:
    """Write the roster's next revision, which keeps others from it until this is done."""
    old = await rows.find_roster(conn, agency_id=agency_id)
    following = following_revision(None if old is None else old.revision, revision=revision)
    new = Roster(agency_id=agency_id, revision=following, updated_at=now)
    if old is None:
        stored = await rows.insert_roster(conn, new)
    else:
        stored = await rows.update_roster(conn, new, revision=old.revision)
    if not stored:
        raise stale(following)
    return new


async def _check_beside(
    conn: AsyncConnection,
    agency_id: AgencyId,
    written: Sequence[Written],
    *,
    start: dt.datetime,
    end: dt.datetime,
) -> None:
    """Refuse shifts that overlap one which stays: it begins outside the span and runs into it."""
    last = max([end, *(one.shift.ends_at for one in written)])
    found = await rows.shifts_between(
        conn, agency_id=agency_id, start=start, end=last, limit=2 * SHIFTS_MAX
    )
    kept = [
        Shift(
            contact_id=one.shift.contact_id,
            position=one.shift.position,
            starts_at=one.shift.starts_at,
            ends_at=one.shift.ends_at,
        )
        for one in found
        if not start <= one.shift.starts_at < end
    ]
    _refuse(faults_of(written, kept=kept))


async def _check_count(conn: AsyncConnection, agency_id: AgencyId, *, now: dt.datetime) -> None:
    coming = await rows.count_coming(conn, agency_id=agency_id, now=now)
    if coming > SHIFTS_MAX:
        raise InvalidError(
            f"With these the roster would have {coming:,} shifts that are not over; it has at most "
            f"{SHIFTS_MAX:,}. Send fewer months. {NOTHING_STORED}"
        )


async def _names(conn: AsyncConnection, agency_id: AgencyId) -> Names:
    found = await agencies.list_contacts(conn, agency_id=agency_id, after="", limit=CONTACTS_MAX)
    return names_of(Person(id=one.id, name=one.name, email=one.email) for one in found)


async def _read(
    conn: AsyncConnection,
    agency: Agency,
    roster: Roster | None,
    *,
    start: dt.datetime,
    end: dt.datetime,
) -> RosterRead:
    shifts = await rows.shifts_between(
        conn, agency_id=agency.id, start=start, end=end, limit=SHIFTS_MAX
    )
    return RosterRead(agency=agency, roster=roster, start=start, end=end, shifts=shifts)


def _row(shift: Shift, agency_id: AgencyId, *, now: dt.datetime) -> ShiftRow:
    return ShiftRow(
        id=new_shift_id(),
        agency_id=agency_id,
        contact_id=shift.contact_id,
        position=shift.position,
        starts_at=shift.starts_at,
        ends_at=shift.ends_at,
        created_at=now,
    )


def _refuse(faults: Sequence[Detail]) -> None:
    if faults:
        raise InvalidError(f"{faults[0].message} {NOTHING_STORED}", details=tuple(faults))
