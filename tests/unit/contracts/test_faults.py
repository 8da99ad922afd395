import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from noticebus.contracts.agency import AgencyPatch, ContactPost
from noticebus.contracts.answers import FaultView
from noticebus.contracts.faults import DETAILS_MAX, details, details_of, pointer
from noticebus.contracts.notice import NoticePost

Body = dict[str, Any]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def _unescaped(text: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


@given(
    st.lists(st.integers(0, 99) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
)
def test_pointer_can_be_read_back(location: list[int | str]) -> None:
    expected = [str(part).replace("\x00", "?") for part in location if part != "[key]"]

    assert _unescaped(pointer(location)) == expected


def test_pointer_escapes_and_bounds_what_a_caller_sent() -> None:
    assert pointer(["a/b", "c~d", 0]) == "/a~1b/c~0d/0"
    assert len(pointer(["x" * 10_000])) == 101
    assert pointer(["\ud800"]).encode("utf-8") == b"/?"


@given(st.dictionaries(st.sampled_from(list(NoticePost.model_fields)), JSON) | JSON)
def test_anything_that_is_no_notice_gets_details_that_can_be_sent(body: object) -> None:
    with pytest.raises(ValidationError) as caught:
        NoticePost.model_validate(body)

    found = details(caught.value)
    assert 0 < len(found) <= DETAILS_MAX
    for one in found:
        assert one.message
        json.dumps([one.pointer, one.message]).encode("utf-8")
        assert one.pointer == "" or one.pointer.startswith("/")


def test_unknown_field_is_told_its_nearest_neighbour(
    example: Callable[[str], Body], said: Callable[[type[BaseModel], Body], dict[str, str]]
) -> None:
    body = example("notice-post.v1.worksite")
    body["occured_at"] = 1
    body["notice_class"] = "A"
    body["sender"]["phone"] = 1
    body["counts"][0]["detained"] = 1
    body["zzzz"] = 1

    found = said(NoticePost, body)

    assert found["/occured_at"].endswith("did you mean occurred_at?")
    assert found["/notice_class"].endswith("did you mean class?")
    assert found["/sender/phone"].endswith("did you mean callback_phone?")
    assert found["/counts/0/detained"].endswith("did you mean detained_total?")
    assert found["/zzzz"] == "remove this unknown field"


def test_unknown_field_far_from_every_name_is_told_the_names(
    said: Callable[[type[BaseModel], Body], dict[str, str]],
) -> None:
    found = said(ContactPost, {"name": "x", "role": "y", "qqqq": 1})

    assert found == {
        "/qqqq": "remove this unknown field; known here: name, role, position, email,"
        " phone, valid_from, valid_until, texts"
    }


def test_errors_without_a_known_model_still_get_pointers() -> None:
    class Stranger(BaseModel, extra="forbid"):
        inner: FaultView

    with pytest.raises(ValidationError) as caught:
        Stranger.model_validate({"inner": {}, "more": 1})

    found = {one.pointer: one.message for one in details(caught.value, prefix="/body")}
    assert found == {
        "/body/inner/pointer": "add this field: it is required",
        "/body/inner/message": "add this field: it is required",
        "/body/more": "remove this unknown field",
    }


def test_error_without_a_sentence_of_ours_keeps_its_own_words() -> None:
    errors = [{"type": "rare", "loc": ("query", "limit"), "msg": "Rarely seen"}]

    assert details_of(errors)[0].message == "Rarely seen"


def test_unknown_field_below_a_place_that_has_no_model_is_just_refused() -> None:
    errors = [
        {"type": "extra_forbidden", "loc": ("nowhere", "deep", "field"), "msg": ""},
        {"type": "extra_forbidden", "loc": ("name", "first"), "msg": ""},
    ]

    found = details_of(errors, model=AgencyPatch)

    assert {one.message for one in found} == {"remove this unknown field"}


def test_too_many_faults_are_cut() -> None:
    with pytest.raises(ValidationError) as caught:
        NoticePost.model_validate({f"unknown_{number}": 1 for number in range(200)})

    assert len(details(caught.value)) == DETAILS_MAX


def test_list_with_one_faulty_item_is_not_also_called_too_short(
    example: Callable[[str], Body], said: Callable[[type[BaseModel], Body], dict[str, str]]
) -> None:
    body = example("notice-post.v1.worksite")

    assert set(said(NoticePost, {**body, "areas": [{}]})) == {"/areas/0"}
    assert said(NoticePost, {**body, "areas": []}) == {"/areas": "list at least 1"}


def test_faults_never_repeat_what_was_sent(
    example: Callable[[str], Body], said: Callable[[type[BaseModel], Body], dict[str, str]]
) -> None:
    body = example("notice-post.v1.worksite")
    body["sender"]["callback_phone"] = "secret-canary"
    body["status"] = "secret-canary"
    body["headline"] = "secret-canary" * 50

    assert "secret-canary" not in "".join(said(NoticePost, body).values())


@pytest.mark.parametrize(
    "way", ["headline", "sender", "instruction", "status", "locator", "purpose"]
)
def test_lone_surrogate_anywhere_is_a_fault_that_can_be_sent(
    example: Callable[[str], Body],
    said: Callable[[type[BaseModel], Body], dict[str, str]],
    way: str,
) -> None:
    broken = {"sender": {"\ud800": 1}, "instruction": {"\udfff": "x"}}.get(way, "\ud800")

    found = said(NoticePost, {**example("notice-post.v1.worksite"), way: broken})

    assert found
    assert json.dumps(found, ensure_ascii=False).encode("utf-8")


def test_body_reads_the_same_from_bytes_and_from_values(example: Callable[[str], Body]) -> None:
    body = example("notice-post.v1.every-field")

    assert NoticePost.model_validate_json(json.dumps(body)) == NoticePost.model_validate(body)
