"""The connection to the database: one shape over SQLite (embedded) and PostgreSQL (production).

SQLite has one writer: a pool of one connection, `BEGIN IMMEDIATE`, whose waiting line is the queue;
readers have a pool
of their own. PostgreSQL has row locks, always taken in the order incident, obligations by id,
deliveries by id.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiosqlite
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from noticebus.errors import UnavailableError

SQLITE_PRAGMAS: tuple[str, ...] = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-65536",
)
READERS_MAX = 4
POOL_SIZE = 10
POOL_OVERFLOW = 10
POOL_WAIT_S = 5.0
CONNECT_WAIT_S = 5.0
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "30s"
_SENTENCES = {  # by SQLSTATE, or by SQLite's own name
    "53100": "The disk of the database is full: its operator must make room.",
    "SQLITE_FULL": "The disk of the database is full: its operator must make room.",
    "53300": "The database takes no more connections for now: it has too many.",
}
PLANS_KEPT_S = 60  # with their connection: one that was made of an empty table may be a poor one
_CLAIMS = {
    "synchronous_commit": "off",
    # A claim looks everything up by key. To plan that for one delivery takes four times as long as
    # to do it; and a plan that is kept, made of a small table, must not read a large one whole.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
MISTAKES = frozenset({"0A", "22", "23", "42"})  # SQLSTATE classes: feature, data, integrity, syntax


class Database:
    """Engines of one database. Safe to use from many tasks of one event loop."""

    def __init__(self, url: str) -> None:
        parsed = sa.make_url(url)
        self.url = url
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            parsed = parsed.set(drivername="sqlite+aiosqlite")
            self._writer = _sqlite_engine(parsed, size=1, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(parsed, size=READERS_MAX, begin="BEGIN")
            self._relaxed = self._writer
        else:
            parsed = parsed.set(drivername="postgresql+asyncpg")
            self._writer = _postgres_engine(parsed, durable=True)
            # The same pool; every read stands on one snapshot, as it does on SQLite.
            self._reader = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
            self._relaxed = _postgres_engine(parsed, durable=False)
        self._line = _Line()

    @property
    def engines(self) -> tuple[AsyncEngine, ...]:
        """Every engine with a pool of its own: what a statement counter listens to."""
        return (self._writer, self._reader) if self.is_sqlite else (self._writer, self._relaxed)

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a writing transaction; it commits durably on leaving, rolls back on an error.

        Raises UnavailableError where the database does not answer; nothing was then stored.
        """
        async with _available(), self._writer.begin() as conn:
            yield conn

    @contextlib.asynccontextmanager
    async def begin_relaxed(self) -> AsyncIterator[AsyncConnection]:
        """Open a writing transaction whose commit may be lost in a crash.

        Only for claims, which then repeat.
        """
        async with _available(), self._relaxed.begin() as conn:
            yield conn

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a reading transaction.

        Raises UnavailableError where the database does not answer, and at once while every
        connection has been taken for long.
        """
        async with _available(), contextlib.AsyncExitStack() as stack:
            async with self._line.place():
                conn = await stack.enter_async_context(self._reader.connect())
            async with conn.begin():
                yield conn

    async def close(self) -> None:
        """Give every connection back."""
        for engine in self.engines:
            await engine.dispose()


class _Line:
    """Those who wait for a connection to read.

    Once one has waited in vain, all but one are refused at once, until that one gets a connection.
    """

    def __init__(self) -> None:
        self._waiting = 0
        self._in_vain = False

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        if self._in_vain and self._waiting:
            raise UnavailableError(
                "The database has had no connection for anybody for long. Nothing was looked up; "
                "try again shortly."
            )
        self._waiting += 1
        try:
            yield
        except (sa.exc.TimeoutError, TimeoutError):
            self._in_vain = True
            raise
        else:
            self._in_vain = False
        finally:
            self._waiting -= 1


@contextlib.asynccontextmanager
async def _available() -> AsyncIterator[None]:
    try:
        yield
    except (sa.exc.DBAPIError, sa.exc.TimeoutError, OSError) as error:
        if is_mistake(error):
            raise
        raise UnavailableError(_why(error)) from error


def _why(error: Exception) -> str:
    driver_error = getattr(error, "orig", None) or error
    name = getattr(driver_error, "sqlite_errorname", None)
    said = _SENTENCES.get(name or getattr(driver_error, "sqlstate", None) or "")
    if said is None:
        reason = str(driver_error) or type(error).__name__
        said = f"The database did not answer ({reason.splitlines()[0][:200]})."
    return f"{said} Nothing was stored; try again shortly."


def is_mistake(error: Exception) -> bool:
    """Tell a statement that can never work, which is ours to mend, from one that may work later."""
    driver_error = getattr(error, "orig", None)
    if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError | sa.exc.DataError):
        return True
    if getattr(driver_error, "sqlite_errorname", None) == "SQLITE_ERROR":
        return True  # SQLite calls a missing table operational
    if isinstance(getattr(driver_error, "__cause__", None), ValueError):
        return True  # asyncpg calls a value of the wrong type an error of the interface
    sqlstate = getattr(driver_error, "sqlstate", None) or ""
    return sqlstate[:2] in MISTAKES


async def _opened(*args: Any, **options: Any) -> aiosqlite.Connection:
    """Open a SQLite connection; the thread of one that fails, or is cancelled, has ended as well.

    Else it says what it has to say when the event loop may be closed. It is stopped once: a close
    that is cancelled beside a stop would wait for ever for a thread that has ended.
    """
    connection = aiosqlite.connect(*args, **options)
    _stop_once(connection)
    thread = connection._thread  # noqa: SLF001 - the driver lends no other hold on its end
    thread.daemon = True
    try:
        return await connection
    except BaseException:
        await asyncio.to_thread(thread.join, CONNECT_WAIT_S)
        raise


def _stop_once(connection: Any) -> None:
    """Tell the driver's thread once to stop; whoever asks again waits for the same end."""
    stop = connection.stop
    ends: list[Any] = []

    def stop_once() -> Any:
        if not ends:
            ends.append(stop())
        return ends[0]

    connection.stop = stop_once


def _sqlite_engine(url: sa.URL, *, size: int, begin: str) -> AsyncEngine:
    async def connect() -> aiosqlite.Connection:
        args, options = engine.dialect.create_connect_args(url)
        # What is looked up by key goes past its thread (`store.prepared`), while that rests.
        return await _opened(*args, **{**options, "check_same_thread": False})

    engine = create_async_engine(
        url,
        async_creator=connect,
        pool_size=size,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S,
        poolclass=sa.AsyncAdaptedQueuePool,
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are ours, not the driver's
        cursor = connection.cursor()
        for pragma in SQLITE_PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgres_engine(url: sa.URL, *, durable: bool) -> AsyncEngine:
    settings = {
        "application_name": "noticebus",
        "lock_timeout": LOCK_TIMEOUT,
        "statement_timeout": STATEMENT_TIMEOUT,
        # Many small statements at once: starting helpers or a compiler for one takes longer.
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        # Rows looked up by key are in memory: else a table of every subscriber is read through.
        "random_page_cost": "1.1",
    }
    if not durable:
        settings |= _CLAIMS
    return create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_OVERFLOW,
        pool_timeout=POOL_WAIT_S,
        pool_pre_ping=False,
        pool_recycle=-1 if durable else PLANS_KEPT_S,
        pool_use_lifo=True,  # those used last have their statements at hand, and the caches
        connect_args={"server_settings": settings, "timeout": CONNECT_WAIT_S},
    )
