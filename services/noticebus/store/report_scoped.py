"""A report of one area, one agency or one poster: its rows are read once, for figures and lines.

The counters do not know them. What the statements of `store.reports` and `report_beside` say of the
same selection, this says in one.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.report import Age
from noticebus.contracts.vocabulary import ObligationState, Owed, Standing
from noticebus.store.columns import Instant
from noticebus.store.reports import (
    COLUMNS,
    NAMES,
    NEVER,
    Counts,
    Line,
    Place,
    Scope,
    age_range,
    duration_of,
    of_kind,
    past_deadline,
    took_between,
)
from noticebus.store.tables import incidents, notice_areas, notices, obligations

_NARROW = (
    "id",
    "state",
    "standing",
    "due_at",
    "closed_at",
    "round_started_at",
    "step",
    "reachable",
)
_COUNTS = tuple(field.name for field in fields(Counts))
PERCENTS = (50, 90)
WORK_MEM = "16MB"  # a hundred thousand rows, narrow as they are here


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed:
    """Which of the open lines are listed: by their deadline, from a place on, so many."""

    overdue: bool | None
    age: Age | None
    after: Place | None
    limit: int
    ranked_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoped:
    """The figures and the lines of one selection.

    `silent_since` is the latest start among the mandatory that are open past their deadline;
    `waived` counts the mandatory that fell due and were waived.
    """

    counts: Counts
    p50: dt.timedelta | None
    p90: dt.timedelta | None
    ages: Mapping[Age, int]
    unreached: int
    waived: int
    silent_since: dt.datetime | None
    lines: list[Line]


async def plan_each_time(conn: AsyncConnection) -> None:
    """Let PostgreSQL plan each statement of this transaction for its area or agency, with room.

    A plan for any of them is one for the smallest: of a state it takes thrice as long.
    """
    if conn.dialect.name == "sqlite":
        return
    settings = {"plan_cache_mode": "force_custom_plan", "work_mem": WORK_MEM}
    await conn.execute(
        sa.select(*(sa.func.set_config(name, value, True) for name, value in settings.items()))  # noqa: FBT003 - for the transaction
    )


async def read_scoped(
    conn: AsyncConnection, scope: Scope, narrowed: Narrowed, *, now: dt.datetime
) -> Scoped:
    """Read figures and lines of an area, an agency or a poster in one statement."""
    rows = _rows(conn, scope).cte("scoped")
    counted = _counted(rows, now=now, ranked_at=narrowed.ranked_at)
    ranked = _ranked(conn, rows, now=now).cte("ranked")
    picked = _picked(ranked, counted)
    listed = _listed(rows, narrowed).cte("listed")
    line = [one.label(f"line_{name}") for name, one in zip(NAMES, COLUMNS, strict=True)]
    statement = (
        sa.select(counted, picked, *line)
        .select_from(
            counted.join(picked, sa.true())
            .outerjoin(listed, sa.true())
            .outerjoin(obligations, obligations.c.id == listed.c.id)
        )
        .order_by(*_order(listed))
    )
    found = (await conn.execute(statement)).all()
    lines = [
        Line(**dict(zip(NAMES, row[-len(NAMES) :], strict=True)))
        for row in found
        if row.line_id is not None
    ]
    return _scoped(found[0]._mapping, lines, now=now)  # noqa: SLF001 - its documented name


def _scoped(row: sa.RowMapping, lines: list[Line], *, now: dt.datetime) -> Scoped:
    oldest = row["oldest_due_at"]
    counts = {name: row[name] for name in _COUNTS}
    counts["oldest_due_at"] = oldest if oldest is not None and oldest <= now else None
    return Scoped(
        counts=Counts(**counts),
        p50=duration_of(row["p50"]),
        p90=duration_of(row["p90"]),
        ages={age: row[f"age_{age}"] for age in Age},
        unreached=row["unreached"],
        waived=row["waived"],
        silent_since=row["silent_since"],
        lines=lines,
    )


def _rows(conn: AsyncConnection, scope: Scope) -> sa.Select[Any] | sa.CompoundSelect[Any]:
    """Select the rows of a scope, each once, by the index that leads to them."""
    of = obligations.c
    wanted = [of.owed == Owed.NOTICE, of.status == scope.status, of.round_started_at.is_not(None)]
    if scope.kind is not None:
        wanted.append(of_kind(scope.kind))
    if scope.notice_class is not None:
        wanted.append(of.notice_class == scope.notice_class)
    there = notice_areas.c.area_key == scope.area_key
    if scope.agency_id is None:
        of_area = sa.select(notices.c.incident_id, notices.c.id.label("notice_id"))
        of_area = of_area.join(notice_areas, notice_areas.c.notice_id == notices.c.id).where(there)
        led = of_area.subquery("of_area")
        return _of_incidents(conn, led, *wanted, of.round_notice_id == led.c.notice_id)
    if scope.area_key is not None:
        wanted.append(of.round_notice_id.in_(sa.select(notice_areas.c.notice_id).where(there)))
    own = sa.select(*_columns()).where(*wanted, of.agency_id == scope.agency_id)
    if not scope.posted:
        return own
    theirs = sa.select(incidents.c.id.label("incident_id"))
    theirs = theirs.where(incidents.c.agency_id == scope.agency_id)
    others = of.agency_id != scope.agency_id
    return sa.union_all(own, _of_incidents(conn, theirs.subquery("theirs"), *wanted, others))


def _of_incidents(
    conn: AsyncConnection, led: sa.Subquery, *wanted: sa.ColumnElement[bool]
) -> sa.Select[Any]:
    """Select the rows of some incidents, one incident after the other.

    PostgreSQL thinks them scattered, and would read the whole table: OFFSET 0 keeps it from that.
    """
    of_one = sa.select(*_columns()).where(obligations.c.incident_id == led.c.incident_id, *wanted)
    if conn.dialect.name == "sqlite":
        return of_one
    rows = of_one.correlate(led).offset(sa.literal_column("0")).lateral("of_incident")
    return sa.select(rows).select_from(led.join(rows, sa.true()))


def _columns() -> list[sa.ColumnElement[Any]]:
    return [obligations.c[name] for name in _NARROW]


def _counted(rows: sa.CTE, *, now: dt.datetime, ranked_at: dt.datetime) -> sa.CTE:
    one = rows.c
    mandatory, is_open = one.standing == Standing.MANDATORY, one.state == ObligationState.OPEN
    is_due = mandatory & (one.due_at <= now)
    fell_due, closed = _fell_due(rows, now=now), one.state == ObligationState.CLOSED
    count = sa.func.count
    return sa.select(
        count().filter(mandatory & is_open).label("open"),
        count().filter(is_due & is_open).label("overdue"),
        sa.func.min(one.due_at).filter(mandatory & is_open).label("oldest_due_at"),
        count().filter(fell_due).label("due"),
        count().filter(fell_due & closed).label("closed"),
        count().filter(fell_due & closed & (one.closed_at <= one.due_at)).label("closed_within"),
        count().filter(is_open & one.reachable.is_(False)).label("unreached"),
        count().filter(is_due & (one.state == ObligationState.WAIVED)).label("waived"),
        sa.func.max(one.round_started_at).filter(is_due & is_open).label("silent_since"),
        *(
            count().filter(is_open & age_range(age, now=ranked_at, c=one)).label(f"age_{age}")
            for age in Age
        ),
    ).cte("counted")


def _fell_due(rows: sa.CTE, *, now: dt.datetime) -> sa.ColumnElement[bool]:
    """Say what `domain.figures.fell_due` says."""
    one = rows.c
    lapsed = (one.state != ObligationState.WITHDRAWN) | (one.closed_at > one.due_at)
    return sa.and_(
        one.standing == Standing.MANDATORY,
        one.due_at <= now,
        one.state != ObligationState.WAIVED,
        lapsed,
    )


def _ranked(conn: AsyncConnection, rows: sa.CTE, *, now: dt.datetime) -> sa.Select[Any]:
    took = took_between(conn, rows.c.round_started_at, rows.c.closed_at)
    return sa.select(
        took.label("took"), sa.func.row_number().over(order_by=took).label("place")
    ).where(_fell_due(rows, now=now), rows.c.state == ObligationState.CLOSED)


def _picked(ranked: sa.CTE, counted: sa.CTE) -> sa.CTE:
    """Pick the times at the nearest ranks among all that fell due: none where a silent one is."""
    longest = sa.func.max(ranked.c.took)
    return (
        sa.select(
            *(
                longest.filter(ranked.c.place == (counted.c.due * percent + 99) // 100).label(
                    f"p{percent}"
                )
                for percent in PERCENTS
            )
        )
        .select_from(ranked.join(counted, sa.true()))
        .cte("picked")
    )


def _listed(rows: sa.CTE, narrowed: Narrowed) -> sa.Select[Any]:
    """Select the lines of the page with the four parts of `Place`."""
    one, now = rows.c, narrowed.ranked_at
    tier = sa.case(
        (one.reachable.is_(False), sa.literal_column("0")),
        (one.due_at.is_(None), sa.literal_column("3")),
        (one.due_at <= now, sa.literal_column("1")),
        else_=sa.literal_column("2"),
    )
    stepped = one.reachable.is_(False) | (one.due_at <= now)
    placed = (
        sa.select(
            tier.label("tier"),
            sa.case((stepped, -one.step), else_=sa.literal_column("0")).label("minus_step"),
            sa.func.coalesce(one.due_at, sa.literal(NEVER, Instant)).label("due_at"),
            one.id,
        )
        .where(
            one.state == ObligationState.OPEN,
            *past_deadline(narrowed.overdue, now=now, c=one),
            *([] if narrowed.age is None else [age_range(narrowed.age, now=now, c=one)]),
        )
        .subquery("placed")
    )
    listed = sa.select(placed)
    if narrowed.after is not None:
        at = narrowed.after
        place = (sa.literal(at.tier), sa.literal(at.minus_step))
        here = sa.tuple_(*place, sa.literal(at.due_at, Instant), sa.literal(at.id))
        listed = listed.where(sa.tuple_(*_order(placed)) > here)
    return listed.order_by(*_order(placed)).limit(narrowed.limit)


def _order(placed: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
    return placed.c.tier, placed.c.minus_step, placed.c.due_at, placed.c.id
