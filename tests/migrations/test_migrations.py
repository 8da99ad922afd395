"""Tables and migrations agree, on both databases, whoever applies them and how often."""

import asyncio
import contextlib
import datetime as dt
import os
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from noticebus.errors import UnavailableError
from noticebus.store import migrate
from noticebus.store.columns import Instant
from noticebus.store.tables import metadata

CHECKOUT = Path(__file__).parents[2]
SOURCES = CHECKOUT / "services"
VERSION_TABLE = "alembic_version"
CREATED_AT = dt.datetime(2019, 8, 7, 15, 4, 5, tzinfo=dt.UTC)
UPGRADE = """
import asyncio, sys
from noticebus.store.migrate import upgrade
print("starting", flush=True)
print(*asyncio.run(upgrade(sys.argv[1])), flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> str:
    """Give the address of an empty database of each kind."""
    return f"sqlite:///{tmp_path}/bus.db" if request.param == "sqlite" else postgres_url


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    address = sa.make_url(url)
    driver = "sqlite+aiosqlite" if address.get_backend_name() == "sqlite" else "postgresql+asyncpg"
    engine = create_async_engine(address.set(drivername=driver), poolclass=sa.NullPool)
    async with engine.begin() as conn:
        yield conn
    await engine.dispose()


def described(connection: sa.Connection) -> dict[str, Any]:
    """Describe every table as the database itself tells it, in a form that compares."""
    inspector = sa.inspect(connection)
    return {
        table: {
            "columns": [
                {**column, "type": column["type"].compile(connection.dialect)}
                for column in inspector.get_columns(table)
            ],
            "primary key": inspector.get_pk_constraint(table),
            "uniques": by_name(inspector.get_unique_constraints(table)),
            "references": by_name(inspector.get_foreign_keys(table)),
            "checks": by_name(inspector.get_check_constraints(table)),
            "indexes": by_name(inspector.get_indexes(table)),
            "storage": storage(connection, table),
        }
        for table in sorted(inspector.get_table_names())
        if table != VERSION_TABLE
    }


def by_name(found: list[Any]) -> dict[str, Any]:
    return {
        str(one["name"]): {
            key: {k: str(v) for k, v in value.items()} if isinstance(value, dict) else value
            for key, value in one.items()
        }
        for one in found
    }


def storage(connection: sa.Connection, table: str) -> list[str]:
    """Tell the storage parameters of a table: fill factor, autovacuum."""
    if connection.dialect.name == "sqlite":
        return []
    statement = sa.text("SELECT unnest(reloptions) FROM pg_class WHERE oid = CAST(:t AS regclass)")
    return sorted(connection.execute(statement, {"t": table}).scalars())


async def test_tables_and_migrations_build_the_same_database(url: str) -> None:
    async with connected(url) as conn:
        await conn.run_sync(metadata.create_all)
        from_tables = await conn.run_sync(described)
        await conn.run_sync(metadata.drop_all)

    await migrate.upgrade(url)

    async with connected(url) as conn:
        from_migrations = await conn.run_sync(described)
    assert from_migrations == from_tables
    assert set(from_tables) == set(metadata.tables)


async def test_comparison_sees_checks_predicates_and_names(url: str) -> None:
    """The test above is worth something only if reflection tells what it compares."""
    await migrate.upgrade(url)

    async with connected(url) as conn:
        tables = await conn.run_sync(described)
    deliveries = tables["deliveries"]
    assert "moot" in deliveries["checks"]["ck_deliveries_state"]["sqltext"]
    assert "due_at IS NOT NULL" in str(
        deliveries["indexes"]["ix_deliveries_due"]["dialect_options"]
    )
    assert deliveries["primary key"]["name"] == "pk_deliveries"
    shifts = tables["shifts"]
    assert shifts["references"]["fk_shifts_agency_id"]["referred_table"] == "agencies"


AGENCIES = sa.table(  # as of 0001, whatever today's tables say
    "agencies",
    *(sa.column(name) for name in ("id", "name", "kind", "zone", "revision")),
    sa.column("created_at", Instant()),
)


INCIDENTS = sa.table(  # as of 0005
    "incidents",
    *(
        sa.column(name)
        for name in ("id", "agency_id", "status", "state", "latest_version", "latest_notice_id")
    ),
    sa.column("created_at", Instant()),
)
AN_INCIDENT = {
    "id": "inc_1",
    "agency_id": "agy_1",
    "status": "actual",
    "state": "open",
    "latest_version": 1,
    "latest_notice_id": "ntc_1",
    "created_at": CREATED_AT,
}
NOTICES = sa.table(
    "notices",
    *(
        sa.column(name)
        for name in (
            *("id", "incident_id", "version", "agency_id", "msg", "kind", "status"),
            *("notice_class", "state", "material", "posted_by", "body", "body_digest"),
            *("area_keys", "uncovered", "refdata_version"),
        )
    ),
    sa.column("occurred_at", Instant()),
    sa.column("accepted_at", Instant()),
)
A_NOTICE = {
    "id": "ntc_1",
    "incident_id": "inc_1",
    "version": 1,
    "agency_id": "agy_1",
    "msg": "alert",
    "kind": "enforcement_action",
    "status": "actual",
    "notice_class": "A",
    "state": "released",
    "material": True,
    "posted_by": "key_1",
    "body": b"{}",
    "body_digest": "0" * 64,
    "area_keys": '["county:28123", "state:28"]',
    "uncovered": "[]",
    "refdata_version": "2020",
    "occurred_at": CREATED_AT,
    "accepted_at": CREATED_AT,
}


async def insert_an_agency(url: str, *, agency_id: str) -> None:
    row = {"id": agency_id, "name": "Pine County CPS", "kind": "cps", "zone": "America/Chicago"}
    async with connected(url) as conn:
        await conn.execute(AGENCIES.insert(), row | {"revision": 1, "created_at": CREATED_AT})


async def tables_of(url: str) -> list[str]:
    async with connected(url) as conn:
        return await conn.run_sync(lambda sync: sa.inspect(sync).get_table_names())


async def test_every_revision_goes_up_down_and_up_again_with_data_in_it(url: str) -> None:
    applied = await migrate.upgrade(url)
    await insert_an_agency(url, agency_id="agy_1")

    taken_back = await migrate.downgrade(url, target="base")
    assert await tables_of(url) == [VERSION_TABLE]
    assert await migrate.current(url) is None
    applied_again = await migrate.upgrade(url)
    await insert_an_agency(url, agency_id="agy_1")

    assert taken_back == applied[::-1]
    assert applied_again == applied
    assert await migrate.current(url) == applied[-1]


async def test_notices_of_an_earlier_release_can_be_looked_up_by_area(url: str) -> None:
    await migrate.upgrade(url)
    await migrate.downgrade(url, target="0005")
    await insert_an_agency(url, agency_id="agy_1")
    async with connected(url) as conn:
        await conn.execute(INCIDENTS.insert(), AN_INCIDENT)
        await conn.execute(NOTICES.insert(), A_NOTICE)

    await migrate.upgrade(url)

    async with connected(url) as conn:
        found = await conn.execute(sa.text("SELECT area_key FROM notice_areas ORDER BY area_key"))
        assert found.scalars().all() == ["county:28123", "state:28"]


async def test_up_to_date_database_has_nothing_pending_and_nothing_applied(url: str) -> None:
    waiting = await migrate.pending(url)
    applied = await migrate.upgrade(url)

    assert waiting == applied
    assert applied[0] == "0001"
    assert await migrate.upgrade(url) == []
    assert await migrate.pending(url) == []


async def start_upgrade(url: str) -> asyncio.subprocess.Process:
    """Start a process that upgrades `url`, and wait until it is about to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        UPGRADE,
        url,
        env=os.environ | {"PYTHONPATH": str(SOURCES)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"starting\n"
    return process


@contextlib.asynccontextmanager
async def migration_lock_held(url: str) -> AsyncIterator[None]:
    """Be a third process that is migrating."""
    async with connected(url) as conn:
        if conn.dialect.name == "sqlite":
            await conn.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            await conn.execute(sa.select(sa.func.pg_advisory_lock(migrate.LOCK_KEY)))
        yield


async def test_of_two_processes_that_upgrade_at_once_one_does_and_the_other_finds_it_done(
    url: str,
) -> None:
    async with migration_lock_held(url):
        processes = [await start_upgrade(url), await start_upgrade(url)]

    outputs = [(await process.communicate())[0].decode().split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(outputs) == [[], revisions_of_this_release()]


def revisions_of_this_release() -> list[str]:
    """List every revision that this release has, oldest first."""
    scripts = (CHECKOUT / "migrations" / "versions").glob("[0-9]*.py")
    return sorted(script.name[:4] for script in scripts)


async def test_long_migration_of_another_process_is_named_as_the_cause(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_WAIT_S", 0.3)

    async with migration_lock_held(postgres_url):
        with pytest.raises(UnavailableError, match="Another process has been migrating"):
            await migrate.upgrade(postgres_url)


async def test_database_of_a_newer_release_is_left_alone(url: str) -> None:
    await migrate.upgrade(url)
    async with connected(url) as conn:
        await conn.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608

    assert await migrate.pending(url) == []
    with pytest.raises(UnavailableError, match="revision 9999, which this release does not know"):
        await migrate.upgrade(url)


async def test_missing_folder_of_a_sqlite_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"folder .*/absent of the SQLite .* Create it"):
        await migrate.upgrade(f"sqlite:///{tmp_path}/absent/bus.db")


async def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bus.db").write_text("a letter, not a database " * 100)

    with pytest.raises(UnavailableError, match="file is not a database"):
        await migrate.upgrade(f"sqlite:///{tmp_path}/bus.db")


async def test_silent_postgresql_is_refused_with_what_to_do_and_no_password(tmp_path: Path) -> None:
    url = f"postgresql://bus:secret@/bus?host={tmp_path}"

    with pytest.raises(UnavailableError, match="Check that it runs") as refusal:
        await migrate.upgrade(url)
    assert "secret" not in refusal.value.message


async def test_table_that_somebody_holds_is_not_waited_for_longer_than_4_s(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "100ms")
    await migrate.upgrade(postgres_url)

    async with connected(postgres_url) as conn:
        await conn.execute(sa.text("SELECT * FROM agencies"))
        with pytest.raises(UnavailableError, match="lock timeout"):
            await migrate.downgrade(postgres_url, target="base")
    assert await migrate.pending(postgres_url) == []  # all of it or nothing


def test_migrations_are_clean_to_the_linter_of_postgresql() -> None:
    linted = subprocess.run(
        [sys.executable, CHECKOUT / "tools" / "lint_migrations.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """Build the wheel from the checkout."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    return next(tmp_path.glob("noticebus-*.whl"))


def test_wheel_carries_the_migrations_and_upgrades_with_them(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        names = set(archive.namelist())

    upgraded = subprocess.run(
        [sys.executable, "-c", UPGRADE, f"sqlite:///{tmp_path}/bus.db"],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert {"noticebus/_migrations/env.py", "noticebus/_migrations/script.py.mako"} <= names
    assert not [name for name in names if name.startswith(("migrations/", "services/"))]
    revisions = ["0001", "0002", "0003", "0004", "0005", "0006", "0007"]
    assert upgraded.stdout.split() == ["starting", *revisions], upgraded.stderr
