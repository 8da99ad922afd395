"""A second press of a button is told from one that came later, or after a refusal."""

import datetime as dt

from noticebus.console.presses import REMEMBERED_MAX, TWICE_WITHIN, Presses

NOW = dt.datetime(2019, 8, 7, 13, tzinfo=dt.UTC)
PRESS = ("usr_1", "secret", "sub_1", "1")


def test_second_press_within_a_minute_hid_what_the_first_one_made() -> None:
    presses = Presses()
    assert not presses.begin(PRESS, now=NOW)
    assert presses.begin(PRESS, now=NOW + TWICE_WITHIN / 2)
    assert presses.hid(PRESS, twice=True)
    assert not presses.begin((*PRESS[:3], "2"), now=NOW)
    assert not presses.begin(PRESS, now=NOW + TWICE_WITHIN)


def test_second_press_after_a_refusal_hid_nothing() -> None:
    presses = Presses()
    first = presses.begin(PRESS, now=NOW)
    second = presses.begin(PRESS, now=NOW)
    assert not presses.hid(PRESS, twice=first)
    assert not presses.hid(PRESS, twice=second)
    assert not presses.begin(PRESS, now=NOW)


def test_no_more_are_remembered_than_fit() -> None:
    presses = Presses()
    for number in range(REMEMBERED_MAX + 1):
        presses.begin((str(number),), now=NOW)
    assert not presses.begin(("0",), now=NOW)
    assert presses.begin((str(REMEMBERED_MAX),), now=NOW)
