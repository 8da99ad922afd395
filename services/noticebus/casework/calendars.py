"""Agencies' calendars: read, set, and merged with what their programs export."""

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework.administration import (
    enter,
    following_revision,
    invalid,
    require_manager,
    stale,
)
from noticebus.casework.agencies import visible_agency_row
from noticebus.casework.desk import Desk
from noticebus.contracts.calendar import CalendarPut, EarlyReleasePart, TermPart
from noticebus.contracts.vocabulary import AgencyKind
from noticebus.domain.calendar_files import Imported, read_calendar
from noticebus.domain.calendars import Calendar
from noticebus.errors import InvalidError
from noticebus.store import calendars as rows
from noticebus.store.agencies import Agency
from noticebus.store.calendars import CalendarRow, calendar_from

NOTHING_STORED = "Nothing was stored."


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarRead:
    """An agency's calendar: as stated, and as it is in force. Revision 0: nothing is stated."""

    agency: Agency
    stated: CalendarPut
    calendar: Calendar
    revision: int
    updated_at: dt.datetime | None


async def get_calendar(desk: Desk, principal: Principal, *, agency_id: str) -> CalendarRead:
    """Read an agency's calendar."""
    async with desk.database.read() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        row = await rows.find_calendar(conn, agency_id=agency.id)
    return await _read(agency, row)


async def put_calendar(
    desk: Desk, principal: Principal, *, agency_id: str, put: CalendarPut, revision: int | None
) -> CalendarRead:
    """State an agency's whole calendar anew; the first time without a revision."""
    require_manager(principal, agency_id, what="agency")

    def replaced(old: CalendarRow | None) -> CalendarPut:
        following_revision(None if old is None else old.revision, revision=revision)
        return put

    return await _change(desk, principal, agency_id=agency_id, change=replaced)


async def import_calendar(
    desk: Desk, principal: Principal, *, agency_id: str, text: str, revision: int | None
) -> CalendarRead:
    """Merge the closures, terms and early releases of an iCalendar file into a calendar.

    `revision`, where given, must be the present one.
    """
    require_manager(principal, agency_id, what="agency")
    now = desk.world.now()
    async with desk.database.read() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
    imported, faults = await asyncio.to_thread(read_calendar, text, zone=agency.zone, now=now)
    if faults:
        raise InvalidError(f"{faults[0].message} {NOTHING_STORED}", details=faults)

    def merged(old: CalendarRow | None) -> CalendarPut:
        newest = 0 if old is None else old.revision
        if revision is not None and revision != newest:
            raise stale(newest)
        return _merged(CalendarPut() if old is None else _stated(old), imported)

    return await _change(desk, principal, agency_id=agency_id, change=merged)


async def _change(
    desk: Desk,
    principal: Principal,
    *,
    agency_id: str,
    change: Callable[[CalendarRow | None], CalendarPut],
) -> CalendarRead:
    now = desk.world.now()
    async with desk.database.begin() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        old = await rows.find_calendar(conn, agency_id=agency.id)
        put = change(old)
        new = CalendarRow(
            agency_id=agency.id,
            body=put.model_dump(mode="json", exclude_none=True),
            revision=1 if old is None else old.revision + 1,
            updated_at=now,
        )
        read = await _read(agency, new)
        await _store(conn, new, old=old)
        fields = sorted(
            name
            for name in CalendarPut.model_fields
            if old is None or old.body.get(name) != new.body.get(name)
        )
        body = {"agency_id": agency.id, "revision": new.revision, "fields": fields}
        await enter(conn, "calendar.changed", body, by=principal, at=now)
    desk.committed()
    return read


async def _store(conn: AsyncConnection, new: CalendarRow, *, old: CalendarRow | None) -> None:
    if old is None:
        stored = await rows.insert_calendar(conn, new)
    else:
        stored = await rows.update_calendar(conn, new, revision=old.revision)
    if not stored:
        raise stale(new.revision)


async def _read(agency: Agency, row: CalendarRow | None) -> CalendarRead:
    stated = CalendarPut() if row is None else _stated(row)
    if agency.kind is not AgencyKind.SCHOOL_DISTRICT and (stated.bell or stated.terms):
        raise invalid(
            "/bell" if stated.bell else "/terms",
            "Only a school district has terms and a bell schedule; state `hours` instead.",
        )
    # Reads time zones and public holidays from disk the first time.
    try:
        calendar = await asyncio.to_thread(
            calendar_from,
            None if row is None else row.body,
            kind=agency.kind,
            zone=agency.zone,
            holidays_state=agency.holidays_state,
        )
    except ValueError as error:
        raise invalid("", f"{error} {NOTHING_STORED}") from error
    return CalendarRead(
        agency=agency,
        stated=stated,
        calendar=calendar,
        revision=0 if row is None else row.revision,
        updated_at=None if row is None else row.updated_at,
    )


def _stated(row: CalendarRow) -> CalendarPut:
    return CalendarPut.model_validate(row.body)


def _merged(old: CalendarPut, new: Imported) -> CalendarPut:
    """Add what a file says: it wins over an early release of the same day."""
    if new.early_release and old.bell is None:
        raise invalid(
            "",
            "An early release needs a bell schedule to differ from: set the calendar's `bell` "
            f"first. {NOTHING_STORED}",
        )
    terms = {(one.first, one.last) for one in old.terms} | set(new.terms)
    bell = old.bell
    if bell is not None:
        early = {one.day: one.dismissal for one in bell.early_release} | dict(new.early_release)
        parts = tuple(EarlyReleasePart(day=day, dismissal=at) for day, at in sorted(early.items()))
        bell = bell.model_copy(update={"early_release": parts})
    changed = old.model_copy(
        update={
            "closures": tuple(sorted({*old.closures, *new.closures})),
            "terms": tuple(TermPart(first=first, last=last) for first, last in sorted(terms)),
            "bell": bell,
        }
    )
    try:
        return CalendarPut.model_validate(changed.model_dump(mode="json", exclude_none=True))
    except ValueError as error:
        raise invalid(
            "",
            "With these events the calendar would have more closures, terms or early releases than"
            f" it may; take old ones out first. {NOTHING_STORED}",
        ) from error
