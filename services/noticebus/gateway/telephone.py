"""What a telephone provider calls back: the fate of messages and calls, replies, typed codes.

No agency calls these; every one is signed by the provider, or refused.
"""

from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from noticebus.access.telephone import is_from_provider
from noticebus.casework import replies
from noticebus.casework import telephone as casework
from noticebus.casework.telephone import Report
from noticebus.domain.telephone import GATHER_PATH, STATUS_PATH, compose_reply
from noticebus.errors import BadRequestError, ForbiddenError, NotFoundError
from noticebus.gateway.dependencies import TheDesk
from noticebus.ids import DeliveryId

INBOUND_PATH = "/v1/telephone/twilio/inbound"
FIELDS_MAX = 100
WORD_MAX = 80
TWIML = "text/xml"

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """What the provider said, its signature checked."""

    fields: dict[str, str] = field(repr=False)
    delivery_id: DeliveryId

    def word(self, *names: str) -> str:
        """Give the first of the fields that is there, within bounds."""
        return next((self.fields[name] for name in names if name in self.fields), "")[:WORD_MAX]


def install(app: FastAPI, *, token: str) -> None:
    """Let the provider whose account has `token` call back."""
    app.state.telephone_token = token


async def get_callback(request: Request) -> Callback:
    """Read a callback; 404 without a provider, 403 where the signature is not the provider's."""
    token: str | None = getattr(request.app.state, "telephone_token", None)
    if token is None:
        raise NotFoundError("This bus has no telephone provider, so none can call it back.")
    try:
        pairs = parse_qsl(
            (await request.body()).decode("utf-8"),
            keep_blank_values=True,
            max_num_fields=FIELDS_MAX,
        )
    except ValueError as error:
        raise BadRequestError(
            f"The body is not a form in UTF-8 with at most {FIELDS_MAX} fields. Send one."
        ) from error
    base_url = request.app.state.desk.base_url.rstrip("/")
    query = f"?{request.url.query}" if request.url.query else ""
    if not is_from_provider(
        token,
        url=f"{base_url}{request.url.path}{query}",
        parameters=pairs,
        given=request.headers.get("X-Twilio-Signature", ""),
    ):
        raise ForbiddenError(
            "The signature is not the telephone provider's. Nothing was done. If it should be,"
            " check telephone_token, and that base_url is the address the provider calls.",
            code="telephone-unsigned",
        )
    return Callback(
        fields=dict(pairs),
        delivery_id=DeliveryId(request.query_params.get("delivery", "")[:WORD_MAX]),
    )


TheCallback = Annotated[Callback, Depends(get_callback)]


@router.post(STATUS_PATH, status_code=204)
async def take_status(callback: TheCallback, desk: TheDesk) -> None:
    """Take the provider's word on a message or call; 204 whether or not it is known."""
    await casework.take_report(
        desk,
        Report(
            delivery_id=callback.delivery_id,
            provider_id=callback.word("MessageSid", "SmsSid", "CallSid"),
            status=callback.word("MessageStatus", "SmsStatus", "CallStatus"),
            error_code=callback.word("ErrorCode"),
        ),
    )


@router.post(INBOUND_PATH)
async def take_inbound(callback: TheCallback, desk: TheDesk) -> Response:
    """Take a text message that somebody sent to the bus, and answer it with another."""
    said = await replies.take_text(
        desk, phone=callback.word("From"), body=callback.fields.get("Body", "")
    )
    return Response(compose_reply(said), media_type=TWIML)


@router.post(GATHER_PATH)
async def take_gather(callback: TheCallback, desk: TheDesk) -> Response:
    """Take the digits that somebody typed on a call, and say what the call says next."""
    document = await replies.take_digits(
        desk,
        delivery_id=callback.delivery_id,
        phone=callback.word("To", "Called"),
        digits=callback.word("Digits"),
    )
    return Response(document, media_type=TWIML)
