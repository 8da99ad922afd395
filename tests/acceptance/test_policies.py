"""Policies over HTTP: versions, an agency's own before the default, and what is refused."""

import datetime as dt
import json
from typing import Any

import pytest
import sqlalchemy as sa

from harness.api import Api, Caller, County
from harness.desk import add_agency, add_contact, notice_body, world
from harness.district import furnish_district
from noticebus.contracts.agency import ContactPost
from noticebus.contracts.vocabulary import AgencyKind, Position, Scope
from noticebus.store.tables import entries as rows

DEFAULT = "default.cps.state_desk.B"


def a_policy(**changes: Any) -> dict[str, Any]:
    return {
        "due_after_s": 600,
        "hold": "never",
        "steps": [
            {"after_s": 600, "notify": "on_duty", "channels": ["webhook", "email"]},
            {"after_s": 1200, "notify": "operators", "channels": ["email"]},
        ],
    } | changes


def step(after_s: int, notify: str = "on_duty", *channels: str) -> dict[str, Any]:
    return {"after_s": after_s, "notify": notify, "channels": list(channels or ("email",))}


@pytest.fixture
async def operator(api: Api) -> Caller:
    agency = await add_agency(api.desk, "Bus operators", kind=AgencyKind.OPERATOR)
    await add_contact(api.desk, agency, "Operator on duty")
    return await api.caller(Scope.OPERATE)


async def put(
    caller: Caller, path: str, body: Any, *, status: int = 200, revision: int | None = None
) -> dict[str, Any]:
    headers = {} if revision is None else {"If-Match": f'"{revision}"'}
    answer = await caller.send("PUT", path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    found: dict[str, Any] = answer.json()
    return found


async def test_a_changed_default_is_a_new_version_that_later_rounds_run_under(
    api: Api, county: County, operator: Caller
) -> None:
    before = await county.poster.post_notice(notice_body(api.desk))

    read = await operator.get(f"/v1/policies/{DEFAULT}")
    changed = await put(operator, f"/v1/policies/{DEFAULT}", a_policy(), revision=read["version"])

    after = await county.poster.post_notice(notice_body(api.desk))
    assert (read["version"], changed["version"]) == (1, 2)
    assert changed["warnings"] == []
    cps = str(county.agencies["cps"].id)
    assert due_of(before, cps) > due_of(after, cps)  # the round that runs is never moved
    assert [one["version"] for one in await entries(api, "policy.changed")] == [2]


def due_of(posted: dict[str, Any], agency_id: str) -> str:
    (found,) = (
        one["due_at"]
        for one in posted["recipients"]["obligations"]
        if one["agency"]["id"] == agency_id
    )
    return str(found)


async def entries(api: Api, type_: str) -> list[dict[str, Any]]:
    statement = sa.select(rows.c.body).where(rows.c.type == type_).order_by(rows.c.id)
    async with api.desk.database.read() as conn:
        return [json.loads(body)["data"] for body in (await conn.execute(statement)).scalars()]


async def test_an_agencys_own_policy_comes_before_the_default_until_it_ends(
    api: Api, county: County, operator: Caller
) -> None:
    cps = county.agencies["cps"]
    path = f"/v1/agencies/{cps.id}/policies"
    by_default = await county.poster.post_notice(notice_body(api.desk))

    made = await put(operator, f"{path}/B", a_policy())
    own = await county.poster.post_notice(notice_body(api.desk))
    applied = (await county.cps.get(path))["items"]
    ended = (await operator.send("DELETE", f"{path}/B")).json()
    again = await county.poster.post_notice(notice_body(api.desk))

    assert (made["id"], made["version"], made["agency_id"]) == (f"{cps.id}.B", 1, cps.id)
    assert due_of(own, cps.id) < due_of(by_default, cps.id) == due_of(again, cps.id)
    assert [one["policy"]["id"].rpartition(".")[2] for one in applied] == ["A", "B", "C", "D"]
    assert applied[1]["why"] == "Scott County cps has a policy of its own for class B."
    assert applied[0]["why"] == "The default of a cps (state desk) for class A."
    assert ended["ended_at"]
    assert [one["policy_id"] for one in await entries(api, "policy.ended")] == [made["id"]]

    revived = await put(operator, f"{path}/B", a_policy())
    assert revived["version"] == 2


async def test_two_changes_of_one_version_do_not_overwrite_each_other(
    api: Api, county: County, operator: Caller
) -> None:
    path = f"/v1/agencies/{county.agencies['cps'].id}/policies/A"
    await put(operator, path, a_policy())

    unsaid = await put(operator, path, a_policy(), status=428)
    changed = await put(operator, path, a_policy(), revision=1)
    late = await put(operator, path, a_policy(), revision=1, status=412)
    by_id = await put(operator, f"/v1/policies/{changed['id']}", a_policy(), revision=2)
    stale = await operator.send("DELETE", path, headers={"If-Match": '"1"'})
    fresh = f"/v1/agencies/{county.agencies['school'].id}/policies/A"
    never = await put(operator, fresh, a_policy(), revision=3, status=412)

    assert (unsaid["code"], late["code"]) == ("precondition-required", "stale-revision")
    assert (changed["version"], by_id["version"]) == (2, 3)
    assert stale.status_code == 412
    assert never["code"] == "stale-revision"


async def test_defaults_are_everybodys_to_read_and_an_agencys_own_is_its_own(
    api: Api, county: County, operator: Caller
) -> None:
    cps = county.agencies["cps"]
    made = await put(operator, f"/v1/agencies/{cps.id}/policies/A", a_policy())

    theirs = await county.cps.get(f"/v1/policies/{made['id']}")
    default = await county.school.get(f"/v1/policies/{DEFAULT}")
    hidden = await county.school.get(f"/v1/policies/{made['id']}", status=404)
    unseen = await county.school.get(f"/v1/agencies/{cps.id}/policies", status=404)
    not_theirs = await put(
        county.cps, f"/v1/agencies/{cps.id}/policies/A", a_policy(), status=403, revision=1
    )

    assert (theirs["id"], default["id"]) == (made["id"], DEFAULT)
    assert (hidden["code"], unseen["code"]) == ("not-found", "not-found")
    assert not_theirs["code"] == "forbidden"
    assert made["id"] in await ids_of(county.cps)
    assert made["id"] not in await ids_of(county.school)
    assert made["id"] in await ids_of(operator)


async def ids_of(caller: Caller) -> list[str]:
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await caller.get(f"/v1/policies?limit=20&cursor={cursor}")
        found += [one["id"] for one in page["items"]]
        cursor = page["next"]
    assert len(found) == len(set(found))
    return found


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"steps": [step(600), step(600, "head")]}, "invalid", "/steps/1/after_s"),
        ({"steps": [step(31 * 86400)]}, "invalid", "/steps/0/after_s"),
        ({"steps": [step(n + 1, "head") for n in range(21)]}, "invalid", "/steps"),
        ({"due_after_s": None}, "invalid", "/due_after_s"),
        ({"hold": "business_day"}, "invalid", "/hold_at"),
        ({"hold_at": "07:00"}, "invalid", "/hold_at"),
        ({"hold": "business_day", "hold_at": "7 am"}, "invalid", "/hold_at"),
        ({"quorum": 0}, "invalid", "/quorum"),
        ({"quorum": 2}, "invalid", "/quorum"),
        ({"steps": [step(600, "second", "webhook")]}, "invalid", "/steps/0/channels"),
        ({"steps": [step(600, "on_duty", "inbox")]}, "invalid", "/steps/0/channels"),
        ({"steps": [step(1, "head"), step(2, "head")]}, "policy-loop", "/steps/1"),
        ({"steps": [step(1), step(2, "head"), step(3)]}, "policy-loop", "/steps/2"),
        ({"steps": [step(10), step(20)]}, "policy-loop", "/steps/1"),
        ({"steps": []}, "policy-reaches-nobody", "/steps"),
        (
            {"steps": [{"after_s": 600, "notify": "operators", "channels": []}]},
            "policy-reaches-nobody",
            "/steps",
        ),
        ({"steps": [step(600, "on_duty", "voice")]}, "policy-reaches-nobody", "/steps"),
    ],
)
async def test_a_policy_that_cannot_work_is_refused_and_nothing_is_stored(
    api: Api,
    county: County,
    operator: Caller,
    change: dict[str, Any],
    code: str,
    pointer: str,
) -> None:
    path = f"/v1/agencies/{county.agencies['cps'].id}/policies/B"
    before = await api.everything()

    problem = await put(operator, path, a_policy(**change), status=422)

    assert problem["code"] == code
    assert [one["pointer"] for one in problem["errors"]] == [pointer]
    assert await api.everything() == before


async def test_a_default_has_no_quorum_and_may_not_be_silent_either(
    api: Api, operator: Caller
) -> None:
    quorum = await put(
        operator, f"/v1/policies/{DEFAULT}", a_policy(quorum=2), status=422, revision=1
    )
    silent = await put(
        operator, f"/v1/policies/{DEFAULT}", a_policy(steps=[]), status=422, revision=1
    )
    unknown = await put(operator, "/v1/policies/none", a_policy(), status=404, revision=1)

    assert [one["pointer"] for one in quorum["errors"]] == ["/quorum"]
    assert silent["code"] == "policy-reaches-nobody"
    assert unknown["code"] == "not-found"


async def test_a_desk_may_be_reminded_with_pauses_that_grow(
    county: County, operator: Caller
) -> None:
    path = f"/v1/agencies/{county.agencies['cps'].id}/policies/B"
    steps = [step(600), step(1500), step(3600), step(7200, "operators")]

    made = await put(operator, path, a_policy(steps=steps))

    assert [one["after_s"] for one in made["steps"]] == [600, 1500, 3600, 7200]


async def test_what_will_not_work_as_written_is_stored_with_a_warning(
    api: Api, county: County, operator: Caller
) -> None:
    path = f"/v1/agencies/{county.agencies['cps'].id}/policies/B"
    silent = ContactPost(name="Lee", role="lead", position=Position.HEAD, phone="+16015550111")
    admin = await api.caller(Scope.ADMIN)
    posted = silent.model_dump(mode="json")
    await admin.post(f"/v1/agencies/{county.agencies['cps'].id}/contacts", posted)
    steps = [
        step(600, "second"),
        step(1200, "head", "sms"),
        step(1800, "delegate"),
        step(2400, "operators"),
    ]

    made = await put(operator, path, a_policy(steps=steps))

    assert made["warnings"] == [
        {
            "pointer": "/steps/0",
            "message": "nobody is at second: operators is called instead",
        },
        {
            "pointer": "/steps/1",
            "message": "head reaches nobody: give a contact one of the step's channels",
        },
        {"pointer": "/steps/2", "message": "nobody is at delegate: operators is called instead"},
    ]


async def test_a_class_that_asks_for_nothing_may_have_a_policy_without_steps(
    county: County, operator: Caller
) -> None:
    path = f"/v1/agencies/{county.agencies['church'].id}/policies"
    nothing = a_policy(due_after_s=None, steps=[])

    made = await put(operator, f"{path}/C", nothing)
    urgent = await put(operator, f"{path}/A", nothing, status=422)

    assert made["steps"] == []
    assert urgent["code"] == "policy-reaches-nobody"


async def test_a_simulation_says_who_would_be_called_and_writes_nothing(
    api: Api, operator: Caller
) -> None:
    district = await furnish_district(api.desk, county_fips=None)
    path = f"/v1/agencies/{district.row.id}/policy-simulation"
    before = await api.everything()

    said = await operator.get(f"{path}?class=A&at=2019-08-09T18:50:00Z&status=exercise")

    assert await api.everything() == before
    assert (said["class"], said["status"], said["standing"]) == ("A", "exercise", "mandatory")
    assert (said["policy_id"], said["policy_version"]) == (
        "default.school_district.school_day.A",
        1,
    )
    assert said["dismissal_at"] == "2019-08-09T20:10:00Z"
    assert [(one["local"], one["kind"], one["notify"]) for one in said["calls"]] == [
        ("2019-08-09 13:50 CDT", "step", "first_two"),
        ("2019-08-09 13:55 CDT", "due", None),
        ("2019-08-09 13:55 CDT", "step", "head"),
        ("2019-08-09 14:00 CDT", "step", "operators"),
    ]
    assert said["calls"][0]["contacts"][0] == {
        "name": "A. Lee",
        "role": "principal on duty",
        "position": "on_duty",
        "agency": "Scott County Schools",
        "channels": ["email"],  # without a telephone provider nobody is rung
    }
    unbound, mute = said["warnings"]
    assert unbound.startswith("The agency has no responsibility and no subscription")
    assert mute == "The bus has no telephone provider: it texts and rings nobody."


async def test_a_simulation_warns_of_whom_it_does_not_find(
    county: County, operator: Caller
) -> None:
    church = county.agencies["church"]

    said = await operator.get(f"/v1/agencies/{church.id}/policy-simulation?class=A")
    nothing = await county.church.get(f"/v1/agencies/{church.id}/policy-simulation?class=D")

    assert "nobody is at second" in said["warnings"][1]
    assert said["calls"][0]["why"] == "the notice itself"
    assert (nothing["due_at"], [one["kind"] for one in nothing["calls"]]) == (None, ["notice"])
    assert nothing["why"].endswith("Nothing falls due.")


@pytest.mark.parametrize("query", ["class=E", "class=A&at=2019-08-09T13:50:00", "at=now&class=A"])
async def test_a_simulation_of_what_cannot_be_is_refused(
    county: County, operator: Caller, query: str
) -> None:
    path = f"/v1/agencies/{county.agencies['cps'].id}/policy-simulation"

    problem = await operator.get(f"{path}?{query}", status=422)
    unseen = await county.school.get(f"{path}?class=A", status=404)

    assert problem["code"] == "invalid"
    assert unseen["code"] == "not-found"


async def test_the_report_lists_agencies_that_their_policy_would_leave_alone(
    api: Api, county: County
) -> None:
    """The church's own policy calls nobody but its one person, who then leaves."""
    church = county.agencies["church"]
    caller = await api.caller(Scope.OPERATE)
    admin = await api.caller(Scope.ADMIN)
    only_the_desk = a_policy(steps=[step(600)])
    await put(caller, f"/v1/agencies/{church.id}/policies/B", only_the_desk)
    await put(caller, f"/v1/agencies/{county.agencies['cps'].id}/policies/B", only_the_desk)
    (person,) = (await admin.get(f"/v1/agencies/{church.id}/contacts"))["items"]
    assert await silent(caller) == []

    path = f"/v1/agencies/{church.id}/contacts/{person['id']}"
    await admin.send("DELETE", path, headers={"If-Match": '"1"'})

    assert await silent(caller) == [church.id]
    operators = await add_agency(api.desk, "Bus operators", kind=AgencyKind.OPERATOR)
    await add_contact(api.desk, operators, "Operator on duty")
    assert await silent(caller) == []  # what falls through reaches them


async def test_where_no_operator_is_in_reach_a_default_may_leave_an_agency_alone(
    api: Api, county: County
) -> None:
    caller = await api.caller(Scope.OPERATE)
    lonely = await add_agency(api.desk, "Lonely CPS")

    before = await silent(caller)
    await add_contact(api.desk, lonely, "Desk")

    assert (before, await silent(caller)) == ([lonely.id], [])
    assert await silent(county.cps) == []


async def test_somebody_who_is_valid_no_more_saves_no_agency_from_silence(
    api: Api, county: County
) -> None:
    caller = await api.caller(Scope.OPERATE)
    admin = await api.caller(Scope.ADMIN)
    lonely = await add_agency(api.desk, "Lonely CPS")
    body = {"name": "Temp", "role": "relief", "position": "on_duty", "email": "t@relief.example"}
    ends_at = (api.desk.world.now() + dt.timedelta(hours=1)).isoformat()
    path = f"/v1/agencies/{lonely.id}/contacts"
    await admin.post(path, {**body, "valid_until": ends_at})

    before = await silent(caller)
    world(api.desk).advance(dt.timedelta(hours=1))

    assert (before, await silent(caller)) == ([], [lonely.id])


async def silent(caller: Caller) -> list[str]:
    report = await caller.get("/v1/reports/unacknowledged")
    found = [one for one in report["data_quality"] if one["code"] == "policy_reaches_nobody"]
    assert all("would be called by nobody" in one["message"] for one in found)
    return [one["agency"]["id"] for one in found]
