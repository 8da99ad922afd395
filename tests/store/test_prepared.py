"""Statements made once: SQLAlchemy's rows, its transaction and its errors, without its way."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from harness import desk as furnish
from harness import tables
from harness.statements import statements_of
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import DeliveryState
from noticebus.errors import UnavailableError
from noticebus.ids import DeliveryId, NoticeId
from noticebus.store import claims, hot, matching, notices, obligations, prepared
from noticebus.store.database import Database
from noticebus.store.rows import among_given
from noticebus.store.tables import markers

READ = sa.select(markers.c.name, markers.c.value, sa.literal(1).label("one")).where(
    among_given(markers.c.name, "names"), markers.c.value != sa.bindparam("value")
)
WRITE = (
    sa.update(markers)
    .where(markers.c.name == sa.bindparam("of"))
    .values(value=DeliveryState.DELIVERED.value)
)
SLEEP = sa.select(sa.func.pg_sleep(sa.bindparam("seconds", type_=sa.Float())))
END_ME = sa.select(sa.func.pg_terminate_backend(sa.func.pg_backend_pid()))
DELIVERY, NOTICE = DeliveryId("dlv_1"), NoticeId("ntc_1")
ROWS = [{"name": f"marker {number}", "value": str(number)} for number in range(3)]


@pytest.fixture
async def postgresql(tmp_path: Path) -> AsyncIterator[Database]:
    """Lend a database of PostgreSQL: SQLite cannot sleep, nor lose a connection."""
    async with tables.database("postgresql", tmp_path) as database:
        yield database


async def test_rows_are_tuples_with_the_names_of_their_columns(desk: Desk) -> None:
    async with desk.database.begin() as conn:
        await hot.insert_rows(conn, markers, ROWS)
        given = {"names": ["marker 2", "marker 1", "marker 1", "nobody"], "value": "2"}
        (found,) = await prepared.rows(conn, READ, given)

    assert (found.name, found.value, found.one) == tuple(found) == ("marker 1", "1", 1)


async def test_a_statement_says_how_many_rows_it_touched(desk: Desk) -> None:
    async with desk.database.begin() as conn:
        await hot.insert_rows(conn, markers, ROWS)
        touched = [await prepared.run(conn, WRITE, {"of": one}) for one in ("marker 1", "nobody")]

    assert touched == [1, 0]


async def test_the_first_statement_of_a_transaction_is_undone_with_it(desk: Desk) -> None:
    async with desk.database.begin() as conn:
        await hot.insert_rows(conn, markers, ROWS)
    async with desk.database.begin() as conn:
        await prepared.run(conn, WRITE, {"of": "marker 1"})
        await conn.rollback()

    async with desk.database.read() as conn:
        kept = await prepared.rows(conn, READ, {"names": ["marker 1"], "value": ""})
    assert [one.value for one in kept] == ["1"]


async def test_a_look_writes_nothing(postgresql: Database) -> None:
    with pytest.raises((UnavailableError, sa.exc.DBAPIError), match="read-only"):
        async with postgresql.read() as conn:
            await prepared.run(conn, WRITE, {"of": "marker 1"})


async def test_whoever_listens_to_statements_hears_of_it(desk: Desk) -> None:
    async with desk.database.begin() as conn:
        with statements_of(desk) as asked:
            await prepared.rows(conn, READ, {"names": ["marker 1"], "value": ""})

    assert len(asked) == 1
    assert "markers" in asked[0]


async def test_a_connection_that_is_lost_is_given_up(
    postgresql: Database,
) -> None:
    with pytest.raises(UnavailableError, match="try again"):
        async with postgresql.begin() as conn:
            await prepared.rows(conn, END_ME, {})

    async with postgresql.begin() as conn:
        assert await prepared.run(conn, WRITE, {"of": "nobody"}) == 0


async def test_a_statement_that_nobody_waits_for_leaves_nothing_behind(
    postgresql: Database,
) -> None:
    async with postgresql.begin() as conn:
        await hot.insert_rows(conn, markers, ROWS)

    async def overslept() -> None:
        async with postgresql.begin() as conn:
            await prepared.run(conn, WRITE, {"of": "marker 1"})
            await prepared.rows(conn, SLEEP, {"seconds": 60})

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await overslept()

    async with postgresql.begin() as conn:
        kept = await prepared.rows(conn, READ, {"names": ["marker 1"], "value": ""})
        assert await prepared.run(conn, WRITE, {"of": "marker 1"}) == 1  # nobody holds its lock
    assert [one.value for one in kept] == ["1"]


async def test_a_list_inside_is_refused_since_each_would_be_a_statement_of_its_own() -> None:
    listed = sa.select(markers.c.name).where(markers.c.name.in_(["one", "two"]))

    with pytest.raises(AssertionError, match="another statement"):
        prepared._prepared(listed, prepared._SQLITE)


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Desk]:
    """Lend a desk over SQLite."""
    async with furnish.open_desk(tmp_path) as opened:
        yield opened


async def test_on_sqlite_what_is_looked_up_by_key_reads_no_table_through(sqlite: Desk) -> None:
    ids: list[Any] = ["one", "two"]
    async with sqlite.database.begin() as conn:
        with statements_of(sqlite) as asked:
            await claims.claim_shard(conn, ids, lease_until=furnish.MORNING)
            await claims.destinations_of(conn, ids)
            await claims.finish_claimed(conn, [(ids[0], 1)], finished_at=furnish.MORNING)
            await matching.agencies_by_id(conn, ids)
            await matching.orders_for(conn, ids, [])
            await matching.responsibilities_for(conn, ids)
            await notices.find_idempotency_records(conn, [("one", "key")])
            await notices.notices_by_id(conn, ids)
            await obligations.mark_delivered(conn, ids, at=furnish.MORNING)
        plans = [await _plan_of(conn, one) for one in asked]

    assert len(plans) == 9
    assert [step for plan in plans for step in plan if _reads_all(step)] == []


async def test_what_a_claim_reads_is_looked_up_by_an_index_though_its_plan_is_of_an_empty_database(
    tmp_path: Path,
) -> None:
    """Such a plan is kept for a minute: it would read each table once for each claim.

    Which index it is, an empty database does not know well (decision 28).
    """
    async with (
        tables.fresh_on_postgresql() as url,
        furnish.open_desk(tmp_path, url=url) as desk,
        desk.database.begin_relaxed() as conn,
    ):
        with statements_of(desk) as asked:
            await claims.claim_shard(conn, [DELIVERY], lease_until=furnish.MORNING)
            await claims.destinations_of(conn, [DELIVERY])
            await notices.notices_by_id(conn, [NOTICE])
        raw = (await conn.get_raw_connection()).driver_connection
        plans = [await _kept_plan(raw, text) for text in asked]

    kinds = {node["Node Type"] for plan in plans for node in _nodes(plan)}
    assert len(plans) == 3
    assert {"Nested Loop", "Index Scan"} <= kinds
    assert kinds.isdisjoint({"Seq Scan", "Hash Join", "Merge Join"})


async def _kept_plan(raw: Any, text: str) -> dict[str, Any]:
    await raw.execute("DEALLOCATE ALL")
    await raw.execute(f"PREPARE kept AS {text}")
    nulls = ", ".join(["NULL"] * len(set(re.findall(r"\$\d+", text))))
    (row,) = await raw.fetch(f"EXPLAIN (FORMAT JSON) EXECUTE kept ({nulls})")
    told = row[0]
    plan: dict[str, Any] = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


async def _plan_of(conn: AsyncConnection, statement: str) -> list[str]:
    given = ("[]",) * statement.count("?")
    plan = await conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
    return [str(detail) for *_, detail in plan]


def _reads_all(step: str) -> bool:
    return step.startswith("SCAN") and "json_each" not in step and step != "SCAN ours"


@pytest.mark.parametrize(
    ("count", "said"), [(1, "expected str"), (hot.FEW + 1, "cannot be written")]
)
async def test_what_cannot_be_written_is_an_error_of_the_data_and_the_connection_stays(
    postgresql: Database, count: int, said: str
) -> None:
    rows = [{"name": f"broken {number}", "value": 2} for number in range(count)]
    with pytest.raises(sa.exc.DBAPIError, match=said):
        async with postgresql.begin() as conn:
            await hot.insert_rows(conn, markers, rows)

    async with postgresql.begin() as conn:
        assert await prepared.run(conn, WRITE, {"of": "nobody"}) == 0
