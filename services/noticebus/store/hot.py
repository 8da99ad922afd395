"""Rows in great number, for the paths that every delivery takes.

PostgreSQL has them copied into its table (`COPY`), or gets one array for each column and takes the
rows apart itself (`unnest`) where a row may be there already: one statement is sent and run once
however many rows there are. A few are sent one after the other, without waiting in between. SQLite,
which has neither, runs its statement once a row, without a network between.

The statements are made from the tables, once for each.
"""

import datetime as dt
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.store import prepared
from noticebus.store.columns import Instant, Json
from noticebus.store.rows import Fields, values_of

FEW = 5  # rows: a copy is two ways to the server and back, and planned each time
Row = Fields | Mapping[str, Any]
Rows = tuple[sa.Table, Sequence[Row]]
Take = Callable[[Any], Any]
Getter = Callable[..., Take]  # `attrgetter` or `itemgetter`
Finish = Callable[[Any], Any]  # what an insert does where a row is there already


async def insert_rows(
    conn: AsyncConnection, table: sa.Table, rows: Sequence[Row], *, finish: Finish | None = None
) -> None:
    """Insert `rows`, all of one shape, in their order: records by their fields, or mappings.

    `finish` completes the dialect's insert, such as by what becomes of a row that is there.
    """
    if not rows:
        return
    names, getter = _shape(rows[0])
    if conn.dialect.name == "sqlite" or (finish is None and len(rows) <= FEW):
        await prepared.run_each(conn, _inserting_each(table, names, finish), _dicts(rows))
        return
    taken = _taken(rows, table, names, getter)
    if finish is None:
        await prepared.copy(conn, table, names, taken)
        return
    columns = dict(zip(names, map(list, zip(*taken, strict=True)), strict=True))
    await prepared.run(conn, _inserting(table, names, finish), columns)


async def insert_all(conn: AsyncConnection, every: Iterable[Rows]) -> None:
    """Insert rows into one table after another, in this order.

    A few go to PostgreSQL in one statement for all their tables: of what a notice to one recipient
    takes, most is the way there and back.
    """
    for are_few, tables in itertools.groupby(
        (one for one in every if one[1]),
        key=lambda one: conn.dialect.name != "sqlite" and len(one[1]) <= FEW,
    ):
        if are_few:
            await _insert_few(conn, list(tables))
        else:
            for table, rows in tables:
                await insert_rows(conn, table, rows)


async def _insert_few(conn: AsyncConnection, every: Sequence[Rows]) -> None:
    if len(every) == 1:
        await insert_rows(conn, *every[0])
        return
    shapes, given = [], dict[str, Any]()
    for table, rows in every:
        names, getter = _shape(rows[0])
        shapes.append((table, names))
        columns = map(list, zip(*_taken(rows, table, names, getter), strict=True))
        given |= dict(zip((f"{table.name}_{one}" for one in names), columns, strict=True))
    await prepared.run(conn, _inserting_all(tuple(shapes)), given)


@functools.cache
def _inserting_all(shapes: tuple[tuple[sa.Table, tuple[str, ...]], ...]) -> sa.Insert:
    *before, last = [_from_arrays(table, names, prefix=f"{table.name}_") for table, names in shapes]
    return last.add_cte(*(one.cte(f"into_{number}") for number, one in enumerate(before)))


async def update_rows(
    conn: AsyncConnection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, key: str
) -> None:
    """Write `rows`, mappings of one shape, over those of the same `key`, which are locked."""
    if not rows:
        return
    names = tuple(rows[0])
    statement = _updating(table, names, key, conn.dialect.name)
    given = [f"b_{name}" for name in names]
    if conn.dialect.name == "sqlite":
        each = [dict(zip(given, row.values(), strict=True)) for row in rows]
        await prepared.run_each(conn, statement, each)
        return
    columns = map(list, zip(*_taken(rows, table, names, itemgetter), strict=True))
    await prepared.run(conn, statement, dict(zip(given, columns, strict=True)))


@functools.cache
def _updating(table: sa.Table, names: tuple[str, ...], key: str, dialect: str) -> sa.Update:
    columns = [table.c[name] for name in names]
    given: dict[str, sa.ColumnElement[Any]] = {
        one.name: sa.bindparam(f"b_{one.name}", type_=one.type) for one in columns
    }
    if dialect != "sqlite":
        given = dict(_unnested(columns, prefix="b_").c)
    update = sa.update(table).where(table.c[key] == given[key])
    return update.values({name: given[name] for name in names if name != key})


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
def _inserting_each(table: sa.Table, names: tuple[str, ...], finish: Finish | None) -> sa.Insert:
    given: dict[str, Any] = {name: sa.bindparam(name) for name in names}
    if finish is None:
        return sa.insert(table).values(given)
    made: sa.Insert = finish(sqlite.insert(table).values(given))
    return made


@functools.cache
def _inserting(table: sa.Table, names: tuple[str, ...], finish: Finish) -> sa.Insert:
    made: sa.Insert = finish(_from_arrays(table, names))
    return made


def _from_arrays(table: sa.Table, names: tuple[str, ...], *, prefix: str = "") -> postgresql.Insert:
    rows = _unnested([table.c[name] for name in names], prefix=prefix)
    return postgresql.insert(table).from_select(names, sa.select(*(rows.c[one] for one in names)))


def _shape(row: Row) -> tuple[tuple[str, ...], Getter]:
    if isinstance(row, Mapping):
        return tuple(row), itemgetter
    return tuple(row.__dataclass_fields__), attrgetter


def _taken(
    rows: Sequence[Row], table: sa.Table, names: tuple[str, ...], getter: Getter
) -> Iterator[list[Any]]:
    """Give each row's values of the columns `names`, as the driver wants them."""
    get, converts = _taking(table, names, getter)
    for row in rows:
        values = list(get(row))
        for place, convert in converts:
            values[place] = convert(values[place])
        yield values


@functools.cache
def _taking(
    table: sa.Table, names: tuple[str, ...], getter: Getter
) -> tuple[Take, Sequence[tuple[int, Take]]]:
    assert len(names) > 1, "a getter of one name gives a value, not a row"
    kinds = [type(table.c[name].type) for name in names]
    converts = [(place, _CONVERTS[kind]) for place, kind in enumerate(kinds) if kind in _CONVERTS]
    return getter(*names), converts


def _sent_as(column: sa.Column[Any]) -> sa.types.TypeEngine[Any]:
    """Give the type of an array's items: what the column is in the database, without our words."""
    if isinstance(column.type, Instant):
        return postgresql.TIMESTAMP(timezone=True)
    if isinstance(column.type, sa.types.TypeDecorator):
        return sa.Text()
    return column.type


def _aware(value: dt.datetime | None) -> dt.datetime | None:
    assert value is None or value.tzinfo is not None, f"a naive instant: {value!r}"
    return value


def _written(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


_CONVERTS: Mapping[type, Take] = {Instant: _aware, Json: _written}
