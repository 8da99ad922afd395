"""What the ledger says afterwards: in order, without a gap, without a person, and who was first."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.place import Place, production
from harness.receivers import Behaviour
from harness.system import Bus, minutes, open_bus
from noticebus.casework import answer as answering
from noticebus.casework import speaking
from noticebus.clock import ManualClock, SystemClock
from noticebus.contracts.vocabulary import (
    Answer,
    DeclineReason,
    DeliveryState,
    ObligationState,
    Position,
    Scope,
)
from noticebus.errors import ConflictError, RefusedError, UnavailableError
from noticebus.store import notices, obligations
from noticebus.store.tables import deliveries, entries, obligation_history

CANARY = "Zebedee Quillfeather"
RACES = 30


async def test_entries_are_numbered_without_a_gap_and_history_spans_follow_them(
    place: Place,
) -> None:
    async with open_bus(place, strict=False) as bus:
        county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
        notice = await bus.post_notice()
        await county.receives("notice", notice)
        await bus.settled()
        await bus.fast_forward(minutes(60))
        await county.answers(notice)
        await bus.settled()

        listed = await bus.entries_of()
        owed = await county.obligation(notice)
        history = await bus.history_of(owed.id)

    types = {one["index"]: one["type"] for one in listed}
    assert list(types) == list(range(len(listed)))
    assert [to for _, to, _ in history[:-1]] == [begins for begins, _, _ in history[1:]]
    assert history[-1][1] is None
    assert [types[begins] for begins, _, _ in history if begins is not None] == [
        "routing.decided",
        "obligation.delivered",
        "escalation.stepped",
        "acknowledgement.recorded",
    ]
    assert history[-1][2]["state"] == "closed"


async def test_two_sequencers_give_no_index_twice_and_leave_none_out(tmp_path: Path) -> None:
    async with (
        production(tmp_path) as place,
        open_bus(place, roles=(), strict=False) as first,
        open_bus(place, roles=(), strict=False) as second,
    ):
        await first.agency("Scott County CPS", endpoint=False)
        await first.post_notice()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(first.post_notice())
                tasks.create_task(first.system.sequencer.sweep())
                tasks.create_task(second.system.sequencer.sweep())
        await second.system.sequencer.sweep()

        async with first.desk.database.read() as conn:
            indexes = list(
                (await conn.execute(sa.select(entries.c.index).order_by(entries.c.index))).scalars()
            )
            spans = list((await conn.execute(sa.select(obligation_history.c.from_index))).scalars())
    assert indexes == list(range(len(indexes)))
    assert len(spans) == 21
    assert None not in spans


async def test_no_entry_and_no_history_names_a_person(place: Place) -> None:
    async with open_bus(place, strict=False) as bus:
        county = await bus.agency("Scott County CPS")
        await furnish.add_contact(bus.desk, county.row, CANARY)
        notice = await bus.post_notice(headline=f"Near Morton, says {CANARY}")
        await county.receives("notice", notice)
        await speaking.answer_as_agency(
            bus.desk,
            furnish.principal(Scope.ANSWER, agency=county.row),
            notice_id=notice.id,
            given=answering.GivenAnswer(
                answer=Answer.ACCEPTED, by_name=CANARY, by_role=CANARY, note=CANARY
            ),
        )
        await bus.cancel(notice)
        await bus.settled()

        said = str(await bus.entries_of()) + str(
            await bus.history_of((await county.obligation(notice)).id)
        )
    assert "acknowledgement.recorded" in said
    assert CANARY not in said
    assert "quillfeather" not in said.lower()


@pytest.mark.slow(reason="30 races on a real PostgreSQL")
async def test_answer_and_step_that_fall_together_have_an_order_and_the_ledger_shows_it(
    tmp_path: Path,
) -> None:
    """Race an answer with the step of the same obligation, on two engines of one database."""
    seen: Counter[bool] = Counter()
    async with (
        production(tmp_path) as place,
        open_bus(place, roles=(), strict=False) as first,
        open_bus(place, roles=(), strict=False, world=first_clock()) as second,
    ):
        county = await first.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
        for number in range(RACES):
            notice = await first.post_notice()
            first.world.advance(minutes(60))
            second.world.move_to(first.world.now())
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_after(number % 5, first.system.engine.sweep()))
                tasks.create_task(_after((number + 2) % 5, second.system.engine.sweep()))
                tasks.create_task(_after(number % 7, county.answers(notice, desk=second.desk)))
            await first.system.sequencer.sweep()

            steps = await county.steps(notice)
            types = [one["type"] for one in await first.entries_of(notice.incident_id)]
            order = [
                one for one in types if one in {"escalation.stepped", "acknowledgement.recorded"}
            ]
            async with first.desk.database.read() as conn:
                live = await conn.scalar(
                    sa.select(sa.func.count())
                    .select_from(deliveries)
                    .where(
                        deliveries.c.incident_id == notice.incident_id,
                        deliveries.c.state != DeliveryState.MOOT,
                    )
                )
            assert order[-1] == "acknowledgement.recorded"
            assert order.count("escalation.stepped") == len(steps) <= 1
            assert live == 0
            assert (await county.obligation(notice)).state is ObligationState.CLOSED
            seen[bool(steps)] += 1
    assert sum(seen.values()) == RACES


def first_clock() -> ManualClock:
    return ManualClock(furnish.MORNING)


async def _after(turns: int, work: Awaitable[object]) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    await work


async def test_two_declines_at_once_leave_the_place_uncovered(tmp_path: Path) -> None:
    async with (
        production(tmp_path) as place,
        open_bus(place, roles=(), strict=False) as first,
        open_bus(place, roles=(), strict=False) as second,
    ):
        members = [await first.agency(f"CPS {number}", endpoint=False) for number in range(2)]
        for _ in range(8):
            notice = await first.post_notice()
            async with asyncio.TaskGroup() as tasks:
                for member, bus in zip(members, (first, second), strict=True):
                    tasks.create_task(
                        member.answers(
                            notice,
                            Answer.DECLINED,
                            reason=DeclineReason.NO_JURISDICTION,
                            desk=bus.desk,
                        )
                    )
            async with first.desk.database.read() as conn:
                stored = await notices.notices_by_id(conn, [notice.id])
            assert "cps" in [one["missing"] for one in stored[notice.id].uncovered]


async def test_a_yes_that_waited_for_a_decline_is_asked_for_again(tmp_path: Path) -> None:
    """It cannot lock the incident after the obligation: that would be the wrong order."""
    async with (
        production(tmp_path) as place,
        open_bus(place, roles=(), strict=False) as first,
        open_bus(place, roles=(), strict=False) as second,
    ):
        desk = await first.agency("State CPS", endpoint=False)
        notice = await first.post_notice()
        owed = await desk.obligation(notice)
        waits = asyncio.Event()
        for engine in second.desk.database.engines:
            sa.event.listen(
                engine.sync_engine,
                "before_cursor_execute",
                lambda *told: waits.set() if _locks_obligations(told[2]) else None,
            )
        refused: list[Exception] = []
        async with asyncio.TaskGroup() as tasks, first.desk.database.begin() as conn:
            await obligations.lock_obligations(conn, ids=[owed.id])
            tasks.create_task(_note_refusal(desk.answers(notice, desk=second.desk), refused))
            await waits.wait()
            declined = replace(
                owed,
                state=ObligationState.DECLINED,
                closed_at=first.world.now(),
                next_step_at=None,
            )
            await obligations.save_all(conn, [declined])

        again = await desk.answers(notice, desk=second.desk)

        assert [type(one) for one in refused] == [ConflictError]
        assert again.obligation.state is ObligationState.CLOSED


def _locks_obligations(statement: str) -> bool:
    return "FROM obligations" in statement and "FOR NO KEY UPDATE" in statement


@pytest.mark.slow(reason="many transactions that want each other's rows, on a real PostgreSQL")
async def test_nothing_deadlocks_and_no_obligation_is_lost_when_everything_happens_at_once(
    tmp_path: Path,
) -> None:
    """Updates, cancels, answers, declines, steps and outcomes of the same incidents (I2)."""
    machine = ManualClock(SystemClock().now())
    async with (
        production(tmp_path) as place,
        open_bus(place, roles=(), strict=False, machine=machine) as first,
        open_bus(place, roles=(), strict=False, machine=machine, world=first_clock()) as second,
    ):
        members = [
            await first.agency(f"CPS {number}", contacts_at=[Position.ON_DUTY])
            for number in range(4)
        ]
        members[0].receiver.always = Behaviour(status=404)
        for number in range(12):
            notice = await first.post_notice()
            machine.advance(dt.timedelta(seconds=3))
            first.world.advance(minutes(60))
            second.world.move_to(first.world.now())
            refused: list[Exception] = []
            async with asyncio.TaskGroup() as tasks:
                work: list[Awaitable[object]] = [
                    first.system.dispatcher.sweep(),
                    second.system.engine.sweep(),
                    members[1].answers(notice),
                    members[2].answers(
                        notice,
                        Answer.DECLINED,
                        reason=DeclineReason.NO_JURISDICTION,
                        desk=second.desk,
                    ),
                    first.update(notice, material=True, desk=second.desk),
                    first.cancel(notice) if number % 3 == 0 else members[3].answers(notice),
                    second.system.dispatcher.sweep(),
                ]
                for one in work[number % 7 :] + work[: number % 7]:
                    tasks.create_task(_note_refusal(one, refused))
            for bus in (first, second):
                await _record_all(bus)

            assert not [one for one in refused if isinstance(one, UnavailableError)], refused
            async with first.desk.database.read() as conn:
                counts = await obligations.counts_by_state(conn, notice.incident_id)
            assert sum(counts.values()) == 4


async def _note_refusal(work: Awaitable[object], refused: list[Exception]) -> None:
    try:
        await work
    except (RefusedError, UnavailableError) as error:
        refused.append(error)


async def _record_all(bus: Bus) -> None:
    dispatcher = bus.system.dispatcher
    while (
        not dispatcher._recorder._tried.empty()
    ):  # its sweeps have ended: nothing comes to it meanwhile
        await dispatcher.record_waiting()
