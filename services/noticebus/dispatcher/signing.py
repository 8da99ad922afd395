"""Standard Webhooks 1.0 headers: who sent this body, when, and that nobody changed it."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from functools import lru_cache

from noticebus.access.keyring import KEPT_MAX, SigningKey

SECRET_PREFIX = "whsec_"  # noqa: S105 - the form's mark, not a secret


def signature_headers(
    body: bytes,
    *,
    delivery_id: str,
    timestamp: int,
    secrets: Sequence[str],
    keys: Sequence[SigningKey],
) -> dict[str, str]:
    """Sign `body` with every shared secret (`v1`) and every Ed25519 key (`v1a`) that is valid now.

    ValueError if a secret is not `whsec_` and base64.
    """
    signed = f"{delivery_id}.{timestamp}.".encode("ascii") + body
    signatures = [_shared(signed, secret=secret) for secret in secrets]
    signatures += [f"v1a,{_base64(key.sign(signed))}" for key in keys]
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _shared(signed: bytes, *, secret: str) -> str:
    return f"v1,{_base64(hmac.digest(_key(secret), signed, 'sha256'))}"


@lru_cache(KEPT_MAX)  # whoever unsealed the secret keeps it in this memory anyway
def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is not in the form whsec_<base64>") from error


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode("ascii")
