"""Acknowledgements, questions, subscriptions, agencies, keys: what each body needs and refuses."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from noticebus.contracts.acknowledgement import AcknowledgementPost, OperatorAcknowledgementPost
from noticebus.contracts.agency import AgencyPatch, AgencyPost, ContactPatch, ResponsibilityPost
from noticebus.contracts.answers import NoticeView, Page
from noticebus.contracts.key import ApiKeyPost
from noticebus.contracts.offer import OfferAnswerPost, OfferPost
from noticebus.contracts.places import NATION, StandingArea, area_keys, standing_areas
from noticebus.contracts.question import AnswerPost, QuestionPost, same_words
from noticebus.contracts.report import percentile
from noticebus.contracts.subscription import SubscriptionPatch, SubscriptionPost
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.ids import new_contact_id, new_notice_id

Body = dict[str, Any]
Example = Callable[[str], Body]
Said = Callable[[type[BaseModel], Body], dict[str, str]]

BY = {"by": {"name": "R. Example", "role": "intake"}}
ETA = {"eta": "2019-08-07T17:30:00Z"}
REASON = {"reason": "no_capacity"}
HOOK = {"url": "https://intake.cps.example/notices"}
CONTACT = {"contact_id": new_contact_id()}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"answer": "accepted"}, set()),
        ({"answer": "received", **ETA, **REASON}, {"/eta", "/reason"}),
        ({"answer": "need_more_time", **ETA}, set()),
        ({"answer": "need_more_time"}, {"/eta"}),
        ({"answer": "need_more_time", **ETA, **REASON}, {"/reason"}),
        ({"answer": "declined", **REASON}, set()),
        ({"answer": "declined"}, {"/reason"}),
        ({"answer": "yes"}, {"/answer"}),
    ],
)
def test_answer_has_what_it_needs_and_nothing_else(
    said: Said, body: Body, pointers: set[str]
) -> None:
    assert set(said(AcknowledgementPost, {**body, **BY})) == pointers


def test_a_record_of_an_answer_may_say_how_it_came_and_for_whom(said: Said) -> None:
    heard = {"how": "phone", "on_behalf_of": "the duty desk"}

    assert said(OperatorAcknowledgementPost, {"answer": "accepted", **BY, **heard}) == {}
    assert set(said(OperatorAcknowledgementPost, {"answer": "accepted", **BY, "how": "owl"})) == {
        "/how"
    }


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"channel": "webhook", **HOOK}, set()),
        ({"channel": "webhook"}, {"/url"}),
        ({"channel": "webhook", **HOOK, **CONTACT}, {"/contact_id"}),
        ({"channel": "email", **CONTACT}, set()),
        ({"channel": "email"}, {"/contact_id"}),
        ({"channel": "inbox"}, set()),
        ({"channel": "inbox", **HOOK, **CONTACT}, {"/url", "/contact_id"}),
    ],
)
def test_subscription_has_the_destination_of_its_channel(
    said: Said, body: Body, pointers: set[str]
) -> None:
    head = {"name": "Desk", "areas": [{"state": ["28"]}], "content_level": "partner"}

    assert set(said(SubscriptionPost, {**head, **body})) == pointers


@pytest.mark.parametrize("areas", [[], [{}], [{"nation": False}], [{"zip": ["39074"]}]])
def test_standing_order_for_nowhere_is_refused(said: Said, areas: list[Body]) -> None:
    assert said(ResponsibilityPost, {"role": "cps", "areas": areas})


def test_question_on_another_topic_needs_words(said: Said) -> None:
    assert said(QuestionPost, {"topic": "ages"}) == {}
    assert set(said(QuestionPost, {"topic": "other"})) == {"/text"}
    assert set(said(QuestionPost, {"topic": "other", "text": "x" * 501})) == {"/text"}


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ({"number": 0}, True),
        ({"text": "about thirty", "number": 30}, True),
        ({"unknown_will_report_at": "2019-08-07T20:00:00Z"}, True),
        ({"cannot_share": "5 U.S.C. 552a(b)"}, True),
        ({}, False),
        ({"number": 3, "cannot_share": "5 U.S.C. 552a(b)"}, False),
        ({"cannot_share": "x", "unknown_will_report_at": "2019-08-07T20:00:00Z"}, False),
    ],
)
def test_poster_answers_in_exactly_one_way(said: Said, body: Body, *, good: bool) -> None:
    assert (said(AnswerPost, body) == {}) is good


def test_questions_are_compared_without_case_and_spaces() -> None:
    assert same_words("  Who  has\nthe KEYS? ") == same_words("who has the keys?")
    assert same_words("Who has the keys?") != same_words("Who has the car keys?")


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({}, set()),
        ({"from": "2019-08-07T20:00:00Z", "until": "2019-08-07T21:00:00Z"}, set()),
        (
            {"from": "2019-08-07T21:00:00Z", "until": "2019-08-07T21:00:00Z"},
            {"/until"},
        ),
        ({"offer_type": "childcare"}, {"/background_checked"}),
        ({"offer_type": "childcare", "background_checked": "yes"}, set()),
        ({"quantity": 0, "contact": {"name": "M."}}, {"/quantity", "/contact/phone"}),
    ],
)
def test_offer_says_what_it_is_and_childcare_is_by_cleared_persons(
    said: Said, example: Example, changes: Body, pointers: set[str]
) -> None:
    assert set(said(OfferPost, example("offer-post.v1.meals") | changes)) == pointers


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"answer": "accept"}, set()),
        ({"answer": "accept", "quantity": 3}, set()),
        (
            {"answer": "accept", "reason": "no", "until": "2019-08-07T21:00:00Z"},
            {"/reason", "/until"},
        ),
        ({"answer": "decline", "reason": "no"}, set()),
        ({"answer": "decline"}, {"/reason"}),
        ({"answer": "hold", "until": "2019-08-07T21:00:00Z"}, set()),
        ({"answer": "hold", "quantity": 3}, {"/quantity", "/until"}),
    ],
)
def test_answer_to_an_offer_has_what_it_needs_and_nothing_else(
    said: Said, body: Body, pointers: set[str]
) -> None:
    assert set(said(OfferAnswerPost, body)) == pointers


def test_patch_says_only_what_changes_and_null_removes_only_what_may_go(said: Said) -> None:
    assert AgencyPatch.model_validate({}).changes() == {}
    assert ContactPatch.model_validate({"email": None}).changes() == {"email": None}
    assert AgencyPatch.model_validate({"name": "New"}).changes() == {"name": "New"}
    assert set(said(AgencyPatch, {"name": None, "zone": None})) == {"/name", "/zone"}
    assert set(said(SubscriptionPatch, {"areas": None, "url": None})) == {"/areas", "/url"}


def test_patch_schema_offers_no_null_for_what_may_not_be_null() -> None:
    fields = AgencyPatch.model_json_schema()["properties"]

    assert "default" not in fields["name"]
    assert fields["holidays_state"]["default"] is None


def test_agency_needs_a_zone_that_exists(said: Said) -> None:
    body = {"name": "Desk", "kind": "cps", "zone": "America/Jackson"}

    assert "IANA" in said(AgencyPost, body)["/zone"]


def test_key_without_a_scope_is_refused(said: Said) -> None:
    assert set(said(ApiKeyPost, {"name": "k", "scopes": []})) == {"/scopes"}


KEYS = st.sets(
    st.just(NATION)
    | st.from_regex(r"\Astate:[0-9]{2}\Z")
    | st.from_regex(r"\Acounty:[0-9]{5}\Z")
    | st.from_regex(r"\Alea:[0-9]{7}\Z")
    | st.from_regex(r"\Atribe:[a-z][a-z0-9-]{0,20}\Z"),
    max_size=20,
)


@given(KEYS)
def test_routing_keys_survive_the_way_to_the_wire_and_back(keys: set[str]) -> None:
    assert area_keys(standing_areas(keys)) == tuple(sorted(keys))


def test_areas_give_each_key_once() -> None:
    area = StandingArea(county_fips=("28123", "28123"), nation=True)

    assert area_keys([area, area]) == ("county:28123", NATION)


def test_percentile_among_the_silent_is_not_reached_and_not_zero() -> None:
    assert percentile(None).label == "not reached"
    assert percentile(None).seconds is None
    assert percentile(90).label == "90 s"


def test_published_model_is_built_by_name_and_written_by_its_wire_name() -> None:
    view = NoticeView.model_validate(
        {"id": new_notice_id(), "version": 1, "kind": "advance", "status": "test"}
        | {"notice_class": "C", "headline": "kept"}
    )
    page = Page[NoticeView](items=(view,), next=None)

    (written,) = page.model_dump(mode="json")["items"]
    assert view.notice_class is NoticeClass.C
    assert written["class"] == "C"
    assert written["headline"] == "kept"
    assert "notice_class" not in written
