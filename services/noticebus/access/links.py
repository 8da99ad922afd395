"""Acknowledge links: what a mail to one contact carries, and its one-time code.

A link shows, the code answers (I4): whoever only opens the link, a mail scanner for one, has
answered nothing. Both are pure functions of the claims, so that a repeated mail is the same byte
for byte (I3).
"""

import datetime as dt
import hmac
import struct
from dataclasses import dataclass

from typeid import TypeID, base32  # noqa: TID251 - reads and rewrites ids, mints none

from noticebus.access.keyring import Keyring, base64url, from_base64url
from noticebus.errors import NotFoundError, RefusedError
from noticebus.ids import ContactId, ObligationId

CODE_DIGITS = 6
_CLAIMS = struct.Struct(">16sI16sQ")  # obligation, version, contact, expiry in seconds
_MAC_BYTES = 16  # HMAC-SHA256 cut to 128 bits (RFC 2104, section 5): a link of 80 characters
_TOKEN, _CODE = b"acknowledge link v1", b"acknowledge code v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkClaims:
    """Whom a link speaks for: one contact, about one version of an obligation, for a time."""

    obligation_id: ObligationId
    version: int
    contact_id: ContactId
    expires_at: dt.datetime


def mint(keyring: Keyring, claims: LinkClaims) -> str:
    """Make the link's token: URL-safe, the same for the same claims (expiry in whole seconds)."""
    packed = _pack(claims)
    return base64url(packed + keyring.token_mac([_TOKEN, packed])[:_MAC_BYTES])


def read(keyring: Keyring, token: str, *, now: dt.datetime) -> LinkClaims:
    """Give a token's claims; NotFoundError for one not ours, RefusedError for an expired one."""
    try:
        raw = from_base64url(token)
    except ValueError as error:
        raise _unknown() from error
    packed, mac = raw[: _CLAIMS.size], raw[_CLAIMS.size :]
    if not _is_ours(keyring, packed=packed, mac=mac):
        raise _unknown()
    claims = _unpack(packed)
    if now >= claims.expires_at:
        raise RefusedError(
            "This link has expired. Use the link in a newer message, or call the bus's operators.",
            code="link-expired",
        )
    return claims


def code_for(keyring: Keyring, claims: LinkClaims) -> str:
    """Give the one-time code that goes into the same message: six digits."""
    return _digits(keyring.token_mac([_CODE, _pack(claims)]))


def code_matches(keyring: Keyring, claims: LinkClaims, *, given: str) -> bool:
    """Compare a typed code in constant time; spaces and hyphens do not matter."""
    typed = "".join(given.replace("-", " ").split()).encode()
    macs = keyring.token_macs([_CODE, _pack(claims)])
    return sum(hmac.compare_digest(_digits(mac).encode("ascii"), typed) for mac in macs) > 0


def _digits(mac: bytes) -> str:
    return f"{int.from_bytes(mac, 'big') % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def _is_ours(keyring: Keyring, *, packed: bytes, mac: bytes) -> bool:
    if len(packed) != _CLAIMS.size or len(mac) != _MAC_BYTES:
        return False
    expected = keyring.token_macs([_TOKEN, packed])
    return sum(hmac.compare_digest(one[:_MAC_BYTES], mac) for one in expected) > 0


def _pack(claims: LinkClaims) -> bytes:
    return _CLAIMS.pack(
        TypeID.from_string(claims.obligation_id).uuid_bytes,
        claims.version,
        TypeID.from_string(claims.contact_id).uuid_bytes,
        int(claims.expires_at.timestamp()),
    )


def _unpack(packed: bytes) -> LinkClaims:
    obligation, version, contact, expires = _CLAIMS.unpack(packed)
    return LinkClaims(
        obligation_id=ObligationId(_typeid("obl", obligation)),
        version=version,
        contact_id=ContactId(_typeid("cnt", contact)),
        expires_at=dt.datetime.fromtimestamp(expires, dt.UTC),
    )


def _typeid(prefix: str, raw: bytes) -> str:
    return str(TypeID(prefix=prefix, suffix=base32.encode(raw)))


def _unknown() -> NotFoundError:
    return NotFoundError(
        "There is no such link. Copy the whole address from the message, without a line break.",
        code="link-unknown",
    )
