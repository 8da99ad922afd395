"""What may ask for a replay."""

import pytest
from pydantic import ValidationError

from noticebus.contracts.replay import ReplayPost


@pytest.mark.parametrize(
    "body",
    [{"after": 0}, {"after": 41, "until": 41}, {"since": "2019-08-07T12:00:00Z", "until": 3}],
)
def test_a_replay_says_from_where(body: dict[str, object]) -> None:
    assert ReplayPost.model_validate(body).model_dump(exclude_none=True, mode="json") == body


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"until": 5},
        {"after": 1, "since": "2019-08-07T12:00:00Z"},
        {"after": 5, "until": 4},
        {"after": -1},
        {"after": 2**53},
    ],
)
def test_a_replay_from_nowhere_or_from_two_places_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReplayPost.model_validate(body)
