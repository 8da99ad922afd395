"""What handlers are handed: keys of repeats, and cursors."""

import pytest

from noticebus.errors import BadRequestError
from noticebus.gateway.dependencies import decode_cursor, encode_cursor, get_key, require_key


@pytest.mark.parametrize("key", ["k", "!~", "k" * 255, "4f0c1f3e-6a5d-4a0e-9b7a-7d1f0f4d9d3b"])
async def test_visible_ascii_is_a_key(key: str) -> None:
    assert await get_key(key) == key
    assert await require_key(key) == key


@pytest.mark.parametrize("key", ["", " ", "a b", "k" * 256, "clé", "a\n", "\x00"], ids=repr)
async def test_anything_else_is_no_key(key: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        await get_key(key)

    assert refused.value.code == "idempotency-key-invalid"
    assert "UUID" in refused.value.message


async def test_key_may_be_left_out_only_where_it_is_optional() -> None:
    assert await get_key(None) is None
    with pytest.raises(BadRequestError):
        await require_key(None)


def test_cursor_reads_back_what_it_was_made_of() -> None:
    last = "ntc_01k6v3x8hkfz2rj3m0c4k7s9ta"

    assert decode_cursor(encode_cursor(last)) == last
    assert decode_cursor("") == ""


@pytest.mark.parametrize("cursor", ["%", "a", "é", "AAAA", "Jw"])
def test_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadRequestError):
        decode_cursor(cursor)
