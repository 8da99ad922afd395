"""The retry schedules: the defaults as data, and a class's schedule read from its record.

The faults of the bus itself are on none of these: they use up no tries (`domain/delivery.py`).
"""

import datetime as dt
import functools
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noticebus.contracts.schedule import PhaseName, SchedulePut
from noticebus.contracts.vocabulary import NoticeClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of a schedule: `tries` delays from `first`, times `factor` each, at most `top`."""

    name: PhaseName
    tries: int
    first: dt.timedelta
    factor: float
    top: dt.timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySchedule:
    """When one class of notice is tried again.

    `delays` is at least one long and never shrinks. A delay varies by the share `jitter`, so that
    retries do not march in step. `retry_after_max` is how long a recipient may put us off.
    """

    phases: tuple[Phase, ...]
    delays: tuple[dt.timedelta, ...]
    jitter: float
    retry_after_max: dt.timedelta

    @property
    def tries_max(self) -> int:
        """Give the number of tries in all, the first included."""
        return len(self.delays) + 1

    @property
    def horizon(self) -> dt.timedelta:
        """Give the time from the first try to the last, without jitter and `Retry-After`."""
        return sum(self.delays, start=dt.timedelta())

    def delay_after(self, attempts: int) -> dt.timedelta | None:
        """Give the delay after `attempts` (1 or more) failed tries, or None when exhausted."""
        assert attempts >= 1, "a try that counts has been counted"
        return self.delays[attempts - 1] if attempts <= len(self.delays) else None

    def jittered(self, delay: dt.timedelta, jitter: float) -> dt.timedelta:
        """Vary a delay; `jitter` is drawn evenly from 0 to 1, and 0.5 changes nothing."""
        return delay * (1 - self.jitter + 2 * self.jitter * jitter)


Schedules = Mapping[NoticeClass, RetrySchedule]

# Class A means children may be without a carer now: try hard, then every five minutes for a day. By
# then people have taken over, since escalation does not wait for a delivery. Class D is for the
# record: gently, for three days.
DEFAULT_RECORDS: Mapping[NoticeClass, Mapping[str, Any]] = {
    NoticeClass.A: {
        "phases": [
            {"name": "immediate", "tries": 2, "first_s": 1},
            {"name": "quick", "tries": 4, "first_s": 5},
            {"name": "backoff", "tries": 5, "first_s": 10, "factor": 2, "top_s": 300},
            {"name": "plateau", "tries": 288, "first_s": 300},
        ],
        "jitter": 0.2,
        "retry_after_max_s": 300,
    },
    NoticeClass.B: {
        "phases": [
            {"name": "immediate", "tries": 2, "first_s": 2},
            {"name": "quick", "tries": 4, "first_s": 10},
            {"name": "backoff", "tries": 6, "first_s": 20, "factor": 2, "top_s": 900},
            {"name": "plateau", "tries": 192, "first_s": 900},
        ],
        "jitter": 0.2,
        "retry_after_max_s": 900,
    },
    NoticeClass.C: {
        "phases": [
            {"name": "immediate", "tries": 2, "first_s": 5},
            {"name": "quick", "tries": 4, "first_s": 30},
            {"name": "backoff", "tries": 6, "first_s": 60, "factor": 2, "top_s": 3600},
            {"name": "plateau", "tries": 72, "first_s": 3600},
        ],
        "jitter": 0.2,
        "retry_after_max_s": 3600,
    },
    NoticeClass.D: {
        "phases": [
            {"name": "immediate", "tries": 2, "first_s": 30},
            {"name": "quick", "tries": 4, "first_s": 60},
            {"name": "backoff", "tries": 7, "first_s": 120, "factor": 2, "top_s": 14400},
            {"name": "plateau", "tries": 18, "first_s": 14400},
        ],
        "jitter": 0.2,
        "retry_after_max_s": 14400,
    },
}


def read_schedule(notice_class: NoticeClass, record: Mapping[str, Any]) -> RetrySchedule:
    """Read a class's schedule; what the record leaves out is the default's.

    Raises pydantic's ValidationError, each fault with its pointer, where it hangs together badly:
    delays that shrink, more than 500 tries, a horizon beyond 14 days, jitter beyond 0.5.
    """
    put = SchedulePut.model_validate({**DEFAULT_RECORDS[notice_class], **record})
    delays = itertools.chain.from_iterable(one.delays_s for one in put.phases)
    return RetrySchedule(
        phases=tuple(
            Phase(
                name=one.name,
                tries=one.tries,
                first=dt.timedelta(seconds=one.first_s),
                factor=one.factor,
                top=dt.timedelta(seconds=one.first_s if one.top_s is None else one.top_s),
            )
            for one in put.phases
        ),
        delays=tuple(dt.timedelta(seconds=one) for one in delays),
        jitter=put.jitter,
        retry_after_max=dt.timedelta(seconds=put.retry_after_max_s),
    )


@functools.cache
def default_schedules() -> Schedules:
    """Give the schedules of an installation that has written none of its own."""
    return {one: read_schedule(one, {}) for one in NoticeClass}
