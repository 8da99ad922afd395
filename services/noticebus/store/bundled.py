"""What went to a contact in one message: the other parts of a bundle that still wait."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import NoticeClass, ObligationState, Outcome, Owed
from noticebus.ids import AgencyId, ContactId, NoticeId, ObligationId
from noticebus.store.exercises import CARRIES_DUTY
from noticebus.store.tables import (
    agencies,
    attempts,
    deliveries,
    incidents,
    links,
    obligations,
)

ARRIVED = (Outcome.DELIVERED, Outcome.HANDED_OVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a message: what it is about, who owes the answer, and by when."""

    obligation_id: ObligationId
    version: int
    notice_id: NoticeId
    agency_id: AgencyId
    agency_name: str
    zone: str
    due_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Message:
    """A bundle that arrived, by its bytes, and when its part about one version was made."""

    bundle: str
    body_digest: str
    created_at: dt.datetime


async def parts_beside(  # noqa: PLR0913  (whose message, and what bounds the search)
    conn: AsyncConnection,
    *,
    obligation_id: ObligationId,
    version: int,
    contact_id: ContactId,
    ended_since: dt.datetime,
    wrong_codes_max: int,
    made_within: dt.timedelta,
    limit: int,
) -> list[Part]:
    """Read what arrived in the same message as this version did, to the same contact.

    The same message is the same bundle and the same bytes: parts that two dispatchers sent apart
    are not in it. Only what is open, asks for an answer and whose own link is not locked; the
    newest version of each, what is due first. What goes together was made `made_within` of one
    another: so long at most is looked through, and nothing where the version went alone.
    """
    mine = await _messages_with(conn, obligation_id, version=version, contact_id=contact_id)
    if not mine:
        return []
    statement = (
        sa.select(
            deliveries.c.obligation_id,
            deliveries.c.version,
            deliveries.c.notice_id,
            obligations.c.agency_id,
            agencies.c.name.label("agency_name"),
            agencies.c.zone,
            obligations.c.due_at,
        )
        .join(attempts, attempts.c.delivery_id == deliveries.c.id)
        .join(obligations, obligations.c.id == deliveries.c.obligation_id)
        .join(incidents, incidents.c.id == obligations.c.incident_id)
        .join(agencies, agencies.c.id == obligations.c.agency_id)
        .outerjoin(
            links,
            (links.c.obligation_id == obligations.c.id)
            & (links.c.contact_id == deliveries.c.contact_id)
            & (links.c.version == deliveries.c.version),
        )
        .where(
            deliveries.c.contact_id == contact_id,
            deliveries.c.created_at.between(
                min(one.created_at for one in mine) - made_within,
                max(one.created_at for one in mine) + made_within,
            ),
            deliveries.c.bundle.in_(sorted({one.bundle for one in mine})),
            attempts.c.body_digest.in_(sorted({one.body_digest for one in mine})),
            deliveries.c.obligation_id != obligation_id,
            deliveries.c.notice_id.is_not(None),
            deliveries.c.cause.in_(CARRIES_DUTY),
            attempts.c.outcome.in_(ARRIVED),
            obligations.c.state == ObligationState.OPEN,
            obligations.c.owed == Owed.NOTICE,
            obligations.c.notice_class != NoticeClass.D,
            deliveries.c.version >= obligations.c.round_version,
            incidents.c.ended_at.is_(None) | (incidents.c.ended_at > ended_since),
            sa.func.coalesce(links.c.wrong_codes, 0) < wrong_codes_max,
        )
        .distinct()
        .order_by(obligations.c.due_at, deliveries.c.obligation_id, deliveries.c.version.desc())
        .limit(limit)
    )
    newest: dict[ObligationId, Part] = {}
    for row in (await conn.execute(statement)).mappings():
        newest.setdefault(row["obligation_id"], Part(**row))
    return list(newest.values())


async def _messages_with(
    conn: AsyncConnection, obligation_id: ObligationId, *, version: int, contact_id: ContactId
) -> list[_Message]:
    """Read the bundles in which a version arrived at a contact."""
    statement = (
        sa.select(deliveries.c.bundle, deliveries.c.created_at, attempts.c.body_digest)
        .join(attempts, attempts.c.delivery_id == deliveries.c.id)
        .where(
            deliveries.c.obligation_id == obligation_id,
            deliveries.c.contact_id == contact_id,
            deliveries.c.version == version,
            deliveries.c.bundle.is_not(None),
            attempts.c.outcome.in_(ARRIVED),
            attempts.c.body_digest != "",
        )
    )
    return [_Message(**row) for row in (await conn.execute(statement)).mappings()]
