"""How much of a backlog goes at a time: the agreed rate is never passed, a window never overrun."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.domain.backlog import PAUSE_MIN, next_round

SECOND = dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    ("rate", "count", "pause_s"),
    [
        (1, 1, 60.0),
        (59, 1, 60 / 59),
        (60, 1, 1.0),
        (90, 2, 4 / 3),
        (600, 10, 1.0),
        (6000, 16, 0.25),
    ],
)
def test_a_round_is_a_second_of_the_rate(rate: int, count: int, pause_s: float) -> None:
    turn = next_round(rate_per_minute=rate, window=16, under_way=0)

    assert turn.count == count
    assert turn.pause.total_seconds() == pytest.approx(pause_s)


@pytest.mark.parametrize(("under_way", "count"), [(0, 10), (10, 6), (16, 0), (40, 0)])
def test_a_round_leaves_room_for_what_is_under_way(under_way: int, count: int) -> None:
    turn = next_round(rate_per_minute=600, window=16, under_way=under_way)

    assert turn.count == count
    assert turn.pause >= PAUSE_MIN


@given(
    rate=st.integers(1, 60_000),
    window=st.integers(1, 200),
    under_way=st.lists(st.integers(0, 250), min_size=1, max_size=50),
)
def test_however_rounds_fall_the_rate_is_not_passed(
    rate: int, window: int, under_way: list[int]
) -> None:
    """What follows a round waits for the share of the rate that it took up."""
    turns = [next_round(rate_per_minute=rate, window=window, under_way=one) for one in under_way]

    taken = sum(one.count for one in turns)
    lasted = sum((one.pause for one in turns), dt.timedelta(0))
    microsecond = dt.timedelta(microseconds=len(turns))  # what rounding may take off
    assert taken * dt.timedelta(minutes=1) <= (lasted + microsecond) * rate
