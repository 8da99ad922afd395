"""How an exercise is scored, and its state by the clock."""

import datetime as dt
from typing import Any

import pytest

from noticebus.contracts.vocabulary import ExerciseState, Standing
from noticebus.domain.exercise import RULE, Taken, overall, score, state_at, within_target
from noticebus.ids import AgencyId

START = dt.datetime(2026, 10, 1, 14, 0, tzinfo=dt.UTC)
END = START + dt.timedelta(hours=3)


def minute(number: int) -> dt.datetime:
    return START + dt.timedelta(minutes=number)


def taken(name: str = "agy_1", **facts: Any) -> Taken:
    known: dict[str, Any] = {
        "agency_id": AgencyId(name),
        "standing": Standing.MANDATORY,
        "told_at": START,
        "due_at": minute(60),
        "settled_at": minute(10),
        "steps": 0,
    }
    return Taken(**(known | facts))


@pytest.mark.parametrize(
    ("facts", "points"),
    [
        ({}, 100),
        ({"settled_at": minute(60)}, 100),  # at the deadline is by the deadline
        ({"steps": 1}, 90),
        ({"settled_at": minute(61), "steps": 1}, 40),
        ({"settled_at": minute(61), "steps": 9}, 10),
        ({"settled_at": None, "steps": 4}, 0),
        ({"due_at": None}, 100),  # a record asks for no answer by any time
    ],
)
def test_score_follows_the_rule_that_is_printed(facts: dict[str, Any], points: int) -> None:
    assert score(taken(**facts)) == points
    assert all(number in RULE for number in ("100", "50", "10"))


def test_only_what_was_answered_by_its_deadline_is_within_target() -> None:
    assert within_target(taken())
    assert not within_target(taken(settled_at=minute(61)))
    assert not within_target(taken(settled_at=None))


def test_overall_counts_the_mandatory_and_names_who_was_slow_silent_or_not_reached() -> None:
    quick, slow = taken("agy_quick"), taken("agy_slow", settled_at=minute(90))
    silent = taken("agy_silent", settled_at=None, told_at=None)
    church = taken("agy_church", settled_at=None, told_at=None, standing=Standing.ADVISORY)
    waived = taken("agy_waived", settled_at=None, told_at=None, waived=True)

    found = overall([quick, slow, silent, church, waived])

    assert (found.mandatory, found.within_target, found.score) == (3, 1, 50)
    assert found.slowest == slow
    assert found.never_reached == found.never_answered == (AgencyId("agy_silent"),)
    assert (found.waived, score(waived)) == ((AgencyId("agy_waived"),), None)


def test_exercise_without_anybody_mandatory_has_no_score_rather_than_zero() -> None:
    found = overall([taken(standing=Standing.ADVISORY)])

    assert (found.mandatory, found.score, found.slowest) == (0, None, None)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (minute(-1), ExerciseState.SCHEDULED),
        (START, ExerciseState.RUNNING),
        (minute(179), ExerciseState.RUNNING),
        (END, ExerciseState.ENDED),
    ],
)
def test_state_goes_by_the_clock(now: dt.datetime, state: ExerciseState) -> None:
    for stored in (ExerciseState.SCHEDULED, ExerciseState.ENDED):
        assert state_at(stored, starts_at=START, ends_at=END, now=now) is state


def test_cancelled_stays_cancelled() -> None:
    stored = ExerciseState.CANCELLED
    assert state_at(stored, starts_at=START, ends_at=END, now=END) is stored
