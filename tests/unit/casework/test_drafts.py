"""What is kept of a post: the same as the model leaves out, from the one dump that is digested."""

from typing import Any

import pytest

from noticebus.casework.drafts import _content, _said, fingerprint_of
from noticebus.contracts.canonical import digest
from noticebus.contracts.notice import NoticePost, UpdatePost
from noticebus.gateway.examples import NOTICE_EXAMPLES, UPDATE_EXAMPLES

FULL = {
    "instruction": {"en": "Ring us.", "es": "Llámenos."},
    "areas": [
        {"county_fips": ["28123"], "desc": "the plant"},
        {"point": [32.4, -89.5], "radius_km": 5.0},
        {"polygon": [[32.0, -89.0], [32.0, -89.1], [32.1, -89.1], [32.0, -89.0]]},
    ],
    "children": {
        "status": "count",
        "value": 3,
        "by_age_band": [{"band": "5-11", "value": 3}],
    },
    "requested_actions": [{"recipient_kind": "cps", "action": "Look."}],
}
POSTS = [NoticePost.model_validate(one["value"]) for one in NOTICE_EXAMPLES.values()]
POSTS += [UpdatePost.model_validate(one["value"]) for one in UPDATE_EXAMPLES.values()]
POSTS += [NoticePost.model_validate({**_said(POSTS[0]), **FULL})]


@pytest.mark.parametrize("post", POSTS)
def test_content_is_what_the_model_says_without_nulls_and_version(post: NoticePost) -> None:
    left_out = {"base_version", "change_reason", "material"}
    dumped: dict[str, Any] = post.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude=left_out
    )

    assert _content(_said(post)) == dumped


@pytest.mark.parametrize("post", POSTS)
def test_fingerprint_is_of_everything_nulls_too(post: NoticePost) -> None:
    assert fingerprint_of(post) == digest(post.model_dump(mode="json", by_alias=True))
