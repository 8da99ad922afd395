"""Giving entries their index and history its span: the sequencer's statements."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.store import prepared
from noticebus.store.columns import Instant
from noticebus.store.tables import entries, obligation_history

SEQUENCER_LOCK = 0x6E62_7365_7100  # any constant of ours: "nbseq"
# Ways to read a table as a whole, which a batch is never worth. A planner without statistics, as in
# a new installation, thinks it is: each batch would then cost more than the one before.
WHOLE_TABLES = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_material")


_LOCK = sa.select(
    sa.func.pg_try_advisory_xact_lock(SEQUENCER_LOCK),
    *(sa.func.set_config(name, "off", sa.true()) for name in WHOLE_TABLES),
)
NEWEST = sa.select(sa.func.coalesce(sa.func.max(entries.c.index), -1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The indexes one batch was given, both ends included."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


async def take_lock(conn: AsyncConnection) -> bool:
    """Take the sequencer's lock until the transaction ends; its statements go by indexes alone.

    On SQLite the writer's own lock is enough, and its planner goes by indexes anyway.
    """
    if conn.dialect.name == "sqlite":
        return True
    return bool((await prepared.rows(conn, _LOCK, {}))[0][0])


_BEFORE = sa.bindparam("before", type_=sa.BigInteger())
_NOW = sa.bindparam("now", type_=Instant())


def _waiting() -> sa.Select[Any]:
    """Select the positions of at most `most` entries without an index, in insert order."""
    return (
        sa.select(entries.c.position)
        .where(entries.c.index.is_(None))
        .order_by(entries.c.position)
        .limit(sa.bindparam("most", type_=sa.Integer()))
    )


def _index_on_postgresql() -> sa.Update:
    """Index by one value that has every position, and the place of each in it.

    Not by a join: a planner that takes the table for smaller than it is would go through all that
    wait once for each entry. The array is found by key: the lock's settings leave nothing else.
    """
    batch = _waiting().subquery()
    every = sa.func.array_agg(postgresql.aggregate_order_by(batch.c.position, batch.c.position))
    waiting = sa.select(every.label("positions")).cte("waiting")
    # The cast says that it is one value, an array, and no list of rows.
    positions = sa.cast(waiting.select().scalar_subquery(), postgresql.ARRAY(sa.BigInteger()))
    return (
        sa.update(entries)
        .where(entries.c.position == sa.func.any(positions))
        .values(
            index=_BEFORE + sa.func.width_bucket(entries.c.position, positions), sequenced_at=_NOW
        )
    )


def _index_on_sqlite() -> sa.Update:
    waiting = _waiting().subquery()
    place = sa.func.row_number().over(order_by=waiting.c.position)
    placed = sa.select(waiting.c.position, (_BEFORE + place).label("given")).subquery()
    return (
        sa.update(entries)
        .where(entries.c.position == placed.c.position)
        .values(index=placed.c.given, sequenced_at=_NOW)
    )


INDEX = _index_on_postgresql()
INDEX_ON_SQLITE = _index_on_sqlite()


async def index_entries(
    conn: AsyncConnection, *, now: dt.datetime, batch_size_max: int
) -> Given | None:
    """Index at most `batch_size_max` committed entries in insert order, going on from the last.

    None if none wait.
    """
    ((newest,),) = await prepared.rows(conn, NEWEST, {})
    given = {"before": newest, "now": now, "most": batch_size_max}
    statement = INDEX_ON_SQLITE if conn.dialect.name == "sqlite" else INDEX
    count = await prepared.run(conn, statement, given)
    return Given(first=newest + 1, last=newest + count) if count else None


async def span_history(conn: AsyncConnection, given: Given) -> bool:
    """Let each history line begin at its entry's index, and the line before it end there.

    Says whether there was any.
    """
    span = {"first": given.first, "last": given.last}
    if not await prepared.run(conn, BEGIN, span):
        return False
    await prepared.run(conn, END, span)
    return True


# What a statement about a batch is given: its first and its last index.
FIRST, LAST = (sa.bindparam(name, type_=sa.BigInteger()) for name in ("first", "last"))
IS_GIVEN = entries.c.index.between(FIRST, LAST)


def _begins() -> sa.Update:
    """Begin the lines of freshly indexed entries.

    By the entry's id alone: a database that has seen few lines yet would take a condition on
    `from_index` for a better way to them, and read all of them for each entry.
    """
    return (
        sa.update(obligation_history)
        .where(
            obligation_history.c.entry_id == entries.c.id,
            IS_GIVEN,
        )
        .values(from_index=entries.c.index)
    )


def _ends() -> sa.Update:
    """End the line before each that has begun.

    Lines of one obligation follow one another by position: its row is locked while one is written.
    """
    fresh, earlier = obligation_history.alias("fresh"), obligation_history.alias("earlier")
    before = (
        sa.select(sa.func.max(earlier.c.position))
        .where(
            earlier.c.obligation_id == fresh.c.obligation_id,
            earlier.c.position < fresh.c.position,
        )
        .correlate(fresh)
        .scalar_subquery()
    )
    return (
        sa.update(obligation_history)
        .where(
            fresh.c.entry_id == entries.c.id,
            IS_GIVEN,
            obligation_history.c.obligation_id == fresh.c.obligation_id,
            obligation_history.c.position == before,
        )
        .values(to_index=fresh.c.from_index)
    )


BEGIN, END = _begins(), _ends()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many entries there are, how many have an index, and the greatest one (-1 for none)."""

    entries: int
    indexed: int
    newest: int

    @property
    def gap_free(self) -> bool:
        """Whether every entry has its index and no index is missing: they begin at 0."""
        return self.entries == self.indexed == self.newest + 1


async def tally(conn: AsyncConnection) -> Tally:
    """Count the ledger's entries; indexes are unique, so that counting them shows every gap."""
    statement = sa.select(
        sa.func.count(), sa.func.count(entries.c.index), sa.func.max(entries.c.index)
    ).select_from(entries)
    total, indexed, newest = (await conn.execute(statement)).one()
    return Tally(entries=total, indexed=indexed, newest=-1 if newest is None else newest)
