"""When the escalation clock has work again: one question, since it is asked every second."""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.store import exercises, notices, obligations, offers

_NEXT = sa.select(
    obligations.next_step().scalar_subquery().label("step"),
    notices.next_release().scalar_subquery().label("release"),
    exercises.next_end().scalar_subquery().label("exercise"),
    offers.next_end().scalar_subquery().label("offer"),
)


async def next_due_at(conn: AsyncConnection) -> dt.datetime | None:
    """Tell when the next step, release, end of an exercise or end of an offer is due."""
    found = (await conn.execute(_NEXT)).one()
    return min((at for at in found if at is not None), default=None)
