"""What an exercise must say before it is scheduled."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from noticebus.contracts.exercise import ExercisePost

Body = dict[str, Any]
Example = Callable[[str], Body]
Said = Callable[[type[BaseModel], Body], dict[str, str]]


def test_example_is_an_exercise(example: Example) -> None:
    post = ExercisePost.model_validate(example("exercise-post.v1.autumn"))

    assert post.notice.release_at is None


@pytest.mark.parametrize(
    ("changes", "of_notice", "where", "sentence"),
    [
        ({"ends_at": "2026-10-01T14:00:00Z"}, {}, "/ends_at", "after starts_at"),
        ({"ends_at": "2026-10-15T14:00:01Z"}, {}, "/ends_at", "at most 14 days"),
        ({}, {"status": "actual"}, "/notice/status", "write exercise"),
        ({}, {"status": "test"}, "/notice/status", "write exercise"),
        ({}, {"release_at": "2026-10-01T14:00:00Z"}, "/notice/release_at", "leave it out"),
        ({}, {"expires_at": "2026-10-01T14:00:00Z"}, "/notice/expires_at", "after starts_at"),
        ({}, {"headline": ""}, "/notice/headline", ""),
        ({"name": ""}, {}, "/name", ""),
    ],
)
def test_what_cannot_be_held_is_refused_where_it_is_said(
    example: Example, said: Said, changes: Body, of_notice: Body, where: str, sentence: str
) -> None:
    body = copy.deepcopy(example("exercise-post.v1.autumn")) | changes
    body["notice"] |= of_notice

    faults = said(ExercisePost, body)

    assert list(faults) == [where]
    assert sentence in faults[where]
