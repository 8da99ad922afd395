"""Timelines of offers of help: made, held, accepted, declined, lapsed, and who sees them."""

from dataclasses import replace
from typing import Any

import pytest

from harness import desk as furnish
from harness.api import Api, Caller, County, Json
from harness.desk import MORNING, notice_body, world
from harness.statements import count_statements
from harness.system import Bus, hours, minutes
from noticebus.casework import offers, reports
from noticebus.casework.offers import Made
from noticebus.casework.reports import Asked
from noticebus.casework.signs_of_life import read_signs
from noticebus.console.report import render_report
from noticebus.contracts.offer import OfferAnswerPost, OfferPost, OfferView
from noticebus.contracts.vocabulary import AgencyKind, OfferState, Position, Scope, Status
from noticebus.errors import ConflictError
from noticebus.ids import new_offer_id
from noticebus.ledger.engine import Engine
from noticebus.store import offers as rows
from noticebus.store.agencies import Agency

MEALS = {
    "offer_type": "meals",
    "quantity": 40,
    "unit": "meals",
    "where": "Parish hall, Morton",
    "contact": {"name": "Maria Canary", "phone": "+16015550120"},
    "background_checked": "not_applicable",
}


def offers_of(accepted: Json) -> str:
    return f"/v1/incidents/{accepted['incident_id']}/offers"


def answers_to(offer: Json) -> str:
    return f"/v1/offers/{offer['id']}/answers"


async def answered(bus: Bus, who: Agency | None, made: Made, **said: Any) -> Made:
    scope = Scope.OPERATE if who is None else Scope.ANSWER
    return await offers.answer_offer(
        bus.desk,
        furnish.principal(scope, agency=who),
        offer_id=made.offer.id,
        post=OfferAnswerPost.model_validate(said),
    )


async def test_meals_are_offered_held_and_taken_and_the_church_hears_each(bus: Bus) -> None:
    cps = await bus.agency("Scott County CPS", contacts_at=(Position.ON_DUTY,))
    church = await bus.agency("First Church", kind=AgencyKind.FAITH)
    notice = await bus.post_notice()
    for one in (cps, church):
        await one.receives("notice", notice)
        await one.answers(notice)

    made = await offers.make_offer(
        bus.desk,
        furnish.principal(Scope.ANSWER, agency=church.row),
        incident_id=notice.incident_id,
        post=OfferPost.model_validate(MEALS),
    )
    (told,) = await cps.next_events()
    (mail,) = await cps.mailed(Position.ON_DUTY)
    until = (MORNING + hours(1)).isoformat()
    await answered(bus, cps.row, made, answer="hold", until=until)
    (held,) = await church.next_events()
    await bus.settled()  # in the ledger, before the clock is moved on
    await bus.fast_forward(hours(1))
    taken = await answered(bus, cps.row, made, answer="accept", quantity=25)
    (accepted,) = await church.next_events()
    await bus.settled()
    await bus.fast_forward(hours(48))

    assert (told["type"], told["subject"]) == ("org.noticebus.offer.v1", made.offer.id)
    assert told["data"]["offer"]["quantity"] == 40
    assert "Maria Canary" not in str(told)
    assert "Offer of help" in mail.text
    assert "Maria" not in mail.text
    assert held["data"]["offer"]["state"] == "held"
    assert accepted["data"]["offer"]["accepted_quantity"] == 25
    assert taken.offer.state is OfferState.ACCEPTED
    past = await reports.read_report(
        bus.desk,
        furnish.principal(Scope.OPERATE),
        asked=Asked(as_of=MORNING + minutes(30)),
        output="json",
    )
    (then,) = past.report.offers_unanswered  # as it was, and not as it is
    assert (then.state, then.held_until) == (OfferState.HELD, MORNING + hours(1))
    assert await unanswered(bus, as_of=MORNING + hours(2)) == []
    types = [one["type"] for one in await bus.entries_of(notice.incident_id)]
    assert [one for one in types if one.startswith("offer.")] == [
        "offer.made",
        "offer.held",
        "offer.reopened",
        "offer.accepted",
    ]
    assert "Maria Canary" not in str(await bus.entries_of(notice.incident_id))


async def test_offer_nobody_answers_lapses_by_itself_and_stands_on_the_report_until_then(
    bus: Bus,
) -> None:
    church = await bus.agency("First Church", kind=AgencyKind.FAITH)
    notice = await bus.post_notice()
    await church.receives("notice", notice)
    await church.answers(notice)
    made = await offers.make_offer(
        bus.desk,
        furnish.principal(Scope.ANSWER, agency=church.row),
        incident_id=notice.incident_id,
        post=OfferPost.model_validate(MEALS),
    )

    await bus.settled()
    before = await unanswered(bus)
    operator = furnish.principal(Scope.OPERATE)
    read = await reports.read_report(bus.desk, operator, asked=Asked(), output="html")
    page = bytes(render_report(read, await read_signs(bus.desk)).body).decode()
    await bus.fast_forward(hours(24))
    (told,) = await church.next_events()
    after = await unanswered(bus)
    past = await unanswered(bus, as_of=MORNING + hours(1))
    with pytest.raises(ConflictError) as settled:
        await answered(bus, None, made, answer="accept")

    assert made.offer.lapses_at == MORNING + hours(24)
    assert "First Church</strong> offers meals:" in page
    assert (before, after, past) == ([made.offer.id], [], [made.offer.id])
    assert settled.value.code == "offer-settled"
    assert (told["type"], told["subject"]) == ("org.noticebus.offer.v1", made.offer.id)
    assert told["data"]["offer"]["state"] == "lapsed"
    assert told["data"]["offer"]["accepted_quantity"] is None
    (lapsed,) = await offers.list_offers(
        bus.desk, furnish.principal(Scope.OPERATE), incident_id=notice.incident_id
    )
    assert lapsed.state is OfferState.LAPSED


async def test_church_with_a_mailbox_only_hears_of_the_hold_and_then_that_its_offer_lapsed(
    bus: Bus,
) -> None:
    church = await bus.agency(
        "First Church", kind=AgencyKind.FAITH, contacts_at=(Position.ON_DUTY,), endpoint=False
    )
    notice = await bus.post_notice()
    await church.mailed(Position.ON_DUTY)
    await church.answers(notice)
    made = await offers.make_offer(
        bus.desk,
        furnish.principal(Scope.ANSWER, agency=church.row),
        incident_id=notice.incident_id,
        post=OfferPost.model_validate(MEALS),
    )
    await bus.fast_forward(minutes(10))
    await answered(bus, None, made, answer="hold", until=(MORNING + hours(1)).isoformat())
    await church.mailed(Position.ON_DUTY)

    await bus.fast_forward(hours(23))  # the hold is over, and nobody is told
    await bus.fast_forward(hours(1))
    (mail,) = await church.mailed(Position.ON_DUTY)
    await bus.fast_forward(hours(48))

    assert "Offer of help" in mail.text
    assert "meals" not in mail.text
    types = [one["type"] for one in await bus.entries_of(notice.incident_id)]
    assert [one for one in types if one.startswith("offer.")] == [
        "offer.made",
        "offer.held",
        "offer.reopened",
        "offer.lapsed",
    ]


async def test_cancel_lets_open_and_held_offers_lapse(bus: Bus) -> None:
    church = await bus.agency("First Church", kind=AgencyKind.FAITH)
    notice = await bus.post_notice()
    await church.receives("notice", notice)
    await church.answers(notice)
    who = furnish.principal(Scope.ANSWER, agency=church.row)
    made, _ = [
        await offers.make_offer(
            bus.desk, who, incident_id=notice.incident_id, post=OfferPost.model_validate(MEALS)
        )
        for _ in range(2)
    ]
    until = (MORNING + hours(2)).isoformat()
    await answered(bus, None, made, answer="hold", until=until)
    await church.next_events()

    cancelled = await bus.cancel(notice)
    await church.receives("notice", cancelled)
    with pytest.raises(ConflictError) as refused:
        await offers.make_offer(
            bus.desk, who, incident_id=notice.incident_id, post=OfferPost.model_validate(MEALS)
        )

    found = await offers.list_offers(
        bus.desk, furnish.principal(Scope.OPERATE), incident_id=notice.incident_id
    )
    assert [one.state for one in found] == [OfferState.LAPSED] * 2
    assert refused.value.code == "incident-cancelled"


async def test_offers_of_an_exercise_stay_out_of_the_live_report(bus: Bus) -> None:
    church = await bus.agency("First Church", kind=AgencyKind.FAITH)
    notice = await bus.post_notice(status="exercise")
    await church.receives("notice", notice)
    await church.answers(notice)
    made = await offers.make_offer(
        bus.desk,
        furnish.principal(Scope.ANSWER, agency=church.row),
        incident_id=notice.incident_id,
        post=OfferPost.model_validate(MEALS),
    )

    assert await unanswered(bus) == []
    assert await unanswered(bus, status=Status.EXERCISE) == [made.offer.id]


async def unanswered(bus: Bus, **asked: Any) -> list[str]:
    read = await reports.read_report(
        bus.desk, furnish.principal(Scope.OPERATE), asked=Asked(**asked), output="json"
    )
    return [one.id for one in read.report.offers_unanswered]


# --- over HTTP ------------------------------------------------------------------------------------


async def offered(api: Api, county: County, **changes: Any) -> tuple[Json, Json]:
    """Post a notice, and let the church offer meals for it."""
    notice = await county.poster.post_notice(notice_body(api.desk))
    made = await county.church.post(offers_of(notice), MEALS | changes)
    return notice, made


async def test_child_protection_and_operators_see_offers_and_others_only_their_own(
    api: Api, county: County
) -> None:
    notice, made = await offered(api, county, **{"from": "2019-08-07T22:00:00Z"})
    operator = await api.caller(Scope.OPERATE)
    stranger = await api.caller(
        Scope.ANSWER,
        agency=await furnish.add_agency(api.desk, "Elsewhere CPS", county_fips="28001"),
    )

    view = OfferView.model_validate(made)
    assert (view.state, view.quantity, view.contact.phone) == ("open", 40, "+16015550120")
    assert view.receipt is not None
    for reader in (county.cps, operator, county.church):
        (listed,) = (await reader.get(offers_of(notice)))["items"]
        assert listed == made | {"receipt": None}
    assert (await county.school.get(offers_of(notice)))["items"] == []
    for reader in (county.poster, stranger):
        await reader.get(offers_of(notice), status=404)
    await operator.get("/v1/incidents/nothing/offers", status=404)


async def test_only_child_protection_and_operators_answer_an_offer(
    api: Api, county: County
) -> None:
    _, made = await offered(api, county)
    operator = await api.caller(Scope.OPERATE)
    body = {"answer": "accept"}

    for other, status in ((county.school, 404), (county.church, 404), (county.poster, 403)):
        await other.post(answers_to(made), body, status=status)
    await operator.post("/v1/offers/nothing/answers", body, status=404)
    taken = await operator.post(answers_to(made), body)

    assert (taken["state"], taken["answer"]["quantity"]) == ("accepted", 40)
    assert taken["answer"]["by"] is None
    again = await county.cps.post(answers_to(made), {"answer": "accept"}, status=409)
    assert again["code"] == "offer-settled"


async def test_decline_says_why_and_a_hold_is_the_holders(api: Api, county: County) -> None:
    notice, made = await offered(api, county)
    operator = await api.caller(Scope.OPERATE)
    until = (MORNING + hours(2)).isoformat()

    await operator.post(answers_to(made), {"answer": "hold", "until": until})
    held = await county.cps.post(answers_to(made), {"answer": "accept"}, status=409)
    world(api.desk).advance(hours(2))
    declined = await county.cps.post(
        answers_to(made), {"answer": "decline", "reason": "The school feeds them."}
    )

    assert held["code"] == "offer-held"
    assert declined["state"] == "declined"
    assert declined["answer"]["reason"] == "The school feeds them."
    assert declined["answer"]["by"]["id"] == county.agencies["cps"].id
    assert notice["incident_id"] == declined["incident_id"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"answer": "accept", "quantity": 41}, "invalid"),
        ({"answer": "hold", "until": "2019-08-07T12:00:00Z"}, "invalid"),
        ({"answer": "hold", "until": "2019-08-09T12:00:00Z"}, "invalid"),
        ({"answer": "hold"}, "invalid"),
        ({"answer": "decline"}, "invalid"),
        ({"answer": "accept", "reason": "no"}, "invalid"),
    ],
)
async def test_answer_that_does_not_fit_changes_nothing(
    api: Api, county: County, said: Json, code: str
) -> None:
    _, made = await offered(api, county)
    stored = await api.everything()

    problem = await county.cps.post(answers_to(made), said, status=422)

    assert problem["code"] == code
    assert await api.everything() == stored


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"offer_type": "childcare"}, "invalid", "/background_checked"),
        ({"offer_type": "childcare", "background_checked": "no"}, "invalid", "/background_checked"),
        (
            {"from": "2019-08-07T22:00:00Z", "until": "2019-08-07T21:00:00Z"},
            "invalid",
            "/until",
        ),
        ({"quantity": 0}, "invalid", "/quantity"),
        ({"families": ["A. Family"]}, "invalid", "/families"),
        ({"lapses_at": "2019-08-07T12:00:00Z"}, "offer-time", "/lapses_at"),
        ({"until": "2019-08-07T12:00:00Z"}, "offer-time", "/until"),
        ({"lapses_at": "2019-12-07T12:00:00Z"}, "offer-time", "/lapses_at"),
    ],
)
async def test_offer_that_cannot_stand_is_refused_and_not_stored(
    api: Api, county: County, changes: Json, code: str, pointer: str
) -> None:
    notice = await county.poster.post_notice(notice_body(api.desk))
    stored = await api.counts()

    problem = await county.church.post(offers_of(notice), MEALS | changes, status=422)

    assert problem["code"] == code
    assert problem["errors"][0]["pointer"] == pointer
    assert await api.counts() == stored


async def test_cleared_persons_may_offer_childcare(api: Api, county: County) -> None:
    _, made = await offered(
        api,
        county,
        offer_type="childcare",
        background_checked="yes",
        until=(MORNING + hours(6)).isoformat(),
    )

    assert made["lapses_at"] == made["until"]


async def test_who_is_not_bound_or_not_told_offers_nothing(api: Api, county: County) -> None:
    release_at = (MORNING + hours(1)).isoformat()
    embargoed = await county.poster.post_notice(notice_body(api.desk, release_at=release_at))

    await county.church.post(offers_of(embargoed), MEALS, status=404)
    await county.poster.post(offers_of(embargoed), MEALS, status=403)
    await county.church.post("/v1/incidents/nothing/offers", MEALS, status=404)


async def test_incident_takes_so_many_offers_and_no_more(api: Api, county: County) -> None:
    notice, made = await offered(api, county)
    async with api.desk.database.begin() as conn:
        first = await rows.lock_offer(conn, made["id"])
        assert first is not None
        for _ in range(offers.OFFERS_PER_INCIDENT_MAX - 1):
            await rows.insert_offer(conn, replace(first, id=new_offer_id()))

    problem = await county.church.post(offers_of(notice), MEALS, status=409)

    assert problem["code"] == "too-many-offers"


async def test_clock_ends_holds_and_lapses_offers_in_batches(api: Api, county: County) -> None:
    notice, held = await offered(api, county)
    until = (MORNING + hours(1)).isoformat()
    await county.cps.post(answers_to(held), {"answer": "hold", "until": until})
    await county.church.post(offers_of(notice), MEALS)
    engine = Engine(api.desk)

    assert await engine.sweep() == 0
    assert await offers.next_end_at(api.desk) == MORNING + hours(1)
    world(api.desk).advance(hours(1))
    await engine.sweep()
    states = [one["state"] for one in (await county.cps.get(offers_of(notice)))["items"]]
    world(api.desk).advance(hours(24))
    done = [await offers.end_due_offers(api.desk, most=1) for _ in range(3)]

    assert states == ["open", "open"]
    assert done == [1, 1, 0]
    assert await offers.next_end_at(api.desk) is None


async def test_offer_held_until_it_lapses_is_not_opened_again(api: Api, county: County) -> None:
    notice, made = await offered(api, county, lapses_at=(MORNING + hours(3)).isoformat())
    until = (MORNING + hours(1)).isoformat()
    await county.cps.post(answers_to(made), {"answer": "hold", "until": until})

    world(api.desk).advance(hours(4))
    settled = await county.cps.post(answers_to(made), {"answer": "accept"}, status=409)
    await offers.end_due_offers(api.desk)

    assert settled["code"] == "offer-settled"
    (lapsed,) = (await county.cps.get(offers_of(notice)))["items"]
    assert (lapsed["state"], lapsed["held_until"]) == ("lapsed", None)


async def test_statements_of_an_offer_do_not_grow_with_who_is_told(
    api: Api, county: County
) -> None:
    asked = count_statements(api)

    async def statements() -> int:
        notice = await county.poster.post_notice(notice_body(api.desk))
        await county.church.get(offers_of(notice))  # the key is remembered
        asked.clear()
        await county.church.post(offers_of(notice), MEALS)
        return len(asked)

    few = await statements()
    for number in range(5):
        extra = await furnish.add_agency(api.desk, f"Desk {number}")
        await furnish.add_contact(api.desk, extra, f"Desk {number} on duty")

    assert await statements() == few


async def test_statements_of_a_batch_do_not_grow_with_the_offers_that_lapse(
    api: Api, county: County
) -> None:
    await furnish.add_contact(api.desk, county.agencies["church"], "Pastor on duty")
    await furnish.add_contact(api.desk, county.agencies["school"], "Principal on duty")
    asked = count_statements(api)

    async def statements(makers: list[Caller]) -> int:
        for one in makers:
            notice = await county.poster.post_notice(notice_body(api.desk))
            await one.post(offers_of(notice), MEALS)
        world(api.desk).advance(hours(25))
        asked.clear()
        assert await offers.end_due_offers(api.desk) == len(makers)
        return len(asked)

    assert await statements([county.church]) == await statements([county.church, county.school] * 2)
