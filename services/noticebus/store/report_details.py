"""What a report's files say beside its lines, each for many lines in one statement."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    Answer,
    EndpointState,
    NoticeKind,
    Role,
    SubscriptionState,
)
from noticebus.domain.at_risk import Answering
from noticebus.ids import AgencyId, IncidentId, NoticeId, ObligationId
from noticebus.store.incident_recipients import present_in
from noticebus.store.tables import (
    acknowledgements,
    endpoints,
    entries,
    notices,
    responsibilities,
    responsibility_areas,
    subscriptions,
)

NAMED_MAX = 100
_GRAVEST_LAST = (
    EndpointState.HEALTHY,
    EndpointState.PROBING,
    EndpointState.FAILING,
    EndpointState.TRIPPED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFacts:
    """What happened when, without what it says."""

    kind: NoticeKind
    occurred_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LastAnswer:
    """The latest answer to an obligation that is open all the same; by role, never by name."""

    answer: Answer
    by_role: str
    how: str
    late: bool
    recorded_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """An agency that is there for its places in an incident, and whether its deadline is past."""

    incident_id: IncidentId
    agency_id: AgencyId
    overdue: bool


async def facts_of_notices(
    conn: AsyncConnection, notice_ids: Collection[NoticeId]
) -> dict[NoticeId, NoticeFacts]:
    """Read of which kind notices are, and when what they tell of happened."""
    statement = sa.select(notices.c.id, notices.c.kind, notices.c.occurred_at).where(
        notices.c.id.in_(sorted(set(notice_ids)))
    )
    return {
        row.id: NoticeFacts(kind=row.kind, occurred_at=row.occurred_at)
        for row in await conn.execute(statement)
    }


async def last_answers(
    conn: AsyncConnection, obligation_ids: Collection[ObligationId], *, by: dt.datetime
) -> dict[ObligationId, LastAnswer]:
    """Read the latest answer to each obligation that was recorded by `by`."""
    of_one = acknowledgements.c.obligation_id
    numbered = (
        sa.select(
            of_one,
            acknowledgements.c.answer,
            acknowledgements.c.by_role,
            acknowledgements.c.how,
            acknowledgements.c.verified_by,
            acknowledgements.c.late,
            acknowledgements.c.recorded_at,
            sa.func.row_number()
            .over(partition_by=of_one, order_by=acknowledgements.c.id.desc())
            .label("place"),
        )
        .where(of_one.in_(sorted(obligation_ids)), acknowledgements.c.recorded_at <= by)
        .subquery()
    )
    rows = await conn.execute(sa.select(numbered).where(numbered.c.place == 1))
    return {
        row.obligation_id: LastAnswer(
            answer=row.answer,
            by_role=row.by_role,
            how=row.how or row.verified_by,
            late=row.late,
            recorded_at=row.recorded_at,
        )
        for row in rows
    }


async def endpoint_states(
    conn: AsyncConnection, agency_ids: Collection[AgencyId]
) -> dict[AgencyId, EndpointState]:
    """Read how the endpoints of agencies do now: of several the one that does worst.

    An agency whose endpoints have never failed is not in it.
    """
    statement = (
        sa.select(subscriptions.c.agency_id, endpoints.c.state)
        .join(endpoints, endpoints.c.subscription_id == subscriptions.c.id)
        .where(
            subscriptions.c.agency_id.in_(sorted(set(agency_ids))),
            subscriptions.c.state != SubscriptionState.ENDED,
        )
    )
    worst: dict[AgencyId, EndpointState] = {}
    for agency_id, state in await conn.execute(statement):
        before = worst.get(agency_id, EndpointState.HEALTHY)
        worst[agency_id] = max(before, state, key=_GRAVEST_LAST.index)
    return worst


async def leaf_hash_at(conn: AsyncConnection, index: int) -> str:
    """Give the RFC 6962 leaf hash of the ledger's entry at `index` in hex; empty without one."""
    statement = sa.select(entries.c.leaf_hash).where(entries.c.index == index)
    found: bytes | None = (await conn.execute(statement)).scalar_one_or_none()
    return "" if found is None else found.hex()


async def answering_for(conn: AsyncConnection, area_keys: Collection[str]) -> list[Answering]:
    """Read who answers now for places, by the very keys given: a line for each key and role.

    Ids of at most `NAMED_MAX` of each line; its count is of all.
    """
    area, of = responsibility_areas.c.area_key, responsibilities.c
    each = (
        sa.select(area, of.role, of.agency_id)
        .join(responsibilities, of.id == responsibility_areas.c.responsibility_id)
        .where(area.in_(sorted(set(area_keys))), of.ended_at.is_(None))
        .distinct()
        .subquery("each")
    )
    line = (each.c.area_key, each.c.role)
    placed = sa.select(
        each,
        sa.func.count().over(partition_by=line).label("n"),
        sa.func.row_number().over(partition_by=line, order_by=each.c.agency_id).label("place"),
    ).subquery("placed")
    rows = await conn.execute(sa.select(placed).where(placed.c.place <= NAMED_MAX))
    among: defaultdict[tuple[str, Role, int], set[AgencyId]] = defaultdict(set)
    for row in rows:
        among[row.area_key, row.role, row.n].add(row.agency_id)
    return [
        Answering(area_key=key, role=role, count=count, among=frozenset(ids))
        for (key, role, count), ids in among.items()
    ]


async def there_in(
    conn: AsyncConnection,
    incident_ids: Collection[str],
    agency_ids: Collection[AgencyId],
    *,
    now: dt.datetime,
) -> list[There]:
    """Read which of some agencies are `present_in` which of some incidents, and who is overdue."""
    there = present_in(incident_ids, now=now).subquery("there")
    statement = sa.select(there).where(there.c.agency_id.in_(sorted(agency_ids)))
    return [
        There(incident_id=row.incident_id, agency_id=row.agency_id, overdue=bool(row.overdue))
        for row in await conn.execute(statement)
    ]
