"""Versions of an incident as timelines: what asks again, whom a correction finds, how it ends."""

from typing import Any

import pytest

from harness import desk as furnish
from harness.desk import principal
from harness.member import Posted
from harness.system import Bus, hours, minutes
from noticebus.casework import cancel, questions, reading, reports
from noticebus.casework.subscriptions import end_subscription
from noticebus.contracts.acknowledgement import Person
from noticebus.contracts.incident import IncidentView
from noticebus.contracts.notice import CancelConfirmPost
from noticebus.contracts.question import QuestionPost
from noticebus.contracts.report import UnacknowledgedReport
from noticebus.contracts.vocabulary import (
    AgencyKind,
    IncidentState,
    MaterialReason,
    NoticeClass,
    ObligationState,
    Position,
    QuestionTopic,
    Scope,
    UnreachableReason,
)
from noticebus.errors import ConflictError, ForbiddenError, NotFoundError
from noticebus.store.tables import responsibility_areas

ON_DUTY = {Position.ON_DUTY}
SECOND = Person(name="B. Second", role="supervisor")


async def report_of(bus: Bus) -> UnacknowledgedReport:
    operator = principal(Scope.OPERATE)
    read = await reports.read_report(bus.desk, operator, asked=reports.Asked(), output="json")
    return read.report


async def incident_of(bus: Bus, notice: Posted) -> IncidentView:
    return await reading.get_incident(
        bus.desk, principal(Scope.POST, agency=bus.poster), incident_id=notice.incident_id
    )


def children(number: int) -> dict[str, Any]:
    return {"status": "count", "value": number}


# --- what is material -----------------------------------------------------------------------------


async def test_a_version_says_why_it_asks_again_to_everybody(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    first = await bus.post_notice()
    await county.receives("notice", first)
    await county.answers(first)

    second = await bus.update(first, notice_class="A", phase="secured", material=True)
    (event,) = await county.receives("notice", second)

    reasons = [
        MaterialReason.DECLARED,
        MaterialReason.CLASS_RAISED,
        MaterialReason.PHASE_CHANGED,
    ]
    assert (second.response["material"], second.response["material_reasons"]) == (True, reasons)
    assert event["data"]["notice"]["material_reasons"] == reasons
    assert list((await incident_of(bus, first)).versions[1].material_reasons) == reasons


async def test_counts_alone_are_told_and_ask_nothing_until_they_rise_by_a_fifth(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=ON_DUTY)
    first = await bus.post_notice(children=children(100))
    await county.receives("notice", first)
    await county.answers(first)

    await bus.fast_forward(minutes(30))
    second = await bus.update(first, children=children(120))
    await county.receives("notice", second)
    await bus.fast_forward(hours(5))
    assert second.response["material_reasons"] == []
    assert (await county.obligation(first)).state is ObligationState.CLOSED

    third = await bus.update(second, children=children(145))
    await county.receives("notice", third)
    assert third.response["material_reasons"] == [MaterialReason.CHILDREN_UP]
    assert (await county.obligation(first)).state is ObligationState.OPEN
    await county.answers(third)


async def test_report_and_obligation_say_which_version_of_how_many_was_answered(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    first = await bus.post_notice()
    await county.receives("notice", first)
    await county.answers(first)
    second = await bus.update(first, notice_class="A")
    await county.receives("notice", second)
    third = await bus.update(second, notice_class="A", headline="No change")
    await county.receives("notice", third)

    (item,) = (await report_of(bus)).items
    (owed,) = await reading.list_obligations(
        bus.desk, principal(Scope.OPERATE), incident_id=first.incident_id, after="", limit=5
    )

    assert (item.answered_version, item.latest_version) == (1, 3)
    assert (owed.answered_version, owed.latest_version) == (1, 3)


# --- corrections ----------------------------------------------------------------------------------


async def test_correction_reaches_who_unsubscribed_after_version_1_by_mail_to_its_desk(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS")
    church = await bus.agency(
        "First Church", kind=AgencyKind.FAITH, area_key=None, contacts_at=ON_DUTY
    )
    first = await bus.post_notice()
    await county.receives("notice", first)
    await church.receives("notice", first)
    await _unsubscribe(bus, church)

    second = await bus.update(first, change_reason="correction", headline="It was Leake County")
    await county.receives("notice", second)
    (mail,) = await church.mailed(Position.ON_DUTY)
    await bus.settled()

    assert "Correction" in mail.text
    assert len(church.received()) == 1  # the ended endpoint was not called again
    assert (await church.obligation(first)).reachable


async def test_correction_that_nothing_carries_stands_on_the_report(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    church = await bus.agency("First Church", kind=AgencyKind.FAITH, area_key=None)
    first = await bus.post_notice()
    await county.receives("notice", first)
    await church.receives("notice", first)
    await church.answers(first)
    await _unsubscribe(bus, church)

    second = await bus.update(first, change_reason="correction", headline="It was Leake County")
    await county.receives("notice", second)
    owed = await church.obligation(first)
    warned = [one for one in (await report_of(bus)).data_quality if one.incident_id]

    assert (owed.reachable, owed.unreachable_reason) == (
        False,
        UnreachableReason.NO_VERIFIED_CHANNEL,
    )
    assert [(one.code, one.incident_id) for one in warned] == [
        ("past_recipient_unreachable", first.incident_id)
    ]
    assert len(church.received()) == 1

    await bus.fast_forward(minutes(5))  # an operator rings, and records what the church says
    await church.answers(second)
    assert not [one for one in (await report_of(bus)).data_quality if one.incident_id]


async def test_reach_lost_with_responsibility_and_contacts_leads_the_report(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    first = await bus.post_notice()
    await county.receives("notice", first)
    await _unsubscribe(bus, county)
    async with bus.desk.database.begin() as conn:
        await conn.execute(responsibility_areas.delete())

    await bus.update(first, change_reason="correction", headline="Another address")

    (item,) = (await report_of(bus)).items
    assert item.agency.name == "Scott County CPS"
    assert not (await county.obligation(first)).reachable


async def _unsubscribe(bus: Bus, member: Any) -> None:
    await end_subscription(
        bus.desk,
        principal(Scope.SUBSCRIBE, agency=member.row),
        subscription_id=member.subscription_id,
        revision=1,
    )


# --- the cancel -----------------------------------------------------------------------------------


async def test_cancel_waits_for_a_second_person_and_tells_nobody_until_then(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=ON_DUTY)
    notice = await bus.post_notice()
    await county.receives("notice", notice)

    await bus.request_cancel(notice)
    await bus.fast_forward(minutes(30))
    asked = (await incident_of(bus, notice)).cancel_request
    codes = [one.code for one in (await report_of(bus)).data_quality]
    assert asked is not None
    assert (asked.by.name, asked.needs_second_person) == ("A. First", True)
    assert "cancel_pending" in codes
    assert (await county.obligation(notice)).state is ObligationState.OPEN

    ended = await _confirm(bus, notice)
    (event,) = await county.receives("notice", ended)
    await bus.settled()

    assert event["data"]["notice"]["reason"] == "Posted in error."
    assert "A. First" not in str(event)  # who asked and who confirmed is the poster's affair
    assert (await county.obligation(notice)).state is ObligationState.WITHDRAWN
    assert (await incident_of(bus, notice)).cancel_request is None
    (entry,) = [
        one for one in await bus.entries_of(notice.incident_id) if one["type"] == "cancel.confirmed"
    ]
    assert entry["data"]["requested_by"] != entry["data"]["confirmed_by"]
    assert "A. First" not in str(entry)


async def test_same_key_or_same_name_is_no_second_person(bus: Bus) -> None:
    notice = await bus.post_notice()
    first = principal(Scope.POST, agency=bus.poster)
    await bus.request_cancel(notice, by=first)

    with pytest.raises(ForbiddenError, match="Somebody else") as same_key:
        await _confirm(bus, notice, by=first)
    with pytest.raises(ForbiddenError, match="Somebody else"):
        await _confirm(bus, notice, person=Person(name=" a.  first", role="supervisor"))

    assert same_key.value.code == "second-person-needed"
    assert (await incident_of(bus, notice)).latest_version == 1


async def test_operator_may_be_the_second_person_and_another_agency_not(bus: Bus) -> None:
    notice = await bus.post_notice()
    other = await furnish.add_agency(bus.desk, "Other office", kind=AgencyKind.FEDERAL)
    await bus.request_cancel(notice)

    with pytest.raises(NotFoundError):
        await _confirm(bus, notice, by=principal(Scope.POST, agency=other))
    ended = await _confirm(bus, notice, by=principal(Scope.OPERATE))

    assert ended.version == 2
    with pytest.raises(ConflictError) as again:
        await _confirm(bus, notice)
    assert again.value.code == "incident-cancelled"


async def test_cancel_is_stale_after_a_newer_version_and_lapses_after_a_day(bus: Bus) -> None:
    first = await bus.post_notice()
    await bus.request_cancel(first)
    second = await bus.update(first, headline="More is known")

    with pytest.raises(ConflictError) as stale:
        await _confirm(bus, first)
    assert stale.value.code == "stale-version"
    assert (await incident_of(bus, first)).cancel_request is None

    await bus.request_cancel(second)
    await bus.fast_forward(hours(24))
    with pytest.raises(ConflictError) as lapsed:
        await _confirm(bus, second)
    assert lapsed.value.code == "no-cancel-requested"
    assert "cancel_pending" not in [one.code for one in (await report_of(bus)).data_quality]
    await bus.request_cancel(second)  # and can be asked for anew


async def test_request_is_repeated_taken_back_and_not_replaced(bus: Bus) -> None:
    notice = await bus.post_notice()
    first, other = (principal(Scope.POST, agency=bus.poster) for _ in range(2))

    await bus.request_cancel(notice, by=first)
    await bus.request_cancel(notice, by=first)
    with pytest.raises(ConflictError) as pending:
        await bus.request_cancel(notice, by=other)
    for _ in range(2):
        await cancel.take_back_cancel(bus.desk, other, incident_id=notice.incident_id)
    await bus.settled()

    assert pending.value.code == "cancel-pending"
    assert (await incident_of(bus, notice)).cancel_request is None
    told = [one["type"] for one in await bus.entries_of(notice.incident_id)]
    assert told.count("cancel.requested") == told.count("cancel.taken_back") == 1


async def _confirm(bus: Bus, notice: Posted, *, by: Any = None, person: Person = SECOND) -> Posted:
    answer = await cancel.confirm_cancel(
        bus.desk,
        by or principal(Scope.POST, agency=bus.poster),
        incident_id=notice.incident_id,
        post=CancelConfirmPost(by=person),
    )
    return Posted(
        id=answer.response["id"],
        incident_id=notice.incident_id,
        version=answer.response["version"],
        response=answer.response,
    )


# --- the all-clear --------------------------------------------------------------------------------


async def test_all_clear_is_refused_while_class_a_is_open_and_names_what_is(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await county.receives("notice", notice)
    await questions.ask(
        bus.desk,
        principal(Scope.ANSWER, agency=county.row),
        incident_id=notice.incident_id,
        post=QuestionPost(topic=QuestionTopic.AGES),
    )

    with pytest.raises(ConflictError) as refused:
        await bus.all_clear(notice)

    assert refused.value.code == "class-a-open"
    said = " ".join(one.message for one in refused.value.details)
    assert "Scott County CPS has not accepted the notice" in said
    assert "Field office owes the answer to a question" in said
    assert (await incident_of(bus, notice)).latest_version == 1


async def test_all_clear_tells_everybody_asks_nobody_and_an_update_opens_again(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await county.receives("notice", notice)
    await county.answers(notice)

    cleared = await bus.all_clear(notice, still_open=["2 children not located"])
    (event,) = await county.receives("notice", cleared)
    await bus.fast_forward(hours(48))

    told = event["data"]["notice"]
    assert (told["kind"], told["class"], told["urgency"]) == ("all_clear", "D", "Past")
    assert told["still_open"] == ["2 children not located"]
    owed = await county.obligation(notice)
    assert (owed.state, owed.epoch) == (ObligationState.CLOSED, 1)
    seen = await incident_of(bus, notice)
    assert (seen.state, seen.versions[1].material) == (IncidentState.CLEARED, False)

    again = await bus.update(cleared, notice_class="B")
    await county.receives("notice", again)
    assert (await incident_of(bus, notice)).state is IncidentState.OPEN
    assert again.response["material_reasons"] == [MaterialReason.CLASS_RAISED]
    await county.answers(again)


async def test_all_clear_with_a_reason_leaves_open_what_is_open(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice(**{"class": "A"})
    await county.receives("notice", notice)

    cleared = await bus.all_clear(notice, override_reason="The county was reached by radio.")
    await county.receives("notice", cleared)
    await bus.settled()

    owed = await county.obligation(notice)
    assert (owed.state, owed.notice_class) == (ObligationState.OPEN, NoticeClass.A)
    (entry,) = [
        one for one in await bus.entries_of(notice.incident_id) if one["type"] == "incident.cleared"
    ]
    assert (entry["data"]["overridden"], entry["data"]["open"]) == (True, 1)
    assert [one.agency.name for one in (await report_of(bus)).items] == ["Scott County CPS"]


async def test_all_clear_of_an_embargoed_notice_is_refused(bus: Bus) -> None:
    notice = await bus.post_notice(release_at=(bus.world.now() + hours(2)).isoformat())

    with pytest.raises(ConflictError) as refused:
        await bus.all_clear(notice)

    assert refused.value.code == "embargoed"
