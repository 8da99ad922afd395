"""The ledger searched for people: page by page from the newest back, within bounds."""

import datetime as dt
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.ids import EntryId, IncidentId, ObligationId
from noticebus.store.tables import entries

LOOKED_THROUGH_MAX = 50_000  # entries a page looks through where no index leads to them


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One entry as it stands: `data` is what it says; the index comes with the sequencer."""

    position: int
    index: int | None
    id: EntryId
    type: str
    incident_id: IncidentId | None
    data: dict[str, Any]
    recorded_at: dt.datetime
    sequenced_at: dt.datetime | None
    leaf_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for: None and "" are "any".

    `begins` is how an entry's type begins, `mentions` an id in its body.
    """

    incident_id: str = ""
    types: Sequence[str] = ()
    begins: str = ""
    mentions: str = ""
    index: int | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    @property
    def is_led_by_an_index(self) -> bool:
        return bool(self.incident_id) or self.index is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page, newest first. `before` goes on from there; None where nothing more can be found."""

    entries: list[LedgerEntry]
    before: int | None


async def search(
    conn: AsyncConnection,
    wanted: Wanted,
    *,
    before: int | None,
    limit: int,
    look_through: int = LOOKED_THROUGH_MAX,
) -> Found:
    """Read at most `limit` entries before a position (None: from the newest), newest first.

    Where no index leads to them `look_through` are looked through: a page may hold fewer than
    `limit`, or none, and more may be found before it.
    """
    top = await _top(conn, wanted) if before is None else before
    floor = 0 if wanted.is_led_by_an_index else max(top - 1 - look_through, 0)
    statement = (
        sa.select(entries)
        .where(entries.c.position < top, entries.c.position > floor, *_about(conn, wanted))
        .order_by(entries.c.position.desc())
        .limit(limit + 1)
    )
    rows = [_entry(row) for row in (await conn.execute(statement)).mappings()]
    if len(rows) > limit:
        return Found(entries=rows[:limit], before=rows[limit - 1].position)
    if not floor or not await _may_hold(conn, wanted, floor):
        return Found(entries=rows, before=None)
    return Found(entries=rows, before=floor + 1)


async def entries_of(
    conn: AsyncConnection,
    incident_id: IncidentId,
    *,
    types: Collection[str],
    before: int | None = None,
    limit: int,
) -> list[LedgerEntry]:
    """Read at most `limit` entries of some types about an incident, the newest first."""
    statement = (
        sa.select(entries)
        .where(entries.c.incident_id == incident_id, entries.c.type.in_(sorted(types)))
        .order_by(entries.c.position.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(entries.c.position < before)
    return [_entry(row) for row in (await conn.execute(statement)).mappings()]


async def entries_about(
    conn: AsyncConnection,
    obligation_id: ObligationId,
    *,
    incident_id: IncidentId,
    types: Collection[str],
    limit: int,
) -> list[LedgerEntry]:
    """Read at most `limit` entries of some types that name an obligation, the newest first."""
    statement = (
        sa.select(entries)
        .where(
            entries.c.incident_id == incident_id,
            entries.c.type.in_(sorted(types)),
            _mentions(conn, obligation_id),
        )
        .order_by(entries.c.position.desc())
        .limit(limit)
    )
    return [_entry(row) for row in (await conn.execute(statement)).mappings()]


async def position_at(conn: AsyncConnection, at: dt.datetime) -> int:
    """Give the first position whose entry was recorded after `at`; one past the end without any.

    Found by halving: positions and times rise together, and times have no index.
    """
    newest = sa.select(sa.func.coalesce(sa.func.max(entries.c.position), 0))
    low, high = 1, int((await conn.execute(newest)).scalar_one()) + 1
    while low < high:
        middle = (low + high) // 2
        statement = (
            sa.select(entries.c.position, entries.c.recorded_at)
            .where(entries.c.position >= middle)
            .order_by(entries.c.position)
            .limit(1)
        )
        row = (await conn.execute(statement)).one_or_none()
        if row is None or row[1] > at:
            high = middle
        else:
            low = row[0] + 1
    return low


async def _top(conn: AsyncConnection, wanted: Wanted) -> int:
    if wanted.until is not None and not wanted.is_led_by_an_index:
        return await position_at(conn, wanted.until)
    newest = sa.select(sa.func.coalesce(sa.func.max(entries.c.position), 0))
    return int((await conn.execute(newest)).scalar_one()) + 1


async def _may_hold(conn: AsyncConnection, wanted: Wanted, floor: int) -> bool:
    """Say whether anything at or before a position can still be as young as what is wanted."""
    if wanted.since is None:
        return True
    statement = (
        sa.select(entries.c.recorded_at)
        .where(entries.c.position <= floor)
        .order_by(entries.c.position.desc())
        .limit(1)
    )
    at = (await conn.execute(statement)).scalar_one_or_none()
    return at is not None and at >= wanted.since


def _about(conn: AsyncConnection, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.incident_id:
        found.append(entries.c.incident_id == wanted.incident_id)
    if wanted.types:
        found.append(entries.c.type.in_(sorted(wanted.types)))
    if wanted.begins:
        found.append(entries.c.type.startswith(wanted.begins, autoescape=True))
    if wanted.mentions:
        found.append(_mentions(conn, wanted.mentions))
    if wanted.index is not None:
        found.append(entries.c.index == wanted.index)
    if wanted.since is not None:
        found.append(entries.c.recorded_at >= wanted.since)
    if wanted.until is not None:
        found.append(entries.c.recorded_at <= wanted.until)
    return found


def _mentions(conn: AsyncConnection, text: str) -> sa.ColumnElement[bool]:
    """Select entries whose body holds a JSON string: bytes in bytes, which each database has."""
    sought = sa.literal(json.dumps(text).encode(), sa.LargeBinary)
    if conn.dialect.name == "sqlite":
        return sa.func.instr(entries.c.body, sought) > 0
    return sa.func.position(sought.op("IN")(entries.c.body)) > 0


def _entry(row: sa.RowMapping) -> LedgerEntry:
    return LedgerEntry(
        position=row["position"],
        index=row["index"],
        id=EntryId(row["id"]),
        type=row["type"],
        incident_id=row["incident_id"],
        data=json.loads(row["body"])["data"],
        recorded_at=row["recorded_at"],
        sequenced_at=row["sequenced_at"],
        leaf_hash=row["leaf_hash"],
    )
