"""Reading a client certificate that somebody enters, and sealing what was entered."""

import datetime as dt

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from harness.certificates import DAY, LONG_AGO, Authority
from noticebus.access.certificates import CHAIN_MAX, read_certificate
from noticebus.access.credentials import (
    ClientCertificate,
    Credentials,
    OAuthClient,
    seal_credentials,
    unseal_credentials,
)
from noticebus.access.keyring import Keyring
from noticebus.errors import InvalidError

NOW = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)
AUTHORITY = Authority("County authority")
ISSUED = AUTHORITY.issue("bus.test", until=NOW + 90 * DAY)
KEY = load_pem_private_key(ISSUED.key_pem.encode(), password=None)
KEY_PUBLIC = (
    KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
)
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
DSA = dsa.generate_private_key(1024)  # noqa: S505 - to be refused
KEYRING = Keyring(b"k" * 32)


def given(
    *, certificate: str = ISSUED.certificate_pem, key: str = ISSUED.key_pem
) -> ClientCertificate:
    return ClientCertificate(certificate_pem=certificate, key_pem=key)


def pem_of(key: rsa.RSAPrivateKey | dsa.DSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def test_a_good_certificate_is_read_with_its_chain() -> None:
    facts = read_certificate(given(certificate=ISSUED.certificate_pem + AUTHORITY.pem), now=NOW)

    assert (facts.subject, facts.issuer) == ("CN=bus.test", "CN=County authority")
    assert facts.not_after == NOW + 90 * DAY
    assert len(bytes.fromhex(facts.fingerprint)) == 32


@pytest.mark.parametrize(
    ("certificate", "pointer", "words"),
    [
        (given(certificate="hello"), "certificate_pem", "no certificate in PEM"),
        (given(certificate=ISSUED.certificate_pem + ISSUED.key_pem), "certificate_pem", "Take it"),
        (given(certificate=KEY_PUBLIC), "certificate_pem", "It begins with"),
        (
            given(certificate=ISSUED.certificate_pem + AUTHORITY.pem * CHAIN_MAX),
            "certificate_pem",
            "at most",
        ),
        (given(certificate=AUTHORITY.pem + ISSUED.certificate_pem), "key_pem", "not the cert"),
        (given(key=AUTHORITY.issue("other.test").key_pem), "key_pem", "not the certificate's"),
        (given(key="hello"), "key_pem", "no private key"),
        (given(key=ISSUED.certificate_pem), "key_pem", "It begins with"),
        (
            given(
                key=KEY.private_bytes(
                    Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
                ).decode("ascii")
            ),
            "key_pem",
            "encrypted",
        ),
        (given(key=pem_of(WEAK)), "key_pem", "2048"),
        (given(key=pem_of(DSA)), "key_pem", "Ed25519"),
    ],
    ids=lambda one: one if isinstance(one, str) else "given",
)
def test_what_cannot_be_used_is_refused_with_a_remedy(
    certificate: ClientCertificate, pointer: str, words: str
) -> None:
    with pytest.raises(InvalidError, match=words) as caught:
        read_certificate(certificate, now=NOW)

    assert caught.value.details[0].pointer == f"/client_certificate/{pointer}"


def test_a_certificate_out_of_its_time_is_refused() -> None:
    with pytest.raises(InvalidError, match="has ended"):
        read_certificate(given(), now=NOW + 90 * DAY)
    with pytest.raises(InvalidError, match="not valid yet"):
        read_certificate(given(), now=LONG_AGO - DAY)


def test_credentials_are_sealed_and_come_back_whole_and_show_no_secret() -> None:
    whole = Credentials(
        client_certificate=given(),
        oauth2=OAuthClient(
            token_url="https://login.example/token",
            client_id="bus",
            client_secret="a secret of theirs",
        ),
    )
    halves = Credentials(client_certificate=given()), Credentials(oauth2=whole.oauth2)

    for one in (whole, *halves):
        sealed = seal_credentials(KEYRING, one)
        assert unseal_credentials(KEYRING, {"sealed": sealed, "oauth2": None}) == one
        assert "theirs" not in sealed + repr(one)
        assert ISSUED.key_pem not in repr(one)
    assert unseal_credentials(KEYRING, None) is None
