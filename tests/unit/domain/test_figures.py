import datetime as dt

import pytest

from noticebus.contracts.report import Age
from noticebus.contracts.vocabulary import ObligationState, Standing
from noticebus.domain import figures
from noticebus.domain.figures import Owing, Tier

START = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
DUE = START + dt.timedelta(hours=1)
LATER = START + dt.timedelta(hours=3)
MINUTE = dt.timedelta(minutes=1)


def owing(
    state: ObligationState = ObligationState.OPEN,
    *,
    standing: Standing = Standing.MANDATORY,
    due_at: dt.datetime | None = DUE,
    closed_at: dt.datetime | None = None,
) -> Owing:
    return Owing(
        standing=standing, state=state, due_at=due_at, started_at=START, closed_at=closed_at
    )


def test_eight_answers_in_a_minute_do_not_hide_two_silent() -> None:
    answered = [MINUTE] * 8

    assert figures.percentile_of(answered, count=10, percent=50) == MINUTE
    assert figures.percentile_of(answered, count=10, percent=80) == MINUTE
    assert figures.percentile_of(answered, count=10, percent=90) is None


def test_percentile_is_none_where_nothing_fell_due() -> None:
    assert figures.percentile_of([], count=0, percent=50) is None


@pytest.mark.parametrize(
    ("count", "percent", "rank"), [(1, 50, 1), (2, 50, 1), (3, 50, 2), (10, 90, 9), (11, 90, 10)]
)
def test_nearest_rank_is_rounded_up(count: int, percent: int, rank: int) -> None:
    assert figures.nearest_rank(count, percent=percent) == rank


def test_share_of_nothing_is_no_figure() -> None:
    assert figures.share(0, of=0) is None
    assert figures.share(2, of=3) == 0.6667


@pytest.mark.parametrize(
    ("reachable", "due_at", "tier"),
    [
        (False, None, Tier.UNREACHABLE),
        (False, START, Tier.UNREACHABLE),
        (True, START, Tier.OVERDUE),
        (True, LATER, Tier.OVERDUE),
        (True, LATER + MINUTE, Tier.DUE),
        (True, None, Tier.NOTHING_DUE),
    ],
)
def test_unreachable_comes_before_overdue_before_due(
    reachable: bool, due_at: dt.datetime | None, tier: Tier
) -> None:
    assert figures.tier_of(reachable=reachable, due_at=due_at, now=LATER) is tier


def test_overdue_counts_from_the_deadline() -> None:
    assert figures.overdue_by(DUE, now=DUE) == dt.timedelta(0)
    assert figures.overdue_by(DUE, now=LATER) == dt.timedelta(hours=2)
    assert figures.overdue_by(DUE, now=START) is None
    assert figures.overdue_by(None, now=LATER) is None


@pytest.mark.parametrize(
    ("one", "fell"),
    [
        (owing(), True),
        (owing(due_at=None), False),
        (owing(due_at=LATER + MINUTE), False),
        (owing(standing=Standing.ADVISORY), False),
        (owing(ObligationState.WAIVED, closed_at=LATER), False),
        (owing(ObligationState.CLOSED, closed_at=START + MINUTE), True),
        (owing(ObligationState.DECLINED, closed_at=START + MINUTE), True),
        (owing(ObligationState.WITHDRAWN, closed_at=START + MINUTE), False),
        (owing(ObligationState.WITHDRAWN, closed_at=DUE + MINUTE), True),
        (owing(ObligationState.WITHDRAWN), False),
    ],
)
def test_what_fell_due_stays_in_the_denominator(one: Owing, fell: bool) -> None:
    assert figures.fell_due(one, now=LATER) is fell


def test_decline_is_an_answer_that_closes_nothing() -> None:
    declined = owing(ObligationState.DECLINED, closed_at=START + MINUTE)

    assert figures.time_to_close(declined) is None
    assert not figures.closed_within_target(declined)


def test_answer_at_the_deadline_is_in_time_and_after_it_is_late() -> None:
    in_time = owing(ObligationState.CLOSED, closed_at=DUE)
    late = owing(ObligationState.CLOSED, closed_at=DUE + MINUTE)

    assert figures.closed_within_target(in_time)
    assert not figures.closed_within_target(late)
    assert figures.time_to_close(late) == dt.timedelta(minutes=61)


def test_our_time_and_theirs_make_up_the_time_to_close_and_the_silent_have_none() -> None:
    reached = START + 2 * MINUTE
    closed = owing(ObligationState.CLOSED, closed_at=START + 9 * MINUTE)
    declined = owing(ObligationState.DECLINED, closed_at=START + 9 * MINUTE)

    assert figures.time_to_deliver(closed, delivered_at=reached) == 2 * MINUTE
    assert figures.time_to_answer(closed, delivered_at=reached) == 7 * MINUTE
    assert figures.time_to_answer(owing(), delivered_at=reached) is None
    assert figures.time_to_answer(declined, delivered_at=reached) is None
    assert figures.time_to_deliver(closed, delivered_at=None) is None
    assert figures.time_to_answer(closed, delivered_at=None) is None


def test_who_answered_before_the_notice_arrived_took_no_time() -> None:
    rung = owing(ObligationState.CLOSED, closed_at=START + MINUTE)

    assert figures.time_to_answer(rung, delivered_at=START + 2 * MINUTE) == dt.timedelta()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (47 * 60 + 59, "47 min"),
        (3 * 3600 + 10 * 60, "3 h 10 min"),
        (2 * 86400 + 4 * 3600 + 59, "2 d 4 h"),
    ],
)
def test_duration_is_written_for_people(seconds: int, words: str) -> None:
    assert figures.how_long(dt.timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("minutes_overdue", "age"),
    [
        (None, Age.EARLY),
        (-16, Age.EARLY),
        (-15, Age.SOON),
        (-1, Age.SOON),
        (0, Age.LATE),
        (59, Age.LATE),
        (60, Age.LATER),
        (239, Age.LATER),
        (240, Age.LATEST),
        (1439, Age.LATEST),
        (1440, Age.OLDEST),
    ],
)
def test_age_is_measured_against_the_deadline_and_its_span_holds_it(
    minutes_overdue: int | None, age: Age
) -> None:
    due_at = None if minutes_overdue is None else LATER - minutes_overdue * MINUTE

    assert figures.age_of(due_at, now=LATER) is age
    if due_at is not None:
        holding = [one for one in Age if _holds(figures.span_of(one, now=LATER), due_at)]
        assert holding == [age]


def _holds(span: figures.Span, due_at: dt.datetime) -> bool:
    return (span.after is None or due_at > span.after) and (
        span.until is None or due_at <= span.until
    )
