"""Cancels that wait for their second person: at most one per incident."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.ids import ActorId, IncidentId
from noticebus.store.rows import values_of
from noticebus.store.tables import cancel_requests

LAPSES_AFTER = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """One person's wish to cancel. `requested_by` is the key it came with."""

    incident_id: IncidentId
    base_version: int
    reason: str
    requested_by: ActorId
    by_name: str
    by_role: str
    requested_at: dt.datetime

    @property
    def lapses_at(self) -> dt.datetime:
        return self.requested_at + LAPSES_AFTER

    def pends(self, *, latest_version: int, now: dt.datetime) -> bool:
        """Say whether it can still be confirmed: no newer version, and not yet lapsed."""
        return self.base_version == latest_version and now < self.lapses_at


async def find_cancel_request(
    conn: AsyncConnection, incident_id: IncidentId
) -> CancelRequest | None:
    """Read an incident's request; whoever changes it holds the incident's lock."""
    statement = sa.select(cancel_requests).where(cancel_requests.c.incident_id == incident_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else CancelRequest(**row)


async def put_cancel_request(conn: AsyncConnection, new: CancelRequest) -> None:
    """Store a request in the place of one that no longer pends."""
    await delete_cancel_request(conn, new.incident_id)
    await conn.execute(cancel_requests.insert().values(values_of(new)))


async def delete_cancel_request(conn: AsyncConnection, incident_id: IncidentId) -> None:
    """Delete an incident's request: carried out, or taken back."""
    await conn.execute(
        sa.delete(cancel_requests).where(cancel_requests.c.incident_id == incident_id)
    )
