"""What stands beside the report's figures: what they leave out, and how long silence is."""

import datetime as dt
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import ObligationState, Standing, Status
from noticebus.ids import AgencyId, ObligationId
from noticebus.store.reports import Scope, about
from noticebus.store.tables import agencies, obligations


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Mandatory obligations that fell due and are in no figure, to be said beside them."""

    waived: int
    exercised: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FellDue:
    """One of the few that fell due: whose it is, and when it closed if it did."""

    obligation_id: ObligationId
    agency_id: AgencyId
    agency_name: str
    state: ObligationState
    started_at: dt.datetime
    due_at: dt.datetime
    closed_at: dt.datetime | None


async def fell_due(
    conn: AsyncConnection, scope: Scope, *, now: dt.datetime, limit: int
) -> list[FellDue]:
    """Read at most `limit` of what fell due, as `domain.figures.fell_due` says; silent ones last.

    For a report in which they are few.
    """
    state, closed_at = obligations.c.state, obligations.c.closed_at
    statement = (
        sa.select(
            obligations.c.id.label("obligation_id"),
            obligations.c.agency_id,
            agencies.c.name.label("agency_name"),
            state,
            obligations.c.round_started_at.label("started_at"),
            obligations.c.due_at,
            closed_at,
        )
        .join(agencies, agencies.c.id == obligations.c.agency_id)
        .where(
            *about(scope),
            obligations.c.standing == Standing.MANDATORY,
            obligations.c.due_at <= now,
            state != ObligationState.WAIVED,
            (state != ObligationState.WITHDRAWN) | (closed_at > obligations.c.due_at),
        )
        .order_by(state == ObligationState.OPEN, obligations.c.due_at, obligations.c.id)
        .limit(limit)
    )
    return [FellDue(**row) for row in (await conn.execute(statement)).mappings()]


async def count_left_out(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> LeftOut:
    """Count what fell due by `now` and is in no figure: the waived, and what is not real (I9)."""
    statement = sa.select(sa.func.count()).where(
        *about(scope), *_due(now), obligations.c.state == ObligationState.WAIVED
    )
    waived = (await conn.execute(statement)).scalar_one()
    return LeftOut(waived=waived, exercised=await count_exercised(conn, scope, now=now))


async def count_exercised(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> int:
    """Count what fell due in exercises, beside what is real; of an exercise itself nothing is."""
    if scope.status is Status.EXERCISE:
        return 0
    drills = about(replace(scope, status=Status.EXERCISE))
    statement = sa.select(sa.func.count()).where(*drills, *_due(now))
    return int((await conn.execute(statement)).scalar_one())


async def count_unreached(conn: AsyncConnection, scope: Scope) -> int:
    """Count the open lines that no channel reaches: the first part of the open index."""
    statement = sa.select(sa.func.count()).where(
        *about(scope),
        sa.text("obligations.state = 'open' AND obligations.owed = 'notice'"),
        obligations.c.reachable.is_(False),
    )
    return int((await conn.execute(statement)).scalar_one())


def _due(now: dt.datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return obligations.c.standing == Standing.MANDATORY, obligations.c.due_at <= now


async def shortest_silence(
    conn: AsyncConnection, scope: Scope, *, now: dt.datetime
) -> dt.timedelta | None:
    """Give how long the latest of those silent past their deadline has been silent at `now`.

    Whatever percentile falls among the silent is longer than that.
    """
    statement = sa.select(sa.func.max(obligations.c.round_started_at)).where(
        *about(scope),
        obligations.c.standing == Standing.MANDATORY,
        obligations.c.state == ObligationState.OPEN,
        obligations.c.due_at <= now,
    )
    started: dt.datetime | None = (await conn.execute(statement)).scalar_one()
    return None if started is None else now - started
