"""Statements made once, and run on the driver's own connection.

For the paths that every notice and every delivery takes: SQLAlchemy's Core writes the statement,
once, and knows what each column means; what is given and read goes past it. It costs a quarter of
what it does otherwise. Whoever listens to statements hears of these as well, and errors are those
of SQLAlchemy, as `Database` expects them.
"""

import asyncio
import datetime as dt
import functools
from collections import namedtuple
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from asyncpg import exceptions as driver_errors
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.dialects.sqlite import aiosqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

from noticebus.store.columns import Instant, Word

_POSTGRESQL: sa.Dialect = asyncpg.dialect()  # type: ignore[no-untyped-call]
_SQLITE: sa.Dialect = aiosqlite.dialect()

COPY_S = 30  # as long as any statement may take
HERE_MAX = 200  # rows that SQLite writes on the event loop: a few milliseconds
Convert = Callable[[Any], Any] | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A statement as the driver takes it, with what turns our values into its own and back."""

    text: str
    parameters: Sequence[tuple[str, Convert]]
    constants: Mapping[str, Any]
    names: Sequence[str]
    conversions: Sequence[tuple[int, Callable[[Any], Any]]]  # of the columns that need one
    row: Callable[[Sequence[Any]], Any]

    def values(self, given: Mapping[str, Any]) -> list[Any]:
        """Put what is given, and what the statement holds itself, into the driver's order."""
        constants = self.constants
        return [
            constants[name]
            if name not in given
            else given[name]
            if convert is None
            else convert(given[name])
            for name, convert in self.parameters
        ]

    def read(self, record: Sequence[Any]) -> list[Any]:
        """Give the values of one record of the driver's as ours."""
        values = list(record)
        for place, convert in self.conversions:
            values[place] = convert(values[place])
        return values


async def rows(
    conn: AsyncConnection, statement: sa.ClauseElement, given: Mapping[str, Any]
) -> Sequence[Any]:
    """Give the rows that a statement made once returns, as tuples with its columns' names."""
    prepared = _prepared(statement, _dialect_of(conn))
    return [prepared.row(prepared.read(one)) for one in await _found(conn, prepared, given)]


async def records(
    conn: AsyncConnection, statement: sa.ClauseElement, given: Mapping[str, Any], kind: type[T]
) -> list[T]:
    """Give what a statement made once returns as records of `kind`, named as its columns are."""
    prepared = _prepared(statement, _dialect_of(conn))
    names, found = prepared.names, await _found(conn, prepared, given)
    return [kind(**dict(zip(names, prepared.read(one), strict=True))) for one in found]


async def _found(
    conn: AsyncConnection, prepared: _Prepared, given: Mapping[str, Any]
) -> Sequence[Any]:
    """Give the driver's own records of what a statement returns."""
    text, values = prepared.text, prepared.values(given)
    found: Sequence[Any]
    if conn.dialect.name == "sqlite":
        found = await _send(conn, text, values, partial(_fetch_here, text, values))
    else:
        found = await _send(conn, text, values, lambda driver: driver.fetch(text, *values))
    return found


async def run(conn: AsyncConnection, statement: sa.ClauseElement, given: Mapping[str, Any]) -> int:
    """Run a statement made once; say how many rows it touched."""
    prepared = _prepared(statement, _dialect_of(conn))
    text, values = prepared.text, prepared.values(given)
    if conn.dialect.name == "sqlite":
        cursor = await _send(conn, text, values, lambda driver: driver.execute(text, values))
        return int(cursor.rowcount)
    said = await _send(conn, text, values, lambda driver: driver.execute(text, *values))
    return int(said.rpartition(" ")[2])  # "INSERT 0 5", "UPDATE 5"


async def run_each(
    conn: AsyncConnection, statement: sa.ClauseElement, given: Sequence[Mapping[str, Any]]
) -> None:
    """Run a statement made once for each of `given`: on PostgreSQL all go before it answers."""
    prepared = _prepared(statement, _dialect_of(conn))
    text, every = prepared.text, [prepared.values(one) for one in given]
    if conn.dialect.name == "sqlite" and len(every) <= HERE_MAX:
        await _send(conn, text, every, partial(_run_here, text, every))
    else:
        await _send(conn, text, every, lambda driver: driver.executemany(text, every))


async def _fetch_here(text: str, values: Sequence[Any], driver: Any) -> Sequence[Any]:
    """Look up by key without the driver's thread: going there and back takes longer.

    Nobody else uses the connection while it is lent, and who has it has the lock it needs.
    """
    return driver._conn.execute(text, values).fetchall()  # type: ignore[no-any-return] # noqa: SLF001


async def _run_here(text: str, every: Sequence[Sequence[Any]], driver: Any) -> None:
    driver._conn.executemany(text, every)  # noqa: SLF001


async def copy(
    conn: AsyncConnection, table: sa.Table, names: Sequence[str], new: Iterable[Sequence[Any]]
) -> None:
    """Copy rows into a table of PostgreSQL, in their order, values as the driver wants them."""
    text = f"COPY {table.name} ({', '.join(names)}) FROM STDIN (FORMAT binary)"
    await _send(conn, text, (), partial(_copied, table.name, names, new))


async def _copied(
    name: str, columns: Sequence[str], new: Iterable[Sequence[Any]], driver: Any
) -> None:
    """Copy rows; what the driver cannot write, or cannot send in time, is an error of its kind.

    It waits without an end where a connection goes while its buffer is full.
    """
    try:
        async with asyncio.timeout(COPY_S):
            await driver.copy_records_to_table(name, records=new, columns=columns)
    except (TypeError, ValueError, OverflowError) as error:
        raise driver_errors.DataError(f"a row of {name} cannot be written: {error}") from error
    except TimeoutError as error:
        driver.terminate()
        message = f"the rows of {name} were not taken within {COPY_S} s"
        raise driver_errors.ConnectionDoesNotExistError(message) from error


def _dialect_of(conn: AsyncConnection) -> sa.Dialect:
    return _SQLITE if conn.dialect.name == "sqlite" else _POSTGRESQL


@functools.cache
def _prepared(statement: sa.ClauseElement, dialect: sa.Dialect) -> _Prepared:
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    assert not compiled.post_compile_params, "a list inside would be another statement each time"
    names = compiled.positiontup or []
    processors = compiled._bind_processors  # noqa: SLF001 - what Core itself goes by
    parameters = [(name, cast("Convert", processors.get(name))) for name in names]
    held = compiled.construct_params(_check=False)
    columns = compiled._result_columns  # noqa: SLF001 - the same
    row = namedtuple("Row", [one.keyname for one in columns], rename=True)  # type: ignore[misc] # noqa: PYI024
    return _Prepared(
        text=str(compiled),
        parameters=parameters,
        constants={
            name: held[name] if convert is None else convert(held[name])
            for name, convert in parameters
            if not compiled.binds[name].required
        },
        names=row._fields,
        conversions=[
            (place, convert)
            for place, one in enumerate(columns)
            if (convert := _reading(one.type, dialect)) is not None
        ],
        row=row._make,
    )


def _reading(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Convert:
    if isinstance(kind, Instant):  # PostgreSQL's driver gives it aware, and in UTC
        return _instant if dialect is _SQLITE else None
    if isinstance(kind, Word):
        words: dict[Any, Any] = {word.value: word for word in kind.words} | {None: None}
        return words.__getitem__
    return kind._cached_result_processor(dialect, None)  # noqa: SLF001 - what Core goes by


def _instant(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


async def _send(
    conn: AsyncConnection,
    text: str,
    values: Sequence[Any],
    send: Callable[[Any], Awaitable[Any]],
) -> Any:
    """Send a statement on the driver's connection, in SQLAlchemy's transaction, which it begins."""
    connection = conn.sync_connection
    assert connection is not None, "a connection that is closed runs nothing"
    events, told = connection.dispatch, SimpleNamespace()
    for hear in events.before_cursor_execute:
        hear(connection, None, text, values, told, False)  # noqa: FBT003 - the event's own
    pooled = connection.connection
    adapter: Any = pooled.dbapi_connection
    try:
        # SQLAlchemy begins PostgreSQL's with its own first statement, and SQLite's at once.
        if conn.dialect.name != "sqlite" and adapter._transaction is None:  # noqa: SLF001
            await adapter._start_transaction()  # noqa: SLF001
        answer = await send(pooled.driver_connection)
    except BaseException as error:
        await conn.run_sync(_fail, adapter, text, error)
        raise
    for hear in events.after_cursor_execute:
        hear(connection, None, text, values, told, False)  # noqa: FBT003 - the event's own
    return answer


def _fail(connection: Any, adapter: Any, text: str, error: BaseException) -> None:
    """Raise an error of the driver's as SQLAlchemy would, which may give the connection up."""
    try:
        if isinstance(error, Exception):
            adapter._handle_exception(error)  # noqa: SLF001 - it knows which error is which
        _raise(error)
    except BaseException as told:
        connection._handle_dbapi_exception(told, text, None, None, None)  # noqa: SLF001
        raise


def _raise(error: BaseException) -> None:
    raise error
