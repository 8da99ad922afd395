"""What a delivery says of itself, by what is stored with it alone."""

from dataclasses import replace
from typing import Any

import pytest

from harness.loads import a_delivery
from noticebus.casework.binding import WITH_NOTICE
from noticebus.casework.bodies import reminds
from noticebus.contracts.vocabulary import Cause
from noticebus.ids import new_subscription_id

CALLED: dict[str, Any] = {"notify": "first_two"}
ALARMED: dict[str, Any] = {"notify": "operators"}


@pytest.mark.parametrize(
    ("cause", "detail", "answer"),
    [
        (Cause.NOTICE, None, False),
        (Cause.STEP, CALLED, True),
        (Cause.STEP, {"notify": "on_duty", "owed": "update"}, True),
        (Cause.STEP, CALLED | {WITH_NOTICE: True}, False),
        (Cause.STEP, ALARMED | {WITH_NOTICE: True}, True),
        (Cause.STEP, ALARMED | {WITH_NOTICE: True, "owed": "coverage"}, False),
        (Cause.CORRECTION, ALARMED, False),
    ],
)
def test_a_step_reminds_unless_it_fell_with_the_notice_and_not_with_the_operators(
    cause: Cause, detail: dict[str, Any] | None, *, answer: bool
) -> None:
    made = replace(a_delivery(new_subscription_id(), cause=cause), detail=detail)

    assert reminds(made) is answer
