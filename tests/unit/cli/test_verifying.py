import base64
import json
from typing import Any

import pytest

from noticebus.access.keyring import Keyring, new_webhook_secret
from noticebus.cli.verifying import TOLERANCE_S, Verdict, jwks_keys, public_key_bytes, verify
from noticebus.dispatcher.signing import signature_headers

NOW_S = 1_700_000_000
BODY = b'{"b": 1, "a": "\xc3\xb1"}'
KEYRING = Keyring(b"k" * 32)
SECRET = new_webhook_secret()
PUBLIC = jwks_keys(KEYRING.public_jwks())


def check(body: bytes = BODY, **changes: Any) -> Verdict:
    """Verify BODY as the bus signs it, with one thing changed."""
    headers = signature_headers(
        BODY, delivery_id="dlv_1", timestamp=NOW_S, secrets=[SECRET], keys=KEYRING.signing_keys
    )
    headers |= changes.get("headers", {})
    return verify(
        headers,
        body,
        secrets=changes.get("secrets", [SECRET]),
        public_keys=changes.get("public_keys", PUBLIC),
        now_s=changes.get("now_s", NOW_S),
    )


def test_what_the_bus_signs_is_found_right_by_both_schemes() -> None:
    assert check() == Verdict(ok=True, cause="signature ok (v1, v1a)")


def test_an_older_secret_beside_the_new_one_is_enough() -> None:
    assert check(secrets=[new_webhook_secret(), SECRET]).ok is True


def test_without_secret_and_key_nothing_is_believed_and_nothing_refused() -> None:
    assert check(secrets=[], public_keys=[]).ok is None


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"headers": {"webhook-id": ""}}, "the header webhook-id is missing"),
        ({"headers": {"webhook-timestamp": "noon"}}, "not a number of seconds"),
        ({"now_s": NOW_S + TOLERANCE_S + 120}, "7 min behind your clock"),
        ({"now_s": NOW_S - TOLERANCE_S - 120}, "7 min ahead of your clock"),
        ({"secrets": ["hunter2"]}, "not in the form whsec_"),
        ({"secrets": ["whsec_***"]}, "not in the form whsec_"),
        ({"secrets": [new_webhook_secret()]}, "v1 does not match, v1a does"),
        ({"public_keys": jwks_keys(Keyring(b"x" * 32).public_jwks())}, "v1a does not match, v1"),
        ({"headers": {"webhook-signature": "v1a,AAAA"}}, "no v1 signature among those sent"),
        ({"headers": {"webhook-id": "dlv_2"}}, "was changed on the way"),
        ({"body": BODY + b" "}, "was changed on the way"),
        ({"secrets": [new_webhook_secret()], "public_keys": []}, "your secret is the wrong one"),
        ({"headers": {"webhook-id": "dlv_2"}, "secrets": []}, "your public key is the wrong one"),
    ],
)
def test_a_wrong_signature_names_what_is_wrong(change: dict[str, Any], cause: str) -> None:
    verdict = check(**change)

    assert verdict.ok is False
    assert cause in verdict.cause


def test_a_body_that_a_framework_wrote_again_is_recognised() -> None:
    compact = json.dumps(json.loads(BODY), separators=(",", ":"), ensure_ascii=False).encode()
    headers = signature_headers(
        compact, delivery_id="dlv_1", timestamp=NOW_S, secrets=[SECRET], keys=[]
    )

    verdict = verify(headers, BODY, secrets=[SECRET], public_keys=[], now_s=NOW_S)

    assert "parsed and written again" in verdict.cause


def test_a_public_key_is_read_as_the_bus_writes_it() -> None:
    assert public_key_bytes("whpk_" + base64.b64encode(PUBLIC[0]).decode()) == PUBLIC[0]


def test_what_is_no_public_key_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        public_key_bytes("whpk_AAAA")
