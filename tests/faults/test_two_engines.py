"""Two engines on one PostgreSQL, killed and started at random: every step exactly once (I5)."""

import asyncio
import contextlib
import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness import engines, owing, tables
from harness.forking import environment_of_forker
from noticebus.casework import recount, speaking
from noticebus.casework.answer import GivenAnswer
from noticebus.casework.desk import Desk
from noticebus.clock import SystemClock
from noticebus.contracts.vocabulary import Answer, How, ObligationState, Scope
from noticebus.domain.policies import default_policies
from noticebus.errors import UnavailableError
from noticebus.ids import ObligationId
from noticebus.ledger.sequencer import Sequencer
from noticebus.store.tables import deliveries, entries, obligations, steps

AGENCIES = 100
INCIDENTS = 100
OBLIGATIONS = AGENCIES * INCIDENTS
ANSWERED = 200
KILLS = 8
SEED_IN_CI = 1
SPEED = 120.0  # an hour of steps in half a minute
DONE_WITHIN_S = 300.0
LOOK_EVERY_S = 0.5
CHOSEN = (  # three or four steps within the hour
    "default.cps.state_desk.A",
    "default.cps.county_office.A",
    "default.school_district.school_night.A",
    "default.operator.operator.A",
)
POLICIES = [one for one in default_policies() if one.id in CHOSEN]


@pytest.fixture
def forkers() -> Iterator[list["subprocess.Popen[str]"]]:
    """Lend two processes, each of whose children is an engine."""
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, engines.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment_of_forker(),
                )
            )
            for _ in range(2)
        ]
        yield made
        for process in made:
            process.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Two engines, by the number of the process that runs each."""

    forkers: Sequence["subprocess.Popen[str]"]
    told: dict[str, Any]
    children: list[int]

    async def start(self, place: int) -> None:
        process = self.forkers[place]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(self.told) + "\n")
        process.stdin.flush()
        self.children[place] = int(await asyncio.to_thread(process.stdout.readline))

    def kill(self, place: int) -> None:
        os.kill(self.children[place], signal.SIGKILL)


@contextlib.asynccontextmanager
async def owing_desk(folder: Path) -> AsyncIterator[Desk]:
    """Lend a desk over 10,000 open obligations whose rounds have just begun."""
    async with tables.fresh_on_postgresql() as url, furnish.open_desk(folder, url=url) as desk:
        like = await owing.make_prototype(desk)
        share = INCIDENTS // len(POLICIES)
        async with desk.database.begin() as conn:
            await owing.add_agencies(conn, like, count=AGENCIES)
            await owing.add_incidents(conn, like, count=INCIDENTS)
            for number, policy in enumerate(POLICIES):
                first = number * share + 1
                span = owing.Span(first=first, last=first + share - 1, agencies=AGENCIES)
                await owing.add_obligations(
                    conn, like, span, policy=policy, started_at=furnish.MORNING
                )
            await owing.enter_obligations(conn, at=furnish.MORNING)
        yield desk


async def is_waiting(desk: Desk) -> bool:
    """Say whether any obligation has a step to come."""
    one = sa.select(obligations.c.id).where(obligations.c.next_step_at.is_not(None)).limit(1)
    async with desk.database.read() as conn:
        return (await conn.execute(one)).first() is not None


async def answer_some(desk: Desk, chance: random.Random) -> None:
    """Let an operator record answers while the engines run."""
    operator = furnish.principal(Scope.OPERATE)
    given = GivenAnswer(answer=Answer.ACCEPTED, by_name="Rosa Duty", by_role="duty")
    async with desk.database.read() as conn:
        every = sa.select(obligations.c.id).where(obligations.c.state == ObligationState.OPEN)
        ids = sorted((await conn.execute(every)).scalars())
    left = chance.sample(ids, ANSWERED)
    while left:
        with contextlib.suppress(UnavailableError):  # the engines hold it: say it again
            await speaking.answer_obligation(
                desk,
                operator,
                obligation_id=ObligationId(left[-1]),
                given=given,
                how=How.PHONE,
                on_behalf_of="Rosa Duty",
            )
            left.pop()


async def kill_at_random(running: Engines, chance: random.Random) -> None:
    """Kill one of the two, or both, and start again, `KILLS` times."""
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.3, 2.5))  # any moment: between two commits as well
        struck = chance.choice([[0], [1], [0, 1]])
        for place in struck:
            running.kill(place)
        await asyncio.sleep(chance.uniform(0.0, 1.0))
        for place in struck:
            await running.start(place)


@pytest.mark.slow(reason="10,000 obligations, four steps each, while processes die")
async def test_every_step_of_10000_obligations_fires_exactly_once_whoever_is_killed(
    tmp_path: Path, forkers: list["subprocess.Popen[str]"]
) -> None:
    """Run the engines on a fast clock, kill and answer meanwhile, then count every row."""
    seed = SEED_IN_CI if os.environ.get("CI") else random.SystemRandom().randrange(10_000)
    print(f"seed {seed}")  # noqa: T201 - to run the same again
    chance = random.Random(seed)
    machine = SystemClock()
    async with owing_desk(tmp_path) as desk:
        began = machine.now()
        start = furnish.MORNING + dt.timedelta(minutes=9)
        told = {
            "folder": str(tmp_path),
            "url": desk.database.url,
            "start": start.isoformat(),
            "began": began.isoformat(),
            "speed": SPEED,
        }
        world = engines.WorldSince(start=start, began=began, speed=SPEED, machine=machine)
        desk = replace(desk, world=world)  # noqa: PLW2901 - the same one, on the engines' clock
        running = Engines(forkers=forkers, told=told, children=[0, 0])
        for place in (0, 1):
            await running.start(place)

        async with asyncio.timeout(DONE_WITHIN_S):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(kill_at_random(running, chance))
                tasks.create_task(answer_some(desk, chance))
            while await is_waiting(desk):  # noqa: ASYNC110 - what ends it is in the database
                await asyncio.sleep(LOOK_EVERY_S)
        for place in (0, 1):
            running.kill(place)

        await count_everything(desk)


async def count_everything(desk: Desk) -> None:
    """Compare what should have happened, step by step, with rows, deliveries and ledger."""
    async with desk.database.read() as conn:
        owed = (await conn.execute(sa.select(obligations))).all()
        rows = (await conn.execute(sa.select(steps))).all()
        sent = (await conn.execute(sa.select(deliveries).where(deliveries.c.cause == "step"))).all()
        told = sa.select(entries.c.body).where(entries.c.type == "escalation.stepped")
        fired = [json.loads(one)["data"] for one in (await conn.execute(told)).scalars()]
    closed = {one.id: one for one in owed if one.state is ObligationState.CLOSED}
    expected = {
        (one.id, 1, index)
        for one in owed
        for index in range(one.step if one.id in closed else len(one.steps_at))
    }
    keys = Counter((one.obligation_id, one.epoch, one.step) for one in rows)
    said = Counter(
        (one["obligation_id"], one["epoch"], index)
        for one in fired
        for index in (*one["skipped"], one["step"])
    )
    carried = Counter(id_ for one in fired for id_ in one["deliveries"])
    print(  # noqa: T201 - what was counted, where somebody asks
        f"{len(rows)} steps of {len(owed)} obligations, {sum(one.skipped for one in rows)} skipped,"
        f" {len(sent)} deliveries, {len(closed)} answered meanwhile"
    )

    assert len(owed) == OBLIGATIONS + 1  # the one they are copies of
    assert len(closed) == ANSWERED
    assert set(keys) == set(said) == expected
    assert max(keys.values()) == max(said.values()) == max(carried.values()) == 1
    assert set(carried) == {one.id for one in sent}
    assert all(
        one.fired_at <= closed[one.obligation_id].closed_at
        for one in rows
        if one.obligation_id in closed
    )

    while await Sequencer(desk).sweep():
        pass
    cursor: str | None = ""
    while cursor is not None:
        part = await recount.audit_part(desk.database, cursor=cursor)
        assert part.findings == []
        cursor = part.next
