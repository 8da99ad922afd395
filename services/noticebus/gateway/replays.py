"""Replays over HTTP: counted, begun, followed, cancelled."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response

from noticebus.casework import replays as casework
from noticebus.casework.replays import Progress, Wanted
from noticebus.contracts.answers import Page
from noticebus.contracts.replay import ReplayCount, ReplayPost, ReplayView
from noticebus.gateway.dependencies import Caller, TheDesk, ThePage, cut, link_next
from noticebus.gateway.examples import REPLAY_EXAMPLES
from noticebus.gateway.problems import DONE, LISTED, READ, responses

router = APIRouter(prefix="/v1/subscriptions/{subscription_id}", tags=["subscriptions"])


@router.post(
    "/replay",
    status_code=202,
    response_model=ReplayView,
    responses={
        200: {"model": ReplayCount, "description": "With `dry_run=true`: the count only."},
        **responses(*DONE, "replay-running"),
    },
)
async def begin_replay(
    subscription_id: str,
    post: Annotated[ReplayPost, Body(openapi_examples=REPLAY_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    response: Response,
    *,
    dry_run: Annotated[
        bool, Query(description="Answer how many it would be, and send nothing.")
    ] = False,
) -> Response | ReplayView:
    """Have numbered deliveries sent again: those after a number, or since a time.

    They are counted first, and no later one is added. Each comes with its own `webhook-id` and
    body, at the rate of a backlog, so that fresh notices do not wait for it. `Location` is where
    its progress can be read.
    """
    wanted = Wanted(after=post.after, since=post.since, until=post.until)
    if dry_run:
        span = await casework.count_replay(
            desk, caller, subscription_id=subscription_id, wanted=wanted
        )
        count = ReplayCount(total=span.total, after=span.after, until=span.until)
        return Response(count.model_dump_json(), media_type="application/json")
    begun = await casework.begin_replay(
        desk, caller, subscription_id=subscription_id, wanted=wanted
    )
    response.headers["Location"] = f"/v1/subscriptions/{subscription_id}/replays/{begun.id}"
    return _view(begun)


@router.get("/replays", responses=responses(*LISTED, "not-found"))
async def list_replays(
    subscription_id: str,
    desk: TheDesk,
    caller: Caller,
    page: ThePage,
    request: Request,
    response: Response,
) -> Page[ReplayView]:
    """List the replays of a subscription, newest first, each with its progress."""
    found = await casework.list_replays(
        desk, caller, subscription_id=subscription_id, before=page.after, limit=page.limit + 1
    )
    shown, last = cut(found, page)
    items = tuple(_view(one) for one in shown)
    return Page(items=items, next=link_next(request, response, last=last))


@router.get("/replays/{replay_id}", responses=responses(*READ))
async def get_replay(
    subscription_id: str, replay_id: str, desk: TheDesk, caller: Caller
) -> ReplayView:
    """Read how far a replay is."""
    return _view(
        await casework.get_replay(
            desk, caller, subscription_id=subscription_id, replay_id=replay_id
        )
    )


@router.post("/replays/{replay_id}/cancel", responses=responses(*DONE))
async def cancel_replay(
    subscription_id: str, replay_id: str, desk: TheDesk, caller: Caller
) -> ReplayView:
    """Cancel a replay. What is on its way arrives, nothing follows."""
    return _view(
        await casework.cancel_replay(
            desk, caller, subscription_id=subscription_id, replay_id=replay_id
        )
    )


def _view(progress: Progress) -> ReplayView:
    found, ends = progress.replay, progress.ends
    return ReplayView(
        id=found.id,
        subscription_id=found.subscription_id,
        state=found.state,
        after=found.after_sequence,
        until=found.until_sequence,
        since=found.since,
        total=found.total,
        queued=found.queued,
        delivered=ends.delivered,
        failed=ends.failed,
        waiting=progress.waiting,
        not_sent=progress.not_sent,
        requested_by=found.requested_by,
        created_at=found.created_at,
        finished_at=found.finished_at,
    )
