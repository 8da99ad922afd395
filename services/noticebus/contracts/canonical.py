"""Canonical bytes of JSON values (RFC 8785): the same value is the same bytes, everywhere."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
import rfc8785


@dataclass(frozen=True, slots=True)
class Written:
    """The canonical bytes of a value, which stand for it in a larger one."""

    json: bytes


JsonLike = Mapping[str, Any] | Sequence[Any] | str | int | float | bool | Written | None

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_DATACLASS
_LEAVES = frozenset({str, int, bool, type(None), Written})
_TEXT_OR_NUMBER = (str, int)


def canonical(value: JsonLike) -> bytes:
    """Serialise a JSON value by RFC 8785; integers beyond ±2^53 and infinities are refused.

    Where nothing in the value is written otherwise by the quick encoder (no floats, only ASCII
    keys), that does it, in a small part of the time.
    """
    if _is_plain(value):
        try:
            return orjson.dumps(value, _as_it_is, _OPTIONS)
        except orjson.JSONEncodeError:
            pass  # a lone surrogate or a large integer: the library says what is wrong
    return rfc8785.dumps(cast("Any", _read_again(value)))


def written(value: JsonLike) -> Written:
    """Serialise a value once, for every larger one that it is part of."""
    return Written(canonical(value))


def digest(value: JsonLike) -> str:
    """Give the lower-case hex SHA-256 of the value's canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _as_it_is(value: Written) -> orjson.Fragment:
    return orjson.Fragment(value.json)


def _is_plain(value: object) -> bool:
    """Say whether the quick encoder writes a value as the library does.

    It sorts keys by their code points, which is another order beyond ASCII; it writes 1.0 for 1 and
    null for an infinity, and some kinds that are no JSON.
    """
    kind = type(value)
    if kind in _LEAVES:
        return True
    if isinstance(value, dict):
        for key, one in value.items():
            if type(key) is not str or not key.isascii():
                return False
            if type(one) not in _LEAVES and not _is_plain(one):
                return False
        return True
    if kind is list or kind is tuple:
        items = cast("Sequence[object]", value)
        return all(type(one) in _LEAVES or _is_plain(one) for one in items)
    return issubclass(kind, _TEXT_OR_NUMBER)  # a member of an enumeration is its value


def _read_again(value: object) -> object:
    """Give a value with what was written before as a value again."""
    if isinstance(value, Written):
        return json.loads(value.json, parse_int=float)  # where a float was, 1e16 has no point
    if isinstance(value, dict):
        return {key: _read_again(one) for key, one in value.items()}
    return [_read_again(one) for one in value] if isinstance(value, list | tuple) else value
