"""The ledger's rows, appended in the business transaction and indexed by the sequencer."""

import datetime as dt
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.canonical import canonical
from noticebus.ids import EntryId, IncidentId, ObligationId, new_entry_id
from noticebus.records import lean
from noticebus.store.counters import columns_of
from noticebus.store.hot import Rows, insert_all
from noticebus.store.tables import entries, obligation_history

SALT_BYTES = 16
LEAF_PREFIX = b"\x00"  # RFC 6962, section 2.1: leaves and nodes are hashed apart


@lean
class Entry:
    """One fact for the ledger. `body` holds only JSON values and never personal data."""

    id: EntryId
    type: str
    incident_id: IncidentId | None
    body: Mapping[str, Any]
    recorded_at: dt.datetime


@lean
class Recorded:
    """An entry as it was stored: its id and the RFC 6962 hash of its salted RFC 8785 bytes."""

    id: EntryId
    leaf_hash: bytes


@lean
class History:
    """What an obligation is from `entry_id` on, whole."""

    obligation_id: ObligationId
    entry_id: EntryId
    facts: Mapping[str, Any]


def make_entry(
    type_: str, body: Mapping[str, Any], *, at: dt.datetime, incident_id: IncidentId | None = None
) -> Entry:
    """Make an entry with a fresh id."""
    return Entry(id=new_entry_id(), type=type_, incident_id=incident_id, body=body, recorded_at=at)


async def append(conn: AsyncConnection, new: Sequence[Entry]) -> list[Recorded]:
    """Append `new` in order, in the caller's transaction.

    The sequencer indexes them after the commit.
    """
    rows, recorded = entry_rows(new)
    await insert_all(conn, [rows])
    return recorded


def entry_rows(new: Sequence[Entry]) -> tuple[Rows, list[Recorded]]:
    """Write `new` down: their rows, to be inserted in this order, and what is recorded by them."""
    rows, recorded = [], []
    salts = secrets.token_bytes(SALT_BYTES * len(new))
    for number, entry in enumerate(new):
        body = canonical(
            {
                "id": entry.id,
                "type": entry.type,
                "incident_id": entry.incident_id,
                "recorded_at": entry.recorded_at.isoformat(),
                "data": entry.body,
            }
        )
        salt = salts[SALT_BYTES * number : SALT_BYTES * (number + 1)]
        leaf_hash = hashlib.sha256(LEAF_PREFIX + salt + body).digest()
        rows.append(
            {
                "id": entry.id,
                "type": entry.type,
                "incident_id": entry.incident_id,
                "body": body,
                "salt": salt,
                "leaf_hash": leaf_hash,
                "recorded_at": entry.recorded_at,
            }
        )
        recorded.append(Recorded(id=entry.id, leaf_hash=leaf_hash))
    return (entries, rows), recorded


async def entry_of_acknowledgement(
    conn: AsyncConnection, *, obligation_id: ObligationId, acknowledgement_id: str
) -> Recorded | None:
    """Find the entry that recorded an answer, for the receipt of its repeat."""
    statement = (
        sa.select(entries.c.id, entries.c.leaf_hash, entries.c.body)
        .join(obligation_history, obligation_history.c.entry_id == entries.c.id)
        .where(
            obligation_history.c.obligation_id == obligation_id,
            entries.c.type == "acknowledgement.recorded",
        )
        .order_by(entries.c.position.desc())
    )
    for id_, leaf_hash, body in await conn.execute(statement):
        if json.loads(body)["data"]["acknowledgement_id"] == acknowledgement_id:
            return Recorded(id=EntryId(id_), leaf_hash=leaf_hash)
    return None


async def append_history(conn: AsyncConnection, new: Sequence[History]) -> None:
    """Store what obligations have become, each under the entry that made it so."""
    await insert_all(conn, [history_rows(new)])


def history_rows(new: Sequence[History]) -> Rows:
    """Write down what obligations have become."""
    rows = [
        {
            "obligation_id": one.obligation_id,
            "entry_id": one.entry_id,
            "facts": one.facts,
            **columns_of(one.facts),
        }
        for one in new
    ]
    return obligation_history, rows


async def newest_index(conn: AsyncConnection) -> int:
    """Give the greatest index sequenced so far, -1 where there is none: what a report stands on."""
    statement = sa.select(sa.func.coalesce(sa.func.max(entries.c.index), -1))
    return int((await conn.execute(statement)).scalar_one())


async def index_at(conn: AsyncConnection, *, at: dt.datetime) -> int:
    """Give the greatest index that had been sequenced by `at`, -1 where there is none.

    What was written before `at` and sequenced later is not in it: a past report never grows.
    """
    statement = sa.select(sa.func.coalesce(sa.func.max(entries.c.index), -1)).where(
        entries.c.sequenced_at <= at, entries.c.index.is_not(None)
    )
    return int((await conn.execute(statement)).scalar_one())
