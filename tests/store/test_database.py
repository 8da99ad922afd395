"""What everything else relies on: transactions, one writer, readers beside it, honest refusals."""

import asyncio
import datetime as dt
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from harness import tables
from noticebus.errors import UnavailableError
from noticebus.store import database as under_test
from noticebus.store.database import Database, _opened
from noticebus.store.tables import entries, markers, metadata, responsibility_areas

WAIT_S = 30
AT = dt.datetime(2019, 8, 7, 15, 4, 5, 123456, tzinfo=dt.UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> str:
    """Give the address of an empty database of each kind."""
    return f"sqlite:///{tmp_path}/bus.db" if request.param == "sqlite" else postgres_url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Database]:
    """Lend a database with its tables."""
    database = Database(url)
    async with database.begin() as conn:
        await conn.run_sync(metadata.create_all)
    yield database
    await database.close()


async def mark(conn: AsyncConnection, name: str) -> None:
    await conn.execute(markers.insert().values(name=name, value=""))


async def mark_and_fail(database: Database, name: str) -> None:
    async with database.begin() as conn:
        await mark(conn, name)
        raise RuntimeError("changed my mind")


async def marked(conn: AsyncConnection) -> list[str]:
    found = await conn.execute(sa.select(markers.c.name).order_by(markers.c.name))
    return list(found.scalars())


def checked_out(database: Database) -> int:
    """Count the connections that somebody holds."""
    pools = [engine.sync_engine.pool for engine in database.engines]
    assert all(isinstance(pool, sa.QueuePool) for pool in pools)
    return sum(pool.checkedout() for pool in pools if isinstance(pool, sa.QueuePool))


def drivers_threads() -> set[threading.Thread]:
    """Give the threads that serve a SQLite connection each."""
    return {one for one in threading.enumerate() if "_connection_worker" in one.name}


async def test_transaction_commits_on_leaving_and_rolls_back_on_an_error(store: Database) -> None:
    async with store.begin() as conn:
        await mark(conn, "kept")
    with pytest.raises(RuntimeError, match="changed my mind"):
        await mark_and_fail(store, "lost")

    async with store.read() as conn:
        assert await marked(conn) == ["kept"]
    assert checked_out(store) == 0


async def test_cancelled_transaction_is_rolled_back_and_gives_its_connection_back(
    store: Database,
) -> None:
    written = asyncio.Event()

    async def write_for_ever() -> None:
        async with store.begin() as conn:
            await mark(conn, "lost")
            written.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(write_for_ever())
        await written.wait()
        task.cancel()

    assert checked_out(store) == 0
    async with asyncio.timeout(WAIT_S), store.begin() as conn:
        assert await marked(conn) == []


@pytest.mark.parametrize("turns", range(0, 40, 5))
async def test_transaction_cancelled_at_any_moment_leaves_all_or_nothing(
    store: Database, turns: int
) -> None:
    async def write_two() -> None:
        async with store.begin() as conn:
            await mark(conn, "first")
            await mark(conn, "second")

    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(write_two())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()

    async with asyncio.timeout(WAIT_S), store.begin() as conn:
        assert await marked(conn) in ([], ["first", "second"])
    assert checked_out(store) == 0


async def test_writers_take_their_turns_and_none_is_refused(store: Database) -> None:
    async def add_one() -> None:
        async with store.begin() as conn:
            row = markers.c.name == "count"
            found = await conn.execute(sa.select(markers.c.value).where(row).with_for_update())
            value = str(int(found.scalar_one()) + 1)
            await conn.execute(sa.update(markers).where(row).values(value=value))

    async with store.begin() as conn:
        await conn.execute(markers.insert().values(name="count", value="0"))

    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
        for _ in range(50):
            tasks.create_task(add_one())

    async with store.read() as conn:
        assert (await conn.execute(sa.select(markers.c.value))).scalar_one() == "50"


async def test_readers_do_not_wait_for_the_writer_and_see_what_was_committed(
    store: Database,
) -> None:
    async with asyncio.timeout(WAIT_S), store.begin() as writing:
        await mark(writing, "not yet")
        async with store.read() as one, store.read() as another:
            assert await marked(one) == await marked(another) == []

    async with store.read() as conn:
        assert await marked(conn) == ["not yet"]


async def test_broken_reference_is_refused_as_itself_not_as_an_outage(store: Database) -> None:
    row = {"area_key": "county:28123", "responsibility_id": "rsp_nobody"}
    with pytest.raises(sa.exc.IntegrityError):
        async with store.begin() as conn:
            await conn.execute(responsibility_areas.insert().values(row))


async def test_faulty_statement_is_our_mistake_not_an_outage(store: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        async with store.begin() as conn:
            await conn.execute(sa.select(sa.column("x")).select_from(sa.table("absent")))


async def test_value_of_the_wrong_type_is_our_mistake_not_an_outage(store: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        async with store.begin() as conn:
            await conn.execute(markers.insert().values(name=object(), value=""))


async def test_text_too_long_for_its_column_is_our_mistake_not_an_outage(
    postgres_url: str,
) -> None:
    """SQLite does not hold a text's length."""
    database = Database(postgres_url)
    async with database.begin() as conn:
        await conn.run_sync(metadata.create_all)

    with pytest.raises(sa.exc.DBAPIError, match="too long"):
        async with database.begin() as conn:
            await mark(conn, "x" * 61)
    await database.close()


async def test_waiting_too_long_for_a_connection_is_an_outage(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "POOL_WAIT_S", 0.2)
    monkeypatch.setattr(under_test, "POOL_SIZE", 1)
    monkeypatch.setattr(under_test, "POOL_OVERFLOW", 0)
    database = Database(url)

    async with database.begin() as conn:
        await conn.execute(sa.select(1))
        with pytest.raises(UnavailableError, match="did not answer"):
            async with database.begin():
                pass
    await database.close()


async def test_lock_held_too_long_is_an_outage(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "LOCK_TIMEOUT", "100ms")
    database = Database(postgres_url)
    async with database.begin() as conn:
        await conn.run_sync(metadata.create_all)

    async with database.begin() as first:
        await mark(first, "same")
        with pytest.raises(UnavailableError, match="lock timeout"):
            async with database.begin() as second:
                await mark(second, "same")
    await database.close()


async def test_file_locked_by_another_process_too_long_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = tuple(
        pragma for pragma in under_test.SQLITE_PRAGMAS if "busy_timeout" not in pragma
    )
    monkeypatch.setattr(under_test, "SQLITE_PRAGMAS", (*impatient, "PRAGMA busy_timeout=100"))
    mine, another = (Database(f"sqlite:///{tmp_path}/bus.db") for _ in range(2))

    async with another.begin() as holding:
        await holding.execute(sa.select(1))
        with pytest.raises(UnavailableError, match="database is locked"):
            async with mine.begin() as conn:
                await conn.execute(sa.select(1))
    await mine.close()
    await another.close()


@pytest.mark.parametrize("role", ["begin", "begin_relaxed", "read"])
async def test_absent_postgresql_is_an_outage(tmp_path: Path, role: str) -> None:
    database = Database(f"postgresql://bus:secret@/bus?host={tmp_path}")

    with pytest.raises(UnavailableError, match="did not answer") as refusal:
        async with getattr(database, role)() as conn:
            await conn.execute(sa.select(1))
    assert "secret" not in refusal.value.message
    await database.close()


async def test_absent_database_of_postgresql_is_an_outage(postgres_url: str) -> None:
    database = Database(sa.make_url(postgres_url).set(database="absent").render_as_string(False))

    with pytest.raises(UnavailableError, match='database "absent" does not exist'):
        async with database.read() as conn:
            await conn.execute(sa.select(1))
    await database.close()


async def test_session_ended_by_postgresql_is_an_outage_once_and_then_replaced(
    postgres_url: str,
) -> None:
    database, administrator = Database(postgres_url), Database(postgres_url)
    async with database.begin() as conn:
        session = await conn.scalar(sa.select(sa.func.pg_backend_pid()))

    async with administrator.begin() as conn:
        await conn.execute(sa.select(sa.func.pg_terminate_backend(session, 5000)))
    with pytest.raises(UnavailableError):
        async with database.begin() as conn:
            await conn.execute(sa.select(1))

    async with database.begin() as conn:
        assert await conn.scalar(sa.select(sa.func.pg_backend_pid())) != session
    await database.close()
    await administrator.close()


async def test_file_that_cannot_be_opened_leaves_no_thread_behind(tmp_path: Path) -> None:
    """What such a thread has to say might come when the event loop is closed."""
    database = Database(f"sqlite:///{tmp_path}/missing/bus.db")
    before = set(threading.enumerate())

    for _ in range(20):
        with pytest.raises(UnavailableError, match="unable to open"):
            async with database.read():
                pass

        assert drivers_threads() <= before
    await database.close()


async def test_opening_that_is_cancelled_leaves_no_thread_behind(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/bus.db")
    before = set(threading.enumerate())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), database.read():  # its first wait is for the thread
            pass

    assert drivers_threads() <= before
    await database.close()


async def test_a_close_that_is_cancelled_beside_a_stop_ends(tmp_path: Path) -> None:
    """So it is where a loop is cancelled in a statement, and once more while that is put away."""
    connection = await _opened(tmp_path / "bus.db")

    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
        closing = tasks.create_task(connection.close())
        await asyncio.sleep(0)
        connection.stop()
        closing.cancel()
    await asyncio.to_thread(connection._thread.join, WAIT_S)

    assert closing.cancelled()
    assert not connection._thread.is_alive()


async def test_file_that_is_no_database_is_an_outage(tmp_path: Path) -> None:
    (tmp_path / "bus.db").write_text("a letter, not a database " * 100)
    database = Database(f"sqlite:///{tmp_path}/bus.db")

    with pytest.raises(UnavailableError, match="file is not a database"):
        async with database.begin() as conn:
            await conn.execute(sa.select(1))
    await database.close()


async def test_only_relaxed_commits_may_be_lost_in_a_crash(postgres_url: str) -> None:
    database = Database(postgres_url)
    setting = sa.select(sa.func.current_setting("synchronous_commit"))

    async with database.begin_relaxed() as conn:
        assert await conn.scalar(setting) == "off"
    async with database.begin() as conn:
        assert await conn.scalar(setting) == "on"
    await database.close()


async def test_sqlite_file_is_in_wal_mode_synced_at_each_commit_and_checks_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "SQLITE_PRAGMAS", tables.RELEASED_PRAGMAS)
    database = Database(f"sqlite:///{tmp_path}/bus.db")

    async with database.begin() as conn:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            assert await conn.scalar(sa.text(f"PRAGMA {pragma}")) == value
    await database.close()


KILLED_AFTER_A_COMMIT = """
import asyncio, os, signal, sys
from noticebus.store.database import Database
from noticebus.store.tables import markers
async def main():
    database = Database(sys.argv[1])
    async with database.begin() as conn:
        await conn.execute(markers.insert().values(name="committed", value=""))
    async with database.begin() as conn:
        await conn.execute(markers.insert().values(name="not committed", value=""))
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_what_was_committed_survives_a_killed_process_and_nothing_else_does(
    store: Database,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED_AFTER_A_COMMIT, store.url),
        env=os.environ | {"PYTHONPATH": str(Path(under_test.__file__).parents[2])},
    )

    assert await process.wait() == -signal.SIGKILL
    async with store.read() as conn:
        assert await marked(conn) == ["committed"]


def entry(recorded_at: dt.datetime) -> sa.Insert:
    nothing = {"body": b"", "salt": b"", "leaf_hash": b""}
    return entries.insert().values(id="ent_1", type="t", recorded_at=recorded_at, **nothing)


@pytest.mark.parametrize("zone", [dt.UTC, dt.timezone(dt.timedelta(hours=-5))])
async def test_instants_come_back_aware_in_utc_with_their_microseconds(
    store: Database, zone: dt.tzinfo
) -> None:
    async with store.begin() as conn:
        await conn.execute(entry(AT.astimezone(zone)))

    async with store.read() as conn:
        found = await conn.scalar(sa.select(entries.c.recorded_at))
    assert found == AT
    assert found.tzinfo is dt.UTC


async def test_instants_are_ordered_and_compared_in_time(store: Database) -> None:
    later = AT.replace(microsecond=0) + dt.timedelta(seconds=1)
    async with store.begin() as conn:
        await conn.execute(entry(later))

    async with store.read() as conn:
        instant = entries.c.recorded_at
        assert await conn.scalar(sa.select(sa.func.max(instant)).where(instant > AT)) == later
        assert await conn.scalar(sa.select(instant).where(instant <= AT)) is None


async def test_naive_instants_are_refused(store: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="a naive instant reached the store"):
        async with store.begin() as conn:
            await conn.execute(entry(AT.replace(tzinfo=None)))


async def test_only_claims_keep_plans_that_go_by_key(postgres_url: str) -> None:
    database = Database(postgres_url)
    settings = ("plan_cache_mode", "enable_seqscan", "enable_hashjoin", "enable_mergejoin")
    asked = sa.select(*(sa.func.current_setting(one) for one in settings))

    async with database.begin_relaxed() as conn:
        claims = tuple((await conn.execute(asked)).one())
    async with database.begin() as conn:
        others = tuple((await conn.execute(asked)).one())
    await database.close()

    assert claims == ("force_generic_plan", "off", "off", "off")
    assert others == ("auto", "on", "on", "on")
