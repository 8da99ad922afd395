"""Resend to the silent: counted first, sent once, and nothing of the clock moves."""

import asyncio
import datetime as dt
import json
import re
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.api import Api, County, furnish_county
from harness.console import Browser, Console
from harness.statements import statements_of
from harness.system import Bus, minutes
from noticebus.casework.resend import Asked, Plan, Resent, plan_resend, resend
from noticebus.contracts.vocabulary import AgencyKind, Channel, Position, Scope, UserRole
from noticebus.ids import IncidentId
from noticebus.store.agencies import Contact
from noticebus.store.tables import deliveries, entries, subscriptions

ACCEPTED = {"answer": "accepted", "by": {"name": "Jo Park", "role": "intake"}}


@pytest.fixture
async def silent(console: Console) -> County:
    """Furnish three recipients that mail reaches, and one that nothing does."""
    county = await furnish_county(console.api)
    church = await furnish.add_agency(console.desk, "Grace <b>House</b>", kind=AgencyKind.COMMUNITY)
    await furnish.add_contact(console.desk, church, "Parish office", phone="+16015550107")
    return county


async def post(console: Console, county: County, **changes: Any) -> dict[str, Any]:
    return await county.poster.post_notice(furnish.notice_body(console.desk, **changes))


async def resent_deliveries(api: Api) -> list[Any]:
    async with api.desk.database.read() as conn:
        statement = sa.select(deliveries).where(deliveries.c.step < 0)
        return list((await conn.execute(statement)).mappings())


def confirmed(browser: Browser, **changes: str) -> dict[str, str]:
    """Give the form as it is on the page, with the count it asks for typed in."""
    typed = re.search(r"Type <strong>(\d+)</strong>", browser.page)
    found = dict(re.findall(r'name="(mark|after)" value="([^"]*)"', browser.page))
    return {**found, "count": typed[1] if typed else "0", **changes}


async def test_page_counts_and_names_each_channel_and_those_nothing_reaches(
    console: Console, silent: County
) -> None:
    notice = await post(console, silent)
    dana = await console.sign_in(UserRole.OPERATOR)
    before = await console.api.everything()

    await dana.get(f"/incidents/{notice['incident_id']}/resend")

    assert "<strong>3 recipients</strong> would be told again" in dana.page
    for name in ("cps", "school", "church"):
        assert f"Scott County {name}</a>" in dana.page
    assert dana.page.count('data-label="Told again by">mail<') == 3
    assert "Grace &lt;b&gt;House&lt;/b&gt;" in dana.page
    assert "no verified mail address" in dana.page
    assert 'href="tel:+16015550107"' in dana.page
    after = await console.api.everything()
    assert {name for name in after if after[name] != before[name]} <= {"entries", "sessions"}


async def test_right_count_sends_once_and_moves_nothing_of_the_clock(
    console: Console, silent: County
) -> None:
    notice = await post(console, silent)
    path = f"/incidents/{notice['incident_id']}/resend"
    await silent.cps.post(f"/v1/notices/{notice['id']}/acknowledgements", ACCEPTED)
    received = {**ACCEPTED, "answer": "received"}
    await silent.church.post(f"/v1/notices/{notice['id']}/acknowledgements", received)
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(path)
    assert "<strong>1 recipient</strong>" in dana.page
    assert "They have said that they have it" in dana.page
    before = await console.api.everything()
    form = confirmed(dana)

    there = await dana.post(path, form)
    await dana.post(path, form, status=409)

    assert there.headers["location"] == f"/incidents/{notice['incident_id']}?said=resent"
    assert "or you clicked twice" in dana.page
    after = await console.api.everything()
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"deliveries", "entries", "sessions"}
    (sent,) = await resent_deliveries(console.api)
    assert (sent["agency_id"], sent["step"]) == (silent.agencies["school"].id, -1)
    async with console.desk.database.read() as conn:
        found = await conn.execute(
            sa.select(entries.c.body).where(entries.c.type == "incident.resent")
        )
        (body,) = found.scalars()
    told = json.loads(body)["data"]
    assert dana.user is not None
    assert (told["by"], told["count"], told["number"]) == (dana.user.id, 1, 1)
    assert told["told"] == {sent["obligation_id"]: [sent["id"]]}


async def test_program_counts_confirms_and_is_answered_the_same_under_its_key(
    console: Console, silent: County
) -> None:
    notice = await post(console, silent)
    path = f"/v1/incidents/{notice['incident_id']}/resend"
    operator = await console.api.caller(Scope.OPERATE)

    counted = await operator.get(path)
    assert (counted["count"], counted["after"], counted["soon"]) == (3, 0, False)
    assert [one["channels"] for one in counted["told"]] == [["email"]] * 3
    assert [one["agency"]["name"] for one in counted["not_told"]] == ["Grace <b>House</b>"]
    asked = {name: counted[name] for name in ("count", "mark", "after")}
    wrong = await operator.post(path, {**asked, "count": 2}, status=422)
    assert wrong["errors"][0]["pointer"] == "/count"
    assert await resent_deliveries(console.api) == []

    done = await operator.post(path, asked, key="night-1", status=202)
    again = await operator.post(path, asked, key="night-1", status=202)
    assert done == again
    assert (done["number"], done["count"]) == (1, 3)
    assert len(await resent_deliveries(console.api)) == 3
    stale = await operator.post(path, asked, status=409)
    counted = await operator.get(path)
    later = {**asked, "mark": counted["mark"], "after": 1}
    soon = await operator.post(path, later, status=409)
    reused = await operator.post(path, later, key="night-1", status=422)
    codes = [one["code"] for one in (stale, soon, reused)]
    assert codes == ["resend-changed", "resend-soon", "idempotency-key-reused"]
    await silent.cps.get(path, status=403)


@pytest.mark.parametrize("count", ["2", "", "three", "-3", "9" * 5000, "03 "])
async def test_wrong_count_is_shown_again_and_sends_nothing(
    console: Console, silent: County, count: str
) -> None:
    notice = await post(console, silent)
    path = f"/incidents/{notice['incident_id']}/resend"
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(path)
    if count == "03 ":  # the same number, written otherwise
        await dana.post(path, confirmed(dana, count=count))
        return
    before = await console.api.everything()
    await dana.post(path, confirmed(dana, count=count), status=422)
    assert "The number was not right. Type 3 to send." in dana.page
    assert await console.api.everything() == before


async def test_stale_count_shows_the_new_one_in_the_place_of_sending(
    console: Console, silent: County
) -> None:
    notice = await post(console, silent)
    path = f"/incidents/{notice['incident_id']}/resend"
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(path)
    form = confirmed(dana)
    await silent.cps.post(f"/v1/notices/{notice['id']}/acknowledgements", ACCEPTED)

    await dana.post(path, form, status=409)

    assert "Who is silent has changed meanwhile" in dana.page
    assert await resent_deliveries(console.api) == []
    assert confirmed(dana)["count"] == "2"
    await dana.post(path, confirmed(dana))
    assert len(await resent_deliveries(console.api)) == 2


async def test_of_two_operators_at_once_one_sends_and_the_other_is_told(
    console: Console, silent: County
) -> None:
    notice = await post(console, silent)
    path = f"/incidents/{notice['incident_id']}/resend"
    both = [await console.sign_in(UserRole.OPERATOR) for _ in range(2)]
    for one in both:
        await one.get(path)
    sends = [one.client.post(path, data={"csrf": one.token, **confirmed(one)}) for one in both]
    async with asyncio.TaskGroup() as tasks:
        made = [tasks.create_task(one) for one in sends]
    assert sorted(one.result().status_code for one in made) == [303, 409]
    assert len(await resent_deliveries(console.api)) == 3


async def test_second_within_ten_minutes_needs_a_second_word(
    console: Console, silent: County
) -> None:
    notice = await post(console, silent)
    path = f"/incidents/{notice['incident_id']}/resend"
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(path)
    await dana.post(path, confirmed(dana))
    furnish.world(console.desk).advance(dt.timedelta(minutes=4))
    await dana.get(path)
    assert "They were told again 4 min ago" in dana.page
    await dana.post(path, confirmed(dana), status=422)
    assert "Tick the box" in dana.page
    await dana.post(path, confirmed(dana, again="yes"))
    furnish.world(console.desk).advance(dt.timedelta(minutes=10))
    await dana.get(path)
    assert "Send once more all the same" not in dana.page
    await dana.post(path, confirmed(dana))
    sent = await resent_deliveries(console.api)
    assert sorted(one["step"] for one in sent) == [-3] * 3 + [-2] * 3 + [-1] * 3


async def test_nobody_is_left_when_everybody_has_answered(console: Console, silent: County) -> None:
    notice = await post(console, silent)
    path = f"/incidents/{notice['incident_id']}/resend"
    for one in (silent.cps, silent.school, silent.church):
        await one.post(f"/v1/notices/{notice['id']}/acknowledgements", ACCEPTED)
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(path)
    assert "Nobody is left to send this to" in dana.page
    mark = (await plan(console, notice)).mark
    await dana.post(path, {"count": "0", "after": "0", "mark": mark}, status=422)
    assert "There is nobody to send this to" in dana.page


async def plan(console: Console, notice: dict[str, Any]) -> Plan:
    return await plan_resend(
        console.desk,
        furnish.principal(Scope.OPERATE),
        incident_id=IncidentId(notice["incident_id"]),
    )


@pytest.mark.parametrize("role", [UserRole.AUDITOR, UserRole.AGENCY_ADMINISTRATOR, UserRole.POSTER])
async def test_only_operators_resend(console: Console, silent: County, role: UserRole) -> None:
    notice = await post(console, silent)
    path = f"/incidents/{notice['incident_id']}/resend"
    somebody = await console.sign_in(role, agency=silent.agencies["cps"])
    await somebody.get("/")
    before = await console.api.everything()
    await somebody.get(path, status=403)
    await somebody.post(path, {"count": "3", "after": "0"}, status=403)
    assert await console.api.everything() == before


async def test_what_is_not_there_and_forms_made_elsewhere_send_nothing(
    console: Console, silent: County
) -> None:
    notice = await post(console, silent)
    path = f"/incidents/{notice['incident_id']}/resend"
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(path)
    before = await console.api.everything()
    await dana.post(path, confirmed(dana, csrf="x"), status=403)
    await dana.get("/incidents/inc_0/resend", status=404)
    await dana.post("/incidents/inc_0/resend", confirmed(dana), status=404)
    assert await console.api.everything() == before


async def test_as_many_statements_for_thirty_recipients_as_for_three(
    console: Console, silent: County
) -> None:
    few, many = await post(console, silent), None
    counted = []
    for notice in (few, many):
        if notice is None:
            for number in range(27):
                kind = AgencyKind.COMMUNITY
                agency = await furnish.add_agency(console.desk, f"Shelter {number}", kind=kind)
                await furnish.add_contact(console.desk, agency, f"Desk {number}")
        posted = notice or await post(console, silent)
        found = await plan(console, posted)
        asked = Asked(count=found.count, mark=found.mark, after=0, again=False)
        with statements_of(console.desk) as statements:
            await plan(console, posted)
            outcome = await resend(
                console.desk,
                furnish.principal(Scope.OPERATE),
                incident_id=IncidentId(posted["incident_id"]),
                asked=asked,
            )
        counted.append((found.count, len(statements)))
        assert isinstance(outcome, Resent)
    (three, first), (thirty, second) = counted
    assert (three, thirty) == (3, 30)
    assert first == second


async def test_reminder_arrives_once_by_each_way_and_the_next_step_falls_when_it_would(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=(Position.ON_DUTY, Position.SECOND))
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await bus.fast_forward(minutes(20))
    owed = await county.obligation(notice)

    await send_again(bus, owed.incident_id)
    (event,) = await county.receives("step", notice)
    await bus.fast_forward(minutes(40))

    assert event["data"]["obligation"]["step"] == 0
    assert event["data"]["obligation"]["notify"] == "on_duty"
    now = await county.obligation(notice)
    assert (now.due_at, now.steps_at, now.epoch) == (owed.due_at, owed.steps_at, owed.epoch)
    await county.receives("step", notice)
    await county.mailed(Position.ON_DUTY)
    assert len(await county.steps(notice)) == 1


async def test_mail_says_which_reminder_it_is_and_an_answer_ends_what_waits(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=(Position.ON_DUTY,), endpoint=False)
    notice = await bus.post_notice()
    await county.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(5))
    owed = await county.obligation(notice)

    await send_again(bus, owed.incident_id)

    mail = (await county.mailed(Position.ON_DUTY))[-1]
    assert "Reminder 1: still no answer" in str(mail)
    await send_again(bus, owed.incident_id, again=True)
    await county.answers(notice)
    await bus.fast_forward(minutes(120))
    async with bus.desk.database.read() as conn:
        statement = sa.select(deliveries.c.state, deliveries.c.step).where(deliveries.c.step < 0)
        ends = {step: state for state, step in await conn.execute(statement)}
    assert ends == {-1: "delivered", -2: "moot"}


async def test_who_is_on_duty_now_is_told_and_no_feed_is(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=(Position.ON_DUTY,), endpoint=False)
    feed = await bus.subscribe(county)
    async with bus.desk.database.begin() as conn:
        of_feed = subscriptions.c.id == feed.id
        await conn.execute(
            subscriptions.update().where(of_feed).values(channel=Channel.INBOX, url=None)
        )
    notice = await bus.post_notice()
    await county.mailed(Position.ON_DUTY)
    night: Contact = await furnish.add_contact(bus.desk, county.row, "Night desk")
    owed = await county.obligation(notice)

    found = await plan_resend(
        bus.desk, furnish.principal(Scope.OPERATE), incident_id=owed.incident_id
    )

    (told,) = found.told
    assert told.channels == [Channel.EMAIL]
    assert night.id in {one.contact_id for one in told.deliveries}


async def send_again(bus: Bus, incident_id: IncidentId, *, again: bool = False) -> None:
    operator = furnish.principal(Scope.OPERATE)
    found = await plan_resend(bus.desk, operator, incident_id=incident_id)
    asked = Asked(count=found.count, mark=found.mark, after=found.before.count, again=again)
    assert isinstance(
        await resend(bus.desk, operator, incident_id=incident_id, asked=asked), Resent
    )
    await bus.settled()
