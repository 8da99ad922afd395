"""How an exercise is scored: a plain rule that a recipient can check by hand."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from noticebus.contracts.vocabulary import ExerciseState, Standing
from noticebus.ids import AgencyId

IN_TIME = 100
LATE = 50
STEP_COST = 10
LEAST = 10
RULE = (
    f"Answered by the deadline {IN_TIME} points, later {LATE}; {STEP_COST} less for every step it"
    f" took, but never under {LEAST}; not answered 0."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one recipient's part took. `settled_at` is its closing answer, taken on or declined.

    One whose answer was `waived` is in no figure, and has no score.
    """

    agency_id: AgencyId
    standing: Standing
    told_at: dt.datetime | None
    due_at: dt.datetime | None
    settled_at: dt.datetime | None
    steps: int
    waived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Overall:
    """The figures of an exercise, over the mandatory alone. None is "nobody", never zero."""

    mandatory: int
    within_target: int
    score: int | None
    slowest: Taken | None
    never_reached: tuple[AgencyId, ...]
    never_answered: tuple[AgencyId, ...]
    waived: tuple[AgencyId, ...]


def state_at(
    stored: ExerciseState, *, starts_at: dt.datetime, ends_at: dt.datetime, now: dt.datetime
) -> ExerciseState:
    """Tell an exercise's state by the clock; only a cancel does not depend on it."""
    if stored is ExerciseState.CANCELLED:
        return stored
    if now >= ends_at:
        return ExerciseState.ENDED
    return ExerciseState.RUNNING if now >= starts_at else ExerciseState.SCHEDULED


def within_target(taken: Taken) -> bool:
    """Say whether the closing answer came by the deadline; without one any answer is in time."""
    if taken.settled_at is None:
        return False
    return taken.due_at is None or taken.settled_at <= taken.due_at


def score(taken: Taken) -> int | None:
    """Give 0 to 100 points by `RULE`; none to whose answer was waived."""
    return None if taken.waived else _points(taken)


def _points(taken: Taken) -> int:
    if taken.settled_at is None:
        return 0
    full = IN_TIME if within_target(taken) else LATE
    return max(full - STEP_COST * taken.steps, LEAST)


def overall(parts: Sequence[Taken]) -> Overall:
    """Sum an exercise up: who was mandatory counts, who was advisory or waived is only listed."""
    mandatory = [one for one in parts if one.standing is Standing.MANDATORY]
    bound = [one for one in mandatory if not one.waived]
    points = [_points(one) for one in bound]
    settled = [(one.settled_at, one.agency_id, one) for one in bound if one.settled_at is not None]
    return Overall(
        mandatory=len(bound),
        within_target=sum(within_target(one) for one in bound),
        score=round(sum(points) / len(points)) if points else None,
        slowest=max(settled, key=_when)[2] if settled else None,
        never_reached=tuple(one.agency_id for one in bound if one.told_at is None),
        never_answered=tuple(one.agency_id for one in bound if one.settled_at is None),
        waived=tuple(one.agency_id for one in mandatory if one.waived),
    )


def _when(settled: tuple[dt.datetime, AgencyId, Taken]) -> tuple[dt.datetime, AgencyId]:
    return settled[:2]
