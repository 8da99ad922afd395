"""How fast a backlog goes: so many deliveries at a time that the rate agreed to is never passed.

Pure. Machine time, since it is machines that are spared.
"""

import datetime as dt
import math
from dataclasses import dataclass

ROUND = dt.timedelta(seconds=1)  # how much of the rate one round lets go
PAUSE_MIN = dt.timedelta(milliseconds=250)  # between two rounds of one backlog
LOOK_AGAIN = dt.timedelta(seconds=5)  # where nothing waits, and a replay has not ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one backlog lets go now, and how long it waits then."""

    count: int
    pause: dt.timedelta


def next_round(*, rate_per_minute: int, window: int, under_way: int) -> Round:
    """Decide how many deliveries go: what a second of the rate allows, as far as there is room.

    `window` is how many may be under way at once, `under_way` how many are. The pause is what those
    that go take up of the rate: a rate below one a second lets one go, and waits for longer.
    """
    share = math.ceil(rate_per_minute * ROUND / dt.timedelta(minutes=1))
    count = max(min(share, window - under_way), 0)
    taken_up = count * dt.timedelta(minutes=1) / rate_per_minute
    return Round(count=count, pause=max(taken_up, PAUSE_MIN))
