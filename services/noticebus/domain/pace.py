"""Back-pressure as rules: how much a process takes on, by how long its transactions took.

Pure: durations go in, a pace comes out. A claim grows by a step and shrinks by half, so that many
dispatchers on one database find a share that it can bear without a word between them.
"""

import datetime as dt
import math
from dataclasses import dataclass

CLAIM_MAX = 500
CLAIM_MIN = 100  # below it a claim costs as much and brings less
CLAIM_STEP = 25
AT_ONCE_MAX = 8
AT_ONCE_MIN = 2
SLOW = dt.timedelta(seconds=1)  # a transaction that takes so long says: take less
ROW = dt.timedelta(milliseconds=5)  # what a row may take beside; most of it is our own work
BATCH_MAX = 64
RETRY_AFTER_S_MIN = 2
RETRY_AFTER_S_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPace:
    """How many deliveries a claim of the sweep takes, and how many claims run at once."""

    size: int = CLAIM_MAX
    at_once: int = AT_ONCE_MAX


def pace_after(pace: ClaimPace, *, took: dt.timedelta, rows: int = 0) -> ClaimPace:
    """Give the pace after a claim or a record of `rows` that `took` so long.

    It is half of it after a slow one, and a step more after one that took less than half as long.
    """
    slow = SLOW + rows * ROW
    if took >= slow:
        return ClaimPace(
            size=max(pace.size // 2, CLAIM_MIN), at_once=max(pace.at_once // 2, AT_ONCE_MIN)
        )
    if took < slow / 2:
        return ClaimPace(
            size=min(pace.size + CLAIM_STEP, CLAIM_MAX), at_once=min(pace.at_once + 1, AT_ONCE_MAX)
        )
    return pace


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakePace:
    """How long a batch of notices takes to commit of late, and how many fit one."""

    usual: dt.timedelta = dt.timedelta()
    fits: int = BATCH_MAX


def intake_after(pace: IntakePace, *, took: dt.timedelta, stored: int, offered: int) -> IntakePace:
    """Give the pace after a batch of which `stored` notices of those `offered` fitted.

    The last batch counts half, so that three good ones end what a slow one began.
    """
    fits = max(stored, 1) if stored < offered else min(pace.fits * 2, BATCH_MAX)
    return IntakePace(usual=(pace.usual + took) / 2, fits=fits)


def expected_wait(
    pace: IntakePace, *, ahead: int, running_for: dt.timedelta | None
) -> dt.timedelta:
    """Say how long one more notice would wait for its commit behind `ahead` others.

    `running_for` is how long the batch in hand has taken yet; a batch that takes longer than usual
    makes those behind it expect as much. Where nothing runs and nobody waits the answer is 0: the
    one that comes then finds out how the database is.
    """
    if running_for is None:
        return pace.usual * (ahead // pace.fits + 1) if ahead else dt.timedelta()
    usual = max(pace.usual, running_for)
    return usual - running_for + usual * (ahead // pace.fits + 1)


def retry_after_s(wait: dt.timedelta) -> int:
    """Give the seconds after which a refused post should come again: 2 to 60."""
    return min(max(math.ceil(wait.total_seconds()), RETRY_AFTER_S_MIN), RETRY_AFTER_S_MAX)
