"""Notices over HTTP: post one, try one out, read them back."""

import asyncio
from typing import Any

from fastapi import APIRouter, Response

from noticebus.access.principals import Principal
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import Draft, first_version
from noticebus.casework.intake import Answered
from noticebus.contracts.answers import NoticeAccepted
from noticebus.contracts.notice import NoticePost
from noticebus.gateway.dependencies import Caller, Key, TheDesk, TheIntake
from noticebus.gateway.problems import MADE, responses
from noticebus.gateway.wire import as_json

POSTED = (
    *MADE,
    "idempotency-key-missing",
    "idempotency-key-reused",
    "idempotency-conflict",
    "unknown-place",
)

router = APIRouter(prefix="/v1/notices", tags=["notices"])


@router.post("", status_code=201, response_model=NoticeAccepted, responses=responses(*POSTED))
async def post_notice(
    post: NoticePost, desk: TheDesk, intake: TheIntake, caller: Caller, key: Key
) -> Response:
    """Post a notice: everybody responsible for its places is told, and must answer.

    Needs the scope `post` and an `Idempotency-Key`. The 201 is sent after the notice, who must
    answer and every delivery are on disk; `recipients` says who that is, who cannot be reached and
    which places nobody answers for: ring those yourself. Send the same key again when in doubt: you
    get the same answer, with `Idempotency-Replayed: true`, and nobody is told twice.
    """
    draft = await prepared(desk, caller, post=post, key=key)
    return posted(await intake.post(draft))


async def prepared(desk: Desk, caller: Principal, *, post: NoticePost, key: str) -> Draft:
    """Make the draft of a new incident; polygons are worked out beside the event loop."""
    if any(area.polygon for area in post.areas):
        return await asyncio.to_thread(first_version, desk, caller, post=post, key=key)
    return first_version(desk, caller, post=post, key=key)


def posted(answered: Answered) -> Response:
    """Answer a post: 201 for the first, and the same for its repeat."""
    headers: dict[str, Any] = {"Location": f"/v1/notices/{answered.response['id']}"}
    if not answered.fresh:
        headers["Idempotency-Replayed"] = "true"
    return as_json(answered.response, status=201, headers=headers)
