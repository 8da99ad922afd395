"""How far the answers to an incident, or to the round of one of its versions, have come."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import NoticeClass, ObligationState, Owed, Standing
from noticebus.domain.progress import First, Progress
from noticebus.ids import IncidentId, NoticeId
from noticebus.store.columns import Instant
from noticebus.store.tables import agencies, obligations


async def progress_of(
    conn: AsyncConnection, incident_id: IncidentId, *, notice_id: NoticeId | None = None
) -> Progress | None:
    """Read it; with `notice_id` of the round that version began. None where nobody must answer.

    Withdrawn ones count as `domain.figures.fell_due` says: those whose deadline had passed.
    """
    owed = obligations.c
    closed_at = sa.case((owed.state == ObligationState.CLOSED, owed.closed_at))
    statement = (
        sa.select(
            owed.id,
            owed.agency_id,
            agencies.c.name,
            _instant(closed_at).label("closed_at"),
            sa.func.count().over().label("counted"),
            sa.func.count(closed_at).over().label("closed"),
            _instant(sa.func.min(owed.round_started_at).over()).label("began_at"),
            _instant(sa.func.max(closed_at).over()).label("last_at"),
        )
        .join(agencies, agencies.c.id == owed.agency_id)
        .where(
            owed.incident_id == incident_id,
            owed.owed == Owed.NOTICE,
            owed.standing == Standing.MANDATORY,
            owed.state != ObligationState.WAIVED,
            (owed.state != ObligationState.WITHDRAWN) | (owed.closed_at > owed.due_at),
            owed.notice_class != NoticeClass.D,
            owed.round_started_at.is_not(None),
        )
        .order_by(closed_at.asc().nulls_last(), owed.id)
        .limit(1)
    )
    if notice_id is not None:
        statement = statement.where(owed.round_notice_id == notice_id)
    row = (await conn.execute(statement)).one_or_none()
    if row is None:
        return None
    first = First(
        agency_id=row.agency_id, agency_name=row.name, obligation_id=row.id, at=row.closed_at
    )
    return Progress(
        counted=row.counted,
        closed=row.closed,
        began_at=row.began_at,
        first=first if row.closed else None,
        last_at=row.last_at,
    )


def _instant(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.type_coerce(column, Instant)
