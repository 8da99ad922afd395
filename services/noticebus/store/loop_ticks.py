"""Signs of life: when each loop of each process looked for work last, and what waits unsent."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import AgencyKind
from noticebus.ids import AgencyId
from noticebus.store.tables import agencies, deliveries, loop_ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """When a loop of a process looked for work last, in machine time."""

    process: str
    loop: str
    ticked_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticks:
    """What all processes have said of themselves.

    `waiting_since` is when the oldest delivery fell due that nobody has taken up, in world time.
    `zone` is the clock of whoever looks: the agency's own, else the operators'.
    """

    ticks: tuple[Tick, ...]
    waiting_since: dt.datetime | None
    zone: str | None


async def write_ticks(
    conn: AsyncConnection, *, process: str, ticks: Mapping[str, dt.datetime]
) -> None:
    """Write when each loop of one process looked for work last, in one statement."""
    if not ticks:
        return
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    rows = [
        {"process": process, "loop": loop, "ticked_at": at} for loop, at in sorted(ticks.items())
    ]
    statement = insert(loop_ticks).values(rows)
    changed = {"ticked_at": statement.excluded.ticked_at}
    await conn.execute(
        statement.on_conflict_do_update(index_elements=loop_ticks.primary_key, set_=changed)
    )


async def delete_process(conn: AsyncConnection, process: str) -> None:
    """Forget a process that has ended."""
    await conn.execute(sa.delete(loop_ticks).where(loop_ticks.c.process == process))


async def delete_before(conn: AsyncConnection, *, before: dt.datetime) -> None:
    """Forget loops that were last heard of before `before`, machine time."""
    await conn.execute(sa.delete(loop_ticks).where(loop_ticks.c.ticked_at < before))


async def read_ticks(
    conn: AsyncConnection,
    *,
    agency_id: AgencyId | None,
    now: dt.datetime,
    machine_now: dt.datetime,
) -> Ticks:
    """Read every loop's last sign and the oldest delivery that is due and taken up by nobody."""
    waiting = (
        sa.select(deliveries.c.due_at)
        .where(
            deliveries.c.due_at.is_not(None),  # what the partial index holds
            deliveries.c.due_at <= now,
            deliveries.c.lease_until <= machine_now,
        )
        .order_by(deliveries.c.due_at)
        .limit(1)
    )
    theirs = agencies.c.kind == AgencyKind.OPERATOR
    clock = sa.select(agencies.c.zone).order_by(agencies.c.id).limit(1)
    zones = [clock.where(theirs)]
    if agency_id is not None:
        zones.insert(0, clock.where(agencies.c.id == agency_id))
    once = sa.select(
        waiting.scalar_subquery().label("waiting_since"),
        sa.func.coalesce(*(one.scalar_subquery() for one in zones), None).label("zone"),
    ).subquery()
    found = (
        await conn.execute(
            sa.select(once, loop_ticks)
            .select_from(once.outerjoin(loop_ticks, sa.true()))
            .order_by(loop_ticks.c.loop, loop_ticks.c.process)
        )
    ).all()
    return Ticks(
        ticks=tuple(
            Tick(process=row.process, loop=row.loop, ticked_at=row.ticked_at)
            for row in found
            if row.process is not None
        ),
        waiting_since=found[0].waiting_since,
        zone=found[0].zone,
    )
