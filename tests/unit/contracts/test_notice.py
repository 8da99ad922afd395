import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from noticebus.contracts.notice import CancelPost, NoticePost, UpdatePost, falling_totals

Body = dict[str, Any]
Example = Callable[[str], Body]
Said = Callable[[type[BaseModel], Body], dict[str, str]]


def _changed(body: Body, pointer: str, value: object) -> Body:
    """Copy a body with one place changed; a value of `...` removes it."""
    changed = copy.deepcopy(body)
    *way, last = (int(part) if part.isdigit() else part for part in pointer.split("/")[1:])
    place: Any = changed
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed


REQUIRED = ["kind", "status", "class", "occurred_at", "sender", "headline", "areas", "children"]


@pytest.mark.parametrize("name", REQUIRED)
def test_required_field_left_out_is_named(example: Example, said: Said, name: str) -> None:
    body = example("notice-post.v1.least")
    del body[name]

    assert said(NoticePost, body) == {f"/{name}": "add this field: it is required"}


def test_nothing_else_is_required(example: Example) -> None:
    assert sorted(example("notice-post.v1.least")) == sorted(REQUIRED)


@pytest.mark.parametrize(
    ("pointer", "value", "where", "sentence"),
    [
        ("/kind", "family_safety", "/kind", "without personal data"),
        ("/kind", "all_clear", "/kind", "all-clear"),
        ("/kind", "rfi", "/kind", "use one of"),
        ("/headline", "x" * 161, "/headline", "at most 160"),
        ("/headline", "two\nlines", "/headline", "one line"),
        ("/headline", "nul\x00", "/headline", "control characters"),
        ("/description", "nul\x00", "/description", "control characters"),
        ("/instruction/en", "nul\x00", "/instruction/en", "control characters"),
        ("/instruction", {"n\x00l": "x"}, "/instruction/n?l", "language tag"),
        ("/urgency", "immediate", "/urgency", "'Immediate'"),
        ("/occurred_at", "2019-08-07T12:55:00", "/occurred_at", "add the zone"),
        ("/expires_at", "2019-08-07T12:55:00Z", "/expires_at", "after occurred_at"),
        ("/next_update_due", "2019-08-07T07:55:00-05:00", "/next_update_due", "after occurred_at"),
        ("/release_at", "2019-08-08T13:00:00Z", "/release_at", "before expires_at"),
        ("/areas/0", {}, "/areas/0", "name a place"),
        ("/areas/0/radius_km", None, "/areas/0/radius_km", "give the radius"),
        ("/areas/0/radius_km", 0, "/areas/0/radius_km", "above 0"),
        ("/areas/0/radius_km", 501, "/areas/0/radius_km", "at most 500"),
        ("/areas/0/radius_km", float("inf"), "/areas/0/radius_km", "finite"),
        ("/areas/0/point", None, "/areas/0/point", "give the point"),
        ("/areas/0/point", [91, 0], "/areas/0/point/0", "at most 90"),
        ("/areas/0/point", [0, -181], "/areas/0/point/1", "at least -180"),
        ("/areas/0/point", ["32", 0], "/areas/0/point/0", "without quotation marks"),
        ("/areas/0/polygon", [[1, 1]] * 3, "/areas/0/polygon", "at least 4"),
        (
            "/areas/0/polygon",
            [[1, 1], [1, 2], [2, 2], [2, 1]],
            "/areas/0/polygon",
            "close the ring",
        ),
        ("/areas/0/county_fips", ["2812"], "/areas/0/county_fips/0", "5 digits"),
        ("/areas/0/lea_id", ["280306"], "/areas/0/lea_id/0", "7 digits"),
        ("/areas/0/zip", ["3907"], "/areas/0/zip/0", "5 digits"),
        ("/areas/0/state", ["MS"], "/areas/0/state/0", "2 digits"),
        ("/areas/0/tribal_area", ["Big Tribe"], "/areas/0/tribal_area/0", "short name"),
        ("/sites/0/county_fips", "28089", "/sites/0/county_fips", "add this county to areas"),
        ("/sites/0/started_at", "2019-08-09T00:00:00Z", None, ""),
        ("/counts/0/site_id", "s9", "/counts/0/site_id", "that is in sites"),
        ("/counts/0/in_custody", 97, "/counts/0/detained_total", "give 101"),
        ("/counts/0/in_custody", 95, "/counts/0/detained_total", "give 99"),
        ("/counts/0/in_custody", None, None, ""),
        ("/counts/0/detained_total", None, None, ""),
        ("/counts/0/in_custody", -1, "/counts/0/in_custody", "at least 0"),
        ("/counts/0/in_custody", 1.5, "/counts/0/in_custody", "whole number"),
        ("/counts/0/in_custody", "96", "/counts/0/in_custody", "whole number"),
        ("/counts/0/basis", "not_available", "/counts/0/in_custody", "leave the number out"),
        ("/children/value", 0, "/children/value", "says unknown"),
        ("/children/high", 3, "/children/high", "says unknown"),
        ("/children/by_lea", [{"lea_id": "2803060", "value": 1}], "/children/by_lea", "breakdown"),
        ("/phones_for_detainees", 2**40, "/phones_for_detainees", "at most 10000"),
    ],
)
def test_body_that_says_something_impossible_is_told_where_and_what_to_do(
    example: Example, said: Said, pointer: str, value: object, where: str | None, sentence: str
) -> None:
    found = said(NoticePost, _changed(example("notice-post.v1.worksite"), pointer, value))

    assert found == {} if where is None else sentence in found[where]


@pytest.mark.parametrize(
    ("children", "pointers"),
    [
        ({"status": "unknown"}, set()),
        ({"status": "not_asked", "value": 1}, {"/children/value"}),
        ({"status": "none_reported", "value": 0}, {"/children/value"}),
        (
            {"status": "none_reported", "by_age_band": [{"band": "0-4", "value": 1}]},
            {"/children/by_age_band"},
        ),
        ({"status": "estimate", "low": 0, "high": 3}, set()),
        ({"status": "estimate", "low": 4, "high": 3}, {"/children/high"}),
        ({"status": "estimate", "low": 4}, {"/children/high"}),
        (
            {"status": "estimate", "value": 4},
            {"/children/low", "/children/high", "/children/value"},
        ),
        ({"status": "count", "value": 0}, set()),
        ({"status": "count"}, {"/children/value"}),
        ({"status": "count", "value": 3, "low": 1}, {"/children/low"}),
    ],
)
def test_number_of_children_agrees_with_what_is_known(
    example: Example, said: Said, children: Body, pointers: set[str]
) -> None:
    found = said(NoticePost, {**example("notice-post.v1.least"), "children": children})

    assert set(found) == pointers


def test_site_that_ends_before_it_starts_is_refused(example: Example, said: Said) -> None:
    body = example("notice-post.v1.every-field")
    body["sites"][0]["concluded_at"] = "2019-08-07T12:00:00Z"

    assert "not before started_at" in said(NoticePost, body)["/sites/0/concluded_at"]


def test_site_in_a_named_state_needs_no_county_in_areas(example: Example, said: Said) -> None:
    body = example("notice-post.v1.every-field")
    body["sites"][0]["county_fips"] = "28001"

    assert said(NoticePost, body) == {}


def test_sites_and_their_counts_are_told_apart(example: Example, said: Said) -> None:
    body = example("notice-post.v1.worksite")
    body["sites"] *= 2
    body["counts"] *= 2

    assert set(said(NoticePost, body)) == {"/sites/1/site_id", "/counts/1/site_id"}


def test_several_faults_are_named_at_once(example: Example, said: Said) -> None:
    body = example("notice-post.v1.worksite")
    body["expires_at"] = body["next_update_due"] = body["occurred_at"]
    body["counts"][0]["site_id"] = "s9"

    assert set(said(NoticePost, body)) == {"/expires_at", "/next_update_due", "/counts/0/site_id"}


def test_update_carries_base_version_and_reason_and_is_no_withdrawal(
    example: Example, said: Said
) -> None:
    body = example("notice-update.v1.more-detained")
    withdrawn = {**body, "change_reason": "withdrawn"}
    del body["base_version"], body["change_reason"]

    assert set(said(UpdatePost, body)) == {"/base_version", "/change_reason"}
    assert "cancel" in said(UpdatePost, withdrawn)["/change_reason"]
    assert set(said(NoticePost, example("notice-update.v1.more-detained"))) == {
        "/base_version",
        "/change_reason",
        "/material",
    }


def test_cancel_needs_a_reason_in_words(said: Said) -> None:
    by = {"name": "R. Example", "role": "duty officer"}

    assert set(said(CancelPost, {"base_version": 1, "reason": " ", "by": by})) == {"/reason"}


def _falls(example: Example, changes: Body, reason: str = "new_info") -> dict[str, str]:
    body = example("notice-update.v1.more-detained")
    body["change_reason"] = reason
    body["counts"][0].update(changes)
    previous = NoticePost.model_validate(example("notice-post.v1.worksite"))
    found = falling_totals(previous, UpdatePost.model_validate(body))
    return {one.pointer: one.message for one in found}


def test_total_may_grow_and_custody_may_fall(example: Example) -> None:
    assert _falls(example, {}) == {}
    assert _falls(example, {"in_custody": 50, "released_after_processing": 50}) == {}


def test_falling_total_needs_a_correction(example: Example) -> None:
    fewer = {"detained_total": 90, "in_custody": 80}

    assert "at least 100" in _falls(example, fewer)["/counts/0/detained_total"]
    assert _falls(example, fewer, "correction") == {}


def test_total_that_is_no_longer_known_has_fallen(example: Example) -> None:
    assert set(_falls(example, {"detained_total": None})) == {"/counts/0/detained_total"}


def test_site_whose_counts_vanish_has_fallen(example: Example) -> None:
    previous = NoticePost.model_validate(example("notice-post.v1.worksite"))
    body = {**example("notice-update.v1.more-detained"), "counts": []}

    (found,) = falling_totals(previous, UpdatePost.model_validate(body))

    assert found.pointer == "/counts"
    assert "site s1" in found.message


def test_site_whose_counts_were_never_known_may_vanish(example: Example) -> None:
    unknown = {"site_id": "s1", "as_of": "2019-08-07T16:20:00Z", "basis": "not_available"}
    previous = NoticePost.model_validate(
        {**example("notice-post.v1.worksite"), "counts": [unknown]}
    )
    body = {**example("notice-update.v1.more-detained"), "counts": []}

    assert falling_totals(previous, UpdatePost.model_validate(body)) == ()
