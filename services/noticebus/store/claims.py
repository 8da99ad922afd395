"""Claiming deliveries, from the bus or the sweep: one dispatcher holds each for its lease."""

import datetime as dt
import functools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from noticebus.contracts.vocabulary import (
    AgencyKind,
    ContentLevel,
    DeliveryState,
    EndpointState,
    HeldReason,
    ObligationState,
    SubscriptionState,
)
from noticebus.ids import DeliveryId
from noticebus.records import lean
from noticebus.store import prepared
from noticebus.store.columns import Instant
from noticebus.store.deliveries import Delivery
from noticebus.store.rows import among_given, records_of
from noticebus.store.tables import (
    agencies,
    attempts,
    contacts,
    deliveries,
    endpoints,
    obligations,
    subscriptions,
)


@lean
class Destination:
    """Where a claimed delivery goes as things stand now.

    Need to know is decided from this, when it is sent (I8).
    """

    delivery_id: DeliveryId
    agency_kind: AgencyKind
    agency_name: str
    zone: str
    url: str | None
    secrets_sealed: list[dict[str, Any]] | None
    challenge: str | None
    subscription_state: SubscriptionState | None
    content_level: ContentLevel | None
    email: str | None
    phone: str | None
    contact_ended_at: dt.datetime | None
    obligation_state: ObligationState | None
    obligation_closed_at: dt.datetime | None
    answered_version: int | None
    first_digest: str | None
    credentials_sealed: dict[str, Any] | None = None
    concurrency: int | None = None  # what its handshake agreed to
    endpoint_state: EndpointState | None = None  # none: it has never failed


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """A claimed delivery that is not sent now: when it is due again, or why it is held.

    Nobody claims it before `lease_until`, machine time; where that is None, it is free at once.
    """

    delivery_id: DeliveryId
    attempts: int
    due_at: dt.datetime | None
    held_reason: HeldReason | None
    lease_until: dt.datetime | None = None


def _claiming(ours: sa.Select[tuple[Any]]) -> ReturningUpdate[Any]:
    # As a plain subquery PostgreSQL may run it twice, and lock more than the limit.
    chosen = ours.cte("ours")
    return (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(sa.select(chosen.c.id)))
        .values(
            state=DeliveryState.SENDING,
            lease_until=sa.bindparam("until", type_=Instant()),
            attempts=deliveries.c.attempts + 1,
        )
        .returning(*deliveries.c)
    )


_HANDED_OVER = _claiming(
    sa.select(deliveries.c.id)
    .where(
        among_given(deliveries.c.id, "delivery_ids"),
        deliveries.c.state == DeliveryState.QUEUED,
        deliveries.c.attempts == 0,
        deliveries.c.held_reason.is_(None),
    )
    .order_by(deliveries.c.id)
    .with_for_update(skip_locked=True, key_share=True)  # SQLite: the single writer
)


async def claim_shard(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId], *, lease_until: dt.datetime
) -> list[Delivery]:
    """Claim what the bus handed over and nobody has tried yet; its hold by the bus is ignored.

    What waits for its bundle, an hour or its turn is left to the sweep.
    """
    given = {"delivery_ids": delivery_ids, "until": lease_until}
    return _in_order(await prepared.records(conn, _HANDED_OVER, given, Delivery))


async def claim_due(
    conn: AsyncConnection,
    *,
    now: dt.datetime,
    machine_now: dt.datetime,
    lease_until: dt.datetime,
    batch_size_max: int,
) -> list[Delivery]:
    """Claim at most `batch_size_max` deliveries due at `now` that nobody holds, oldest first.

    Each takes along what still waits of its bundle, also what would be tried again later: a bundle
    goes as one message every time. Two dispatchers that meet on one bundle may send it in two.
    """
    ours = (
        sa.select(deliveries.c.id)
        .where(
            deliveries.c.due_at.is_not(None),  # what the partial index holds
            deliveries.c.due_at <= now,
            deliveries.c.lease_until <= machine_now,
        )
        .order_by(deliveries.c.due_at)
        .limit(batch_size_max)
        .with_for_update(skip_locked=True, key_share=True)  # SQLite: the single writer
    )
    claimed = await _claim(conn, ours, lease_until=lease_until)
    bundled = {one.bundle: one.contact_id for one in claimed if one.bundle is not None}
    if not bundled:
        return claimed
    rest = (
        sa.select(deliveries.c.id)
        .where(
            deliveries.c.contact_id.in_(sorted({one for one in bundled.values() if one})),
            deliveries.c.bundle.in_(sorted(bundled)),
            deliveries.c.state == DeliveryState.QUEUED,
            deliveries.c.lease_until <= machine_now,
        )
        .order_by(deliveries.c.id)
        .limit(batch_size_max)
        .with_for_update(skip_locked=True, key_share=True)  # SQLite: the single writer
    )
    return [*claimed, *await _claim(conn, rest, lease_until=lease_until)]


async def _claim(
    conn: AsyncConnection, ours: sa.Select[tuple[Any]], *, lease_until: dt.datetime
) -> list[Delivery]:
    result = await conn.execute(_claiming(ours), {"until": lease_until})
    return _in_order(records_of(result, Delivery))


def _in_order(claimed: Iterable[Delivery]) -> list[Delivery]:
    """Give what was claimed in the order it was made, whatever order the rows were met in."""
    return sorted(claimed, key=attrgetter("id"))


def _first_digest() -> sa.ScalarSelect[str]:
    """Find the digest of the first body put on the wire: attempts that sent nothing have none."""
    return (
        sa.select(attempts.c.body_digest)
        .where(attempts.c.delivery_id == deliveries.c.id, attempts.c.body_digest != "")
        .order_by(attempts.c.number)
        .limit(1)
        .scalar_subquery()
    )


_DESTINATIONS = (
    sa.select(
        deliveries.c.id.label("delivery_id"),
        agencies.c.kind.label("agency_kind"),
        agencies.c.name.label("agency_name"),
        agencies.c.zone,
        subscriptions.c.url,
        subscriptions.c.secrets_sealed,
        subscriptions.c.challenge,
        subscriptions.c.state.label("subscription_state"),
        subscriptions.c.content_level,
        contacts.c.email,
        sa.case((contacts.c.phone_verified_at.is_not(None), contacts.c.phone), else_=None).label(
            "phone"
        ),
        contacts.c.ended_at.label("contact_ended_at"),
        obligations.c.state.label("obligation_state"),
        obligations.c.closed_at.label("obligation_closed_at"),
        obligations.c.answered_version,
        _first_digest().label("first_digest"),
        subscriptions.c.concurrency,
        subscriptions.c.credentials_sealed,
        endpoints.c.state.label("endpoint_state"),
    )
    .join(agencies, agencies.c.id == deliveries.c.agency_id)
    .outerjoin(subscriptions, subscriptions.c.id == deliveries.c.subscription_id)
    .outerjoin(endpoints, endpoints.c.subscription_id == deliveries.c.subscription_id)
    .outerjoin(contacts, contacts.c.id == deliveries.c.contact_id)
    .outerjoin(obligations, obligations.c.id == deliveries.c.obligation_id)
    .where(among_given(deliveries.c.id, "delivery_ids"))
)


async def destinations_of(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId]
) -> dict[DeliveryId, Destination]:
    """Read where deliveries go, as things stand now, with the digest of each one's first body."""
    given = {"delivery_ids": delivery_ids}
    found = await prepared.records(conn, _DESTINATIONS, given, Destination)
    return {one.delivery_id: one for one in found}


async def ended_among(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId]
) -> set[DeliveryId]:
    """Say which deliveries a cancel or a waiver has overtaken since they were made."""
    ended = [ObligationState.WITHDRAWN, ObligationState.WAIVED]
    statement = (
        sa.select(deliveries.c.id)
        .join(obligations, obligations.c.id == deliveries.c.obligation_id)
        .where(
            deliveries.c.id.in_(sorted(delivery_ids)),
            obligations.c.state.in_(ended),
            deliveries.c.created_at < obligations.c.closed_at,
        )
    )
    return set((await conn.execute(statement)).scalars())


async def give_back(
    conn: AsyncConnection, given: Sequence[GivenBack], *, machine_now: dt.datetime
) -> None:
    """Queue claimed deliveries again as if they had not been claimed: no try is used up.

    Those whose claim has passed to another dispatcher stay as they are. One statement.
    """
    statement = (
        sa.update(deliveries)
        .where(
            deliveries.c.id == sa.bindparam("b_id"),
            deliveries.c.attempts == sa.bindparam("b_attempts"),
            deliveries.c.state == DeliveryState.SENDING,
        )
        .values(
            state=DeliveryState.QUEUED,
            attempts=deliveries.c.attempts - 1,
            lease_until=sa.bindparam("b_lease_until"),
            due_at=sa.bindparam("b_due_at"),
            held_reason=sa.bindparam("b_held_reason"),
        )
    )
    rows = [
        {
            "b_id": one.delivery_id,
            "b_attempts": one.attempts,
            "b_lease_until": one.lease_until or machine_now,
            "b_due_at": one.due_at,
            "b_held_reason": one.held_reason,
        }
        for one in sorted(given, key=lambda one: one.delivery_id)
    ]
    await conn.execute(statement, rows)


@functools.cache
def _finishing(dialect: str) -> ReturningUpdate[Any]:
    """Finish each of `delivery_ids` whose attempt is still the one of `numbers`."""
    if dialect == "sqlite":
        claim = deliveries.c.id + " " + sa.cast(deliveries.c.attempts, sa.Text)
        ours = among_given(deliveries.c.id, "delivery_ids") & among_given(claim, "claims")
    else:
        ids = sa.bindparam("delivery_ids", type_=postgresql.ARRAY(sa.Text))
        numbers = sa.bindparam("numbers", type_=postgresql.ARRAY(sa.Integer))
        given = sa.func.unnest(ids, numbers).table_valued("id", "number").render_derived()
        ours = (deliveries.c.id == given.c.id) & (deliveries.c.attempts == given.c.number)
    return (
        sa.update(deliveries)
        .where(ours, deliveries.c.state == DeliveryState.SENDING)
        .values(
            state=DeliveryState.DELIVERED,
            due_at=None,
            finished_at=sa.bindparam("at", type_=Instant()),
        )
        .returning(deliveries.c.id, deliveries.c.attempts)
    )


async def finish_claimed(
    conn: AsyncConnection, claimed: Collection[tuple[DeliveryId, int]], *, finished_at: dt.datetime
) -> set[tuple[DeliveryId, int]]:
    """Mark those of `claimed` that are still ours as delivered; give them.

    The fence of `held_deliveries` and the record in one statement: it goes by id, as locks do.
    """
    if not claimed:
        return set()
    in_order = sorted(claimed)
    given = {
        "delivery_ids": [id_ for id_, _ in in_order],
        "numbers": [number for _, number in in_order],
        "claims": [f"{id_} {number}" for id_, number in in_order],
        "at": finished_at,
    }
    finished = await prepared.rows(conn, _finishing(conn.dialect.name), given)
    return {(DeliveryId(id_), number) for id_, number in finished}


async def next_due_at(conn: AsyncConnection, *, machine_now: dt.datetime) -> dt.datetime | None:
    """Tell when the sweep has work again: the earliest due time among what nobody holds."""
    statement = sa.select(sa.func.min(deliveries.c.due_at)).where(
        deliveries.c.due_at.is_not(None), deliveries.c.lease_until <= machine_now
    )
    found: dt.datetime | None = (await conn.execute(statement)).scalar_one_or_none()
    return found


async def void_leases(conn: AsyncConnection, *, machine_now: dt.datetime) -> int:
    """Give back everything held.

    Only where no other dispatcher can be alive (the embedded profile, at start).
    """
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.due_at.is_not(None), deliveries.c.lease_until > machine_now)
        .values(lease_until=machine_now)
    )
    return (await conn.execute(statement)).rowcount
