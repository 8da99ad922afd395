"""The auditor's own statements: what rows and ledger say, recounted without the engine's code.

Nothing here is shared with claiming, stepping or reporting. A quick look reads partial indexes and
a bounded set of incidents; a full audit asks the same of every incident, a few at a time.
"""

import datetime as dt
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.contracts.vocabulary import (
    ExerciseState,
    NoticeState,
    ObligationState,
    OfferState,
)
from noticebus.store.tables import (
    deliveries,
    entries,
    exercises,
    incidents,
    markers,
    notices,
    obligation_history,
    obligations,
    offers,
    steps,
)

COUNT_MAX = 1_000  # beyond it a finding says "at least"
NEWEST_MAX = 1_000  # how many of the newest indexes a quick look counts
STEPPED = "escalation.stepped"

States = Mapping[str, Mapping[str, int]]  # by incident, then by state: how many obligations


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """What should have been done by now: how many (at most `COUNT_MAX`), which, since when."""

    ids: Sequence[str]
    since: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One entry as it stands in the ledger, for hashing it again."""

    id: str
    index: int
    salt: bytes
    body: bytes
    leaf_hash: bytes


async def lock_marker(conn: AsyncConnection, name: str) -> str | None:
    """Lock and read one marker, None where it was never set."""
    statement = sa.select(markers.c.value).where(markers.c.name == name).with_for_update()
    found: str | None = (await conn.execute(statement)).scalar_one_or_none()
    return found


async def late_steps(conn: AsyncConnection, *, before: dt.datetime) -> Late:
    """Find open obligations whose next step was due before `before`, longest due first.

    Only open ones: no engine fires a step once an answer has stopped the clock (I5).
    """
    at = obligations.c.next_step_at
    waiting = obligations.c.state == ObligationState.OPEN
    return await _late(conn, sa.select(obligations.c.id, at).where(waiting, at < before), at)


async def late_releases(conn: AsyncConnection, *, before: dt.datetime) -> Late:
    """Find embargoed notices that were to be released before `before`, longest due first."""
    at = notices.c.release_at
    waiting = notices.c.state == sa.literal_column(f"'{NoticeState.SCHEDULED}'")
    return await _late(conn, sa.select(notices.c.id, at).where(waiting, at < before), at)


async def late_deliveries(
    conn: AsyncConnection, *, before: dt.datetime, machine_before: dt.datetime
) -> Late:
    """Find deliveries due before `before` (world) whose last hold ended by `machine_before`."""
    at = deliveries.c.due_at
    waiting = sa.select(deliveries.c.id, at).where(
        at.is_not(None), at < before, deliveries.c.lease_until < machine_before
    )
    return await _late(conn, waiting, at)


async def late_ends(conn: AsyncConnection, *, before: dt.datetime) -> Late:
    """Find exercises and offers that were to end before `before`, and holds, longest due first."""
    running = exercises.c.state == sa.literal_column(f"'{ExerciseState.SCHEDULED}'")
    living: list[sa.ColumnElement[str]] = [
        sa.literal_column(f"'{one}'") for one in (OfferState.OPEN, OfferState.HELD)
    ]
    held = offers.c.state == OfferState.HELD
    ends = sa.case((held, offers.c.held_until), else_=offers.c.lapses_at)
    ending = sa.union_all(
        sa.select(exercises.c.id, exercises.c.ends_at.label("at")).where(running),
        sa.select(offers.c.id, ends.label("at")).where(offers.c.state.in_(living)),
    ).subquery()
    late = sa.select(ending.c.id, ending.c.at).where(ending.c.at < before)
    return await _late(conn, late, ending.c.at)


async def late_entries(conn: AsyncConnection, *, before: dt.datetime) -> Late:
    """Find entries recorded before `before` that have no index yet, in insert order."""
    waiting = sa.select(entries.c.id, entries.c.recorded_at).where(
        entries.c.index.is_(None), entries.c.recorded_at < before
    )
    return await _late(conn, waiting, entries.c.position)


async def _late(
    conn: AsyncConnection, waiting: sa.Select[Any], order: sa.ColumnElement[Any]
) -> Late:
    found = (await conn.execute(waiting.order_by(order).limit(COUNT_MAX))).all()
    return Late(ids=[row[0] for row in found], since=found[0][1] if found else None)


async def newest_indexes(conn: AsyncConnection) -> tuple[int, int]:
    """Give the greatest index (-1 for none), and how many of the newest `NEWEST_MAX` there are."""
    newest = sa.select(sa.func.coalesce(sa.func.max(entries.c.index), -1)).scalar_subquery()
    statement = sa.select(newest, sa.func.count()).where(entries.c.index > newest - NEWEST_MAX)
    row = (await conn.execute(statement)).one()
    return int(row[0]), int(row[1])


async def incidents_entered(
    conn: AsyncConnection, *, after_index: int, limit: int
) -> list[tuple[int, str | None]]:
    """Read which incidents the `limit` entries after `after_index` are about, in their order."""
    statement = (
        sa.select(entries.c.index, entries.c.incident_id)
        .where(entries.c.index > after_index)
        .order_by(entries.c.index)
        .limit(limit)
    )
    return [(row[0], row[1]) for row in await conn.execute(statement)]


async def incidents_after(conn: AsyncConnection, *, after: str, limit: int) -> list[str]:
    """Read `limit` incidents in id order, from beyond `after`."""
    statement = (
        sa.select(incidents.c.id)
        .where(incidents.c.id > after)
        .order_by(incidents.c.id)
        .limit(limit)
    )
    return list((await conn.execute(statement)).scalars())


async def count_incidents(conn: AsyncConnection) -> int:
    """Count the incidents, for showing how far a full audit has come."""
    return int((await conn.execute(sa.select(sa.func.count()).select_from(incidents))).scalar_one())


async def states_in_rows(conn: AsyncConnection, incident_ids: Collection[str]) -> States:
    """Count obligations by incident and state, as their rows say."""
    statement = (
        sa.select(
            obligations.c.incident_id, sa.type_coerce(obligations.c.state, sa.Text), sa.func.count()
        )
        .where(obligations.c.incident_id.in_(sorted(incident_ids)))
        .group_by(obligations.c.incident_id, obligations.c.state)
    )
    return _by_incident((await conn.execute(statement)).all())


async def states_in_ledger(conn: AsyncConnection, incident_ids: Collection[str]) -> States:
    """Count obligations by incident and state, as the last entry about each of them left it."""
    newest_first = sa.func.row_number().over(
        partition_by=obligation_history.c.obligation_id,
        order_by=obligation_history.c.position.desc(),
    )
    told = (
        sa.select(
            entries.c.incident_id,
            _fact(conn, "state").as_string().label("state"),
            newest_first.label("age"),
        )
        .join(obligation_history, obligation_history.c.entry_id == entries.c.id)
        .where(entries.c.incident_id.in_(sorted(incident_ids)))
        .subquery()
    )
    statement = (
        sa.select(told.c.incident_id, told.c.state, sa.func.count())
        .where(told.c.age == 1)
        .group_by(told.c.incident_id, told.c.state)
    )
    return _by_incident((await conn.execute(statement)).all())


def _by_incident(rows: Sequence[Sequence[Any]]) -> States:
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row[0], {})[str(row[1])] = row[2]
    return found


async def ids_in_rows(
    conn: AsyncConnection, incident_ids: Collection[str]
) -> list[tuple[str, str]]:
    """Read the obligations of incidents: incident and id."""
    statement = sa.select(obligations.c.incident_id, obligations.c.id).where(
        obligations.c.incident_id.in_(sorted(incident_ids))
    )
    return [(row[0], row[1]) for row in await conn.execute(statement)]


async def bodies_of(
    conn: AsyncConnection, incident_ids: Collection[str]
) -> AsyncIterator[tuple[str, bytes]]:
    """Stream the entries about incidents, a row at a time: incident and body."""
    statement = sa.select(entries.c.incident_id, entries.c.body).where(
        entries.c.incident_id.in_(sorted(incident_ids))
    )
    async with conn.stream(statement) as result:
        async for row in result:
            yield row[0], row[1]


async def parked(conn: AsyncConnection, incident_ids: Collection[str]) -> list[tuple[str, str]]:
    """Find open obligations with steps left and no next one: incident and id."""
    planned = sa.func.json_array_length(_json(conn, obligations.c.steps_at))
    statement = sa.select(obligations.c.incident_id, obligations.c.id).where(
        obligations.c.incident_id.in_(sorted(incident_ids)),
        obligations.c.state == ObligationState.OPEN,
        obligations.c.next_step_at.is_(None),
        planned > obligations.c.step,
    )
    return await _pairs(conn, statement)


async def stepped_after_end(
    conn: AsyncConnection, incident_ids: Collection[str]
) -> list[tuple[str, str]]:
    """Find obligations that took a step, in the ledger's order, in a round that had ended (I5)."""
    state, epoch = _fact(conn, "state").as_string(), _fact(conn, "epoch").as_integer()
    lines = (
        sa.select(
            entries.c.incident_id,
            entries.c.type,
            obligation_history.c.obligation_id,
            epoch.label("epoch"),
            _before(state).label("state_before"),
            _before(epoch).label("epoch_before"),
        )
        .join(obligation_history, obligation_history.c.entry_id == entries.c.id)
        .where(entries.c.incident_id.in_(sorted(incident_ids)))
        .subquery()
    )
    statement = (
        sa.select(lines.c.incident_id, lines.c.obligation_id)
        .where(
            lines.c.type == STEPPED,
            lines.c.state_before != ObligationState.OPEN.value,
            lines.c.epoch_before == lines.c.epoch,
        )
        .distinct()
    )
    return await _pairs(conn, statement)


def _before(fact: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Name a fact as the obligation's line before said it."""
    return sa.func.lag(fact).over(
        partition_by=obligation_history.c.obligation_id, order_by=obligation_history.c.position
    )


async def fired_after_end(
    conn: AsyncConnection, incident_ids: Collection[str], *, tolerance: dt.timedelta
) -> list[tuple[str, str]]:
    """Find ended obligations with a step row of their last round later than their end (I5).

    `tolerance` is how far the clocks of two processes may be apart.
    """
    statement = (
        sa.select(
            obligations.c.incident_id, obligations.c.id, obligations.c.closed_at, steps.c.fired_at
        )
        .join(steps, steps.c.obligation_id == obligations.c.id)
        .where(
            obligations.c.incident_id.in_(sorted(incident_ids)),
            obligations.c.state != ObligationState.OPEN,
            steps.c.epoch == obligations.c.epoch,
            steps.c.fired_at > obligations.c.closed_at,
        )
        .order_by(obligations.c.id)
        .limit(COUNT_MAX)
    )
    rows = (await conn.execute(statement)).all()
    return sorted({(row[0], row[1]) for row in rows if row[3] - row[2] > tolerance})


async def stepped_twice(
    conn: AsyncConnection, incident_ids: Collection[str]
) -> list[tuple[str, str]]:
    """Find obligations with two rows for one step: the key forbids it, and is counted anyway."""
    statement = (
        sa.select(obligations.c.incident_id, obligations.c.id)
        .join(steps, steps.c.obligation_id == obligations.c.id)
        .where(obligations.c.incident_id.in_(sorted(incident_ids)))
        .group_by(obligations.c.incident_id, obligations.c.id, steps.c.epoch, steps.c.step)
        .having(sa.func.count() > 1)
    )
    return await _pairs(conn, statement)


async def _pairs(conn: AsyncConnection, statement: sa.Select[Any]) -> list[tuple[str, str]]:
    found = (await conn.execute(statement.limit(COUNT_MAX))).all()
    return sorted({(row[0], row[1]) for row in found})


async def leaves_after(conn: AsyncConnection, *, after_index: int, limit: int) -> list[Leaf]:
    """Read `limit` entries in index order, from beyond `after_index`."""
    statement = (
        sa.select(
            entries.c.id, entries.c.index, entries.c.salt, entries.c.body, entries.c.leaf_hash
        )
        .where(entries.c.index > after_index)
        .order_by(entries.c.index)
        .limit(limit)
    )
    return [Leaf(**row) for row in (await conn.execute(statement)).mappings()]


def _fact(conn: AsyncConnection, name: str) -> Any:
    """Name one fact of a history line, whose JSON is stored as text."""
    return _json(conn, obligation_history.c.facts)[name]


def _json(conn: AsyncConnection, column: sa.ColumnElement[Any]) -> Any:
    """Read a column of JSON text as JSON: PostgreSQL wants a cast, SQLite reads text as it is."""
    if conn.dialect.name == "sqlite":
        return sa.type_coerce(column, sa.JSON)
    return sa.cast(column, sa.JSON)
