"""Says which part of a webhook's signature is wrong: what fits is found by trying (pure)."""

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from noticebus.cli import suspects
from noticebus.cli.verifying import (
    HEADERS,
    SECRET_PREFIX,
    TOLERANCE_S,
    Signed,
    key_id,
    public_fits,
    read_headers,
    secret_bytes,
    which_shared_fits,
)

CLOCKS_AGREE_S = 60.0
MILLISECONDS_DIGITS = 13
PROXY_HEADERS = ("via", "forwarded", "x-forwarded-for", "x-amzn-trace-id")
SCHEMES = ("v1", "v1a")


class Fault(StrEnum):
    """The part that is wrong."""

    HEADER_LOST = "header_lost"
    HEADER_FORM = "header_form"
    CLOCK = "clock"
    SECRET_FORM = "secret_form"  # noqa: S105 - a fault's name
    SECRET = "secret"  # noqa: S105 - a fault's name
    PUBLIC_KEY = "public_key"
    BODY = "body"
    ID = "id"
    JOIN = "join"
    ENCODING = "encoding"
    SCHEME = "scheme"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a receiver may believe; `ok` is None where nothing was checked."""

    ok: bool | None
    cause: str
    fault: Fault | None = None
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What there is to check with.

    `secrets` as they were given, newest first. `now_s` is the receiver's clock, in seconds since
    1970; `bus_ahead_s` how far the bus's is ahead of it, where the bus could be asked.
    """

    secrets: Sequence[str] = ()
    public_keys: Sequence[bytes] = ()
    now_s: float
    bus_ahead_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One request, with those of the known keys that can be read."""

    signed: Signed
    body: bytes
    known: Known
    keys: tuple[bytes, ...]

    def fits(self, content: bytes) -> bool:
        return which_shared_fits(self.signed, content, keys=self.keys) is not None or public_fits(
            self.signed, content, keys=self.known.public_keys
        )


def explain(headers: Mapping[str, str], body: bytes, *, known: Known) -> Finding:
    """Check `v1` with the secrets and `v1a` with the public keys, and say what is wrong.

    Either kind may be empty. `headers` have lower-case names.
    """
    if lost := [name for name in HEADERS if not headers.get(name)]:
        return _header_lost(headers, lost)
    signed = read_headers(headers)
    if finding := _header_form(signed):
        return finding
    keys = [secret_bytes(secret) for secret in known.secrets]
    case = _Case(
        signed=signed, body=body, known=known, keys=tuple(one for one in keys if one is not None)
    )
    if None in keys and not case.keys:
        return _secret_form(case)
    if not (case.keys or known.public_keys):
        return Finding(ok=None, cause="signature not checked: no secret and no public key given")
    return _judge(case)


def _judge(case: _Case) -> Finding:
    content = case.signed.content(case.body)
    shared = which_shared_fits(case.signed, content, keys=case.keys)
    checked: dict[str, bool] = {}
    if case.keys:
        checked["v1"] = shared is not None
    if case.known.public_keys:
        checked["v1a"] = public_fits(case.signed, content, keys=case.known.public_keys)
    if not all(checked.values()):
        return _with_clock(_what_is_wrong(case, checked), case)
    if finding := _clock(case):
        return finding
    older = _older_secret(case, *shared) if shared is not None else ""
    return Finding(ok=True, cause=f"signature ok ({', '.join(checked)}){older}")


def _what_is_wrong(case: _Case, checked: Mapping[str, bool]) -> Finding:
    wrong = next(scheme for scheme, fits in checked.items() if not fits)
    if not case.signed.of_scheme(wrong):
        return _wrong(
            Fault.SCHEME,
            f"there is no {wrong} signature among those sent",
            remedy="Check the subscription's kind of signature, or do not ask for this one.",
        )
    if any(checked.values()):
        return _secret(case) if wrong == "v1" else _public_key(case)
    for trial in (_body, _other_id, _joined_otherwise, _secret_read_otherwise, _encoded_otherwise):
        if finding := trial(case):
            return finding
    return _nothing_fits(wrong, both=len(checked) > 1)


# --- the headers ----------------------------------------------------------------------------------


def _header_lost(headers: Mapping[str, str], lost: Sequence[str]) -> Finding:
    proxies = [name for name in PROXY_HEADERS if headers.get(name)]
    through = f" (it came through a proxy: {', '.join(proxies)})" if proxies else ""
    renamed = [
        name
        for name in headers
        for one in lost
        if name != one and name.replace("_", "-").endswith(one)
    ]
    if renamed:
        return _wrong(
            Fault.HEADER_LOST,
            f"the header {lost[0]} is missing, but there is {renamed[0]}{through}",
            remedy="Have the proxy pass webhook-* headers under their own names.",
        )
    if len(lost) == len(HEADERS):
        return _wrong(
            Fault.HEADER_LOST,
            f"the header {lost[0]} is missing, and so are the other webhook-* headers{through}:"
            " a proxy dropped them, or the bus did not send this",
            remedy="Let the proxy pass webhook-id, webhook-timestamp and webhook-signature.",
        )
    return _wrong(
        Fault.HEADER_LOST,
        f"the header {' and '.join(lost)} is missing{through}: a proxy dropped it",
        remedy=f"Let the proxy pass {', '.join(lost)}.",
    )


def _header_form(signed: Signed) -> Finding | None:
    text = signed.timestamp
    if not (text.isascii() and text.isdigit()):
        return _wrong(
            Fault.HEADER_FORM,
            "webhook-timestamp is not a number of seconds since 1970",
            remedy="See who rewrites the header; the bus writes digits alone.",
        )
    if len(text) >= MILLISECONDS_DIGITS:
        return _wrong(
            Fault.HEADER_FORM,
            "webhook-timestamp counts milliseconds or less; it must count seconds",
            remedy="Divide by 1,000 where the request is made.",
        )
    if not any(scheme in SCHEMES and value for scheme, value in signed.signatures):
        return _wrong(
            Fault.HEADER_FORM,
            "webhook-signature is not in the form v1,<base64> or v1a,<base64>",
            remedy="Separate scheme and signature with a comma, and signatures with blanks.",
        )
    return None


# --- the clock ------------------------------------------------------------------------------------


def _clock(case: _Case) -> Finding | None:
    """Say whose clock is wrong, of a request whose signature is right."""
    away = int(case.signed.timestamp) - case.known.now_s
    if abs(away) <= TOLERANCE_S:
        return None
    said = f"{_away(away)} (the signature itself fits)"
    ahead = case.known.bus_ahead_s
    if ahead is not None and abs(ahead) > CLOCKS_AGREE_S:
        yours = "behind" if ahead > 0 else "ahead of"
        return _wrong(
            Fault.CLOCK,
            f"{said}: your clock is {abs(ahead):.0f} s {yours} the bus's",
            remedy="Set your clock by NTP.",
        )
    if away > 0:
        whose = "yours is slow, for nobody signs in the future; or the sender's is fast"
        return _wrong(Fault.CLOCK, f"{said}: {whose}", remedy="Set both clocks by NTP.")
    if ahead is not None:
        return _wrong(
            Fault.CLOCK,
            f"{said}: your clock agrees with the bus's, so this is an old event played again,"
            " or one that a proxy held",
            remedy="Refuse it, as you do. Nothing is lost: the bus signs anew at every try.",
        )
    return _wrong(
        Fault.CLOCK,
        f"{said}: set one of the clocks, or this is an old event played again",
        remedy="Compare `date -u` with the Date header of the bus's answers.",
    )


def _with_clock(finding: Finding, case: _Case) -> Finding:
    """Add the clock to what is wrong besides."""
    away = int(case.signed.timestamp) - case.known.now_s
    if abs(away) <= TOLERANCE_S:
        return finding
    return Finding(
        ok=False,
        fault=finding.fault,
        cause=f"{finding.cause}; and {_away(away)}",
        remedy=finding.remedy,
    )


def _away(away: float) -> str:
    direction = "ahead of" if away > 0 else "behind"
    return (
        f"webhook-timestamp is {abs(away) / 60:.0f} min {direction} your clock ({abs(away):.0f} s)"
    )


# --- secrets and keys -----------------------------------------------------------------------------


def _secret_form(case: _Case) -> Finding:
    """Say why no secret could be read, and how it would fit."""
    for text in case.known.secrets:
        for said, key in suspects.secrets(text):
            if which_shared_fits(case.signed, case.signed.content(case.body), keys=[key]):
                return _wrong(
                    Fault.SECRET_FORM,
                    f"your secret is not in the form {SECRET_PREFIX}<base64>: {said}; read like"
                    " that, it fits",
                    remedy="Store it as the bus wrote it, whole.",
                )
    return _wrong(
        Fault.SECRET_FORM,
        f"your secret is not in the form {SECRET_PREFIX}<base64>, and however it is read, it does"
        " not fit",
        remedy="Copy it again, whole, or rotate it: it is shown only once.",
    )


def _secret(case: _Case) -> Finding:
    """Say of a wrong `v1`, where `v1a` is right, what is the matter with the secret."""
    if finding := _secret_read_otherwise(case):
        return finding
    return _wrong(
        Fault.SECRET,
        "v1 does not match, v1a does: the body is whole, so your secret is the wrong one"
        " (another subscription's, or older than the last rotation)",
        remedy="Compare the subscription's id with the one you took the secret for, or rotate it.",
    )


def _public_key(case: _Case) -> Finding:
    known = ", ".join(key_id(key) for key in case.known.public_keys)
    return _wrong(
        Fault.PUBLIC_KEY,
        "v1a does not match, v1 does: the body is whole, so your public key is not this bus's,"
        f" or a new one is not in your key set (kid known: {known})",
        remedy="Read /.well-known/jwks.json again, from the bus that sends.",
    )


def _older_secret(case: _Case, nth: int, place: int) -> str:
    """Say of a right signature that a rotation is under way, and that ours is the old secret."""
    if place > 0:
        return f"; it fits your secret number {place + 1}, not the newest: was it rotated?"
    if nth > 0:
        return "; a rotation is under way and yours is the older secret: put the new one in place"
    return ""


def _secret_read_otherwise(case: _Case) -> Finding | None:
    content = case.signed.content(case.body)
    for text in case.known.secrets:
        for said, key in suspects.secrets(text):
            if which_shared_fits(case.signed, content, keys=[key]):
                return _wrong(
                    Fault.SECRET,
                    f"secret and body are right, but the signer read the secret otherwise: {said}",
                    remedy=f"The key is the bytes of the base64 after {SECRET_PREFIX}.",
                )
    return None


# --- what was signed ------------------------------------------------------------------------------


def _first(
    case: _Case, tries: Iterator[tuple[str, bytes]], content: Callable[[bytes], bytes]
) -> str | None:
    return next((said for said, tried in tries if case.fits(content(tried))), None)


def _body(case: _Case) -> Finding | None:
    said = _first(case, suspects.bodies(case.body), case.signed.content)
    if said is None:
        return None
    return _wrong(
        Fault.BODY,
        f"the body was changed on the way, {said}: verify the raw bytes",
        remedy="Take the body before your framework parses it.",
    )


def _other_id(case: _Case) -> Finding | None:
    for said, other in suspects.ids(case.signed, case.body):
        if case.fits(f"{other}.{case.signed.timestamp}.".encode() + case.body):
            return _wrong(
                Fault.ID,
                f"webhook-id was changed on the way: signed was {other} ({said}),"
                f" not {case.signed.delivery_id}",
                remedy="See which proxy sets webhook-id; it must pass what the bus sent.",
            )
    return None


def _joined_otherwise(case: _Case) -> Finding | None:
    said = _first(case, suspects.joins(case.signed, case.body), lambda whole: whole)
    if said is None:
        return None
    return _wrong(
        Fault.JOIN,
        f"signed was {said}, not id.timestamp.body",
        remedy="Join webhook-id, webhook-timestamp and the raw body with dots.",
    )


def _encoded_otherwise(case: _Case) -> Finding | None:
    content = case.signed.content(case.body)
    right = {hmac.digest(key, content, "sha256") for key in case.keys}
    for value in case.signed.of_scheme("v1"):
        for said, raw in suspects.spellings(value):
            if raw in right:
                return _wrong(
                    Fault.ENCODING,
                    f"the signature is right, but written in {said}, not in standard base64",
                    remedy="Write it with + and / and the = at its end.",
                )
    return None


def _nothing_fits(wrong: str, *, both: bool) -> Finding:
    if both:
        return _wrong(
            Fault.UNKNOWN,
            "body, webhook-id or webhook-timestamp was changed on the way, in no way known here;"
            " or neither secret nor public key is this bus's",
            remedy="Save what came (--save) and compare it with what /deliveries shows.",
        )
    what = "secret" if wrong == "v1" else "public key"
    return _wrong(
        Fault.SECRET if wrong == "v1" else Fault.PUBLIC_KEY,
        f"no {wrong} signature matches: your {what} is the wrong one or an old one,"
        " or the body was changed on the way",
        remedy="Check both kinds of signature at once: then it is known which.",
    )


def _wrong(fault: Fault, cause: str, *, remedy: str) -> Finding:
    return Finding(ok=False, fault=fault, cause=f"signature WRONG: {cause}", remedy=remedy)
