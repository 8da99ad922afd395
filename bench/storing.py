"""What a recipient leaves in PostgreSQL: rows, bytes and write-ahead log, from post to outcome.

The bus's own code takes notices in, claims their deliveries and records each as delivered; nothing
is sent.
"""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa

from noticebus.bus.port import SHARD_DELIVERIES_MAX
from noticebus.casework import intake, outcomes
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import Draft
from noticebus.casework.intake import Answered
from noticebus.casework.outcomes import Tried
from noticebus.contracts.vocabulary import Outcome
from noticebus.domain.delivery import AttemptResult
from noticebus.ledger.sequencer import Sequencer
from noticebus.store import claims, tables
from noticebus.store.deliveries import Delivery

LEASE = dt.timedelta(seconds=20)
COUNTED = (
    tables.obligations,
    tables.deliveries,
    tables.attempts,
    tables.entries,
    tables.obligation_history,
)
_SIZES = """
    SELECT relname, pg_total_relation_size(oid) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Where the database stands: its log's end, its tables' bytes, how many rows there are."""

    wal: int
    table_bytes: Mapping[str, int]
    rows: Mapping[str, int]


async def measure(desk: Desk, url: str, drafts: Sequence[Draft]) -> dict[str, Any]:
    """Take drafts in and deliver them, the first to warm up; give what each recipient cost."""
    await _carry(desk, drafts[:1])  # what is prepared or kept once, and each table's first pages
    before = await _read(desk, url)
    spent = await _carry(desk, drafts[1:])
    after = await _read(desk, url)
    rows = {name: after.rows[name] - before.rows[name] for name in after.rows}
    recipients = rows["obligations"]
    grown = {name: after.table_bytes[name] - before.table_bytes[name] for name in after.table_bytes}
    return {
        "notices": len(drafts) - 1,
        "recipients": recipients,
        "rows": {name: round(count / recipients, 2) for name, count in rows.items()},
        "stored_bytes": round(sum(grown.values()) / recipients),
        "stored_bytes_of": {
            name: round(grown[name] / recipients)
            for name in sorted(grown, key=lambda one: -grown[one])
            if grown[name] > recipients
        },
        "wal_bytes": round((after.wal - before.wal) / recipients),
        **{f"{name}_us": round(one * 1e6 / recipients, 1) for name, one in spent.items()},
    }


async def _carry(desk: Desk, drafts: Sequence[Draft]) -> dict[str, float]:
    """Post, claim, record and sequence; give the seconds of our CPU for each."""
    spent = dict.fromkeys(("accept", "claim", "record"), 0.0)
    began = time.process_time()
    for draft in drafts:
        (answer,) = await intake.take_in(desk, [draft])
        assert isinstance(answer, Answered), answer
    spent["accept"] = time.process_time() - began
    queued = await _queued(desk)
    for first in range(0, len(queued), SHARD_DELIVERIES_MAX):
        shard = queued[first : first + SHARD_DELIVERIES_MAX]
        began = time.process_time()
        async with desk.database.begin_relaxed() as conn:
            lease_until = desk.machine.now() + LEASE
            claimed = await claims.claim_shard(conn, shard, lease_until=lease_until)
        claimed_by = time.process_time()
        await outcomes.record(desk, [_delivered(desk, one) for one in claimed])
        spent["claim"] += claimed_by - began
        spent["record"] += time.process_time() - claimed_by
    began, waited = time.process_time(), time.perf_counter()
    await Sequencer(desk).sweep()
    spent["sequence"] = time.process_time() - began
    spent["sequence_in_all"] = time.perf_counter() - waited  # one at a time, whoever computes
    return spent


async def _queued(desk: Desk) -> list[Any]:
    waiting = (
        sa.select(tables.deliveries.c.id)
        .where(tables.deliveries.c.state == "queued", tables.deliveries.c.due_at.is_not(None))
        .order_by(tables.deliveries.c.id)
    )
    async with desk.database.read() as conn:
        return list((await conn.execute(waiting)).scalars())


def _delivered(desk: Desk, delivery: Delivery) -> Tried:
    now = desk.world.now()
    result = AttemptResult(
        outcome=Outcome.DELIVERED,
        fault=None,
        status=200,
        body_digest="0" * 64,
        duration=dt.timedelta(milliseconds=5),
    )
    return Tried(delivery=delivery, result=result, started_at=now, finished_at=now, jitter=0.5)


async def _read(desk: Desk, url: str) -> Reading:
    """Look once everything written so far is in its table and its log."""
    plain = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await plain.execute("CHECKPOINT")
        wal = await plain.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        sizes = await plain.fetch(_SIZES)
    finally:
        await plain.close()
    async with desk.database.read() as conn:
        rows = {
            table.name: int(
                (await conn.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
            )
            for table in COUNTED
        }
    return Reading(wal=int(wal), table_bytes={one[0]: one[1] for one in sizes}, rows=rows)
