"""Facts about the installation itself: markers, the database's clock, and counts for the gauges."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import ObligationState, Owed, Status
from noticebus.store.tables import markers, obligations


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCounts:
    """The actual obligations that are open now, without exercises (I9)."""

    open: int
    overdue: int
    oldest_due_at: dt.datetime | None


async def read_marker(conn: AsyncConnection, name: str) -> str | None:
    """Read one marker, None where it was never set."""
    statement = sa.select(markers.c.value).where(markers.c.name == name)
    found: str | None = (await conn.execute(statement)).scalar_one_or_none()
    return found


async def insert_marker(conn: AsyncConnection, name: str, value: str) -> None:
    """Set one marker for the first time; an integrity error where it has been set."""
    await conn.execute(markers.insert(), {"name": name, "value": value})


async def write_marker(conn: AsyncConnection, name: str, value: str) -> None:
    """Set one marker."""
    update = sa.update(markers).where(markers.c.name == name).values(value=value)
    if not (await conn.execute(update)).rowcount:
        await conn.execute(markers.insert(), {"name": name, "value": value})


async def database_now(conn: AsyncConnection) -> dt.datetime:
    """Ask the database for the time; PostgreSQL only, as SQLite's is this machine's."""
    found: dt.datetime = (await conn.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
    return found


async def count_open(conn: AsyncConnection, *, now: dt.datetime) -> OpenCounts:
    """Count what recipients owe now, and how much of it is overdue."""
    statement = sa.select(
        sa.func.count(),
        sa.func.count(sa.case((obligations.c.due_at < now, 1))),
        sa.func.min(obligations.c.due_at),
    ).where(
        obligations.c.state == ObligationState.OPEN,
        obligations.c.status == Status.ACTUAL,
        obligations.c.owed == Owed.NOTICE,
    )
    row = (await conn.execute(statement)).one()
    return OpenCounts(open=row[0], overdue=row[1], oldest_due_at=row[2])
