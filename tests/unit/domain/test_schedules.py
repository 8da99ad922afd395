"""The retry schedules as data: what they come to, and what no setting can make of them."""

import datetime as dt
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from noticebus.contracts.faults import details
from noticebus.contracts.schedule import HORIZON_S_MAX, TRIES_MAX
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.domain.schedules import default_schedules, read_schedule

SCHEDULES = default_schedules()
classes = st.sampled_from(NoticeClass)


def phase(name: str, tries: int, first_s: float, **more: float) -> dict[str, Any]:
    return {"name": name, "tries": tries, "first_s": first_s, **more}


@given(classes)
def test_delays_never_shrink_within_a_phase_nor_from_one_to_the_next(
    notice_class: NoticeClass,
) -> None:
    delays = SCHEDULES[notice_class].delays

    assert list(delays) == sorted(delays)
    assert min(delays) > dt.timedelta()


def test_the_more_urgent_class_waits_less_at_every_try() -> None:
    ladder = [SCHEDULES[one].delays for one in NoticeClass]

    for urgent, calmer in itertools.pairwise(ladder):
        assert all(fast <= slow for fast, slow in zip(urgent, calmer, strict=False))


@pytest.mark.parametrize(
    ("notice_class", "tries_max", "hours"),
    [
        (NoticeClass.A, 300, 24.1),
        (NoticeClass.B, 205, 48.4),
        (NoticeClass.C, 85, 73.1),
        (NoticeClass.D, 32, 76.3),
    ],
)
def test_schedules_have_these_tries_and_horizons(
    notice_class: NoticeClass, tries_max: int, hours: float
) -> None:
    schedule = SCHEDULES[notice_class]

    assert schedule.tries_max == tries_max
    assert schedule.horizon / dt.timedelta(hours=1) == pytest.approx(hours, abs=0.1)


def test_phases_are_named_in_the_order_they_run() -> None:
    assert [phase.name for phase in SCHEDULES[NoticeClass.A].phases] == [
        "immediate",
        "quick",
        "backoff",
        "plateau",
    ]


def test_a_class_may_be_given_phases_of_its_own_and_keeps_the_rest_of_its_default() -> None:
    record = {"phases": [phase("quick", 2, 3), phase("backoff", 3, 4, factor=3, top_s=30)]}

    schedule = read_schedule(NoticeClass.A, record)

    assert [one.total_seconds() for one in schedule.delays] == [3, 3, 4, 12, 30]
    assert schedule.jitter == SCHEDULES[NoticeClass.A].jitter
    assert schedule.retry_after_max == SCHEDULES[NoticeClass.A].retry_after_max


def test_without_jitter_a_delay_is_what_was_written() -> None:
    schedule = read_schedule(NoticeClass.B, {"jitter": 0})

    assert {schedule.jittered(schedule.delays[0], drawn) for drawn in (0, 0.3, 1)} == {
        schedule.delays[0]
    }


@pytest.mark.parametrize(
    ("record", "pointer", "said"),
    [
        ({"phases": []}, "/phases", "list at least 1"),
        ({"phases": [phase("slow", 1, 1)]}, "/phases/0/name", "use one of"),
        ({"phases": [phase("quick", 0, 1)]}, "/phases/0/tries", "at least 1"),
        ({"phases": [phase("quick", 1, 0)]}, "/phases/0/first_s", "at least 0.1"),
        ({"phases": [phase("quick", 1, float("inf"))]}, "/phases/0/first_s", "finite"),
        ({"phases": [phase("quick", 9, 1, factor=0.5)]}, "/phases/0/factor", "at least 1"),
        ({"phases": [phase("quick", 9, 5, top_s=1)]}, "/phases/0/top_s", "at least first_s"),
        (
            {"phases": [phase("quick", 1, 1), phase("quick", 1, 1)]},
            "/phases",
            "once at most, in this order: immediate, quick",
        ),
        ({"phases": [phase("plateau", 1, 9), phase("quick", 1, 9)]}, "/phases", "in this order"),
        (
            {"phases": [phase("quick", 2, 10), phase("backoff", 2, 5)]},
            "/phases/1/first_s",
            "at least 10, where the phase before ends",
        ),
        (
            {"phases": [phase("quick", 250, 1), phase("plateau", 250, 1)]},
            "/phases",
            "at most 499 tries after the first; these are 500",
        ),
        ({"phases": [phase("plateau", 15, 86400)]}, "/phases", "within 14 days; these last 15.0"),
        ({"jitter": 0.6}, "/jitter", "at most 0.5"),
        ({"jitter": -0.1}, "/jitter", "at least 0"),
        ({"retry_after_max_s": 0}, "/retry_after_max_s", "at least 1"),
        ({"retry_after_max_s": 1e6}, "/retry_after_max_s", "at most 86400"),
        ({"jiter": 0.1}, "/jiter", "did you mean jitter?"),
    ],
)
def test_a_schedule_that_hangs_together_badly_is_refused_where_it_does(
    record: dict[str, Any], pointer: str, said: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        read_schedule(NoticeClass.A, record)

    first = details(refused.value)[0]
    assert first.pointer == pointer
    assert said in first.message


@given(
    st.lists(
        st.tuples(st.integers(1, 300), st.floats(0.1, 1e6), st.floats(1, 10), st.floats(0.1, 1e6)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_is_accepted_never_shrinks_and_ends(
    written: list[tuple[int, float, float, float]],
) -> None:
    names = ("immediate", "quick", "backoff", "plateau")
    phases = [
        phase(name, tries, first_s, factor=factor, top_s=top_s)
        for name, (tries, first_s, factor, top_s) in zip(names, written, strict=False)
    ]

    try:
        schedule = read_schedule(NoticeClass.C, {"phases": phases})
    except ValidationError:
        return

    assert list(schedule.delays) == sorted(schedule.delays)
    assert schedule.tries_max <= TRIES_MAX
    assert schedule.horizon <= dt.timedelta(seconds=HORIZON_S_MAX + 1)
