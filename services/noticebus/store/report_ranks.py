"""What fell due, cut by what the counters do not know: read from the rows, ranked in the database.

Each cut is one statement over the obligations whose deadline lies in a span. All that fell due are
in every denominator; whoever is silent, declined or was never reached ranks last
(`domain.figures`).
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import NoticeClass, ObligationState, Standing
from noticebus.store.reports import STEP_MAX, Scope, about, duration_of, took_between
from noticebus.store.tables import acknowledgements, notice_areas, obligations

NAMES_MAX = 300  # more than any state has counties
STATE_PREFIX, COUNTY_PREFIX = "state:", "county:"
BY_DELIVERY, NO_ANSWER = "delivery", "none"  # beside the words of `VerifiedBy`
NOT_KNOWN = "unknown"
_PERCENTS = (50, 90)
# Written out, so that the partial indexes serve, and in both of them the order of due times.
_HALVES = (
    sa.text("obligations.state <> 'open' AND obligations.owed = 'notice'"),
    sa.text(
        "obligations.state = 'open' AND obligations.owed = 'notice'"
        " AND obligations.reachable IN (true, false)"
        f" AND obligations.step IN ({', '.join(map(str, range(STEP_MAX + 1)))})"
    ),
)


class Leg(StrEnum):
    """The two parts of the time to an answer."""

    OURS = "ours"  # from the start of the round to the first delivery
    THEIRS = "theirs"  # from there to the closing answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The deadlines to look at: from `since` up to `until`, which is left out."""

    since: dt.datetime
    until: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """One part of a cut: how many fell due, and how long it took; None is "not reached"."""

    name: str
    due: int
    in_time: int
    p50: dt.timedelta | None
    p90: dt.timedelta | None


async def by_area(
    conn: AsyncConnection, scope: Scope, span: Span, *, state: str | None
) -> list[Ranked]:
    """Cut by state, or by the counties of `state` (FIPS), as keys of areas.

    What is owed for a notice that touches several of them counts in each.
    """
    prefix = STATE_PREFIX if state is None else f"{COUNTY_PREFIX}{state}"
    due = _fell_due(scope, span, obligations.c.round_notice_id)
    values = (
        sa.select(notice_areas.c.area_key.label("name"), due.c.in_time, _took(conn, due))
        .join(notice_areas, notice_areas.c.notice_id == due.c.round_notice_id)
        .where(notice_areas.c.area_key.startswith(prefix, autoescape=True))
    )
    return await _read(conn, _by_name(_ranked(values)))


async def by_agency(
    conn: AsyncConnection, scope: Scope, span: Span, *, at_least: int, limit: int
) -> list[Ranked]:
    """Cut by recipient: at most `limit` ids, the least share within target first.

    Those of whom fewer than `at_least` fell due are left out.
    """
    due = _fell_due(scope, span, obligations.c.agency_id)
    name = sa.type_coerce(due.c.agency_id, sa.Text).label("name")
    ranked = _ranked(sa.select(name, due.c.in_time, _took(conn, due))).subquery()
    worst = (
        sa.select(ranked)
        .where(ranked.c.due >= at_least)
        .order_by(ranked.c.in_time * 1.0 / ranked.c.due, ranked.c.due.desc(), ranked.c.name)
        .limit(limit)
    )
    return await _read(conn, worst)


async def by_step(conn: AsyncConnection, scope: Scope, span: Span) -> list[Ranked]:
    """Cut by how many steps of its policy each round came to."""
    due = _fell_due(scope, span, obligations.c.step)
    name = sa.cast(due.c.step, sa.Text).label("name")
    return await _read(conn, _by_name(_ranked(sa.select(name, due.c.in_time, _took(conn, due)))))


async def by_way(conn: AsyncConnection, scope: Scope, span: Span) -> list[Ranked]:
    """Cut by the way in which the closing answer came; that none came is a way of its own.

    It is the answer of the moment that closed: before this rule, what undid a decline or a waiver
    was not marked as closing.
    """
    due = _fell_due(
        scope, span, obligations.c.id.label("obligation_id"), obligations.c.notice_class
    )
    answer = acknowledgements.alias()
    way = (
        sa.select(sa.type_coerce(answer.c.verified_by, sa.Text))
        .where(
            answer.c.obligation_id == due.c.obligation_id, answer.c.recorded_at == due.c.closed_at
        )
        .order_by(answer.c.closed.desc(), answer.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    without = sa.case((due.c.notice_class == NoticeClass.D, BY_DELIVERY), else_=NOT_KNOWN)
    name = sa.case(
        (due.c.state == ObligationState.CLOSED, sa.func.coalesce(way, without)),
        else_=NO_ANSWER,
    ).label("name")
    return await _read(conn, _by_name(_ranked(sa.select(name, due.c.in_time, _took(conn, due)))))


async def by_leg(conn: AsyncConnection, scope: Scope, span: Span) -> list[Ranked]:
    """Tell the time to the first delivery apart from the time from there to the closing answer.

    As `domain.figures.time_to_deliver` and `time_to_answer` say.
    """
    due = _fell_due(scope, span, obligations.c.delivered_at)
    ours = took_between(conn, due.c.round_started_at, due.c.delivered_at)
    theirs = sa.case(
        (
            due.c.state == ObligationState.CLOSED,
            took_between(conn, due.c.delivered_at, due.c.closed_at),
        )
    )
    legs = [
        sa.select(sa.literal(leg.value).label("name"), due.c.in_time, _floored(conn, took))
        for leg, took in ((Leg.OURS, ours), (Leg.THEIRS, theirs))
    ]
    return await _read(conn, _by_name(_ranked(sa.union_all(*legs))))


def _fell_due(scope: Scope, span: Span, *columns: sa.ColumnElement[Any]) -> sa.CTE:
    """Select what `domain.figures.fell_due` says fell due in a span: each half by its own index."""
    state, due_at, closed_at = obligations.c.state, obligations.c.due_at, obligations.c.closed_at
    in_time = (state == ObligationState.CLOSED) & (closed_at <= due_at)
    chosen = sa.select(
        *columns,
        state,
        closed_at,
        obligations.c.round_started_at,
        sa.case((in_time, 1), else_=0).label("in_time"),
    ).where(
        *about(scope),
        obligations.c.standing == Standing.MANDATORY,
        due_at >= span.since,
        due_at < span.until,
        state != ObligationState.WAIVED,
        (state != ObligationState.WITHDRAWN) | (closed_at > due_at),
    )
    return sa.union_all(*(chosen.where(half) for half in _HALVES)).cte("fell_due")


def _took(conn: AsyncConnection, due: sa.CTE) -> sa.ColumnElement[Any]:
    """Give the time to close, as `domain.figures.time_to_close` says: none of who did not."""
    took = took_between(conn, due.c.round_started_at, due.c.closed_at)
    return sa.case((due.c.state == ObligationState.CLOSED, took)).label("took")


def _ranked(values: sa.Select[Any] | sa.CompoundSelect[Any]) -> sa.Select[Any]:
    """Rank times within each name by nearest rank (`domain.figures.nearest_rank`), null last.

    Which names come first, and how many of them, is the caller's to say.
    """
    value = values.subquery("measured").c
    placed = sa.select(
        value.name,
        value.in_time,
        value.took,
        sa.func.row_number()
        .over(partition_by=value.name, order_by=value.took.asc().nulls_last())
        .label("place"),
        sa.func.count().over(partition_by=value.name).label("n"),
    ).subquery("placed")
    ranks = [
        sa.func.max(sa.case((placed.c.place == (placed.c.n * percent + 99) // 100, placed.c.took)))
        for percent in _PERCENTS
    ]
    return sa.select(
        placed.c.name,
        sa.func.max(placed.c.n).label("due"),
        sa.func.sum(placed.c.in_time).label("in_time"),
        *(rank.label(f"p{percent}") for rank, percent in zip(ranks, _PERCENTS, strict=True)),
    ).group_by(placed.c.name)


def _by_name(ranked: sa.Select[Any]) -> sa.Select[Any]:
    return ranked.order_by(sa.column("name")).limit(NAMES_MAX)


async def _read(conn: AsyncConnection, statement: sa.Select[Any]) -> list[Ranked]:
    return [
        Ranked(
            name=row["name"],
            due=int(row["due"]),
            in_time=int(row["in_time"]),
            p50=duration_of(row["p50"]),
            p90=duration_of(row["p90"]),
        )
        for row in (await conn.execute(statement)).mappings()
    ]


def _floored(conn: AsyncConnection, took: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Give a time, nothing where it is less: an answer by telephone may come before the notice."""
    nothing: sa.ColumnElement[Any] = sa.literal(dt.timedelta(), sa.Interval)
    if conn.dialect.name == "sqlite":
        nothing = sa.literal(0)
    return sa.case((took < nothing, nothing), else_=took).label("took")
