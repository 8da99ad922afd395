"""Deliveries and their attempts: inserted with what causes them, claimed, sent, recorded."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    Fault,
    HeldReason,
    NoticeClass,
    Outcome,
)
from noticebus.ids import (
    AgencyId,
    ContactId,
    DeliveryId,
    IncidentId,
    NoticeId,
    ObligationId,
    ReplayId,
    SubscriptionId,
)
from noticebus.records import lean
from noticebus.store.hot import Rows, insert_rows
from noticebus.store.rows import among, records_of, values_of
from noticebus.store.tables import (
    attempts,
    deliveries,
)


@lean
class Delivery:
    """One intent to carry something to one destination.

    `attempts` fences every record of an outcome. As it begins it is queued, untried, and about
    nothing that is owed.
    """

    id: DeliveryId
    incident_id: IncidentId | None = None
    obligation_id: ObligationId | None = None
    notice_id: NoticeId | None = None
    subscription_id: SubscriptionId | None = None
    contact_id: ContactId | None = None
    agency_id: AgencyId
    subject: str
    destination: str
    channel: Channel
    cause: Cause
    version: int
    round: int
    step: int
    notice_class: NoticeClass
    content_level: ContentLevel
    sequence: int | None = None
    answer_due_at: dt.datetime | None = None
    state: DeliveryState = DeliveryState.QUEUED
    attempts: int = 0
    recipient_attempts: int = 0
    due_at: dt.datetime | None
    lease_until: dt.datetime
    first_failed_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    detail: dict[str, Any] | None = None
    created_at: dt.datetime
    bundle: str | None = None
    held_reason: HeldReason | None = None
    replays_id: DeliveryId | None = None
    replay_id: ReplayId | None = None


@lean
class Attempt:
    """One try of a delivery, with its outcome.

    `body_digest` is the SHA-256 of what was put on the wire, in hex. A telephone provider's id and
    its last word are there where one carried it. `dns_ms` to `first_byte_ms` say where the time
    went, each where a webhook's attempt went through it.
    """

    delivery_id: DeliveryId
    number: int
    started_at: dt.datetime
    finished_at: dt.datetime
    outcome: Outcome
    fault: Fault | None
    status_code: int | None
    body_digest: str
    response_excerpt: str
    error: str
    duration_ms: int
    provider_id: str | None = None
    provider_status: str | None = None
    provider_status_at: dt.datetime | None = None
    response_headers: dict[str, str] | None = None
    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    first_byte_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A version of an obligation that was carried, to one contact or to the agency's own server."""

    obligation_id: ObligationId
    version: int
    contact_id: ContactId | None


@lean
class Recording:
    """What a delivery becomes after one attempt."""

    delivery_id: DeliveryId
    attempts: int
    state: DeliveryState
    due_at: dt.datetime | None
    recipient_attempts: int
    first_failed_at: dt.datetime | None
    finished_at: dt.datetime | None


CARRIED_MAX = 200  # alternatives in one statement: SQLite takes a thousand parts at most


def delivery_rows(new: Sequence[Delivery]) -> Rows:
    """Write down `new`; the unique key on what is carried where and why refuses a second one."""
    return deliveries, new


async def insert_deliveries(conn: AsyncConnection, new: Sequence[Delivery]) -> None:
    """Insert `new`; the unique key on what is carried where and why refuses a second one."""
    if new:
        await insert_rows(conn, deliveries, new)


async def insert_missing(conn: AsyncConnection, new: Sequence[Delivery]) -> None:
    """Insert those of `new` that are not there yet: a next channel is started once."""
    if not new:
        return
    statement = _insert(conn, deliveries).on_conflict_do_nothing()
    await conn.execute(statement, [values_of(one) for one in new])


def _insert(conn: AsyncConnection, into: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """Begin an insert that can say what becomes of a row that is there."""
    return sqlite.insert(into) if conn.dialect.name == "sqlite" else postgresql.insert(into)


async def hasten_next_channel(
    conn: AsyncConnection, carried: Collection[Carried], *, now: dt.datetime
) -> None:
    """Let what waits as the next channel of what was carried go now."""
    waiting = _waiting_next_channel(carried, now=now)
    await conn.execute(
        sa.update(deliveries)
        .where(deliveries.c.id.in_(waiting.scalar_subquery()))
        .values(due_at=now)
    )


async def drop_next_channel(
    conn: AsyncConnection, carried: Collection[Carried], *, now: dt.datetime
) -> None:
    """End what waits as the next channel of what was carried: the first got through."""
    every = list(carried)
    for start in range(0, len(every), CARRIED_MAX):
        waiting = _waiting_next_channel(every[start : start + CARRIED_MAX], now=now)
        await conn.execute(
            sa.update(deliveries)
            .where(deliveries.c.id.in_(waiting.scalar_subquery()))
            .values(state=DeliveryState.MOOT, due_at=None, finished_at=now)
        )


def _waiting_next_channel(
    carried: Collection[Carried], *, now: dt.datetime
) -> sa.Select[tuple[str]]:
    """Select what is still to fall due and was never tried: nothing else of an obligation is."""
    return (
        sa.select(deliveries.c.id)
        .where(
            sa.or_(*(_follows(one) for one in carried)),
            deliveries.c.contact_id.is_not(None),
            deliveries.c.held_reason.is_(None),
            deliveries.c.state == DeliveryState.QUEUED,
            deliveries.c.attempts == 0,
            deliveries.c.due_at > now,
        )
        .order_by(deliveries.c.id)
        .with_for_update(key_share=True)  # SQLite has no row locks: the single writer protects us
    )


def _follows(one: Carried) -> sa.ColumnElement[bool]:
    """Select what carries the same: to the same contact, or where it went to none, to any."""
    same = (deliveries.c.obligation_id == one.obligation_id) & (deliveries.c.version == one.version)
    return same if one.contact_id is None else same & (deliveries.c.contact_id == one.contact_id)


async def insert_attempts(conn: AsyncConnection, new: Sequence[Attempt]) -> None:
    """Insert those of `new` whose numbers have no attempt yet.

    A number comes again where nobody heard that its record was committed, or where a crash of the
    database lost its claim.
    """
    if not new:
        return
    statement = _insert(conn, attempts).on_conflict_do_nothing()
    await conn.execute(statement, [values_of(one) for one in new])


async def write_attempts(conn: AsyncConnection, new: Sequence[Attempt]) -> None:
    """Write the attempts of claims that are ours, each over what a lost claim left at its number.

    One that sent nothing leaves the digest of one that did: repeats are held against it (I3).
    """
    await insert_rows(conn, attempts, new, finish=_over_what_a_lost_claim_left)


def _over_what_a_lost_claim_left(insert: sqlite.Insert | postgresql.Insert) -> sa.Insert:
    changed: dict[str, sa.ColumnElement[Any]] = {
        one.name: insert.excluded[one.name] for one in attempts.c if not one.primary_key
    }
    changed["body_digest"] = sa.func.coalesce(
        sa.func.nullif(insert.excluded.body_digest, ""), attempts.c.body_digest
    )
    return insert.on_conflict_do_update(index_elements=attempts.primary_key, set_=changed)


async def held_deliveries(
    conn: AsyncConnection, claimed: Collection[tuple[DeliveryId, int]]
) -> set[tuple[DeliveryId, int]]:
    """Lock those of `claimed` (id, attempt number) that are still ours.

    The fence before recording outcomes.
    """
    if not claimed:
        return set()
    ids = {id_ for id_, _ in claimed}
    statement = (
        sa.select(deliveries.c.id, deliveries.c.attempts)
        .where(among(deliveries.c.id, ids), deliveries.c.state == DeliveryState.SENDING)
        .order_by(deliveries.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    held = {(DeliveryId(id_), number) for id_, number in await conn.execute(statement)}
    return held & set(claimed)


async def finish_delivered(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId], *, finished_at: dt.datetime
) -> None:
    """Mark deliveries as accepted by a machine at the other end: one statement, however many."""
    await conn.execute(
        sa.update(deliveries)
        .where(among(deliveries.c.id, delivery_ids))
        .values(state=DeliveryState.DELIVERED, due_at=None, finished_at=finished_at)
    )


async def hand_over(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId], *, machine_now: dt.datetime
) -> None:
    """Mark deliveries as with a telephone provider: nobody's, and not due, until it says more."""
    await conn.execute(
        sa.update(deliveries)
        .where(deliveries.c.id.in_(sorted(delivery_ids)))
        .values(state=DeliveryState.HANDED_OVER, due_at=None, lease_until=machine_now)
    )


async def record(
    conn: AsyncConnection, recordings: Sequence[Recording], *, machine_now: dt.datetime
) -> None:
    """Write what failed deliveries become (queued, exhausted, revoked) and end their leases."""
    statement = (
        sa.update(deliveries)
        .where(
            deliveries.c.id == sa.bindparam("b_id"),
            deliveries.c.attempts == sa.bindparam("b_attempts"),
            deliveries.c.state == DeliveryState.SENDING,
        )
        .values(
            {
                name: sa.bindparam(f"b_{name}")
                for name in (
                    "state",
                    "due_at",
                    "lease_until",
                    "recipient_attempts",
                    "first_failed_at",
                    "finished_at",
                )
            }
        )
    )
    await conn.execute(
        statement,
        [
            {
                "b_id": one.delivery_id,
                "b_attempts": one.attempts,
                "b_state": one.state,
                "b_due_at": one.due_at,
                "b_lease_until": machine_now,
                "b_recipient_attempts": one.recipient_attempts,
                "b_first_failed_at": one.first_failed_at,
                "b_finished_at": one.finished_at,
            }
            for one in recordings
        ],
    )


async def make_moot(
    conn: AsyncConnection,
    obligation_ids: Collection[ObligationId],
    *,
    finished_at: dt.datetime,
    causes: Collection[Cause],
    version_max: int | None = None,
) -> int:
    """End what is still queued for obligations because an answer or a cancel made it pointless.

    An answer to `version_max` leaves what carries a later version.
    """
    queued = (
        sa.select(deliveries.c.id)
        .where(
            deliveries.c.obligation_id.in_(sorted(obligation_ids)),
            deliveries.c.state == DeliveryState.QUEUED,
            deliveries.c.cause.in_(sorted(causes)),
            sa.true() if version_max is None else deliveries.c.version <= version_max,
        )
        .order_by(deliveries.c.id)
        .with_for_update(key_share=True)  # SQLite: the single writer
    )
    statement = (
        sa.update(deliveries)
        .where(deliveries.c.id.in_(queued.scalar_subquery()))
        .values(state=DeliveryState.MOOT, due_at=None, finished_at=finished_at)
    )
    return (await conn.execute(statement)).rowcount


async def deliveries_of(
    conn: AsyncConnection,
    *,
    subscription_id: SubscriptionId | None = None,
    incident_id: IncidentId | None = None,
    before: DeliveryId | None = None,
    limit: int,
) -> list[Delivery]:
    """Read at most `limit` deliveries of a subscription or an incident, newest first."""
    statement = sa.select(deliveries).order_by(deliveries.c.id.desc()).limit(limit)
    if subscription_id is not None:
        statement = statement.where(deliveries.c.subscription_id == subscription_id)
    if incident_id is not None:
        statement = statement.where(deliveries.c.incident_id == incident_id)
    if before is not None:
        statement = statement.where(deliveries.c.id < before)
    return records_of(await conn.execute(statement), Delivery)


async def notices_carried(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId]
) -> list[Delivery]:
    """Read what carries the notice itself to the recipients of obligations."""
    statement = sa.select(deliveries).where(
        deliveries.c.obligation_id.in_(sorted(obligation_ids)), deliveries.c.cause == Cause.NOTICE
    )
    return records_of(await conn.execute(statement), Delivery)


async def attempts_of(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId]
) -> dict[DeliveryId, list[Attempt]]:
    """Read the attempts of deliveries, first try first."""
    statement = (
        sa.select(attempts)
        .where(attempts.c.delivery_id.in_(sorted(delivery_ids)))
        .order_by(attempts.c.delivery_id, attempts.c.number)
    )
    grouped: dict[DeliveryId, list[Attempt]] = {}
    for row in (await conn.execute(statement)).mappings():
        attempt = Attempt(**row)
        grouped.setdefault(attempt.delivery_id, []).append(attempt)
    return grouped
