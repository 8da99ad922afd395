"""Credentials of a subscription: what its endpoint is shown, sealed, and bound to one origin."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from noticebus.access.certificates import CertificateFacts, read_certificate
from noticebus.access.credentials import (
    ClientCertificate,
    Credentials,
    OAuthClient,
    seal_credentials,
)
from noticebus.access.principals import Principal
from noticebus.casework.administration import (
    check_revision,
    enter,
    invalid,
    require_manager,
    require_revision,
)
from noticebus.casework.desk import Desk
from noticebus.casework.orders import held, names, refuse_ended, visible, write
from noticebus.contracts.base import write_instant
from noticebus.contracts.credentials import CredentialsPut
from noticebus.contracts.vocabulary import Channel
from noticebus.domain.egress_rules import Network, check_url
from noticebus.errors import ConflictError, InvalidError
from noticebus.store import subscriptions as rows
from noticebus.store.subscriptions import Subscription

PLAIN = "http"


async def set_credentials(
    desk: Desk,
    principal: Principal,
    *,
    subscription_id: str,
    put: CredentialsPut,
    revision: int | None,
    allow: Sequence[Network] = (),
) -> Subscription:
    """Replace a webhook's credentials by `put`, whole. Its next attempt shows them.

    `allow` are the networks that an operator opened for endpoints (I11).
    """
    given, now = _given(put), desk.world.now()
    if given.oauth2 is not None and (
        faults := check_url(given.oauth2.token_url, allow=allow, pointer="/oauth2/token_url")
    ):
        raise InvalidError(faults[0].message, details=faults)
    certificate = None
    if given.client_certificate is not None:
        certificate = await asyncio.to_thread(read_certificate, given.client_certificate, now=now)
    facts = _facts(given, certificate)
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=require_revision(revision))
        refuse_ended(old)
        _check_endpoint(old, given)
        changed = replace(
            old.became(old.state),
            credentials_sealed={"sealed": seal_credentials(desk.keyring, given), **facts},
            certificate_expires_at=None if certificate is None else certificate.not_after,
        )
        await write(conn, changed, revision=old.revision)
        body = {**names(old), **_entered(facts)}
        await enter(conn, "subscription.credentials_set", body, by=principal, at=now)
    desk.committed()
    return changed


async def remove_credentials(
    desk: Desk, principal: Principal, *, subscription_id: str, revision: int | None = None
) -> Subscription:
    """Remove a subscription's credentials; without any there is nothing to do."""
    async with desk.database.begin() as conn:
        old = await held(conn, principal, subscription_id)
        check_revision(old.revision, revision=revision)
        if old.credentials_sealed is None:
            return old
        changed = replace(
            old.became(old.state), credentials_sealed=None, certificate_expires_at=None
        )
        await write(conn, changed, revision=old.revision)
        at = desk.world.now()
        await enter(conn, "subscription.credentials_removed", names(old), by=principal, at=at)
    desk.committed()
    return changed


async def read_credentials(
    desk: Desk, principal: Principal, *, subscription_id: str
) -> Subscription:
    """Find the subscription whose credentials its managers may look at, as facts."""
    async with desk.database.read() as conn:
        found = visible(
            principal, await rows.find_subscription(conn, subscription_id=subscription_id)
        )
    require_manager(principal, found.agency_id, what="subscription")
    return found


def refuse_move(old: Subscription, url: str | None) -> None:
    """Raise where an edit would show credentials to another server than they were entered for."""
    if old.credentials_sealed is None or _origin(url) == _origin(old.url):
        return
    raise invalid(
        "/url",
        "This subscription has credentials for the server it has now, which another server must "
        "not be shown. Remove them first (DELETE …/credentials), and set new ones afterwards.",
    )


def _given(put: CredentialsPut) -> Credentials:
    certificate, client = put.client_certificate, put.oauth2
    return Credentials(
        client_certificate=None
        if certificate is None
        else ClientCertificate(
            certificate_pem=certificate.certificate_pem,
            key_pem=certificate.key_pem.get_secret_value(),
        ),
        oauth2=None
        if client is None
        else OAuthClient(
            token_url=client.token_url,
            client_id=client.client_id,
            client_secret=client.client_secret.get_secret_value(),
            scope=client.scope,
            audience=client.audience,
        ),
    )


def _check_endpoint(old: Subscription, given: Credentials) -> None:
    if old.channel is not Channel.WEBHOOK:
        raise ConflictError("Only a webhook is shown credentials; this subscription is none.")
    if given.client_certificate is not None and urlsplit(old.url or "").scheme == PLAIN:
        raise invalid(
            "/client_certificate", "The endpoint has no TLS, so nothing asks for a certificate."
        )


def _facts(given: Credentials, certificate: CertificateFacts | None) -> dict[str, Any]:
    """Give what may be shown to who manages them: never a key, a secret or a token."""
    client = given.oauth2
    return {
        "client_certificate": None
        if certificate is None
        else {
            "subject": certificate.subject,
            "issuer": certificate.issuer,
            "not_after": write_instant(certificate.not_after),
            "fingerprint_sha256": certificate.fingerprint,
        },
        "oauth2": None
        if client is None
        else {
            "token_url": client.token_url,
            "client_id": client.client_id,
            "scope": client.scope,
            "audience": client.audience,
        },
    }


def _entered(facts: dict[str, Any]) -> dict[str, Any]:
    """Give what the ledger keeps for good: which certificate, and never where tokens are had.

    An address may hold a key in its query, and a name may be a person's.
    """
    certificate = facts["client_certificate"]
    kept = ("not_after", "fingerprint_sha256")
    return {
        "client_certificate": certificate and {name: certificate[name] for name in kept},
        "oauth2": facts["oauth2"] is not None,
    }


def _origin(url: str | None) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url or "")
    port = parts.port or {"https": 443, PLAIN: 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, port
