"""The keys of this bus, all derived from one root secret (HKDF, RFC 5869).

Whoever holds the root secret can read sealed secrets and sign as the bus: it lives in a file of
mode 0600 or in a setting, never in the database. During a rotation the older roots stay in the
ring: the first one seals, mints and signs receipts; all of them open, verify and sign webhooks.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from noticebus.errors import RefusedError

ROOT_BYTES_MIN = 32
WEBHOOK_SECRET_BYTES = 32
_NONCE_BYTES = 12  # NIST SP 800-38D, section 8.2
_SEAL_MARK = "sealed1."
_TO_URL_SAFE = str.maketrans("+/", "-_")
KEPT_MAX = 4096  # secrets of endpoints, about 1 MB
_RECEIPT_CONTEXT = b"noticebus receipt v1\n"


def base64url(data: bytes) -> str:
    """Encode without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """Decode what `base64url` gave; ValueError for anything else."""
    decoded = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    if base64url(decoded) != text:
        raise ValueError("not the one spelling of these bytes")
    return decoded


def new_webhook_secret() -> str:
    """Make a shared secret for one endpoint, in the form of Standard Webhooks."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(WEBHOOK_SECRET_BYTES)).decode("ascii")


class SigningKey:
    """One Ed25519 key and its name: `kid` is the JWK thumbprint (RFC 7638)."""

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        # RFC 8037, appendix A.3: the members that count, in this order, without spaces.
        self._members = {"crv": "Ed25519", "kty": "OKP", "x": base64url(raw)}
        canonical = json.dumps(self._members, separators=(",", ":"), sort_keys=True)
        self.kid = base64url(hashlib.sha256(canonical.encode("ascii")).digest())

    def sign(self, message: bytes) -> bytes:
        """Sign `message`: 64 bytes."""
        return self._private.sign(message)

    def verifies(self, message: bytes, *, signature: bytes) -> bool:
        """Say whether `signature` is this key's over `message`."""
        try:
            self._private.public_key().verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def public_jwk(self) -> dict[str, str]:
        """Give the public half as a JWK (RFC 8037)."""
        return {**self._members, "kid": self.kid, "use": "sig", "alg": "EdDSA"}


class _Derived:
    """What one root secret is good for: a key per purpose, so that no key serves two."""

    def __init__(self, root: bytes) -> None:
        self.sealing = AESGCM(_derive(root, purpose="seal"))
        self.tokens = _derive(root, purpose="tokens")
        self.signing = SigningKey(_derive(root, purpose="ed25519"))


class Keyring:
    """The bus's keys. `older` are the root secrets of a rotation that has not ended."""

    def __init__(self, root_secret: bytes, *, older: Sequence[bytes] = ()) -> None:
        for root in (root_secret, *older):
            if len(root) < ROOT_BYTES_MIN:
                raise RefusedError(
                    f"A root secret has {len(root)} bytes and needs {ROOT_BYTES_MIN}. "
                    "Make one with: openssl rand -base64 32",
                    code="weak-root-secret",
                )
        self._ring = tuple(_Derived(root) for root in (root_secret, *older))
        self._signing_keys = tuple(one.signing for one in self._ring)
        self.unseal_often = lru_cache(KEPT_MAX)(self.unseal)
        """Do the same for what is needed many times a second, and keep what was found.

        That is no worse than unsealing each time: the root secret, which opens them all, lies in
        the same memory for as long.
        """

    @classmethod
    def from_setting(cls, secret_key: str) -> Self:
        """Read root secrets, base64 and separated by white space, the current one first."""
        roots = [_root_from(text) for text in secret_key.split()]
        if not roots:
            raise _unreadable()
        return cls(roots[0], older=roots[1:])

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Read the key file, or make it first: mode 0600, whole or not at all."""
        if not path.exists():
            _create(path)
        _refuse_if_others_can_read(path)
        return cls.from_setting(path.read_text("ascii"))

    @property
    def signing_keys(self) -> tuple[SigningKey, ...]:
        """Give the keys that sign webhooks (`v1a`) now, the current one first."""
        return self._signing_keys

    def seal(self, text: str) -> str:
        """Encrypt a secret for the database (AES-256-GCM)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._ring[0].sealing.encrypt(nonce, text.encode(), None)
        return _SEAL_MARK + base64url(nonce + sealed)

    def unseal(self, sealed: str) -> str:
        """Decrypt what `seal` gave under any root of the ring."""
        with contextlib.suppress(ValueError):
            raw = from_base64url(sealed.removeprefix(_SEAL_MARK))
            for one in self._ring:
                with contextlib.suppress(InvalidTag):
                    nonce, rest = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
                    return one.sealing.decrypt(nonce, rest, None).decode()
        raise RefusedError(
            "A stored secret was sealed under another root secret. "
            "Put the earlier root secret back beside the current one, then rotate the secret.",
            code="sealed-under-another-key",
        )

    def token_mac(self, parts: Sequence[bytes]) -> bytes:
        """Authenticate `parts` (HMAC-SHA256), each with its length: none runs into the next."""
        return _mac(self._ring[0].tokens, parts)

    def token_macs(self, parts: Sequence[bytes]) -> tuple[bytes, ...]:
        """Give `token_mac` under every root: a token minted before a rotation has another."""
        return tuple(_mac(one.tokens, parts) for one in self._ring)

    def public_jwks(self) -> dict[str, list[dict[str, str]]]:
        """Give the public keys as a JWK set (RFC 7517, section 5)."""
        return {"keys": [key.public_jwk() for key in self.signing_keys]}

    def sign_receipt(self, leaf_hash: str) -> str:
        """Sign a ledger entry's leaf hash: the key's `kid`, a dot, the signature in base64url."""
        key = self._ring[0].signing
        return f"{key.kid}.{base64url(key.sign(_receipt(leaf_hash)))}"

    def receipt_is_genuine(self, leaf_hash: str, *, signature: str) -> bool:
        """Say whether `signature` is this bus's over `leaf_hash`."""
        kid, _, encoded = signature.partition(".")
        try:
            raw = from_base64url(encoded)
        except ValueError:
            return False
        keys = [key for key in self.signing_keys if key.kid == kid]
        return any(key.verifies(_receipt(leaf_hash), signature=raw) for key in keys)


def _receipt(leaf_hash: str) -> bytes:
    return _RECEIPT_CONTEXT + leaf_hash.encode("ascii")


def _derive(root: bytes, *, purpose: str) -> bytes:
    info = f"noticebus/v1/{purpose}".encode("ascii")
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(root)


def _mac(key: bytes, parts: Sequence[bytes]) -> bytes:
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(key, framed, "sha256")


def _root_from(text: str) -> bytes:
    try:
        return from_base64url(text.rstrip("=").translate(_TO_URL_SAFE))
    except ValueError as error:
        raise _unreadable() from error


def _unreadable() -> RefusedError:
    return RefusedError(
        "The root secret is not base64. Make one with: openssl rand -base64 32",
        code="unreadable-root-secret",
    )


def _create(path: Path) -> None:
    """Write a new key file that appears whole; if another process was first, its file stands."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(ROOT_BYTES_MIN)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)  # unlike a rename, this never replaces
    finally:
        draft.unlink()
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refuse_if_others_can_read(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise RefusedError(
            f"The key file {path} has mode {mode:04o}, so others on this machine can use it. "
            f"Run: chmod 600 {path}",
            code="key-file-open",
        )
