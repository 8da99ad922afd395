"""Verifies a webhook's signatures (Standard Webhooks 1.0) and says which part is wrong."""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE_S = 300  # Standard Webhooks: five minutes either way
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
SECRET_PREFIX = "whsec_"  # noqa: S105 - the form's mark, not a secret
PUBLIC_KEY_PREFIX = "whpk_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a receiver may believe; `ok` is None where nothing was checked."""

    ok: bool | None
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    delivery_id: str
    timestamp: str
    signatures: tuple[tuple[str, str], ...]

    def content(self, body: bytes) -> bytes:
        return f"{self.delivery_id}.{self.timestamp}.".encode() + body

    def of_scheme(self, scheme: str) -> list[str]:
        return [value for named, value in self.signatures if named == scheme]


def verify(
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: Sequence[str],
    public_keys: Sequence[bytes],
    now_s: float,
) -> Verdict:
    """Check `v1` with the secrets and `v1a` with the public keys; either kind may be empty.

    `headers` have lower-case names; `now_s` is the receiver's clock in seconds since 1970.
    """
    if missing := [name for name in HEADERS if not headers.get(name)]:
        return _wrong(f"the header {missing[0]} is missing: a proxy dropped it, or it is no event")
    signed = _read(headers)
    if fault := _timestamp_fault(signed.timestamp, now_s=now_s):
        return _wrong(fault)
    keys = [key for secret in secrets if (key := _secret_bytes(secret)) is not None]
    if len(keys) < len(secrets):
        return _wrong("your secret is not in the form whsec_<base64>: copy it again, whole")
    checked: dict[str, bool] = {}
    if keys:
        checked["v1"] = _shared_fits(signed, body, keys=keys)
    if public_keys:
        checked["v1a"] = _public_fits(signed, body, keys=public_keys)
    return _judge(signed, body, checked=checked, keys=keys)


def public_key_bytes(text: str) -> bytes:
    """Read a public key as the bus writes it, `whpk_<base64>`; ValueError for anything else."""
    raw = base64.b64decode(text.removeprefix(PUBLIC_KEY_PREFIX), validate=True)
    Ed25519PublicKey.from_public_bytes(raw)
    return raw


def jwks_keys(jwks: Mapping[str, Sequence[Mapping[str, str]]]) -> list[bytes]:
    """Read the Ed25519 keys of a JWK set (RFC 8037)."""
    return [
        base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
        for key in jwks.get("keys", [])
        if key.get("crv") == "Ed25519"
    ]


def _judge(
    signed: _Signed, body: bytes, *, checked: Mapping[str, bool], keys: Sequence[bytes]
) -> Verdict:
    if not checked:
        return Verdict(ok=None, cause="signature not checked: no secret and no public key given")
    if all(checked.values()):
        return Verdict(ok=True, cause=f"signature ok ({', '.join(checked)})")
    return _wrong(_explain(signed, body, checked=checked, keys=keys))


def _explain(
    signed: _Signed, body: bytes, *, checked: Mapping[str, bool], keys: Sequence[bytes]
) -> str:
    wrong = next(scheme for scheme, fits in checked.items() if not fits)
    if not signed.of_scheme(wrong):
        return f"there is no {wrong} signature among those sent"
    if any(checked.values()):
        return _half_right(wrong)
    if keys and any(_shared_fits(signed, other, keys=keys) for other in _rewritten(body)):
        return "the body was parsed and written again on the way: verify the raw bytes"
    if len(checked) > 1:
        return "body, webhook-id or webhook-timestamp was changed on the way"
    return _nothing_right(wrong)


def _half_right(wrong: str) -> str:
    if wrong == "v1":
        return (
            "v1 does not match, v1a does: the body is whole, so your secret is the wrong one"
            " (another subscription's, or older than the last rotation)"
        )
    return (
        "v1a does not match, v1 does: the body is whole, so your public key is not this bus's"
        " (read /.well-known/jwks.json again)"
    )


def _nothing_right(wrong: str) -> str:
    what = "secret" if wrong == "v1" else "public key"
    return (
        f"no {wrong} signature matches: your {what} is the wrong one or an old one,"
        " or the body was changed on the way"
    )


def _wrong(cause: str) -> Verdict:
    return Verdict(ok=False, cause=f"signature WRONG: {cause}")


def _read(headers: Mapping[str, str]) -> _Signed:
    parts = (part.partition(",") for part in headers["webhook-signature"].split())
    return _Signed(
        delivery_id=headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        signatures=tuple((scheme, value) for scheme, _, value in parts),
    )


def _timestamp_fault(text: str, *, now_s: float) -> str | None:
    if not (text.isascii() and text.isdigit()):
        return "webhook-timestamp is not a number of seconds since 1970"
    away = int(text) - now_s
    if abs(away) <= TOLERANCE_S:
        return None
    direction = "ahead of" if away > 0 else "behind"
    return (
        f"webhook-timestamp is {abs(away) / 60:.0f} min {direction} your clock:"
        " set one of the clocks, or this is an old event played again"
    )


def _secret_bytes(secret: str) -> bytes | None:
    if not secret.startswith(SECRET_PREFIX):
        return None
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _shared_fits(signed: _Signed, body: bytes, *, keys: Sequence[bytes]) -> bool:
    content = signed.content(body)
    expected = [base64.b64encode(hmac.digest(key, content, "sha256")).decode() for key in keys]
    return any(
        hmac.compare_digest(given.encode(), wanted.encode())
        for given in signed.of_scheme("v1")
        for wanted in expected
    )


def _public_fits(signed: _Signed, body: bytes, *, keys: Sequence[bytes]) -> bool:
    content = signed.content(body)
    return any(_verifies(key, given, content) for given in signed.of_scheme("v1a") for key in keys)


def _verifies(key: bytes, signature: str, content: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        Ed25519PublicKey.from_public_bytes(key).verify(raw, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _rewritten(body: bytes) -> list[bytes]:
    """Give the ways in which frameworks write JSON, to recognise a body that went through one."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return []
    compact = (",", ":")
    return [
        json.dumps(parsed, separators=compact, ensure_ascii=False, sort_keys=order).encode()
        for order in (False, True)
    ]
