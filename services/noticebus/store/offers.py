"""Offers of help for incidents."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import OfferState, OfferType, Owed, Status
from noticebus.ids import AgencyId, IncidentId, OfferId
from noticebus.store.obligations import Obligation
from noticebus.store.rows import values_of
from noticebus.store.tables import obligations, offers

LIVING = (OfferState.OPEN, OfferState.HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an agency can provide, as it was sent (`body`), and what became of it.

    `answer` is the last one; `number` in it counts them.
    """

    id: OfferId
    incident_id: IncidentId
    agency_id: AgencyId
    status: Status
    offer_type: OfferType
    state: OfferState
    body: dict[str, Any]
    lapses_at: dt.datetime
    held_until: dt.datetime | None
    answered_by: AgencyId | None
    answer: dict[str, Any] | None
    answered_at: dt.datetime | None
    created_at: dt.datetime


async def insert_offer(conn: AsyncConnection, new: Offer) -> None:
    """Insert one offer."""
    await conn.execute(offers.insert(), values_of(new))


async def count_offers(conn: AsyncConnection, incident_id: IncidentId) -> int:
    """Count the offers ever made for an incident."""
    statement = (
        sa.select(sa.func.count()).select_from(offers).where(offers.c.incident_id == incident_id)
    )
    return int((await conn.execute(statement)).scalar_one())


async def lock_offer(conn: AsyncConnection, offer_id: OfferId) -> Offer | None:
    """Lock one offer, to answer it."""
    statement = (
        sa.select(offers)
        .where(offers.c.id == offer_id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Offer(**row)


async def lock_living(conn: AsyncConnection, incident_id: IncidentId) -> list[Offer]:
    """Lock the offers of an incident that may still be answered, in id order."""
    statement = (
        sa.select(offers)
        .where(offers.c.incident_id == incident_id, offers.c.state.in_(LIVING))
        .order_by(offers.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    return [Offer(**row) for row in (await conn.execute(statement)).mappings()]


async def lock_due(conn: AsyncConnection, *, now: dt.datetime, batch_size_max: int) -> list[Offer]:
    """Lock at most `batch_size_max` offers that lapse, or whose hold is over, at `now`."""
    statement = (
        sa.select(offers)
        .where(offers.c.state.in_(LIVING), _due_at() <= now)
        .order_by(_due_at(), offers.c.id)
        .limit(batch_size_max)
        .with_for_update(skip_locked=True, key_share=True)  # SQLite: the single writer
    )
    return [Offer(**row) for row in (await conn.execute(statement)).mappings()]


def next_end() -> sa.Select[Any]:
    """Ask when the next offer lapses or the next hold is over."""
    return sa.select(sa.func.min(_due_at())).where(offers.c.state.in_(LIVING))


async def next_due_at(conn: AsyncConnection) -> dt.datetime | None:
    """Tell when the next offer lapses or the next hold is over."""
    found: dt.datetime | None = (await conn.execute(next_end())).scalar_one_or_none()
    return found


async def save_offers(conn: AsyncConnection, changed: Sequence[Offer]) -> None:
    """Write what became of offers that this transaction has locked."""
    if not changed:
        return
    names = ("state", "held_until", "answered_by", "answer", "answered_at")
    statement = (
        sa.update(offers)
        .where(offers.c.id == sa.bindparam("b_id"))
        .values({name: sa.bindparam(f"b_{name}") for name in names})
    )
    rows = [
        {"b_id": one.id} | {f"b_{name}": getattr(one, name) for name in names} for one in changed
    ]
    await conn.execute(statement, rows)


async def offers_of(
    conn: AsyncConnection,
    incident_id: IncidentId,
    *,
    agency_id: AgencyId | None = None,
    limit: int,
) -> list[Offer]:
    """Read at most `limit` offers for an incident, oldest first; with `agency_id` only its own."""
    statement = (
        sa.select(offers)
        .where(offers.c.incident_id == incident_id)
        .order_by(offers.c.id)
        .limit(limit)
    )
    if agency_id is not None:
        statement = statement.where(offers.c.agency_id == agency_id)
    return [Offer(**row) for row in (await conn.execute(statement)).mappings()]


async def offerers(
    conn: AsyncConnection, offer_ids: Collection[OfferId]
) -> dict[OfferId, Obligation]:
    """Read what whoever made each offer owes its incident's notices."""
    made_by = (offers.c.incident_id == obligations.c.incident_id) & (
        offers.c.agency_id == obligations.c.agency_id
    )
    statement = (
        sa.select(offers.c.id.label("offer_id"), obligations)
        .join(obligations, made_by)
        .where(
            offers.c.id.in_(sorted(offer_ids)),
            obligations.c.owed == Owed.NOTICE,
            obligations.c.round_started_at.is_not(None),
        )
    )
    rows = [dict(row) for row in (await conn.execute(statement)).mappings()]
    return {row.pop("offer_id"): Obligation(**row) for row in rows}


async def unanswered(
    conn: AsyncConnection, *, status: Status, at: dt.datetime, limit: int
) -> list[Offer]:
    """Read at most `limit` offers of one status undecided at `at`, first to lapse first.

    `at` is now, and each is as it stands; as of a past time see `report_history.past_offers`.
    """
    statement = (
        sa.select(offers)
        .where(offers.c.status == status, offers.c.state.in_(LIVING), offers.c.lapses_at > at)
        .order_by(offers.c.lapses_at, offers.c.id)
        .limit(limit)
    )
    return [Offer(**row) for row in (await conn.execute(statement)).mappings()]


def _due_at() -> sa.ColumnElement[dt.datetime]:
    """Give when something happens to a living offer by itself; a hold never outlasts its offer."""
    held = offers.c.state == OfferState.HELD
    return sa.case((held, offers.c.held_until), else_=offers.c.lapses_at)
