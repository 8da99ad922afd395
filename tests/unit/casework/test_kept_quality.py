"""Warnings about the records are read anew once they are old, and once for all who wait."""

import asyncio
import datetime as dt

from noticebus.casework.kept_quality import KEPT_MAX, Items, KeptQuality
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import Status
from noticebus.ids import AgencyId

KEEP = dt.timedelta(seconds=30)
SECOND = dt.timedelta(seconds=1)
ALL = (Status.ACTUAL, None)
START = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)


class Reader:
    """Counts how often it is asked; each time takes `takes`."""

    def __init__(self, clock: ManualClock, *, takes: dt.timedelta = SECOND) -> None:
        self.asked = 0
        self._clock = clock
        self._takes = takes

    async def read(self) -> Items:
        await asyncio.sleep(0)
        self.asked += 1
        self._clock.advance(self._takes)
        return ()


async def test_what_is_kept_is_read_anew_once_it_is_old_and_says_how_old_it_is() -> None:
    clock = ManualClock(START)
    reader = Reader(clock)
    kept = KeptQuality(keep=KEEP)
    await kept.read(ALL, reader.read, as_of=clock.now(), now=clock.now)
    clock.advance(KEEP / 2)
    young = await kept.read(ALL, reader.read, as_of=clock.now(), now=clock.now)
    drill = await kept.read((Status.EXERCISE, None), reader.read, as_of=clock.now(), now=clock.now)
    asked = reader.asked
    clock.advance(KEEP)
    fresh = await kept.read(ALL, reader.read, as_of=clock.now(), now=clock.now)

    assert (young.as_of, drill.as_of, asked) == (START, START + KEEP / 2 + SECOND, 2)
    assert (fresh.as_of, reader.asked) == (START + KEEP * 1.5 + 2 * SECOND, 3)


async def test_what_is_read_quickly_is_kept_a_hundred_times_as_long_and_no_longer() -> None:
    clock = ManualClock(START)
    reader = Reader(clock, takes=dt.timedelta(milliseconds=1))
    kept = KeptQuality(keep=KEEP)
    for _ in range(2):
        await kept.read(ALL, reader.read, as_of=clock.now(), now=clock.now)
    asked = reader.asked
    clock.advance(dt.timedelta(milliseconds=99))
    await kept.read(ALL, reader.read, as_of=clock.now(), now=clock.now)

    assert (asked, reader.asked) == (1, 2)


async def test_those_who_come_together_read_it_once() -> None:
    clock = ManualClock(START)
    reader = Reader(clock)
    kept = KeptQuality(keep=KEEP)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5):
            tasks.create_task(kept.read(ALL, reader.read, as_of=clock.now(), now=clock.now))

    assert reader.asked == 1


async def test_nothing_is_kept_unless_it_is_told_for_how_long() -> None:
    clock = ManualClock(START)
    reader = Reader(clock)
    kept = KeptQuality()
    for _ in range(2):
        await kept.read(ALL, reader.read, as_of=clock.now(), now=clock.now)

    assert reader.asked == 2


async def test_of_too_many_agencies_what_was_read_longest_ago_is_forgotten() -> None:
    clock = ManualClock(START)
    slow, quick = Reader(clock, takes=KEPT_MAX * SECOND), Reader(clock)
    kept = KeptQuality(keep=KEPT_MAX * KEEP)
    of = [(Status.ACTUAL, AgencyId(f"agy_{number}")) for number in range(KEPT_MAX + 1)]
    await kept.read(of[0], slow.read, as_of=clock.now(), now=clock.now)
    for one in of[1:KEPT_MAX]:
        await kept.read(one, quick.read, as_of=clock.now(), now=clock.now)
    await kept.read(of[0], slow.read, as_of=clock.now(), now=clock.now)
    asked = slow.asked
    await kept.read(of[KEPT_MAX], quick.read, as_of=clock.now(), now=clock.now)
    await kept.read(of[0], slow.read, as_of=clock.now(), now=clock.now)

    assert (asked, slow.asked) == (1, 2)
