"""Local times of day on the wire: hours and minutes, and no other form."""

import pytest
from pydantic import ValidationError

from noticebus.contracts.calendar import BellPart


@pytest.mark.parametrize("said", ["15.10", "15,10", "15+01", "15-06", "24:00", "7:30", "15:10:00"])
def test_a_time_of_day_in_another_form_is_refused(said: str) -> None:
    with pytest.raises(ValidationError):
        BellPart.model_validate({"starts": "07:30", "dismissal": said})


def test_a_time_of_day_is_hours_and_minutes() -> None:
    made = BellPart.model_validate({"starts": "07:30", "dismissal": "15:10"})

    assert made.model_dump(mode="json")["dismissal"] == "15:10"
