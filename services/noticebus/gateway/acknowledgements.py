"""Answers over HTTP: by the agency itself, or by an operator who heard it."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response

from noticebus.casework import speaking
from noticebus.casework.answer import Answered, GivenAnswer
from noticebus.casework.obligation_views import acknowledgement_view
from noticebus.contracts.acknowledgement import (
    AcknowledgementPost,
    AcknowledgementView,
    OperatorAcknowledgementPost,
)
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.examples import ANSWER_EXAMPLES, OPERATOR_ANSWER_EXAMPLES
from noticebus.gateway.problems import MADE, responses
from noticebus.ids import NoticeId, ObligationId

ANSWERED = (
    *MADE,
    "not-found",
    "conflict",
    "several-obligations",
    "eta-missing",
    "eta-past",
    "eta-too-far",
    "more-time-used",
    "reason-missing",
)
REPEATED: dict[int | str, dict[str, Any]] = {
    200: {"model": AcknowledgementView, "description": "The same answer again."}
}

router = APIRouter(prefix="/v1", tags=["acknowledgements"])


@router.post(
    "/notices/{notice_id}/acknowledgements",
    status_code=201,
    responses={**REPEATED, **responses(*ANSWERED)},
)
async def acknowledge(
    notice_id: str,
    post: Annotated[AcknowledgementPost, Body(openapi_examples=ANSWER_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    response: Response,
) -> AcknowledgementView:
    """Answer a notice for your agency. Needs the scope `answer`.

    `accepted`: we have this, which is what closes classes A and B. `received`: it is here, somebody
    will look; closes class C only. `need_more_time` with `eta`: moves the steps to come, once; the
    deadline stays. `declined` with `reason`: not ours; with `no_jurisdiction` the bus looks for who
    else is. The same answer to the same version again is 200. A late answer is taken and marked so.
    An answer to an older version is recorded, and closes nothing newer.
    """
    answered = await speaking.answer_as_agency(
        desk, caller, notice_id=NoticeId(notice_id), given=_given(post)
    )
    return _view(answered, response)


@router.post(
    "/obligations/{obligation_id}/acknowledgements",
    status_code=201,
    responses={**REPEATED, **responses(*ANSWERED)},
)
async def acknowledge_for(
    obligation_id: str,
    post: Annotated[OperatorAcknowledgementPost, Body(openapi_examples=OPERATOR_ANSWER_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    response: Response,
) -> AcknowledgementView:
    """Answer the version of an obligation that is running.

    With `answer`, for your own agency, or for one that your agency stands in for: it is recorded
    `on_behalf_of` that agency. With `operate`, what a recipient told you: `by` is the person who
    spoke, `on_behalf_of` whom they spoke for, `how` the way (telephone, radio, mail, in person); it
    counts as the recipient's own and is marked `verified_by: operator`.
    """
    answered = await speaking.answer_obligation(
        desk,
        caller,
        obligation_id=ObligationId(obligation_id),
        given=_given(post),
        how=post.how,
        on_behalf_of=post.on_behalf_of,
    )
    return _view(answered, response)


def _given(post: AcknowledgementPost) -> GivenAnswer:
    return GivenAnswer(
        answer=post.answer,
        by_name=post.by.name,
        by_role=post.by.role,
        note=post.note,
        eta=post.eta,
        reason=post.reason,
        reference=post.reference,
    )


def _view(answered: Answered, response: Response) -> AcknowledgementView:
    if not answered.fresh:
        response.status_code = 200
    owed = answered.obligation
    return acknowledgement_view(
        answered.acknowledgement, owed, receipt=answered.receipt, state=owed.state
    )
