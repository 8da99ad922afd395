"""What a refusal says to a person, and to a program."""

import pytest

from noticebus.access.principals import Principal, own_agency, require
from noticebus.casework.intake import NotStoredError, UnconfirmedError
from noticebus.console.refusals import told
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import ConflictError, ForbiddenError, InvalidError
from noticebus.ids import new_user_id

DANA = Principal(
    id=new_user_id(),
    name="Dana Reyes",
    agency_id=None,
    agency_kind=None,
    scopes=frozenset({Scope.AUDIT}),
)


def test_person_hears_of_roles_and_supervisors_and_never_of_keys() -> None:
    with pytest.raises(ForbiddenError, match="a key with the scope 'operate'") as refused:
        require(DANA, Scope.OPERATE)
    said = told(refused.value)
    assert said.startswith("This is for people with the role operator or supervisor,")
    assert "Ask a supervisor" in said
    assert "key" not in said
    with pytest.raises(ForbiddenError, match="This key belongs to no agency") as refused:
        own_agency(DANA)
    assert "key" not in told(refused.value)


def test_person_whose_post_is_in_doubt_hears_what_to_press_and_nothing_of_keys() -> None:
    reused = InvalidError("This Idempotency-Key was used.", code="idempotency-key-reused")
    doubts = [told(one) for one in (UnconfirmedError(), NotStoredError(), reused)]

    assert not any("key" in said.casefold() or "Send it again" in said for said in doubts)
    assert doubts[0].startswith("It is not known whether it was posted.")
    assert doubts[1].startswith("Nothing was posted.")
    assert "This change was not sent" in doubts[2]


def test_what_is_said_to_everybody_is_said_to_a_person_too() -> None:
    assert told(ConflictError("It is over. Look again.")) == "It is over. Look again."
