"""Retry schedules: what an operator writes in the settings, and what anybody with a key may read.

A schedule is a list of phases. Its bounds are part of the contract: nobody can write one that
never ends, or one that hammers a server.
"""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from noticebus.contracts.base import Accepted, Published, at, refuse
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.errors import Detail

TRIES_MAX = 500
DAY_S = 24 * 60 * 60
HORIZON_S_MAX = 14 * DAY_S
RETRY_AFTER_S_MAX = DAY_S
FIRST_S_MIN = 0.1
FACTOR_MAX = 10
JITTER_MAX = 0.5

PhaseName = Literal["immediate", "quick", "backoff", "plateau"]
PHASES: tuple[PhaseName, ...] = ("immediate", "quick", "backoff", "plateau")

Seconds = Annotated[float, Field(ge=FIRST_S_MIN, le=HORIZON_S_MAX, allow_inf_nan=False)]


class PhasePut(Accepted):
    """A stretch of a schedule: `tries` delays from `first_s`, times `factor` each, up to `top_s`.

    Without `top_s` the delay never grows beyond `first_s`.
    """

    name: PhaseName
    tries: Annotated[int, Field(strict=True, ge=1, le=TRIES_MAX)]
    first_s: Seconds
    factor: Annotated[float, Field(ge=1, le=FACTOR_MAX, allow_inf_nan=False)] = 1.0
    top_s: Seconds | None = None

    @property
    def delays_s(self) -> tuple[float, ...]:
        """Give the phase's delays in order, in seconds."""
        top = self.first_s if self.top_s is None else self.top_s
        delays = [self.first_s]
        while len(delays) < self.tries:
            delays.append(min(delays[-1] * self.factor, top))
        return tuple(delays)


class SchedulePut(Accepted):
    """How a class of notices is tried again. Delays never shrink from one try to the next."""

    phases: Annotated[tuple[PhasePut, ...], Field(min_length=1, max_length=len(PHASES))]
    jitter: Annotated[float, Field(ge=0, le=JITTER_MAX, allow_inf_nan=False)]
    retry_after_max_s: Annotated[float, Field(ge=1, le=RETRY_AFTER_S_MAX, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        order = [PHASES.index(one.name) for one in self.phases]
        if order != sorted(set(order)):
            names = ", ".join(PHASES)
            refuse([at("/phases", f"name each phase once at most, in this order: {names}")])
        refuse(_shrinking(self.phases))
        refuse(_beyond_bounds(self.phases))
        return self


def _shrinking(phases: Sequence[PhasePut]) -> list[Detail]:
    faults, before = [], 0.0
    for number, phase in enumerate(phases):
        if phase.first_s < before:
            message = f"give at least {before:g}, where the phase before ends: no delay may shrink"
            faults.append(at(f"/phases/{number}/first_s", message))
        if phase.top_s is not None and phase.top_s < phase.first_s:
            faults.append(at(f"/phases/{number}/top_s", "give at least first_s"))
        before = phase.delays_s[-1]
    return faults


def _beyond_bounds(phases: Sequence[PhasePut]) -> list[Detail]:
    delays = sum(one.tries for one in phases)
    lasting = sum(sum(one.delays_s) for one in phases)
    if delays >= TRIES_MAX:
        message = f"give at most {TRIES_MAX - 1} tries after the first; these are {delays}"
        return [at("/phases", message)]
    if lasting > HORIZON_S_MAX:
        days = lasting / DAY_S
        return [at("/phases", f"end within {HORIZON_S_MAX // DAY_S} days; these last {days:.1f}")]
    return []


class PhaseView(Published):
    """A phase in force: `tries` delays from `first_s`, times `factor` each, at most `top_s`."""

    name: PhaseName
    tries: int
    first_s: float
    factor: float
    top_s: float


class ScheduleView(Published):
    """The schedule in force for a class.

    `tries` counts the first one too; `horizon_s` is the time from the first try to the last,
    without jitter and `Retry-After`. A delay varies by the share `jitter` either way. Faults of the
    bus use up none of the tries.
    """

    notice_class: Annotated[NoticeClass, Field(alias="class")]
    phases: tuple[PhaseView, ...]
    jitter: float
    retry_after_max_s: float
    tries: int
    horizon_s: float


class ScheduleList(Published):
    """Every class's schedule, the gravest first."""

    items: tuple[ScheduleView, ...]
