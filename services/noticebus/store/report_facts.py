"""What the unacknowledged report shows beside its lines, each for a whole page in one statement."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    IncidentState,
    ObligationState,
    Outcome,
    Owed,
)
from noticebus.ids import (
    AgencyId,
    IncidentId,
    NoticeId,
    ObligationId,
    QuestionId,
)
from noticebus.store.agencies import Contact
from noticebus.store.reports import Scope, touches
from noticebus.store.tables import (
    agencies,
    attempts,
    contacts,
    deliveries,
    incidents,
    notices,
    obligations,
    questions,
    responsibilities,
)

SHOWN_MAX = 100
CONTACTS_MAX = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """How often an obligation's deliveries were tried, and what the latest try came to."""

    count: int
    channel: Channel
    outcome: Outcome
    at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An agency as the report names it, with the zone its people live in."""

    id: AgencyId
    name: str
    kind: AgencyKind
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """The places of one incident that nobody answers for, and what the operators owe it now."""

    incident_id: IncidentId
    notice_id: NoticeId
    uncovered: list[dict[str, str]]
    held_id: ObligationId | None
    held_state: ObligationState | None
    held_due_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """What a poster owes: an answer, or an update it promised."""

    owed: Owed
    obligation_id: ObligationId | None
    question_id: QuestionId | None
    agency_id: AgencyId
    incident_id: IncidentId
    notice_id: NoticeId
    due_at: dt.datetime


async def latest_versions(
    conn: AsyncConnection, incident_ids: Collection[IncidentId], *, at: dt.datetime
) -> dict[IncidentId, int]:
    """Read which version of each incident was the newest at `at`."""
    statement = (
        sa.select(notices.c.incident_id, sa.func.max(notices.c.version))
        .where(notices.c.incident_id.in_(sorted(set(incident_ids))), notices.c.accepted_at <= at)
        .group_by(notices.c.incident_id)
    )
    return {IncidentId(one): version for one, version in await conn.execute(statement)}


async def tries_of(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId], *, by: dt.datetime
) -> dict[ObligationId, Tries]:
    """Count the attempts finished by `by` for each obligation, and read the latest."""
    of_one = deliveries.c.obligation_id
    newest_first = (
        attempts.c.finished_at.desc(),
        attempts.c.number.desc(),
        attempts.c.delivery_id.desc(),
    )
    numbered = (
        sa.select(
            of_one,
            deliveries.c.channel,
            attempts.c.outcome,
            attempts.c.finished_at.label("at"),
            sa.func.count().over(partition_by=of_one).label("count"),
            sa.func.row_number().over(partition_by=of_one, order_by=newest_first).label("place"),
        )
        .join(attempts, attempts.c.delivery_id == deliveries.c.id)
        .where(of_one.in_(sorted(obligation_ids)), attempts.c.finished_at <= by)
        .subquery()
    )
    rows = await conn.execute(sa.select(numbered).where(numbered.c.place == 1))
    return {
        row["obligation_id"]: Tries(
            count=row["count"], channel=row["channel"], outcome=row["outcome"], at=row["at"]
        )
        for row in rows.mappings()
    }


async def named(conn: AsyncConnection, agency_ids: Collection[AgencyId]) -> dict[AgencyId, Named]:
    """Read the names of agencies."""
    statement = sa.select(agencies.c.id, agencies.c.name, agencies.c.kind, agencies.c.zone).where(
        agencies.c.id.in_(sorted(set(agency_ids)))
    )
    found = [Named(**row) for row in (await conn.execute(statement)).mappings()]
    return {one.id: one for one in found}


async def areas_of_notices(
    conn: AsyncConnection, notice_ids: Collection[NoticeId]
) -> dict[NoticeId, list[str]]:
    """Read the keys of the places that notices touch."""
    statement = sa.select(notices.c.id, notices.c.area_keys).where(
        notices.c.id.in_(sorted(set(notice_ids)))
    )
    return {row[0]: row[1] for row in await conn.execute(statement)}


async def areas_answered_for(
    conn: AsyncConnection, agency_ids: Collection[AgencyId], *, at: dt.datetime
) -> dict[AgencyId, frozenset[str]]:
    """Read the keys of the places that agencies answered for at `at`."""
    statement = sa.select(responsibilities.c.agency_id, responsibilities.c.area_keys).where(
        responsibilities.c.agency_id.in_(sorted(set(agency_ids))),
        responsibilities.c.created_at <= at,
        responsibilities.c.ended_at.is_(None) | (responsibilities.c.ended_at > at),
    )
    keys: defaultdict[AgencyId, set[str]] = defaultdict(set)
    for agency_id, area_keys in await conn.execute(statement):
        keys[agency_id].update(area_keys)
    return {agency_id: frozenset(found) for agency_id, found in keys.items()}


async def living_contacts(
    conn: AsyncConnection, agency_ids: Collection[AgencyId]
) -> dict[AgencyId, list[Contact]]:
    """Read the living contacts of agencies in id order, at most `CONTACTS_MAX` of all."""
    statement = (
        sa.select(contacts)
        .where(contacts.c.agency_id.in_(sorted(set(agency_ids))), contacts.c.ended_at.is_(None))
        .order_by(contacts.c.agency_id, contacts.c.id)
        .limit(CONTACTS_MAX)
    )
    grouped: defaultdict[AgencyId, list[Contact]] = defaultdict(list)
    for row in (await conn.execute(statement)).mappings():
        contact = Contact(**row)
        grouped[contact.agency_id].append(contact)
    return dict(grouped)


async def gaps(conn: AsyncConnection, scope: Scope, *, at: dt.datetime) -> list[Gaps]:
    """Read the places nobody answers for in incidents going on at `at`, by their latest version.

    At most `SHOWN_MAX` incidents, the latest event first.
    """
    newer = notices.alias()
    overtaken = sa.exists().where(
        newer.c.incident_id == notices.c.incident_id,
        newer.c.version > notices.c.version,
        newer.c.released_at <= at,
    )
    statement = (
        sa.select(
            notices.c.incident_id,
            notices.c.id.label("notice_id"),
            notices.c.uncovered,
            obligations.c.id.label("held_id"),
            obligations.c.state.label("held_state"),
            obligations.c.due_at.label("held_due_at"),
        )
        .join(incidents, incidents.c.id == notices.c.incident_id)
        .outerjoin(
            obligations,
            (obligations.c.incident_id == notices.c.incident_id)
            & (obligations.c.owed == Owed.COVERAGE),
        )
        .where(*_notices_going_on(scope, at=at), notices.c.released_at <= at, ~overtaken)
        .where(sa.type_coerce(notices.c.uncovered, sa.Text) != "[]")
        .order_by(notices.c.occurred_at.desc(), notices.c.id)
        .limit(SHOWN_MAX)
    )
    return [Gaps(**row) for row in (await conn.execute(statement)).mappings()]


async def debts(conn: AsyncConnection, scope: Scope, *, at: dt.datetime) -> list[Debt]:
    """Read what posters owed at `at`, longest due first, at most `SHOWN_MAX` of each kind."""
    asked = (
        sa.select(
            questions.c.id.label("question_id"),
            questions.c.obligation_id,
            obligations.c.agency_id,
            questions.c.incident_id,
            questions.c.notice_id,
            questions.c.due_at,
        )
        .join(obligations, obligations.c.id == questions.c.obligation_id)
        .join(notices, notices.c.id == questions.c.notice_id)
        .join(incidents, incidents.c.id == questions.c.incident_id)
        .where(*_notices_going_on(scope, at=at, debtor=False), questions.c.created_at <= at)
        .where(questions.c.answered_at.is_(None) | (questions.c.answered_at > at))
        .where(obligations.c.closed_at.is_(None) | (obligations.c.closed_at > at))
        .order_by(questions.c.due_at, questions.c.id)
        .limit(SHOWN_MAX)
    )
    if scope.agency_id is not None:
        mine = (obligations.c.agency_id == scope.agency_id) | (
            questions.c.asked_by == scope.agency_id
        )
        asked = asked.where(mine)
    rows = (await conn.execute(asked)).mappings().all()
    found = [Debt(owed=Owed.QUESTION, **row) for row in rows]
    found += await _late_updates(conn, scope, at=at)
    return sorted(found, key=lambda debt: (debt.due_at, debt.notice_id, debt.question_id or ""))


async def _late_updates(conn: AsyncConnection, scope: Scope, *, at: dt.datetime) -> list[Debt]:
    newer = notices.alias()
    updated = sa.exists().where(
        newer.c.incident_id == notices.c.incident_id,
        newer.c.version > notices.c.version,
        newer.c.accepted_at <= at,
    )
    statement = (
        sa.select(
            notices.c.agency_id,
            notices.c.incident_id,
            notices.c.id.label("notice_id"),
            notices.c.next_update_due.label("due_at"),
        )
        .join(incidents, incidents.c.id == notices.c.incident_id)
        .where(*_notices_going_on(scope, at=at), notices.c.released_at <= at)
        .where(notices.c.next_update_due <= at, ~updated)
        .order_by(notices.c.next_update_due, notices.c.id)
        .limit(SHOWN_MAX)
    )
    rows = (await conn.execute(statement)).mappings().all()
    return [Debt(owed=Owed.UPDATE, obligation_id=None, question_id=None, **row) for row in rows]


def _notices_going_on(
    scope: Scope, *, at: dt.datetime, debtor: bool = True
) -> list[sa.ColumnElement[bool]]:
    """Select notices of incidents going on at `at`; with `debtor`, only what the caller posted."""
    wanted = [
        notices.c.status == scope.status,
        notices.c.accepted_at <= at,
        incidents.c.ended_at.is_(None)
        | (incidents.c.ended_at > at)
        | (incidents.c.state == IncidentState.CLEARED),  # what is owed then is owed still
    ]
    if scope.notice_class is not None:
        wanted.append(notices.c.notice_class == scope.notice_class)
    if scope.area_key is not None:
        wanted.append(touches(scope.area_key))
    if debtor and scope.agency_id is not None:
        wanted.append(incidents.c.agency_id == scope.agency_id)
    return wanted
