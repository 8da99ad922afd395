"""Rows in great number, for the paths that every delivery takes.

PostgreSQL gets one array for each column and takes the rows apart itself (`unnest`): one statement
is sent, planned and run once however many rows there are, and each value is handed to the driver as
it is. SQLite, which has no arrays, runs its statement once a row, without a network between.

The statements are made from the tables, once for each.
"""

import datetime as dt
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.store import prepared
from noticebus.store.columns import Instant, Json
from noticebus.store.rows import Fields, values_of

Row = Fields | Mapping[str, Any]
Take = Callable[[Any], Any]  # a row's value of one column, as the driver wants it
Finish = Callable[[Any], Any]  # what an insert does where a row is there already


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hot:
    """One statement over arrays, and how each of them is filled."""

    statement: sa.Insert
    takes: Mapping[str, Take]


async def insert_rows(
    conn: AsyncConnection, table: sa.Table, rows: Sequence[Row], *, finish: Finish | None = None
) -> None:
    """Insert `rows`, all of one shape, in their order: records by their fields, or mappings.

    `finish` completes the dialect's insert, such as by what becomes of a row that is there.
    """
    if not rows:
        return
    if conn.dialect.name == "sqlite":
        begun = sqlite.insert(table)
        await conn.execute(begun if finish is None else finish(begun), _dicts(rows))
        return
    first = rows[0]
    if isinstance(first, Mapping):
        hot = _hot(table, tuple(first), itemgetter, finish)
    else:
        hot = _hot(table, tuple(first.__dataclass_fields__), attrgetter, finish)
    columns = {name: [take(row) for row in rows] for name, take in hot.takes.items()}
    await prepared.run(conn, hot.statement, columns)


async def update_rows(
    conn: AsyncConnection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, key: str
) -> None:
    """Write `rows`, mappings of one shape, over those of the same `key`, which are locked."""
    if not rows:
        return
    statement, takes = _updating(table, tuple(rows[0]), key, conn.dialect.name)
    if conn.dialect.name == "sqlite":
        await conn.execute(statement, [{f"b_{name}": row[name] for name in row} for row in rows])
        return
    columns = {f"b_{name}": [take(row) for row in rows] for name, take in takes.items()}
    await prepared.run(conn, statement, columns)


@functools.cache
def _updating(
    table: sa.Table, names: tuple[str, ...], key: str, dialect: str
) -> tuple[sa.Update, Mapping[str, Take]]:
    columns = [table.c[name] for name in names]
    given: dict[str, sa.ColumnElement[Any]] = {
        one.name: sa.bindparam(f"b_{one.name}", type_=one.type) for one in columns
    }
    if dialect != "sqlite":
        given = dict(_unnested(columns, prefix="b_").c)
    update = sa.update(table).where(table.c[key] == given[key])
    statement = update.values({name: given[name] for name in names if name != key})
    return statement, {one.name: _take(one, itemgetter(one.name)) for one in columns}


def _unnested(columns: Sequence[sa.Column[Any]], *, prefix: str = "") -> sa.TableValuedAlias:
    """Take arrays apart into rows: one parameter for each column, named after it."""
    arrays = [
        sa.bindparam(prefix + one.name, type_=postgresql.ARRAY(_sent_as(one), dimensions=1))
        for one in columns
    ]
    names = [one.name for one in columns]
    return sa.func.unnest(*arrays).table_valued(*names, name="given").render_derived()


def _dicts(rows: Sequence[Row]) -> list[Mapping[str, Any]]:
    return [row if isinstance(row, Mapping) else values_of(row) for row in rows]


@functools.cache
def _hot(
    table: sa.Table, names: tuple[str, ...], get: Callable[[str], Take], finish: Finish | None
) -> _Hot:
    columns = [table.c[name] for name in names]
    rows = _unnested(columns)
    begun = postgresql.insert(table).from_select(names, sa.select(*(rows.c[one] for one in names)))
    return _Hot(
        statement=begun if finish is None else finish(begun),
        takes={one.name: _take(one, get(one.name)) for one in columns},
    )


def _sent_as(column: sa.Column[Any]) -> sa.types.TypeEngine[Any]:
    """Give the type of an array's items: what the column is in the database, without our words."""
    if isinstance(column.type, Instant):
        return postgresql.TIMESTAMP(timezone=True)
    if isinstance(column.type, sa.types.TypeDecorator):
        return sa.Text()
    return column.type


def _take(column: sa.Column[Any], get: Take) -> Take:
    if isinstance(column.type, Instant):
        return lambda row: _aware(get(row))
    if isinstance(column.type, Json):
        return lambda row: _written(get(row))
    return get


def _aware(value: dt.datetime | None) -> dt.datetime | None:
    assert value is None or value.tzinfo is not None, f"a naive instant: {value!r}"
    return value


def _written(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
