"""Migrations: applied by one process at a time, in one transaction, on either database.

The scripts are in the package (`noticebus/_migrations`, put there by the wheel) or else in the
checkout (`migrations/`).
"""

import asyncio
import contextlib
import io
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from noticebus.errors import UnavailableError

PACKAGE = Path(__file__).parents[1]
LOCK_KEY = 0x6E6F74696365  # "notice" as a number: the advisory lock, the same in every release
LOCK_WAIT_S = 60.0  # how long a second process waits for the first one's migrations
LOCK_LOOK_S = 0.2
CONNECT_WAIT_S = 5.0
LOCK_TIMEOUT = "4s"  # no longer, since whatever comes after queues up behind a waiting migration
STATEMENT_TIMEOUT = "5s"  # unless a migration sets another one for itself and says why


async def upgrade(url: str, *, target: str = "head") -> list[str]:
    """Apply what is missing up to `target` and give the revisions applied, oldest first.

    One transaction: all of it or nothing, unless a migration says otherwise. Safe to call from
    several processes at once: the others wait up to 60 s, then find nothing to do. Raises
    UnavailableError where the database does not answer, stays locked, or is newer than we are.
    Loading the scripts blocks the event loop: call it before anything is served.
    """
    return await _run(url, command.upgrade, target)


async def downgrade(url: str, *, target: str) -> list[str]:
    """Take back what came after `target` ("base": everything) together with the data it held.

    Gives the revisions taken back, newest first.
    """
    return await _run(url, command.downgrade, target)


async def current(url: str) -> str | None:
    """Tell which revision the database is at; None where no migration was ever applied."""
    async with _connected(url) as conn:
        return await conn.run_sync(_revision)


async def pending(url: str) -> list[str]:
    """List the revisions that `upgrade` would apply, oldest first.

    A database newer than this release has none: each release runs on the next one's tables.
    """
    at = await current(url)
    scripts = ScriptDirectory.from_config(_config())
    if not _is_known(scripts, at):
        return []
    return [one.revision for one in scripts.iterate_revisions("head", at or "base")][::-1]


def newest() -> str:
    """Name the newest revision that this release brings; reads files, so never in an event loop."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    assert found is not None, "the release carries its migrations"
    return found


async def revision_of(conn: AsyncConnection) -> str | None:
    """Tell which revision the database behind an open connection is at."""
    return await conn.run_sync(_revision)


def render_sql(*, dialect: str = "postgresql", target: str = "head") -> str:
    """Write out the SQL of every migration up to `target`, for people and linters to read."""
    text = io.StringIO()
    if dialect == "postgresql":
        text.write(f"SET lock_timeout = '{LOCK_TIMEOUT}';\n")
        text.write(f"SET statement_timeout = '{STATEMENT_TIMEOUT}';\n\n")
    config = _config(dialect=dialect)
    config.output_buffer = text
    command.upgrade(config, target, sql=True)
    return text.getvalue()


async def _run(url: str, action: Callable[[Config, str], None], target: str) -> list[str]:
    applied: list[str] = []

    def run(connection: sa.Connection) -> None:
        _refuse_newer(_revision(connection))
        connection.rollback()  # Alembic opens its own transaction
        action(_config(connection=connection, applied=applied), target)

    async with _connected(url) as conn, _only_one(conn):
        await conn.run_sync(run)
    return applied


def _refuse_newer(at: str | None) -> None:
    if not _is_known(ScriptDirectory.from_config(_config()), at):
        raise UnavailableError(
            f"The database is at revision {at}, which this release does not know: a newer release "
            "has upgraded it. Install that release, or restore a backup from before the upgrade."
        )


def _is_known(scripts: ScriptDirectory, revision: str | None) -> bool:
    return revision is None or revision in {one.revision for one in scripts.walk_revisions()}


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(**attributes: object) -> Config:
    folder = PACKAGE / "_migrations"
    if not folder.is_dir():
        folder = PACKAGE.parents[1] / "migrations"
    config = Config(attributes=attributes)
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextlib.asynccontextmanager
async def _only_one(conn: AsyncConnection) -> AsyncIterator[None]:
    """Wait for the right to migrate this database, which ends with the session."""
    take = _enter_sqlite if conn.dialect.name == "sqlite" else _take_advisory_lock
    try:
        async with asyncio.timeout(LOCK_WAIT_S):
            while not await take(conn):  # noqa: ASYNC110 - another process cannot set an event
                await asyncio.sleep(LOCK_LOOK_S)
    except TimeoutError as error:
        raise UnavailableError(
            f"Another process has been migrating this database for {LOCK_WAIT_S:.0f} s. "
            "Wait until it has ended, or end it, then try again."
        ) from error
    yield


async def _take_advisory_lock(conn: AsyncConnection) -> bool:
    """Try the lock rather than wait inside a statement: whoever waits there holds a snapshot.

    `CREATE INDEX CONCURRENTLY` of the session that has the lock would wait for that one for ever.
    """
    taken = await conn.scalar(sa.select(sa.func.pg_try_advisory_lock(LOCK_KEY)))
    await conn.commit()
    return bool(taken)


async def _enter_sqlite(conn: AsyncConnection) -> bool:
    """Put the file in WAL mode, which fails at once while another process writes a new file.

    After that nothing more is needed: `BEGIN IMMEDIATE` lets one writer in, the others wait.
    """
    driver = (await conn.get_raw_connection()).driver_connection
    assert driver is not None
    try:
        await driver.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return False
        raise
    return True


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    parsed = sa.make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"
    engine = _sqlite_engine(parsed) if is_sqlite else _postgres_engine(parsed)
    try:
        async with engine.connect() as conn:
            yield conn
    except (sa.exc.DBAPIError, sqlite3.Error, OSError) as error:
        reason = str(getattr(error, "orig", None) or error) or type(error).__name__
        cause = reason.partition("\n")[0][:200]
        raise UnavailableError(
            f"The database {parsed.render_as_string()} refused ({cause}). Check that it runs, that "
            "address, user and password are right and nothing else holds its tables; try again."
        ) from error
    finally:
        await engine.dispose()


def _sqlite_engine(url: sa.URL) -> AsyncEngine:
    if url.database and not (folder := Path(url.database).absolute().parent).is_dir():
        raise UnavailableError(
            f"The folder {folder} of the SQLite database does not exist. Create it, or give the "
            "database another address."
        )
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite"),
        poolclass=sa.NullPool,
        connect_args={"timeout": LOCK_WAIT_S},
    )

    @sa.event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions are ours, not the driver's
        cursor = connection.cursor()
        # A migration that rebuilds a table must not drag along what refers to it; env.py checks.
        cursor.execute("PRAGMA foreign_keys=OFF")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _postgres_engine(url: sa.URL) -> AsyncEngine:
    settings = {
        "application_name": "noticebus migrations",
        "lock_timeout": LOCK_TIMEOUT,
        "statement_timeout": STATEMENT_TIMEOUT,
    }
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        poolclass=sa.NullPool,
        connect_args={"server_settings": settings, "timeout": CONNECT_WAIT_S},
    )
