"""Who of the operators is working on which obligation: one person at a time, for a while."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import ObligationState
from noticebus.ids import ActorId, ObligationId
from noticebus.store.rows import values_of
from noticebus.store.tables import attendances, obligations


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """One person working on one obligation, from `began_at` until `lapses_at`, world time."""

    obligation_id: ObligationId
    actor: ActorId
    name: str
    began_at: dt.datetime
    lapses_at: dt.datetime


async def of(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId], *, now: dt.datetime
) -> dict[ObligationId, Attendance]:
    """Give who works on each of `obligation_ids` at `now`: one statement for a whole list.

    What has lapsed is left out, and so is what has been answered since.
    """
    if not obligation_ids:
        return {}
    statement = (
        sa.select(attendances)
        .join(obligations, obligations.c.id == attendances.c.obligation_id)
        .where(
            attendances.c.obligation_id.in_(sorted(obligation_ids)),
            attendances.c.lapses_at > now,
            obligations.c.state == ObligationState.OPEN,
        )
    )
    found = [Attendance(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.obligation_id: one for one in found}


async def put(conn: AsyncConnection, attendance: Attendance) -> None:
    """Put `attendance` in the place of whatever is there; the caller has locked the obligation."""
    await remove(conn, attendance.obligation_id)
    await conn.execute(attendances.insert().values(**values_of(attendance)))


async def remove(conn: AsyncConnection, obligation_id: ObligationId) -> None:
    """Remove what is there; the caller has locked the obligation."""
    gone = attendances.delete().where(attendances.c.obligation_id == obligation_id)
    await conn.execute(gone)
