"""What operators had sent again for an incident, read back from its deliveries.

Their place among the steps is below zero: -1 for the first of the incident, -2 for the second.
"""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Cause, ObligationState
from noticebus.ids import IncidentId
from noticebus.store.obligations import Obligation
from noticebus.store.tables import deliveries, obligations


@dataclass(frozen=True, slots=True, kw_only=True)
class Resends:
    """How many there have been of an incident, and when the last was."""

    count: int
    last_at: dt.datetime | None


async def resends_of(conn: AsyncConnection, incident_id: IncidentId) -> Resends:
    """Count the resends of an incident."""
    statement = sa.select(
        sa.func.min(deliveries.c.step), sa.func.max(deliveries.c.created_at)
    ).where(
        deliveries.c.incident_id == incident_id,
        deliveries.c.cause == Cause.STEP,
        deliveries.c.step < 0,
    )
    lowest, last_at = (await conn.execute(statement)).one()
    return Resends(count=-(lowest or 0), last_at=last_at)


async def open_obligations(conn: AsyncConnection, incident_id: IncidentId) -> list[Obligation]:
    """Read the open obligations of an incident in id order."""
    statement = (
        sa.select(obligations)
        .where(
            obligations.c.incident_id == incident_id,
            obligations.c.state == ObligationState.OPEN,
        )
        .order_by(obligations.c.id)
    )
    return [Obligation(**row) for row in (await conn.execute(statement)).mappings()]
