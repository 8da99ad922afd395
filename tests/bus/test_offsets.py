"""Committing only behind what is done, in whatever order that comes."""

from hypothesis import given
from hypothesis import strategies as st

from noticebus.bus.offsets import Offsets


def issued(*offsets: int) -> Offsets:
    book = Offsets()
    for offset in offsets:
        book.issue(0, offset)
    return book


def test_nothing_is_committable_before_something_is_done() -> None:
    assert issued(7, 8).committable() == {}


def test_commit_waits_for_the_first_that_is_not_done() -> None:
    book = issued(7, 8, 9)
    book.finish(0, 8)
    before = book.committable()
    book.finish(0, 7)

    assert before == {}
    assert book.committable() == {0: 9}


def test_progress_is_committed_once() -> None:
    book = issued(7)
    book.finish(0, 7)
    book.committed(book.committable())

    assert book.committable() == {}


def test_gaps_in_the_log_are_stepped_over() -> None:
    book = issued(7, 12)
    book.finish(0, 7)

    assert book.committable() == {0: 12}


def test_partition_that_moved_is_forgotten() -> None:
    book = issued(7)
    book.issue(1, 3)
    book.forget({0})
    book.finish(0, 7)
    book.committed({0: 8})
    book.finish(1, 3)

    assert book.committable() == {1: 4}
    assert book.outstanding == 0


def test_leaving_forgets_every_partition() -> None:
    book = issued(7)
    book.forget()

    assert book.outstanding == 0


def test_partition_that_was_made_anew_begins_anew() -> None:
    book = issued(7)
    book.finish(0, 7)
    book.issue(0, 2)
    book.finish(0, 2)

    assert book.committable() == {0: 3}


def test_the_first_offset_that_is_not_done_is_told() -> None:
    book = issued(7, 8)
    book.finish(0, 7)

    assert (book.reached(0), book.following(0)) == (8, 9)
    assert (book.reached(1), book.following(1)) == (None, None)


@given(st.permutations(range(8)), st.integers(min_value=0, max_value=8))
def test_whatever_the_order_nothing_unfinished_is_committed(order: list[int], done: int) -> None:
    book = issued(*range(8))
    for offset in order[:done]:
        book.finish(0, offset)

    assert all(offset in order[:done] for offset in range(book.committable().get(0, 0)))
    assert book.outstanding == 8 - done
