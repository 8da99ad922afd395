"""Answers over the real HTTP application, on both databases: by agencies and by operators."""

import asyncio
import datetime as dt
from typing import Any

from harness.api import Api, Caller, County, Json
from harness.desk import add_agency, notice_body, world
from noticebus.casework import answer
from noticebus.contracts.acknowledgement import AcknowledgementView
from noticebus.contracts.vocabulary import AgencyKind, Answer, Scope, VerifiedBy
from noticebus.ids import NoticeId, ObligationId
from noticebus.store import obligations

BY = {"name": "R. Example", "role": "intake supervisor"}
HOUR = dt.timedelta(hours=1)


def an_answer(answer: str = "accepted", **other: Any) -> Json:
    return {"answer": answer, "by": BY, **other}


async def posted(api: Api, county: County, **changes: Any) -> Json:
    return await county.poster.post_notice(notice_body(api.desk, **changes))


async def owed_by(reader: Caller, accepted: Json) -> Json:
    """Read the reader's own obligation."""
    page = await reader.get(f"/v1/incidents/{accepted['incident_id']}/obligations")
    (owed,) = page["items"]
    return dict(owed)


def path_of(accepted: Json) -> str:
    return f"/v1/notices/{accepted['id']}/acknowledgements"


async def test_accepted_closes_the_obligation_and_gives_a_receipt(api: Api, county: County) -> None:
    accepted = await posted(api, county)

    made = await county.cps.post(path_of(accepted), an_answer(note="On our way", reference="MS-1"))

    view = AcknowledgementView.model_validate(made)
    assert (view.answer, view.closed, view.late) == ("accepted", True, False)
    assert (view.verified_by, view.obligation_state) == ("api_key", "closed")
    assert (view.note, view.reference, view.by.name) == ("On our way", "MS-1", BY["name"])
    assert view.receipt is not None
    assert view.receipt.signature
    owed = await owed_by(county.cps, accepted)
    assert owed["state"] == "closed"
    assert owed["next_step_at"] is None
    assert [one["id"] for one in owed["acknowledgements"]] == [made["id"]]


async def test_an_answer_bears_the_time_at_which_it_counted_not_the_one_it_waited_from(
    api: Api, county: County
) -> None:
    """A step that was written while the answer waited is before it, in order and by the clock."""
    accepted = await posted(api, county)
    owed = await owed_by(county.cps, accepted)
    answering = answer.answer(
        api.desk,
        obligation_id=ObligationId(owed["id"]),
        about=answer.About(notice_id=NoticeId(accepted["id"]), version=1),
        given=answer.GivenAnswer(answer=Answer.ACCEPTED, by_name="Rosa Duty", by_role="duty"),
        actor=answer.Actor(verified_by=VerifiedBy.API_KEY, id="key_of_the_county"),
    )
    async with asyncio.TaskGroup() as tasks, api.desk.database.begin() as conn:
        await obligations.lock_obligations(conn, ids=[ObligationId(owed["id"])])
        given = tasks.create_task(answering)
        await asyncio.sleep(0)  # it has come as far as the lock
        world(api.desk).advance(dt.timedelta(minutes=1))

    assert given.result().acknowledgement.recorded_at == api.desk.world.now()


async def test_received_is_heard_and_closes_nothing_of_class_b(api: Api, county: County) -> None:
    accepted = await posted(api, county)

    made = await county.cps.post(path_of(accepted), an_answer("received"))

    owed = await owed_by(county.cps, accepted)
    assert (made["closed"], owed["state"]) == (False, "open")
    assert owed["received_at"] == made["recorded_at"]
    assert owed["due_at"] is not None


async def test_received_closes_class_c(api: Api, county: County) -> None:
    accepted = await posted(api, county, **{"class": "C"})

    made = await county.cps.post(path_of(accepted), an_answer("received"))

    assert (made["closed"], made["obligation_state"]) == (True, "closed")


async def test_more_time_moves_the_next_step_once(api: Api, county: County) -> None:
    accepted = await posted(api, county)
    eta = (api.desk.world.now() + dt.timedelta(minutes=50)).isoformat()

    made = await county.cps.post(path_of(accepted), an_answer("need_more_time", eta=eta))

    owed = await owed_by(county.cps, accepted)
    assert (made["closed"], owed["state"]) == (False, "open")
    assert owed["promised_until"] == made["eta"]
    later = (api.desk.world.now() + dt.timedelta(minutes=55)).isoformat()
    problem = await county.cps.post(
        path_of(accepted), an_answer("need_more_time", eta=later), status=422
    )
    assert problem["code"] == "more-time-used"
    assert problem["errors"][0]["pointer"] == "/eta"


async def test_same_answer_again_is_200_with_the_same_receipt(api: Api, county: County) -> None:
    accepted = await posted(api, county)
    first = await county.cps.post(path_of(accepted), an_answer())
    before = await api.everything()

    again = await county.cps.post(path_of(accepted), an_answer(note="again"), status=200)

    assert again == first
    assert await api.everything() == before


async def test_concurrent_equal_answers_are_one(api: Api, county: County) -> None:
    accepted = await posted(api, county)

    async with asyncio.TaskGroup() as tasks:
        sent = [
            tasks.create_task(county.cps.send("POST", path_of(accepted), json=an_answer()))
            for _ in range(4)
        ]

    assert sorted(one.result().status_code for one in sent) == [200, 200, 200, 201]
    assert (await api.counts())["acknowledgements"] == 1


async def test_late_answer_is_taken_and_marked(api: Api, county: County) -> None:
    accepted = await posted(api, county)
    world(api.desk).advance(30 * HOUR)
    overdue = await owed_by(county.cps, accepted)

    made = await county.cps.post(path_of(accepted), an_answer())

    assert overdue["overdue_s"] > 0
    assert (made["late"], made["closed"]) == (True, True)
    assert (await owed_by(county.cps, accepted))["overdue_s"] is None


async def test_operator_records_what_was_said_on_the_telephone(api: Api, county: County) -> None:
    accepted = await posted(api, county)
    owed = await owed_by(county.school, accepted)
    operator = await api.caller(Scope.OPERATE)
    path = f"/v1/obligations/{owed['id']}/acknowledgements"
    spoken = an_answer(how="phone", on_behalf_of="Scott County School District")

    made = await operator.post(path, spoken)

    assert (made["verified_by"], made["how"], made["closed"]) == ("operator", "phone", True)
    assert made["on_behalf_of"] == "Scott County School District"
    assert await operator.post(path, spoken, status=200) == made
    assert (await owed_by(county.school, accepted))["state"] == "closed"
    await county.school.post(path, spoken, status=422)
    await county.cps.post(path, an_answer(), status=404)
    assert (await county.school.post(path, an_answer(), status=200))["id"] == made["id"]
    await operator.post(path, an_answer(), status=422)


async def test_decline_of_jurisdiction_makes_the_place_uncovered(api: Api, county: County) -> None:
    accepted = await posted(api, county)
    assert accepted["recipients"]["uncovered"] == []

    made = await county.cps.post(path_of(accepted), an_answer("declined", reason="no_jurisdiction"))

    assert (made["closed"], made["obligation_state"]) == (True, "declined")
    notice = await county.poster.get(f"/v1/notices/{accepted['id']}")
    assert notice["uncovered"] == [{"county_fips": "28123", "missing": "cps"}]


async def test_decline_of_jurisdiction_finds_who_has_become_responsible(
    api: Api, county: County
) -> None:
    accepted = await posted(api, county)
    other = await add_agency(api.desk, "State CPS", kind=AgencyKind.CPS)

    await county.cps.post(path_of(accepted), an_answer("declined", reason="no_jurisdiction"))

    page = await county.poster.get(f"/v1/incidents/{accepted['incident_id']}/obligations")
    assert other.id in {one["agency"]["id"] for one in page["items"]}
    notice = await county.poster.get(f"/v1/notices/{accepted['id']}")
    assert notice["uncovered"] == []


async def test_answer_to_an_older_version_closes_nothing_newer(api: Api, county: County) -> None:
    accepted = await posted(api, county)
    update = notice_body(api.desk, base_version=1, change_reason="new_info", material=True)
    newer = await county.poster.post(f"/v1/incidents/{accepted['incident_id']}/updates", update)

    old = await county.cps.post(path_of(accepted), an_answer())
    owed = await owed_by(county.cps, accepted)
    new = await county.cps.post(path_of(newer), an_answer())

    assert (old["version"], old["closed"]) == (1, False)
    assert (owed["state"], owed["round_version"], owed["epoch"]) == ("open", 2, 2)
    assert (new["version"], new["closed"]) == (2, True)


async def test_answer_that_lacks_something_is_refused_with_a_pointer(
    api: Api, county: County
) -> None:
    accepted = await posted(api, county)
    stored = await api.counts()
    past = (api.desk.world.now() - HOUR).isoformat()
    wrong: list[tuple[Json, str]] = [
        (an_answer("need_more_time"), "/eta"),
        (an_answer("need_more_time", eta=past), "/eta"),
        (an_answer("need_more_time", eta="2019-08-07T14:00:00"), "/eta"),
        (an_answer("declined"), "/reason"),
        (an_answer("accepted", reason="other"), "/reason"),
        (an_answer("maybe"), "/answer"),
        (an_answer(by={"name": " ", "role": "x"}), "/by/name"),
        ({"answer": "accepted"}, "/by"),
        (an_answer(how="phone"), "/how"),
    ]

    for body, pointer in wrong:
        problem = await county.cps.post(path_of(accepted), body, status=422)
        assert pointer in {one["pointer"] for one in problem["errors"]}, problem

    assert await api.counts() == stored


async def test_only_who_must_answer_may(api: Api, county: County) -> None:
    accepted = await posted(api, county)
    embargoed = await posted(api, county, release_at=(api.desk.world.now() + HOUR).isoformat())
    elsewhere = await add_agency(api.desk, "Elsewhere CPS", county_fips="28001")
    stranger = await api.caller(Scope.ANSWER, agency=elsewhere)
    operator = await api.caller(Scope.OPERATE)
    stored = await api.counts()

    await county.poster.post(path_of(accepted), an_answer(), status=403)
    await stranger.post(path_of(accepted), an_answer(), status=404)
    await county.cps.post(path_of(embargoed), an_answer(), status=404)
    await county.cps.post("/v1/notices/nothing/acknowledgements", an_answer(), status=404)
    spoken = an_answer(how="phone", on_behalf_of="Somebody")
    await operator.post("/v1/obligations/nothing/acknowledgements", spoken, status=404)

    assert await api.counts() == stored
