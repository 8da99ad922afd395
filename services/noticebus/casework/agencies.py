"""Agencies, their contacts and their responsibilities: what operators administer."""

import asyncio
import datetime as dt
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, require_visible, visible_agency
from noticebus.casework.administration import (
    FIRST_REVISION,
    administers_bus,
    check_revision,
    differing,
    enter,
    invalid,
    require_manager,
    require_revision,
    resolve_areas,
    stale,
)
from noticebus.casework.desk import Desk
from noticebus.contracts.agency import (
    AgencyPatch,
    AgencyPost,
    ContactPatch,
    ContactPost,
    ResponsibilityPost,
)
from noticebus.contracts.vocabulary import AgencyKind, Scope
from noticebus.domain.policies import default_window
from noticebus.domain.working_time import hours_for
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import new_agency_id, new_contact_id, new_responsibility_id
from noticebus.store import agencies as rows
from noticebus.store.agencies import Agency, Contact, Responsibility


async def create_agency(desk: Desk, principal: Principal, *, post: AgencyPost) -> Agency:
    """Take a new agency onto the bus."""
    require(principal, Scope.ADMIN)
    now = desk.world.now()
    agency = Agency(
        id=new_agency_id(),
        name=post.name,
        kind=post.kind,
        zone=post.zone,
        holidays_state=post.holidays_state,
        revision=FIRST_REVISION,
        created_at=now,
    )
    await _check_calendar_of(agency)
    async with desk.database.begin() as conn:
        await rows.insert_agency(conn, agency)
        body = {"agency_id": agency.id, "kind": str(agency.kind)}
        await enter(conn, "agency.created", body, by=principal, at=now)
    desk.committed()
    return agency


async def get_agency(desk: Desk, principal: Principal, *, agency_id: str) -> Agency:
    """Read one agency; 404 where the principal may not see it."""
    async with desk.database.read() as conn:
        return await visible_agency_row(conn, principal, agency_id)


async def list_agencies(
    desk: Desk, principal: Principal, *, after: str, limit: int
) -> list[Agency]:
    """List at most `limit` agencies with ids after `after`: all, or the principal's own."""
    only = visible_agency(principal)
    async with desk.database.read() as conn:
        return await rows.list_agencies(conn, agency_id=only, after=after, limit=limit)


async def edit_agency(
    desk: Desk, principal: Principal, *, agency_id: str, patch: AgencyPatch, revision: int | None
) -> Agency:
    """Change what is said of an agency; its kind stays, since obligations were made by it."""
    require(principal, Scope.ADMIN)
    expected = require_revision(revision)
    async with desk.database.read() as conn:
        old = await visible_agency_row(conn, principal, agency_id)
    check_revision(old.revision, revision=expected)
    changed = replace(old, **patch.changes(), revision=expected + 1)
    await _check_calendar_of(changed)
    async with desk.database.begin() as conn:
        if not await rows.update_agency(conn, changed, revision=expected):
            raise stale(expected + 1)
        body = {"agency_id": old.id, "fields": differing(old, changed)}
        await enter(conn, "agency.changed", body, by=principal, at=desk.world.now())
    desk.committed()
    return changed


async def create_contact(
    desk: Desk, principal: Principal, *, agency_id: str, post: ContactPost
) -> Contact:
    """Enter a contact.

    Addresses entered for an agency by the bus's own people count as verified.
    """
    require_manager(principal, agency_id, what="agency")
    now = desk.world.now()
    verified_at = now if administers_bus(principal) else None
    async with desk.database.begin() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        contact = Contact(
            id=new_contact_id(),
            agency_id=agency.id,
            name=post.name,
            role=post.role,
            position=post.position,
            email=post.email,
            phone=post.phone,
            email_verified_at=verified_at if post.email else None,
            phone_verified_at=verified_at if post.phone else None,
            ended_at=None,
            revision=FIRST_REVISION,
            created_at=now,
            valid_from=post.valid_from,
            valid_until=post.valid_until,
            texts=post.texts,
        )
        _check_validity(contact)
        await rows.insert_contact(conn, contact)
        body = {"contact_id": contact.id, "agency_id": agency.id}
        await enter(conn, "contact.created", body, by=principal, at=now)
    desk.committed()
    return contact


async def list_contacts(
    desk: Desk, principal: Principal, *, agency_id: str, after: str, limit: int
) -> list[Contact]:
    """List at most `limit` living contacts of an agency with ids after `after`."""
    async with desk.database.read() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        return await rows.list_contacts(conn, agency_id=agency.id, after=after, limit=limit)


async def get_contact(
    desk: Desk, principal: Principal, *, agency_id: str, contact_id: str
) -> Contact:
    """Read one living contact."""
    async with desk.database.read() as conn:
        return await _living_contact(conn, principal, agency_id=agency_id, contact_id=contact_id)


async def edit_contact(
    desk: Desk,
    principal: Principal,
    *,
    agency_id: str,
    contact_id: str,
    patch: ContactPatch,
    revision: int | None,
) -> Contact:
    """Change a contact. A new address is unverified unless the bus's own people enter it."""
    require_manager(principal, agency_id, what="agency")
    expected = require_revision(revision)
    now = desk.world.now()
    verified_at = now if administers_bus(principal) else None
    async with desk.database.begin() as conn:
        old = await _living_contact(conn, principal, agency_id=agency_id, contact_id=contact_id)
        check_revision(old.revision, revision=expected)
        changed = replace(old, **patch.changes(), revision=expected + 1)
        _check_validity(changed)
        changed = _reverified(old, changed, verified_at=verified_at)
        if not await rows.update_contact(conn, changed, revision=expected):
            raise stale(expected + 1)
        body = {
            "contact_id": old.id,
            "agency_id": old.agency_id,
            "fields": differing(old, changed),
        }
        await enter(conn, "contact.changed", body, by=principal, at=now)
    desk.committed()
    return changed


async def end_contact(
    desk: Desk,
    principal: Principal,
    *,
    agency_id: str,
    contact_id: str,
    revision: int | None = None,
) -> Contact:
    """End a contact: nothing is carried to it any more.

    `revision`, where given, must be the present one.
    """
    require_manager(principal, agency_id, what="agency")
    now = desk.world.now()
    async with desk.database.begin() as conn:
        old = await _living_contact(conn, principal, agency_id=agency_id, contact_id=contact_id)
        check_revision(old.revision, revision=revision)
        ended = replace(old, ended_at=now, revision=old.revision + 1)
        if not await rows.update_contact(conn, ended, revision=old.revision):
            raise stale(ended.revision)
        body = {"contact_id": old.id, "agency_id": old.agency_id}
        await enter(conn, "contact.ended", body, by=principal, at=now)
    desk.committed()
    return ended


async def create_responsibility(
    desk: Desk, principal: Principal, *, agency_id: str, post: ResponsibilityPost
) -> Responsibility:
    """Record that an agency answers in a role for areas: from now on notices there oblige it."""
    require(principal, Scope.ADMIN, Scope.OPERATE)
    area_keys = resolve_areas(desk, post.areas)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        new = Responsibility(
            id=new_responsibility_id(),
            agency_id=agency.id,
            role=post.role,
            area_keys=area_keys,
            created_at=now,
            ended_at=None,
        )
        await rows.insert_responsibility(conn, new)
        body = {
            "responsibility_id": new.id,
            "agency_id": agency.id,
            "role": str(post.role),
            "area_keys": area_keys,
        }
        await enter(conn, "responsibility.created", body, by=principal, at=now)
    desk.committed()
    return new


async def list_responsibilities(
    desk: Desk, principal: Principal, *, agency_id: str, after: str, limit: int
) -> list[Responsibility]:
    """List at most `limit` living responsibilities of an agency with ids after `after`."""
    async with desk.database.read() as conn:
        agency = await visible_agency_row(conn, principal, agency_id)
        return await rows.list_responsibilities(conn, agency_id=agency.id, after=after, limit=limit)


async def end_responsibility(
    desk: Desk, principal: Principal, *, agency_id: str, responsibility_id: str
) -> Responsibility:
    """End a responsibility: later notices do not oblige the agency by it.

    Obligations made by it stay.
    """
    require(principal, Scope.ADMIN, Scope.OPERATE)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        found = await rows.find_responsibility(conn, responsibility_id=responsibility_id)
        if found is None or found.agency_id != agency_id:
            raise NotFoundError("This agency has no such responsibility. Check both ids.")
        if not await rows.end_responsibility(conn, responsibility_id=found.id, ended_at=now):
            raise ConflictError("This responsibility has ended already; there is nothing to do.")
        body = {"responsibility_id": found.id, "agency_id": found.agency_id}
        await enter(conn, "responsibility.ended", body, by=principal, at=now)
    desk.committed()
    return replace(found, ended_at=now)


async def visible_agency_row(conn: AsyncConnection, principal: Principal, agency_id: str) -> Agency:
    """Read an agency; 404 where there is none that the principal may see."""
    require_visible(principal, agency_id, what="agency")
    agency = await rows.find_agency(conn, agency_id=agency_id)
    if agency is None:
        raise NotFoundError("There is no agency here that you may see. Check the id.")
    return agency


def _check_calendar(kind: AgencyKind, *, zone: str, holidays_state: str | None) -> None:
    # Reads time zones and calendars from disk the first time: never call it in the event loop.
    window = default_window(kind)
    try:
        hours_for(window, zone=zone)
    except ValueError as error:
        raise invalid("/zone", str(error)) from error
    try:
        hours_for(window, zone=zone, subdiv=holidays_state)
    except ValueError as error:
        raise invalid("/holidays_state", str(error)) from error


async def _check_calendar_of(agency: Agency) -> None:
    await asyncio.to_thread(
        _check_calendar, agency.kind, zone=agency.zone, holidays_state=agency.holidays_state
    )


def _check_validity(contact: Contact) -> None:
    first, last = contact.valid_from, contact.valid_until
    if first is not None and last is not None and last <= first:
        raise invalid("/valid_until", "The contact must stop being valid after it starts.")


def _reverified(old: Contact, new: Contact, *, verified_at: dt.datetime | None) -> Contact:
    # An address that stays keeps its date; a new one is verified only by who enters it.
    email_at = old.email_verified_at if new.email == old.email else None
    phone_at = old.phone_verified_at if new.phone == old.phone else None
    return replace(
        new,
        email_verified_at=(email_at or verified_at) if new.email else None,
        phone_verified_at=(phone_at or verified_at) if new.phone else None,
    )


async def _living_contact(
    conn: AsyncConnection, principal: Principal, *, agency_id: str, contact_id: str
) -> Contact:
    require_visible(principal, agency_id, what="agency")
    contact = await rows.find_contact(conn, contact_id=contact_id)
    if contact is None or contact.agency_id != agency_id or contact.ended_at is not None:
        raise NotFoundError("This agency has no such contact. Check both ids.")
    return contact
