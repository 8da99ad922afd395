"""The fuzzing tests excuse a busy moment, and nothing that stays."""

from collections.abc import Iterator

import pytest

from fuzz import findings
from fuzz.findings import BUSY, BUSY_AGAIN, MAY_BE_BUSY, Tally

LABEL = "POST /v1/notices"


@pytest.fixture
def tally(monkeypatch: pytest.MonkeyPatch) -> Tally:
    monkeypatch.setattr(findings, "BUSY_WAIT_S", 0.0)
    return Tally(seed=0)


def answered(tally: Tally, statuses: Iterator[int]) -> int:
    return tally.ask(LABEL, lambda: next(statuses), is_busy=lambda status: status == BUSY)


def test_a_busy_moment_is_waited_for(tally: Tally) -> None:
    assert answered(tally, iter([BUSY, BUSY, 201])) == 201


def test_what_stays_busy_is_given_as_it_is_and_not_waited_for_again(tally: Tally) -> None:
    statuses = iter([BUSY] * (1 + BUSY_AGAIN) + [BUSY, 201])

    assert [answered(tally, statuses) for _ in range(3)] == [BUSY, BUSY, 201]


def test_more_than_a_few_busy_answers_in_a_hundred_are_too_many(tally: Tally) -> None:
    for number in range(200):
        tally.count(LABEL, BUSY if number < 10 else 201)
        tally.count(MAY_BE_BUSY, BUSY)
    few = tally.too_busy()
    tally.count(LABEL, BUSY)

    assert few == ""
    assert tally.too_busy() == f"11 of 201 calls were answered {BUSY}"
