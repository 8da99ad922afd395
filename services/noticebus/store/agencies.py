"""Agencies, the people who answer for them, and the areas they answer for."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import AgencyKind, Position, Role
from noticebus.ids import AgencyId, ContactId, ResponsibilityId
from noticebus.store.rows import values_of
from noticebus.store.tables import agencies, contacts, responsibilities, responsibility_areas


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """An organisation on the bus."""

    id: AgencyId
    name: str
    kind: AgencyKind
    zone: str
    holidays_state: str | None
    revision: int
    created_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A person or desk of an agency. An address counts only once it is verified."""

    id: ContactId
    agency_id: AgencyId
    name: str
    role: str
    position: Position
    email: str | None
    phone: str | None
    email_verified_at: dt.datetime | None
    phone_verified_at: dt.datetime | None
    ended_at: dt.datetime | None
    revision: int
    created_at: dt.datetime
    valid_from: dt.datetime | None = None
    valid_until: dt.datetime | None = None
    texts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Responsibility:
    """An agency answers in `role` for `area_keys`: what makes obligations mandatory."""

    id: ResponsibilityId
    agency_id: AgencyId
    role: Role
    area_keys: list[str]
    created_at: dt.datetime
    ended_at: dt.datetime | None


async def insert_agency(conn: AsyncConnection, agency: Agency) -> None:
    """Store a new agency."""
    await conn.execute(agencies.insert().values(values_of(agency)))


async def find_agency(conn: AsyncConnection, *, agency_id: str) -> Agency | None:
    """Find an agency by its id."""
    statement = sa.select(agencies).where(agencies.c.id == agency_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Agency(**row)


async def list_agencies(
    conn: AsyncConnection, *, agency_id: str | None, after: str, limit: int
) -> list[Agency]:
    """List at most `limit` agencies with ids after `after`; only `agency_id` where it is given."""
    statement = sa.select(agencies).where(agencies.c.id > after)
    if agency_id is not None:
        statement = statement.where(agencies.c.id == agency_id)
    statement = statement.order_by(agencies.c.id).limit(limit)
    return [Agency(**row) for row in (await conn.execute(statement)).mappings()]


async def update_agency(conn: AsyncConnection, agency: Agency, *, revision: int) -> bool:
    """Write `agency` over its `revision`; False where another edit came first."""
    return await _update(conn, agencies, record=agency, revision=revision)


async def insert_contact(conn: AsyncConnection, contact: Contact) -> None:
    """Store a new contact."""
    await conn.execute(contacts.insert().values(values_of(contact)))


async def find_contact(conn: AsyncConnection, *, contact_id: str) -> Contact | None:
    """Find a contact, ended or not, by its id."""
    statement = sa.select(contacts).where(contacts.c.id == contact_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Contact(**row)


async def contacts_by_id(
    conn: AsyncConnection, contact_ids: Collection[ContactId]
) -> dict[ContactId, Contact]:
    """Read contacts, ended or not, by their ids."""
    statement = sa.select(contacts).where(contacts.c.id.in_(sorted(set(contact_ids))))
    found = [Contact(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.id: one for one in found}


async def list_contacts(
    conn: AsyncConnection, *, agency_id: str, after: str, limit: int
) -> list[Contact]:
    """List at most `limit` living contacts of an agency with ids after `after`."""
    statement = (
        sa.select(contacts)
        .where(
            contacts.c.agency_id == agency_id,
            contacts.c.ended_at.is_(None),
            contacts.c.id > after,
        )
        .order_by(contacts.c.id)
        .limit(limit)
    )
    return [Contact(**row) for row in (await conn.execute(statement)).mappings()]


async def update_contact(conn: AsyncConnection, contact: Contact, *, revision: int) -> bool:
    """Write `contact` over its `revision`; False where another edit came first."""
    return await _update(conn, contacts, record=contact, revision=revision)


async def has_reachable_contact(conn: AsyncConnection, *, agency_id: str) -> bool:
    """Say whether an agency has a living contact with mail or phone: a person to tell."""
    statement = (
        sa.select(contacts.c.id)
        .where(
            contacts.c.agency_id == agency_id,
            contacts.c.ended_at.is_(None),
            contacts.c.email.is_not(None) | contacts.c.phone.is_not(None),
        )
        .limit(1)
    )
    return (await conn.execute(statement)).first() is not None


async def insert_responsibility(conn: AsyncConnection, new: Responsibility) -> None:
    """Store a responsibility and the area rows that routing reads."""
    await conn.execute(responsibilities.insert().values(values_of(new)))
    rows = [{"area_key": key, "responsibility_id": new.id} for key in sorted(set(new.area_keys))]
    await conn.execute(responsibility_areas.insert(), rows)


async def find_responsibility(
    conn: AsyncConnection, *, responsibility_id: str
) -> Responsibility | None:
    """Find a responsibility, ended or not, by its id."""
    statement = sa.select(responsibilities).where(responsibilities.c.id == responsibility_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Responsibility(**row)


async def list_responsibilities(
    conn: AsyncConnection, *, agency_id: str, after: str, limit: int
) -> list[Responsibility]:
    """List at most `limit` living responsibilities of an agency with ids after `after`."""
    statement = (
        sa.select(responsibilities)
        .where(
            responsibilities.c.agency_id == agency_id,
            responsibilities.c.ended_at.is_(None),
            responsibilities.c.id > after,
        )
        .order_by(responsibilities.c.id)
        .limit(limit)
    )
    return [Responsibility(**row) for row in (await conn.execute(statement)).mappings()]


async def end_responsibility(
    conn: AsyncConnection, *, responsibility_id: str, ended_at: dt.datetime
) -> bool:
    """End a living responsibility and take it out of routing; False where it had ended already."""
    statement = (
        responsibilities.update()
        .where(responsibilities.c.id == responsibility_id, responsibilities.c.ended_at.is_(None))
        .values(ended_at=ended_at)
    )
    if (await conn.execute(statement)).rowcount == 0:
        return False
    await conn.execute(
        responsibility_areas.delete().where(
            responsibility_areas.c.responsibility_id == responsibility_id
        )
    )
    return True


async def _update(conn: AsyncConnection, table: sa.Table, *, record: Any, revision: int) -> bool:
    values = values_of(record)
    statement = (
        table.update()
        .where(table.c.id == values.pop("id"), table.c.revision == revision)
        .values(values)
    )
    return (await conn.execute(statement)).rowcount == 1
