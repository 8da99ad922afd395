"""Lists of agencies for people: by name, kind and place, with what each owes and how it does."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    AgencyKind,
    EndpointState,
    ObligationState,
    Owed,
    Status,
    SubscriptionState,
)
from noticebus.domain.paths import Order
from noticebus.ids import AgencyId
from noticebus.store.agencies import Agency, Contact
from noticebus.store.obligations import Obligation
from noticebus.store.tables import (
    agencies,
    contacts,
    endpoints,
    obligations,
    responsibilities,
    responsibility_areas,
    subscriptions,
)

CONTACTS_MAX = 5_000
ORDERS_MAX = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which agencies: one alone, by the beginning of a name, by kind, by where they answer.

    `area_keys` are those of a place and of what it lies in; `county_prefix` that of all counties of
    a state.
    """

    only: AgencyId | None = None
    name_prefix: str = ""
    kind: AgencyKind | None = None
    area_keys: frozenset[str] = frozenset()
    county_prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owing:
    """What an agency owes now: open obligations, and those of them that are overdue."""

    open: int = 0
    overdue: int = 0


async def agency_page(
    conn: AsyncConnection, selection: Selection, *, after: str, limit: int
) -> list[Agency]:
    """Read at most `limit` agencies by name, those that follow the agency `after` if it is given.

    Names are compared in lower case; SQLite knows that of ASCII only.
    """
    name = sa.func.lower(agencies.c.name)
    statement = sa.select(agencies).where(*_of(selection)).order_by(name, agencies.c.id)
    if after:
        last = agencies.alias()
        before = sa.select(sa.func.lower(last.c.name)).where(last.c.id == after).scalar_subquery()
        statement = statement.where(
            (name > before) | ((name == before) & (agencies.c.id > after)),
        )
    return [Agency(**row) for row in (await conn.execute(statement.limit(limit))).mappings()]


async def owing_of(
    conn: AsyncConnection, agency_ids: Collection[AgencyId], *, now: dt.datetime
) -> dict[AgencyId, Owing]:
    """Count what agencies owe to actual notices, each once its round has begun."""
    statement = (
        sa.select(
            obligations.c.agency_id,
            sa.func.count().label("open"),
            sa.func.count().filter(obligations.c.due_at <= now).label("overdue"),
        )
        .where(
            obligations.c.agency_id.in_(sorted(agency_ids)),
            obligations.c.owed == Owed.NOTICE,
            obligations.c.status == Status.ACTUAL,
            obligations.c.state == ObligationState.OPEN,
            obligations.c.round_started_at.is_not(None),
        )
        .group_by(obligations.c.agency_id)
    )
    return {
        AgencyId(row["agency_id"]): Owing(open=row["open"], overdue=row["overdue"])
        for row in (await conn.execute(statement)).mappings()
    }


async def orders_of(
    conn: AsyncConnection, agency_ids: Collection[AgencyId]
) -> dict[AgencyId, list[Order]]:
    """Read what of agencies' living subscriptions makes paths, at most `ORDERS_MAX` of all."""
    statement = (
        sa.select(
            subscriptions.c.agency_id,
            subscriptions.c.id,
            subscriptions.c.name,
            subscriptions.c.channel,
            subscriptions.c.state,
            subscriptions.c.verified_at,
            sa.func.coalesce(endpoints.c.state, EndpointState.HEALTHY).label("endpoint"),
        )
        .outerjoin(endpoints, endpoints.c.subscription_id == subscriptions.c.id)
        .where(
            subscriptions.c.agency_id.in_(sorted(agency_ids)),
            subscriptions.c.state != SubscriptionState.ENDED,
        )
        .order_by(subscriptions.c.agency_id, subscriptions.c.id)
        .limit(ORDERS_MAX)
    )
    found: defaultdict[AgencyId, list[Order]] = defaultdict(list)
    for row in (await conn.execute(statement)).mappings():
        facts = dict(row)
        agency_id = AgencyId(facts.pop("agency_id"))
        facts["endpoint"] = EndpointState(facts["endpoint"])
        found[agency_id].append(Order(**facts))
    return dict(found)


async def contacts_of(
    conn: AsyncConnection, agency_ids: Collection[AgencyId]
) -> dict[AgencyId, list[Contact]]:
    """Read the contacts of agencies that have not ended, at most `CONTACTS_MAX` of all."""
    statement = (
        sa.select(contacts)
        .where(contacts.c.agency_id.in_(sorted(agency_ids)), contacts.c.ended_at.is_(None))
        .order_by(contacts.c.agency_id, contacts.c.id)
        .limit(CONTACTS_MAX)
    )
    found: defaultdict[AgencyId, list[Contact]] = defaultdict(list)
    for row in (await conn.execute(statement)).mappings():
        contact = Contact(**row)
        found[contact.agency_id].append(contact)
    return dict(found)


async def latest_owed(
    conn: AsyncConnection, agency_id: AgencyId, *, status: Status, limit: int
) -> list[Obligation]:
    """Read the latest obligations of an agency to notices of a status, newest first."""
    statement = (
        sa.select(obligations)
        .where(
            obligations.c.agency_id == agency_id,
            obligations.c.owed == Owed.NOTICE,
            obligations.c.status == status,
            obligations.c.round_started_at.is_not(None),
        )
        .order_by(obligations.c.id.desc())
        .limit(limit)
    )
    return [Obligation(**row) for row in (await conn.execute(statement)).mappings()]


def _of(selection: Selection) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    if selection.only is not None:
        wanted.append(agencies.c.id == selection.only)
    if selection.name_prefix:
        name = sa.func.lower(agencies.c.name)
        wanted.append(name.startswith(selection.name_prefix.lower(), autoescape=True))
    if selection.kind is not None:
        wanted.append(agencies.c.kind == selection.kind)
    if selection.area_keys or selection.county_prefix:
        wanted.append(_answers_there(selection))
    return wanted


def _answers_there(selection: Selection) -> sa.ColumnElement[bool]:
    key = responsibility_areas.c.area_key
    there: sa.ColumnElement[bool] = key.in_(sorted(selection.area_keys))
    if selection.county_prefix:
        there |= key.startswith(selection.county_prefix, autoescape=True)
    answering = (
        sa.select(responsibilities.c.agency_id)
        .join(
            responsibility_areas, responsibility_areas.c.responsibility_id == responsibilities.c.id
        )
        .where(there)
    )
    return agencies.c.id.in_(answering)
