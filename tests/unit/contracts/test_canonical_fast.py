"""The quick way to canonical bytes and the library's are the same way."""

import datetime as dt
from enum import IntEnum, StrEnum
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from noticebus.contracts.canonical import canonical, written


class Word(StrEnum):
    """Some words, as the vocabulary has them."""

    ONE = "one"


class Number(IntEnum):
    """A number with a name."""

    THREE = 3


class Pair(tuple[int, int]):
    """A tuple of a kind of its own."""

    __slots__ = ()


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(values)
def test_every_value_has_the_bytes_of_the_library(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize("value", ['\x00\x1f\x7f\u2028"\\/', {"b": 1, "a": [True, None]}, (1, 2)])
def test_control_characters_and_tuples_are_written_alike(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        {"word": Word.ONE, "numbers": [Number.THREE, True, 1.0]},
        {"word": Word.ONE, "number": Number.THREE},
        {Word.ONE: 1},
        [Pair((1, 2)), (3, 4)],
        {"\ue000": 1, "\U0001f600": 2},
        [[], {}, -0.0, 1e21, 2**53 - 1, 1 - 2**53],
    ],
)
def test_kinds_of_kinds_and_the_order_of_keys_beyond_ascii_are_those_of_the_library(
    value: Any,
) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(values, values)
def test_what_was_written_before_is_the_same_within_a_larger_value(part: Any, rest: Any) -> None:
    whole = {"part": part, "rest": [rest, part]}

    assert canonical({"part": written(part), "rest": [rest, written(part)]}) == canonical(whole)


@pytest.mark.parametrize(
    "value",
    [
        "\ud800",
        2**53,
        -(2**53),
        {"key": float("inf")},
        [float("nan")],
        {1: 2},
        {"key": {None: 2}},
        [b"bytes"],
        {"when": dt.datetime(2019, 8, 7, tzinfo=dt.UTC)},
        {"kind": Word},
    ],
)
def test_what_the_library_refuses_is_refused(value: Any) -> None:
    with pytest.raises(rfc8785.CanonicalizationError):
        canonical(value)
