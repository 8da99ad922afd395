"""The rows that the report's measure makes by SQL are those that the product would write."""

import datetime as dt
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from bench import report_counters, report_filling
from bench.progress import Progress

from harness import desk as furnish
from harness import owing, tables
from noticebus.casework.desk import Desk
from noticebus.casework.recount import audit_part
from noticebus.casework.recounting import recount
from noticebus.contracts.vocabulary import NoticeClass, ObligationState, Standing, Status
from noticebus.domain.tallies import Counted
from noticebus.ids import new_obligation_id
from noticebus.store import obligations as stored
from noticebus.store.counters import columns_of
from noticebus.store.obligations import Obligation, facts_of
from noticebus.store.tables import entries, obligation_history, obligations
from noticebus.store.tables import report_counters as kept

OPEN = 3_000
SECOND = dt.timedelta(seconds=1)
INSTANT = dt.timedelta(microseconds=1)
TOLD = ("counted", "notice_class", "due_minute", "took")
_SCHEMA = """
    SELECT 'index' AS kind, CAST(indexrelid AS regclass)::text AS name,
        pg_get_indexdef(indexrelid) || ' ' || indisvalid AS definition
    FROM pg_index JOIN pg_class ON oid = indrelid
    WHERE relnamespace = CAST('public' AS regnamespace)
    UNION ALL
    SELECT 'constraint', conrelid || conname, pg_get_constraintdef(oid) || convalidated
    FROM pg_constraint WHERE connamespace = CAST('public' AS regnamespace)
    UNION ALL
    SELECT 'table', relname, concat_ws(' ', relkind, relpersistence, ARRAY(
        SELECT option_name || '=' || option_value FROM pg_options_to_table(reloptions) ORDER BY 1))
    FROM pg_class WHERE relnamespace = CAST('public' AS regnamespace)
    ORDER BY 1, 2
"""


@pytest.fixture(params=["postgresql"])
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """Lend a desk over an empty database of its own: what it knows of its rows is nobody else's."""
    async with (
        tables.fresh_on_postgresql() as url,
        furnish.open_desk(tmp_path, url=url) as opened,
    ):
        yield opened


async def rows(desk: Desk, statement: sa.Select[Any] | sa.TextClause) -> list[tuple[Any, ...]]:
    async with desk.database.read() as conn:
        return [tuple(row) for row in await conn.execute(statement)]


async def counters_of(desk: Desk) -> list[tuple[Any, ...]]:
    return await rows(desk, sa.select(kept).order_by(*kept.primary_key))


async def lines_of(desk: Desk) -> list[tuple[Any, ...]]:
    """Read what each line of the history says it counts as."""
    line = obligation_history.c
    return await rows(
        desk, sa.select(line.position, *(line[name] for name in TOLD)).order_by(line.position)
    )


async def test_counters_by_sql_are_those_of_a_recount(desk: Desk) -> None:
    await report_filling.fill(desk, open_count=OPEN, progress=Progress())
    counters, lines = await counters_of(desk), await lines_of(desk)
    async with desk.database.begin() as conn:
        await conn.execute(sa.delete(kept))
        await conn.execute(sa.update(obligation_history).values(dict.fromkeys(TOLD)))

    recounted = await recount(desk.database)

    assert await counters_of(desk) == counters
    assert await lines_of(desk) == lines
    assert recounted is not None
    assert (recounted.lines, recounted.counters) == (len(lines), len(counters))
    assert {row[0] for row in counters} == {Status.ACTUAL, Status.EXERCISE}
    assert {row[1] for row in counters} == {0, 1, 2}
    assert {row[4] for row in counters} == set(NoticeClass)
    assert {row[5] for row in counters} == set(Counted)
    assert len({row[6] for row in counters}) > 100, "many a time to close"


async def test_auditor_finds_counters_and_rows_to_agree(desk: Desk) -> None:
    await report_filling.fill(desk, open_count=OPEN, progress=Progress())

    assert (await audit_part(desk.database, cursor="counters:")).findings == []
    async with desk.database.read() as conn:
        assert await report_counters.count_open(conn) == pytest.approx(OPEN, rel=0.03)


async def test_history_says_how_each_row_stands_from_its_entry_on(desk: Desk) -> None:
    await report_filling.fill(desk, open_count=OPEN, progress=Progress())
    line = obligation_history.c
    lines = await rows(
        desk,
        sa.select(line.obligation_id, line.facts, line.from_index, line.to_index, entries.c.index)
        .select_from(obligation_history)
        .join(entries, entries.c.id == line.entry_id),
    )
    async with desk.database.read() as conn:
        found = (await conn.execute(sa.select(obligations))).mappings().all()
    owed = {row["id"]: facts_of(Obligation(**row)) for row in found}

    assert len(lines) == len(owed)
    for obligation_id, facts, from_index, to_index, index in lines:
        assert read(facts) == read(orjson.loads(orjson.dumps(owed[obligation_id])))
        assert (from_index, to_index) == (index, None)


def read(facts: dict[str, Any]) -> dict[str, Any]:
    """Read the instants of a line: PostgreSQL leaves their last noughts out."""
    return {
        name: dt.datetime.fromisoformat(value)
        if value is not None and name.endswith(("_at", "_until")) and isinstance(value, str)
        else value
        for name, value in facts.items()
    }


async def test_filling_leaves_every_index_constraint_and_option_as_it_was(desk: Desk) -> None:
    before = await rows(desk, sa.text(_SCHEMA))

    await report_filling.fill(desk, open_count=500, progress=Progress())

    assert await rows(desk, sa.text(_SCHEMA)) == before
    async with desk.database.read() as conn:
        assert not await report_filling.is_half_filled(conn)


async def test_filling_that_failed_is_known(desk: Desk) -> None:
    class FullError(Exception):
        pass

    class Full(Progress):
        def say(self, text: str) -> None:
            if text.startswith("indexes"):
                raise FullError

    with pytest.raises(FullError):
        await report_filling.fill(desk, open_count=500, progress=Full())

    async with desk.database.read() as conn:
        assert await report_filling.is_half_filled(conn)


def edges(like: Obligation) -> Iterator[Obligation]:
    """Give every state and standing, with instants where a minute or a bucket begins and ends."""
    started = like.created_at.replace(second=0, microsecond=0)
    hour = started.replace(minute=0) + dt.timedelta(hours=1)
    dues = (None, started, hour - INSTANT, hour, hour + INSTANT, hour + dt.timedelta(days=9000))
    seconds = (0, 1, 63, 64, 65, 127, 128, 4095, 4096, 2**21 - 1, 2**21)
    closings: Sequence[dt.datetime | None] = (
        None,
        started - 5 * SECOND,
        *(started + one * SECOND - INSTANT for one in seconds),
        *(started + one * SECOND for one in seconds),
        hour - INSTANT,
        hour,
        hour + INSTANT,
    )
    cases = itertools.product(ObligationState, Standing, dues, closings, (started, None))
    for number, (state, standing, due_at, closed_at, started_at) in enumerate(cases):
        yield replace(
            like,
            id=new_obligation_id(),
            owed_for=str(number),
            state=state,
            standing=standing,
            due_at=due_at,
            closed_at=closed_at,
            round_started_at=started_at,
        )


async def test_line_counts_by_sql_as_it_does_by_the_rules(desk: Desk) -> None:
    like = (await owing.make_prototype(desk)).owed
    owed = {one.id: one for one in edges(like)}
    async with desk.database.begin() as conn:
        await stored.insert_obligations(conn, list(owed.values()))

    lines = report_counters.counted_lines(("id",), where="owed_for <> ''")
    statement = f"SELECT id, counted, counted_class, due_minute, took FROM {lines} AS o"  # noqa: S608 - names of ours
    told = await rows(desk, sa.text(statement))

    assert len(told) == len(owed) > 3_000
    for obligation_id, *counts in told:
        one = owed[obligation_id]
        assert dict(zip(TOLD, counts, strict=True)) == columns_of(facts_of(one)), one
