"""What is committed and has no index yet: the sequencer has still to add it to the counters."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import Owed
from noticebus.domain.tallies import MINUTES_OF_HOUR, Cell, Counted
from noticebus.store.counters import Change, Sort, with_owed
from noticebus.store.tables import entries, obligation_history


async def pending(conn: AsyncConnection, sort: Sort) -> list[Change]:
    """Say by how much what is committed and has no index yet will change the counters.

    For each obligation it touches: its last line, less the one in force.
    """
    found = await conn.execute(changes(conn.dialect.name, sort))
    return [
        Change(
            cell=Cell(
                counted=Counted(row["counted"]), due_minute=row["due_minute"], took=row["took"]
            ),
            n=int(row["n"]),
        )
        for row in found.mappings()
    ]


def changes(dialect: str, sort: Sort) -> sa.Select[Any]:
    """Select what is pending of a sort, by cell."""
    net, lines, owed, agency = _net(dialect)
    statement = _by(net, lines, lines.c.counted, lines.c.due_minute, lines.c.took).where(
        owed.c.status == sort.status
    )
    if sort.kind is not None:
        statement = statement.where(agency.c.kind == sort.kind)
    if sort.notice_class is not None:
        statement = statement.where(lines.c.notice_class == sort.notice_class)
    return statement


async def pending_by_sort(
    conn: AsyncConnection,
) -> list[tuple[tuple[str, str, str, str, int | None], int]]:
    """Say the same for every sort: status, kind, class, what it counts as, the hour it is due."""
    net, lines, owed, agency = _net(conn.dialect.name)
    hour = lines.c.due_minute // MINUTES_OF_HOUR
    words = (owed.c.status, agency.c.kind, lines.c.notice_class, lines.c.counted)
    rows = await conn.execute(_by(net, lines, *words, hour.label("hour")))
    return [((*map(str, row[:4]), row[4]), int(row[5])) for row in rows]


def _unindexed(dialect: str) -> sa.Subquery:
    """Select what lines without an index bring (`d` 1), and those in force they end (-1).

    PostgreSQL looks up everything row by row: what it knows of entries without an index is of
    another moment, and led it through the whole history. SQLite, which cannot join what depends on
    the row before, does so anyway.
    """
    line = obligation_history.c
    written = sa.select(line.obligation_id, line.position).where(line.entry_id == entries.c.id)
    joined, each = _each(entries, written, "written", dialect)
    unindexed = (
        sa.select(each.obligation_id, sa.func.max(each.position).label("last"))
        .select_from(joined)
        .where(entries.c.index.is_(None))
        .group_by(each.obligation_id)
        .cte("unindexed")
    )
    told = ("obligation_id", "counted", "notice_class", "due_minute", "took")
    of_line = sa.select(*(line[name] for name in told))
    is_last = of_line.where(line.position == unindexed.c.last)
    is_in_force = of_line.where(
        line.obligation_id == unindexed.c.obligation_id,
        line.from_index.is_not(None),
        line.to_index.is_(None),
    )
    parts = []
    for name, lines, d in (("to_come", is_last, 1), ("in_force", is_in_force, -1)):
        joined, each = _each(unindexed, lines, name, dialect)
        told_by = [each[one] for one in told]
        parts.append(sa.select(*told_by, sa.literal(d).label("d")).select_from(joined))
    return sa.union_all(*parts).subquery("lines")


def _each(
    rows: sa.FromClause, found: sa.Select[Any], name: str, dialect: str
) -> tuple[sa.FromClause, Any]:
    """Join rows to what is found in the history for each of them, and give its columns."""
    if dialect == "sqlite":
        assert found.whereclause is not None
        joined = rows.join(obligation_history, found.whereclause)
        return joined, obligation_history.c
    # An offset of none, so that it is not made one with the rest and planned as a whole.
    each = found.offset(sa.literal_column("0")).lateral(name)
    return rows.join(each, sa.true()), each.c


def _net(
    dialect: str,
) -> tuple[sa.Select[Any], sa.Subquery, sa.FromClause, sa.FromClause]:
    """Select what is pending of notices; with lines, what is owed, and whose it is."""
    lines = _unindexed(dialect)
    owing, owed, agency = with_owed(lines, dialect)
    net = (
        sa.select()
        .select_from(owing)
        .where(owed.c.owed == Owed.NOTICE, lines.c.counted.is_not(None))
    )
    return net, lines, owed, agency


def _by(net: sa.Select[Any], lines: sa.Subquery, *key: sa.ColumnElement[Any]) -> sa.Select[Any]:
    total = sa.func.sum(lines.c.d)
    return net.add_columns(*key, total.label("n")).group_by(*key).having(total != 0)
