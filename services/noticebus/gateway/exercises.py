"""Exercises over HTTP: schedule one, call it off, read how it went."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from noticebus.casework import exercise_report
from noticebus.casework import exercises as casework
from noticebus.contracts.answers import Page
from noticebus.contracts.exercise import ExercisePost, ExerciseReport, ExerciseView
from noticebus.gateway.dependencies import (
    Caller,
    OptionalKey,
    TheDesk,
    ThePage,
    cut,
    link_next,
)
from noticebus.gateway.examples import EXERCISE_EXAMPLES
from noticebus.gateway.problems import LISTED, MADE, READ, responses
from noticebus.ids import ExerciseId

router = APIRouter(prefix="/v1/exercises", tags=["exercises"])


@router.post(
    "",
    status_code=201,
    responses=responses(*MADE, "idempotency-key-reused", "unknown-place"),
)
async def create_exercise(
    post: Annotated[ExercisePost, Body(openapi_examples=EXERCISE_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    key: OptionalKey,
    response: Response,
) -> ExerciseView:
    """Schedule an exercise: the whole path from notice to answer, marked at every layer.

    Needs `post`, or `operate` and the agency that posts it. Nobody is told before `starts_at`. At
    `ends_at` what is unanswered is withdrawn and nobody is reminded any more. Nothing of it is in
    a live figure, report or subject line. Send an `Idempotency-Key` to repeat it safely.
    """
    view, fresh = await casework.create_exercise(desk, caller, post=post, key=key)
    response.headers["Location"] = f"/v1/exercises/{view.id}"
    if not fresh:
        response.headers["Idempotency-Replayed"] = "true"
    return view


@router.get("", responses=responses(*LISTED))
async def list_exercises(
    desk: TheDesk, caller: Caller, page: ThePage, request: Request, response: Response
) -> Page[ExerciseView]:
    """List exercises, newest first: your agency's, or all with `operate`, `admin` or `audit`."""
    found = await casework.list_exercises(desk, caller, before=page.after, limit=page.limit + 1)
    shown, last = cut(found, page)
    return Page(items=tuple(shown), next=link_next(request, response, last=last))


@router.get("/{exercise_id}", responses=responses(*READ))
async def get_exercise(exercise_id: str, desk: TheDesk, caller: Caller) -> ExerciseView:
    """Read an exercise. Its state goes by the clock: scheduled, running, ended, or cancelled."""
    return await casework.get_exercise(desk, caller, exercise_id=ExerciseId(exercise_id))


@router.delete("/{exercise_id}", responses=responses(*READ, "conflict", "exercise-started"))
async def cancel_exercise(exercise_id: str, desk: TheDesk, caller: Caller) -> ExerciseView:
    """Call off an exercise that has not started: nobody hears that there was to be one.

    Needs `post` of its agency, or `operate`.
    """
    return await casework.cancel_exercise(desk, caller, exercise_id=ExerciseId(exercise_id))


@router.get("/{exercise_id}/report", responses=responses(*READ))
async def report_exercise(exercise_id: str, desk: TheDesk, caller: Caller) -> ExerciseReport:
    """Read how an exercise went: what each recipient did, and its score by a plain `rule`.

    The summary is over the mandatory alone; advisory recipients are listed. While it runs, this
    is how it stands.
    """
    return await exercise_report.report_exercise(desk, caller, exercise_id=ExerciseId(exercise_id))
