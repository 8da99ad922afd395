"""The dispatcher's pace by the clock: less when the database slows, and it can be seen."""

import asyncio
import datetime as dt

import pytest

from noticebus.clock import ManualClock
from noticebus.dispatcher.pacing import Pacing
from noticebus.domain.pace import AT_ONCE_MAX, CLAIM_MAX, SLOW
from noticebus.errors import UnavailableError
from noticebus.telemetry import Metrics

START = dt.datetime(2026, 8, 7, 13, 0, tzinfo=dt.UTC)


class Paced:
    """A pace with a clock to move and figures to read."""

    def __init__(self) -> None:
        self.clock = ManualClock(START)
        self.metrics = Metrics.create()
        self.pacing = Pacing(self.clock, self.metrics.pressure)

    async def work(self, took: dt.timedelta) -> None:
        async with self.pacing.timed():
            self.clock.advance(took)

    async def fail(self, error: Exception) -> None:
        async with self.pacing.timed():
            raise error

    def shown(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"noticebus_dispatcher_{name}")


async def test_what_is_claimed_halves_while_transactions_are_slow_and_grows_back() -> None:
    paced = Paced()

    await paced.work(SLOW)
    await paced.work(SLOW)
    slow = paced.pacing.size
    for _ in range(CLAIM_MAX):
        await paced.work(dt.timedelta())

    assert (slow, paced.pacing.size) == (CLAIM_MAX // 4, CLAIM_MAX)


async def test_a_database_that_is_away_counts_as_slow() -> None:
    paced = Paced()

    with pytest.raises(UnavailableError):
        await paced.fail(UnavailableError("The database did not answer."))

    assert paced.pacing.size == CLAIM_MAX // 2


async def test_a_mistake_of_ours_says_nothing_of_the_database() -> None:
    paced = Paced()

    with pytest.raises(KeyError):
        await paced.fail(KeyError())

    assert paced.pacing.size == CLAIM_MAX


async def test_the_pace_is_in_the_metrics() -> None:
    paced = Paced()
    names = ("claim_size", "claims_at_once")
    before = [paced.shown(one) for one in names]

    await paced.work(SLOW)

    assert before == [CLAIM_MAX, AT_ONCE_MAX]
    assert [paced.shown(one) for one in names] == [CLAIM_MAX // 2, AT_ONCE_MAX // 2]


async def test_no_more_claims_run_at_once_than_the_pace_says() -> None:
    paced = Paced()
    for _ in range(AT_ONCE_MAX):
        await paced.pacing.take_turn()

    async with asyncio.TaskGroup() as tasks:
        late = tasks.create_task(paced.pacing.take_turn())
        await asyncio.sleep(0)
        waited = not late.done()
        paced.pacing.give_turn_back()

    assert waited
    assert late.done()


async def test_a_slower_pace_holds_for_the_next_claim() -> None:
    paced = Paced()
    for _ in range(AT_ONCE_MAX // 2):
        await paced.pacing.take_turn()
    await paced.work(SLOW)

    async with asyncio.TaskGroup() as tasks:
        late = tasks.create_task(paced.pacing.take_turn())
        await asyncio.sleep(0)
        waited = not late.done()
        await paced.work(dt.timedelta())  # brisk again: one more may run

    assert waited
