"""The report's figures and order: what is overdue, how long answers took, who comes first.

Nothing here flatters: whoever fell silent ranks last in every percentile and stays in every
denominator (research/ux.md, section 4.3).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from noticebus.contracts.report import Age
from noticebus.contracts.vocabulary import ObligationState, Standing

SHARE_DIGITS = 4
HOUR_S, DAY_S = 3600, 86400


class Tier(IntEnum):
    """Where a line stands in the report, the most pressing first."""

    UNREACHABLE = 0
    OVERDUE = 1
    DUE = 2
    NOTHING_DUE = 3


# How long ago the deadline of an age was at least; what is to come is less than nothing.
AGE_BEGINS = {
    Age.SOON: dt.timedelta(minutes=-15),
    Age.LATE: dt.timedelta(),
    Age.LATER: dt.timedelta(hours=1),
    Age.LATEST: dt.timedelta(hours=4),
    Age.OLDEST: dt.timedelta(hours=24),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The deadlines of an age: after `after`, up to `until`; None is without end."""

    after: dt.datetime | None
    until: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Owing:
    """What the figures need to know of an obligation, at the time of the report."""

    standing: Standing
    state: ObligationState
    due_at: dt.datetime | None
    started_at: dt.datetime
    closed_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The headline figures of mandatory obligations. None is "not reached", or no figure at all."""

    open: int
    overdue: int
    oldest_due_at: dt.datetime | None
    due: int
    closed_within: int
    p50: dt.timedelta | None
    p90: dt.timedelta | None


def tier_of(*, reachable: bool, due_at: dt.datetime | None, now: dt.datetime) -> Tier:
    """Place an open obligation: unreachable before overdue before due before nothing due."""
    if not reachable:
        return Tier.UNREACHABLE
    if due_at is None:
        return Tier.NOTHING_DUE
    return Tier.OVERDUE if due_at <= now else Tier.DUE


def age_of(due_at: dt.datetime | None, *, now: dt.datetime) -> Age:
    """Give how an open obligation stands to its deadline; without one it is never late."""
    if due_at is None:
        return Age.EARLY
    begun = [age for age, since in AGE_BEGINS.items() if due_at <= now - since]
    return begun[-1] if begun else Age.EARLY


def span_of(age: Age, *, now: dt.datetime) -> Span:
    """Give which deadlines an age has at `now`. The first is also that of what has no deadline."""
    later = list(Age)[list(Age).index(age) + 1 :]
    return Span(
        after=now - AGE_BEGINS[later[0]] if later else None,
        until=now - AGE_BEGINS[age] if age in AGE_BEGINS else None,
    )


def overdue_by(due_at: dt.datetime | None, *, now: dt.datetime) -> dt.timedelta | None:
    """Give how long ago something fell due; None where it has not."""
    return now - due_at if due_at is not None and due_at <= now else None


def counts(owing: Owing) -> bool:
    """Say whether an obligation enters the headline: mandatory, and no operator has waived it."""
    return owing.standing is Standing.MANDATORY and owing.state is not ObligationState.WAIVED


def fell_due(owing: Owing, *, now: dt.datetime) -> bool:
    """Say whether a counted obligation fell due by `now`; one withdrawn before that never did."""
    if owing.due_at is None or owing.due_at > now or not counts(owing):
        return False
    if owing.state is not ObligationState.WITHDRAWN:
        return True
    return owing.closed_at is not None and owing.closed_at > owing.due_at


def time_to_close(owing: Owing) -> dt.timedelta | None:
    """Give how long its round ran until it closed.

    None for the silent, and for a decline: whoever declined has not taken it on.
    """
    if owing.state is not ObligationState.CLOSED or owing.closed_at is None:
        return None
    return owing.closed_at - owing.started_at


def closed_within_target(owing: Owing) -> bool:
    """Say whether the closing answer came by the deadline; a decline closes nothing."""
    return (
        owing.state is ObligationState.CLOSED
        and owing.closed_at is not None
        and owing.due_at is not None
        and owing.closed_at <= owing.due_at
    )


def time_to_deliver(owing: Owing, *, delivered_at: dt.datetime | None) -> dt.timedelta | None:
    """Give how long it took us: from the start of the round to the first delivery in it.

    None where nothing was delivered: it ranks last.
    """
    return None if delivered_at is None else max(delivered_at - owing.started_at, dt.timedelta())


def time_to_answer(owing: Owing, *, delivered_at: dt.datetime | None) -> dt.timedelta | None:
    """Give how long it took them: from the first delivery in the round to the closing answer.

    None for the silent, for a decline, and where nothing was delivered. Who had answered before
    that, by telephone, took no time.
    """
    took = time_to_close(owing)
    if took is None or delivered_at is None:
        return None
    return max(took - (delivered_at - owing.started_at), dt.timedelta())


def nearest_rank(count: int, *, percent: int) -> int:
    """Give the 1-based rank of a percentile among `count` by the nearest-rank method."""
    return -(-count * percent // 100)


def percentile_of(
    answered: Sequence[dt.timedelta], *, count: int, percent: int
) -> dt.timedelta | None:
    """Give a percentile of `answered` (ascending) among `count` that fell due.

    None where it falls on one of the silent, who rank last, and where nothing fell due.
    """
    rank = nearest_rank(count, percent=percent)
    return answered[rank - 1] if 0 < rank <= len(answered) else None


def share(part: int, *, of: int) -> float | None:
    """Give `part` / `of`; None where nothing fell due, which is not the same as nothing done."""
    return None if of == 0 else round(part / of, SHARE_DIGITS)


def how_long(duration: dt.timedelta) -> str:
    """Write a duration for people: `47 min`, `3 h 10 min`, `2 d 4 h`; rounded down."""
    seconds = int(duration.total_seconds())
    if seconds < HOUR_S:
        return f"{seconds // 60} min" if seconds >= 60 else f"{seconds} s"  # noqa: PLR2004 - a minute
    if seconds < DAY_S:
        return f"{seconds // HOUR_S} h {seconds % HOUR_S // 60} min"
    return f"{seconds // DAY_S} d {seconds % DAY_S // HOUR_S} h"
