"""Policies on the console: in words, with what each version changed, and played ahead."""

from harness.console import Console
from harness.desk import add_agency, add_contact
from noticebus.contracts.vocabulary import AgencyKind, Scope, UserRole

OWN = {
    "due_after_s": 900,
    "hold": "never",
    "quorum": 1,
    "steps": [
        {"after_s": 900, "notify": "on_duty", "channels": ["email"]},
        {"after_s": 3600, "notify": "operators", "channels": []},
    ],
}


async def test_policies_are_listed_in_words_and_each_version_says_what_it_changed(
    console: Console,
) -> None:
    school = await add_agency(
        console.desk, "Pine <b>County</b> Schools", kind=AgencyKind.SCHOOL_DISTRICT
    )
    await add_contact(console.desk, school, "front desk")
    operator = await console.api.caller(Scope.OPERATE)
    path = f"/v1/agencies/{school.id}/policies/A"
    put = await operator.send("PUT", path, json=OWN)
    assert put.status_code == 200, put.text
    exact = {"If-Match": put.headers["etag"]}
    changed = await operator.send("PUT", path, json={**OWN, "due_after_s": 600}, headers=exact)
    assert changed.status_code == 200, changed.text
    browser = await console.sign_in(UserRole.OPERATOR)
    listed = await browser.get("/policies")
    assert "default.cps.state_desk.A" in listed.text
    shown = await browser.get(f"/policies/{school.id}.A")
    assert "tell the desk on duty by mail" in shown.text
    assert "<del>after 15 min</del> → <ins>after 10 min</ins>" in shown.text
    assert "put it on the list of the operators of the bus" in shown.text
    await browser.get("/policies/none.such", status=404)


async def test_own_policy_of_another_agency_is_not_there_for_an_agencys_people(
    console: Console,
) -> None:
    school = await add_agency(console.desk, "Pine Schools", kind=AgencyKind.SCHOOL_DISTRICT)
    other = await add_agency(console.desk, "Oak Schools", kind=AgencyKind.SCHOOL_DISTRICT)
    await add_contact(console.desk, school, "front desk")
    operator = await console.api.caller(Scope.OPERATE)
    await operator.send("PUT", f"/v1/agencies/{school.id}/policies/A", json=OWN)
    browser = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=other)
    await browser.get(f"/policies/{school.id}.A", status=404)
    assert school.id not in (await browser.get("/policies")).text
    refused = await browser.get(f"/policies/simulation?agency={school.id}", status=422)
    assert "Pine Schools" not in refused.text


async def test_simulation_says_who_would_be_called_when_in_the_recipients_own_time(
    console: Console,
) -> None:
    cps = await add_agency(console.desk, "State <i>CPS</i>", kind=AgencyKind.CPS)
    await add_contact(console.desk, cps, "Night desk")
    browser = await console.sign_in(UserRole.OPERATOR)
    signed_in = await console.api.counts()
    played = await browser.get(
        f"/policies/simulation?agency={cps.id}&class=A&at=2026-12-06T03:00&status=actual"
    )
    assert "Sun 06 Dec 2026, 03:00" in played.text
    assert "Night desk" in played.text
    assert "<i>CPS</i>" not in played.text
    after = await console.api.counts()
    assert after.pop("entries") == signed_in.pop("entries") + 1  # that it was looked at
    assert after == signed_in


async def test_simulation_says_beside_the_field_what_is_wrong_with_it(console: Console) -> None:
    cps = await add_agency(console.desk, "State CPS", kind=AgencyKind.CPS)
    browser = await console.sign_in(UserRole.AUDITOR)
    for query, sentence in (
        (f"agency={cps.id}&at=tomorrow", "Write a date and a time"),
        (f"agency={cps.id}&at=9999-12-31T23:59", "Write a date and a time"),
        (f"agency={cps.id}&class=Q", "Choose one of: A, B, C, D."),
        (f"agency={cps.id}&status=maybe", "Choose one of: actual"),
        ("agency=agy_1", "There is no agency here"),
    ):
        page = await browser.get(f"/policies/simulation?{query}", status=422)
        assert sentence in page.text, query
        assert 'aria-invalid="true"' in page.text
