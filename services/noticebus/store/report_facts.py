"""What the unacknowledged report shows beside its lines, each for a whole page in one statement."""

import datetime as dt
import functools
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    ObligationState,
    Outcome,
    Owed,
    QuestionTopic,
)
from noticebus.domain.policies import PolicyRecord
from noticebus.ids import (
    AgencyId,
    IncidentId,
    NoticeId,
    ObligationId,
    QuestionId,
)
from noticebus.store.agencies import Contact
from noticebus.store.columns import Instant
from noticebus.store.matching import valid_at
from noticebus.store.report_areas import touches
from noticebus.store.report_lines import CONTACTS_MAX, POLICY
from noticebus.store.reports import Scope
from noticebus.store.rows import among
from noticebus.store.tables import (
    agencies,
    attempts,
    contacts,
    deliveries,
    incidents,
    notices,
    obligations,
    question_askers,
    questions,
    responsibilities,
)

SHOWN_MAX = 100
STATEMENTS_KEPT = 256  # to build one takes longer than to send it
At = dt.datetime | sa.BindParameter[dt.datetime]
_AT = sa.bindparam("at", type_=Instant)
_NEWER = notices.alias("newer")  # made once: each has all the columns of its table


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
    """What a poster owes: an answer, with how many ask, or an update it promised.

    The clock (`step` and on) is as it stands now, whatever the report's time. Notices from before a
    promised update was an obligation have none.
    """

    owed: Owed
    agency_id: AgencyId
    incident_id: IncidentId
    notice_id: NoticeId
    due_at: dt.datetime
    obligation_id: ObligationId | None = None
    question_id: QuestionId | None = None
    topic: QuestionTopic | None = None
    asks: int | None = None
    epoch: int = 1
    step: int = 0
    policy: PolicyRecord | None = None
    next_step_at: dt.datetime | None = None
    promised_until: dt.datetime | None = None


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
        .where(among(of_one, obligation_ids), attempts.c.finished_at <= by)
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
        among(agencies.c.id, agency_ids)
    )
    return {
        id_: Named(id=id_, name=name, kind=kind, zone=zone)
        for id_, name, kind, zone in (await conn.execute(statement)).all()
    }


async def areas_answered_for(
    conn: AsyncConnection, agency_ids: Collection[AgencyId], *, at: dt.datetime
) -> dict[AgencyId, frozenset[str]]:
    """Read the keys of the places that agencies answered for at `at`."""
    statement = sa.select(responsibilities.c.agency_id, responsibilities.c.area_keys).where(
        among(responsibilities.c.agency_id, agency_ids),
        responsibilities.c.created_at <= at,
        responsibilities.c.ended_at.is_(None) | (responsibilities.c.ended_at > at),
    )
    keys: defaultdict[AgencyId, set[str]] = defaultdict(set)
    for agency_id, area_keys in (await conn.execute(statement)).all():
        keys[agency_id].update(area_keys)
    return {agency_id: frozenset(found) for agency_id, found in keys.items()}


async def living_contacts(
    conn: AsyncConnection, agency_ids: Collection[AgencyId], *, at: dt.datetime
) -> dict[AgencyId, list[Contact]]:
    """Read who speaks for agencies at `at`, in id order, at most `CONTACTS_MAX` of all."""
    if not agency_ids:
        return {}
    statement = (
        sa.select(contacts)
        .where(contacts.c.agency_id.in_(sorted(set(agency_ids))), valid_at(at))
        .order_by(contacts.c.agency_id, contacts.c.id)
        .limit(CONTACTS_MAX)
    )
    grouped: defaultdict[AgencyId, list[Contact]] = defaultdict(list)
    for row in (await conn.execute(statement)).mappings():
        grouped[row["agency_id"]].append(Contact(**row))
    return dict(grouped)


async def gaps(conn: AsyncConnection, scope: Scope, *, at: dt.datetime) -> list[Gaps]:
    """Read the places nobody answers for in incidents going on at `at`, by their latest version.

    At most `SHOWN_MAX` incidents, the latest event first.
    """
    found = (await conn.execute(_gaps(scope), {"at": at})).all()
    held = await _held(conn, {row[0] for row in found}) if found else {}
    return [
        Gaps(
            incident_id=incident_id,
            notice_id=notice_id,
            uncovered=uncovered,
            held_id=held_id,
            held_state=held_state,
            held_due_at=held_due_at,
        )
        for incident_id, notice_id, uncovered in found
        for held_id, held_state, held_due_at in [held.get(incident_id, (None, None, None))]
    ]


@functools.lru_cache(maxsize=STATEMENTS_KEPT)
def _gaps(scope: Scope) -> sa.Select[Any]:
    return (
        sa.select(notices.c.incident_id, notices.c.id, notices.c.uncovered)
        .join(incidents, incidents.c.id == notices.c.incident_id)
        .where(*latest_going_on(scope, at=_AT))
        .where(sa.text("notices.uncovered <> '[]'"))  # written out: so the partial index serves
        .order_by(notices.c.occurred_at.desc(), notices.c.id)
        .limit(SHOWN_MAX)
    )


async def _held(
    conn: AsyncConnection, incident_ids: Collection[IncidentId]
) -> dict[IncidentId, tuple[ObligationId, ObligationState, dt.datetime | None]]:
    """Read what the operators owe incidents for places that nobody answers for."""
    statement = sa.select(
        obligations.c.incident_id, obligations.c.id, obligations.c.state, obligations.c.due_at
    ).where(among(obligations.c.incident_id, incident_ids), obligations.c.owed == Owed.COVERAGE)
    return {row[0]: (row[1], row[2], row[3]) for row in (await conn.execute(statement)).all()}


async def debts(
    conn: AsyncConnection, scope: Scope, *, at: dt.datetime, is_past: bool = True
) -> list[Debt]:
    """Read what posters owed at `at`, longest due first, at most `SHOWN_MAX` of each kind.

    What is owed outlives an all-clear, and not a cancel, which withdraws it. What is owed now is
    read from small indexes; a past report (`is_past`) looks through what has been met since.
    """
    asked, promised, late = _debts(scope, is_past)
    found = [
        # One asked before askers were noted has no row of its own, and its one asker all the same.
        Debt(owed=Owed.QUESTION, **{**row, "asks": max(row["asks"], 1)})
        for row in (await conn.execute(asked, {"at": at})).mappings()
    ]
    for statement in (promised, late):
        rows = (await conn.execute(statement, {"at": at})).mappings()
        found += [Debt(owed=Owed.UPDATE, **row) for row in rows]
    return sorted(found, key=lambda debt: (debt.due_at, debt.notice_id, debt.question_id or ""))


@functools.lru_cache(maxsize=STATEMENTS_KEPT)
def _debts(scope: Scope, is_past: bool) -> tuple[sa.Select[Any], ...]:  # noqa: FBT001 - a key
    asked, promised = _questions(scope, at=_AT), _updates(scope, at=_AT)
    if not is_past:
        asked = asked.where(sa.text("questions.answered_at IS NULL"))
        promised = promised.where(sa.text("obligations.state = 'open'"))
    return asked, promised, _late_updates(scope, at=_AT)


_CLOCK = (
    obligations.c.id.label("obligation_id"),
    obligations.c.agency_id,
    obligations.c.incident_id,
    obligations.c.epoch,
    obligations.c.step,
    POLICY,
    obligations.c.next_step_at,
    obligations.c.promised_until,
)


def _questions(scope: Scope, *, at: At) -> sa.Select[Any]:
    asks = (
        sa.select(sa.func.count())
        .where(question_askers.c.question_id == questions.c.id, question_askers.c.asked_at <= at)
        .scalar_subquery()
    )
    statement = (
        sa.select(
            *_CLOCK,
            questions.c.id.label("question_id"),
            questions.c.notice_id,
            questions.c.due_at,
            questions.c.topic,
            asks.label("asks"),
        )
        .select_from(questions)
        .join(obligations, obligations.c.id == questions.c.obligation_id)
        .join(notices, notices.c.id == questions.c.notice_id)
        .where(*_notices_in(scope, at=at), *_owed_at(at))
        .where(questions.c.answered_at.is_(None) | (questions.c.answered_at > at))
        .order_by(questions.c.due_at, questions.c.id)
        .limit(SHOWN_MAX)
    )
    if scope.agency_id is not None:
        mine = sa.exists().where(
            question_askers.c.question_id == questions.c.id,
            question_askers.c.agency_id == scope.agency_id,
            question_askers.c.asked_at <= at,
        )
        asked_first = questions.c.asked_by == scope.agency_id
        statement = statement.where(
            (obligations.c.agency_id == scope.agency_id) | asked_first | mine
        )
    return statement


def _updates(scope: Scope, *, at: At) -> sa.Select[Any]:
    """Select the updates that were promised and not posted, due or not."""
    statement = (
        sa.select(*_CLOCK, notices.c.id.label("notice_id"), obligations.c.due_at)
        .select_from(obligations)
        .join(notices, notices.c.id == obligations.c.owed_for)
        .where(sa.text("obligations.owed = 'update' AND obligations.owed <> 'notice'"))
        .where(*_notices_in(scope, at=at), *_owed_at(at))
        .order_by(obligations.c.due_at, obligations.c.id)
        .limit(SHOWN_MAX)
    )
    if scope.agency_id is not None:
        statement = statement.where(obligations.c.agency_id == scope.agency_id)
    return statement


def _late_updates(scope: Scope, *, at: At) -> sa.Select[Any]:
    """Select the missed updates of notices from before a promised update was an obligation."""
    updated = sa.exists().where(
        _NEWER.c.incident_id == notices.c.incident_id,
        _NEWER.c.version > notices.c.version,
        _NEWER.c.accepted_at <= at,
    )
    bound = sa.exists().where(
        obligations.c.incident_id == notices.c.incident_id,
        obligations.c.owed == Owed.UPDATE,
        obligations.c.owed_for == notices.c.id,
    )
    return (
        sa.select(
            notices.c.agency_id,
            notices.c.incident_id,
            notices.c.id.label("notice_id"),
            notices.c.next_update_due.label("due_at"),
        )
        .join(incidents, incidents.c.id == notices.c.incident_id)
        .where(*_notices_going_on(scope, at=at), notices.c.released_at <= at)
        .where(notices.c.next_update_due <= at, ~updated, ~bound)
        .order_by(notices.c.next_update_due, notices.c.id)
        .limit(SHOWN_MAX)
    )


def _owed_at(at: At) -> list[sa.ColumnElement[bool]]:
    """Select obligations that stood open at `at`."""
    closed_at = obligations.c.closed_at
    return [obligations.c.created_at <= at, closed_at.is_(None) | (closed_at > at)]


def latest_going_on(scope: Scope, *, at: At) -> list[sa.ColumnElement[bool]]:
    """Select the newest version released by `at` of each incident going on then."""
    overtaken = sa.exists().where(
        _NEWER.c.incident_id == notices.c.incident_id,
        _NEWER.c.version > notices.c.version,
        _NEWER.c.released_at <= at,
    )
    return [*_notices_going_on(scope, at=at), notices.c.released_at <= at, ~overtaken]


def _notices_going_on(scope: Scope, *, at: At) -> list[sa.ColumnElement[bool]]:
    """Select notices of incidents going on at `at`, and of those only what the caller posted."""
    wanted = [
        *_notices_in(scope, at=at),
        incidents.c.ended_at.is_(None) | (incidents.c.ended_at > at),
    ]
    if scope.agency_id is not None:
        wanted.append(incidents.c.agency_id == scope.agency_id)
    return wanted


def _notices_in(scope: Scope, *, at: At) -> list[sa.ColumnElement[bool]]:
    """Select notices accepted by `at` that are of the report's status, class and area."""
    wanted = [notices.c.status == scope.status, notices.c.accepted_at <= at]
    if scope.notice_class is not None:
        wanted.append(notices.c.notice_class == scope.notice_class)
    if scope.area_key is not None:
        wanted.append(touches(scope.area_key))
    return wanted
