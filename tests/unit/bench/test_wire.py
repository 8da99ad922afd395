"""The bench's own HTTP: however its bytes are cut on their way, the same messages come out."""

from itertools import pairwise

import pytest
from bench.wire import BODY_BYTES_MAX, HEAD_BYTES_MAX, Messages, answer, question
from hypothesis import given
from hypothesis import strategies as st


def post(body: bytes, *, name: str = "Content-Length") -> bytes:
    return b"POST /hook/1 HTTP/1.1\r\n%b: %d\r\nwebhook-id: a\r\n\r\n%b" % (
        name.encode(),
        len(body),
        body,
    )


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(one % (len(data) + 1) for one in at)})
    return [data[start:end] for start, end in pairwise(places)]


@given(
    bodies=st.lists(st.binary(max_size=200), min_size=1, max_size=6),
    at=st.lists(st.integers(min_value=0, max_value=5_000), max_size=30),
)
def test_messages_are_the_same_wherever_the_stream_is_cut(
    bodies: list[bytes], at: list[int]
) -> None:
    messages = Messages()

    found = [
        body
        for piece in cut(b"".join(map(post, bodies)), at)
        for _head, body in messages.feed(piece)
    ]

    assert found == bodies


def test_a_byte_at_a_time_is_one_message() -> None:
    messages = Messages()

    found = [one for byte in post(b"\r\n\r\nPOST") for one in messages.feed(bytes([byte]))]

    assert [body for _head, body in found] == [b"\r\n\r\nPOST"]


def test_several_messages_come_out_of_one_piece_and_the_rest_is_kept() -> None:
    messages = Messages()

    first = messages.feed(post(b"one") + post(b"two") + post(b"three")[:-2])
    second = messages.feed(b"ee")

    assert [body for _head, body in first] == [b"one", b"two"]
    assert [body for _head, body in second] == [b"three"]


def test_a_length_is_read_in_any_case_and_a_head_alone_has_no_body() -> None:
    messages = Messages()

    found = messages.feed(post(b"x", name="CONTENT-length") + b"GET /count HTTP/1.1\r\n\r\n")

    assert [body for _head, body in found] == [b"x", b""]


def test_a_length_in_the_body_is_not_the_heads() -> None:
    found = Messages().feed(b"GET / HTTP/1.1\r\n\r\n" + post(b"\r\nContent-Length: 9\r\n\r\n"))

    assert [body for _head, body in found] == [b"", b"\r\nContent-Length: 9\r\n\r\n"]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1),
        b"x" * (HEAD_BYTES_MAX + 1),
    ],
)
def test_what_cannot_be_cut_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"a head|a body"):
        Messages().feed(data)


def test_what_is_written_is_read_again() -> None:
    messages = Messages()

    found = messages.feed(answer(b"{}") + question("GET", "/report"))

    assert [(head.split(b"\r\n")[0], body) for head, body in found] == [
        (b"HTTP/1.1 200 OK", b"{}"),
        (b"GET /report HTTP/1.1", b""),
    ]
