"""Waivers of obligations: at most one per round, why it was asked for, and who confirmed it."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import ObligationState, Status
from noticebus.ids import ActorId, AgencyId, ObligationId
from noticebus.store.rows import values_of
from noticebus.store.tables import agencies, obligations, waive_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class WaiveRequest:
    """One person's wish to waive the round `epoch` of an obligation.

    Once it is confirmed it stays for good, as what was waived, why, and by which two people (I7).
    `requested_by` and `confirmed_by` are the accounts.
    """

    obligation_id: ObligationId
    epoch: int
    reason: str
    requested_by: ActorId
    by_name: str
    requested_at: dt.datetime
    confirmed_by: ActorId | None = None
    confirmed_by_name: str | None = None
    confirmed_at: dt.datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A waiver that waits for its second person, and of whose obligation."""

    obligation_id: ObligationId
    agency_id: AgencyId
    agency_name: str
    by_name: str
    requested_by: ActorId
    requested_at: dt.datetime


_OF_ITS_ROUND = waive_requests.c.epoch == obligations.c.epoch
_WAITS = (obligations.c.state == ObligationState.OPEN) & waive_requests.c.confirmed_at.is_(None)


async def of(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId]
) -> dict[ObligationId, WaiveRequest]:
    """Give what is asked or carried out for each obligation's present round: one statement.

    Of an open obligation it waits for its second person, of a waived one it says why. A new round
    and an answer end both.
    """
    asked = waive_requests.c
    if not obligation_ids:
        return {}
    statement = (
        sa.select(waive_requests)
        .join(obligations, obligations.c.id == waive_requests.c.obligation_id)
        .where(
            asked.obligation_id.in_(sorted(obligation_ids)),
            (obligations.c.state == ObligationState.WAIVED) | _WAITS,
            _OF_ITS_ROUND,
        )
    )
    found = [WaiveRequest(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.obligation_id: one for one in found}


async def waiting(conn: AsyncConnection, *, status: Status, limit: int) -> list[Waiting]:
    """Read what waits for its second person, the oldest first."""
    found = await conn.execute(_waiting(status=status, limit=limit))
    return [Waiting(**row) for row in found.mappings()]


def _waiting(*, status: Status, limit: int) -> sa.Select[Any]:
    """Ask for what waits.

    The few requests are read first, whatever a database believes of its tables: it may not turn an
    outer join round, and cannot see that the case makes an inner one of it.
    """
    asked = waive_requests.c
    waits = _WAITS & _OF_ITS_ROUND & (obligations.c.status == status)
    return (
        sa.select(
            asked.obligation_id,
            obligations.c.agency_id,
            agencies.c.name.label("agency_name"),
            asked.by_name,
            asked.requested_by,
            asked.requested_at,
        )
        .select_from(waive_requests)
        .outerjoin(obligations, obligations.c.id == asked.obligation_id)
        .outerjoin(agencies, agencies.c.id == obligations.c.agency_id)
        .where(asked.confirmed_at.is_(None), sa.case((waits, 1), else_=0) == 1)
        .order_by(asked.requested_at, asked.obligation_id)
        .limit(limit)
    )


async def put(conn: AsyncConnection, new: WaiveRequest) -> None:
    """Store a request in the place of one that lapsed; the caller has locked the obligation."""
    await remove(conn, new.obligation_id)
    await conn.execute(waive_requests.insert().values(values_of(new)))


async def confirm(conn: AsyncConnection, confirmed: WaiveRequest) -> None:
    """Write by whom a request was confirmed; the caller has locked the obligation."""
    statement = (
        sa.update(waive_requests)
        .where(
            waive_requests.c.obligation_id == confirmed.obligation_id,
            waive_requests.c.epoch == confirmed.epoch,
        )
        .values(
            confirmed_by=confirmed.confirmed_by,
            confirmed_by_name=confirmed.confirmed_by_name,
            confirmed_at=confirmed.confirmed_at,
        )
    )
    await conn.execute(statement)


async def remove(conn: AsyncConnection, obligation_id: ObligationId) -> None:
    """Remove what nobody has confirmed; the caller has locked the obligation."""
    gone = sa.delete(waive_requests).where(
        waive_requests.c.obligation_id == obligation_id, waive_requests.c.confirmed_at.is_(None)
    )
    await conn.execute(gone)
