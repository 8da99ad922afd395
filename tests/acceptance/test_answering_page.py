"""Writing down an answer: two clicks for what was heard, one page for the agency's own people."""

import asyncio
import datetime as dt
import re
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.api import County, furnish_county
from harness.console import Browser, Console
from noticebus.contracts.vocabulary import DelegationHours, UserRole
from noticebus.domain.policies import default_policies
from noticebus.ids import ObligationId, new_delegation_id
from noticebus.store.delegations import Delegation, insert_delegation
from noticebus.store.obligations import find_obligation
from noticebus.store.policies import insert_policy
from noticebus.store.tables import acknowledgements, entries, obligations

# On one database: what a form does, the interface does too, and its tests run on each.
pytestmark = pytest.mark.parametrize("console", ["postgresql"], indirect=True)

HEARD = {
    "answer": "accepted",
    "how": "phone",
    "on_behalf_of": "Scott County cps",
    "name": "Jo Park",
    "role": "intake worker",
    "version": "1",
}


@pytest.fixture
async def silent(console: Console) -> County:
    """Post a notice that three recipients must answer, none of whom has."""
    county = await furnish_county(console.api)
    for name, phone in (("cps", "+16015550111"), ("school", "+16015550112")):
        await furnish.add_contact(
            console.desk, county.agencies[name], f"{name} night line", phone=phone
        )
    await county.poster.post_notice(furnish.notice_body(console.desk))
    return county


async def owed_by(console: Console, county: County, name: str) -> ObligationId:
    async with console.desk.database.read() as conn:
        found = await conn.execute(
            sa.select(obligations.c.id).where(
                obligations.c.agency_id == county.agencies[name].id, obligations.c.owed == "notice"
            )
        )
        return ObligationId(found.scalar_one())


async def answers(console: Console) -> list[Any]:
    async with console.desk.database.read() as conn:
        return list((await conn.execute(sa.select(acknowledgements))).mappings())


async def state_of(console: Console, owed: ObligationId) -> str:
    async with console.desk.database.read() as conn:
        found = await conn.execute(sa.select(obligations.c.state).where(obligations.c.id == owed))
        return str(found.scalar_one())


def form_of(browser: Browser) -> dict[str, str]:
    """Give what a browser would send of the answer form, but for the button."""
    form = browser.page[browser.page.index('class="usa-form') :]
    found = dict(re.findall(r'<input[^>]* name="(\w+)" value="([^"]*)"', form))
    chosen = re.findall(r'<select[^>]* name="(\w+)".*?</select>', form, re.DOTALL)
    for name in chosen:
        options = re.search(rf'<select[^>]* name="{name}".*?</select>', form, re.DOTALL)
        assert options is not None
        value = re.search(r'value="([^"]*)" selected', options[0])
        found[name] = value[1] if value else re.findall(r'value="([^"]*)"', options[0])[0]
    return {name: value for name, value in found.items() if name != "csrf"}


async def test_phone_answer_is_recorded_with_two_clicks(console: Console, silent: County) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/answer?back=/reports/unacknowledged")
    assert 'href="tel:+16015550111"' in dana.page
    assert "children may need care after school" in dana.page

    there = await dana.post(f"/obligations/{owed}/answer", {**form_of(dana), "answer": "accepted"})
    await dana.follow(there)

    (made,) = await answers(console)
    assert (made["answer"], made["how"], made["verified_by"]) == ("accepted", "phone", "operator")
    assert (made["by_name"], made["by_role"]) == ("cps night line", "duty officer")
    assert made["on_behalf_of"] == "Scott County cps"
    assert dana.user is not None
    assert made["actor"] == dana.user.id
    assert not made["late"]
    assert await state_of(console, owed) == "closed"
    assert made["id"] in dana.page
    assert "This is closed" in dana.page
    assert 'href="/reports/unacknowledged"' in dana.page
    assert "Late" not in dana.page


async def test_person_spoken_to_is_chosen_by_a_link(console: Console, silent: County) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/answer")
    chosen = re.search(r'href="([^"]+contact=[^"]+)">I spoke to cps desk', dana.page)
    assert chosen is not None
    await dana.get(chosen[1].replace("&amp;", "&"))
    assert form_of(dana)["name"] == "cps desk"


async def test_received_leaves_it_open_and_says_so(console: Console, silent: County) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/answer")
    there = await dana.post(f"/obligations/{owed}/answer", {**HEARD, "answer": "received"})
    await dana.follow(there)
    assert await state_of(console, owed) == "open"
    assert "The bus goes on calling" in dana.page


async def test_late_answer_is_labelled_on_the_page_before_and_after(
    console: Console, silent: County
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    furnish.world(console.desk).advance(dt.timedelta(hours=9))
    await dana.get(f"/obligations/{owed}/answer")
    assert "the answer is recorded as late" in dana.page
    await dana.follow(await dana.post(f"/obligations/{owed}/answer", HEARD))
    assert "Late: after the deadline" in dana.page
    (made,) = await answers(console)
    assert made["late"]


@pytest.mark.parametrize("at_once", [False, True])
async def test_double_click_records_once_and_says_that_it_was_there(
    console: Console, silent: County, *, at_once: bool
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/answer")
    path = f"/obligations/{owed}/answer"
    if at_once:
        async with asyncio.TaskGroup() as tasks:
            sent = [tasks.create_task(dana.post(path, HEARD)) for _ in range(2)]
        went = [one.result().headers["location"] for one in sent]
    else:
        went = [(await dana.post(path, HEARD)).headers["location"] for _ in range(2)]
    assert len(await answers(console)) == 1
    again = [one for one in went if one.endswith("&again=1")]
    assert len(again) == 1
    await dana.get(again[0])
    assert "It was recorded already" in dana.page


async def test_more_time_and_a_decline_say_until_when_and_why(
    console: Console, silent: County
) -> None:
    cps, church = [await owed_by(console, silent, name) for name in ("cps", "church")]
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{cps}/answer")
    (eta, *_) = re.findall(r'<option value="(2019[^"]+)"', dana.page)
    asked = {**HEARD, "answer": "need_more_time", "eta": eta}
    await dana.follow(await dana.post(f"/obligations/{cps}/answer", asked))
    assert "The deadline stays where it was" in dana.page
    declined = {**HEARD, "answer": "declined", "reason": "no_capacity", "eta": eta}
    await dana.follow(await dana.post(f"/obligations/{church}/answer", declined))
    assert "we cannot take it on" in dana.page
    assert await state_of(console, church) == "declined"


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"answer": ""}, "answer", "use one of the buttons"),
        ({"answer": "maybe"}, "answer", "use one of the buttons"),
        ({"name": " "}, "name", "Write who said it"),
        ({"name": "x" * 121}, "name", "up to 120 characters"),
        ({"role": ""}, "role", "Write what that person is"),
        ({"how": "pigeon"}, "how", "Choose how it reached you"),
        ({"on_behalf_of": ""}, "on_behalf_of", "for whom the person spoke"),
        ({"answer": "need_more_time"}, "eta", "until when"),
        ({"answer": "need_more_time", "eta": "2019-08-07T12:00:00Z"}, "eta", ""),
        ({"answer": "need_more_time", "eta": "9999-12-31T23:59:59-14:00"}, "eta", ""),
        ({"answer": "declined"}, "reason", "why they decline"),
        ({"note": "x" * 501}, "note", "Shorten the note"),
        ({"reference": "x" * 121}, "reference", "Shorten their own number"),
    ],
)
async def test_what_is_wrong_is_said_at_its_field_and_nothing_is_stored(
    console: Console, silent: County, changes: dict[str, str], field: str, sentence: str
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/answer")
    before = await console.api.everything()
    typed = {**HEARD, "role": "<i>worker</i>", **changes}
    await dana.post(f"/obligations/{owed}/answer", typed, status=422)
    assert "Nothing was recorded" in dana.page
    shown = re.search(rf'id="{field}-fault">([^<]+)<', dana.page)
    assert shown is not None
    assert sentence in shown[1]
    assert "<i>worker</i>" not in dana.page
    if "role" not in changes:
        assert 'value="&lt;i&gt;worker&lt;/i&gt;"' in dana.page
    assert await console.api.everything() == before


async def test_newer_version_that_came_during_the_call_is_read_out_first(
    console: Console, silent: County
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/answer")
    typed = form_of(dana)
    (notice,) = (await silent.poster.get("/v1/notices"))["items"]
    body = furnish.notice_body(
        console.desk, base_version=1, change_reason="new_info", **{"class": "A"}
    )
    await silent.poster.post(f"/v1/incidents/{notice['incident_id']}/updates", body, key="two")

    await dana.post(f"/obligations/{owed}/answer", {**typed, "answer": "accepted"}, status=409)

    assert "A newer version of this notice" in dana.page
    assert form_of(dana)["version"] == "2"
    assert await answers(console) == []
    await dana.post(f"/obligations/{owed}/answer", {**form_of(dana), "answer": "accepted"})
    (made,) = await answers(console)
    assert made["version"] == 2


async def test_newest_version_is_read_out_though_nothing_new_is_asked_since(
    console: Console, silent: County
) -> None:
    owed = await owed_by(console, silent, "cps")
    (notice,) = (await silent.poster.get("/v1/notices"))["items"]
    body = furnish.notice_body(
        console.desk, base_version=1, change_reason="new_info", headline="Buses leave at 9, not 11"
    )
    newer = await silent.poster.post(
        f"/v1/incidents/{notice['incident_id']}/updates", body, key="two"
    )
    dana = await console.sign_in(UserRole.OPERATOR)

    await dana.get(f"/obligations/{owed}/answer")

    assert "<strong>Buses leave at 9, not 11</strong>" in dana.page
    assert f'2: <a href="/notices/{newer["id"]}">the whole notice</a>' in dana.page
    assert f'The answer is to <a href="/notices/{notice["id"]}">version 1</a>' in dana.page
    assert form_of(dana)["version"] == "1"


async def test_agency_answers_for_itself_by_the_name_it_is_signed_in_with(
    console: Console, silent: County
) -> None:
    owed = await owed_by(console, silent, "school")
    agency = silent.agencies["school"]
    ana = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=agency, name="Ana Ruiz")
    await ana.get(f"/obligations/{owed}/answer")
    assert "You answer as <strong>Ana Ruiz</strong>" in ana.page
    assert "+16015550112" not in ana.page
    assert 'name="how"' not in ana.page
    typed = {"answer": "accepted", "name": "Somebody Else", "role": "principal", "version": "1"}
    there = await ana.post(f"/obligations/{owed}/answer", typed)
    (made,) = await answers(console)
    assert (made["by_name"], made["verified_by"]) == ("Ana Ruiz", "session")
    assert made["how"] is None
    assert made["on_behalf_of"] is None
    assert made["by_agency_id"] == agency.id
    await ana.follow(there)
    assert "We accept: we will act" in ana.page


@pytest.mark.parametrize("role", [UserRole.AGENCY_ADMINISTRATOR])
async def test_another_agencys_obligation_is_not_there(
    console: Console, silent: County, role: UserRole
) -> None:
    cps = await owed_by(console, silent, "cps")
    ana = await console.sign_in(role, agency=silent.agencies["school"])
    await ana.get("/")
    before = await console.api.everything()
    await ana.get(f"/obligations/{cps}/answer", status=404)
    await ana.get(f"/obligations/{cps}/answers/ack_0", status=404)
    await ana.post(f"/obligations/{cps}/answer", HEARD, status=404)
    assert await console.api.everything() == before


@pytest.mark.parametrize("role", [UserRole.AUDITOR, UserRole.POSTER])
async def test_who_may_not_answer_is_told_so(
    console: Console, silent: County, role: UserRole
) -> None:
    owed = await owed_by(console, silent, "cps")
    somebody = await console.sign_in(role, agency=silent.agencies["cps"])
    await somebody.get(f"/obligations/{owed}/answer", status=403)
    await somebody.get("/")
    before = await console.api.everything()
    await somebody.post(f"/obligations/{owed}/answer", HEARD, status=403)
    assert await console.api.everything() == before


async def test_form_made_elsewhere_records_nothing(console: Console, silent: County) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/answer")
    before = await console.api.everything()
    await dana.post(f"/obligations/{owed}/answer", {**HEARD, "csrf": "x"}, status=403)
    await dana.get(f"/obligations/{owed}/answers/ack_0", status=404)
    assert await console.api.everything() == before


async def test_looking_at_the_page_is_entered_and_answers_nothing(
    console: Console, silent: County
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/answer")
    async with console.desk.database.read() as conn:
        found = await conn.execute(sa.select(entries).where(entries.c.type == "page.viewed"))
        assert owed in str([one["body"] for one in found.mappings()])
    assert await answers(console) == []


async def test_who_stands_in_answers_on_behalf_and_reads_the_public_tier(
    console: Console, silent: County
) -> None:
    school, church = silent.agencies["school"], silent.agencies["church"]
    stands_in = Delegation(
        id=new_delegation_id(),
        agency_id=school.id,
        delegate_id=church.id,
        hours=DelegationHours.ALWAYS,
        created_at=console.desk.world.now(),
        ended_at=None,
    )
    async with console.desk.database.begin() as conn:
        await insert_delegation(conn, stands_in)
    text = "<script>Buses run at two.</script>"
    posted = await silent.poster.post_notice(
        furnish.notice_body(console.desk, description=text, headline="Second <b>notice</b>")
    )
    async with console.desk.database.read() as conn:
        owed = await find_obligation(conn, incident_id=posted["incident_id"], agency_id=school.id)
    assert owed is not None
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed.id}/answer")
    assert "&lt;script&gt;Buses run at two." in dana.page
    eli = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=church, name="Eli Moss")
    await eli.get(f"/obligations/{owed.id}/answer")
    assert "Second &lt;b&gt;notice&lt;/b&gt;" in eli.page
    assert "Buses run at two" not in eli.page

    own = {"answer": "accepted", "role": "deacon", "version": "1"}
    await eli.post(f"/obligations/{owed.id}/answer", own)

    (made,) = await answers(console)
    assert (made["by_name"], made["on_behalf_of"]) == ("Eli Moss", school.name)


async def test_signed_in_person_and_the_same_person_by_telephone_are_one_of_a_quorum(
    console: Console, silent: County
) -> None:
    await needs_two(console)
    posted = await silent.poster.post_notice(furnish.notice_body(console.desk))
    agency = silent.agencies["cps"]
    async with console.desk.database.read() as conn:
        owed = await find_obligation(conn, incident_id=posted["incident_id"], agency_id=agency.id)
    assert owed is not None
    path = f"/obligations/{owed.id}/answer"
    ana = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=agency, name="CPS desk")
    await ana.get(path)
    own = {"answer": "accepted", "role": "duty", "version": "1"}
    for name in ("CPS desk", "CPS night line"):  # one account is one person, whatever it types
        await ana.post(path, {**own, "name": name})
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(path)
    await dana.post(path, {**HEARD, "name": "cps  Desk"})
    assert await state_of(console, owed.id) == "open"

    there = await dana.post(path, {**HEARD, "name": "cps night line"})

    assert await state_of(console, owed.id) == "closed"
    await dana.follow(there)
    assert "This is closed" in dana.page


async def needs_two(console: Console) -> None:
    """Let every policy ask for two people from now on."""
    async with console.desk.database.begin() as conn:
        for one in default_policies():
            wanted = replace(one, version=one.version + 1, quorum=2)
            await insert_policy(conn, wanted, agency_id=None, now=console.desk.world.now())


async def test_what_a_poster_owes_is_not_written_down_here_and_the_page_says_so(
    console: Console, silent: County
) -> None:
    due = console.desk.world.now() + dt.timedelta(hours=1)
    await silent.poster.post_notice(
        furnish.notice_body(console.desk, next_update_due=due.isoformat())
    )
    furnish.world(console.desk).advance(dt.timedelta(hours=2))
    async with console.desk.database.read() as conn:
        found = await conn.execute(
            sa.select(obligations.c.id).where(obligations.c.owed == "update")
        )
        owed = found.scalar_one()
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}")
    assert "Record a call" not in dana.page
    await dana.get(f"/obligations/{owed}/answer", status=404)
    assert "A poster owes this" in dana.page
    assert await answers(console) == []
