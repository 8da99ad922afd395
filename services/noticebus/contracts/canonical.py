"""Canonical bytes of JSON values (RFC 8785): the same value is the same bytes, everywhere."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import rfc8785

JsonLike = Mapping[str, Any] | Sequence[Any] | str | int | float | bool | None

_INTEGER_MAX = 2**53 - 1
_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
)


def canonical(value: JsonLike) -> bytes:
    """Serialise a JSON value by RFC 8785; integers beyond ±2^53 and infinities are refused.

    Where nothing in the value is written otherwise by the standard library (no floats, only ASCII
    keys), its encoder does it, ten times as fast.
    """
    if _is_plain(value):
        return _ENCODER.encode(value).encode()
    return rfc8785.dumps(cast("Any", value))


def digest(value: JsonLike) -> str:
    """Give the lower-case hex SHA-256 of the value's canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() or _is_encodable(value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return -_INTEGER_MAX <= value <= _INTEGER_MAX
    if isinstance(value, dict):
        return all(
            isinstance(key, str) and key.isascii() and _is_plain(one) for key, one in value.items()
        )
    return isinstance(value, list | tuple) and all(map(_is_plain, value))


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate: the library says what is wrong
        return False
    return True
