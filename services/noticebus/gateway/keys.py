"""API keys over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from noticebus.casework import keys as casework
from noticebus.contracts.answers import Page
from noticebus.contracts.key import ApiKeyCreated, ApiKeyPost, ApiKeyView
from noticebus.gateway.dependencies import Caller, TheDesk, ThePage, cut, link_next
from noticebus.gateway.examples import KEY_EXAMPLES
from noticebus.gateway.problems import LISTED, MADE, READ, responses
from noticebus.store.rows import values_of

router = APIRouter(prefix="/v1/api-keys", tags=["keys"])


@router.post("", status_code=201, responses=responses(*MADE))
async def create_key(
    post: Annotated[ApiKeyPost, Body(openapi_examples=KEY_EXAMPLES)], desk: TheDesk, caller: Caller
) -> ApiKeyCreated:
    """Make an API key. Needs the scope `admin`.

    The answer is the only place where the key itself is ever shown: store it at once.
    """
    made = await casework.create_key(desk, caller, post=post)
    return ApiKeyCreated(**values_of(made.key), key=made.secret)


@router.get("", responses=responses(*LISTED))
async def list_keys(
    desk: TheDesk, caller: Caller, page: ThePage, request: Request, response: Response
) -> Page[ApiKeyView]:
    """List API keys, revoked and expired ones too, never the keys themselves. Needs `admin`."""
    found = await casework.list_keys(desk, caller, after=page.after, limit=page.limit + 1)
    shown, last = cut(found, page)
    items = tuple(ApiKeyView(**values_of(one)) for one in shown)
    return Page(items=items, next=link_next(request, response, last=last))


@router.delete("/{key_id}", responses=responses(*READ, "conflict"))
async def revoke_key(key_id: str, desk: TheDesk, caller: Caller) -> ApiKeyView:
    """Revoke an API key: within five seconds it opens nothing, anywhere. Needs `admin`."""
    return ApiKeyView(**values_of(await casework.revoke_key(desk, caller, key_id=key_id)))
