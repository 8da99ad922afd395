"""The OpenAPI `webhooks` section: what the bus posts to a subscriber's endpoint, one per cause.

Nothing here is served. Each function is what the subscriber implements.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response

from noticebus.contracts.vocabulary import Cause
from noticebus.contracts.webhook import (
    AnswerEventData,
    CorrectionEventData,
    CoverageEventData,
    Event,
    HeartbeatEventData,
    NoticeEventData,
    OfferEventData,
    PingEventData,
    QuestionEventData,
    StepEventData,
    VerifyEventData,
    event_type,
)


async def signed(
    webhook_id: Annotated[
        str, Header(description="The delivery's id: the same on every repeat. Keep it, drop twins.")
    ],
    webhook_timestamp: Annotated[
        int, Header(description="Seconds since 1970. Refuse what is older than 5 minutes.")
    ],
    webhook_signature: Annotated[
        str,
        Header(
            description="Standard Webhooks signatures of `id.timestamp.body`, with spaces between: "
            "`v1,` HMAC-SHA256 under your secret, `v1a,` Ed25519 under a key of "
            "`/.well-known/jwks.json`. One that verifies is enough."
        ),
    ],
) -> None:
    """Describe the headers that every webhook carries (Standard Webhooks)."""


router = APIRouter(
    dependencies=[Depends(signed)],
    responses={
        "2XX": {"description": "Taken. This is no answer to the notice: acknowledge it."},
        410: {"description": "Do not send this again. Your contacts are told by mail instead."},
        "default": {"description": "Not taken: it comes again, with the same id and body."},
    },
)


@router.post(event_type(Cause.NOTICE), status_code=204, response_class=Response)
async def notice(event: Event[NoticeEventData]) -> None:
    """Take a notice, or its next version, for an area of your subscription.

    Answer 2xx within 15 s, then acknowledge it at `data.obligation.acknowledge_url` by `due_at`.
    Order by `version` and `sequence`; order of arrival is not promised.
    """


@router.post(event_type(Cause.STEP), status_code=204, response_class=Response)
async def step(event: Event[StepEventData]) -> None:
    """Take a reminder: your agency has not answered yet, and the next step is to ring others."""


@router.post(event_type(Cause.CORRECTION), status_code=204, response_class=Response)
async def correction(event: Event[CorrectionEventData]) -> None:
    """Take what replaces an earlier delivery of the same notice, as you may see it now."""


@router.post(event_type(Cause.QUESTION), status_code=204, response_class=Response)
async def question(event: Event[QuestionEventData]) -> None:
    """Take a recipient's question about a notice you posted; answer it by `due_at`."""


@router.post(event_type(Cause.ANSWER), status_code=204, response_class=Response)
async def answer(event: Event[AnswerEventData]) -> None:
    """Take the poster's answer to what your agency asked."""


@router.post(event_type(Cause.OFFER), status_code=204, response_class=Response)
async def offer(event: Event[OfferEventData]) -> None:
    """Take an offer of help for an incident, or what became of one you made."""


@router.post(event_type(Cause.COVERAGE), status_code=204, response_class=Response)
async def coverage(event: Event[CoverageEventData]) -> None:
    """Take, as an operator of the bus, a place that nobody answers for: find somebody."""


@router.post(event_type(Cause.HANDSHAKE), response_class=Response)
async def handshake(event: Event[VerifyEventData]) -> None:
    """Prove that you want notices: answer 2xx with `data.challenge` as the body.

    JSON `{"challenge": …}` is as good. Until then nothing else is sent.
    """


@router.post(event_type(Cause.HEARTBEAT), status_code=204, response_class=Response)
async def heartbeat(event: Event[HeartbeatEventData]) -> None:
    """Compare `data.subscription.sequence` with your last: fill a gap from `GET /v1/inbox`."""


@router.post(event_type(Cause.TEST), status_code=204, response_class=Response)
async def test(event: Event[PingEventData]) -> None:
    """Take a trial that you asked for at `/v1/subscriptions/{id}/test`. Nothing has happened."""
