"""Claims that travel through a browser: signed by the bus, readable by whoever holds them."""

import hmac
import json
from collections.abc import Mapping

from noticebus.access.keyring import Keyring, base64url, from_base64url
from noticebus.contracts.canonical import canonical

TOKEN_MAX = 3000
_MAC_BYTES = 16  # HMAC-SHA256 cut to 128 bits (RFC 2104, section 5)

Claims = Mapping[str, str | int]


def sign_claims(keyring: Keyring, purpose: bytes, claims: Claims) -> str:
    """Make a URL-safe token of `claims` that is good for one purpose."""
    packed = canonical(dict(claims))
    return base64url(keyring.token_mac([purpose, packed])[:_MAC_BYTES] + packed)


def read_claims(keyring: Keyring, purpose: bytes, token: str) -> Claims | None:
    """Give the claims of a token that the bus made for this purpose; None for any other."""
    if len(token) > TOKEN_MAX:
        return None
    try:
        raw = from_base64url(token)
    except ValueError:
        return None
    mac, packed = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    expected = keyring.token_macs([purpose, packed])
    if not sum(hmac.compare_digest(one[:_MAC_BYTES], mac) for one in expected):
        return None
    claims: Claims = json.loads(packed)
    return claims
