"""Who stands in for whom: at most one living delegation per agency."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import DelegationHours
from noticebus.ids import AgencyId, DelegationId
from noticebus.store import prepared
from noticebus.store.rows import among_given, values_of
from noticebus.store.tables import delegations

DELEGATIONS_LOCK = 0x64656C6567617465  # "delegate" as a number: the same in every release


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """`delegate_id` answers for the agency, always or while it is closed."""

    id: DelegationId
    agency_id: AgencyId
    delegate_id: AgencyId
    hours: DelegationHours
    created_at: dt.datetime
    ended_at: dt.datetime | None


async def lock_all(conn: AsyncConnection) -> None:
    """Let nobody else make a delegation until this transaction ends.

    SQLite needs nothing: there the single writer protects us.
    """
    if conn.dialect.name == "postgresql":
        await conn.execute(sa.select(sa.func.pg_advisory_xact_lock(DELEGATIONS_LOCK)))


async def insert_delegation(conn: AsyncConnection, new: Delegation) -> None:
    """Store a new delegation. The agency has no living one."""
    await conn.execute(delegations.insert().values(values_of(new)))


async def find_delegation(conn: AsyncConnection, *, delegation_id: str) -> Delegation | None:
    """Find a delegation, ended or not, by its id."""
    statement = sa.select(delegations).where(delegations.c.id == delegation_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Delegation(**row)


async def list_delegations(
    conn: AsyncConnection, *, agency_id: str, after: str, limit: int
) -> list[Delegation]:
    """List at most `limit` living delegations to or from an agency, with ids after `after`."""
    statement = (
        sa.select(delegations)
        .where(
            (delegations.c.agency_id == agency_id) | (delegations.c.delegate_id == agency_id),
            delegations.c.ended_at.is_(None),
            delegations.c.id > after,
        )
        .order_by(delegations.c.id)
        .limit(limit)
    )
    return [Delegation(**row) for row in (await conn.execute(statement)).mappings()]


_LIVING = sa.select(delegations).where(
    among_given(delegations.c.agency_id, "agency_ids"), delegations.c.ended_at.is_(None)
)


async def living_of(
    conn: AsyncConnection, agency_ids: Collection[AgencyId]
) -> dict[AgencyId, Delegation]:
    """Find who stands in for each of the agencies."""
    found = await prepared.records(conn, _LIVING, {"agency_ids": agency_ids}, Delegation)
    return {one.agency_id: one for one in found}


async def delegators_of(conn: AsyncConnection, delegate_id: str) -> list[Delegation]:
    """Find for whom an agency stands in, by agency id."""
    statement = (
        sa.select(delegations)
        .where(delegations.c.delegate_id == delegate_id, delegations.c.ended_at.is_(None))
        .order_by(delegations.c.agency_id)
    )
    return [Delegation(**row) for row in (await conn.execute(statement)).mappings()]


async def every_delegate(conn: AsyncConnection) -> dict[AgencyId, AgencyId]:
    """Give every living delegation as agency and delegate: what loops are looked for in."""
    statement = sa.select(delegations.c.agency_id, delegations.c.delegate_id).where(
        delegations.c.ended_at.is_(None)
    )
    rows = await conn.execute(statement)
    return {AgencyId(row.agency_id): AgencyId(row.delegate_id) for row in rows}


async def end_delegation(
    conn: AsyncConnection, *, delegation_id: str, ended_at: dt.datetime
) -> bool:
    """End a living delegation; False where it had ended already."""
    statement = (
        delegations.update()
        .where(delegations.c.id == delegation_id, delegations.c.ended_at.is_(None))
        .values(ended_at=ended_at)
    )
    return (await conn.execute(statement)).rowcount == 1
