"""Databases that already have every table: made once in a run, then copied."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from harness import postgres, run
from noticebus.store import migrate
from noticebus.store.database import SQLITE_PRAGMAS, Database
from noticebus.store.tables import metadata

RELEASED_PRAGMAS = SQLITE_PRAGMAS
HASTY_PRAGMAS = tuple(one.replace("=FULL", "=OFF") for one in SQLITE_PRAGMAS)
_EMPTY = "; ".join(
    [
        "SET session_replication_role = replica",  # no row is looked for before another goes
        *(str(table.delete()) for table in metadata.sorted_tables),
        *(
            f"ALTER TABLE {table.name} ALTER COLUMN {column.name} RESTART"
            for table in metadata.sorted_tables
            for column in table.columns
            if column.identity is not None
        ),
    ]
)


@contextlib.asynccontextmanager
async def on_postgresql() -> AsyncIterator[str]:
    """Lend the URL of a PostgreSQL database with the schema of `tables.py`, and no row."""
    template = await postgres.template("tables", _create)
    async with postgres.lent_database(template, emptied_by=_EMPTY) as url:
        yield url


@contextlib.asynccontextmanager
async def fresh_on_postgresql() -> AsyncIterator[str]:
    """Lend the URL of a PostgreSQL database as `on_postgresql` does, which nobody has used yet.

    It has no statistics and no dead rows of other tests.
    """
    template = await postgres.template("tables", _create)
    async with postgres.fresh_database(template) as url:
        yield url


@contextlib.asynccontextmanager
async def migrated_on_postgresql() -> AsyncIterator[str]:
    """Lend the URL of a PostgreSQL database to which every migration has been applied."""
    template = await postgres.template("migrated", migrate.upgrade)
    async with postgres.lent_database(template, emptied_by=_EMPTY) as url:
        yield url


async def on_sqlite(folder: Path) -> str:
    """Give the URL of a new SQLite file in `folder` with the schema of `tables.py`, and no row."""
    return await _copied("tables", _create, folder / "bus.db")


async def migrated_on_sqlite(file: Path) -> str:
    """Give the URL of a new SQLite file to which every migration has been applied."""
    return await _copied("migrated", migrate.upgrade, file)


async def _copied(name: str, build: Callable[[str], Awaitable[object]], file: Path) -> str:
    """Copy the run's template of a SQLite file; the first to ask has `build` fill it."""
    template = run.folder() / f"{name}.db"
    with run.only_one(template.name):
        if not template.exists():
            building = template.with_suffix(".building")
            await build(f"sqlite:///{building}")
            building.rename(template)
    await asyncio.to_thread(shutil.copyfile, template, file)
    return f"sqlite:///{file}"


@contextlib.asynccontextmanager
async def database(kind: str, folder: Path) -> AsyncIterator[Database]:
    """Lend a database with every table: "sqlite" in `folder`, or "postgresql"."""
    async with contextlib.AsyncExitStack() as stack:
        if kind == "sqlite":
            url = await on_sqlite(folder)
        else:
            url = await stack.enter_async_context(on_postgresql())
        lent = Database(url)
        stack.push_async_callback(lent.close)
        yield lent


async def _create(url: str) -> None:
    database = Database(url)
    async with database.begin() as conn:
        await conn.run_sync(metadata.create_all)
    await database.close()
