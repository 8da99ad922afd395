"""What the first page shows beside the report: the last answer, and exercises of today."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import ExerciseState, Owed, Status
from noticebus.ids import AgencyId
from noticebus.store.exercises import Exercise
from noticebus.store.tables import acknowledgements, exercises, incidents, obligations


async def last_answer_at(
    conn: AsyncConnection, *, agency_id: AgencyId | None, posted: bool
) -> dt.datetime | None:
    """Tell when a recipient answered last, of all or of what an agency may see; no exercises (I9).

    Ids of answers are in the order of time, so that the newest is found from the end.
    """
    statement = (
        sa.select(acknowledgements.c.recorded_at)
        .join(obligations, obligations.c.id == acknowledgements.c.obligation_id)
        .where(obligations.c.status == Status.ACTUAL, obligations.c.owed == Owed.NOTICE)
        .order_by(acknowledgements.c.id.desc())
        .limit(1)
    )
    if agency_id is not None:
        theirs = obligations.c.agency_id == agency_id
        if posted:
            own = sa.select(incidents.c.id).where(incidents.c.agency_id == agency_id)
            theirs |= obligations.c.incident_id.in_(own)
        statement = statement.where(theirs)
    found: dt.datetime | None = (await conn.execute(statement)).scalar_one_or_none()
    return found


async def exercises_between(
    conn: AsyncConnection,
    *,
    agency_id: AgencyId | None,
    now: dt.datetime,
    until: dt.datetime,
    limit: int,
) -> list[Exercise]:
    """Read at most `limit` exercises that run at `now` or begin before `until`, the first first."""
    statement = (
        sa.select(exercises)
        .where(
            exercises.c.state.in_([ExerciseState.SCHEDULED, ExerciseState.RUNNING]),
            exercises.c.starts_at < until,
            exercises.c.ends_at > now,
        )
        .order_by(exercises.c.starts_at, exercises.c.id)
        .limit(limit)
    )
    if agency_id is not None:
        statement = statement.where(exercises.c.agency_id == agency_id)
    return [Exercise(**row) for row in (await conn.execute(statement)).mappings()]
