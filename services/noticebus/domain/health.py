"""The rules of an endpoint's health: when it is warned about, when it trips, when it is probed.

Pure: how it stood, what a batch of attempts came to and the time go in; how it stands comes out.
"""

import datetime as dt
import math
from dataclasses import dataclass, replace

from noticebus.contracts.vocabulary import EndpointState

WARNED_AT = (50, 70, 90, 100)  # per cent of the failures in a row that trip it
PROBE_FIRST = dt.timedelta(seconds=30)
PROBE_MAX = dt.timedelta(minutes=5)
ERROR_CHARS_MAX = 500
DOWN = frozenset({EndpointState.TRIPPED, EndpointState.PROBING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How an endpoint stands.

    `failures` are those in a row, over all dispatchers; `trips` counts the trip and each probe that
    failed since. `probe_at` and `drain_at` are machine time, the other instants world time.
    """

    state: EndpointState = EndpointState.HEALTHY
    failures: int = 0
    trips: int = 0
    failing_since: dt.datetime | None = None
    tripped_at: dt.datetime | None = None
    probe_at: dt.datetime | None = None
    drain_at: dt.datetime | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a batch of attempts says of one endpoint, in the order in which they ended.

    `failures` are those after the last success; `failed_at` is the first of them.
    """

    succeeded: bool
    failures: int
    failed_at: dt.datetime | None = None
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How an endpoint stands after a batch, and what is to be said of it.

    `warning` is the highest stage reached, in per cent; `recovered` follows a warning or a trip.
    """

    health: Health
    warning: int | None = None
    recovered: bool = False

    @property
    def tripped(self) -> bool:
        return self.warning == WARNED_AT[-1]


def after_batch(
    before: Health,
    tally: Tally,
    *,
    trip_after: int,
    now: dt.datetime,
    machine_now: dt.datetime,
) -> Change:
    """Decide how an endpoint stands after a batch.

    One success makes it healthy, whatever it was, and lets its backlog go. `trip_after` failures in
    a row trip it, and a batch that passes several stages is warned of by the highest.
    """
    recovered = tally.succeeded and before.failures >= _threshold(WARNED_AT[0], trip_after)
    if tally.succeeded:
        drains = before.state in DOWN
        before = Health(drain_at=machine_now if drains else before.drain_at)
    if not tally.failures:
        return Change(health=before, recovered=recovered)
    failed = replace(
        before,
        failures=before.failures + tally.failures,
        failing_since=before.failing_since or tally.failed_at or now,
        last_error=tally.last_error[:ERROR_CHARS_MAX],
    )
    if before.state in DOWN:
        return Change(health=_still_down(failed, machine_now=machine_now))
    warning = _stage(before.failures, failed.failures, trip_after=trip_after)
    if failed.failures < trip_after:
        failing = replace(failed, state=EndpointState.FAILING)
        return Change(health=failing, warning=warning, recovered=recovered)
    tripped = replace(
        failed,
        state=EndpointState.TRIPPED,
        trips=1,
        tripped_at=now,
        probe_at=machine_now + probe_delay(1),
        drain_at=None,
    )
    return Change(health=tripped, warning=warning, recovered=recovered)


def after_probe_left(before: Health, *, machine_now: dt.datetime) -> Health:
    """Give how a tripped endpoint stands once its probe is let through.

    The next is let through at `probe_at` where nothing has been heard of this one by then.
    """
    return replace(
        before,
        state=EndpointState.PROBING,
        probe_at=machine_now + probe_delay(before.trips),
    )


def probe_delay(trips: int) -> dt.timedelta:
    """Give the wait for the next probe: 30 s, doubling with each that fails, 5 min at most."""
    doublings = min(max(trips, 1) - 1, 10)
    return min(PROBE_FIRST * (1 << doublings), PROBE_MAX)


def _still_down(failed: Health, *, machine_now: dt.datetime) -> Health:
    """Count a probe that failed; what was under way when it tripped moves no probe."""
    if failed.state is not EndpointState.PROBING:
        return failed
    trips = failed.trips + 1
    return replace(
        failed,
        state=EndpointState.TRIPPED,
        trips=trips,
        probe_at=machine_now + probe_delay(trips),
    )


def _stage(before: int, after: int, *, trip_after: int) -> int | None:
    """Give the highest stage that is reached now and was not before."""
    reached = [one for one in WARNED_AT if before < _threshold(one, trip_after) <= after]
    return reached[-1] if reached else None


def _threshold(per_cent: int, trip_after: int) -> int:
    return math.ceil(trip_after * per_cent / 100)
