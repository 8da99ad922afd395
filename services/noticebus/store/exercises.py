"""Exercises, and what happened in each: one statement per kind of fact, however many took part."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    DeliveryState,
    ExerciseState,
    ObligationState,
    Owed,
    Status,
)
from noticebus.ids import ActorId, AgencyId, DeliveryId, ExerciseId, IncidentId, ObligationId
from noticebus.store import prepared
from noticebus.store.agencies import Agency
from noticebus.store.deliveries import Delivery
from noticebus.store.rows import among_given, values_of
from noticebus.store.tables import (
    acknowledgements,
    agencies,
    contacts,
    deliveries,
    exercises,
    incidents,
    obligations,
    responsibilities,
    steps,
)

CARRIES_DUTY = (Cause.NOTICE, Cause.STEP, Cause.CORRECTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """A drill, as stored. Whether it runs is told by the clock; `ended` is what the engine did."""

    id: ExerciseId
    agency_id: AgencyId
    name: str
    incident_id: IncidentId
    state: ExerciseState
    starts_at: dt.datetime
    ends_at: dt.datetime
    created_by: ActorId
    created_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The first delivery that reached a recipient, and over which channel."""

    channel: Channel
    at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """When a recipient answered first, and when it gave its closing answer."""

    first_at: dt.datetime
    closing_at: dt.datetime | None


async def insert_exercise(conn: AsyncConnection, new: Exercise) -> None:
    """Insert an exercise; its incident is there."""
    await conn.execute(exercises.insert().values(values_of(new)))


async def find_exercise(
    conn: AsyncConnection, exercise_id: ExerciseId, *, lock: bool = False
) -> Exercise | None:
    """Read one exercise; with `lock` after its incident, the first lock of the transaction."""
    statement = sa.select(exercises).where(exercises.c.id == exercise_id)
    if lock:
        statement = statement.with_for_update(key_share=True)  # SQLite: the single writer
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Exercise(**row)


async def exercise_of_incident(conn: AsyncConnection, incident_id: IncidentId) -> Exercise | None:
    """Read the exercise that an incident belongs to; a drill posted as a notice has none."""
    statement = sa.select(exercises).where(exercises.c.incident_id == incident_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Exercise(**row)


async def exercise_page(
    conn: AsyncConnection, *, agency_id: AgencyId | None, before: ExerciseId | None, limit: int
) -> list[Exercise]:
    """Read at most `limit` exercises, newest first, of one agency or of all."""
    statement = sa.select(exercises).order_by(exercises.c.id.desc()).limit(limit)
    if agency_id is not None:
        statement = statement.where(exercises.c.agency_id == agency_id)
    if before is not None:
        statement = statement.where(exercises.c.id < before)
    return [Exercise(**row) for row in (await conn.execute(statement)).mappings()]


def answers_for_places() -> sa.ColumnElement[bool]:
    """Say that an agency has a living responsibility."""
    return sa.exists().where(
        responsibilities.c.agency_id == agencies.c.id, responsibilities.c.ended_at.is_(None)
    )


def completed_one() -> sa.ColumnElement[bool]:
    """Say that an agency has closed what it owed in some exercise."""
    return sa.exists().where(
        obligations.c.agency_id == agencies.c.id,
        obligations.c.owed == Owed.NOTICE,
        obligations.c.status == Status.EXERCISE,
        obligations.c.state == ObligationState.CLOSED,
    )


async def incidents_completed(
    conn: AsyncConnection, incident_ids: Collection[IncidentId]
) -> set[IncidentId]:
    """Say in which of some incidents a recipient has closed what it owed."""
    statement = (
        sa.select(obligations.c.incident_id)
        .where(
            obligations.c.incident_id.in_(sorted(incident_ids)),
            obligations.c.owed == Owed.NOTICE,
            obligations.c.state == ObligationState.CLOSED,
        )
        .distinct()
    )
    return {IncidentId(one) for one in (await conn.execute(statement)).scalars()}


async def never_completed(
    conn: AsyncConnection, *, agency_id: AgencyId | None, after: str, limit: int
) -> list[Agency]:
    """List at most `limit` agencies, by id, that answer for places and never closed a drill."""
    statement = (
        sa.select(agencies)
        .where(answers_for_places(), ~completed_one(), agencies.c.id > after)
        .order_by(agencies.c.id)
        .limit(limit)
    )
    if agency_id is not None:
        statement = statement.where(agencies.c.id == agency_id)
    return [Agency(**row) for row in (await conn.execute(statement)).mappings()]


async def find_due_ends(
    conn: AsyncConnection, *, now: dt.datetime, batch_size_max: int
) -> list[Exercise]:
    """Read at most `batch_size_max` exercises whose end has come and is not carried out yet."""
    statement = (
        sa.select(exercises)
        .where(exercises.c.state == ExerciseState.SCHEDULED, exercises.c.ends_at <= now)
        .order_by(exercises.c.ends_at, exercises.c.id)
        .limit(batch_size_max)
    )
    return [Exercise(**row) for row in (await conn.execute(statement)).mappings()]


def next_end() -> sa.Select[Any]:
    """Ask when the next exercise ends."""
    return sa.select(sa.func.min(exercises.c.ends_at)).where(
        exercises.c.state == ExerciseState.SCHEDULED
    )


async def next_end_at(conn: AsyncConnection) -> dt.datetime | None:
    """Tell when the next exercise ends."""
    found: dt.datetime | None = (await conn.execute(next_end())).scalar_one_or_none()
    return found


async def mark_exercise(
    conn: AsyncConnection, exercise_id: ExerciseId, *, state: ExerciseState
) -> bool:
    """End or cancel an exercise that is still scheduled; false where another was first."""
    statement = (
        sa.update(exercises)
        .where(exercises.c.id == exercise_id, exercises.c.state == ExerciseState.SCHEDULED)
        .values(state=state)
    )
    return bool((await conn.execute(statement)).rowcount)


async def first_arrivals(
    conn: AsyncConnection, incident_id: IncidentId
) -> dict[ObligationId, Arrival]:
    """Read what reached each recipient of an incident first; what the operators get is not it."""
    to_recipient = sa.or_(
        deliveries.c.contact_id.is_(None), contacts.c.agency_id == deliveries.c.agency_id
    )
    numbered = (
        sa.select(
            deliveries.c.obligation_id,
            deliveries.c.channel,
            deliveries.c.finished_at.label("at"),
            sa.func.row_number()
            .over(
                partition_by=deliveries.c.obligation_id,
                order_by=(deliveries.c.finished_at, deliveries.c.id),
            )
            .label("place"),
        )
        .outerjoin(contacts, contacts.c.id == deliveries.c.contact_id)
        .where(
            deliveries.c.incident_id == incident_id,
            deliveries.c.obligation_id.is_not(None),
            deliveries.c.state == DeliveryState.DELIVERED,
            deliveries.c.cause.in_(CARRIES_DUTY),
            to_recipient,
        )
        .subquery()
    )
    rows = await conn.execute(sa.select(numbered).where(numbered.c.place == 1))
    return {
        row["obligation_id"]: Arrival(channel=row["channel"], at=row["at"])
        for row in rows.mappings()
    }


async def answer_times(
    conn: AsyncConnection, incident_id: IncidentId
) -> dict[ObligationId, Answers]:
    """Read when each recipient of an incident answered first, and closed the matter last."""
    closing = sa.func.max(acknowledgements.c.recorded_at).filter(acknowledgements.c.closed)
    statement = (
        sa.select(
            acknowledgements.c.obligation_id,
            sa.func.min(acknowledgements.c.recorded_at).label("first_at"),
            closing.label("closing_at"),
        )
        .join(obligations, obligations.c.id == acknowledgements.c.obligation_id)
        .where(obligations.c.incident_id == incident_id)
        .group_by(acknowledgements.c.obligation_id)
    )
    return {
        row["obligation_id"]: Answers(first_at=row["first_at"], closing_at=row["closing_at"])
        for row in (await conn.execute(statement)).mappings()
    }


async def steps_fired(conn: AsyncConnection, incident_id: IncidentId) -> dict[ObligationId, int]:
    """Count the steps that fired for each recipient of an incident, skipped ones aside."""
    statement = (
        sa.select(steps.c.obligation_id, sa.func.count())
        .join(obligations, obligations.c.id == steps.c.obligation_id)
        .where(obligations.c.incident_id == incident_id, steps.c.skipped.is_(False))
        .group_by(steps.c.obligation_id)
    )
    return {ObligationId(one): count for one, count in await conn.execute(statement)}


_DRILLS = sa.select(incidents.c.id).where(
    among_given(incidents.c.id, "incident_ids"), incidents.c.status != Status.ACTUAL
)


async def live_among(conn: AsyncConnection, carried: Collection[Delivery]) -> frozenset[DeliveryId]:
    """Tell which deliveries are of the actual, or of no incident: the others count nowhere (I9)."""
    ids = {one.incident_id for one in carried if one.incident_id is not None}
    drills: set[str] = set()
    if ids:
        drills.update(one for (one,) in await prepared.rows(conn, _DRILLS, {"incident_ids": ids}))
    return frozenset(one.id for one in carried if one.incident_id not in drills)
