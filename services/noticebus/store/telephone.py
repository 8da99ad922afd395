"""What a telephone provider says of attempts, and whose telephone a reply came from."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Channel, ObligationState
from noticebus.ids import DeliveryId
from noticebus.store.agencies import Contact
from noticebus.store.deliveries import Attempt, Delivery, Recording
from noticebus.store.tables import attempts, contacts, deliveries, obligations


@dataclass(frozen=True, slots=True, kw_only=True)
class Texted:
    """A text message that went to a contact, about an obligation that is open."""

    contact: Contact
    delivery: Delivery


async def attempt_of(conn: AsyncConnection, provider_id: str) -> Attempt | None:
    """Read the attempt that a provider knows by `provider_id`."""
    statement = (
        sa.select(attempts)
        .where(attempts.c.provider_id == provider_id)
        .order_by(attempts.c.delivery_id, attempts.c.number)
        .limit(1)
    )
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Attempt(**row)


async def delivery_by_id(
    conn: AsyncConnection, delivery_id: DeliveryId, *, lock: bool = False
) -> Delivery | None:
    """Read one delivery, locked where its state is to change; its obligation is locked before."""
    statement = sa.select(deliveries).where(deliveries.c.id == delivery_id)
    if lock:
        statement = statement.with_for_update(key_share=True)  # SQLite: the single writer
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Delivery(**row)


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
    """Find what was sent by text message to the verified telephone `phone` and is open still.

    The newest first, at most `limit`.
    """
    statement = (
        sa.select(contacts, *(column.label(f"d_{column.name}") for column in deliveries.c))
        .select_from(deliveries)
        .join(contacts, contacts.c.id == deliveries.c.contact_id)
        .join(obligations, obligations.c.id == deliveries.c.obligation_id)
        .where(
            _speaks(phone, at=at),
            deliveries.c.channel == Channel.SMS,
            deliveries.c.attempts > 0,
            deliveries.c.notice_id.is_not(None),
            obligations.c.state == ObligationState.OPEN,
        )
        .order_by(deliveries.c.id.desc())
        .limit(limit)
    )
    return [
        Texted(
            contact=Contact(**{name: row[name] for name in contacts.c.keys()}),  # noqa: SIM118
            delivery=Delivery(**{one.name: row[f"d_{one.name}"] for one in deliveries.c}),
        )
        for row in (await conn.execute(statement)).mappings()
    ]


def _speaks(phone: str, *, at: dt.datetime) -> sa.ColumnElement[bool]:
    return sa.and_(
        contacts.c.phone == phone,
        contacts.c.phone_verified_at.is_not(None),
        contacts.c.ended_at.is_(None),
        contacts.c.valid_from.is_(None) | (contacts.c.valid_from <= at),
        contacts.c.valid_until.is_(None) | (contacts.c.valid_until > at),
    )
