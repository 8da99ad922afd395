"""Request examples for OpenAPI: short, true to the rules, and posted by a test."""

from collections.abc import Mapping
from typing import Any

from fastapi.openapi.models import Example

_BY = {"name": "R. Example", "role": "intake supervisor"}
_NOTICE = {
    "kind": "enforcement_action",
    "status": "exercise",
    "class": "B",
    "occurred_at": "2019-08-07T12:55:00Z",
    "sender": {
        "unit": "Field office",
        "role": "duty officer",
        "callback_phone": "+16015550100",
    },
    "headline": "Exercise: enforcement action near Morton, children may need care",
    "areas": [{"county_fips": ["28123"]}],
    "children": {"status": "unknown"},
}
_COUNTED = {
    "sites": [{"site_id": "s1", "label": "food plant near Morton", "county_fips": "28123"}],
    "counts": [
        {
            "site_id": "s1",
            "as_of": "2019-08-07T16:20:00Z",
            "basis": "estimate",
            "detained_total": 100,
            "in_custody": 96,
            "released_on_site_humanitarian": 4,
            "released_on_site_other": 0,
            "released_after_processing": 0,
            "transferred_out": 0,
        }
    ],
}


def _example(summary: str, value: Mapping[str, Any]) -> Example:
    return {"summary": summary, "value": dict(value)}


NOTICE_EXAMPLES = {
    "least": _example("The least a notice says", _NOTICE),
    "counted": _example("With a site and its counts", {**_NOTICE, **_COUNTED}),
}
UPDATE_EXAMPLES = {
    "more": _example(
        "The whole state again, with what is new",
        {**_NOTICE, **_COUNTED, "base_version": 1, "change_reason": "new_info"},
    ),
}
CANCEL_EXAMPLES = {
    "mistake": _example(
        "Posted by mistake", {"base_version": 1, "reason": "Posted for the wrong county."}
    ),
}
ANSWER_EXAMPLES = {
    "accepted": _example(
        "We have this",
        {"answer": "accepted", "by": _BY, "note": "Two screeners are on their way."},
    ),
    "received": _example("It is here", {"answer": "received", "by": _BY}),
    "need_more_time": _example(
        "Later, and when",
        {"answer": "need_more_time", "by": _BY, "eta": "2019-08-07T17:30:00Z"},
    ),
    "declined": _example(
        "Not ours", {"answer": "declined", "by": _BY, "reason": "no_jurisdiction"}
    ),
}
OPERATOR_ANSWER_EXAMPLES = {
    "by_phone": _example(
        "Told by telephone",
        {
            "answer": "accepted",
            "by": _BY,
            "how": "phone",
            "on_behalf_of": "Scott County School District",
        },
    ),
}
QUESTION_EXAMPLES = {
    "how_many": _example(
        "How many children?",
        {"topic": "how_many_children", "text": "How many children are without a carer?"},
    ),
}
QUESTION_ANSWER_EXAMPLES = {
    "number": _example("A number", {"number": 32}),
    "later": _example("A promise", {"unknown_will_report_at": "2019-08-07T20:00:00Z"}),
    "not_shared": _example("Not to be shared", {"cannot_share": "5 U.S.C. 552a(b)"}),
}
