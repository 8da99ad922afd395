"""What the interface says of itself: examples that are true, and webhooks."""

from typing import Any

import pytest
from pydantic import BaseModel

from noticebus.contracts.acknowledgement import AcknowledgementPost, OperatorAcknowledgementPost
from noticebus.contracts.credentials import CredentialsPut
from noticebus.contracts.notice import (
    AllClearPost,
    CancelConfirmPost,
    CancelPost,
    NoticePost,
    UpdatePost,
)
from noticebus.contracts.offer import OfferAnswerPost, OfferPost
from noticebus.contracts.policy import PolicyPut
from noticebus.contracts.question import AnswerPost, QuestionPost
from noticebus.contracts.replay import ReplayPost
from noticebus.contracts.resend import ResendPost
from noticebus.contracts.subscription import ConsentPost, ResumePost
from noticebus.contracts.webhook import EVENTS, event_type
from noticebus.gateway import app, examples

GIVEN: list[tuple[type[BaseModel], Any]] = [
    (NoticePost, examples.NOTICE_EXAMPLES),
    (UpdatePost, examples.UPDATE_EXAMPLES),
    (CredentialsPut, examples.CREDENTIALS_EXAMPLES),
    (CancelPost, examples.CANCEL_EXAMPLES),
    (CancelConfirmPost, examples.CONFIRM_EXAMPLES),
    (AllClearPost, examples.ALL_CLEAR_EXAMPLES),
    (AcknowledgementPost, examples.ANSWER_EXAMPLES),
    (OperatorAcknowledgementPost, examples.OPERATOR_ANSWER_EXAMPLES),
    (QuestionPost, examples.QUESTION_EXAMPLES),
    (AnswerPost, examples.QUESTION_ANSWER_EXAMPLES),
    (PolicyPut, examples.POLICY_EXAMPLES),
    (OfferPost, examples.OFFER_EXAMPLES),
    (OfferAnswerPost, examples.OFFER_ANSWER_EXAMPLES),
    (ConsentPost, examples.CONSENT_EXAMPLES),
    (ResumePost, examples.RESUME_EXAMPLES),
    (ReplayPost, examples.REPLAY_EXAMPLES),
    (ResendPost, examples.RESEND_EXAMPLES),
]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return app.openapi_document()


@pytest.mark.parametrize(("model", "given"), GIVEN, ids=[model.__name__ for model, _ in GIVEN])
def test_every_example_of_a_request_is_one_we_accept(model: type[BaseModel], given: Any) -> None:
    assert given
    for example in given.values():
        assert example["summary"]
        model.model_validate(example["value"])


def test_every_cause_has_a_webhook_with_its_signature_headers(document: dict[str, Any]) -> None:
    webhooks = document["webhooks"]

    assert set(webhooks) == {event_type(cause) for cause in EVENTS}
    for described in webhooks.values():
        operation = described["post"]
        assert operation["description"]
        assert {one["name"] for one in operation["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }
        assert operation["requestBody"]["required"]
