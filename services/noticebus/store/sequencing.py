"""Giving entries their index and history its span: the sequencer's statements."""

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.store.tables import entries, obligation_history

SEQUENCER_LOCK = 0x6E62_7365_7100  # any constant of ours: "nbseq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The indexes one batch was given, both ends included."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1


async def take_lock(conn: AsyncConnection) -> bool:
    """Take the sequencer's lock until the transaction ends.

    On SQLite the writer's own lock is enough.
    """
    if conn.dialect.name == "sqlite":
        return True
    statement = sa.select(sa.func.pg_try_advisory_xact_lock(SEQUENCER_LOCK))
    return bool((await conn.execute(statement)).scalar_one())


async def index_entries(
    conn: AsyncConnection, *, now: dt.datetime, batch_size_max: int
) -> Given | None:
    """Index at most `batch_size_max` committed entries in insert order, going on from the last.

    None if none wait.
    """
    last = int(
        (
            await conn.execute(sa.select(sa.func.coalesce(sa.func.max(entries.c.index), -1)))
        ).scalar_one()
    )
    waiting = (
        sa.select(
            entries.c.position,
            (sa.func.row_number().over(order_by=entries.c.position) + last).label("given"),
        )
        .where(entries.c.index.is_(None))
        .order_by(entries.c.position)
        .limit(batch_size_max)
        .subquery()
    )
    statement = (
        sa.update(entries)
        .where(entries.c.position == waiting.c.position)
        .values(index=waiting.c.given, sequenced_at=now)
    )
    count = (await conn.execute(statement)).rowcount
    return Given(first=last + 1, last=last + count) if count else None


async def span_history(conn: AsyncConnection, given: Given) -> None:
    """Let each history line begin at its entry's index, and the line before it end there."""
    begins = (
        sa.update(obligation_history)
        .where(
            obligation_history.c.entry_id == entries.c.id,
            obligation_history.c.from_index.is_(None),
            entries.c.index.between(given.first, given.last),
        )
        .values(from_index=entries.c.index)
    )
    await conn.execute(begins)
    touched = (
        sa.select(obligation_history.c.obligation_id)
        .where(obligation_history.c.from_index.between(given.first, given.last))
        .distinct()
    )
    following = (
        sa.select(
            obligation_history.c.position,
            sa.func.lead(obligation_history.c.from_index)
            .over(
                partition_by=obligation_history.c.obligation_id,
                order_by=obligation_history.c.position,
            )
            .label("ends"),
        )
        .where(
            obligation_history.c.obligation_id.in_(touched),
            obligation_history.c.to_index.is_(None),
            obligation_history.c.from_index.is_not(None),
        )
        .subquery()
    )
    ends = (
        sa.update(obligation_history)
        .where(obligation_history.c.position == following.c.position, following.c.ends.is_not(None))
        .values(to_index=following.c.ends)
    )
    await conn.execute(ends)


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
