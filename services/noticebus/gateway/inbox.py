"""The inbox over HTTP: pull instead of push, and the repair of gaps."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from noticebus.casework import inbox as casework
from noticebus.casework.inbox import Fetched
from noticebus.contracts.inbox import InboxPage
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.problems import READ, responses

ITEMS_MAX = 100
SEQUENCE_MAX = 2**53 - 1  # what JSON readers everywhere hold exactly

router = APIRouter(prefix="/v1/inbox", tags=["subscriptions"])


@router.get("", response_model=InboxPage, responses=responses(*READ, "conflict"))
async def read_inbox(
    desk: TheDesk,
    caller: Caller,
    request: Request,
    subscription: Annotated[
        str, Query(max_length=40, description="Your subscription, `sub_…`, on any channel.")
    ],
    after: Annotated[
        int, Query(ge=0, le=SEQUENCE_MAX, description="The last sequence number you have.")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=ITEMS_MAX, description="How many at most.")] = 50,
) -> Response:
    """Read what your subscription was sent after a number: exactly what its webhook carries.

    Needs `subscribe` or `answer`. `sequence` rises by one from item to item; when `next_after`
    equals `last_sequence` you have missed nothing. Fetching counts as delivery for an `inbox`
    subscription. It is no answer: acknowledge each notice at its `acknowledge_url`.
    """
    fetched = await casework.fetch(
        desk, caller, subscription_id=subscription, after=after, limit=limit
    )
    following = _next_after(fetched, after=after)
    headers = {}
    if fetched.items and following < fetched.last_sequence:
        target = request.url.include_query_params(after=following)
        base_url = desk.base_url.rstrip("/")
        headers["Link"] = f'<{base_url}{target.path}?{target.query}>; rel="next"'
    return Response(_page(fetched, after=after), media_type="application/json", headers=headers)


def _page(fetched: Fetched, *, after: int) -> bytes:
    """Write the page around the bodies, which stay as they are, byte for byte."""
    items = b",".join(one.body for one in fetched.items)
    head = f'{{"subscription_id":"{fetched.subscription_id}","after":{after},"items":['
    following = _next_after(fetched, after=after)
    tail = f'],"next_after":{following},"last_sequence":{fetched.last_sequence}}}'
    return head.encode() + items + tail.encode()


def _next_after(fetched: Fetched, *, after: int) -> int:
    last = fetched.items[-1].delivery.sequence if fetched.items else None
    return after if last is None else last
