"""What the bus shows to an endpoint that asks who calls: a client certificate, an OAuth2 client.

Both are the recipient's, entered for one subscription, and lie sealed in its row. What may be shown
of them lies beside, in the clear.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from noticebus.access.keyring import Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate with its chain, and its key, both as PEM."""

    certificate_pem: str = field(repr=False)
    key_pem: str = field(repr=False)

    @property
    def digest(self) -> str:
        """Tell this certificate and key from others."""
        return hashlib.sha256(f"{self.certificate_pem}\0{self.key_pem}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """The bus as a client of the recipient's token server (RFC 6749, section 4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    audience: str | None = None

    @property
    def digest(self) -> str:
        """Tell this client from others, so that a change of it ends the tokens it was given."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What one subscription's endpoint is shown; either part may be absent."""

    client_certificate: ClientCertificate | None = None
    oauth2: OAuthClient | None = None


def seal_credentials(keyring: Keyring, credentials: Credentials) -> str:
    """Encrypt credentials for the database."""
    return keyring.seal(json.dumps(asdict(credentials)))


def unseal_credentials(keyring: Keyring, stored: dict[str, Any] | None) -> Credentials | None:
    """Decrypt what a row holds under `sealed`; None where the subscription has none."""
    if stored is None:
        return None
    found = json.loads(keyring.unseal(stored["sealed"]))
    certificate, client = found["client_certificate"], found["oauth2"]
    return Credentials(
        client_certificate=None if certificate is None else ClientCertificate(**certificate),
        oauth2=None if client is None else OAuthClient(**client),
    )
