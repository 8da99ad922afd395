"""How long a subscription whose endpoint is called stands without anybody renewing it.

Warned three times, then paused, never ended: only a person does that.
"""

import datetime as dt
from dataclasses import dataclass

from noticebus.contracts.vocabulary import Channel

WARNED_BEFORE = (dt.timedelta(days=30), dt.timedelta(days=7), dt.timedelta(days=1))
CALLED = frozenset({Channel.WEBHOOK, Channel.KAFKA})
"""The channels over which somebody's own system is called: these have leases and heartbeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Until when it stands, and how many of the warnings before that are behind it."""

    until: dt.datetime
    warned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """Nothing is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warn:
    """A warning is due; after it, `warned` of them are behind the lease."""

    warned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse:
    """Nobody renewed it."""


def grant(*, days: int, at: dt.datetime) -> Lease | None:
    """Give a lease of `days` from `at`; none where `days` is 0.

    Warnings that would fall before it begins count as given: a short lease is not warned at once.
    """
    if days == 0:
        return None
    until = at + dt.timedelta(days=days)
    return Lease(until=until, warned=_behind(until, at))


def look(lease: Lease, *, now: dt.datetime) -> Stands | Warn | Lapse:
    """Say what is due of a lease. After an outage only the last warning that fell is."""
    if lease.until <= now:
        return Lapse()
    behind = _behind(lease.until, now)
    return Warn(warned=behind) if behind > lease.warned else Stands()


def _behind(until: dt.datetime, now: dt.datetime) -> int:
    return sum(until - before <= now for before in WARNED_BEFORE)
