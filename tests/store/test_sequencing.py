"""What the sequencer writes stays in proportion to its batch, whatever a database believes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from harness import tables
from noticebus.store import sequencing
from noticebus.store.database import Database

LINES = 12_000
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
        begun = await _thrown_away(database, sequencing.begins(BATCH))
        ended = await _thrown_away(database, sequencing.ends(BATCH))

    assert (begun, ended) == (0, 0)


async def _filled_and_believed_empty(conn: AsyncConnection) -> None:
    await conn.execute(sa.text("SET LOCAL session_replication_role = replica"))  # no foreign keys
    for table in ("entries", "obligation_history"):
        await conn.execute(sa.text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
    for statement in (FILL_ENTRIES, FILL_LINES):
        await conn.execute(sa.text(statement), {"last": LINES - 1})
    await conn.execute(sa.text("ANALYZE entries"))
    await conn.execute(sa.text("ANALYZE obligation_history"))
    for first in range(0, LINES, 2000):
        given = sequencing.Given(first=first, last=first + 1999)
        await conn.execute(sequencing.begins(given))


async def _thrown_away(database: Database, statement: sa.Update) -> int:
    """Run a statement and say how many pairs of rows its joins looked at for nothing."""
    compiled = statement.compile(
        dialect=postgresql.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"literal_binds": True},
    )
    explained = sa.text(f"EXPLAIN (ANALYZE, FORMAT JSON) {compiled}")
    async with database.begin() as conn:
        plan = (await conn.execute(explained)).scalar_one()
    top = plan if isinstance(plan, list) else json.loads(plan)
    return sum(
        node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"]
        for node in _nodes(top[0]["Plan"])
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
