"""How many of an agency's people must accept, and when too few are left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.vocabulary import Answer
from noticebus.domain.quorum import AllDeclined, OutOfReach, Reached, Waiting, tally

YES, NO, LATER, SEEN = (
    Answer.ACCEPTED,
    Answer.DECLINED,
    Answer.NEED_MORE_TIME,
    Answer.RECEIVED,
)


def test_two_of_three_must_accept_and_the_second_one_closes() -> None:
    assert tally({"ann": YES}, contacts=["ann", "bob", "cat"], needed=2) == Waiting(
        accepted=1, needed=2
    )
    assert tally({"ann": YES, "cat": YES}, contacts=["ann", "bob", "cat"], needed=2) == Reached(
        accepted=2
    )


def test_a_decline_that_leaves_enough_people_changes_nothing() -> None:
    assert tally({"ann": NO}, contacts=["ann", "bob", "cat"], needed=2) == Waiting(
        accepted=0, needed=2
    )


def test_a_decline_that_leaves_too_few_moves_on_at_once() -> None:
    votes = {"ann": NO, "bob": NO}

    assert tally(votes, contacts=["ann", "bob", "cat"], needed=2) == OutOfReach(
        accepted=0, needed=2
    )


def test_an_agency_whose_every_contact_declined_has_declined() -> None:
    assert tally({"ann": NO}, contacts=["ann"], needed=1) == AllDeclined()


@pytest.mark.parametrize("answer", [LATER, SEEN])
def test_whoever_asked_for_time_or_only_received_may_still_accept(answer: Answer) -> None:
    assert tally({"ann": answer, "bob": YES}, contacts=["ann", "bob"], needed=2) == Waiting(
        accepted=1, needed=2
    )


def test_received_counts_where_the_class_asks_for_no_more() -> None:
    votes = {"ann": SEEN, "bob": YES}

    assert tally(votes, contacts=["ann", "bob"], needed=2, closing=[YES, SEEN]) == Reached(
        accepted=2
    )


def test_an_agency_with_fewer_contacts_than_needed_is_out_of_reach_from_the_start() -> None:
    assert tally({"ann": YES}, contacts=["ann"], needed=2) == OutOfReach(accepted=1, needed=2)


def test_a_person_who_is_no_contact_counts_as_the_agency_knows_them() -> None:
    assert tally({"eve": YES}, contacts=["ann"], needed=2) == Waiting(accepted=1, needed=2)


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(Answer), max_size=6),
    st.sets(st.sampled_from("abcdef")),
    st.integers(1, 6),
)
def test_an_acceptance_never_makes_a_quorum_harder_to_reach(
    votes: dict[str, Answer], contacts: set[str], needed: int
) -> None:
    ranks = [AllDeclined, OutOfReach, Waiting, Reached]
    before = ranks.index(type(tally(votes, contacts=contacts, needed=needed)))

    for who in contacts | set(votes):
        after = tally({**votes, who: YES}, contacts=contacts, needed=needed)
        assert ranks.index(type(after)) >= before
