import asyncio
import datetime as dt
import time

import pytest

from noticebus import clock as clocks
from noticebus.clock import WAIT_MAX, ManualClock, ScaledClock, SystemClock

START = dt.datetime(2019, 8, 7, 12, 55, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
LONG_S = WAIT_MAX.total_seconds() * 0.8
HANGS_S = 30


@pytest.fixture
def machine() -> ManualClock:
    return ManualClock(START - dt.timedelta(days=365))


@pytest.fixture
def only_awakened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who is not awakened wait for longer than the test may."""
    monkeypatch.setattr(clocks, "WAIT_MAX", HOUR)


async def test_the_system_clock_is_aware_and_utc() -> None:
    assert SystemClock().now().utcoffset() == dt.timedelta(0)


async def test_the_system_clock_waits_until_the_instant() -> None:
    clock = SystemClock()
    instant = clock.now() + dt.timedelta(milliseconds=30)

    await clock.wait_until(instant, wake=asyncio.Event())

    assert clock.now() >= instant - dt.timedelta(milliseconds=2)


async def test_no_wait_is_longer_than_a_second_so_that_a_loop_always_looks_again() -> None:
    clock = SystemClock()
    began = time.monotonic()

    async with asyncio.timeout(HANGS_S):
        await clock.wait_until(None, wake=asyncio.Event())
        await clock.wait_until(clock.now() - HOUR, wake=asyncio.Event())

    assert time.monotonic() - began > LONG_S


@pytest.mark.usefixtures("only_awakened")
async def test_a_wake_up_ends_the_wait_and_is_used_up() -> None:
    wake = asyncio.Event()
    wake.set()

    async with asyncio.timeout(HANGS_S):
        await SystemClock().wait_until(None, wake=wake)

    assert not wake.is_set()


async def test_a_scaled_clock_runs_faster_than_the_machine(machine: ManualClock) -> None:
    world = ScaledClock(start=START, speed=240, machine=machine)

    machine.advance(dt.timedelta(seconds=30))

    assert world.now() == START + 2 * HOUR


async def test_a_scaled_clock_waits_in_machine_time() -> None:
    world = ScaledClock(start=START, speed=36_000, machine=SystemClock())

    await world.wait_until(START + HOUR, wake=asyncio.Event())

    assert world.now() >= START + HOUR * 0.95


async def test_a_scaled_clock_jumps_and_then_stands_still(machine: ManualClock) -> None:
    world = ScaledClock(start=START, speed=240, machine=machine)

    world.jump_to(START + 4 * HOUR)
    machine.advance(HOUR)

    assert world.now() == START + 4 * HOUR


async def test_a_clock_that_stands_still_lets_its_waiters_look_again(machine: ManualClock) -> None:
    world = ScaledClock(start=START, speed=240, machine=machine)
    world.jump_to(START)
    wake = asyncio.Event()
    wake.set()

    await world.wait_until(START + HOUR, wake=wake)
    await world.wait_until(START - HOUR, wake=wake)

    assert world.now() == START


async def test_a_manual_clock_moves_only_when_moved() -> None:
    clock = ManualClock(START)

    clock.advance(HOUR)
    assert clock.now() == START + HOUR

    clock.move_to(START)
    assert clock.now() == START


@pytest.mark.usefixtures("only_awakened")
async def test_moving_a_manual_clock_wakes_who_waits_on_it() -> None:
    clock = ManualClock(START)
    wake = asyncio.Event()

    async with asyncio.timeout(HANGS_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(clock.wait_until(START + HOUR, wake=wake))
        await asyncio.sleep(0)
        clock.advance(HOUR)

    assert not wake.is_set()


@pytest.mark.usefixtures("only_awakened")
async def test_a_manual_clock_does_not_wait_for_what_is_past() -> None:
    async with asyncio.timeout(HANGS_S):
        await ManualClock(START).wait_until(START, wake=asyncio.Event())


@pytest.mark.usefixtures("only_awakened")
async def test_a_jump_wakes_who_waits_on_a_scaled_clock(machine: ManualClock) -> None:
    world = ScaledClock(start=START, speed=0.0, machine=machine)
    wake = asyncio.Event()

    async with asyncio.timeout(HANGS_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(world.wait_until(START + HOUR, wake=wake))
        await asyncio.sleep(0)
        world.jump_to(START + HOUR)

    assert world.now() == START + HOUR


async def test_a_scaled_clock_that_stood_still_goes_on_from_there(machine: ManualClock) -> None:
    world = ScaledClock(start=START, speed=0.0, machine=machine)
    machine.advance(HOUR)

    world.run_at(60)
    machine.advance(dt.timedelta(minutes=1))

    assert world.now() == START + HOUR
