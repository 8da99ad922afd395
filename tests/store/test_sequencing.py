"""What the sequencer writes stays in proportion to its batch, whatever a database believes."""

import contextlib
import json
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler

from harness import desk as furnish
from harness import owing, tables
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Status
from noticebus.domain.policies import default_policies
from noticebus.domain.tallies import NO_TIME, Counted
from noticebus.ledger.sequencer import Sequencer
from noticebus.store import counters, ledger, sequencing, unindexed
from noticebus.store.database import Database
from noticebus.store.tables import entries, obligation_history

LINES = 12_000
AGENCIES = 20
INCIDENTS = 100
OWED_BY_ONE = 1_000
BATCH = sequencing.Given(first=2000, last=3999)
FILL_ENTRIES = """
    INSERT INTO entries (id, index, type, body, salt, leaf_hash, recorded_at)
    SELECT 'ent_' || n, n, 't', '', '', '', now() FROM generate_series(0, :last) n
"""
FILL_LINES = """
    INSERT INTO obligation_history (obligation_id, entry_id, facts)
    SELECT 'obl_' || n % 3000, 'ent_' || n, '{}' FROM generate_series(0, :last) n
"""


async def test_a_database_that_knows_of_no_index_yet_still_goes_by_key(tmp_path: Path) -> None:
    """A burst comes between two looks of PostgreSQL at its tables: its plan must not be n times n.

    The tables are analysed while no line has begun, and no more, as they are after a first night.
    """
    async with tables.database("postgresql", tmp_path) as database:
        async with database.begin() as conn:
            await _filled_and_believed_empty(conn)
        begun = await _thrown_away(database, sequencing.BEGIN)
        ended = await _thrown_away(database, sequencing.END)

    assert (begun, ended) == (0, 0)


async def test_a_batch_is_indexed_in_proportion_where_the_table_is_believed_empty(
    tmp_path: Path,
) -> None:
    """A look at the tables at the wrong moment must not set each entry against all that wait."""
    async with tables.database("postgresql", tmp_path) as database:
        async with database.begin() as conn:
            await conn.execute(sa.text("ALTER TABLE entries SET (autovacuum_enabled = false)"))
            await conn.execute(sa.text(FILL_ENTRIES), {"last": LINES - 1})
        async with database.begin() as conn:
            await conn.execute(sa.delete(entries))
        async with database.begin() as conn:
            await conn.execute(sa.text("ANALYZE entries"))  # pages, and not a row in them
            await conn.execute(sa.text(FILL_ENTRIES), {"last": LINES - 1})
            await conn.execute(sa.update(entries).values(index=None))
            assert await sequencing.take_lock(conn)
            plan = await _plan_of(
                conn, sequencing.INDEX, {"before": 6, "now": furnish.MORNING, "most": 2000}
            )
            given = sa.select(entries.c.index).order_by(entries.c.position)
            indexes = list((await conn.execute(given)).scalars())

    assert _looked_at(plan) <= 3 * 2000
    assert indexes == [*range(7, 2007), *[None] * (LINES - 2000)]


async def test_a_batch_is_counted_by_key_in_a_database_that_was_never_analysed(
    tmp_path: Path,
) -> None:
    """What one more incident costs the counters must not grow with those that were before it."""
    async with tables.fresh_on_postgresql() as url, furnish.open_desk(tmp_path, url=url) as desk:
        async with desk.database.begin() as conn:
            for table in ("entries", "obligation_history", "obligations"):
                await conn.execute(sa.text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
        await _fill(desk)
        await Sequencer(desk).sweep()

        async with desk.database.begin() as conn:
            newest = await ledger.newest_index(conn)
            given = sequencing.Given(first=newest, last=newest)
            assert await sequencing.take_lock(conn)
            plan = await _plan_of(conn, counters.changes("postgresql"), _span(given))

    read = [_rows_read(node) for node in _nodes(plan) if "Relation Name" in node]
    assert AGENCIES <= max(read) <= 3 * AGENCIES


async def test_a_plan_that_is_older_than_all_rows_still_goes_line_by_line(tmp_path: Path) -> None:
    """A connection keeps its plan, and one that began with an empty installation lives for long.

    All is owed by one agency: from there, everything it ever owed would be read for each batch.
    """
    async with _old_plans(tmp_path) as (desk, plain):
        counting = await _prepare(plain, "counting", counters.changes("postgresql"))
        await plain.fetch(counting(sequencing.Given(first=0, last=0)))
        await _fill(desk, agencies=1, incidents=OWED_BY_ONE)
        await Sequencer(desk).sweep()
        async with desk.database.read() as conn:
            newest = await ledger.newest_index(conn)
        plan = await _explain(plain, counting(sequencing.Given(first=newest, last=newest)))

    assert _most_read(plan) <= 3


async def test_what_has_no_index_yet_is_looked_up_line_by_line_by_an_old_plan_too(
    tmp_path: Path,
) -> None:
    """In a burst the report and the auditor ask for it again and again, of a growing history."""
    async with _old_plans(tmp_path) as (desk, plain):
        sort = counters.Sort(status=Status.ACTUAL)
        asking = await _prepare(plain, "asking", unindexed.changes("postgresql", sort))
        await plain.fetch(asking(BATCH))
        await _fill(desk, agencies=1, incidents=OWED_BY_ONE)
        await Sequencer(desk).sweep()
        async with desk.database.begin() as conn:
            newest = await ledger.newest_index(conn)
            last = obligation_history.c.from_index == newest
            await conn.execute(sa.update(obligation_history).where(last).values(from_index=None))
            await conn.execute(
                sa.update(entries).where(entries.c.index == newest).values(index=None)
            )
        found = await plain.fetch(asking(BATCH))
        plan = await _explain(plain, asking(BATCH))

    assert [one["n"] for one in found] == [1]
    assert _most_read(plan) <= 3


@contextlib.asynccontextmanager
async def _old_plans(tmp_path: Path) -> AsyncIterator[tuple[Desk, asyncpg.Connection]]:
    """Lend an empty installation, and a connection that keeps the plans it makes now."""
    async with tables.fresh_on_postgresql() as url, furnish.open_desk(tmp_path, url=url) as desk:
        plain = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            for setting in ("plan_cache_mode = force_generic_plan", "enable_seqscan = off"):
                await plain.execute(f"SET {setting}")
            yield desk, plain
        finally:
            await plain.close()


async def _prepare(
    plain: asyncpg.Connection, name: str, statement: sa.ClauseElement
) -> Callable[[sequencing.Given], str]:
    """Prepare a statement, and give how it is executed on a batch."""
    await plain.execute(f"PREPARE {name} AS {_compiled(statement, _span(BATCH))[0]}")

    def executing(batch: sequencing.Given) -> str:
        return f"EXECUTE {name} ({', '.join(map(repr, _compiled(statement, _span(batch))[1]))})"

    return executing


async def _explain(plain: asyncpg.Connection, executing: str) -> dict[str, Any]:
    (row,) = await plain.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {executing}")
    plan: dict[str, Any] = json.loads(row[0])[0]["Plan"]
    return plan


def _most_read(plan: dict[str, Any]) -> float:
    return max(_rows_read(node) for node in _nodes(plan) if "Relation Name" in node)


def _span(batch: sequencing.Given) -> dict[str, int]:
    return {"first": batch.first, "last": batch.last}


def _compiled(statement: sa.ClauseElement, given: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """Give the text of a statement, and its values in their order."""
    compiled = statement.compile(dialect=asyncpg_dialect.dialect())  # type: ignore[no-untyped-call]
    assert isinstance(compiled, SQLCompiler)
    values = compiled.construct_params(dict(given))
    told = [values[name] for name in compiled.positiontup or ()]
    return str(compiled), [one.value if isinstance(one, StrEnum) else one for one in told]


async def _fill(desk: Desk, *, agencies: int = AGENCIES, incidents: int = INCIDENTS) -> None:
    """Let agencies owe an answer in each of many incidents, entered one by one."""
    like = await owing.make_prototype(desk)
    async with desk.database.begin() as conn:
        await owing.add_agencies(conn, like, count=agencies)
        await owing.add_incidents(conn, like, count=incidents)
        span = owing.Span(first=1, last=incidents, agencies=agencies)
        policy = default_policies()[0]
        await owing.add_obligations(conn, like, span, policy=policy, started_at=furnish.MORNING)
        await owing.enter_obligations(conn, at=furnish.MORNING)
        counted = {"counted": Counted.OPEN, "notice_class": "A", "due_minute": 1, "took": NO_TIME}
        await conn.execute(sa.update(obligation_history).values(counted))


def _looked_at(plan: dict[str, Any]) -> float:
    """Say how many rows, and pairs of them, a plan looked at, in all its steps."""
    return math.fsum(
        _rows_read(node) + node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"]
        for node in _nodes(plan)
        if "Relation Name" in node or "Join Type" in node
    )


def _rows_read(node: dict[str, Any]) -> float:
    read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return float(read * node["Actual Loops"])


async def _filled_and_believed_empty(conn: AsyncConnection) -> None:
    await conn.execute(sa.text("SET LOCAL session_replication_role = replica"))  # no foreign keys
    for table in ("entries", "obligation_history"):
        await conn.execute(sa.text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
    for statement in (FILL_ENTRIES, FILL_LINES):
        await conn.execute(sa.text(statement), {"last": LINES - 1})
    await conn.execute(sa.text("ANALYZE entries"))
    await conn.execute(sa.text("ANALYZE obligation_history"))
    for first in range(0, LINES, 2000):
        await conn.execute(sequencing.BEGIN, {"first": first, "last": first + 1999})


async def _thrown_away(database: Database, statement: sa.Update) -> int:
    """Run a statement and say how many pairs of rows its joins looked at for nothing."""
    async with database.begin() as conn:
        plan = await _plan_of(conn, statement, _span(BATCH))
    return sum(
        node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"] for node in _nodes(plan)
    )


async def _plan_of(
    conn: AsyncConnection, statement: sa.ClauseElement, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Run a statement with what it is given, and give the plan it went by."""
    text, values = _compiled(statement, given)
    explained = await conn.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", tuple(values))
    plan = explained.scalar_one()
    top = plan if isinstance(plan, list) else json.loads(plan)
    found: dict[str, Any] = top[0]["Plan"]
    return found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
