"""Outcomes are recorded together, and one that cannot be recorded costs the others little."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness import desk as furnish
from harness.loads import a_load
from noticebus.casework import outcomes, waiting
from noticebus.casework.desk import Desk
from noticebus.casework.waiting import PutBack
from noticebus.dispatcher.pacing import Pacing
from noticebus.dispatcher.recorder import RECORD_WAITING_MAX, Recorder
from noticebus.store.deliveries import Delivery

COUNT = 64


async def test_one_that_cannot_be_recorded_is_found_by_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivery = a_load(url="https://a.example/hook").delivery
    batch = [PutBack(delivery=delivery, jitter=number / COUNT) for number in range(COUNT)]
    bad, written, calls, given_up = batch[37], set[float](), list[int](), list[Delivery]()

    async def put_back(_desk: Desk, chosen: Sequence[PutBack]) -> None:
        calls.append(len(chosen))
        if bad in chosen:
            message = "no database can take this"
            raise ValueError(message)
        written.update(one.jitter for one in chosen)

    async def give_up(_desk: Desk, one: Delivery) -> None:
        given_up.append(one)

    monkeypatch.setattr(waiting, "put_back", put_back)
    monkeypatch.setattr(outcomes, "give_up", give_up)
    async with furnish.open_desk(tmp_path) as desk:
        recorder = recorder_of(desk)
        for one in batch:
            await recorder.put(one)
        await recorder.record_waiting()

    assert written == {one.jitter for one in batch} - {bad.jitter}
    assert given_up == [delivery]
    assert len(calls) == 1 + 2 * 6, "64, and two halves six times"


async def test_what_has_gathered_is_recorded_in_one_batch_and_whoever_waits_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes, told = list[int](), list[int]()
    outcome = PutBack(delivery=a_load(url="https://a.example/hook").delivery, jitter=0.0)

    async def put_back(_desk: Desk, chosen: Sequence[PutBack]) -> None:
        sizes.append(len(chosen))

    monkeypatch.setattr(waiting, "put_back", put_back)
    async with furnish.open_desk(tmp_path) as desk:
        recorder = recorder_of(desk, told)
        for _ in range(RECORD_WAITING_MAX):
            await recorder.put(outcome)
        full = recorder.is_full
        async with asyncio.TaskGroup() as tasks:
            last = tasks.create_task(recorder.put(outcome))
            await asyncio.sleep(0)
            waits = not last.done()
            await recorder.record_waiting()

    assert (full, waits, recorder.is_full) == (True, True, False)
    assert sizes == [RECORD_WAITING_MAX + 1], "whoever had to wait is taken along"
    assert told == [0]


def recorder_of(desk: Desk, told: list[int] | None = None) -> Recorder:
    """Make a recorder that notes, after each batch, how many still wait."""
    heard = [] if told is None else told
    pacing = Pacing(desk.machine, desk.metrics.pressure)
    made = Recorder(desk, pacing, recorded=lambda: heard.append(made.waiting))
    return made
