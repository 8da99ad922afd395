"""What may have happened to a webhook or its secret on the way: each way is tried, not guessed."""

import base64
import binascii
import codecs
import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from noticebus.cli.verifying import SECRET_PREFIX, Signed, base64_bytes
from noticebus.contracts.canonical import canonical

REWRITTEN_BYTES_MAX = 512 * 1024  # a body above it is not written again in every way
_COMPACT = (",", ":")

Suspect = tuple[str, bytes]  # what happened, in words; the bytes as they were before


def bodies(body: bytes) -> Iterator[Suspect]:
    """Give what the body may have been before somebody touched it, and who does that."""
    yield from _touched(body)
    if len(body) <= REWRITTEN_BYTES_MAX:
        yield from _rewritten(body)


def ids(signed: Signed, body: bytes) -> Iterator[tuple[str, str]]:
    """Give ids that may have been signed instead of the one in the header."""
    event = _parsed(body)
    named = event.get("id") if isinstance(event, dict) else None
    if isinstance(named, str) and named != signed.delivery_id:
        yield "the event's own id", named
    for said, other in (
        ("in lower case", signed.delivery_id.lower()),
        ("the last of several", signed.delivery_id.rpartition(",")[2].strip()),
    ):
        if other != signed.delivery_id:
            yield said, other


def joins(signed: Signed, body: bytes) -> Iterator[Suspect]:
    """Give other ways to join id, timestamp and body, as signers get it wrong."""
    named, at = signed.delivery_id.encode(), signed.timestamp.encode()
    yield "the body alone", body
    yield "timestamp.body", at + b"." + body
    yield "id.body", named + b"." + body
    yield "timestamp.id.body", b".".join((at, named, body))
    yield "id, timestamp and body without dots", named + at + body
    yield "id, timestamp and body with colons", b":".join((named, at, body))
    yield "id, timestamp and body on lines", b"\n".join((named, at, body))
    hashed = hashlib.sha256(body).hexdigest().encode()
    yield "id.timestamp.sha256(body)", b".".join((named, at, hashed))


def secrets(text: str) -> Iterator[Suspect]:
    """Give keys that code makes of a secret where it reads it otherwise than the standard says."""
    whole = text.strip().strip("\"'")
    bare = whole.removeprefix(SECRET_PREFIX)
    readings = (
        ("blanks or quotes stand around it", base64_bytes(bare) if whole != text else None),
        (f"it lacks its beginning {SECRET_PREFIX}", None if bare != whole else base64_bytes(bare)),
        ("it is written in base64url, with - and _ for + and /", _urlsafe(bare)),
        ("the = at its end are missing", base64_bytes(bare + "=" * (-len(bare) % 4))),
        ("the key is its text, not what its base64 stands for", bare.encode()),
        (f"the key is its text with {SECRET_PREFIX}, undecoded", whole.encode()),
        ("it is written in hexadecimal", _hexadecimal(bare)),
    )
    seen: set[bytes] = set()
    for said, key in readings:
        if key and key not in seen:
            seen.add(key)
            yield said, key


def spellings(value: str) -> Iterator[tuple[str, bytes]]:
    """Give what a signature says where it is not written in standard base64."""
    readings = (
        ("base64url", _urlsafe(value)),
        ("base64 without its =", base64_bytes(value + "=" * (-len(value) % 4))),
        ("hexadecimal", _hexadecimal(value)),
    )
    for said, raw in readings:
        if raw:
            yield said, raw


def _touched(body: bytes) -> Iterator[Suspect]:
    if body.endswith(b"\n"):
        yield "a line end was put after it", body.rstrip(b"\r\n")
    yield "the line end after it was taken off", body + b"\n"
    if body.startswith(codecs.BOM_UTF8):
        yield "a byte order mark was put before it", body.removeprefix(codecs.BOM_UTF8)
    if body != body.strip():
        yield "blanks were put around it", body.strip()
    if b"\r\n" in body:
        yield "its line ends were changed", body.replace(b"\r\n", b"\n")
    with contextlib.suppress(UnicodeError):
        yield "its UTF-8 was read as Latin-1", body.decode().encode("latin-1")
    if decoded := base64_bytes(body.decode("latin-1").strip()):
        yield "a gateway passed it on in base64", decoded


def _rewritten(body: bytes) -> Iterator[Suspect]:
    parsed = _parsed(body)
    if isinstance(parsed, str):
        yield "it was put into a JSON string", parsed.encode(errors="surrogatepass")
    if not isinstance(parsed, dict | list):
        return
    with contextlib.suppress(ValueError, RecursionError):
        yield _as("canonical JSON"), canonical(parsed)
    for said, options in (
        ("compact JSON", {"separators": _COMPACT, "ensure_ascii": False}),
        ("compact ASCII JSON", {"separators": _COMPACT}),
        (
            "compact JSON with sorted keys",
            {"separators": _COMPACT, "ensure_ascii": False, "sort_keys": True},
        ),
        ("JSON with blanks", {"ensure_ascii": False}),
        ("ASCII JSON with blanks", {}),
        ("indented JSON", {"ensure_ascii": False, "indent": 2}),
    ):
        yield _as(said), json.dumps(parsed, **options).encode(errors="surrogatepass")


def _as(form: str) -> str:
    return f"it was parsed and written again (as {form} it fits)"


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _urlsafe(text: str) -> bytes | None:
    if not {"-", "_"} & set(text):
        return None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _hexadecimal(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) or None
    except ValueError:
        return None
