"""Fills PostgreSQL for the report's measure, ten million open obligations in minutes.

Rows first, by SQL; then the counters, then the indexes that were in the way. Tables are vacuumed
and analysed, as those of a bus that has run for a year are. Every step says how long it took.
"""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bench import report_beside, report_counters, report_rows
from bench.progress import Progress
from harness import owing
from noticebus.casework.desk import Desk
from noticebus.ledger.sequencer import Sequencer
from noticebus.store.tables import markers

BEGUN = "bench.report.filling"  # a marker: what is here is not all of it
LANES = 2  # jobs at once: those that read a large table at once read it together
SETTINGS = {
    # Every row is a copy of a good one: keys are not looked up.
    "session_replication_role": "replica",
    "statement_timeout": "0",
    "timezone": "UTC",
    "work_mem": "256MB",
    "maintenance_work_mem": "512MB",
    "max_parallel_maintenance_workers": "0",
}
# Written in another order than their indexes have. Those of the history are not in the way: its
# rows come in the order of all of them, and each goes to the end.
INDEXED_AFTER = ("obligations", "deliveries")
# Nobody vacuums what is being filled. Of a page of the history half is left for the index that the
# sequencer writes into each line; these lines have theirs, and half as many pages hold them.
WHILE_FILLING: Mapping[str, Mapping[str, str | None]] = {
    "obligations": {"autovacuum_enabled": "off"},
    "obligation_history": {"autovacuum_enabled": "off", "fillfactor": "100"},
}
BYTES_EACH = 5_600  # of an open obligation, with all that comes with it and room to make it
# Whole pages are written to the log as indexes are made, and once more as rows are vacuumed.
_COMPRESSED = """
    SELECT set_config('wal_compression', 'lz4', {}) FROM pg_settings
    WHERE name = 'wal_compression' AND 'lz4' = ANY(enumvals)
"""
_INDEXES = """
    SELECT CAST(CAST(i.indexrelid AS regclass) AS text), pg_get_indexdef(i.indexrelid)
    FROM pg_index i
    WHERE i.indrelid = ANY(CAST(CAST(:tables AS text[]) AS regclass[]))
        AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
    ORDER BY i.indexrelid
"""
_OPTIONS = """
    SELECT option_name, option_value FROM pg_class, pg_options_to_table(reloptions)
    WHERE oid = CAST(CAST(:table AS text) AS regclass)
"""
_TABLES = """
    SELECT relname AS name, pg_table_size(oid) AS rows, pg_indexes_size(oid) AS indexes
    FROM pg_class WHERE relkind = 'r' AND relnamespace = CAST('public' AS regnamespace)
    ORDER BY pg_total_relation_size(oid) DESC, relname
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How many bytes a table takes: its rows, and its indexes."""

    name: str
    rows: int
    indexes: int


async def fill(desk: Desk, *, open_count: int, progress: Progress) -> None:
    """Make about `open_count` open obligations in an empty database, with all the report reads.

    Each obligation has one line in the history, which says how it stands. Until all is there a
    marker says that it is not.
    """
    async with desk.database.begin() as conn:
        await conn.execute(markers.insert().values(name=BEGUN, value=str(open_count)))
    like = await owing.make_prototype(desk)
    await Sequencer(desk).sweep()
    plan = report_rows.Plan.of(desk, like, open_count=open_count)
    async with _writing(desk) as conn:
        indexes = await _drop_indexes(conn)
        storage = await _store_by(conn, WHILE_FILLING)
    await _add_incidents(desk, plan, progress)
    await _add_obligations(desk, plan, progress)
    with progress.step("first vacuum"):  # before they are read: each page is written once more only
        await _side_by_side(partial(_vacuum, desk, name, progress) for name in WHILE_FILLING)
    await _side_by_side([partial(_count, desk, progress), partial(_deliver, desk, progress)])
    with progress.step("indexes"):
        await _side_by_side(
            partial(_index, desk, name, by, progress) for name, by in indexes.items()
        )
    async with _writing(desk) as conn:
        await _store_by(conn, storage)
        await conn.execute(sa.delete(markers).where(markers.c.name == BEGUN))
    with progress.step("last vacuum"):
        names = [one.name for one in await tables(desk)]
        await _side_by_side(partial(_vacuum, desk, name, progress) for name in names)
    with progress.step("checkpoint"):  # else it is written while reports are read
        await _run_alone(desk, "CHECKPOINT")


async def is_half_filled(conn: AsyncConnection) -> bool:
    """Tell whether a filling of this database was begun and has not come to its end."""
    found = await conn.execute(sa.select(markers.c.name).where(markers.c.name == BEGUN))
    return found.first() is not None


async def _side_by_side(jobs: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do jobs a few at once, each with a connection of its own."""
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(LANES):
            tasks.create_task(work())


@contextlib.asynccontextmanager
async def _writing(desk: Desk) -> AsyncIterator[AsyncConnection]:
    """Open a transaction that works as filling does."""
    async with desk.database.begin() as conn:
        for name, value in SETTINGS.items():
            await conn.execute(sa.select(sa.func.set_config(name, value, sa.true())))
        await conn.exec_driver_sql(_COMPRESSED.format("true"))
        yield conn


async def _drop_indexes(conn: AsyncConnection) -> dict[str, str]:
    """Drop the indexes that filling would have to go back and forth in; say how to make them."""
    found = await conn.execute(sa.text(_INDEXES), {"tables": INDEXED_AFTER})
    definitions: dict[str, str] = {row[0]: row[1] for row in found}
    for name in definitions:
        await conn.exec_driver_sql(f"DROP INDEX {name}")
    return definitions


async def _store_by(
    conn: AsyncConnection, wanted: Mapping[str, Mapping[str, str | None]]
) -> Mapping[str, Mapping[str, str | None]]:
    """Set options of tables, or take them away where they are None; say how they were."""
    before = {}
    for table, options in wanted.items():
        told = await conn.execute(sa.text(_OPTIONS), {"table": table})
        had = {row[0]: row[1] for row in told}
        before[table] = {name: had.get(name) for name in options}
        for name, value in options.items():
            change = f"RESET ({name})" if value is None else f"SET ({name} = {value})"
            await conn.exec_driver_sql(f"ALTER TABLE {table} {change}")
    return before


async def _add_incidents(desk: Desk, plan: report_rows.Plan, progress: Progress) -> None:
    async with _writing(desk) as conn:
        with progress.step("agencies"):
            await report_rows.add_agencies(conn, plan)
        with progress.step("incidents, notices, entries"):
            await report_rows.add_incidents(conn, plan)
            for table in ("agencies", "incidents", "notices", "entries"):
                await conn.exec_driver_sql(f"ANALYZE {table}")


async def _add_obligations(desk: Desk, plan: report_rows.Plan, progress: Progress) -> None:
    with progress.step("obligations and their history"):
        await _side_by_side(
            partial(_add_slice, desk, plan, incidents, progress) for incidents in plan.size.slices
        )
        async with _writing(desk) as conn:
            await report_beside.add_debts(conn, plan)


async def _add_slice(
    desk: Desk, plan: report_rows.Plan, incidents: range, progress: Progress
) -> None:
    per = report_rows.PER_INCIDENT
    async with _writing(desk) as conn:
        await report_rows.add_obligations(conn, plan, incidents)
    progress.done("obligations", len(incidents) * per, of=plan.size.incidents * per)


async def _deliver(desk: Desk, progress: Progress) -> None:
    with progress.step("deliveries"):
        async with _writing(desk) as conn:
            await report_beside.add_deliveries(conn)


async def _count(desk: Desk, progress: Progress) -> None:
    with progress.step("counters"):
        async with _writing(desk) as conn:
            counters = await report_counters.count(conn)
    progress.say(f"{counters:,} counters")


async def _index(desk: Desk, name: str, definition: str, progress: Progress) -> None:
    with progress.step(name, said_from_s=1):
        async with _writing(desk) as conn:
            await conn.exec_driver_sql(definition)


async def _vacuum(desk: Desk, name: str, progress: Progress) -> None:
    with progress.step(f"vacuum {name}", said_from_s=1):
        await _run_alone(desk, f"VACUUM (ANALYZE) {name}")


async def _run_alone(desk: Desk, statement: str) -> None:
    """Run what can be run in no transaction."""
    plain = await asyncpg.connect(desk.database.url.replace("+asyncpg", ""))
    try:
        await plain.execute(_COMPRESSED.format("false"))
        await plain.execute(statement)
    finally:
        await plain.close()


async def tables(desk: Desk) -> Sequence[Table]:
    """List what each table takes, the largest first."""
    async with desk.database.read() as conn:
        found = await conn.execute(sa.text(_TABLES))
        return [Table(name=row.name, rows=row.rows, indexes=row.indexes) for row in found]


async def database_bytes(desk: Desk) -> int:
    """Say what the whole database takes on its disk, without its log."""
    async with desk.database.read() as conn:
        told = await conn.execute(sa.text("SELECT pg_database_size(current_database())"))
        return int(told.scalar_one())


def lacking_bytes(folder: Path, *, open_count: int) -> int:
    """Say how many bytes the disk of a folder lacks for so many open obligations; 0 for none."""
    return max(open_count * BYTES_EACH - shutil.disk_usage(folder).free, 0)
