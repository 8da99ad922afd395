"""Who must answer one incident: by group, with their counts, their next steps, their places."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import NoticeClass, ObligationState, Owed, Role, Standing
from noticebus.domain.recipient_groups import Group, group_of
from noticebus.ids import IncidentId, ObligationId
from noticebus.store.columns import Instant
from noticebus.store.obligations import Obligation
from noticebus.store.tables import incidents, obligations, responsibilities, responsibility_areas

NEVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a recipient stands in its incident's list, as it was ranked at one moment."""

    group: Group
    due_at: dt.datetime
    id: ObligationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """How many mandatory recipients answer for a place, and how many of them have answered."""

    count: int
    answered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many obligations of an incident are owed for the same, stand alike and are reached."""

    owed: Owed
    state: ObligationState
    reachable: bool
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InRole:
    """How many are there who answer for a place in a role, and how many of them are overdue."""

    area_key: str
    role: Role
    count: int
    overdue: int


def place_of(owed: Obligation, *, now: dt.datetime) -> Place:
    """Place a recipient: the most pressing group first, in it whoever was due first."""
    return Place(group=group_of(owed, now=now), due_at=owed.due_at or NEVER, id=owed.id)


def group_column(*, now: dt.datetime) -> sa.ColumnElement[int]:
    """Say what `domain.recipient_groups.group_of` says, for the database."""
    state, due_at = obligations.c.state, obligations.c.due_at
    is_open, is_closed = state == ObligationState.OPEN, state == ObligationState.CLOSED
    return sa.case(
        (is_open & obligations.c.reachable.is_(False), int(Group.UNREACHABLE)),
        (is_open & (due_at <= now), int(Group.OVERDUE)),
        (is_open, int(Group.OPEN)),
        (is_closed & (obligations.c.closed_at > due_at), int(Group.ANSWERED_LATE)),
        (is_closed, int(Group.ANSWERED)),
        (state == ObligationState.DECLINED, int(Group.DECLINED)),
        (state == ObligationState.WAIVED, int(Group.WAIVED)),
        else_=int(Group.WITHDRAWN),
    )


async def recipients_page(
    conn: AsyncConnection,
    incident_id: IncidentId,
    *,
    now: dt.datetime,
    after: Place | None,
    limit: int,
) -> list[Obligation]:
    """Read at most `limit` recipients after `after`, the most pressing first."""
    group = group_column(now=now)
    due_at = sa.func.coalesce(obligations.c.due_at, sa.literal(NEVER, Instant))
    statement = (
        sa.select(obligations)
        .where(obligations.c.incident_id == incident_id, obligations.c.owed == Owed.NOTICE)
        .order_by(group, due_at, obligations.c.id)
        .limit(limit)
    )
    if after is not None:
        later = sa.tuple_(due_at, obligations.c.id) > sa.tuple_(
            sa.literal(after.due_at, Instant), sa.literal(after.id)
        )
        place = int(after.group)
        statement = statement.where((group > place) | ((group == place) & later))
    return [Obligation(**row) for row in (await conn.execute(statement)).mappings()]


async def counts_by_group(
    conn: AsyncConnection, incident_id: IncidentId, *, now: dt.datetime
) -> Mapping[Standing, Mapping[Group, int]]:
    """Count an incident's recipients by standing and group."""
    grouped = (
        sa.select(obligations.c.standing, group_column(now=now).label("place"))
        .where(obligations.c.incident_id == incident_id, obligations.c.owed == Owed.NOTICE)
        .subquery()
    )
    statement = sa.select(grouped.c.standing, grouped.c.place, sa.func.count()).group_by(
        grouped.c.standing, grouped.c.place
    )
    found: dict[Standing, dict[Group, int]] = {one: {} for one in Standing}
    for standing, number, count in await conn.execute(statement):
        found[standing][Group(number)] = count
    return found


async def others_owing(
    conn: AsyncConnection, incident_id: IncidentId, *, limit: int
) -> list[Obligation]:
    """Read what others than recipients owe an incident: its poster and the bus's operators."""
    statement = (
        sa.select(obligations)
        .where(obligations.c.incident_id == incident_id, obligations.c.owed != Owed.NOTICE)
        .order_by(obligations.c.id)
        .limit(limit)
    )
    return [Obligation(**row) for row in (await conn.execute(statement)).mappings()]


async def tallies(conn: AsyncConnection, incident_id: IncidentId) -> list[Tally]:
    """Count what is owed for an incident by what it is: recipients' answers, posters' debts."""
    kinds = (obligations.c.owed, obligations.c.state, obligations.c.reachable)
    statement = (
        sa.select(*kinds, sa.func.count().label("count"))
        .where(obligations.c.incident_id == incident_id)
        .group_by(*kinds)
    )
    return [Tally(**row) for row in (await conn.execute(statement)).mappings()]


async def open_of_class_a(
    conn: AsyncConnection, incident_id: IncidentId, *, limit: int
) -> list[Obligation]:
    """Read what stands against an all-clear, in id order: open mandatory matters of class A.

    A promised update does not: the all-clear keeps it.
    """
    statement = (
        sa.select(obligations)
        .where(
            obligations.c.incident_id == incident_id,
            obligations.c.state == ObligationState.OPEN,
            obligations.c.notice_class == NoticeClass.A,
            obligations.c.standing == Standing.MANDATORY,
            obligations.c.owed != Owed.UPDATE,
        )
        .order_by(obligations.c.id)
        .limit(limit)
    )
    return [Obligation(**row) for row in (await conn.execute(statement)).mappings()]


async def next_to_step(
    conn: AsyncConnection, incident_id: IncidentId, *, limit: int
) -> list[Obligation]:
    """Read the open obligations of an incident whose steps come next, the soonest first."""
    statement = (
        sa.select(obligations)
        .where(
            obligations.c.incident_id == incident_id,
            obligations.c.state == ObligationState.OPEN,
            obligations.c.next_step_at.is_not(None),
        )
        .order_by(obligations.c.next_step_at, obligations.c.id)
        .limit(limit)
    )
    return [Obligation(**row) for row in (await conn.execute(statement)).mappings()]


async def count_stopped(conn: AsyncConnection, incident_id: IncidentId) -> int:
    """Count the mandatory recipients of an incident that are open and have no step left."""
    statement = sa.select(sa.func.count()).where(
        obligations.c.incident_id == incident_id,
        obligations.c.owed == Owed.NOTICE,
        obligations.c.state == ObligationState.OPEN,
        obligations.c.standing == Standing.MANDATORY,
        obligations.c.round_started_at.is_not(None),
        obligations.c.next_step_at.is_(None),
    )
    return int((await conn.execute(statement)).scalar_one())


def present_in(incident_ids: Collection[str], *, now: dt.datetime) -> sa.CompoundSelect[Any]:
    """Select who is there for a place, of incidents: id, agency, and 1 where past the deadline.

    They are the mandatory recipients who have neither declined nor been waived, and the poster, who
    knows.
    """
    is_overdue = (obligations.c.state == ObligationState.OPEN) & (obligations.c.due_at <= now)
    bound = sa.select(
        obligations.c.incident_id,
        obligations.c.agency_id,
        sa.case((is_overdue, 1), else_=0).label("overdue"),
    ).where(
        obligations.c.incident_id.in_(sorted(incident_ids)),
        obligations.c.owed == Owed.NOTICE,
        obligations.c.standing == Standing.MANDATORY,
        obligations.c.state.not_in([ObligationState.DECLINED, ObligationState.WAIVED]),
    )
    posters = sa.select(incidents.c.id, incidents.c.agency_id, sa.literal(0)).where(
        incidents.c.id.in_(sorted(incident_ids))
    )
    return sa.union_all(bound, posters)


async def overdue_for(
    conn: AsyncConnection,
    incident_id: IncidentId,
    area_keys: Collection[str],
    *,
    roles: Collection[Role],
    now: dt.datetime,
) -> list[InRole]:
    """Count, by area key and role, who of those `present_in` an incident is silent too long."""
    there = present_in([incident_id], now=now).subquery("there")
    overdue = sa.case((there.c.overdue == 1, there.c.agency_id))
    statement = (
        sa.select(
            responsibility_areas.c.area_key,
            responsibilities.c.role,
            sa.func.count(there.c.agency_id.distinct()).label("count"),
            sa.func.count(overdue.distinct()).label("overdue"),
        )
        .select_from(there)
        .join(responsibilities, responsibilities.c.agency_id == there.c.agency_id)
        .join(
            responsibility_areas,
            responsibility_areas.c.responsibility_id == responsibilities.c.id,
        )
        .where(
            responsibilities.c.ended_at.is_(None),
            responsibilities.c.role.in_(sorted(roles)),
            responsibility_areas.c.area_key.in_(sorted(area_keys)),
        )
        .group_by(responsibility_areas.c.area_key, responsibilities.c.role)
    )
    return [InRole(**row) for row in (await conn.execute(statement)).mappings()]


async def answering_for(
    conn: AsyncConnection, incident_id: IncidentId, area_keys: Collection[str]
) -> Mapping[str, Answering]:
    """Count, for each area key, who of an incident's mandatory recipients answers for it now."""
    answered = sa.case((obligations.c.state == ObligationState.CLOSED, obligations.c.id))
    statement = (
        sa.select(
            responsibility_areas.c.area_key,
            sa.func.count(obligations.c.id.distinct()),
            sa.func.count(answered.distinct()),
        )
        .select_from(obligations)
        .join(responsibilities, responsibilities.c.agency_id == obligations.c.agency_id)
        .join(
            responsibility_areas,
            responsibility_areas.c.responsibility_id == responsibilities.c.id,
        )
        .where(
            obligations.c.incident_id == incident_id,
            obligations.c.owed == Owed.NOTICE,
            obligations.c.standing == Standing.MANDATORY,
            responsibility_areas.c.area_key.in_(sorted(area_keys)),
        )
        .group_by(responsibility_areas.c.area_key)
    )
    return {
        key: Answering(count=count, answered=done)
        for key, count, done in await conn.execute(statement)
    }
