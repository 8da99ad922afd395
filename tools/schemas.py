"""Write the published contract into `schemas/` from the models, or check that it is up to date.

python tools/schemas.py            write
python tools/schemas.py --check    exit 1 when a file is stale, and say which line differs
"""

import difflib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from noticebus.contracts import (
    acknowledgement,
    agency,
    answers,
    exercise,
    incident,
    kafka,
    key,
    notice,
    offer,
    question,
    report,
    subscription,
    webhook,
)
from noticebus.gateway.app import openapi_document

FOLDER = Path(__file__).resolve().parent.parent / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
DIFF_LINES_MAX = 20

ACCEPTED: Mapping[str, type[BaseModel]] = {
    "notice-post.v1.json": notice.NoticePost,
    "notice-update.v1.json": notice.UpdatePost,
    "notice-cancel.v1.json": notice.CancelPost,
    "notice-cancel-confirm.v1.json": notice.CancelConfirmPost,
    "notice-all-clear.v1.json": notice.AllClearPost,
    "exercise-post.v1.json": exercise.ExercisePost,
    "acknowledgement-post.v1.json": acknowledgement.AcknowledgementPost,
    "acknowledgement-operator-post.v1.json": acknowledgement.OperatorAcknowledgementPost,
    "agency-post.v1.json": agency.AgencyPost,
    "contact-post.v1.json": agency.ContactPost,
    "responsibility-post.v1.json": agency.ResponsibilityPost,
    "subscription-post.v1.json": subscription.SubscriptionPost,
    "question-post.v1.json": question.QuestionPost,
    "question-answer-post.v1.json": question.AnswerPost,
    "offer-post.v1.json": offer.OfferPost,
    "offer-answer-post.v1.json": offer.OfferAnswerPost,
    "api-key-post.v1.json": key.ApiKeyPost,
}
PUBLISHED: Mapping[str, type[BaseModel]] = {
    "notice-accepted.v1.json": answers.NoticeAccepted,
    "incident.v1.json": incident.IncidentView,
    "exercise.v1.json": exercise.ExerciseView,
    "exercise-report.v1.json": exercise.ExerciseReport,
    "cancel-request.v1.json": incident.CancelRequestView,
    "acknowledgement.v1.json": acknowledgement.AcknowledgementView,
    "obligation.v1.json": answers.ObligationView,
    "subscription.v1.json": subscription.SubscriptionView,
    "report-unacknowledged.v1.json": report.UnacknowledgedReport,
    "problem.v1.json": answers.ProblemView,
    "event.v1.json": webhook.Event[dict[str, Any]],
    **{webhook.schema_name(cause): model for cause, model in webhook.EVENT_DATA.items()},
}

DOCUMENTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "openapi.json": openapi_document,
    "asyncapi.json": lambda: kafka.document(version("noticebus")),
}


def files() -> Iterator[tuple[str, str]]:
    """Give each file's name and text, in order of name."""
    made: dict[str, Callable[[], dict[str, Any]]] = dict(DOCUMENTS)
    for name, model in {**ACCEPTED, **PUBLISHED}.items():
        made[name] = _maker(name, model)
    for name in sorted(made):
        yield name, json.dumps(made[name](), indent=2, ensure_ascii=False) + "\n"


def _maker(name: str, model: type[BaseModel]) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        # The reading side's schema in both directions: what has a default may be absent.
        schema = model.model_json_schema(mode="validation")
        return {
            "$schema": DIALECT,
            "$id": f"urn:noticebus:schema:{name.removesuffix('.json')}",
            **schema,
            "title": model.__name__.partition("[")[0],
        }

    return make


def write() -> int:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


def check() -> int:
    """Compare every file with what the models say now, and name what does not belong."""
    made = dict(files())
    there = {path.name for path in FOLDER.glob("*.json")}
    stale = [_differs(name, text) for name, text in made.items()]
    found = [one for one in stale if one]
    found += [f"schemas/{name}: no model makes this file; delete it" for name in there - set(made)]
    for one in found:
        print(one)
    if found:
        print("Stale. Run `make schemas` and commit what it writes.")
    return 1 if found else 0


def _differs(name: str, text: str) -> str:
    path = FOLDER / name
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = difflib.unified_diff(
        old.splitlines(), text.splitlines(), f"schemas/{name}", "the models", n=1, lineterm=""
    )
    return "\n".join(list(lines)[:DIFF_LINES_MAX])


if __name__ == "__main__":
    sys.exit(check() if "--check" in sys.argv[1:] else write())
