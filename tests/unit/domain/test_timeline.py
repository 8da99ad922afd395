"""Timelines: facts in the order of their times, each sort with a word."""

import datetime as dt

from noticebus.contracts.vocabulary import How, Notify
from noticebus.domain.timeline import HEARD, LEVELS, MARK_WORDS, Happening, Mark, in_order

NOON = dt.datetime(2019, 8, 7, 12, tzinfo=dt.UTC)


def test_facts_come_in_the_order_of_their_times_and_equal_ones_as_given() -> None:
    later = Happening(at=NOON + dt.timedelta(minutes=1), mark=Mark.STEP, said="third")
    facts = [Happening(at=NOON, mark=Mark.POSTED, said=said) for said in ("first", "second")]
    assert [one.said for one in in_order([later, *facts])] == ["first", "second", "third"]


def test_every_sort_and_every_level_has_a_word_and_no_two_sorts_the_same() -> None:
    assert set(MARK_WORDS) == set(Mark)
    assert len(set(MARK_WORDS.values())) == len(Mark)
    assert set(LEVELS) == set(Notify)
    assert set(HEARD) == set(How)
    assert Happening(at=NOON, mark=Mark.LATE, said="late").word == "answered late"
