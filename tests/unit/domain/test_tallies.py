"""What an obligation counts as, without asking what time it is."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import ObligationState, Standing
from noticebus.domain.figures import Owing
from noticebus.domain.tallies import (
    NO_TIME,
    Cell,
    Counted,
    bounds_of,
    bucket_of,
    cell_of,
    minute_of,
    start_of,
)

START = dt.datetime(2019, 8, 7, 13, 0, 30, tzinfo=dt.UTC)
DUE = START + dt.timedelta(hours=4)
HOUR = dt.timedelta(hours=1)
MINUTE = minute_of(DUE)


def owing(
    state: ObligationState = ObligationState.OPEN,
    *,
    due_at: dt.datetime | None = DUE,
    closed_at: dt.datetime | None = None,
    standing: Standing = Standing.MANDATORY,
) -> Owing:
    return Owing(
        standing=standing, state=state, due_at=due_at, started_at=START, closed_at=closed_at
    )


@pytest.mark.parametrize(
    ("given_", "counted"),
    [
        (owing(), Counted.OPEN),
        (owing(due_at=None), Counted.UNDATED),
        (owing(standing=Standing.ADVISORY), Counted.ADVISORY_OPEN),
        (owing(standing=Standing.ADVISORY, due_at=None), Counted.ADVISORY_UNDATED),
        (owing(ObligationState.CLOSED, closed_at=DUE), Counted.IN_TIME),
        (owing(ObligationState.CLOSED, closed_at=DUE + HOUR), Counted.LATE),
        (owing(ObligationState.DECLINED, closed_at=START), Counted.UNANSWERED),
        (owing(ObligationState.WITHDRAWN, closed_at=DUE + HOUR), Counted.UNANSWERED),
        (owing(ObligationState.WAIVED, closed_at=START), Counted.WAIVED),
    ],
)
def test_each_end_counts_as_what_it_is(given_: Owing, counted: Counted) -> None:
    cell = cell_of(given_)

    assert cell is not None
    assert cell.counted is counted
    assert cell.due_minute == (None if given_.due_at is None else MINUTE)
    assert (cell.took == NO_TIME) is (given_.state is not ObligationState.CLOSED)


@pytest.mark.parametrize(
    "given_",
    [
        owing(ObligationState.WITHDRAWN, closed_at=DUE - HOUR),  # before it fell due
        owing(ObligationState.CLOSED, closed_at=START + HOUR, due_at=None),
        owing(ObligationState.CLOSED, closed_at=START, standing=Standing.ADVISORY),
    ],
)
def test_what_enters_no_figure_counts_as_nothing(given_: Owing) -> None:
    assert cell_of(given_) is None


def test_a_minute_begins_where_its_number_says() -> None:
    assert start_of(MINUTE) <= DUE < start_of(MINUTE + 1)
    assert cell_of(owing()) == Cell(counted=Counted.OPEN, due_minute=MINUTE)


@given(st.integers(min_value=0, max_value=10**9))
def test_buckets_of_time_follow_one_another_and_are_narrow(seconds: int) -> None:
    took = dt.timedelta(seconds=seconds, microseconds=1)

    bucket = bucket_of(took)
    shortest, longer = bounds_of(bucket)

    assert shortest <= took < longer
    assert bucket_of(longer) == bucket + 1
    assert longer - shortest <= max(took / 32, dt.timedelta(seconds=1))


def test_an_answer_before_the_round_began_by_another_clock_is_in_the_first_bucket() -> None:
    assert bucket_of(dt.timedelta(seconds=-3)) == 0
