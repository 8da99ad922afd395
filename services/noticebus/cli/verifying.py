"""A webhook's signatures (Standard Webhooks 1.0): what the headers say, and whether it fits."""

import base64
import binascii
import hashlib
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
class Signed:
    """What the three headers say; `signatures` are pairs of scheme and value."""

    delivery_id: str
    timestamp: str
    signatures: tuple[tuple[str, str], ...]

    def content(self, body: bytes) -> bytes:
        """Give the bytes that are signed."""
        return f"{self.delivery_id}.{self.timestamp}.".encode() + body

    def of_scheme(self, scheme: str) -> list[str]:
        """Give the values of one scheme, in the order of the header."""
        return [value for named, value in self.signatures if named == scheme]


def read_headers(headers: Mapping[str, str]) -> Signed:
    """Read the three headers, which are there; names are in lower case."""
    parts = (part.partition(",") for part in headers["webhook-signature"].split())
    return Signed(
        delivery_id=headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        signatures=tuple((scheme, value) for scheme, _, value in parts),
    )


def secret_bytes(secret: str) -> bytes | None:
    """Read a secret as the bus writes it, `whsec_<base64>`; None for anything else."""
    if not secret.startswith(SECRET_PREFIX):
        return None
    return base64_bytes(secret.removeprefix(SECRET_PREFIX))


def base64_bytes(text: str) -> bytes | None:
    """Read standard base64 with its padding; None for anything else, and for nothing."""
    try:
        return base64.b64decode(text, validate=True) or None
    except (binascii.Error, ValueError):
        return None


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


def key_id(public_key: bytes) -> str:
    """Name an Ed25519 key as a JWK set does: by its thumbprint (RFC 7638)."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public_key)}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def which_shared_fits(
    signed: Signed, content: bytes, *, keys: Sequence[bytes]
) -> tuple[int, int] | None:
    """Say which `v1` signature fits which key, as places counted from 0; None where none does."""
    for place, key in enumerate(keys):
        expected = base64.b64encode(hmac.digest(key, content, "sha256"))
        for nth, given in enumerate(signed.of_scheme("v1")):
            if hmac.compare_digest(given.encode(), expected):
                return nth, place
    return None


def public_fits(signed: Signed, content: bytes, *, keys: Sequence[bytes]) -> bool:
    """Say whether one of the `v1a` signatures is one of these keys' over `content`."""
    return any(_verifies(key, given, content) for given in signed.of_scheme("v1a") for key in keys)


def _verifies(key: bytes, signature: str, content: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        Ed25519PublicKey.from_public_bytes(key).verify(raw, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
