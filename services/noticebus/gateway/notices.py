"""Notices over HTTP: post one, try one out, read them back."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response

from noticebus.casework import preview as casework_preview
from noticebus.casework import reading
from noticebus.casework.drafts import first_version
from noticebus.casework.intake import Answered
from noticebus.contracts.answers import NoticeAccepted, NoticeView, Page, Preview
from noticebus.contracts.notice import NoticePost
from noticebus.gateway.dependencies import (
    Caller,
    Key,
    TheDesk,
    TheIntake,
    ThePage,
    cut,
    link_next,
)
from noticebus.gateway.examples import NOTICE_EXAMPLES
from noticebus.gateway.planned import PlannedRoute
from noticebus.gateway.problems import LISTED, MADE, READ, responses
from noticebus.gateway.wire import as_json

POSTED = (
    *MADE,
    "idempotency-key-missing",
    "idempotency-key-reused",
    "idempotency-conflict",
    "unknown-place",
)

router = APIRouter(prefix="/v1/notices", tags=["notices"], route_class=PlannedRoute)
PostedNotice = Annotated[NoticePost, Body(openapi_examples=NOTICE_EXAMPLES)]


@router.post("", status_code=201, response_model=NoticeAccepted, responses=responses(*POSTED))
async def post_notice(
    post: PostedNotice, desk: TheDesk, intake: TheIntake, caller: Caller, key: Key
) -> Response:
    """Post a notice: everybody responsible for its places is told, and must answer.

    Needs the scope `post` and an `Idempotency-Key`. The 201 is sent after the notice, who must
    answer and every delivery are on disk; `recipients` says who that is, who cannot be reached and
    which places nobody answers for: ring those yourself. Send the same key again when in doubt: you
    get the same answer, with `Idempotency-Replayed: true`, and nobody is told twice.
    """
    draft = await first_version(desk, caller, post=post, key=key)
    return posted(await intake.post(draft))


@router.post("/preview", responses=responses(*MADE, "unknown-place"))
async def preview_notice(post: PostedNotice, desk: TheDesk, caller: Caller) -> Preview:
    """Try a notice out: who would get it, what each would see, which places nobody answers for.

    Needs the scope `post`. Nothing is stored and nobody is told. The first 200 recipients are
    named, mandatory ones first.
    """
    draft = await first_version(desk, caller, post=post, key="")
    return await casework_preview.preview(desk, draft=draft)


@router.get("", response_model=Page[NoticeView], responses=responses(*LISTED))
async def list_notices(
    desk: TheDesk, caller: Caller, page: ThePage, request: Request, response: Response
) -> Response:
    """List notices, newest first: those your agency posted or was told of.

    With `operate`, `admin` or `audit` all of them. Each is shown as `GET /v1/notices/{id}` shows
    it.
    """
    found = await reading.list_notices(desk, caller, before=page.after, limit=page.limit + 1)
    shown, last = cut(found, page)
    following = link_next(request, response, last=last)
    content = {"items": [one.content for one in shown], "next": following}
    return as_json(content, headers=response.headers)


@router.get("/{notice_id}", response_model=NoticeView, responses=responses(*READ))
async def get_notice(notice_id: str, desk: TheDesk, caller: Caller) -> Response:
    """Read a notice: whole where your agency posted it, else as your agency may see it.

    Child welfare agencies see the level `cps`, every other recipient `partner`, and nobody an
    embargoed notice. Reading is no answer: acknowledge it at `…/acknowledgements`.
    """
    seen = await reading.get_notice(desk, caller, notice_id=notice_id)
    return as_json(seen.content)


def posted(answered: Answered) -> Response:
    """Answer a post: 201 for the first, and the same for its repeat."""
    headers: dict[str, Any] = {"Location": f"/v1/notices/{answered.response['id']}"}
    if not answered.fresh:
        headers["Idempotency-Replayed"] = "true"
    return as_json(answered.response, status=201, headers=headers)
