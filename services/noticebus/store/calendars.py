"""Agencies' calendars: opening hours, closures, terms and bell schedules, each a body as sent."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.calendar import BellPart, CalendarPut, HoursPart, Weekday
from noticebus.contracts.vocabulary import AgencyKind
from noticebus.domain.calendars import BellSchedule, Calendar, calendar_of
from noticebus.domain.policies import default_window
from noticebus.domain.working_time import Hours, hours_for
from noticebus.ids import AgencyId
from noticebus.store.rows import values_of
from noticebus.store.tables import calendars

WEEKDAYS = tuple(Weekday)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarRow:
    """What an agency has stated: `body` is a `CalendarPut` in JSON."""

    agency_id: AgencyId
    body: dict[str, Any]
    revision: int
    updated_at: dt.datetime


def calendar_from(
    body: object, *, kind: AgencyKind, zone: str, holidays_state: str | None
) -> Calendar:
    """Read a stored body, None for the usual calendar of the agency's kind.

    Raises ValueError where it contradicts itself.
    """
    usual = hours_for(default_window(kind), zone=zone, subdiv=holidays_state)
    if body is None:
        return Calendar(hours=usual)
    put = CalendarPut.model_validate(body)
    return calendar_of(
        usual if put.hours is None else _own_hours(put.hours, usual=usual),
        closures=frozenset(put.closures),
        terms=tuple(sorted((term.first, term.last) for term in put.terms)),
        bell=None if put.bell is None else _bell(put.bell),
    )


async def find_calendar(conn: AsyncConnection, *, agency_id: str) -> CalendarRow | None:
    """Find what an agency has stated about its calendar."""
    statement = sa.select(calendars).where(calendars.c.agency_id == agency_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else CalendarRow(**row)


async def insert_calendar(conn: AsyncConnection, row: CalendarRow) -> bool:
    """Store an agency's first calendar; False where another came first."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = (
        insert(calendars)
        .values(values_of(row))
        .on_conflict_do_nothing(index_elements=["agency_id"])
    )
    return (await conn.execute(statement)).rowcount == 1


async def update_calendar(conn: AsyncConnection, row: CalendarRow, *, revision: int) -> bool:
    """Write `row` over its `revision`; False where another edit came first."""
    statement = (
        calendars.update()
        .where(calendars.c.agency_id == row.agency_id, calendars.c.revision == revision)
        .values(body=row.body, revision=row.revision, updated_at=row.updated_at)
    )
    return (await conn.execute(statement)).rowcount == 1


def _own_hours(part: HoursPart, *, usual: Hours) -> Hours:
    return Hours(
        zone=usual.zone,
        opens=part.opens,
        closes=part.closes,
        weekdays=frozenset(WEEKDAYS.index(one) for one in part.weekdays),
        country=usual.country,
        subdiv=usual.subdiv,
        rests_on_holidays=part.rests_on_holidays,
    )


def _bell(part: BellPart) -> BellSchedule:
    return BellSchedule(
        starts=part.starts,
        dismissal=part.dismissal,
        early_release=tuple(sorted((one.day, one.dismissal) for one in part.early_release)),
    )
