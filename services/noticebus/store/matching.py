"""What routing reads: who answers for areas, who subscribes, and how they are reached."""

import datetime as dt
import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import AgencyKind, NoticeKind, Position, SubscriptionState
from noticebus.domain.calendars import Calendar
from noticebus.domain.escalation import ContactPoint
from noticebus.domain.rosters import seated
from noticebus.domain.routing import ResponsibilityMatch, SubscriptionMatch
from noticebus.domain.working_time import Hours
from noticebus.ids import AgencyId, ContactId, SubscriptionId
from noticebus.records import lean
from noticebus.store import prepared
from noticebus.store.calendars import calendar_from
from noticebus.store.columns import Instant
from noticebus.store.hot import update_rows
from noticebus.store.rows import among, among_given
from noticebus.store.tables import (
    agencies,
    calendars,
    contacts,
    responsibilities,
    responsibility_areas,
    shifts,
    subscription_areas,
    subscription_counters,
    subscriptions,
)

ANY_KIND = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyFacts:
    """What a notice needs to know of an agency: its name, kind and calendar.

    Two that say the same of an agency are equal: its calendar is the one of `calendar_revision`,
    written at `calendar_at`.
    """

    id: AgencyId
    name: str
    kind: AgencyKind
    zone: str
    holidays_state: str | None
    calendar_revision: int | None = None
    calendar_at: dt.datetime | None = None
    calendar_body: Any = field(default=None, compare=False, repr=False)

    @property
    def calendar(self) -> Calendar:
        return _calendar_of(self)

    @property
    def hours(self) -> Hours:
        return self.calendar.hours


@lean
class OrderMatch:
    """A subscription, with the area and notice kind through which it matched."""

    area_key: str
    kind: str
    match: SubscriptionMatch


_RESPONSIBILITIES = (
    sa.select(
        responsibilities.c.agency_id,
        agencies.c.kind.label("agency_kind"),
        responsibilities.c.role,
        responsibility_areas.c.area_key,
    )
    .select_from(responsibility_areas)
    .join(responsibilities, responsibilities.c.id == responsibility_areas.c.responsibility_id)
    .join(agencies, agencies.c.id == responsibilities.c.agency_id)
    .where(among_given(responsibility_areas.c.area_key, "area_keys"))
)


async def responsibilities_for(
    conn: AsyncConnection, area_keys: Collection[str]
) -> list[ResponsibilityMatch]:
    """Find who answers for any of `area_keys`, with the area that matched."""
    given = {"area_keys": area_keys}
    return await prepared.records(conn, _RESPONSIBILITIES, given, ResponsibilityMatch)


def _waits() -> sa.ColumnElement[bool]:
    """Select for whom notices are numbered and held: paused, or moved to where none consented yet.

    One that has never consented gets no numbers: nothing was promised to it.
    """
    moved = (
        subscriptions.c.state == SubscriptionState.PENDING_VERIFICATION
    ) & subscriptions.c.verified_at.is_not(None)
    return (subscriptions.c.state == SubscriptionState.PAUSED) | moved


_ORDERS = (
    sa.select(
        subscription_areas.c.area_key,
        subscription_areas.c.kind,
        subscriptions.c.id,
        subscriptions.c.agency_id,
        agencies.c.kind.label("agency_kind"),
        subscriptions.c.channel,
        subscriptions.c.content_level,
        subscriptions.c.contact_id,
        subscriptions.c.state,
        _waits().label("waits"),
    )
    .select_from(subscription_areas)
    .join(subscriptions, subscriptions.c.id == subscription_areas.c.subscription_id)
    .join(agencies, agencies.c.id == subscriptions.c.agency_id)
    .where(
        among_given(subscription_areas.c.area_key, "area_keys"),
        among_given(subscription_areas.c.kind, "kinds"),
        # Written out: a plan made for any state takes this to leave one row, and reads all.
        subscriptions.c.state != sa.literal_column(f"'{SubscriptionState.ENDED}'"),
    )
)


async def orders_for(
    conn: AsyncConnection, area_keys: Collection[str], kinds: Collection[NoticeKind]
) -> list[OrderMatch]:
    """Find the subscriptions to any of `area_keys` for any of `kinds`, each with what matched."""
    given = {"area_keys": area_keys, "kinds": [ANY_KIND, *kinds]}
    return [
        OrderMatch(
            area_key=row.area_key,
            kind=row.kind,
            match=SubscriptionMatch(
                subscription_id=SubscriptionId(row.id),
                agency_id=AgencyId(row.agency_id),
                agency_kind=row.agency_kind,
                channel=row.channel,
                content_level=row.content_level,
                contact_id=row.contact_id,
                verified=row.waits or row.state == SubscriptionState.ACTIVE,
                paused=row.waits,
                moved=row.waits and row.state == SubscriptionState.PENDING_VERIFICATION,
            ),
        )
        for row in await prepared.rows(conn, _ORDERS, given)
    ]


async def orders_of_agencies(
    conn: AsyncConnection, agency_ids: Collection[AgencyId], *, paused_too: bool = False
) -> dict[AgencyId, list[SubscriptionMatch]]:
    """Find every living subscription of agencies, whatever its areas.

    Whom a step or an update reaches; with `paused_too` also those for which it is held back.
    """
    living = subscriptions.c.state == SubscriptionState.ACTIVE
    statement = (
        sa.select(
            subscriptions.c.id.label("subscription_id"),
            subscriptions.c.agency_id,
            agencies.c.kind.label("agency_kind"),
            subscriptions.c.channel,
            subscriptions.c.content_level,
            subscriptions.c.contact_id,
            _waits().label("paused"),
        )
        .join(agencies, agencies.c.id == subscriptions.c.agency_id)
        .where(
            among(subscriptions.c.agency_id, agency_ids),
            living | _waits() if paused_too else living,
        )
        .order_by(subscriptions.c.id)
    )
    found: dict[AgencyId, list[SubscriptionMatch]] = {}
    for row in (await conn.execute(statement)).mappings():
        match = SubscriptionMatch(**row, verified=True)
        found.setdefault(match.agency_id, []).append(match)
    return found


def valid_at(at: dt.datetime | sa.ColumnElement[dt.datetime]) -> sa.ColumnElement[bool]:
    """Select contacts that speak for their agency at `at`: not ended, begun and not run out."""
    return sa.and_(
        contacts.c.ended_at.is_(None),
        contacts.c.valid_from.is_(None) | (contacts.c.valid_from <= at),
        contacts.c.valid_until.is_(None) | (contacts.c.valid_until > at),
    )


def reached(*, telephone: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Select contacts with a verified address that the bus can use, as `contact_points` does."""
    mail = sa.and_(contacts.c.email.is_not(None), contacts.c.email_verified_at.is_not(None))
    dialled = sa.and_(contacts.c.phone.is_not(None), contacts.c.phone_verified_at.is_not(None))
    return mail | sa.and_(dialled, telephone)


def _points(of: sa.ColumnElement[bool]) -> sa.Select[Any]:
    at = sa.bindparam("at", type_=Instant())
    running = sa.and_(
        shifts.c.agency_id == contacts.c.agency_id,
        shifts.c.contact_id == contacts.c.id,
        shifts.c.starts_at <= at,
        shifts.c.ends_at > at,
    )
    return (
        sa.select(contacts, shifts.c.position.label("on_shift"))
        .outerjoin(shifts, running)
        .where(of, valid_at(at))
        .order_by(contacts.c.id)
    )


_POINTS_OF_AGENCIES = _points(among_given(contacts.c.agency_id, "agency_ids"))
_POINTS_OF_CONTACTS = _points(among_given(contacts.c.id, "contact_ids"))
_POINTS_OF_OPERATORS = _points(
    contacts.c.agency_id.in_(sa.select(agencies.c.id).where(agencies.c.kind == AgencyKind.OPERATOR))
)


async def contact_points(
    conn: AsyncConnection,
    agency_ids: Collection[AgencyId],
    *,
    at: dt.datetime,
    telephone: bool,
) -> dict[AgencyId, list[ContactPoint]]:
    """Read the contacts of agencies that are valid at `at`, each with what reaches it.

    Only verified addresses count, and telephones only where the bus has a provider (`telephone`).
    Positions are those of the roster; a contact on two positions comes twice.
    """
    rows = await prepared.rows(conn, _POINTS_OF_AGENCIES, {"agency_ids": agency_ids, "at": at})
    return _seated(rows, telephone=telephone)


async def points_of_contacts(
    conn: AsyncConnection, contact_ids: Collection[ContactId], *, at: dt.datetime, telephone: bool
) -> dict[ContactId, ContactPoint]:
    """Read contacts by their ids, as `contact_points` does."""
    rows = await conn.execute(_POINTS_OF_CONTACTS, {"contact_ids": contact_ids, "at": at})
    found = _seated(rows, telephone=telephone)
    return {point.id: point for points in found.values() for point in points}


async def operator_points(
    conn: AsyncConnection, *, at: dt.datetime, telephone: bool
) -> list[ContactPoint]:
    """Read the contacts of the bus's own operators, as `contact_points` does."""
    found = _seated(await conn.execute(_POINTS_OF_OPERATORS, {"at": at}), telephone=telephone)
    return [point for points in found.values() for point in points]


def _seated(rows: Iterable[Any], *, telephone: bool) -> dict[AgencyId, list[ContactPoint]]:
    """Give the people of each agency, with the positions that a shift gives them now."""
    points: dict[AgencyId, dict[ContactId, ContactPoint]] = {}
    on_shift: dict[AgencyId, dict[Position, ContactId]] = {}
    for row in rows:
        points.setdefault(row.agency_id, {})[row.id] = ContactPoint(
            id=row.id,
            position=row.position,
            email=row.email if row.email_verified_at else None,
            phone=row.phone if telephone and row.phone_verified_at else None,
            texts=row.texts,
        )
        if row.on_shift is not None:
            on_shift.setdefault(row.agency_id, {})[row.on_shift] = row.id
    return {
        id_: seated(list(standing.values()), on_shift.get(id_, {}))
        for id_, standing in points.items()
    }


_FACTS = (
    sa.select(
        agencies.c.id,
        agencies.c.name,
        agencies.c.kind,
        agencies.c.zone,
        agencies.c.holidays_state,
        calendars.c.revision.label("calendar_revision"),
        calendars.c.updated_at.label("calendar_at"),
        calendars.c.body.label("calendar_body"),
    )
    .outerjoin(calendars, calendars.c.agency_id == agencies.c.id)
    .where(among_given(agencies.c.id, "agency_ids"))
)


async def agencies_by_id(
    conn: AsyncConnection, agency_ids: Collection[AgencyId]
) -> dict[AgencyId, AgencyFacts]:
    """Read names, kinds and calendars."""
    found = await prepared.records(conn, _FACTS, {"agency_ids": agency_ids}, AgencyFacts)
    return {one.id: one for one in found}


@functools.lru_cache(maxsize=8192)
def _calendar_of(facts: AgencyFacts) -> Calendar:
    # Kept, because one notice asks it of every agency of a state.
    return calendar_from(
        facts.calendar_body,
        kind=facts.kind,
        zone=facts.zone,
        holidays_state=facts.holidays_state,
    )


_FIRST_OPERATORS = sa.select(sa.func.min(agencies.c.id)).where(
    agencies.c.kind == AgencyKind.OPERATOR
)


async def first_operators(conn: AsyncConnection) -> AgencyFacts | None:
    """Find the bus's own operators: of several such agencies the one registered first."""
    ((found,),) = await prepared.rows(conn, _FIRST_OPERATORS, {})
    if found is None:
        return None
    return (await agencies_by_id(conn, [AgencyId(found)]))[AgencyId(found)]


async def known_leas(conn: AsyncConnection, lea_ids: Collection[str]) -> frozenset[str]:
    """Find which school districts exist for this installation.

    Those somebody answers for or subscribes to.
    """
    keys = sorted(f"lea:{lea_id}" for lea_id in set(lea_ids))
    if not keys:
        return frozenset()
    statement = sa.union(
        sa.select(responsibility_areas.c.area_key).where(responsibility_areas.c.area_key.in_(keys)),
        sa.select(subscription_areas.c.area_key).where(subscription_areas.c.area_key.in_(keys)),
    )
    return frozenset(key.removeprefix("lea:") for key in (await conn.execute(statement)).scalars())


_COUNTERS = (
    sa.select(subscription_counters.c.subscription_id, subscription_counters.c.last_sequence)
    .where(among_given(subscription_counters.c.subscription_id, "subscription_ids"))
    .order_by(subscription_counters.c.subscription_id)
    .with_for_update(key_share=True)  # SQLite: the single writer
)


_COUNTER = (
    sa.update(subscription_counters)
    .where(subscription_counters.c.subscription_id == sa.bindparam("one"))
    .values(last_sequence=subscription_counters.c.last_sequence + sa.bindparam("taken"))
    .returning(subscription_counters.c.last_sequence)
)


async def take_sequences(
    conn: AsyncConnection, counts: Mapping[SubscriptionId, int]
) -> dict[SubscriptionId, int]:
    """Take `counts[s]` numbers of each subscription's sequence, in id order.

    Give the first number of each.
    """
    if not counts:
        return {}
    if len(counts) == 1:  # which needs no order, and so no look before it
        ((only, taken),) = counts.items()
        ((newest,),) = await prepared.rows(conn, _COUNTER, {"one": only, "taken": taken})
        return {only: newest - taken + 1}
    locked = await prepared.rows(conn, _COUNTERS, {"subscription_ids": counts})
    last = {SubscriptionId(row[0]): int(row[1]) for row in locked}
    assert last.keys() == counts.keys(), "every subscription has a counter from its first day"
    rows = [
        {"subscription_id": one, "last_sequence": last[one] + counts[one]} for one in sorted(counts)
    ]
    await update_rows(conn, subscription_counters, rows, key="subscription_id")
    return {one: last[one] + 1 for one in counts}
