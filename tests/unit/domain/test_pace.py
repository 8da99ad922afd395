"""How much is taken on: less after what was slow, more after what was brisk, always in bounds."""

import datetime as dt
import itertools

from hypothesis import given
from hypothesis import strategies as st

from noticebus.domain.pace import (
    AT_ONCE_MAX,
    AT_ONCE_MIN,
    BATCH_MAX,
    CLAIM_MAX,
    CLAIM_MIN,
    CLAIM_STEP,
    ROW,
    SLOW,
    ClaimPace,
    IntakePace,
    expected_wait,
    intake_after,
    pace_after,
    retry_after_s,
)

durations = st.timedeltas(min_value=dt.timedelta(), max_value=dt.timedelta(minutes=1))
TICK = dt.timedelta(microseconds=1)


def seconds(number: float) -> dt.timedelta:
    return dt.timedelta(seconds=number)


def test_a_slow_transaction_halves_what_is_claimed() -> None:
    assert pace_after(ClaimPace(), took=SLOW) == ClaimPace(
        size=CLAIM_MAX // 2, at_once=AT_ONCE_MAX // 2
    )


def test_a_quick_transaction_adds_one_step() -> None:
    pace = pace_after(ClaimPace(size=100, at_once=2), took=SLOW / 2 - TICK)

    assert pace == ClaimPace(size=100 + CLAIM_STEP, at_once=3)


def test_one_between_changes_nothing() -> None:
    pace = ClaimPace(size=100, at_once=2)

    assert pace_after(pace, took=SLOW / 2) == pace_after(pace, took=SLOW - TICK) == pace


def test_a_record_of_many_rows_may_take_longer() -> None:
    pace = ClaimPace(size=200, at_once=4)

    assert pace_after(pace, took=SLOW, rows=500).size == 200 + CLAIM_STEP
    assert pace_after(pace, took=SLOW + 500 * ROW, rows=500).size == 100


@given(st.lists(durations, max_size=60))
def test_whatever_happens_the_claim_stays_within_its_bounds(took: list[dt.timedelta]) -> None:
    pace = ClaimPace()

    for one in took:
        pace = pace_after(pace, took=one)

    assert CLAIM_MIN <= pace.size <= CLAIM_MAX
    assert AT_ONCE_MIN <= pace.at_once <= AT_ONCE_MAX


def test_from_the_least_a_good_database_leads_back_to_the_most() -> None:
    pace = ClaimPace(size=CLAIM_MIN, at_once=AT_ONCE_MIN)

    for _ in range(CLAIM_MAX // CLAIM_STEP):
        pace = pace_after(pace, took=dt.timedelta())

    assert pace == ClaimPace()


def test_where_nothing_runs_and_nobody_waits_nobody_is_refused() -> None:
    slow = IntakePace(usual=seconds(60))

    assert expected_wait(slow, ahead=0, running_for=None) == dt.timedelta()


def test_a_notice_waits_for_the_batches_before_it_and_its_own() -> None:
    pace = IntakePace(usual=seconds(2))

    assert expected_wait(pace, ahead=1, running_for=None) == seconds(2)
    assert expected_wait(pace, ahead=BATCH_MAX, running_for=None) == seconds(4)
    assert expected_wait(pace, ahead=0, running_for=seconds(0.5)) == seconds(1.5 + 2)
    assert expected_wait(pace, ahead=2 * BATCH_MAX, running_for=seconds(2)) == seconds(6)


def test_a_batch_that_takes_longer_than_ever_lets_the_next_expect_as_much() -> None:
    pace = IntakePace(usual=seconds(0.01))

    assert expected_wait(pace, ahead=0, running_for=seconds(11)) == seconds(11)


@given(durations, st.integers(1, BATCH_MAX), st.integers(0, 1000), st.none() | durations)
def test_nobody_waits_less_for_coming_later(
    usual: dt.timedelta, fits: int, ahead: int, running_for: dt.timedelta | None
) -> None:
    pace = IntakePace(usual=usual, fits=fits)

    waits = [expected_wait(pace, ahead=one, running_for=running_for) for one in (ahead, ahead + 1)]

    assert dt.timedelta() <= waits[0] <= waits[1]


def test_batches_that_are_cut_count_for_what_fitted_and_grow_again() -> None:
    cut = intake_after(IntakePace(), took=seconds(1), stored=5, offered=64)
    whole = intake_after(cut, took=seconds(1), stored=5, offered=5)

    assert (cut.fits, whole.fits) == (5, 10)
    assert expected_wait(cut, ahead=10, running_for=None) == seconds(1.5)


def test_three_good_batches_end_what_a_slow_one_began() -> None:
    pace = intake_after(IntakePace(), took=seconds(16), stored=1, offered=1)

    for _ in range(3):
        pace = intake_after(pace, took=dt.timedelta(), stored=1, offered=1)

    assert pace.usual == seconds(1)


def test_a_refused_poster_is_told_between_2_and_60_seconds() -> None:
    told = [retry_after_s(seconds(one)) for one in (0, 2.1, 59, 3600)]

    assert told == [2, 3, 59, 60]
    assert all(before <= after for before, after in itertools.pairwise(told))
