"""Who may wait for a commit, by the clock and by what batches took of late."""

import datetime as dt
from pathlib import Path

import pytest

from noticebus.casework.admission import Admission
from noticebus.clock import ManualClock
from noticebus.domain.pace import BATCH_MAX
from noticebus.errors import UnavailableError
from noticebus.store.disk import Disk
from noticebus.telemetry import Metrics

START = dt.datetime(2026, 8, 7, 13, 0, tzinfo=dt.UTC)
LONGEST = dt.timedelta(seconds=10)
MORE_THAN_ANY_DISK_MB = 1_000_000_000


class Door:
    """An admission with a clock to move and figures to read."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.clock = ManualClock(START)
        self.metrics = Metrics.create()
        self.admission = Admission(
            self.clock, longest=LONGEST, disk=disk, gauges=self.metrics.pressure
        )

    def batch(self, took: float, *, offered: int = 1, stored: int = 1) -> None:
        with self.admission.timed(offered=offered) as measured:
            self.clock.advance(dt.timedelta(seconds=took))
            measured.stored = stored

    def failing_batch(self, took: float, *, offered: int) -> None:
        with self.admission.timed(offered=offered):
            self.clock.advance(dt.timedelta(seconds=took))
            raise UnavailableError("The database did not answer.")

    def refused(self, reason: str) -> float | None:
        return self.metrics.registry.get_sample_value(
            "noticebus_intake_refused_total", {"reason": reason}
        )


async def test_a_post_that_would_wait_longer_than_its_answer_time_is_refused_at_once() -> None:
    door = Door()
    door.batch(8)  # half of it counts: 4 s

    await door.admission.admit(ahead=2 * BATCH_MAX - 1)
    with pytest.raises(UnavailableError, match="This one was not stored") as refused:
        await door.admission.admit(ahead=2 * BATCH_MAX)

    assert refused.value.retry_after_s == 12
    assert door.refused("wait") == 1


async def test_the_one_that_comes_when_nobody_waits_is_let_in_however_slow_it_was() -> None:
    door = Door()
    door.batch(600)

    await door.admission.admit(ahead=0)

    assert door.refused("wait") is None


async def test_a_batch_that_hangs_refuses_those_behind_it_until_it_ends() -> None:
    door = Door()

    with door.admission.timed(offered=1):
        door.clock.advance(LONGEST + dt.timedelta(seconds=1))
        with pytest.raises(UnavailableError):
            await door.admission.admit(ahead=0)

    await door.admission.admit(ahead=0)


async def test_a_batch_that_fails_says_how_long_it_took_and_not_what_fits() -> None:
    door = Door()
    with pytest.raises(UnavailableError, match="did not answer"):
        door.failing_batch(12, offered=BATCH_MAX)

    await door.admission.admit(ahead=1)  # 6 s
    with pytest.raises(UnavailableError):
        await door.admission.admit(ahead=BATCH_MAX)


async def test_what_is_left_of_a_full_disk_is_kept_for_answers(tmp_path: Path) -> None:
    door = Door(Disk(tmp_path, reserve_mb=MORE_THAN_ANY_DISK_MB, machine=ManualClock(START)))

    with pytest.raises(UnavailableError, match=r"kept for answers.*Nothing was stored") as refused:
        await door.admission.admit(ahead=0)

    assert refused.value.retry_after_s == 60
    assert door.refused("disk") == 1


async def test_a_disk_with_room_refuses_nobody_and_is_looked_at_once_a_second(
    tmp_path: Path,
) -> None:
    clock = ManualClock(START)
    folder = tmp_path / "data"
    folder.mkdir()
    disk = Disk(folder, reserve_mb=0, machine=clock)
    assert await disk.refusal() is None
    folder.rmdir()

    assert await disk.refusal() is None
    clock.advance(dt.timedelta(seconds=1))
    with pytest.raises(FileNotFoundError):
        await disk.warning()
