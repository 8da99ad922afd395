"""When an endpoint that hears nothing is told its last number, so that it can see a gap (I10)."""

import datetime as dt
from dataclasses import dataclass

from noticebus.domain.schedules import RetrySchedule

SCHEDULE = RetrySchedule(  # few tries: the next heartbeat, or a notice, says the same
    phases=(),
    delays=(dt.timedelta(seconds=10), dt.timedelta(seconds=30)),
    jitter=0.2,
    retry_after_max=dt.timedelta(minutes=1),
)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MINUTE = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a heartbeat that has fallen due comes to, and when the next one does."""

    sends: bool
    next_at: dt.datetime


def beat(
    *, now: dt.datetime, every: dt.timedelta, told_at: dt.datetime | None, works: bool
) -> Beat:
    """Decide about a heartbeat that is due: none follows a notice that has said the same.

    `told_at` is when the notice with the last number was delivered, None where it was not. `works`
    is false for a paused subscription and a tripped endpoint: they are told nothing meanwhile.
    """
    if works and told_at is not None and now < told_at + every:
        return Beat(sends=False, next_at=told_at + every)
    return Beat(sends=works, next_at=now + every)


def minute_of(instant: dt.datetime) -> int:
    """Give the minute since 1970 that numbers a heartbeat: each of a subscription has its own."""
    return (instant - _EPOCH) // _MINUTE
