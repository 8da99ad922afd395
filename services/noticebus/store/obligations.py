"""Obligations and their fired steps."""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from noticebus.contracts.vocabulary import (
    AgencyKind,
    NoticeClass,
    Notify,
    ObligationState,
    Owed,
    Role,
    Standing,
    Status,
    UnreachableReason,
)
from noticebus.domain.policies import PolicyRecord
from noticebus.ids import AgencyId, DeliveryId, IncidentId, NoticeId, ObligationId
from noticebus.records import lean
from noticebus.store import prepared
from noticebus.store.columns import Instant, KeptJson
from noticebus.store.hot import Rows, insert_rows, update_rows
from noticebus.store.rows import among_given, records_of, values_of
from noticebus.store.tables import agencies, deliveries, obligations, steps


@lean
class Obligation:
    """One incident owed to one recipient, as stored. `policy` is frozen with the round.

    `step` is the next one's index.
    """

    id: ObligationId
    incident_id: IncidentId
    agency_id: AgencyId
    owed: Owed
    owed_for: str
    standing: Standing
    role: Role | None
    status: Status
    state: ObligationState
    epoch: int
    notice_class: NoticeClass
    round_notice_id: NoticeId
    round_version: int
    round_started_at: dt.datetime | None
    held_until: dt.datetime | None
    due_at: dt.datetime | None
    policy: PolicyRecord
    steps_at: list[str]
    step: int
    next_step_at: dt.datetime | None
    delivered_at: dt.datetime | None
    opened_at: dt.datetime | None
    received_at: dt.datetime | None
    promised_until: dt.datetime | None
    more_time_used: bool
    reachable: bool
    unreachable_reason: UnreachableReason | None
    closed_at: dt.datetime | None
    answered_version: int
    created_at: dt.datetime


@lean
class StepRow:
    """One step of one round, fired or skipped; its key makes it happen once (I5)."""

    obligation_id: ObligationId
    epoch: int
    step: int
    notify: Notify
    skipped: bool
    contact_ids: list[str]
    planned_at: dt.datetime
    fired_at: dt.datetime


_UNCHANGING = frozenset(
    {"id", "incident_id", "agency_id", "owed", "owed_for", "status", "created_at"}
)
_SAVED = tuple(name for name in Obligation.__dataclass_fields__ if name not in _UNCHANGING)


def facts_of(obligation: Obligation) -> dict[str, Any]:
    """Give what may change about an obligation: its line in the history, stored as JSON."""
    return {name: getattr(obligation, name) for name in _SAVED}


def obligation_rows(new: Sequence[Obligation]) -> Rows:
    """Write down `new`."""
    return obligations, new


async def insert_obligations(conn: AsyncConnection, new: Sequence[Obligation]) -> None:
    """Insert `new`; an agency owes one incident one answer."""
    if new:
        await insert_rows(conn, obligations, new)


async def lock_obligations(
    conn: AsyncConnection,
    *,
    ids: Collection[ObligationId] | None = None,
    incident_id: IncidentId | None = None,
) -> list[Obligation]:
    """Lock obligations in id order, by id or all of one incident."""
    statement = sa.select(obligations).order_by(obligations.c.id).with_for_update(key_share=True)
    if ids is not None:
        statement = statement.where(obligations.c.id.in_(sorted(ids)))
    if incident_id is not None:
        statement = statement.where(obligations.c.incident_id == incident_id)
    return records_of(await conn.execute(statement), Obligation)


async def lock_coverage(
    conn: AsyncConnection, incident_ids: Collection[IncidentId]
) -> dict[IncidentId, Obligation]:
    """Lock what the operators owe incidents for places that nobody answers for."""
    statement = (
        sa.select(obligations)
        .where(
            obligations.c.incident_id.in_(sorted(incident_ids)),
            obligations.c.owed == Owed.COVERAGE,
        )
        .order_by(obligations.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    found = records_of(await conn.execute(statement), Obligation)
    return {one.incident_id: one for one in found}


async def lock_with_coverage(
    conn: AsyncConnection, obligation_id: ObligationId, *, incident_id: IncidentId
) -> Obligation:
    """Lock an obligation, and what the operators owe its incident for places, in id order."""
    held = (obligations.c.incident_id == incident_id) & (obligations.c.owed == Owed.COVERAGE)
    statement = (
        sa.select(obligations)
        .where((obligations.c.id == obligation_id) | held)
        .order_by(obligations.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    found = records_of(await conn.execute(statement), Obligation)
    return next(one for one in found if one.id == obligation_id)


async def lock_promised(conn: AsyncConnection, incident_id: IncidentId) -> list[Obligation]:
    """Lock the updates of an incident that its poster promised and still owes."""
    statement = (
        sa.select(obligations)
        .where(
            obligations.c.incident_id == incident_id,
            obligations.c.owed == Owed.UPDATE,
            obligations.c.state == ObligationState.OPEN,
        )
        .order_by(obligations.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    return records_of(await conn.execute(statement), Obligation)


async def lock_due(
    conn: AsyncConnection, *, now: dt.datetime, batch_size_max: int
) -> list[Obligation]:
    """Lock at most `batch_size_max` obligations with a step due at `now`, longest due first.

    Only open ones: no step fires once an answer has stopped the clock (I5).
    """
    statement = (
        sa.select(obligations)
        .where(obligations.c.next_step_at <= now, obligations.c.state == ObligationState.OPEN)
        .order_by(obligations.c.next_step_at)
        .limit(batch_size_max)
        .with_for_update(skip_locked=True, key_share=True)  # SQLite: the single writer
    )
    return records_of(await conn.execute(statement), Obligation)


def next_step() -> sa.Select[Any]:
    """Ask when the next step of any open obligation is due."""
    return sa.select(sa.func.min(obligations.c.next_step_at)).where(
        obligations.c.next_step_at.is_not(None), obligations.c.state == ObligationState.OPEN
    )


async def next_step_at(conn: AsyncConnection) -> dt.datetime | None:
    """Tell when the next step of any open obligation is due."""
    found: dt.datetime | None = (await conn.execute(next_step())).scalar_one_or_none()
    return found


async def save(conn: AsyncConnection, *, before: Obligation, after: Obligation) -> bool:
    """Write `after` over `before` if it is still what it was.

    False where another transaction was first.
    """
    changed = {
        name: value for name, value in values_of(after).items() if value != getattr(before, name)
    }
    if not changed:
        return True
    statement = (
        sa.update(obligations)
        .where(
            obligations.c.id == before.id,
            obligations.c.state == before.state,
            obligations.c.epoch == before.epoch,
            obligations.c.step == before.step,
        )
        .values(changed)
    )
    return bool((await conn.execute(statement)).rowcount)


async def save_all(conn: AsyncConnection, changed: Sequence[Obligation]) -> None:
    """Write obligations whose rows this transaction has locked."""
    rows = [{"id": one.id} | {name: getattr(one, name) for name in _SAVED} for one in changed]
    await update_rows(conn, obligations, rows, key="id")


async def save_steps(conn: AsyncConnection, moved: Sequence[Obligation]) -> None:
    """Write how far the chains of obligations have come; their rows are locked, nothing else is.

    A burst of steps is what an engine is busiest with: the rest of the row is not sent again.
    """
    rows = [{"id": one.id, "step": one.step, "next_step_at": one.next_step_at} for one in moved]
    await update_rows(conn, obligations, rows, key="id")


async def insert_steps(conn: AsyncConnection, new: Sequence[StepRow]) -> None:
    """Insert fired and skipped steps; a second row for the same one is an integrity error (I5)."""
    await insert_rows(conn, steps, new)


async def steps_of(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId]
) -> list[StepRow]:
    """Read the fired and skipped steps of obligations, in order."""
    statement = (
        sa.select(steps)
        .where(steps.c.obligation_id.in_(sorted(obligation_ids)))
        .order_by(steps.c.obligation_id, steps.c.epoch, steps.c.step)
    )
    return records_of(await conn.execute(statement), StepRow)


_KEPT = frozenset({"policy", "steps_at"})  # which no delivery reads: they go as they came


def _delivered() -> ReturningUpdate[Any]:
    kept = [sa.type_coerce(obligations.c[name], KeptJson).label(name) for name in sorted(_KEPT)]
    at = sa.bindparam("at", type_=Instant())
    closes = (obligations.c.notice_class == NoticeClass.D) & (
        obligations.c.state == ObligationState.OPEN
    )
    first = (
        sa.select(obligations.c.id)
        .join(deliveries, deliveries.c.obligation_id == obligations.c.id)
        .where(
            among_given(deliveries.c.id, "delivery_ids"),
            deliveries.c.version >= obligations.c.round_version,
            obligations.c.delivered_at.is_(None),
        )
        .order_by(obligations.c.id)
        .with_for_update(key_share=True, of=obligations)  # SQLite: the single writer
    )
    return (
        sa.update(obligations)
        .where(obligations.c.id.in_(first.scalar_subquery()))
        .values(
            delivered_at=at,
            state=sa.case((closes, ObligationState.CLOSED.value), else_=obligations.c.state),
            closed_at=sa.case((closes, at), else_=obligations.c.closed_at),
            next_step_at=sa.case((closes, sa.null()), else_=obligations.c.next_step_at),
        )
        .returning(*(one for one in obligations.c if one.name not in _KEPT), *kept)
    )


_DELIVERED = _delivered()


async def mark_delivered(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId], *, at: dt.datetime
) -> list[Obligation]:
    """Note each round's first delivery, closing what a delivery closes (class D).

    A delivery of a version before the round's tells nothing about the round. Policy and times of
    the round are given as they are written, for the history.
    """
    given = {"delivery_ids": delivery_ids, "at": at}
    return await prepared.records(conn, _DELIVERED, given, Obligation)


async def obligation_by_id(conn: AsyncConnection, obligation_id: ObligationId) -> Obligation | None:
    """Read one obligation."""
    statement = sa.select(obligations).where(obligations.c.id == obligation_id)
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Obligation(**row)


async def find_obligation(
    conn: AsyncConnection, *, incident_id: IncidentId, agency_id: AgencyId
) -> Obligation | None:
    """Read what an agency owes an incident's notices."""
    statement = sa.select(obligations).where(
        obligations.c.incident_id == incident_id,
        obligations.c.agency_id == agency_id,
        obligations.c.owed == Owed.NOTICE,
        obligations.c.owed_for == "",
    )
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Obligation(**row)


async def bound_among(
    conn: AsyncConnection,
    incident_id: IncidentId,
    *,
    agency_ids: Collection[AgencyId] | None = None,
    kinds: Collection[AgencyKind] | None = None,
) -> list[Obligation]:
    """Read what recipients that were told owe an incident's notices: those named, or of kinds."""
    statement = (
        sa.select(obligations)
        .where(
            obligations.c.incident_id == incident_id,
            obligations.c.owed == Owed.NOTICE,
            obligations.c.round_started_at.is_not(None),
        )
        .order_by(obligations.c.id)
    )
    if agency_ids is not None:
        statement = statement.where(obligations.c.agency_id.in_(sorted(agency_ids)))
    if kinds is not None:
        of_kinds = sa.select(agencies.c.id).where(agencies.c.kind.in_(sorted(kinds)))
        statement = statement.where(obligations.c.agency_id.in_(of_kinds))
    return records_of(await conn.execute(statement), Obligation)


async def owed_by_any(
    conn: AsyncConnection, *, incident_id: IncidentId, agency_ids: Collection[AgencyId]
) -> list[Obligation]:
    """Read what agencies owe an incident's notices, in id order."""
    statement = (
        sa.select(obligations)
        .where(
            obligations.c.incident_id == incident_id,
            obligations.c.agency_id.in_(sorted(agency_ids)),
            obligations.c.owed == Owed.NOTICE,
        )
        .order_by(obligations.c.id)
    )
    return records_of(await conn.execute(statement), Obligation)


async def obligations_of(
    conn: AsyncConnection,
    *,
    incident_id: IncidentId,
    after: ObligationId | None = None,
    limit: int,
) -> list[Obligation]:
    """Read at most `limit` obligations of an incident in id order."""
    statement = (
        sa.select(obligations)
        .where(obligations.c.incident_id == incident_id)
        .order_by(obligations.c.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(obligations.c.id > after)
    return records_of(await conn.execute(statement), Obligation)


async def counts_by_state(
    conn: AsyncConnection, incident_id: IncidentId
) -> dict[ObligationState, int]:
    """Count an incident's obligations by state: their sum is how many were ever created (I2)."""
    statement = (
        sa.select(obligations.c.state, sa.func.count())
        .where(obligations.c.incident_id == incident_id)
        .group_by(obligations.c.state)
    )
    return {row[0]: row[1] for row in await conn.execute(statement)}
