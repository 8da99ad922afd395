"""Acknowledgements, and the acknowledge links that were tried."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    Answer,
    DeclineReason,
    How,
    VerifiedBy,
)
from noticebus.ids import (
    AcknowledgementId,
    AgencyId,
    ContactId,
    NoticeId,
    ObligationId,
)
from noticebus.store.rows import values_of
from noticebus.store.tables import acknowledgements, links, obligations


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """An answer by an identified actor, as stored. `closed`: it ended the obligation."""

    id: AcknowledgementId
    obligation_id: ObligationId
    notice_id: NoticeId
    version: int
    answer: Answer
    by_name: str
    by_role: str
    note: str | None
    eta: dt.datetime | None
    reason: DeclineReason | None
    reference: str | None
    verified_by: VerifiedBy
    actor: str
    how: How | None
    on_behalf_of: str | None
    late: bool
    closed: bool
    acted_at: dt.datetime
    recorded_at: dt.datetime
    by_agency_id: AgencyId | None = None


async def insert(conn: AsyncConnection, new: Acknowledgement) -> None:
    """Insert one acknowledgement."""
    await conn.execute(acknowledgements.insert(), values_of(new))


async def find_same(
    conn: AsyncConnection,
    *,
    obligation_id: ObligationId,
    version: int,
    said: tuple[Answer, DeclineReason | None, dt.datetime | None],
    by: tuple[str, str] | None = None,
) -> Acknowledgement | None:
    """Find the latest answer to this version, if it says the same: answer, reason and eta.

    Where several people must answer, `by` (actor, name) asks for the latest of this person.
    """
    statement = (
        sa.select(acknowledgements)
        .where(
            acknowledgements.c.obligation_id == obligation_id,
            acknowledgements.c.version == version,
        )
        .order_by(acknowledgements.c.id.desc())
        .limit(1)
    )
    if by is not None:
        statement = statement.where(
            acknowledgements.c.actor == by[0], acknowledgements.c.by_name == by[1]
        )
    row = (await conn.execute(statement)).mappings().one_or_none()
    if row is None:
        return None
    latest = Acknowledgement(**row)
    same = (latest.answer, latest.reason, latest.eta) == said
    return latest if same else None


async def acknowledgements_of(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId]
) -> dict[ObligationId, list[Acknowledgement]]:
    """Read the answers of obligations, oldest first."""
    statement = (
        sa.select(acknowledgements)
        .where(acknowledgements.c.obligation_id.in_(sorted(obligation_ids)))
        .order_by(acknowledgements.c.id)
    )
    grouped: dict[ObligationId, list[Acknowledgement]] = {}
    for row in (await conn.execute(statement)).mappings():
        made = Acknowledgement(**row)
        grouped.setdefault(made.obligation_id, []).append(made)
    return grouped


async def wrong_codes(
    conn: AsyncConnection, *, obligation_id: ObligationId, contact_id: ContactId, version: int
) -> int:
    """Count the wrong codes tried on one link."""
    statement = sa.select(links.c.wrong_codes).where(
        links.c.obligation_id == obligation_id,
        links.c.contact_id == contact_id,
        links.c.version == version,
    )
    return (await conn.execute(statement)).scalar_one_or_none() or 0


async def count_wrong_code(
    conn: AsyncConnection, *, obligation_id: ObligationId, contact_id: ContactId, version: int
) -> None:
    """Count one more wrong code on one link."""
    key = {"obligation_id": obligation_id, "contact_id": contact_id, "version": version}
    tried = (
        sa.update(links)
        .where(*(links.c[name] == value for name, value in key.items()))
        .values(wrong_codes=links.c.wrong_codes + 1)
    )
    if not (await conn.execute(tried)).rowcount:
        await conn.execute(links.insert(), {**key, "wrong_codes": 1})


async def note_opened(
    conn: AsyncConnection, *, obligation_id: ObligationId, at: dt.datetime
) -> bool:
    """Note that a link was first opened: somebody, or some scanner, may have looked.

    Never an answer (I4).
    """
    statement = (
        sa.update(obligations)
        .where(obligations.c.id == obligation_id, obligations.c.opened_at.is_(None))
        .values(opened_at=at)
    )
    return bool((await conn.execute(statement)).rowcount)
