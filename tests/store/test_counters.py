"""The report's counters say what counting says, whatever happens in which order."""

import datetime as dt
import random
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from harness import desk as furnish
from harness.statements import statements_of
from noticebus.casework import report_figures
from noticebus.casework.desk import Desk
from noticebus.casework.recount import audit_part
from noticebus.casework.recounting import recount, tend_counters
from noticebus.contracts.audit import Check
from noticebus.contracts.report import Age
from noticebus.contracts.vocabulary import (
    AgencyKind,
    NoticeClass,
    ObligationState,
    Standing,
    Status,
)
from noticebus.domain.tallies import minute_of
from noticebus.ids import new_obligation_id
from noticebus.ledger.sequencer import Sequencer
from noticebus.store import (
    counters,
    ledger,
    obligations,
    recounting,
    report_beside,
    reports,
)
from noticebus.store.ledger import History
from noticebus.store.obligations import Obligation, facts_of
from noticebus.store.report_scoped import Narrowed, read_scoped
from noticebus.store.reports import Scope
from noticebus.store.tables import incidents, markers, obligation_history, report_counters

MINUTE = dt.timedelta(minutes=1)
SCOPES = (
    Scope(status=Status.ACTUAL),
    Scope(status=Status.EXERCISE),
    Scope(status=Status.ACTUAL, kind=AgencyKind.FAITH, notice_class=NoticeClass.A),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A desk with one notice and agencies of two kinds, each owing several answers to it."""

    desk: Desk
    owed: list[Obligation]


async def make_stage(desk: Desk, *, count: int) -> Stage:
    poster = await furnish.add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    kinds = (AgencyKind.CPS, AgencyKind.FAITH)
    who = [await furnish.add_agency(desk, f"Agency {kind}", kind=kind) for kind in kinds]
    who.append(poster)
    notice = await furnish.post_notice(desk, poster, body=furnish.notice_body(desk))
    like = await furnish.obligation_of(desk, notice, who[0].id)
    owed = [
        replace(
            like,
            id=new_obligation_id(),
            agency_id=who[number % len(who)].id,
            owed_for=str(number),
            status=Status.EXERCISE if number % 5 == 0 else Status.ACTUAL,
        )
        for number in range(count)
    ]
    async with desk.database.begin() as conn:
        await obligations.insert_obligations(conn, owed)
        await enter(conn, owed, desk)
    return Stage(desk=desk, owed=owed)


async def enter(conn: AsyncConnection, changed: list[Obligation], desk: Desk) -> None:
    """Enter what obligations have become, all under one entry."""
    entry = ledger.make_entry("obligation.changed", {}, at=desk.world.now())
    await ledger.append(conn, [entry])
    await ledger.append_history(
        conn,
        [History(obligation_id=one.id, entry_id=entry.id, facts=facts_of(one)) for one in changed],
    )


async def become(stage: Stage, number: int, **changes: Any) -> None:
    """Let an obligation be something else, row and history in one transaction."""
    async with stage.desk.database.begin() as conn:
        (before,) = await obligations.lock_obligations(conn, ids=[stage.owed[number].id])
        after = replace(before, **changes)
        await obligations.save_all(conn, [after])
        await enter(conn, [after], stage.desk)


def drawn(draw: random.Random, now: dt.datetime) -> dict[str, Any]:
    """Draw what an obligation may become: any state, due before, about and after `now`."""
    state = draw.choice(list(ObligationState))
    started = now - draw.choice((5, 90, 3000, 90_000)) * dt.timedelta(seconds=draw.random())
    near = draw.choice((dt.timedelta(seconds=20), MINUTE * 3, MINUTE * 200, MINUTE * 5000))
    due = draw.choice((None, *[now + near * (draw.random() - 0.5) for _ in range(5)]))
    return {
        "state": state,
        "standing": draw.choice((Standing.MANDATORY, Standing.MANDATORY, Standing.ADVISORY)),
        "notice_class": draw.choice((NoticeClass.A, NoticeClass.C)),
        "round_started_at": draw.choice((None, *[started] * 9)),
        "due_at": due,
        "closed_at": None if state is ObligationState.OPEN else now - draw.random() * near,
        "reachable": draw.random() < 0.8,
        "step": draw.randrange(5),
    }


async def assert_counted(desk: Desk, now: dt.datetime) -> None:
    """Compare every figure with what counting the rows says, within one snapshot."""
    async with desk.database.read() as conn:
        for scope in SCOPES:
            assert await report_figures.sort_of(conn, scope) is not None
            counted = await reports.count(conn, scope, now=now)
            figures = await report_figures.read_figures(conn, scope, now=now)
            assert (figures.open, figures.overdue, figures.due, figures.closed_within) == (
                counted.open,
                counted.overdue,
                counted.due,
                counted.closed_within,
            )
            assert figures.oldest_due_at == counted.oldest_due_at
            for percent, said in ((50, figures.p50), (90, figures.p90)):
                assert said == await reports.time_to_close_at(
                    conn, scope, counted=counted, percent=percent, now=now
                )
            assert await report_figures.count_ages(conn, scope, now=now) == (
                await reports.count_ages(conn, scope, now=now)
            )
            left_out = await report_figures.count_left_out(conn, scope, now=now)
            assert (
                left_out.waived == (await report_beside.count_left_out(conn, scope, now=now)).waived
            )


async def assert_scoped(stage: Stage, now: dt.datetime) -> None:
    """Compare what one statement says of an area, an agency and a poster with each by itself."""
    some = Scope(status=Status.ACTUAL)
    cps, faith = stage.owed[0].agency_id, stage.owed[1].agency_id
    async with stage.desk.database.read() as conn:
        poster = (await conn.execute(sa.select(incidents.c.agency_id))).scalar_one()
        for scope in (
            replace(some, area_key="state:28"),
            replace(some, area_key="state:28", kind=AgencyKind.FAITH, agency_id=faith),
            replace(some, area_key="state:01"),
            replace(some, agency_id=cps, notice_class=NoticeClass.A),
            replace(some, agency_id=cps, posted=True),
            replace(some, agency_id=poster, posted=True),
        ):
            await assert_read_once(conn, scope, now)


async def assert_read_once(conn: AsyncConnection, scope: Scope, now: dt.datetime) -> None:
    """Compare figures, and three lines after three lines of every filter."""
    silent_for = await report_beside.shortest_silence(conn, scope, now=now)
    narrowed = Narrowed(overdue=None, age=None, after=None, limit=3, ranked_at=now)
    for overdue, age in ((None, None), (True, None), (False, None), (None, Age.LATE)):
        after: reports.Place | None = None
        while True:
            narrowed = replace(narrowed, overdue=overdue, age=age, after=after)
            found = await read_scoped(conn, scope, narrowed, now=now)
            assert found.lines == await reports.open_lines(
                conn, scope, overdue=overdue, age=age, now=now, after=after, limit=3
            )
            if not found.lines:
                break
            after = reports.place_of(found.lines[-1], now=now)
        assert found.counts == await reports.count(conn, scope, now=now)
        assert (found.p50, found.p90) == tuple(
            [
                await reports.time_to_close_at(
                    conn, scope, counted=found.counts, percent=percent, now=now
                )
                for percent in (50, 90)
            ]
        )
        assert found.ages == await reports.count_ages(conn, scope, now=now)
        assert found.waived == (await report_beside.count_left_out(conn, scope, now=now)).waived
        silent = found.silent_since
        assert silent_for == (None if silent is None else now - silent)


@pytest.mark.parametrize("seed", range(3))
async def test_counters_say_what_counting_says_whatever_happens(desk: Desk, seed: int) -> None:
    """Changes, batches of the sequencer and the passing of time, mixed at random."""
    draw = random.Random(seed)
    stage = await make_stage(desk, count=12)
    world, sequencer = furnish.world(desk), Sequencer(desk)
    for _ in range(8):
        for _ in range(draw.randrange(7)):
            await become(stage, draw.randrange(12), **drawn(draw, desk.world.now()))
        if draw.random() < 0.6:
            await sequencer.sweep()
        if draw.random() < 0.5:
            await assert_counted(desk, desk.world.now())
        world.advance(dt.timedelta(seconds=draw.choice((0.0, 7.3, 61.0, 4000.0))))
        await assert_counted(desk, desk.world.now())
    await assert_scoped(stage, desk.world.now())


async def told(desk: Desk) -> dict[tuple[object, ...], int]:
    """Read every counter that counts something."""
    async with desk.database.read() as conn:
        rows = await conn.execute(sa.select(report_counters).where(report_counters.c.n != 0))
        return {tuple(row[:-1]): row[-1] for row in rows}


async def test_counting_anew_gives_what_the_sequencer_had_counted(desk: Desk) -> None:
    """Lines from before an upgrade say nothing of what they count as: that is mended as well."""
    draw = random.Random(1)
    stage = await make_stage(desk, count=8)
    for number in range(8):
        await become(stage, number, **drawn(draw, desk.world.now()))
    await Sequencer(desk).sweep()
    await become(stage, 0, **drawn(draw, desk.world.now()))  # has no index, and is not counted
    before = await told(desk)
    async with desk.database.begin() as conn:
        await conn.execute(sa.update(obligation_history).values(counted=None, due_minute=1))
        await conn.execute(sa.update(report_counters).values(n=report_counters.c.n + 1))
        await conn.execute(markers.insert(), {"name": counters.STALE, "value": "test"})

    recounted = await recount(desk.database)
    assert recounted is not None
    again = await recount(desk.database)
    assert again is not None

    assert await told(desk) == before
    assert recounted.mended
    assert (again.mended, again.counters) == (0, len(before))
    async with desk.database.read() as conn:
        assert not await counters.are_stale(conn)


async def test_stale_counters_are_not_read(desk: Desk) -> None:
    await make_stage(desk, count=3)
    await Sequencer(desk).sweep()
    scope = Scope(status=Status.ACTUAL)
    async with desk.database.begin() as conn:
        await conn.execute(sa.delete(report_counters))
        await conn.execute(markers.insert(), {"name": counters.STALE, "value": "test"})

    async with desk.database.read() as conn:
        figures = await report_figures.read_figures(conn, scope, now=desk.world.now())
        counted = await reports.count(conn, scope, now=desk.world.now())

    assert figures.open == counted.open > 0


async def test_a_batch_without_history_costs_the_counters_nothing(desk: Desk) -> None:
    """One more statement where an obligation has changed, none where none has."""
    stage = await make_stage(desk, count=3)
    await Sequencer(desk).sweep()
    async with desk.database.begin() as conn:
        await ledger.append(conn, [ledger.make_entry("agency.changed", {}, at=desk.world.now())])
    with statements_of(desk) as quiet:
        await Sequencer(desk).sweep()
    await become(stage, 0, state=ObligationState.CLOSED, closed_at=desk.world.now())
    with statements_of(desk) as busy:
        await Sequencer(desk).sweep()

    assert [one for one in quiet if "report_counters" in one] == []
    assert len([one for one in busy if "report_counters" in one]) == 1


async def test_counters_that_came_to_nothing_are_dropped_once_their_time_has_passed(
    desk: Desk,
) -> None:
    stage = await make_stage(desk, count=4)
    await Sequencer(desk).sweep()
    for number in range(4):
        await become(stage, number, state=ObligationState.CLOSED, closed_at=desk.world.now())
    await Sequencer(desk).sweep()
    furnish.world(desk).advance(dt.timedelta(days=3))
    before = await told(desk)

    async with desk.database.begin() as conn:
        gone = await recounting.drop_empty(conn, before_minute=minute_of(desk.world.now()))

    assert gone
    assert await told(desk) == before
    await assert_counted(desk, desk.world.now())


async def audited(desk: Desk) -> dict[str, tuple[str, ...]]:
    """Make the last part of a full audit; give what it found."""
    part = await audit_part(desk.database, cursor="counters:")
    assert part.next is None
    return {one.check: one.ids for one in part.findings}


async def test_auditor_agrees_with_counters_whatever_waits_for_its_index(desk: Desk) -> None:
    draw = random.Random(5)
    stage = await make_stage(desk, count=10)
    await Sequencer(desk).sweep()
    for _ in range(20):
        await become(stage, draw.randrange(10), **drawn(draw, desk.world.now()))
    waiting = await audited(desk)
    await Sequencer(desk).sweep()

    assert waiting == {}
    assert await audited(desk) == {}


@pytest.mark.parametrize("span", [counters.ALL, counters.HOUR, counters.MINUTE])
async def test_auditor_names_a_counter_that_was_changed_until_it_is_counted_anew(
    desk: Desk, span: int
) -> None:
    await make_stage(desk, count=4)
    await Sequencer(desk).sweep()
    changed = report_counters.c.span == span
    async with desk.database.begin() as conn:
        await conn.execute(
            sa.update(report_counters).where(changed).values(n=report_counters.c.n + 1)
        )

    found = await audited(desk)
    await recount(desk.database)

    assert list(found) == [Check.COUNTERS]
    assert any("/cps/" in one for one in found[Check.COUNTERS])
    assert await audited(desk) == {}


async def test_auditor_names_rows_that_were_changed_behind_the_counters_back(desk: Desk) -> None:
    stage = await make_stage(desk, count=4)
    await Sequencer(desk).sweep()
    async with desk.database.begin() as conn:
        before = stage.owed[1]
        await obligations.save_all(conn, [replace(before, state=ObligationState.WAIVED)])

    assert list(await audited(desk)) == [Check.COUNTERS]


async def test_a_process_that_keeps_the_house_counts_what_an_upgrade_left(desk: Desk) -> None:
    await make_stage(desk, count=4)
    await Sequencer(desk).sweep()
    before = await told(desk)
    async with desk.database.begin() as conn:
        await conn.execute(sa.delete(report_counters))
        await conn.execute(markers.insert(), {"name": counters.STALE, "value": "test"})

    await tend_counters(desk)

    assert await told(desk) == before


async def test_the_first_deadline_is_right_where_the_first_hour_was_answered_and_more_fell_due(
    desk: Desk,
) -> None:
    """The answer and what came later have no index yet; what lies between was counted long ago."""
    stage, now = await make_stage(desk, count=5), desk.world.now()
    hours = (9, 6, 3)
    for number, before in zip((1, 2, 3), hours, strict=True):
        due = now - before * dt.timedelta(hours=1)
        started = due - MINUTE
        await become(stage, number, due_at=due, round_started_at=started)
        if before != hours[-1]:
            await Sequencer(desk).sweep()
    await become(stage, 1, state=ObligationState.CLOSED, closed_at=now - 8 * dt.timedelta(hours=1))

    await assert_counted(desk, now)
    async with desk.database.read() as conn:
        figures = await report_figures.read_figures(conn, SCOPES[0], now=now)
    assert figures.oldest_due_at == now - 6 * dt.timedelta(hours=1)
