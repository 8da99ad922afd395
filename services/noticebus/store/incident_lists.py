"""Incidents listed for people: those with somebody overdue first, then the newest."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    IncidentState,
    ObligationState,
    Owed,
    Standing,
    Status,
)
from noticebus.domain.recipient_groups import Group
from noticebus.ids import AgencyId, IncidentId
from noticebus.store.incident_recipients import group_column
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation
from noticebus.store.tables import agencies, incidents, notices, obligations


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which incidents: None is "any". `visible_to` limits them to what one agency may see.

    `agency` is an agency's id, or a part of its name; it posted the incident or must answer it, as
    far as the reader may know: a recipient is not told who else was.
    """

    status: Status
    state: IncidentState | None
    agency: str
    visible_to: AgencyId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an incident stands in the list, as it was ranked at one moment."""

    overdue: bool
    id: IncidentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One incident of the list, and whether somebody is overdue in it."""

    incident: Incident
    overdue: bool


async def incident_page(
    conn: AsyncConnection,
    selection: Selection,
    *,
    now: dt.datetime,
    after: Place | None,
    limit: int,
) -> list[Listed]:
    """Read at most `limit` incidents after `after`: two statements at most."""
    found: list[Listed] = []
    for overdue in (True, False):
        if len(found) == limit or (after is not None and after.overdue < overdue):
            continue
        late = _somebody_overdue(selection, now=now)
        statement = (
            sa.select(incidents)
            .where(*_about(selection), late if overdue else ~late)
            .order_by(incidents.c.id.desc())
            .limit(limit - len(found))
        )
        if after is not None and after.overdue is overdue:
            statement = statement.where(incidents.c.id < after.id)
        rows = (await conn.execute(statement)).mappings()
        found += [Listed(incident=Incident(**row), overdue=overdue) for row in rows]
    return found


async def counts_of(
    conn: AsyncConnection, incident_ids: Collection[IncidentId], *, now: dt.datetime
) -> Mapping[IncidentId, Mapping[Group, int]]:
    """Count the mandatory recipients of incidents by how they stand: one statement."""
    grouped = (
        sa.select(obligations.c.incident_id, group_column(now=now).label("place"))
        .where(
            obligations.c.incident_id.in_(sorted(incident_ids)),
            obligations.c.owed == Owed.NOTICE,
            obligations.c.standing == Standing.MANDATORY,
        )
        .subquery()
    )
    statement = sa.select(grouped.c.incident_id, grouped.c.place, sa.func.count()).group_by(
        grouped.c.incident_id, grouped.c.place
    )
    found: defaultdict[IncidentId, dict[Group, int]] = defaultdict(dict)
    for incident_id, number, count in await conn.execute(statement):
        found[incident_id][Group(number)] = count
    return found


async def latest_seen(
    conn: AsyncConnection,
    incident_ids: Collection[IncidentId],
    *,
    visible_to: AgencyId | None,
) -> dict[IncidentId, Notice]:
    """Read the newest version of each incident that may be seen: a recipient's was released."""
    newer = notices.alias()
    statement = sa.select(notices).where(
        notices.c.incident_id.in_(sorted(incident_ids)),
        _seen(notices, visible_to),
        ~sa.exists().where(
            newer.c.incident_id == notices.c.incident_id,
            newer.c.version > notices.c.version,
            _seen(newer, visible_to),
        ),
    )
    found = [Notice(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.incident_id: one for one in found}


async def owed_in(
    conn: AsyncConnection, incident_ids: Collection[IncidentId], *, agency_id: AgencyId
) -> dict[IncidentId, Obligation]:
    """Read what one agency owes the notices of incidents: one statement."""
    statement = sa.select(obligations).where(
        obligations.c.incident_id.in_(sorted(incident_ids)),
        obligations.c.agency_id == agency_id,
        obligations.c.owed == Owed.NOTICE,
        obligations.c.round_started_at.is_not(None),
    )
    found = [Obligation(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.incident_id: one for one in found}


def _seen(table: sa.FromClause, visible_to: AgencyId | None) -> sa.ColumnElement[bool]:
    if visible_to is None:
        return sa.true()
    return (table.c.agency_id == visible_to) | table.c.released_at.is_not(None)


def _about(selection: Selection) -> Sequence[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = [incidents.c.status == selection.status]
    if selection.state is not None:
        wanted.append(incidents.c.state == selection.state)
    if selection.visible_to is not None:
        wanted.append(
            _posted_or_owed(
                incidents.c.agency_id == selection.visible_to,
                owing=[
                    obligations.c.agency_id == selection.visible_to,
                    obligations.c.round_started_at.is_not(None),
                ],
            )
        )
    if selection.agency:
        meant = sa.select(agencies.c.id).where(
            (agencies.c.id == selection.agency)
            | agencies.c.name.icontains(selection.agency, autoescape=True)
        )
        owing: list[sa.ColumnElement[bool]] = [obligations.c.agency_id.in_(meant)]
        if selection.visible_to is not None:
            owing.append(_known_to(selection.visible_to))
        wanted.append(_posted_or_owed(incidents.c.agency_id.in_(meant), owing=owing))
    return wanted


def _posted_or_owed(
    posted: sa.ColumnElement[bool], *, owing: Sequence[sa.ColumnElement[bool]]
) -> sa.ColumnElement[bool]:
    owed = sa.exists().where(
        obligations.c.incident_id == incidents.c.id,
        obligations.c.owed == Owed.NOTICE,
        *owing,
    )
    return posted | owed


def _somebody_overdue(selection: Selection, *, now: dt.datetime) -> sa.ColumnElement[bool]:
    """Select incidents in which a mandatory answer is overdue; a recipient knows of its own."""
    late = [
        obligations.c.incident_id == incidents.c.id,
        obligations.c.status == selection.status,  # as its incident: leads to the partial index
        obligations.c.state == ObligationState.OPEN,
        obligations.c.standing == Standing.MANDATORY,
        obligations.c.due_at <= now,
    ]
    if selection.visible_to is not None:
        late.append(_known_to(selection.visible_to))
    return sa.exists().where(*late)


def _known_to(agency_id: AgencyId) -> sa.ColumnElement[bool]:
    """Select what others owe the incidents that an agency posted, and what it owes itself."""
    return (incidents.c.agency_id == agency_id) | (obligations.c.agency_id == agency_id)
