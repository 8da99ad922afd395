"""The unacknowledged report's lines and counts, live and as they were at a ledger index."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    AgencyKind,
    NoticeClass,
    ObligationState,
    Owed,
    Standing,
    Status,
)
from noticebus.domain.figures import Tier, nearest_rank, tier_of
from noticebus.domain.policies import PolicyRecord
from noticebus.ids import AgencyId, IncidentId, NoticeId, ObligationId
from noticebus.store.columns import Instant
from noticebus.store.tables import agencies, incidents, notices, obligation_history, obligations

NEVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)  # sorts what has no deadline after all that has


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which obligations a report is about: what was asked for, and what the caller may see.

    `agency_id` limits to one agency's own lines, and with `posted` to those of its incidents too.
    """

    status: Status
    kind: AgencyKind | None = None
    notice_class: NoticeClass | None = None
    area_key: str | None = None
    agency_id: AgencyId | None = None
    posted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An obligation as the report needs it. `step` is the next one's index in `policy`."""

    id: ObligationId
    incident_id: IncidentId
    agency_id: AgencyId
    standing: Standing
    state: ObligationState
    epoch: int
    notice_class: NoticeClass
    round_notice_id: NoticeId
    round_started_at: dt.datetime
    due_at: dt.datetime | None
    policy: PolicyRecord
    step: int
    next_step_at: dt.datetime | None
    reachable: bool
    closed_at: dt.datetime | None
    answered_version: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where a line stands in the report's order; smaller is more pressing."""

    tier: int
    minus_step: int
    due_at: dt.datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Mandatory obligations counted. `oldest_due_at` is that of the open one due first."""

    open: int
    overdue: int
    oldest_due_at: dt.datetime | None
    due: int
    closed: int
    closed_within: int


_COLUMNS = tuple(obligations.c[field.name] for field in fields(Line))
_INSTANTS = frozenset({"round_started_at", "due_at", "next_step_at", "closed_at"})
_WORDS: Mapping[str, type[Any]] = {
    "standing": Standing,
    "state": ObligationState,
    "notice_class": NoticeClass,
}


def place_of(line: Line, *, now: dt.datetime) -> Place:
    """Place an open line: unreachable, then overdue by step and time, then due soonest."""
    tier = tier_of(reachable=line.reachable, due_at=line.due_at, now=now)
    stepped = tier in {Tier.UNREACHABLE, Tier.OVERDUE}
    return Place(
        tier=tier,
        minus_step=-line.step if stepped else 0,
        due_at=line.due_at or NEVER,
        id=line.id,
    )


async def open_lines(
    conn: AsyncConnection,
    scope: Scope,
    *,
    overdue: bool | None,
    now: dt.datetime,
    after: Place | None,
    limit: int,
) -> list[Line]:
    """Read at most `limit` open lines after `after`: a statement a tier until the page is full."""
    found: list[Line] = []
    for tier in Tier:
        if len(found) == limit or (after is not None and tier < after.tier):
            continue
        here = after if after is not None and after.tier == tier else None
        statement = (
            sa.select(*_COLUMNS)
            .where(*_about(scope), obligations.c.state == ObligationState.OPEN)
            .where(*_in_tier(tier, now=now), *_past_deadline(overdue, now=now))
            .where(*([] if here is None else [_follows(here, tier)]))
            .order_by(*_order(tier))
            .limit(limit - len(found))
        )
        found += [Line(**row) for row in (await conn.execute(statement)).mappings()]
    return found


async def count(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> Counts:
    """Count the mandatory: open, overdue, fallen due, and of those closed and closed in time."""
    mandatory = (*_about(scope), obligations.c.standing == Standing.MANDATORY)
    of_open = sa.select(
        sa.func.count(),
        sa.func.count().filter(obligations.c.due_at <= now),
        sa.func.min(obligations.c.due_at),
    ).where(*mandatory, obligations.c.state == ObligationState.OPEN)
    still_open, overdue, oldest = (await conn.execute(of_open)).one()
    closed = obligations.c.state == ObligationState.CLOSED
    of_due = sa.select(
        sa.func.count(),
        sa.func.count().filter(closed),
        sa.func.count().filter(closed & (obligations.c.closed_at <= obligations.c.due_at)),
    ).where(*_fell_due(scope, now=now))
    due, closed_at_all, within = (await conn.execute(of_due)).one()
    return Counts(
        open=still_open,
        overdue=overdue,
        oldest_due_at=oldest if oldest is not None and oldest <= now else None,
        due=due,
        closed=closed_at_all,
        closed_within=within,
    )


async def time_to_close_at(
    conn: AsyncConnection, scope: Scope, *, counted: Counts, percent: int, now: dt.datetime
) -> dt.timedelta | None:
    """Give a percentile of the time to close among all that fell due; the silent rank last."""
    rank = nearest_rank(counted.due, percent=percent)
    if not 0 < rank <= counted.closed:
        return None
    statement = (
        sa.select(obligations.c.closed_at, obligations.c.round_started_at)
        .where(*_fell_due(scope, now=now), obligations.c.state == ObligationState.CLOSED)
        .order_by(_took(conn), obligations.c.id)
        .offset(rank - 1)
        .limit(1)
    )
    closed_at, started_at = (await conn.execute(statement)).one()
    took: dt.timedelta = closed_at - started_at
    return took


async def past_lines(
    conn: AsyncConnection,
    scope: Scope,
    *,
    index: int,
    as_of: dt.datetime,
    after: str,
    limit: int,
) -> list[tuple[Line, dict[str, Any]]]:
    """Read at most `limit` obligations in id order as they were at ledger index `index`.

    The scope's class and area belong to the line as it was: whoever calls compares those.
    """
    history = obligation_history.alias()
    latest = (
        sa.select(sa.func.max(history.c.position))
        .where(history.c.obligation_id == obligations.c.id, history.c.from_index <= index)
        .correlate(obligations)
        .scalar_subquery()
    )
    was = sa.select(*_COLUMNS, obligation_history.c.facts).select_from(
        obligations.join(obligation_history, obligation_history.c.position == latest)
    )
    unfiltered = Scope(
        status=scope.status, kind=scope.kind, agency_id=scope.agency_id, posted=scope.posted
    )
    statement = (
        was.where(*_about(unfiltered, started=False))
        .where(obligations.c.created_at <= as_of, obligations.c.id > after)
        .order_by(obligations.c.id)
        .limit(limit)
    )
    rows = (await conn.execute(statement)).mappings().all()
    return [_as_it_was(dict(row)) for row in rows]


async def touching(
    conn: AsyncConnection, notice_ids: Collection[NoticeId], *, area_key: str
) -> frozenset[NoticeId]:
    """Say which of `notice_ids` touch an area."""
    statement = sa.select(notices.c.id).where(
        notices.c.id.in_(sorted(set(notice_ids))), touches(area_key)
    )
    return frozenset((await conn.execute(statement)).scalars())


def touches(area_key: str) -> sa.ColumnElement[bool]:
    """Say that a notice's keys hold `area_key`: they are JSON text, each key in quotes."""
    return sa.type_coerce(notices.c.area_keys, sa.Text).contains(f'"{area_key}"', autoescape=True)


def begun(lines: Iterable[tuple[Line, dict[str, Any]]]) -> list[Line]:
    """Keep the lines whose round runs: what is embargoed is no line of any report."""
    return [line for line, facts in lines if facts["round_started_at"] is not None]


def _about(scope: Scope, *, started: bool = True) -> Sequence[sa.ColumnElement[bool]]:
    wanted = [obligations.c.owed == Owed.NOTICE, obligations.c.status == scope.status]
    if started:  # an embargoed notice is nobody's business yet
        wanted.append(obligations.c.round_started_at.is_not(None))
    if scope.kind is not None:
        of_kind = sa.select(agencies.c.id).where(agencies.c.kind == scope.kind)
        wanted.append(obligations.c.agency_id.in_(of_kind))
    if scope.notice_class is not None:
        wanted.append(obligations.c.notice_class == scope.notice_class)
    if scope.area_key is not None:
        there = sa.select(notices.c.id).where(touches(scope.area_key))
        wanted.append(obligations.c.round_notice_id.in_(there))
    if scope.agency_id is not None:
        wanted.append(_visible(scope.agency_id, posted=scope.posted))
    return wanted


def _visible(agency_id: AgencyId, *, posted: bool) -> sa.ColumnElement[bool]:
    own = obligations.c.agency_id == agency_id
    if not posted:
        return own
    theirs = sa.select(incidents.c.id).where(incidents.c.agency_id == agency_id)
    return own | obligations.c.incident_id.in_(theirs)


def _in_tier(tier: Tier, *, now: dt.datetime) -> list[sa.ColumnElement[bool]]:
    due_at, reachable = obligations.c.due_at, obligations.c.reachable.is_(True)
    match tier:
        case Tier.UNREACHABLE:
            return [obligations.c.reachable.is_(False)]
        case Tier.OVERDUE:
            return [reachable, due_at <= now]
        case Tier.DUE:
            return [reachable, due_at > now]
        case Tier.NOTHING_DUE:
            return [reachable, due_at.is_(None)]


def _past_deadline(overdue: bool | None, *, now: dt.datetime) -> list[sa.ColumnElement[bool]]:  # noqa: FBT001 - a filter with three values
    match overdue:
        case None:
            return []
        case True:
            return [obligations.c.due_at <= now]
        case False:
            return [(obligations.c.due_at > now) | obligations.c.due_at.is_(None)]


def _order(tier: Tier) -> tuple[sa.ColumnElement[Any], ...]:
    key, due_at, step = obligations.c.id, obligations.c.due_at, obligations.c.step
    match tier:
        case Tier.UNREACHABLE:
            return (step.desc(), _due_or_never(), key)
        case Tier.OVERDUE:
            return (step.desc(), due_at, key)
        case Tier.DUE:
            return (due_at, key)
        case Tier.NOTHING_DUE:
            return (key,)


def _follows(place: Place, tier: Tier) -> sa.ColumnElement[bool]:
    later = sa.tuple_(_due_or_never(), obligations.c.id) > sa.tuple_(
        sa.literal(place.due_at, Instant), sa.literal(place.id)
    )
    if tier in {Tier.DUE, Tier.NOTHING_DUE}:
        return later
    step = obligations.c.step
    return (step < -place.minus_step) | ((step == -place.minus_step) & later)


def _due_or_never() -> sa.ColumnElement[Any]:
    return sa.func.coalesce(obligations.c.due_at, sa.literal(NEVER, Instant))


def _fell_due(scope: Scope, *, now: dt.datetime) -> Sequence[sa.ColumnElement[bool]]:
    """Select what `domain.figures.fell_due` says fell due."""
    state = obligations.c.state
    lapsed = (state != ObligationState.WITHDRAWN) | (obligations.c.closed_at > obligations.c.due_at)
    return (
        *_about(scope),
        obligations.c.standing == Standing.MANDATORY,
        obligations.c.due_at <= now,
        state != ObligationState.WAIVED,
        lapsed,
    )


def _took(conn: AsyncConnection) -> sa.ColumnElement[Any]:
    """Order by the time to close: SQLite keeps instants as text, so it counts days instead."""
    closed_at, started_at = obligations.c.closed_at, obligations.c.round_started_at
    if conn.dialect.name == "sqlite":
        return sa.func.julianday(sa.type_coerce(closed_at, sa.Text)) - sa.func.julianday(
            sa.type_coerce(started_at, sa.Text)
        )
    return closed_at - started_at


def _as_it_was(row: dict[str, Any]) -> tuple[Line, dict[str, Any]]:
    facts: dict[str, Any] = row.pop("facts")
    for name, value in facts.items():
        if name in row:
            row[name] = _read(name, value)
    return Line(**row), facts


def _read(name: str, value: Any) -> Any:
    if name in _INSTANTS:
        return None if value is None else dt.datetime.fromisoformat(value)
    return _WORDS[name](value) if name in _WORDS else value
