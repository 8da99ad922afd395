"""What an exercise takes no more once its time is over, whether or not the engine has ended it."""

import datetime as dt
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Status
from noticebus.errors import ConflictError
from noticebus.store import exercises
from noticebus.store.notices import Incident


async def refuse_ended_exercise(
    conn: AsyncConnection,
    incident: Incident,
    *,
    what: Literal["version", "question", "offer"],
    now: dt.datetime,
) -> None:
    """Raise ConflictError where the incident is an exercise whose end has come.

    Whatever it took would start a clock, and after its end nobody is reminded of it.
    """
    if incident.status is not Status.EXERCISE:
        return
    exercise = await exercises.exercise_of_incident(conn, incident.id)
    if exercise is not None and exercise.ends_at <= now:
        raise ConflictError(
            f"The exercise has ended and takes no further {what}. Read its report.",
            code="exercise-ended",
        )
