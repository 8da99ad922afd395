"""A delivery and its attempts as the subscriber may see them: enough to repair an endpoint."""

from collections.abc import Sequence
from typing import Literal

from noticebus.casework.inspection import Inspected, Sent
from noticebus.contracts.base import DeliveryIdText, Instant, NoticeIdText, Published
from noticebus.contracts.vocabulary import Cause, Channel, DeliveryState, Fault, HeldReason, Outcome
from noticebus.domain.delivery_words import WHOSE
from noticebus.domain.masking import mask
from noticebus.store.deliveries import Attempt, Delivery


class AttemptView(Published):
    """One try: what went out when, and what came back.

    `whose` says in words whose fault a failed one was, and whether it used up one of your tries.
    A text message or call has the telephone provider's id, and its last word. `dns_ms` to
    `first_byte_ms` say where the time of a webhook went, each null where it was not gone through:
    a connection that was open already has no look-up, no connecting and no TLS.
    """

    number: int
    started_at: Instant
    finished_at: Instant
    outcome: Outcome
    fault: Fault | None
    status_code: int | None
    duration_ms: int
    error: str
    response_excerpt: str
    provider_id: str | None
    provider_status: str | None
    provider_status_at: Instant | None
    whose: str | None = None
    response_headers: dict[str, str] | None = None
    dns_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    first_byte_ms: int | None = None


class DeliveryView(Published):
    """One delivery. `id` is the `webhook-id` of every one of its attempts.

    `held_reason` says why it waits, or has waited. Three wait until `due_at`: others to the same
    contact go with it (`bundle`), the contact had its fill for the hour (`hourly_cap`), or many
    steps fell due at once (`burst`). Three have no `due_at` while they wait: the endpoint is down,
    until an attempt succeeds there (`endpoint_down`); the subscription is paused or its address has
    moved, until it is resumed or the new address consents (`paused`); or it is of a backlog or
    replay, until its turn comes at the endpoint's rate (`turn`).
    """

    id: DeliveryIdText
    cause: Cause
    channel: Channel
    state: DeliveryState
    notice_id: NoticeIdText | None
    version: int
    sequence: int | None
    due_at: Instant | None
    held_reason: HeldReason | None
    finished_at: Instant | None
    created_at: Instant
    attempts: tuple[AttemptView, ...]


def delivery_view(delivery: Delivery, attempts: Sequence[Attempt]) -> DeliveryView:
    """Show a delivery with its attempts, first try first."""
    return DeliveryView(
        id=delivery.id,
        cause=delivery.cause,
        channel=delivery.channel,
        state=delivery.state,
        notice_id=delivery.notice_id,
        version=delivery.version,
        sequence=delivery.sequence,
        due_at=delivery.due_at,
        held_reason=delivery.held_reason,
        finished_at=delivery.finished_at,
        created_at=delivery.created_at,
        attempts=tuple(_attempt(one) for one in attempts),
    )


class RequestView(Published):
    """What went out, as it went at every try. `method` and `url` are null for a Kafka topic.

    `url` is the subscription's address as it is now, its query masked. `body` is byte for byte what
    was signed, as text; it is null where it is withheld, and `body_withheld` says why.
    """

    method: Literal["POST"] | None
    url: str | None
    headers: dict[str, str]
    body: str | None
    body_withheld: str | None


class DeliveryDetail(DeliveryView):
    """One delivery with its request; `request` is null where no system is called."""

    request: RequestView | None


def delivery_detail(found: Inspected) -> DeliveryDetail:
    """Show a delivery with its request and every answer."""
    view = delivery_view(found.delivery, found.attempts)
    facts = {name: getattr(view, name) for name in DeliveryView.model_fields}
    return DeliveryDetail(**facts, request=None if found.sent is None else _request(found.sent))


def _request(sent: Sent) -> RequestView:
    return RequestView(
        method=None if sent.url is None else "POST",
        url=sent.url,
        headers=dict(sent.headers),
        body=None if sent.body is None else sent.body.decode(),
        body_withheld=sent.withheld,
    )


def _attempt(attempt: Attempt) -> AttemptView:
    return AttemptView(
        number=attempt.number,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        outcome=attempt.outcome,
        fault=attempt.fault,
        status_code=attempt.status_code,
        duration_ms=attempt.duration_ms,
        error=mask(attempt.error),
        response_excerpt=mask(attempt.response_excerpt),
        provider_id=attempt.provider_id,
        provider_status=attempt.provider_status,
        provider_status_at=attempt.provider_status_at,
        whose=None if attempt.fault is None else WHOSE[attempt.fault],
        response_headers=attempt.response_headers,
        dns_ms=attempt.dns_ms,
        connect_ms=attempt.connect_ms,
        tls_ms=attempt.tls_ms,
        first_byte_ms=attempt.first_byte_ms,
    )
