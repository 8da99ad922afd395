"""Signatures that foreign code verifies: the published package for `v1`, the JWK set for `v1a`."""

import base64
import hmac

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from noticebus.access.keyring import Keyring, from_base64url, new_webhook_secret
from noticebus.clock import SystemClock
from noticebus.dispatcher.signing import signature_headers

BODY = '{"specversion":"1.0","é":1}'.encode()
KEYRING = Keyring(b"n" * 32, older=[b"o" * 32])


def headers_with(*secrets: str, delivery_id: str = "dlv_1") -> dict[str, str]:
    return signature_headers(
        BODY,
        delivery_id=delivery_id,
        timestamp=int(SystemClock().now().timestamp()),  # the package compares with this time
        secrets=secrets,
        keys=KEYRING.signing_keys,
    )


def test_the_published_package_verifies_v1() -> None:
    secret = new_webhook_secret()

    event = Webhook(secret).verify(BODY, headers_with(secret))

    assert event == {"specversion": "1.0", "é": 1}


def test_both_secrets_verify_during_a_rotation() -> None:
    old, new = new_webhook_secret(), new_webhook_secret()

    headers = headers_with(new, old)

    Webhook(old).verify(BODY, headers)
    Webhook(new).verify(BODY, headers)


def test_a_changed_body_id_or_secret_is_refused_by_the_published_package() -> None:
    secret = new_webhook_secret()
    headers = headers_with(secret)

    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, headers | {"webhook-id": "dlv_2"})
    with pytest.raises(WebhookVerificationError):
        Webhook(new_webhook_secret()).verify(BODY, headers)


def test_v1a_verifies_with_the_published_keys_each_with_its_own() -> None:
    headers = headers_with(new_webhook_secret())

    signatures = [part for part in headers["webhook-signature"].split(" ") if part[:4] == "v1a,"]

    signed = f"dlv_1.{headers['webhook-timestamp']}.".encode() + BODY
    for signature, jwk in zip(signatures, KEYRING.public_jwks()["keys"], strict=True):
        key = Ed25519PublicKey.from_public_bytes(from_base64url(jwk["x"]))
        key.verify(base64.b64decode(signature[4:]), signed)
        with pytest.raises(InvalidSignature):
            key.verify(base64.b64decode(signature[4:]), signed + b" ")


def test_v1_is_what_the_specification_says() -> None:
    key = bytes(range(32))
    secret = "whsec_" + base64.b64encode(key).decode()

    headers = headers_with(secret)

    first, _, _ = headers["webhook-signature"].partition(" ")
    signed = f"dlv_1.{headers['webhook-timestamp']}.".encode() + BODY
    expected = hmac.digest(key, signed, "sha256")
    assert first == "v1," + base64.b64encode(expected).decode()


def test_without_a_shared_secret_there_is_still_v1a() -> None:
    assert headers_with()["webhook-signature"].startswith("v1a,")


def test_a_secret_in_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        headers_with("whsec_not base64")
