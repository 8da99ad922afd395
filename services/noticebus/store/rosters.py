"""Rosters: an agency's shifts, and the revision that its edits are based on."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Position
from noticebus.ids import AgencyId, ContactId, ShiftId
from noticebus.store.rows import values_of
from noticebus.store.tables import contacts, rosters, shifts


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """That an agency has a roster, and at which revision it is."""

    agency_id: AgencyId
    revision: int
    updated_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftRow:
    """A contact holds a position of an agency from `starts_at` to `ends_at`."""

    id: ShiftId
    agency_id: AgencyId
    contact_id: ContactId
    position: Position
    starts_at: dt.datetime
    ends_at: dt.datetime
    created_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedShift:
    """A shift with the name of its contact, to be shown."""

    shift: ShiftRow
    contact_name: str


async def find_roster(conn: AsyncConnection, *, agency_id: str) -> Roster | None:
    """Find an agency's roster."""
    statement = sa.select(rosters).where(rosters.c.agency_id == agency_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Roster(**row)


async def insert_roster(conn: AsyncConnection, roster: Roster) -> bool:
    """Store an agency's first roster; False where another came first."""
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = (
        insert(rosters)
        .values(values_of(roster))
        .on_conflict_do_nothing(index_elements=["agency_id"])
    )
    return (await conn.execute(statement)).rowcount == 1


async def update_roster(conn: AsyncConnection, roster: Roster, *, revision: int) -> bool:
    """Write `roster` over its `revision`; False where another edit came first.

    Its row is locked from now on: whoever changes shifts comes through here.
    """
    statement = (
        rosters.update()
        .where(rosters.c.agency_id == roster.agency_id, rosters.c.revision == revision)
        .values(revision=roster.revision, updated_at=roster.updated_at)
    )
    return (await conn.execute(statement)).rowcount == 1


async def shifts_between(
    conn: AsyncConnection, *, agency_id: str, start: dt.datetime, end: dt.datetime, limit: int
) -> list[NamedShift]:
    """List at most `limit` shifts that run at some time from `start` to `end`, by start."""
    statement = (
        sa.select(shifts, contacts.c.name.label("contact_name"))
        .join(contacts, contacts.c.id == shifts.c.contact_id)
        .where(
            shifts.c.agency_id == agency_id,
            shifts.c.ends_at > start,
            shifts.c.starts_at < end,
        )
        .order_by(shifts.c.starts_at, shifts.c.id)
        .limit(limit)
    )
    found: list[NamedShift] = []
    for row in (await conn.execute(statement)).mappings():
        values = dict(row)
        name = values.pop("contact_name")
        found.append(NamedShift(shift=ShiftRow(**values), contact_name=name))
    return found


async def delete_shifts(
    conn: AsyncConnection, *, agency_id: str, start: dt.datetime, end: dt.datetime
) -> int:
    """Delete the shifts that begin from `start` to before `end`; say how many there were."""
    statement = shifts.delete().where(
        shifts.c.agency_id == agency_id,
        shifts.c.starts_at >= start,
        shifts.c.starts_at < end,
    )
    return (await conn.execute(statement)).rowcount


async def count_coming(conn: AsyncConnection, *, agency_id: str, now: dt.datetime) -> int:
    """Count an agency's shifts that are not over at `now`."""
    statement = sa.select(sa.func.count()).where(
        shifts.c.agency_id == agency_id, shifts.c.ends_at > now
    )
    return int((await conn.execute(statement)).scalar_one())


async def insert_shifts(conn: AsyncConnection, rows: Sequence[ShiftRow]) -> None:
    """Store shifts, if there are any."""
    if rows:
        await conn.execute(shifts.insert(), [values_of(row) for row in rows])
