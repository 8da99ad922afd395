"""The report's counters while everybody writes at once, and a recount comes in between.

A process that dies about its counting is a case of `test_crash_matrix.py`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.place import Place
from harness.served import audited
from harness.system import Bus, minutes
from noticebus.casework import recounting, report_figures, speaking
from noticebus.casework.answer import GivenAnswer
from noticebus.casework.desk import Desk
from noticebus.clock import SystemClock
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    How,
    ObligationState,
    Scope,
    Status,
)
from noticebus.ids import IncidentId, ObligationId
from noticebus.ledger.engine import Engine
from noticebus.ledger.sequencer import Sequencer
from noticebus.store import audit_counters, reports
from noticebus.store import recounting as store_recounting
from noticebus.store.database import Database
from noticebus.store.tables import obligations, report_counters, steps

STORIES = 4  # told at once
INCIDENTS = 2  # one after the other in each
CLOCK_MOVES = 4
KINDS = (AgencyKind.CPS, AgencyKind.SCHOOL_DISTRICT, AgencyKind.FAITH)
OPERATOR = furnish.principal(Scope.OPERATE)
GIVEN = GivenAnswer(answer=Answer.ACCEPTED, by_name="Rosa Duty", by_role="duty officer")


async def test_counters_are_exact_at_every_moment_while_everybody_writes(
    still_bus: Bus, place: Place
) -> None:
    """Two processes' engines and sequencers race; posts, answers, steps and recounts go on."""
    bus = still_bus
    for kind in KINDS:
        await bus.agency(f"Scott County {kind}", kind=kind, endpoint=False)
    await bus.operators()
    async with beside(bus.desk, place) as other:
        processes = (replace(bus.desk, machine=SystemClock()), other)
        async with asyncio.TaskGroup() as tasks:
            sequencers = [tasks.create_task(Sequencer(one).run()) for one in processes]
            done = asyncio.Event()
            seen = set[tuple[int, ...]]()
            watching = tasks.create_task(differences_until(done, other, bus.desk, seen=seen))
            async with asyncio.TaskGroup() as writing:
                for _ in range(STORIES):
                    writing.create_task(tell_a_story(bus))
                writing.create_task(pass_time(bus, processes))
                writing.create_task(count_anew(other.database))
            await pass_time(bus, processes)  # whoever was faster before: steps fall due
            done.set()
            looks = await watching
            for one in sequencers:
                one.cancel()
        await Sequencer(other).sweep()

    before = await told(bus.desk)
    counted = await recounting.recount(bus.desk.database)
    assert [one for one in looks if one] == []
    assert len(seen) > len(Status)  # more than one state of each kind, so not the empty bus alone
    assert counted is not None
    assert counted.mended == 0
    assert await told(bus.desk) == before
    assert await everything_happened(bus.desk)
    assert await audited(bus.desk.database) == []


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)  # SQLite has one writer anyway
async def test_nothing_gets_its_index_while_counters_are_counted_anew(
    still_bus: Bus, place: Place
) -> None:
    await still_bus.post_notice()
    async with beside(still_bus.desk, place) as other:
        async with other.database.begin() as conn:
            await store_recounting.hold_sequencer(conn)
            meanwhile = await Sequencer(still_bus.desk).sweep()
        afterwards = await Sequencer(still_bus.desk).sweep()

    assert meanwhile == 0
    assert afterwards > 0


@contextlib.asynccontextmanager
async def beside(desk: Desk, place: Place) -> AsyncIterator[Desk]:
    """Lend the desk of a second process: the same rows by connections of its own."""
    database = Database(place.database_url)
    try:
        yield replace(desk, database=database, machine=SystemClock())
    finally:
        await database.close()


async def tell_a_story(bus: Bus) -> None:
    """Post, answer in part, post a new version, answer again, and at last withdraw one."""
    for number in range(INCIDENTS):
        posted = await bus.post_notice(**{"class": "A"})
        owed = await owed_in(bus.desk, posted.incident_id)
        await answer(bus.desk, owed[:1])
        posted = await bus.update(posted, notice_class="B")
        await answer(bus.desk, owed[-1:])
        if number == 0:
            await bus.cancel(posted)


async def owed_in(desk: Desk, incident_id: IncidentId) -> Sequence[ObligationId]:
    """Name what is owed in an incident."""
    statement = sa.select(obligations.c.id).where(obligations.c.incident_id == incident_id)
    async with desk.database.read() as conn:
        found = (await conn.execute(statement.order_by(obligations.c.id))).scalars()
        return [ObligationId(one) for one in found]


async def answer(desk: Desk, owed: Sequence[ObligationId]) -> None:
    """Let an operator record what was said on the telephone."""
    for one in owed:
        await speaking.answer_obligation(
            desk, OPERATOR, obligation_id=one, given=GIVEN, how=How.PHONE, on_behalf_of="Rosa Duty"
        )


async def pass_time(bus: Bus, processes: Sequence[Desk]) -> None:
    """Move the world's clock, and let both engines fire what falls due."""
    for _ in range(CLOCK_MOVES):
        bus.world.advance(minutes(20))
        async with asyncio.TaskGroup() as tasks:
            for one in processes:
                tasks.create_task(Engine(one).sweep())


async def count_anew(database: Database) -> None:
    """Count anew as `db recount` does, again and again."""
    for _ in range(3):
        assert await recounting.recount(database) is not None


async def differences_until(
    done: asyncio.Event, *desks: Desk, seen: set[tuple[int, ...]]
) -> list[list[str]]:
    """Look at the counters until told to stop; give the differences of each look."""
    looks: list[list[str]] = []
    while not done.is_set():
        looks += [await differences(one, seen=seen) for one in desks]
    return looks


async def differences(desk: Desk, *, seen: set[tuple[int, ...]]) -> list[str]:
    """Compare what counters and pending lines say with what counting says, in one snapshot."""
    now = desk.world.now()
    found = []
    async with desk.database.read() as conn:
        for status in Status:
            scope = reports.Scope(status=status)
            exact = await reports.count(conn, scope, now=now)
            told_now = await report_figures.read_figures(conn, scope, now=now)
            said = (told_now.open, told_now.overdue, told_now.due, told_now.closed_within)
            right = (exact.open, exact.overdue, exact.due, exact.closed_within)
            seen.add(right)
            if (said, told_now.oldest_due_at) != (right, exact.oldest_due_at):
                found.append(f"{status}: {said} for {right}")
        return found + await audit_counters.differences(conn)


async def told(desk: Desk) -> dict[tuple[object, ...], int]:
    """Read every counter that counts something."""
    async with desk.database.read() as conn:
        rows = await conn.execute(sa.select(report_counters).where(report_counters.c.n != 0))
        return {tuple(row[:-1]): row[-1] for row in rows}


async def everything_happened(desk: Desk) -> bool:
    """See that obligations ended in every way, some are open, and steps were fired."""
    async with desk.database.read() as conn:
        states = set((await conn.execute(sa.select(obligations.c.state))).scalars())
        fired = (await conn.execute(sa.select(sa.func.count()).select_from(steps))).scalar_one()
    wanted = {ObligationState.OPEN, ObligationState.CLOSED, ObligationState.WITHDRAWN}
    return wanted <= states and fired > 0
