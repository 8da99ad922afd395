"""Subscriptions over HTTP: the subscriber's side."""

import base64
import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from noticebus.access.keyring import from_base64url
from noticebus.casework import backlogs, endpoints, inspection, leases, pauses
from noticebus.casework import subscriptions as casework
from noticebus.casework.desk import Desk
from noticebus.casework.orders import WithSecret
from noticebus.contracts.answers import Page
from noticebus.contracts.places import standing_areas
from noticebus.contracts.subscription import (
    ConsentPost,
    ResumePost,
    RotatePost,
    SecretRotated,
    SubscriptionCreated,
    SubscriptionPatch,
    SubscriptionPost,
    SubscriptionView,
)
from noticebus.contracts.vocabulary import EndpointState, SubscriptionState
from noticebus.gateway.delivery_views import (
    DeliveryDetail,
    DeliveryView,
    delivery_detail,
    delivery_view,
)
from noticebus.gateway.dependencies import (
    Caller,
    EgressAllow,
    IfMatch,
    TheDesk,
    ThePage,
    cut,
    link_next,
    set_etag,
)
from noticebus.gateway.endpoints import endpoint_views
from noticebus.gateway.examples import (
    CONSENT_EXAMPLES,
    RESUME_EXAMPLES,
    ROTATE_EXAMPLES,
    SUBSCRIPTION_EXAMPLES,
    SUBSCRIPTION_PATCH_EXAMPLES,
)
from noticebus.gateway.problems import DONE, EDITED, LISTED, MADE, READ, responses
from noticebus.store.rows import values_of
from noticebus.store.subscriptions import Subscription

PUBLIC_KEY_PREFIX = "whpk_"  # Standard Webhooks
HIDDEN = frozenset(
    {"secrets_sealed", "challenge", "area_keys", "credentials_sealed", "lease_warned", "paused_by"}
)

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])


@router.post("", status_code=201, responses=responses(*MADE, "not-found", "contacts-first"))
async def create_subscription(
    post: Annotated[SubscriptionPost, Body(openapi_examples=SUBSCRIPTION_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    allow: EgressAllow,
    response: Response,
) -> SubscriptionCreated:
    """Ask to be told about areas and kinds of notices, by webhook, mail, Kafka or inbox.

    With an agency's key (`subscribe`) it waits for an operator's approval; created with `admin` or
    `operate` it counts as approved. A webhook must then answer the handshake before it gets
    anything else, and its agency needs a contact first. The `secret` is shown here only.
    """
    made = await casework.create_subscription(desk, caller, post=post, allow=allow)
    set_etag(response, made.subscription.revision)
    return SubscriptionCreated(
        **await _facts(desk, made.subscription),
        secret=made.secret,
        public_key=_public_key(desk, made),
    )


@router.get("", responses=responses(*LISTED))
async def list_subscriptions(  # noqa: PLR0913, PLR0917 - the parts of a request
    desk: TheDesk,
    caller: Caller,
    page: ThePage,
    request: Request,
    response: Response,
    state: Annotated[SubscriptionState | None, Query(description="Only those in it.")] = None,
    endpoint_state: Annotated[
        EndpointState | None, Query(description="Only those whose endpoint is in it.")
    ] = None,
) -> Page[SubscriptionView]:
    """List subscriptions: your agency's, or all of them with `admin`, `operate` or `audit`."""
    found = await casework.list_subscriptions(
        desk,
        caller,
        state=state,
        endpoint_state=endpoint_state,
        after=page.after,
        limit=page.limit + 1,
    )
    shown, last = cut(found, page)
    items = tuple(await _views(desk, shown))
    return Page(items=items, next=link_next(request, response, last=last))


@router.get("/{subscription_id}", responses=responses(*READ))
async def get_subscription(
    subscription_id: str, desk: TheDesk, caller: Caller, response: Response
) -> SubscriptionView:
    """Read one subscription. Its `ETag` is what an edit sends back in `If-Match`."""
    found = await casework.get_subscription(desk, caller, subscription_id=subscription_id)
    return await _answer(desk, found, response)


@router.patch("/{subscription_id}", responses=responses(*EDITED, "conflict"))
async def edit_subscription(  # noqa: PLR0913, PLR0917 - the parts of a request
    subscription_id: str,
    patch: Annotated[SubscriptionPatch, Body(openapi_examples=SUBSCRIPTION_PATCH_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    allow: EgressAllow,
    if_match: IfMatch,
    response: Response,
) -> SubscriptionView:
    """Change a subscription. Needs `If-Match`; the body is a JSON merge patch (RFC 7396).

    More areas or a higher content level than were approved are for `admin` or `operate` to set.
    Another `url` must answer the handshake before it gets anything else.
    """
    changed = await casework.edit_subscription(
        desk,
        caller,
        subscription_id=subscription_id,
        patch=patch,
        revision=if_match,
        allow=allow,
    )
    return await _answer(desk, changed, response)


@router.delete("/{subscription_id}", responses=responses(*DONE))
async def end_subscription(
    subscription_id: str, desk: TheDesk, caller: Caller, if_match: IfMatch, response: Response
) -> SubscriptionView:
    """End a subscription for good. Its responsibilities and open obligations stay."""
    ended = await casework.end_subscription(
        desk, caller, subscription_id=subscription_id, revision=if_match
    )
    return await _answer(desk, ended, response)


@router.post("/{subscription_id}/approve", responses=responses(*DONE, "contact-unverified"))
async def approve_subscription(
    subscription_id: str, desk: TheDesk, caller: Caller, if_match: IfMatch, response: Response
) -> SubscriptionView:
    """Approve areas and content level. Needs `operate` or `admin`.

    A webhook is asked for consent next; mail and inbox begin at once. Send `If-Match` to approve
    exactly what you read.
    """
    approved = await casework.approve_subscription(
        desk, caller, subscription_id=subscription_id, revision=if_match
    )
    return await _answer(desk, approved, response)


@router.post("/{subscription_id}/verify", status_code=202, responses=responses(*DONE))
async def verify_subscription(
    subscription_id: str,
    desk: TheDesk,
    caller: Caller,
    response: Response,
    post: Annotated[ConsentPost | None, Body(openapi_examples=CONSENT_EXAMPLES)] = None,
) -> SubscriptionView:
    """Send the handshake again, or confirm the one that came over your Kafka topic.

    A webhook answers it 2xx with the challenge as the body, or as JSON `{"challenge": …}`. Who
    reads a topic sends `data.challenge` here, as `{"challenge": …}`.
    """
    found = await endpoints.verify_subscription(
        desk,
        caller,
        subscription_id=subscription_id,
        challenge=None if post is None else post.challenge,
    )
    return await _answer(desk, found, response)


@router.post("/{subscription_id}/pause", responses=responses(*DONE))
async def pause_subscription(
    subscription_id: str, desk: TheDesk, caller: Caller, if_match: IfMatch, response: Response
) -> SubscriptionView:
    """Pause a subscription: nothing is sent, it is shown as paused, obligations go on.

    What it would have got meanwhile is numbered and held back; `held_back` counts it.
    """
    paused = await pauses.pause_subscription(
        desk, caller, subscription_id=subscription_id, revision=if_match
    )
    return await _answer(desk, paused, response)


@router.post("/{subscription_id}/resume", responses=responses(*DONE))
async def resume_subscription(
    subscription_id: str,
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
    post: Annotated[ResumePost | None, Body(openapi_examples=RESUME_EXAMPLES)] = None,
) -> SubscriptionView:
    """Resume a paused subscription. What was held back is sent in its turn, the gravest first.

    With `{"held": "leave"}` it is not: it stays in `GET /v1/inbox`. Fresh notices wait for neither.
    """
    resumed = await pauses.resume_subscription(
        desk,
        caller,
        subscription_id=subscription_id,
        held_back=(post or ResumePost()).held,
        revision=if_match,
    )
    return await _answer(desk, resumed, response)


@router.post("/{subscription_id}/renew", responses=responses(*DONE))
async def renew_subscription(
    subscription_id: str, desk: TheDesk, caller: Caller, if_match: IfMatch, response: Response
) -> SubscriptionView:
    """Renew the lease of a webhook or topic. One that had lapsed is resumed by it.

    What was held while it was paused for that goes in its turn.
    """
    renewed = await leases.renew_subscription(
        desk, caller, subscription_id=subscription_id, revision=if_match
    )
    return await _answer(desk, renewed, response)


@router.post("/{subscription_id}/rotate-secret", responses=responses(*DONE))
async def rotate_secret(
    subscription_id: str,
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
    post: Annotated[RotatePost | None, Body(openapi_examples=ROTATE_EXAMPLES)] = None,
) -> SecretRotated:
    """Make a new webhook secret, shown in this answer only; the old one signs too for a while.

    That is 24 hours unless `overlap_hours` says otherwise. A rotation renews the lease as well.
    """
    rotated = await endpoints.rotate_secret(
        desk,
        caller,
        subscription_id=subscription_id,
        overlap=dt.timedelta(hours=(post or RotatePost()).overlap_hours),
        revision=if_match,
    )
    set_etag(response, rotated.subscription.revision)
    assert rotated.secret is not None, "only webhooks are rotated, and they have a secret"
    return SecretRotated(
        id=rotated.subscription.id,
        secret=rotated.secret,
        public_key=_public_key(desk, rotated),
        previous_valid_until=endpoints.previous_valid_until(
            rotated.subscription, now=desk.machine.now()
        ),
    )


@router.post("/{subscription_id}/revoke-old-secrets", responses=responses(*DONE))
async def revoke_old_secrets(
    subscription_id: str, desk: TheDesk, caller: Caller, if_match: IfMatch, response: Response
) -> SubscriptionView:
    """Let none but the newest webhook secret sign, at once: an older one has leaked, say.

    A receiver that still has an older one refuses everything from then on, until it has the newest.
    """
    changed = await endpoints.revoke_old_secrets(
        desk, caller, subscription_id=subscription_id, revision=if_match
    )
    return await _answer(desk, changed, response)


@router.post("/{subscription_id}/test", status_code=202, responses=responses(*DONE))
async def send_test(subscription_id: str, desk: TheDesk, caller: Caller) -> DeliveryView:
    """Send a test delivery to the endpoint. Look at `…/deliveries` for what came of it."""
    delivery = await endpoints.send_test(desk, caller, subscription_id=subscription_id)
    return delivery_view(delivery, ())


@router.get("/{subscription_id}/deliveries", responses=responses(*LISTED, "not-found"))
async def list_deliveries(
    subscription_id: str,
    desk: TheDesk,
    caller: Caller,
    page: ThePage,
    request: Request,
    response: Response,
) -> Page[DeliveryView]:
    """List what was sent to the subscription, newest first, each with its attempts."""
    found = await endpoints.list_deliveries(
        desk,
        caller,
        subscription_id=subscription_id,
        before=page.after or None,
        limit=page.limit + 1,
    )
    shown = found[: page.limit]
    last = shown[-1].delivery.id if len(found) > page.limit else None
    items = tuple(delivery_view(one.delivery, one.attempts) for one in shown)
    return Page(items=items, next=link_next(request, response, last=last))


@router.get("/{subscription_id}/deliveries/{delivery_id}", responses=responses(*READ))
async def get_delivery(
    subscription_id: str, delivery_id: str, desk: TheDesk, caller: Caller
) -> DeliveryDetail:
    """Read one delivery: the request as it went, and what came back at every try.

    Signatures and the values of the address's query are masked. The body is shown to the agency it
    went to, where it can be made again exactly as it was.
    """
    found = await inspection.inspect_delivery(
        desk, caller, subscription_id=subscription_id, delivery_id=delivery_id
    )
    return delivery_detail(found)


async def _answer(desk: Desk, found: Subscription, response: Response) -> SubscriptionView:
    set_etag(response, found.revision)
    return SubscriptionView(**await _facts(desk, found))


async def _facts(desk: Desk, found: Subscription) -> dict[str, Any]:
    (view,) = await _views(desk, [found])
    return {name: getattr(view, name) for name in SubscriptionView.model_fields}


async def _views(desk: Desk, found: Sequence[Subscription]) -> list[SubscriptionView]:
    standing = await endpoint_views(desk, found)
    sequences = await casework.last_sequences(desk, found)
    held_back = await backlogs.held_back(desk, [one.id for one in found])
    return [
        SubscriptionView(
            **_shown(one),
            **_secrets(desk, one),
            areas=standing_areas(one.area_keys),
            last_sequence=sequences.get(one.id, 0),
            endpoint=standing[one.id],
            held_back=held_back.get(one.id, 0),
        )
        for one in found
    ]


def _shown(found: Subscription) -> dict[str, Any]:
    return {name: value for name, value in values_of(found).items() if name not in HIDDEN}


def _secrets(desk: Desk, found: Subscription) -> dict[str, Any]:
    now = desk.machine.now()
    return {
        "secrets": endpoints.valid_secrets(found, now=now),
        "previous_valid_until": endpoints.previous_valid_until(found, now=now),
    }


def _public_key(desk: Desk, made: WithSecret) -> str | None:
    if made.secret is None:
        return None
    raw = from_base64url(desk.keyring.signing_keys[0].public_jwk()["x"])
    return PUBLIC_KEY_PREFIX + base64.b64encode(raw).decode("ascii")
