"""The ways to sign in that an installation offers."""

from dataclasses import dataclass

from noticebus.access.keyring import Keyring
from noticebus.access.oidc import CALLBACK, Oidc, OidcClient
from noticebus.access.proxy_header import TrustedProxy
from noticebus.clock import Clock
from noticebus.contracts.vocabulary import UserRole
from noticebus.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """Passwords, an identity provider, a trusted proxy; links work beside each of them."""

    passwords: bool = True
    oidc: Oidc | None = None
    proxy: TrustedProxy | None = None


def ways_of(settings: Settings, *, keyring: Keyring, machine: Clock) -> Ways:
    """Give the ways that the settings say."""
    oidc = proxy = None
    if settings.oidc_issuer is not None and settings.oidc_client_id is not None:
        secret = settings.oidc_client_secret
        client = OidcClient(
            issuer=settings.oidc_issuer,
            client_id=settings.oidc_client_id,
            client_secret=None if secret is None else secret.get_secret_value(),
            redirect_uri=settings.base_url + CALLBACK,
            roles_claim=settings.oidc_roles_claim,
            roles={claim: UserRole(role) for claim, role in settings.oidc_roles.items()},
            agency_claim=settings.oidc_agency_claim,
        )
        oidc = Oidc(client, keyring=keyring, machine=machine)
    if settings.proxy_user_header is not None:
        proxy = TrustedProxy(header=settings.proxy_user_header, networks=settings.proxy_allow)
    return Ways(passwords=settings.password_sign_in, oidc=oidc, proxy=proxy)
