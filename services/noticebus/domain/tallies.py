"""What an obligation counts as in the report's figures, without asking what time it is.

Whether something has fallen due is a matter of the clock, so nothing here looks at it: counters are
kept by due time, and a report adds up those whose time has come.
"""

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum

from noticebus.contracts.vocabulary import ObligationState, Standing
from noticebus.domain.figures import Owing, closed_within_target, fell_due, time_to_close

MINUTE_S = 60
MINUTES_OF_HOUR = 60
NO_TIME = -1  # the bucket of what has not closed
FINE_BITS = 6  # a bucket is a second wide up to 64 s, and a thirty-second part of an octave after
_HALF = 1 << (FINE_BITS - 1)


class Counted(StrEnum):
    """How an obligation enters the figures, once its deadline has passed."""

    UNDATED = "undated"  # open, and nothing due
    OPEN = "open"
    ADVISORY_UNDATED = "advisory_undated"  # the same of those who need not answer: only listed
    ADVISORY_OPEN = "advisory_open"
    IN_TIME = "in_time"  # closed by its deadline
    LATE = "late"  # closed after it
    UNANSWERED = "unanswered"  # ended without a closing answer, and still in the denominator
    WAIVED = "waived"  # in no figure; its number is said beside them


_OPEN = {
    (Standing.MANDATORY, False): Counted.UNDATED,
    (Standing.MANDATORY, True): Counted.OPEN,
    (Standing.ADVISORY, False): Counted.ADVISORY_UNDATED,
    (Standing.ADVISORY, True): Counted.ADVISORY_OPEN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one obligation adds one to. `due_minute` counts from 1970; `took` is a bucket."""

    counted: Counted
    due_minute: int | None
    took: int = NO_TIME


def cell_of(owing: Owing) -> Cell | None:
    """Say what an obligation counts as; None where it never enters a figure as it is."""
    due_minute = None if owing.due_at is None else minute_of(owing.due_at)
    if owing.state is ObligationState.OPEN:
        sort = _OPEN[owing.standing, due_minute is not None]
        return Cell(counted=sort, due_minute=due_minute)
    if owing.due_at is None or owing.standing is not Standing.MANDATORY:
        return None
    if owing.state is ObligationState.WAIVED:
        return Cell(counted=Counted.WAIVED, due_minute=due_minute)
    if not fell_due(owing, now=owing.due_at):  # would it, once its time has come
        return None
    took = time_to_close(owing)
    if took is None:
        return Cell(counted=Counted.UNANSWERED, due_minute=due_minute)
    sort = Counted.IN_TIME if closed_within_target(owing) else Counted.LATE
    return Cell(counted=sort, due_minute=due_minute, took=bucket_of(took))


def minute_of(at: dt.datetime) -> int:
    """Give the number of the minute that an instant is in, from 1970."""
    return int(at.timestamp() // MINUTE_S)


def start_of(minute: int) -> dt.datetime:
    """Give the instant a numbered minute begins."""
    return dt.datetime.fromtimestamp(minute * MINUTE_S, tz=dt.UTC)


def bucket_of(took: dt.timedelta) -> int:
    """Give the bucket of a time to close: the longer, the wider, at most 1/32 of it."""
    seconds = max(took // dt.timedelta(seconds=1), 0)
    shift = max(seconds.bit_length() - FINE_BITS, 0)
    return shift * _HALF + (seconds >> shift)


def bounds_of(bucket: int) -> tuple[dt.timedelta, dt.timedelta]:
    """Give the shortest time of a bucket, and the shortest of the next one."""
    shift = max(bucket // _HALF - 1, 0)
    first = bucket - shift * _HALF
    return dt.timedelta(seconds=first << shift), dt.timedelta(seconds=(first + 1) << shift)
