"""The ledger's rows: salted leaves, indexes without a gap, history that spans them."""

import datetime as dt
import hashlib

import sqlalchemy as sa

from noticebus.store import ledger, sequencing
from noticebus.store.database import Database
from noticebus.store.tables import entries

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


async def append(database: Database, count: int, *, at: dt.datetime = NOW) -> list[str]:
    async with database.begin() as conn:
        made = [ledger.make_entry("test.done", {"n": n}, at=at) for n in range(count)]
        return [one.id for one in await ledger.append(conn, made)]


async def index(
    database: Database, *, most: int = 100, at: dt.datetime = NOW
) -> sequencing.Given | None:
    async with database.begin() as conn:
        assert await sequencing.take_lock(conn)
        return await sequencing.index_entries(conn, now=at, batch_size_max=most)


async def test_a_leaf_is_the_rfc_6962_hash_of_salt_and_canonical_bytes(database: Database) -> None:
    await append(database, 1)
    async with database.read() as conn:
        row = (await conn.execute(sa.select(entries))).one()

    assert row.leaf_hash == hashlib.sha256(b"\x00" + row.salt + row.body).digest()
    assert row.body.startswith(b'{"data":{"n":0},"id":')


async def test_indexes_go_on_from_the_last_in_order_of_insertion(database: Database) -> None:
    ids = await append(database, 5)
    first, second, third = [await index(database, most=3) for _ in range(3)]
    async with database.read() as conn:
        rows = (await conn.execute(sa.select(entries.c.id).order_by(entries.c.index))).scalars()
        listed = list(rows)
        newest = await ledger.newest_index(conn)

    assert first == sequencing.Given(first=0, last=2)
    assert second == sequencing.Given(first=3, last=4)
    assert third is None
    assert listed == ids
    assert newest == 4


async def test_a_past_report_stands_on_the_greatest_index_sequenced_by_then(
    database: Database,
) -> None:
    """An entry written at noon and sequenced an hour later is not in the report of noon."""
    await append(database, 2)
    await index(database)
    await append(database, 1)
    await index(database, at=NOW + dt.timedelta(hours=1))
    async with database.read() as conn:
        indexes = [
            await ledger.index_at(conn, at=NOW + dt.timedelta(hours=hours)) for hours in (-1, 0, 1)
        ]

    assert indexes == [-1, 1, 2]


async def test_one_sequencer_at_a_time_holds_the_lock(database: Database) -> None:
    if database.is_sqlite:
        return  # there the single writer protects us
    async with database.begin() as first, database.begin() as second:
        held = [await sequencing.take_lock(first), await sequencing.take_lock(second)]

    assert held == [True, False]
