"""What the commands say of a problem document."""

import json

import pytest

from noticebus.cli.client import Answer, refused


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"pointer": "", "message": "Row 1 is wrong."}, "Row 1 is wrong. Nothing was stored."),
        (
            {"pointer": "", "message": "Row 9 is wrong."},
            "Row 1 is wrong. Nothing was stored. [Row 9 is wrong.]",
        ),
        (
            {"pointer": "/zone", "message": "name a zone"},
            "Row 1 is wrong. Nothing was stored. [/zone: name a zone]",
        ),
    ],
)
def test_a_refusal_says_each_fault_once_and_where_it_is(fault: dict[str, str], cause: str) -> None:
    body = {"detail": "Row 1 is wrong. Nothing was stored.", "errors": [fault]}

    said = str(refused(Answer(status=422, headers={}, text=json.dumps(body))))

    assert said.startswith(f"{cause} Check that")
