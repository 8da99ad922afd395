"""Canonical bytes of JSON values (RFC 8785): the same value is the same bytes, everywhere."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import rfc8785

JsonLike = Mapping[str, Any] | Sequence[Any] | str | int | float | bool | None


def canonical(value: JsonLike) -> bytes:
    """Serialise a JSON value by RFC 8785; integers beyond ±2^53 and infinities are refused."""
    return rfc8785.dumps(cast("Any", value))


def digest(value: JsonLike) -> str:
    """Give the lower-case hex SHA-256 of the value's canonical bytes."""
    return hashlib.sha256(canonical(value)).hexdigest()
