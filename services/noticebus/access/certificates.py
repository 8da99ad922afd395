"""Reading a client certificate that somebody enters: is it one, is it this key's, is it in time."""

import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from noticebus.access.credentials import ClientCertificate
from noticebus.errors import Detail, InvalidError

CHAIN_MAX = 6
RSA_BITS_MIN, RSA_BITS_MAX = 2048, 8192
NAME_CHARACTERS_MAX = 300
_CERTIFICATE = "/client_certificate/certificate_pem"
_KEY = "/client_certificate/key_pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What may be shown of a certificate."""

    subject: str
    issuer: str
    not_after: dt.datetime
    fingerprint: str  # SHA-256 of the certificate, in hex


def read_certificate(given: ClientCertificate, *, now: dt.datetime) -> CertificateFacts:
    """Read a certificate, the endpoint's first and its chain after it, and its key.

    Raises InvalidError with what is wrong and what to do. Takes some milliseconds of CPU.
    """
    leaf = _leaf(given.certificate_pem)
    key = _key(given.key_pem)
    if _public(leaf) != key.public_key().public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    ):
        raise _invalid(_KEY, "The key is not the certificate's. Give the two that belong together.")
    if leaf.not_valid_after_utc <= now:
        raise _invalid(_CERTIFICATE, "The certificate has ended. Have a new one issued.")
    if leaf.not_valid_before_utc > now:
        raise _invalid(_CERTIFICATE, "The certificate is not valid yet. Set it once it is.")
    return CertificateFacts(
        subject=_named(leaf.subject),
        issuer=_named(leaf.issuer),
        not_after=leaf.not_valid_after_utc,
        fingerprint=leaf.fingerprint(SHA256()).hex(),
    )


def _leaf(pem: str) -> x509.Certificate:
    if "PRIVATE KEY" in pem:  # only key_pem is handled as a secret
        raise _invalid(_CERTIFICATE, "A private key is among the certificates. Take it out.")
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
    except ValueError as error:
        raise _invalid(
            _CERTIFICATE, "This is no certificate in PEM. It begins with BEGIN CERTIFICATE."
        ) from error
    if len(chain) > CHAIN_MAX:
        raise _invalid(_CERTIFICATE, f"Give at most {CHAIN_MAX} certificates, yours first.")
    return chain[0]


def _key(pem: str) -> PrivateKeyTypes:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError as error:  # it is encrypted, and nobody can give the password at 3 a.m.
        raise _invalid(
            _KEY, "The key is encrypted. Give it without a password; the bus seals it itself."
        ) from error
    except ValueError as error:
        raise _invalid(
            _KEY, "This is no private key in PEM. It begins with BEGIN … KEY."
        ) from error
    if isinstance(key, rsa.RSAPrivateKey):
        if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
            raise _invalid(_KEY, f"An RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits.")
    elif not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise _invalid(_KEY, "Use an RSA, an elliptic-curve or an Ed25519 key.")
    return key


def _public(leaf: x509.Certificate) -> bytes:
    try:
        return leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError as error:
        raise _invalid(_CERTIFICATE, "The certificate's key is of an unknown kind.") from error


def _named(name: x509.Name) -> str:
    return name.rfc4514_string()[:NAME_CHARACTERS_MAX]


def _invalid(pointer: str, message: str) -> InvalidError:
    return InvalidError(message, details=(Detail(pointer=pointer, message=message),))
