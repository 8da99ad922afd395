"""Questions to posters: what was asked, by whom, and what came back."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import ContentLevel, QuestionState, QuestionTopic
from noticebus.ids import AgencyId, IncidentId, NoticeId, ObligationId, QuestionId
from noticebus.store.rows import values_of
from noticebus.store.tables import question_askers, questions


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a recipient asked the poster, and what came back.

    `tier` is the level at which it was asked, and so the least at which the answer is read.
    """

    id: QuestionId
    incident_id: IncidentId
    notice_id: NoticeId
    asked_by: AgencyId
    obligation_id: ObligationId
    topic: QuestionTopic
    text: str
    due_at: dt.datetime
    state: QuestionState
    answer: dict[str, Any] | None
    answered_at: dt.datetime | None
    created_at: dt.datetime
    tier: ContentLevel = ContentLevel.PARTNER


async def insert_question(conn: AsyncConnection, new: Question) -> None:
    """Insert one question with its first asker; its obligation is there."""
    await conn.execute(questions.insert(), values_of(new))
    await add_asker(conn, new.id, agency_id=new.asked_by, at=new.created_at)


async def add_asker(
    conn: AsyncConnection, question_id: QuestionId, *, agency_id: AgencyId, at: dt.datetime
) -> None:
    """Note that one more agency asks a question; the caller has seen that it does not yet."""
    await conn.execute(
        question_askers.insert(),
        {"question_id": question_id, "agency_id": agency_id, "asked_at": at},
    )


async def askers_of(
    conn: AsyncConnection, question_ids: Collection[QuestionId]
) -> dict[QuestionId, list[AgencyId]]:
    """Read who asks each question, in the order in which they asked."""
    statement = (
        sa.select(question_askers.c.question_id, question_askers.c.agency_id)
        .where(question_askers.c.question_id.in_(sorted(question_ids)))
        .order_by(question_askers.c.asked_at, question_askers.c.agency_id)
    )
    found: dict[QuestionId, list[AgencyId]] = {}
    for question_id, agency_id in await conn.execute(statement):
        found.setdefault(question_id, []).append(agency_id)
    return found


async def question_by_id(
    conn: AsyncConnection, question_id: QuestionId, *, lock: bool = False
) -> Question | None:
    """Read one question, locked where it is to be answered."""
    statement = sa.select(questions).where(questions.c.id == question_id)
    if lock:
        statement = statement.with_for_update(key_share=True)  # SQLite: the single writer
    row = (await conn.execute(statement)).mappings().one_or_none()
    return None if row is None else Question(**row)


async def questions_of(
    conn: AsyncConnection, incident_id: IncidentId, *, limit: int
) -> list[Question]:
    """Read at most `limit` questions about an incident, oldest first."""
    statement = (
        sa.select(questions)
        .where(questions.c.incident_id == incident_id)
        .order_by(questions.c.id)
        .limit(limit)
    )
    return [Question(**row) for row in (await conn.execute(statement)).mappings()]


async def close_question(
    conn: AsyncConnection, question_id: QuestionId, *, answer: dict[str, Any], at: dt.datetime
) -> bool:
    """Store a question's answer; false where it was answered before."""
    statement = (
        sa.update(questions)
        .where(questions.c.id == question_id, questions.c.state == QuestionState.OPEN)
        .values(state=QuestionState.ANSWERED, answer=answer, answered_at=at)
    )
    return bool((await conn.execute(statement)).rowcount)


async def keep_promise(
    conn: AsyncConnection, question_id: QuestionId, *, answer: dict[str, Any]
) -> bool:
    """Store when an open question will be answered; false where it was answered before."""
    statement = (
        sa.update(questions)
        .where(questions.c.id == question_id, questions.c.state == QuestionState.OPEN)
        .values(answer=answer)
    )
    return bool((await conn.execute(statement)).rowcount)
