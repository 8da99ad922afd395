"""What proves that an exercise was completed: the obligations closed in it, and their entries."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Channel, DeliveryState, ObligationState, Owed
from noticebus.ids import AgencyId, EntryId, ExerciseId, IncidentId, ObligationId
from noticebus.store.exercises import CARRIES_DUTY
from noticebus.store.obligations import Obligation
from noticebus.store.tables import (
    contacts,
    deliveries,
    entries,
    exercises,
    obligation_history,
    obligations,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The entry that closed an obligation. `index` is None until the sequencer has come by."""

    entry_id: EntryId
    type: str
    index: int | None
    leaf_hash: bytes
    recorded_at: dt.datetime


async def completed(
    conn: AsyncConnection, incident_id: IncidentId, *, agency_id: AgencyId | None, limit: int
) -> list[Obligation]:
    """Read at most `limit` obligations of an exercise that were closed, of one agency or all."""
    statement = (
        sa.select(obligations)
        .where(
            obligations.c.incident_id == incident_id,
            obligations.c.owed == Owed.NOTICE,
            obligations.c.state == ObligationState.CLOSED,
        )
        .order_by(obligations.c.id)
        .limit(limit)
    )
    if agency_id is not None:
        statement = statement.where(obligations.c.agency_id == agency_id)
    return [Obligation(**row) for row in (await conn.execute(statement)).mappings()]


async def channels_of(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId]
) -> dict[ObligationId, list[Channel]]:
    """Read by which channels recipients were reached; what the operators got is not among them."""
    to_recipient = sa.or_(
        deliveries.c.contact_id.is_(None), contacts.c.agency_id == deliveries.c.agency_id
    )
    statement = (
        sa.select(deliveries.c.obligation_id, deliveries.c.channel)
        .outerjoin(contacts, contacts.c.id == deliveries.c.contact_id)
        .where(
            deliveries.c.obligation_id.in_(sorted(obligation_ids)),
            deliveries.c.state == DeliveryState.DELIVERED,
            deliveries.c.cause.in_(CARRIES_DUTY),
            to_recipient,
        )
        .distinct()
        .order_by(deliveries.c.obligation_id, deliveries.c.channel)
    )
    grouped: dict[ObligationId, list[Channel]] = {}
    for obligation_id, channel in await conn.execute(statement):
        grouped.setdefault(ObligationId(obligation_id), []).append(channel)
    return grouped


async def proofs_of(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId]
) -> dict[ObligationId, Proof]:
    """Find the entry that closed each obligation: the first of those it has stayed closed since."""
    statement = (
        sa.select(
            obligation_history.c.obligation_id,
            obligation_history.c.facts,
            entries.c.id,
            entries.c.type,
            entries.c.index,
            entries.c.leaf_hash,
            entries.c.recorded_at,
        )
        .join(entries, entries.c.id == obligation_history.c.entry_id)
        .where(obligation_history.c.obligation_id.in_(sorted(obligation_ids)))
        .order_by(obligation_history.c.obligation_id, obligation_history.c.position)
    )
    found: dict[ObligationId, Proof] = {}
    for owed, facts, id_, type_, index, leaf_hash, at in await conn.execute(statement):
        if facts["state"] != ObligationState.CLOSED:
            found.pop(ObligationId(owed), None)
            continue
        proof = Proof(
            entry_id=EntryId(id_), type=type_, index=index, leaf_hash=leaf_hash, recorded_at=at
        )
        found.setdefault(ObligationId(owed), proof)
    return found


async def exercises_of(
    conn: AsyncConnection, incident_ids: Collection[IncidentId]
) -> dict[IncidentId, ExerciseId]:
    """Read which exercise each of some incidents is; a drill posted as a notice is none."""
    statement = sa.select(exercises.c.incident_id, exercises.c.id).where(
        exercises.c.incident_id.in_(sorted(incident_ids))
    )
    return {
        IncidentId(incident): ExerciseId(id_) for incident, id_ in await conn.execute(statement)
    }
