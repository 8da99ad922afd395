"""The keys of the bus: derived from one root, for one owner, rotated without losing anything."""

import base64
import hashlib
import json
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from noticebus.access.keyring import (
    Keyring,
    base64url,
    from_base64url,
    new_webhook_secret,
)
from noticebus.errors import RefusedError

OLD, NEW = b"o" * 32, b"n" * 32


@given(st.text())
def test_what_is_sealed_can_be_unsealed(text: str) -> None:
    keyring = Keyring(NEW)

    sealed = keyring.seal(text)

    assert keyring.unseal(sealed) == text


def test_sealing_hides_the_text_and_never_repeats() -> None:
    keyring = Keyring(NEW)

    assert "secret" not in keyring.seal("secret")
    assert keyring.seal("secret") != keyring.seal("secret")


def test_a_rotation_opens_old_seals_and_seals_with_the_new_root() -> None:
    before, during, after = Keyring(OLD), Keyring(NEW, older=[OLD]), Keyring(NEW)

    assert during.unseal(before.seal("secret")) == "secret"
    assert after.unseal(during.seal("secret")) == "secret"


@pytest.mark.parametrize("change", ["", "sealed1.", "sealed1.AAAA", "sealed1.not base64", "é"])
def test_what_was_not_sealed_here_is_refused_with_a_remedy(change: str) -> None:
    with pytest.raises(RefusedError, match="Put the earlier root secret back") as caught:
        Keyring(NEW).unseal(change)

    assert caught.value.code == "sealed-under-another-key"


def test_a_seal_of_another_root_is_refused() -> None:
    with pytest.raises(RefusedError):
        Keyring(NEW).unseal(Keyring(OLD).seal("secret"))


def test_what_is_needed_often_is_opened_once_and_only_by_its_own_ring() -> None:
    keyring, other = Keyring(NEW), Keyring(OLD)
    sealed = keyring.seal("secret")

    assert [keyring.unseal_often(sealed) for _ in range(3)] == ["secret"] * 3
    assert keyring.unseal_often.cache_info().misses == 1
    for _ in range(2):  # a refusal is not kept, nor is it ever an answer
        with pytest.raises(RefusedError):
            other.unseal_often(sealed)


def test_published_keys_are_named_by_their_thumbprint_and_hold_no_private_part() -> None:
    (jwk,) = Keyring(NEW).public_jwks()["keys"]

    canonical = json.dumps({name: jwk[name] for name in ("crv", "kty", "x")}, separators=(",", ":"))
    assert jwk["kid"] == base64url(hashlib.sha256(canonical.encode()).digest())
    assert (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519")
    assert "d" not in jwk


def test_the_thumbprint_is_that_of_rfc_8037() -> None:
    """Appendix A.3 gives a key and its thumbprint; ours is computed the same way."""
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    canonical = '{"crv":"Ed25519","kty":"OKP","x":"' + x + '"}'

    thumbprint = base64url(hashlib.sha256(canonical.encode()).digest())

    assert thumbprint == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_rotation_publishes_and_signs_with_both_keys_the_current_first() -> None:
    during = Keyring(NEW, older=[OLD])

    kids = [jwk["kid"] for jwk in during.public_jwks()["keys"]]

    assert kids == [Keyring(NEW).signing_keys[0].kid, Keyring(OLD).signing_keys[0].kid]
    assert [key.kid for key in during.signing_keys] == kids


def test_a_receipt_verifies_with_the_published_key_alone() -> None:
    keyring = Keyring(NEW)
    leaf = "ab" * 32

    kid, _, signature = keyring.sign_receipt(leaf).partition(".")

    (jwk,) = keyring.public_jwks()["keys"]
    key = Ed25519PublicKey.from_public_bytes(from_base64url(jwk["x"]))
    key.verify(from_base64url(signature), b"noticebus receipt v1\n" + leaf.encode())
    assert kid == jwk["kid"]


def test_a_receipt_of_another_leaf_key_or_form_is_not_genuine() -> None:
    keyring = Keyring(NEW, older=[OLD])
    leaf, other = "ab" * 32, "cd" * 32

    assert keyring.receipt_is_genuine(leaf, signature=keyring.sign_receipt(leaf))
    assert keyring.receipt_is_genuine(leaf, signature=Keyring(OLD).sign_receipt(leaf))
    assert not keyring.receipt_is_genuine(other, signature=keyring.sign_receipt(leaf))
    assert not Keyring(OLD).receipt_is_genuine(leaf, signature=keyring.sign_receipt(leaf))
    assert not keyring.receipt_is_genuine(leaf, signature="kid.not base64!")


def test_token_macs_tell_parts_apart() -> None:
    keyring = Keyring(NEW, older=[OLD])

    assert keyring.token_mac([b"ab", b"c"]) != keyring.token_mac([b"a", b"bc"])
    assert keyring.token_macs([b"a"]) == (
        Keyring(NEW).token_mac([b"a"]),
        Keyring(OLD).token_mac([b"a"]),
    )


def test_no_two_purposes_share_a_key() -> None:
    keyring = Keyring(NEW)

    assert keyring.token_mac([b""]) != Keyring(OLD).token_mac([b""])
    assert keyring.signing_keys[0].kid != Keyring(OLD).signing_keys[0].kid


def test_a_webhook_secret_is_32_random_bytes_in_the_standard_form() -> None:
    first, second = new_webhook_secret(), new_webhook_secret()

    assert first != second
    assert first.startswith("whsec_")
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32


@given(st.binary())
def test_base64url_has_one_spelling(data: bytes) -> None:
    assert from_base64url(base64url(data)) == data


@pytest.mark.parametrize("text", ["AB", "A", "A+==", "AAAA=", "AA A", "é"])
def test_other_spellings_of_base64url_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_base64url(text)


def test_a_setting_may_hold_several_roots_in_either_base64() -> None:
    current, older = bytes(range(224, 256)), b"\xfb\xff" * 16
    text = f"{base64.b64encode(current).decode()}\n{base64.urlsafe_b64encode(older).decode()}"

    keyring = Keyring.from_setting(text)

    assert keyring.public_jwks() == Keyring(current, older=[older]).public_jwks()


@pytest.mark.parametrize("setting", ["", "   ", "not base64!", "c2hvcnQ="])
def test_a_poor_root_secret_is_refused_with_the_command_that_makes_a_good_one(
    setting: str,
) -> None:
    with pytest.raises(RefusedError, match="openssl rand -base64 32"):
        Keyring.from_setting(setting)


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "noticebus.key"

    first = Keyring.load_or_create(path)
    second = Keyring.load_or_create(path)

    assert first.public_jwks() == second.public_jwks()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["noticebus.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_key_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "noticebus.key"
    Keyring.load_or_create(path)
    path.chmod(mode)

    with pytest.raises(RefusedError, match="chmod 600") as caught:
        Keyring.load_or_create(path)

    assert caught.value.code == "key-file-open"
