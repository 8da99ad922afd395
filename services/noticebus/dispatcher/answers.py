"""What is kept of an endpoint's answer: text without secrets, and the headers that explain it."""

import re
from collections.abc import Mapping

from multidict import istr

from noticebus.domain.handshakes import ALLOWED_RATE

HEADER_CHARS_MAX = 200
LOCATION = "location"
HEADERS_KEPT = (
    "content-type",
    "content-length",
    "retry-after",
    "server",
    LOCATION,
    "www-authenticate",
    "date",
    "x-request-id",
    ALLOWED_RATE,
)
_KEPT = tuple((name, istr(name)) for name in HEADERS_KEPT)  # an `istr` is looked up at once
_MASK = "[masked]"
_ECHO = b"[your server sent the event back to us, and that is not kept]"
_SPACING = re.compile(rb"(?:\\+[nrt]|[\s\\])+")
ECHO_BYTES = 64  # of an event's beginning, by which it is known
BEGINNING_MIN = 6  # fewer characters of a secret tell nobody anything
_SECRETS = re.compile(
    r"whsec_[A-Za-z0-9+/=_-]+"  # a webhook secret
    r"|v1a?,[A-Za-z0-9+/=]{20,}"  # a signature echoed
    r"|(?i:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"  # an Authorization header echoed
    r"|eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"  # a JSON web token
    r"|(?<=/a/)[A-Za-z0-9_-]{20,}"  # an acknowledge link
)
_NOT_TEXT = re.compile(r"[^\t\n\x20-\x7e\xa0-\U0010ffff]|[\ud800-\udfff]")


def mask(raw: bytes, *, secrets: tuple[str, ...] = ()) -> str:
    """Make an answer safe to keep: text only, without our secrets or what looks like one."""
    if not raw:
        return ""
    text = raw.decode("utf-8", errors="replace")
    for secret in secrets:
        if secret and secret[:BEGINNING_MIN] in text:
            text = _without_end(text.replace(secret, _MASK), secret)
    return _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", _SECRETS.sub(_MASK, text))


def without_echo(excerpt: bytes, *, body: bytes) -> bytes:
    """Leave out an answer that sends the event back: not all who may read answers may read that.

    However it is spaced or quoted; a receiver that only says what it took is left alone.
    """
    if not excerpt:
        return excerpt
    begins = _SPACING.sub(b"", body[:ECHO_BYTES])
    return _ECHO if begins and begins in _SPACING.sub(b"", excerpt) else excerpt


def _without_end(text: str, secret: str) -> str:
    """Mask a secret's beginning at the end of an answer that was cut there."""
    lengths = range(min(len(secret), len(text)), BEGINNING_MIN - 1, -1)
    cut = next((one for one in lengths if text.endswith(secret[:one])), None)
    return text if cut is None else text[:-cut] + _MASK


def keep_headers(headers: Mapping[str, str], *, secrets: tuple[str, ...] = ()) -> dict[str, str]:
    """Keep the few headers that explain an answer: by lower-case name, masked, and cut."""
    found = ((name, headers.get(in_any_case)) for name, in_any_case in _KEPT)
    kept = {name: value for name, value in found if value is not None}
    if LOCATION in kept:
        kept[LOCATION] = kept[LOCATION].partition("?")[0]  # a log-in page's query holds tokens
    if _is_harmless("\n".join(kept.values()), secrets=secrets):
        return {name: value[:HEADER_CHARS_MAX] for name, value in kept.items()}
    return {
        name: mask(_raw(value[: 2 * HEADER_CHARS_MAX]), secrets=secrets)[:HEADER_CHARS_MAX]
        for name, value in kept.items()
    }


def _raw(value: str) -> bytes:
    """Give the bytes of a header, those that are no UTF-8 among them as they came."""
    return value.encode("utf-8", "surrogateescape")


def _is_harmless(values: str, *, secrets: tuple[str, ...]) -> bool:
    """Say whether `mask` would leave each of some values, a line each, as it is."""
    return (
        not any(secret and secret[:BEGINNING_MIN] in values for secret in secrets)
        and _NOT_TEXT.search(values) is None
        and _SECRETS.search(values) is None
    )
