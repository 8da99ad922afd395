"""What a telephone provider says of attempts, and whose telephone a reply came from."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Channel, DeliveryState, ObligationState
from noticebus.ids import DeliveryId
from noticebus.store.agencies import Contact
from noticebus.store.deliveries import Attempt, Delivery, Recording
from noticebus.store.matching import valid_at
from noticebus.store.tables import attempts, contacts, deliveries, obligations

BUNDLE_MAX = 500
ANSWERABLE = (ObligationState.OPEN, ObligationState.DECLINED, ObligationState.WAIVED)
"""The states that an answer changes: a decline or a waiver is undone by whoever now has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texted:
    """A text message that went to a contact, and whether an answer can still change something."""

    contact: Contact
    delivery: Delivery
    answerable: bool


async def attempts_of(conn: AsyncConnection, provider_id: str) -> dict[DeliveryId, Attempt]:
    """Read the attempts that a provider knows by `provider_id`.

    There are several where one message carried a bundle.
    """
    statement = (
        sa.select(attempts)
        .where(attempts.c.provider_id == provider_id)
        .order_by(attempts.c.delivery_id, attempts.c.number)
        .limit(BUNDLE_MAX)
    )
    found = [Attempt(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.delivery_id: one for one in found}


async def is_being_sent(conn: AsyncConnection, delivery: Delivery) -> bool:
    """Say whether a delivery, or another of its bundle, is on its way and not yet recorded."""
    if delivery.bundle is None:
        return delivery.state is DeliveryState.SENDING
    statement = (
        sa.select(deliveries.c.id)
        .where(
            deliveries.c.contact_id == delivery.contact_id,
            deliveries.c.bundle == delivery.bundle,
            deliveries.c.state == DeliveryState.SENDING,
        )
        .limit(1)
    )
    return (await conn.execute(statement)).first() is not None


async def deliveries_by_id(
    conn: AsyncConnection, delivery_ids: Collection[DeliveryId], *, lock: bool = False
) -> list[Delivery]:
    """Read deliveries, locked where their state is to change; obligations are locked before."""
    statement = (
        sa.select(deliveries)
        .where(deliveries.c.id.in_(sorted(delivery_ids)))
        .order_by(deliveries.c.id)
    )
    if lock:
        statement = statement.with_for_update(key_share=True)  # SQLite: the single writer
    return [Delivery(**row) for row in (await conn.execute(statement)).mappings()]


async def note_status(
    conn: AsyncConnection, attempt: Attempt, *, status: str, at: dt.datetime
) -> None:
    """Keep the provider's last word on an attempt, whose delivery is locked."""
    await conn.execute(
        sa.update(attempts)
        .where(attempts.c.delivery_id == attempt.delivery_id, attempts.c.number == attempt.number)
        .values(provider_status=status, provider_status_at=at)
    )


async def take_back(conn: AsyncConnection, recording: Recording) -> None:
    """Write what a delivery becomes that a provider could not carry; it is locked."""
    await conn.execute(
        sa.update(deliveries)
        .where(deliveries.c.id == recording.delivery_id)
        .values(
            state=recording.state,
            due_at=recording.due_at,
            recipient_attempts=recording.recipient_attempts,
            first_failed_at=recording.first_failed_at,
            finished_at=recording.finished_at,
        )
    )


async def knows_phone(conn: AsyncConnection, phone: str, *, at: dt.datetime) -> bool:
    """Say whether `phone` is the verified telephone of a contact that is valid at `at`."""
    statement = sa.select(contacts.c.id).where(_speaks(phone, at=at)).limit(1)
    return (await conn.execute(statement)).first() is not None


async def texted(conn: AsyncConnection, phone: str, *, at: dt.datetime, limit: int) -> list[Texted]:
    """Find what was sent by text message to the verified telephone `phone`.

    What is open still comes first, then what a yes would take back, then the newest, at most
    `limit`.
    """
    is_open = obligations.c.state == ObligationState.OPEN
    answerable = obligations.c.state.in_(ANSWERABLE)
    statement = (
        sa.select(
            contacts,
            answerable.label("answerable"),
            *(column.label(f"d_{column.name}") for column in deliveries.c),
        )
        .select_from(deliveries)
        .join(contacts, contacts.c.id == deliveries.c.contact_id)
        .join(obligations, obligations.c.id == deliveries.c.obligation_id)
        .where(
            _speaks(phone, at=at),
            deliveries.c.channel == Channel.SMS,
            deliveries.c.attempts > 0,
            deliveries.c.notice_id.is_not(None),
        )
        .order_by(is_open.desc(), answerable.desc(), deliveries.c.id.desc())
        .limit(limit)
    )
    return [
        Texted(
            contact=Contact(**{name: row[name] for name in contacts.c.keys()}),  # noqa: SIM118
            delivery=Delivery(**{one.name: row[f"d_{one.name}"] for one in deliveries.c}),
            answerable=bool(row["answerable"]),
        )
        for row in (await conn.execute(statement)).mappings()
    ]


def _speaks(phone: str, *, at: dt.datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        contacts.c.phone == phone,
        contacts.c.phone_verified_at.is_not(None),
        valid_at(at),
    )
