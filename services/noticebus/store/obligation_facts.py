"""Everything that was sent for one obligation, and what each try came to."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Channel, DeliveryState
from noticebus.ids import AgencyId, IncidentId, NoticeId, ObligationId
from noticebus.store.deliveries import Attempt, Delivery
from noticebus.store.tables import attempts, deliveries


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """How many deliveries of a notice went to an agency at a content level, by how they stand."""

    agency_id: AgencyId
    content_level: str
    channel: Channel
    state: DeliveryState
    count: int


async def sent_for(
    conn: AsyncConnection, obligation_id: ObligationId, *, limit: int
) -> list[Delivery]:
    """Read the newest `limit` deliveries of an obligation, newest first."""
    statement = (
        sa.select(deliveries)
        .where(deliveries.c.obligation_id == obligation_id)
        .order_by(deliveries.c.id.desc())
        .limit(limit)
    )
    return [Delivery(**row) for row in (await conn.execute(statement)).mappings()]


async def tries_for(
    conn: AsyncConnection, obligation_id: ObligationId, *, limit: int
) -> list[Attempt]:
    """Read the newest `limit` tries of an obligation's deliveries, newest first."""
    statement = (
        sa.select(attempts)
        .join(deliveries, deliveries.c.id == attempts.c.delivery_id)
        .where(deliveries.c.obligation_id == obligation_id)
        .order_by(attempts.c.finished_at.desc(), attempts.c.delivery_id, attempts.c.number.desc())
        .limit(limit)
    )
    return [Attempt(**row) for row in (await conn.execute(statement)).mappings()]


async def levels_of(
    conn: AsyncConnection,
    notice_id: NoticeId,
    *,
    incident_id: IncidentId,
    agency_id: AgencyId | None,
    limit: int,
) -> list[Sent]:
    """Count who was sent a notice at which content level: of `agency_id`, or of everybody."""
    keys = (
        deliveries.c.agency_id,
        deliveries.c.content_level,
        deliveries.c.channel,
        deliveries.c.state,
    )
    statement = (
        sa.select(*keys, sa.func.count().label("count"))
        .where(deliveries.c.incident_id == incident_id, deliveries.c.notice_id == notice_id)
        .group_by(*keys)
        .order_by(*keys)
        .limit(limit)
    )
    if agency_id is not None:
        statement = statement.where(deliveries.c.agency_id == agency_id)
    return [Sent(**row) for row in (await conn.execute(statement)).mappings()]
