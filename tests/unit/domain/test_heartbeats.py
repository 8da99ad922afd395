"""When an endpoint that hears nothing is told its last number."""

import datetime as dt

import pytest

from noticebus.domain.heartbeats import SCHEDULE, Beat, beat, minute_of

NOW = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
EVERY = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)


@pytest.mark.parametrize("told_at", [None, NOW - EVERY, NOW - 5 * EVERY])
def test_one_is_sent_where_nothing_said_the_number_within_the_interval(
    told_at: dt.datetime | None,
) -> None:
    decided = beat(now=NOW, every=EVERY, told_at=told_at, works=True)

    assert decided == Beat(sends=True, next_at=NOW + EVERY)


def test_a_notice_within_the_interval_puts_it_off_until_one_after_the_notice() -> None:
    decided = beat(now=NOW, every=EVERY, told_at=NOW - 10 * MINUTE, works=True)

    assert decided == Beat(sends=False, next_at=NOW + 50 * MINUTE)


@pytest.mark.parametrize("told_at", [None, NOW - 10 * MINUTE])
def test_what_is_paused_or_down_is_told_nothing_and_looked_at_again(
    told_at: dt.datetime | None,
) -> None:
    decided = beat(now=NOW, every=EVERY, told_at=told_at, works=False)

    assert decided == Beat(sends=False, next_at=NOW + EVERY)


def test_heartbeats_of_one_minute_share_a_number_and_the_next_has_another() -> None:
    assert minute_of(NOW) == minute_of(NOW + 59 * dt.timedelta(seconds=1))
    assert minute_of(NOW + MINUTE) == minute_of(NOW) + 1
    assert minute_of(dt.datetime(2099, 12, 31, tzinfo=dt.UTC)) < 2**31


def test_a_heartbeat_is_tried_few_times_and_all_within_its_shortest_interval() -> None:
    assert SCHEDULE.tries_max == 3
    assert SCHEDULE.horizon * (1 + SCHEDULE.jitter) < MINUTE
