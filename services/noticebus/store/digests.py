"""What a digest is made from: counts of what is open, changes of shift, how far it has got."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    DeliveryState,
    ObligationState,
    Owed,
    Position,
    Standing,
    Status,
)
from noticebus.ids import AgencyId
from noticebus.store.tables import agencies, deliveries, markers, obligations, shifts

MARKER = "digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCounts:
    """Mandatory obligations of one status that are open now."""

    open: int
    overdue: int
    oldest_due_at: dt.datetime | None
    unreachable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftChanges:
    """When shifts of the operators begin: the last one looked back for, and the next one.

    `until` is when the last shift of their roster ends.
    """

    last: dt.datetime | None
    next: dt.datetime | None
    until: dt.datetime | None


async def count_open(conn: AsyncConnection, *, status: Status, now: dt.datetime) -> OpenCounts:
    """Count what is open, in one reading of the open index."""
    due_at = obligations.c.due_at
    statement = sa.select(
        sa.func.count(),
        sa.func.count().filter(due_at <= now),
        sa.func.min(due_at).filter(due_at <= now),
        sa.func.count().filter(obligations.c.reachable.is_(False)),
    ).where(*_open(status))
    total, overdue, oldest, unreachable = (await conn.execute(statement)).one()
    return OpenCounts(open=total, overdue=overdue, oldest_due_at=oldest, unreachable=unreachable)


async def is_overdue(conn: AsyncConnection, *, status: Status, now: dt.datetime) -> bool:
    """Tell whether anything is overdue: the first one found ends the search."""
    statement = sa.select(obligations.c.id).where(*_open(status), obligations.c.due_at <= now)
    return (await conn.execute(statement.limit(1))).first() is not None


async def shift_changes(
    conn: AsyncConnection, *, since: dt.datetime, now: dt.datetime
) -> ShiftChanges:
    """Read when somebody else takes over the operators' desk, after `since`."""
    starts_at = shifts.c.starts_at
    operators = sa.select(agencies.c.id).where(agencies.c.kind == AgencyKind.OPERATOR)
    statement = sa.select(
        sa.func.max(starts_at).filter(starts_at <= now, starts_at > since),
        sa.func.min(starts_at).filter(starts_at > now),
        sa.func.max(shifts.c.ends_at),
    ).where(
        shifts.c.agency_id.in_(operators),
        shifts.c.position == Position.ON_DUTY,
        shifts.c.ends_at > since,
    )
    last, following, until = (await conn.execute(statement)).one()
    return ShiftChanges(last=last, next=following, until=until)


async def read_progress(conn: AsyncConnection) -> str | None:
    """Read how far the digest has got, None where it was never begun."""
    statement = sa.select(markers.c.value).where(markers.c.name == MARKER)
    found: str | None = (await conn.execute(statement)).scalar_one_or_none()
    return found


async def lock_progress(conn: AsyncConnection) -> str:
    """Lock and read how far the digest has got, empty where it was never begun.

    Of several processes one goes on, the others wait for it to commit.
    """
    insert = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    begin = insert(markers).values(name=MARKER, value="").on_conflict_do_nothing()
    await conn.execute(begin)
    statement = sa.select(markers.c.value).where(markers.c.name == MARKER)
    found: str = (await conn.execute(statement.with_for_update())).scalar_one()
    return found


async def write_progress(conn: AsyncConnection, value: str) -> None:
    """Write how far the digest has got, over what `lock_progress` has locked."""
    statement = sa.update(markers).where(markers.c.name == MARKER).values(value=value)
    await conn.execute(statement)


async def moot_digests(
    conn: AsyncConnection, *, agency_id: AgencyId, step: int, finished_at: dt.datetime
) -> None:
    """End the digests that still wait: a later one says how things stand now."""
    statement = (
        sa.update(deliveries)
        .where(
            deliveries.c.subject == agency_id,
            deliveries.c.cause == Cause.DIGEST,
            deliveries.c.step == step,
            deliveries.c.state.in_([DeliveryState.QUEUED, DeliveryState.SENDING]),
        )
        .values(state=DeliveryState.MOOT, finished_at=finished_at, due_at=None)
    )
    await conn.execute(statement)


def _open(status: Status) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        obligations.c.state == ObligationState.OPEN,
        obligations.c.owed == Owed.NOTICE,
        obligations.c.status == status,
        obligations.c.standing == Standing.MANDATORY,
        obligations.c.round_started_at.is_not(None),
    )
