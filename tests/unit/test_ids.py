import typing
from collections.abc import Callable

import pytest
from typeid import TypeID  # noqa: TID251 - a foreign reader of what we mint

from noticebus import ids

PREFIXES = {
    ids.new_acknowledgement_id: "ack",
    ids.new_agency_id: "agy",
    ids.new_api_key_id: "key",
    ids.new_contact_id: "cnt",
    ids.new_delegation_id: "dlg",
    ids.new_delivery_id: "dlv",
    ids.new_exercise_id: "exr",
    ids.new_offer_id: "ofr",
    ids.new_shift_id: "shf",
    ids.new_entry_id: "ent",
    ids.new_incident_id: "inc",
    ids.new_notice_id: "ntc",
    ids.new_obligation_id: "obl",
    ids.new_policy_id: "pol",
    ids.new_question_id: "qst",
    ids.new_replay_id: "rpl",
    ids.new_request_id: "req",
    ids.new_responsibility_id: "rsp",
    ids.new_session_id: "ses",
    ids.new_subscription_id: "sub",
    ids.new_user_id: "usr",
}


@pytest.mark.parametrize(("new", "prefix"), PREFIXES.items(), ids=PREFIXES.values())
def test_an_id_carries_the_prefix_of_its_aggregate(new: Callable[[], str], prefix: str) -> None:
    minted = new()

    assert TypeID.from_string(minted).prefix == prefix
    assert len(minted) <= 40, "the columns that keep ids hold 40 characters"


def test_no_two_aggregates_share_a_prefix() -> None:
    assert len(set(PREFIXES.values())) == len(PREFIXES)


def test_every_kind_of_id_is_tested_here() -> None:
    minting = {name for name in vars(ids) if name.startswith("new_")}

    assert minting == {new.__name__ for new in PREFIXES}


def test_ids_never_repeat_and_sort_in_the_order_they_were_minted() -> None:
    minted = [ids.new_delivery_id() for _ in range(2_000)]

    assert len(set(minted)) == len(minted)
    assert [i[:14] for i in minted] == sorted(i[:14] for i in minted), "the time comes first"


def test_each_id_has_a_type_of_its_own() -> None:
    types = [kind for name, kind in vars(ids).items() if isinstance(kind, typing.NewType)]

    assert len(types) == len({kind.__name__ for kind in types}) >= 13
