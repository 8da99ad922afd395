"""The ledger's entries in sentences: each type says who did what, and none needs a name."""

import datetime as dt
from typing import Any

import pytest

from noticebus.casework.incident_timeline import TIMELINE_TYPES, happening_of, tell
from noticebus.casework.obligation_timeline import NAMED_TYPES
from noticebus.contracts.vocabulary import AgencyKind, Owed
from noticebus.domain.timeline import Mark
from noticebus.ids import AgencyId, EntryId
from noticebus.store.ledger_pages import LedgerEntry
from noticebus.store.report_facts import Named

NOON = dt.datetime(2019, 8, 7, 12, tzinfo=dt.UTC)
PINE = AgencyId("agy_1")
AGENCIES = {
    PINE: Named(
        id=PINE, name="Pine County", kind=AgencyKind.SCHOOL_DISTRICT, zone="America/Chicago"
    )
}
ANSWERED: dict[str, Any] = {
    "agency_id": PINE,
    "obligation_id": "obl_1",
    "answer": "need_more_time",
    "reason": None,
    "how": None,
    "late": False,
    "closed": False,
}
STEPPED: dict[str, Any] = {
    "agency_id": PINE,
    "obligation_id": "obl_1",
    "step": 1,
    "notify": "second",
    "fell_through": None,
    "skipped": [],
}


def entry(type_: str, position: int = 7, **data: Any) -> LedgerEntry:
    return LedgerEntry(
        position=position,
        index=3,
        id=EntryId("ent_1"),
        type=type_,
        incident_id=None,
        data=data,
        recorded_at=NOON,
        sequenced_at=NOON,
        leaf_hash=b"",
    )


def said(type_: str, **data: Any) -> str:
    return happening_of(entry(type_, **data), AGENCIES).said


@pytest.mark.parametrize(
    ("type_", "data", "sentence"),
    [
        (
            "notice.accepted",
            {"version": 2, "msg": "update", "class": "A", "release_at": None},
            "Version 2 (update, class A) was posted",
        ),
        (
            "notice.accepted",
            {"version": 1, "msg": "alert", "class": "B", "release_at": "2019-08-07T13:00:00+00:00"},
            "Version 1 (alert, class B) was posted, embargoed until 2019-08-07 13:00Z",
        ),
        ("notice.released", {"version": 1}, "Version 1 was released"),
        (
            "routing.decided",
            {"version": 1, "recipients": [{}], "uncovered": []},
            "1 recipient is bound by version 1",
        ),
        (
            "routing.decided",
            {"version": 1, "recipients": [{}, {}], "uncovered": [{}, {}]},
            "2 recipients are bound by version 1; 2 places or duties have nobody",
        ),
        (
            "routing.decided",
            {"version": 2, "recipients": [], "uncovered": []},
            "No new recipient is bound by version 2",
        ),
        (
            "routing.repeated",
            {"declined_by": PINE},
            "Pine County declined: who else answers was worked out again",
        ),
        (
            "routing.waived",
            {"waived": PINE},
            "No answer is needed of Pine County, and all others there declined",
        ),
        ("escalation.stepped", STEPPED, "Pine County, no answer: step 2, the second contact told"),
        (
            "escalation.stepped",
            STEPPED | {"fell_through": "operators", "skipped": [0]},
            (
                "Pine County, no answer: step 2, the second contact told (the operators of the bus"
                " instead, for nobody is there); 1 overtaken step was skipped"
            ),
        ),
        (
            "acknowledgement.recorded",
            ANSWERED,
            "Pine County answered: need more time; it does not end the matter",
        ),
        (
            "acknowledgement.recorded",
            ANSWERED
            | {"answer": "declined", "reason": "no_capacity", "how": "in_person", "closed": True},
            "Pine County answered: declined (no capacity), told to an operator in person",
        ),
        (
            "coverage.held",
            {"uncovered": [{}]},
            "Nobody answers for 1 place or duty: the operators of the bus owe somebody",
        ),
        (
            "question.asked",
            {"asked_by": PINE, "topic": "how_many_children"},
            "Pine County asks: how many children",
        ),
        ("something.new_here", {}, "something new here"),
    ],
)
def test_entry_says_who_did_what(type_: str, data: dict[str, Any], sentence: str) -> None:
    assert said(type_, **data) == sentence


@pytest.mark.parametrize(
    "type_",
    sorted(
        (TIMELINE_TYPES | NAMED_TYPES)
        - {
            "notice.accepted",
            "notice.released",
            "routing.decided",
            "escalation.stepped",
            "acknowledgement.recorded",
            "coverage.held",
            "question.asked",
        }
    ),
)
def test_every_other_type_says_a_sentence_that_needs_no_more_than_ids(type_: str) -> None:
    assert said(type_)
    assert said(type_) != type_.replace(".", " ").replace("_", " ")


def test_late_answer_has_the_mark_of_a_late_one_and_leads_to_its_obligation() -> None:
    late = happening_of(entry("acknowledgement.recorded", **ANSWERED | {"late": True}), AGENCIES)
    assert late.mark is Mark.LATE
    assert ", late" in late.said
    assert late.link == "/obligations/obl_1"
    assert late.detail == "ledger 3"
    assert happening_of(entry("notice.released", version=1, notice_id="ntc_1"), {}).link == (
        "/notices/ntc_1"
    )


def test_agency_that_is_not_known_has_no_name() -> None:
    assert said("escalation.stepped", **STEPPED | {"agency_id": "agy_2"}).startswith("an agency,")


def test_page_of_entries_says_where_the_older_ones_begin() -> None:
    found = [entry("cancel.taken_back", position) for position in (9, 8, 7)]
    assert tell(found, limit=2).before == 8
    assert tell(found, limit=3).before is None
    assert tell([], limit=3).before is None


@pytest.mark.parametrize(
    ("owed", "said"),
    [
        (Owed.NOTICE, "Pine County, no answer: step 2"),
        (Owed.QUESTION, "Pine County, no answer to a question: step 2"),
        (Owed.UPDATE, "Pine County, no promised update: step 2"),
        (Owed.COVERAGE, "Pine County, nobody found for a place: step 2"),
    ],
)
def test_step_says_which_debt_it_is_about(owed: Owed, said: str) -> None:
    stepped = STEPPED | {"obligation_id": "obl_1"}
    found = happening_of(entry("escalation.stepped", **stepped), AGENCIES, {"obl_1": owed})
    assert found.said.startswith(said)
