"""What the bus shows to an endpoint that asks who calls: entered whole, shown as facts only."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from noticebus.contracts.base import (
    Accepted,
    Instant,
    Published,
    SubscriptionIdText,
    Url,
    at,
    refuse,
)

_PEM = r"^[\t\n\r\x20-\x7e]+$"
_VISIBLE = r"^[\x20-\x7e]+$"  # RFC 6749, appendix A

Pem = Annotated[str, StringConstraints(strict=True, max_length=32 * 1024, pattern=_PEM)]
SecretPem = Annotated[SecretStr, Field(min_length=1, max_length=16 * 1024)]
Visible = Annotated[
    str, StringConstraints(strict=True, min_length=1, max_length=300, pattern=_VISIBLE)
]


def _visible(secret: SecretStr) -> SecretStr:
    if re.fullmatch(_VISIBLE, secret.get_secret_value()) is None:
        raise PydanticCustomError("secret", "use printable ASCII characters only")
    return secret


ClientSecret = Annotated[SecretStr, Field(min_length=8, max_length=500), AfterValidator(_visible)]


class ClientCertificatePut(Accepted):
    """A certificate in PEM, the endpoint's first and its chain after it, and its key."""

    certificate_pem: Pem
    key_pem: SecretPem


class OAuth2Put(Accepted):
    """The bus as a client of your token server (RFC 6749, section 4.4: client credentials)."""

    token_url: Url
    client_id: Visible
    client_secret: ClientSecret
    scope: Visible | None = None
    audience: Visible | None = None


class CredentialsPut(Accepted):
    """All of a subscription's credentials: what is null, or left out, it has no more."""

    client_certificate: ClientCertificatePut | None = None
    oauth2: OAuth2Put | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.client_certificate is None and self.oauth2 is None:
            refuse([at("", "give client_certificate or oauth2; DELETE removes both")])
        return self


class CertificateView(Published):
    """What is shown of a client certificate. `expires_soon`: within 30 days, or already past."""

    subject: str
    issuer: str
    not_after: Instant
    fingerprint_sha256: str
    expires_soon: bool


class OAuth2View(Published):
    """What is shown of an OAuth2 client; never its secret, nor a token."""

    token_url: str
    client_id: str
    scope: str | None
    audience: str | None


class CredentialsView(Published):
    """What a subscription's endpoint is shown, as facts."""

    subscription_id: SubscriptionIdText
    client_certificate: CertificateView | None
    oauth2: OAuth2View | None
    revision: int
