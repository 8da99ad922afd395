"""What an endpoint agrees to: read where it makes sense, ignored and noted where it does not."""

import pytest

from noticebus.domain.handshakes import CONCURRENCY_MAX, RATE_MAX, Agreed, read_terms


def test_the_header_of_cloudevents_gives_a_rate() -> None:
    assert read_terms({"webhook-allowed-rate": " 120 "}, "challenge") == Agreed(rate_per_minute=120)


def test_any_rate_is_the_highest_that_is_kept() -> None:
    assert read_terms({"webhook-allowed-rate": "*"}, "").rate_per_minute == RATE_MAX


def test_json_gives_both_and_its_rate_counts_before_the_header() -> None:
    body = '{"challenge": "c", "rate_per_minute": 60, "concurrency": 4}'

    assert read_terms({"webhook-allowed-rate": "120"}, body) == Agreed(
        rate_per_minute=60, concurrency=4
    )


@pytest.mark.parametrize("body", ["", "c", "[1]", '"c"', "{", "[" * 4000, '{"challenge": "c"}'])
def test_an_answer_without_terms_agrees_to_none(body: str) -> None:
    assert read_terms({}, body) == Agreed()


@pytest.mark.parametrize("said", ["0", "-1", "60001", "1.5", "true", '"lots"', "null", "[]"])
def test_a_rate_that_makes_no_sense_is_ignored_and_noted(said: str) -> None:
    agreed = read_terms({}, f'{{"rate_per_minute": {said}}}')

    assert agreed.rate_per_minute is None
    assert agreed.notes == ("rate_per_minute was ignored: give a whole number from 1 to 60000.",)


@pytest.mark.parametrize("said", ["0", "1001", '"4"', "false"])
def test_a_concurrency_that_makes_no_sense_is_ignored_and_noted(said: str) -> None:
    agreed = read_terms({"webhook-allowed-rate": "9" * 5000}, f'{{"concurrency": {said}}}')

    assert (agreed.rate_per_minute, agreed.concurrency) == (None, None)
    assert [note.split()[0] for note in agreed.notes] == ["WebHook-Allowed-Rate", "concurrency"]


def test_the_bounds_themselves_are_agreed_to() -> None:
    body = f'{{"rate_per_minute": {RATE_MAX}, "concurrency": {CONCURRENCY_MAX}}}'

    assert read_terms({}, body) == Agreed(rate_per_minute=RATE_MAX, concurrency=CONCURRENCY_MAX)
    assert read_terms({}, '{"rate_per_minute": "*"}').rate_per_minute == RATE_MAX
