import datetime as dt
from dataclasses import replace

from noticebus.domain.progress import First, Progress
from noticebus.ids import AgencyId, ObligationId

BEGAN = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
NOBODY = Progress(counted=3, closed=0, began_at=BEGAN, first=None, last_at=None)
FIRST = First(
    agency_id=AgencyId("agy_1"),
    agency_name="Scott County CPS",
    obligation_id=ObligationId("obl_1"),
    at=BEGAN + 3 * MINUTE,
)


def test_nobody_is_first_while_nobody_has_answered() -> None:
    assert (NOBODY.first_after, NOBODY.all_after) == (None, None)
    assert (NOBODY.first_said, NOBODY.all_said) == ("nobody yet", "not yet: 0 of 3")


def test_all_have_answered_only_once_the_last_of_them_has() -> None:
    some = replace(NOBODY, closed=2, first=FIRST, last_at=BEGAN + 9 * MINUTE)
    whole = replace(some, closed=3, last_at=BEGAN + 130 * MINUTE)

    assert (some.first_said, some.all_said) == ("after 3 min", "not yet: 2 of 3")
    assert whole.all_said == "all 3, after 2 h 10 min"


def test_an_answer_by_another_clock_before_the_round_took_no_time() -> None:
    early = replace(NOBODY, closed=1, first=replace(FIRST, at=BEGAN - MINUTE))

    assert early.first_said == "after 0 s"
