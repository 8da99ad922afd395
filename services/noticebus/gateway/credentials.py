"""A subscription's credentials over HTTP: entered whole, shown as facts, removed."""

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from noticebus.casework import credentials as casework
from noticebus.casework.desk import Desk
from noticebus.contracts.credentials import (
    CertificateView,
    CredentialsPut,
    CredentialsView,
    OAuth2View,
)
from noticebus.gateway.dependencies import Caller, EgressAllow, IfMatch, TheDesk, set_etag
from noticebus.gateway.examples import CREDENTIALS_EXAMPLES
from noticebus.gateway.problems import DONE, EDITED, READ, responses
from noticebus.store.report_quality import CERTIFICATE_WARNED_BEFORE
from noticebus.store.subscriptions import Subscription

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}/credentials", tags=["subscriptions"])


@router.put("", responses=responses(*EDITED, "conflict"))
async def set_credentials(  # noqa: PLR0913, PLR0917 - the parts of a request
    subscription_id: str,
    put: Annotated[CredentialsPut, Body(openapi_examples=CREDENTIALS_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    allow: EgressAllow,
    if_match: IfMatch,
    response: Response,
) -> CredentialsView:
    """Set what your endpoint is shown: a TLS client certificate, a bearer token, or both.

    Needs `If-Match` with the subscription's `ETag`. Replaces all credentials of the subscription.
    Every request to the endpoint shows them from then on, the handshake too. They are kept sealed
    and never shown again.
    """
    changed = await casework.set_credentials(
        desk, caller, subscription_id=subscription_id, put=put, revision=if_match, allow=allow
    )
    return _answer(desk, changed, response)


@router.get("", responses=responses(*READ))
async def get_credentials(
    subscription_id: str, desk: TheDesk, caller: Caller, response: Response
) -> CredentialsView:
    """Read facts about what your endpoint is shown; never a key, a secret or a token."""
    found = await casework.read_credentials(desk, caller, subscription_id=subscription_id)
    return _answer(desk, found, response)


@router.delete("", responses=responses(*DONE))
async def remove_credentials(
    subscription_id: str, desk: TheDesk, caller: Caller, if_match: IfMatch, response: Response
) -> CredentialsView:
    """Remove all credentials: the endpoint sees signed requests and nothing else."""
    changed = await casework.remove_credentials(
        desk, caller, subscription_id=subscription_id, revision=if_match
    )
    return _answer(desk, changed, response)


def _answer(desk: Desk, found: Subscription, response: Response) -> CredentialsView:
    set_etag(response, found.revision)
    stored: dict[str, Any] = found.credentials_sealed or {}
    client = stored.get("oauth2")
    return CredentialsView(
        subscription_id=found.id,
        client_certificate=_certificate(stored.get("client_certificate"), now=desk.world.now()),
        oauth2=None if client is None else OAuth2View(**client),
        revision=found.revision,
    )


def _certificate(stored: dict[str, Any] | None, *, now: dt.datetime) -> CertificateView | None:
    if stored is None:
        return None
    ends = dt.datetime.fromisoformat(stored["not_after"])
    return CertificateView(**stored, expires_soon=ends - now <= CERTIFICATE_WARNED_BEFORE)
