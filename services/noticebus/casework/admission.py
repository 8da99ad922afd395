"""Whether one more notice may wait: what would wait in vain is refused at once."""

import contextlib
import datetime as dt
from collections.abc import Iterator

from noticebus.clock import Clock
from noticebus.domain.pace import (
    RETRY_AFTER_S_MAX,
    IntakePace,
    expected_wait,
    intake_after,
    retry_after_s,
)
from noticebus.errors import UnavailableError
from noticebus.store.disk import Disk
from noticebus.telemetry import Pressure


class Batch:
    """A batch that is being stored. `stored` is how many of it fitted one transaction."""

    def __init__(self) -> None:
        self.stored = 0


class Admission:
    """Knows how long batches took of late, by `machine`, and how full the disk is.

    `longest` is how long a poster waits for its answer.
    """

    def __init__(
        self, machine: Clock, *, longest: dt.timedelta, disk: Disk | None, gauges: Pressure
    ) -> None:
        self._machine = machine
        self._longest = longest
        self._disk = disk
        self._gauges = gauges
        self._pace = IntakePace()
        self._began: dt.datetime | None = None

    async def admit(self, *, ahead: int) -> None:
        """Let one more notice wait behind `ahead` others, or raise UnavailableError."""
        if self._disk is not None and (why := await self._disk.refusal()) is not None:
            self._gauges.refused.labels(reason="disk").inc()
            raise UnavailableError(f"{why} Nothing was stored.", retry_after_s=RETRY_AFTER_S_MAX)
        if self._wait(ahead) > self._longest:
            raise self.too_many(ahead=ahead)

    def too_many(self, *, ahead: int) -> UnavailableError:
        """Make the refusal of one that would wait too long, and count it."""
        self._gauges.refused.labels(reason="wait").inc()
        return UnavailableError(
            "Too many notices are waiting. This one was not stored; send it again shortly.",
            retry_after_s=retry_after_s(self._wait(ahead)),
        )

    def _wait(self, ahead: int) -> dt.timedelta:
        running_for = None if self._began is None else self._machine.now() - self._began
        return expected_wait(self._pace, ahead=ahead, running_for=running_for)

    @contextlib.contextmanager
    def timed(self, *, offered: int) -> Iterator[Batch]:
        """Measure a batch of `offered` notices, whether it could be stored or not."""
        self._began = self._machine.now()
        self._gauges.intake_committing.set(offered)
        batch = Batch()
        try:
            yield batch
        except BaseException:
            batch.stored = offered  # what failed says how long it took, not how many fit
            raise
        finally:
            took = self._machine.now() - self._began
            self._began = None
            self._gauges.intake_committing.set(0)
            self._pace = intake_after(self._pace, took=took, stored=batch.stored, offered=offered)
