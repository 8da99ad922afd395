"""The unacknowledged report's lines and counts, live and as they were at a ledger index."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.report import Age
from noticebus.contracts.vocabulary import (
    AgencyKind,
    NoticeClass,
    ObligationState,
    Owed,
    Standing,
    Status,
)
from noticebus.domain.figures import Tier, nearest_rank, span_of, tier_of
from noticebus.domain.policies import PolicyRecord
from noticebus.ids import AgencyId, IncidentId, NoticeId, ObligationId
from noticebus.store.columns import Instant
from noticebus.store.report_lines import POLICY
from noticebus.store.tables import agencies, incidents, notice_areas, notices, obligations

NEVER = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)  # sorts what has no deadline after all that has
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
STEP_MAX = 20  # of a policy (`contracts.policy.STEPS_MAX`), as the next one's index


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


_OF_AREA, _ONE = notices.alias("of_area"), obligations.alias("one")
NAMES = tuple(field.name for field in fields(Line))
COLUMNS = tuple(POLICY if name == "policy" else obligations.c[name] for name in NAMES)


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


async def open_lines(  # noqa: PLR0913  (of what, narrowed how, from where on)
    conn: AsyncConnection,
    scope: Scope,
    *,
    overdue: bool | None,
    age: Age | None = None,
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
        wanted = [
            *about(scope),
            obligations.c.state == ObligationState.OPEN,
            *_in_tier(tier, now=now),
            *past_deadline(overdue, now=now),
            *([] if age is None else [age_range(age, now=now)]),
            *([] if here is None else _follows(here, tier)),
        ]
        statement = sa.select(*COLUMNS).order_by(*_order(tier)).limit(limit - len(found))
        if _is_wide(conn, scope):
            first = _first_of_each_step(wanted, tier, after=here, limit=limit - len(found))
            statement = statement.where(obligations.c.id.in_(first))
        else:
            statement = statement.where(*wanted)
        rows = (await conn.execute(statement)).all()
        found += [Line(**dict(zip(NAMES, row, strict=True))) for row in rows]
    return found


def _is_wide(conn: AsyncConnection, scope: Scope) -> bool:
    """Tell whether to read in the order of the open index: not where an agency or area is few.

    SQLite cannot join what depends on the row before, and has no million rows.
    """
    return scope.agency_id is None and scope.area_key is None and conn.dialect.name != "sqlite"


def _first_of_each_step(
    wanted: Sequence[sa.ColumnElement[bool]], tier: Tier, *, after: Place | None, limit: int
) -> sa.Select[Any]:
    """Select the ids that lead each step: the open index has them in this order, and only them."""
    numbers = sa.func.generate_series(0, STEP_MAX).table_valued("step").render_derived()
    due_at, begins = obligations.c.due_at, []
    if after is not None and tier is Tier.OVERDUE:  # what stands before it is not walked again
        at_step = numbers.c.step == -after.minus_step
        begins = [
            due_at
            >= sa.case(
                (at_step, sa.literal(after.due_at, Instant)), else_=sa.literal(EPOCH, Instant)
            )
        ]
    first = (
        sa.select(obligations.c.id, obligations.c.step, due_at)
        .where(*wanted, obligations.c.step == numbers.c.step, *begins)
        .order_by(due_at, obligations.c.id)
        .limit(limit)
        .lateral()
    )
    led = sa.select(first.c.id).select_from(sa.join(numbers, first, sa.true()))
    return led.order_by(*_order(tier, first.c)).limit(limit)


async def count_ages(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> dict[Age, int]:
    """Count all open lines by how they stand to their deadline: one reading of the open index."""
    counted = [sa.func.count().filter(age_range(age, now=now)) for age in Age]
    statement = sa.select(*counted).where(
        *about(scope), obligations.c.state == ObligationState.OPEN
    )
    return dict(zip(Age, (await conn.execute(statement)).one(), strict=True))


async def count(conn: AsyncConnection, scope: Scope, *, now: dt.datetime) -> Counts:
    """Count the mandatory: open, overdue, fallen due, and of those closed and closed in time."""
    mandatory = (*about(scope), obligations.c.standing == Standing.MANDATORY)
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
    ).where(*fell_due_by(scope, now=now))
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
        .where(*fell_due_by(scope, now=now), obligations.c.state == ObligationState.CLOSED)
        .order_by(took_of(conn), obligations.c.id)
        .offset(rank - 1)
        .limit(1)
    )
    closed_at, started_at = (await conn.execute(statement)).one()
    took: dt.timedelta = closed_at - started_at
    return took


def about(scope: Scope, *, started: bool = True) -> Sequence[sa.ColumnElement[bool]]:
    """Select the obligations that a report of `scope` is about, whatever their state."""
    wanted = [obligations.c.owed == Owed.NOTICE, obligations.c.status == scope.status]
    if started:  # an embargoed notice is nobody's business yet
        wanted.append(obligations.c.round_started_at.is_not(None))
    if scope.kind is not None:
        wanted.append(of_kind(scope.kind))
    if scope.notice_class is not None:
        wanted.append(obligations.c.notice_class == scope.notice_class)
    if scope.area_key is not None:
        wanted.append(_there(scope.area_key))
    if scope.agency_id is not None:
        wanted.append(_visible(scope.agency_id, posted=scope.posted))
    return wanted


def of_kind(kind: AgencyKind) -> sa.ColumnElement[bool]:
    """Select what agencies of a kind owe."""
    return obligations.c.agency_id.in_(sa.select(agencies.c.id).where(agencies.c.kind == kind))


def _there(area_key: str) -> sa.ColumnElement[bool]:
    """Select what is owed for notices that touch an area, by way of their incidents' index."""
    of_area, one = _OF_AREA, _ONE
    owed_there = (
        sa.select(one.c.id)
        .select_from(notice_areas)
        .join(of_area, of_area.c.id == notice_areas.c.notice_id)
        .join(one, one.c.incident_id == of_area.c.incident_id)
        .where(notice_areas.c.area_key == area_key, one.c.round_notice_id == of_area.c.id)
    )
    return obligations.c.id.in_(owed_there)


def _visible(agency_id: AgencyId, *, posted: bool) -> sa.ColumnElement[bool]:
    own = obligations.c.agency_id == agency_id
    if not posted:
        return own
    theirs = sa.select(incidents.c.id).where(incidents.c.agency_id == agency_id)
    # One index leads to each half; over `own OR theirs` PostgreSQL reads every row.
    of_theirs = sa.select(obligations.c.id).where(obligations.c.incident_id.in_(theirs))
    return obligations.c.id.in_(sa.union_all(sa.select(obligations.c.id).where(own), of_theirs))


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


def past_deadline(
    overdue: bool | None,  # noqa: FBT001 - a filter with three values
    *,
    now: dt.datetime,
    c: Any = obligations.c,
) -> list[sa.ColumnElement[bool]]:
    """Select what is past its deadline, or what is not; everything for None."""
    match overdue:
        case None:
            return []
        case True:
            return [c.due_at <= now]
        case False:
            return [(c.due_at > now) | c.due_at.is_(None)]


def age_range(age: Age, *, now: dt.datetime, c: Any = obligations.c) -> sa.ColumnElement[bool]:
    """Select the deadlines of an age."""
    span = span_of(age, now=now)
    within = [
        *([] if span.after is None else [c.due_at > span.after]),
        *([] if span.until is None else [c.due_at <= span.until]),
    ]
    inside = sa.and_(*within)
    return inside | c.due_at.is_(None) if age is Age.EARLY else inside


def _order(tier: Tier, c: Any = obligations.c) -> tuple[sa.ColumnElement[Any], ...]:
    key, due_at, step = c.id, c.due_at, c.step
    match tier:
        case Tier.UNREACHABLE:
            return (step.desc(), due_at.asc().nulls_last(), key)
        case Tier.OVERDUE:
            return (step.desc(), due_at, key)
        case Tier.DUE:
            return (due_at, key)
        case Tier.NOTHING_DUE:
            return (key,)


def _follows(place: Place, tier: Tier) -> list[sa.ColumnElement[bool]]:
    key, due_at, step = obligations.c.id, obligations.c.due_at, obligations.c.step
    if tier is Tier.NOTHING_DUE:
        return [key > place.id]
    here = sa.tuple_(sa.literal(place.due_at, Instant), sa.literal(place.id))
    later = sa.tuple_(due_at, key) > here
    match tier:
        case Tier.DUE:
            return [later]
        case Tier.OVERDUE:
            return [step <= -place.minus_step, (step < -place.minus_step) | later]
    if place.due_at == NEVER:
        later = due_at.is_(None) & (key > place.id)
    else:
        later |= due_at.is_(None)
    return [step <= -place.minus_step, (step < -place.minus_step) | later]


def fell_due_by(scope: Scope, *, now: dt.datetime) -> Sequence[sa.ColumnElement[bool]]:
    """Select what `domain.figures.fell_due` says fell due."""
    state = obligations.c.state
    lapsed = (state != ObligationState.WITHDRAWN) | (obligations.c.closed_at > obligations.c.due_at)
    return (
        *about(scope),
        obligations.c.standing == Standing.MANDATORY,
        obligations.c.due_at <= now,
        state != ObligationState.WAIVED,
        lapsed,
    )


def took_of(conn: AsyncConnection) -> sa.ColumnElement[Any]:
    """Give the time to close: on SQLite, which keeps instants as text, in microseconds."""
    return took_between(conn, obligations.c.round_started_at, obligations.c.closed_at)


def took_between(conn: AsyncConnection, started_at: Any, closed_at: Any) -> sa.ColumnElement[Any]:
    """Give the time between two columns, as `took_of` does."""
    if conn.dialect.name == "sqlite":
        return _microseconds(closed_at) - _microseconds(started_at)
    return sa.type_coerce(closed_at - started_at, sa.Interval)


def duration_of(took: dt.timedelta | int | None) -> dt.timedelta | None:
    """Read a time that `took_between` gave."""
    return dt.timedelta(microseconds=took) if isinstance(took, int) else took


def _microseconds(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Read SQLite's text of an instant, whose own functions round to milliseconds."""
    text = sa.type_coerce(column, sa.Text)
    seconds = sa.cast(sa.func.strftime("%s", sa.func.substr(text, 1, 19)), sa.Integer)
    return seconds * 1_000_000 + sa.cast(sa.func.substr(text, 21, 6), sa.Integer)
