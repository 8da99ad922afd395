"""What a poster does on the console: answers a question, cancels with a second person, all-clear.

Each page says what will happen and to how many; nothing is stored by what is refused.
"""

import asyncio
import datetime as dt
import html
import re
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.api import County, furnish_county
from harness.console import Browser, Console
from harness.statements import statements_of
from noticebus.casework import links
from noticebus.casework.all_clear import OPEN_NAMED_MAX
from noticebus.contracts.vocabulary import AgencyKind, UserRole
from noticebus.ids import NoticeId
from noticebus.store.notices import notices_by_id
from noticebus.store.tables import cancel_requests, entries, incidents, notices, questions

# On one database: what a form does, the interface does too, and its tests run on each.
pytestmark = pytest.mark.parametrize("console", ["postgresql"], indirect=True)

UNTOUCHED = {"entries", "sessions"}  # what looking at a page, and being signed in, may change
ACCEPTED = {"answer": "accepted", "by": {"name": "Jo Park", "role": "intake"}}
REASON = "Posted for the <b>wrong</b> county."
CANCEL = {"reason": REASON, "role": "duty officer"}
CLEAR = {"headline": "The action near Morton is over", "nothing_open": "yes"}


@dataclass(frozen=True, kw_only=True)
class Night:
    """A notice of the field office, and the two people of it who may post."""

    console: Console
    county: County
    notice: dict[str, Any]
    first: Browser
    second: Browser

    @property
    def path(self) -> str:
        return f"/incidents/{self.notice['incident_id']}"

    async def ask(self, **changes: Any) -> dict[str, Any]:
        """Put a question of the school district to the poster."""
        post = {"topic": "other", "text": "Is the <i>Oak</i> Street line cut?"} | changes
        return await self.county.school.post(
            f"/v1/incidents/{self.notice['incident_id']}/questions", post
        )

    async def update(self) -> None:
        """Post version 2 from elsewhere."""
        body = furnish.notice_body(self.console.desk)
        await self.county.poster.post(
            f"/v1/incidents/{self.notice['incident_id']}/updates",
            {**body, "base_version": 1, "change_reason": "new_info", "headline": "More is known"},
        )

    async def stored(self) -> dict[str, list[Any]]:
        """Read every row but those that looking at a page makes."""
        rows = await self.console.api.everything()
        return {name: found for name, found in rows.items() if name not in UNTOUCHED}

    async def state(self) -> str:
        async with self.console.desk.database.read() as conn:
            return str((await conn.execute(sa.select(incidents.c.state))).scalar_one())


async def night_of(console: Console, **changes: Any) -> Night:
    county = await furnish_county(console.api)
    office = county.agencies["poster"]
    notice = await county.poster.post_notice(furnish.notice_body(console.desk, **changes))
    return Night(
        console=console,
        county=county,
        notice=notice,
        first=await console.sign_in(UserRole.POSTER, agency=office, name="Ann First"),
        second=await console.sign_in(UserRole.POSTER, agency=office, name="Bo Second"),
    )


@pytest.fixture
async def night(console: Console) -> Night:
    return await night_of(console)


def hidden(browser: Browser) -> dict[str, str]:
    """Give the form's hidden fields as the page has them."""
    found = re.findall(r'name="(base_version|requested_at|key)" value="([^"]*)"', browser.page)
    return {name: html.unescape(value) for name, value in found}


async def send(
    browser: Browser, path: str, typed: dict[str, str], *, status: int = 303
) -> dict[str, str]:
    """Open a page, fill its form in and send it; give what was sent."""
    await browser.get(path)
    form = hidden(browser) | typed
    await browser.post(path, form, status=status)
    return form


async def rows_of(console: Console, table: sa.Table) -> list[Any]:
    async with console.desk.database.read() as conn:
        return list((await conn.execute(sa.select(table))).mappings())


async def types_of(console: Console) -> list[str]:
    return [one["type"] for one in await rows_of(console, entries)]


# --- a question -----------------------------------------------------------------------------------


async def test_question_is_answered_from_its_page_and_everybody_who_asked_is_told(
    night: Night,
) -> None:
    asked = await night.ask()
    church = await night.county.church.post(
        f"/v1/incidents/{night.notice['incident_id']}/questions",
        {"topic": "other", "text": "Is the <i>Oak</i> street line cut?"},
        status=200,
    )
    assert church["id"] == asked["id"]
    path = f"/questions/{asked['id']}/answer"

    await night.first.get(night.path)
    assert f'href="{path}"' in night.first.page
    await night.first.get(path)
    page = night.first.page
    await night.first.post(
        path, hidden(night.first) | {"text": "No, it <u>runs</u>.", "role": "duty officer"}
    )

    assert "Is the &lt;i&gt;Oak&lt;/i&gt; Street line cut?" in page
    assert "Scott County school, Scott County church" in page
    assert "2 agencies that ask are told" in page
    assert "You answer as <strong>Ann First</strong>" in page
    (question,) = await rows_of(night.console, questions)
    assert question["state"] == "answered"
    assert question["answer"] == {
        "text": "No, it <u>runs</u>.",
        "by": {"name": "Ann First", "role": "duty officer"},
    }
    await night.first.get(f"{night.path}?said=question-answered")
    assert "Answered. Everybody who asked is told." in night.first.page
    await night.first.get(path)
    assert "No, it &lt;u&gt;runs&lt;/u&gt;." in night.first.page
    assert 'name="text"' not in night.first.page


async def test_question_takes_a_number_a_ground_or_once_a_time(night: Night) -> None:
    number = await night.ask(topic="how_many_children", text=None)
    ground = await night.ask(topic="where_processed", text=None)
    later = await night.ask(topic="when_released", text=None)
    role = {"role": "duty officer"}
    await send(night.first, f"/questions/{number['id']}/answer", {"number": "12", **role})
    await send(
        night.first, f"/questions/{ground['id']}/answer", {"cannot_share": "5 U.S.C. 552a", **role}
    )
    path = f"/questions/{later['id']}/answer"
    await night.first.get(path)
    until = re.findall(r'<option value="(\d[^"]*)">', night.first.page)
    form = hidden(night.first) | {"unknown_will_report_at": until[-1], **role}
    sent = await night.first.post(path, form)
    again = await night.first.post(path, form)  # a double click is the same answer
    assert sent.headers["location"] == again.headers["location"]
    assert sent.headers["location"] == f"{night.path}?said=question-promised"

    found = {one["id"]: one for one in await rows_of(night.console, questions)}
    assert found[number["id"]]["answer"]["number"] == 12
    assert found[ground["id"]]["answer"]["cannot_share"] == "5 U.S.C. 552a"
    assert found[later["id"]]["state"] == "open"
    await night.first.get(path)
    assert "cannot be moved again" in night.first.page
    before = await night.stored()
    moved = {**form, "unknown_will_report_at": until[0]}
    await night.first.post(path, moved, status=422)
    assert "A time was promised already" in html.unescape(night.first.page)
    assert await night.stored() == before


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({}, "Give one of three"),
        ({"text": "yes", "cannot_share": "the law"}, "Give one of three"),
        ({"text": "yes", "unknown_will_report_at": "2031-01-01T00:00:00Z"}, "Give one of three"),
        ({"number": "about ten"}, "Write a whole number in digits"),
        ({"number": "9" * 5000}, "Write a whole number in digits"),
        ({"number": "2000000"}, "Write a whole number in digits"),
        ({"text": "x" * 501}, "Shorten the answer"),
        ({"cannot_share": "two\nlines"}, "Write the legal ground on one line"),
        ({"unknown_will_report_at": "soon"}, "Choose one of the times"),
        ({"unknown_will_report_at": "2001-01-01T00:00:00Z"}, "This time has passed"),
        ({"unknown_will_report_at": "2031-01-01T00:00:00Z"}, "Choose an earlier time"),
        ({"text": "yes", "role": ""}, "Write your role"),
    ],
)
async def test_wrong_answer_to_a_question_is_shown_again_and_stores_nothing(
    night: Night, typed: dict[str, str], said: str
) -> None:
    asked = await night.ask()
    path = f"/questions/{asked['id']}/answer"
    before = await night.stored()

    await send(night.first, path, {"role": "duty <i>officer", **typed}, status=422)

    page = html.unescape(night.first.page)
    assert said in page
    assert "Nothing was sent" in page
    assert "<title>Error: Answer a question" in page
    if "role" not in typed:
        assert 'value="duty &lt;i&gt;officer"' in night.first.page
    if "cannot_share" in typed and "\n" not in typed["cannot_share"]:
        assert f'value="{typed["cannot_share"]}"' in night.first.page
    assert await night.stored() == before


async def test_answer_sent_twice_is_one_and_another_after_it_is_refused(night: Night) -> None:
    asked = await night.ask()
    path = f"/questions/{asked['id']}/answer"
    await night.second.get(path)
    other = hidden(night.second) | {"text": "Perhaps.", "role": "analyst"}
    await night.first.get(path)
    form = hidden(night.first) | {"text": "No.", "role": "duty officer"}

    async with asyncio.TaskGroup() as both:
        for _ in range(2):
            both.create_task(night.first.post(path, form))
    before = await night.stored()
    await night.second.post(path, other, status=409)

    assert (await types_of(night.console)).count("question.answered") == 1
    assert "It was answered meanwhile" in night.second.page
    assert "What you typed was not sent:  Perhaps." in night.second.page
    assert await night.stored() == before


async def test_newer_version_is_shown_before_a_question_is_answered(night: Night) -> None:
    asked = await night.ask()
    path = f"/questions/{asked['id']}/answer"
    await night.first.get(path)
    old = hidden(night.first) | {"text": "No.", "role": "duty officer"}
    await night.update()
    before = await night.stored()

    await night.first.post(path, old, status=409)

    assert "A newer version was posted since you opened this page" in night.first.page
    assert ">No.</textarea>" in night.first.page
    assert await night.stored() == before
    assert hidden(night.first)["base_version"] == "2"
    await night.first.post(path, old | hidden(night.first))
    assert (await rows_of(night.console, questions))[0]["state"] == "answered"


# --- the cancel -----------------------------------------------------------------------------------


async def test_cancel_is_asked_for_by_one_and_confirmed_by_another_of_the_agency(
    night: Night,
) -> None:
    await night.county.cps.post(f"/v1/notices/{night.notice['id']}/acknowledgements", ACCEPTED)
    await night.ask()

    await night.first.get(f"{night.path}/cancel")
    page = night.first.page
    form = hidden(night.first) | CANCEL
    before = await night.stored()
    asked = await night.first.post(f"{night.path}/cancel", form)
    await night.first.post(f"{night.path}/cancel", form)  # a double click

    assert "3 recipients are told that it is withdrawn" in page
    assert "2 open answers are withdrawn, and 1 open question to you" in page
    assert "1 given answer stays on record" in page
    assert asked.headers["location"] == f"{night.path}?said=cancel-asked"
    after = await night.stored()
    assert {name for name in after if after[name] != before[name]} == {"cancel_requests"}
    (request,) = await rows_of(night.console, cancel_requests)
    assert night.first.user is not None
    assert (request["by_name"], request["requested_by"]) == ("Ann First", night.first.user.id)
    assert (await types_of(night.console)).count("cancel.requested") == 1

    await night.second.get(night.path)
    assert f'href="{night.path}/cancel/confirm"' in night.second.page
    await night.second.get(f"{night.path}/cancel/confirm")
    assert "Posted for the &lt;b&gt;wrong&lt;/b&gt; county." in night.second.page
    assert "Cancel it, and tell 3 recipients" in night.second.page
    second = hidden(night.second) | {"role": "supervisor"}
    done = await night.second.post(f"{night.path}/cancel/confirm", second)
    again = await night.second.post(f"{night.path}/cancel/confirm", second)  # a double click

    assert done.headers["location"] == again.headers["location"] == f"{night.path}?said=cancelled"
    assert await night.state() == "cancelled"
    assert len(await rows_of(night.console, notices)) == 2
    seen = await night.county.poster.get(f"/v1/incidents/{night.notice['incident_id']}")
    assert seen["obligations"] == {"closed": 1, "withdrawn": 3}
    last = await night.county.poster.get(f"/v1/notices/{seen['versions'][-1]['id']}")
    assert last["reason"] == REASON
    assert last["cancel_confirmed_by"] == {"name": "Bo Second", "role": "supervisor"}
    await night.first.get(f"{night.path}/cancel")
    assert "It was cancelled" in night.first.page
    assert "Ask for the cancel" not in night.first.page


async def test_operator_may_be_the_second_person(night: Night) -> None:
    await send(night.first, f"{night.path}/cancel", CANCEL)
    dana = await night.console.sign_in(UserRole.OPERATOR)
    await dana.get(night.path)
    assert f'href="{night.path}/cancel/confirm"' in dana.page

    await send(dana, f"{night.path}/cancel/confirm", {"role": "operator"})

    assert await night.state() == "cancelled"


async def test_same_person_cannot_confirm_nor_another_of_the_same_name(night: Night) -> None:
    await send(night.first, f"{night.path}/cancel", CANCEL)
    path = f"{night.path}/cancel/confirm"
    twin = await night.console.sign_in(UserRole.OPERATOR, name="ann  FIRST")
    before = await night.stored()

    for browser, why in (
        (night.first, "You asked for this yourself"),
        (twin, "You have the same name as whoever asked"),
    ):
        await browser.get(path)
        assert why in browser.page
        assert "Cancel it, and tell" not in browser.page
        (waiting,) = await rows_of(night.console, cancel_requests)
        form = {
            "base_version": "1",
            "requested_at": waiting["requested_at"].isoformat(),
            "role": "supervisor",
        }
        await browser.post(path, form, status=403)
        assert "Whoever asked for the cancel cannot confirm it" in browser.page
    assert await night.stored() == before
    assert await night.state() == "open"


async def test_request_is_taken_back_by_its_button_and_twice_changes_nothing(night: Night) -> None:
    await send(night.first, f"{night.path}/cancel", CANCEL)
    await night.first.get(f"{night.path}/cancel/confirm")

    there = await night.first.post(f"{night.path}/cancel/take-back", {})
    await night.first.post(f"{night.path}/cancel/take-back", {})

    assert there.headers["location"] == f"{night.path}?said=cancel-taken-back"
    assert await rows_of(night.console, cancel_requests) == []
    assert (await types_of(night.console)).count("cancel.taken_back") == 1
    await night.second.get(f"{night.path}/cancel/confirm")
    assert "No request to cancel it waits" in night.second.page


async def test_only_the_request_that_was_read_is_confirmed(night: Night) -> None:
    await send(night.first, f"{night.path}/cancel", CANCEL)
    path = f"{night.path}/cancel/confirm"
    await night.second.get(path)
    old = hidden(night.second) | {"role": "supervisor"}
    await night.first.get(path)
    await night.first.post(f"{night.path}/cancel/take-back", {})
    furnish.world(night.console.desk).advance(dt.timedelta(minutes=1))
    await send(night.first, f"{night.path}/cancel", {**CANCEL, "reason": "Another reason."})
    before = await night.stored()

    await night.second.post(path, old, status=409)

    assert "That request was taken back, and another was made" in night.second.page
    assert "Another reason." in night.second.page
    assert await night.stored() == before
    await night.second.post(path, old | hidden(night.second))
    assert await night.state() == "cancelled"


async def test_second_request_shows_the_first_and_stores_nothing(night: Night) -> None:
    await night.second.get(f"{night.path}/cancel")
    form = hidden(night.second) | {"reason": "Mine.", "role": "supervisor"}
    await send(night.first, f"{night.path}/cancel", CANCEL)
    before = await night.stored()

    await night.second.post(f"{night.path}/cancel", form, status=409)

    assert "Ann First has asked for this already" in night.second.page
    assert await night.stored() == before
    shown = await night.second.get(f"{night.path}/cancel", status=303)
    assert shown.headers["location"] == f"{night.path}/cancel/confirm"


async def test_newer_version_is_shown_before_a_cancel_is_asked_for_or_confirmed(
    night: Night,
) -> None:
    await night.first.get(f"{night.path}/cancel")
    old = hidden(night.first) | CANCEL
    await night.first.post(f"{night.path}/cancel", old)
    await night.second.get(f"{night.path}/cancel/confirm")
    second = hidden(night.second) | {"role": "supervisor"}
    await night.update()
    before = await night.stored()

    await night.second.post(f"{night.path}/cancel/confirm", second, status=409)
    await night.first.get(f"{night.path}/cancel")
    await night.first.post(f"{night.path}/cancel", old, status=409)

    for browser in (night.first, night.second):
        assert "A newer version was posted since you opened this page" in browser.page
        assert "More is known" in browser.page
    assert "Posted for the &lt;b&gt;wrong&lt;/b&gt; county.</textarea>" in night.first.page
    assert "No request to cancel it waits" in night.second.page
    assert await night.stored() == before


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"reason": ""}, "Write why it should not stand"),
        ({"reason": "x" * 501}, "Write why it should not stand"),
        ({"role": " "}, "Write your role"),
        ({"base_version": "one"}, "The form cannot be read"),
        ({"base_version": "9" * 400}, "The form cannot be read"),
    ],
)
async def test_wrong_cancel_is_shown_again_and_stores_nothing(
    night: Night, typed: dict[str, str], said: str
) -> None:
    before = await night.stored()

    await send(night.first, f"{night.path}/cancel", {**CANCEL, **typed}, status=422)

    assert said in night.first.page
    assert "Nothing was asked for" in night.first.page
    if "reason" not in typed:
        assert "Posted for the &lt;b&gt;wrong&lt;/b&gt; county.</textarea>" in night.first.page
    assert await night.stored() == before


async def test_confirming_needs_a_role_and_a_request_that_can_be_read(night: Night) -> None:
    await send(night.first, f"{night.path}/cancel", CANCEL)
    path = f"{night.path}/cancel/confirm"
    before = await night.stored()

    await send(night.second, path, {"role": ""}, status=422)
    unread = hidden(night.second) | {"requested_at": "now", "role": "supervisor"}
    await night.second.post(path, unread, status=400)

    assert await night.stored() == before


async def test_cancel_of_an_embargoed_notice_tells_nobody(console: Console) -> None:
    release = console.desk.world.now() + dt.timedelta(hours=2)
    night = await night_of(console, release_at=f"{release:%Y-%m-%dT%H:%M:%SZ}")

    await night.first.get(f"{night.path}/all-clear")
    assert "Nobody has been told of it yet" in night.first.page
    await night.first.get(f"{night.path}/cancel")
    assert "nobody is told, as nobody was" in night.first.page


# --- the all-clear --------------------------------------------------------------------------------


async def test_all_clear_tells_everybody_and_leaves_what_is_open(night: Night) -> None:
    await night.county.cps.post(f"/v1/notices/{night.notice['id']}/acknowledgements", ACCEPTED)
    path = f"{night.path}/all-clear"
    await night.first.get(night.path)
    assert f'href="{path}"' in night.first.page
    await night.first.get(path)
    page = night.first.page
    typed = {
        "headline": "The action near Morton is over",
        "description": "All buses have left.",
        "still_open": "2 children not located\r\n\r\n1 bus <late>\r\n",
    }
    form = hidden(night.first) | typed

    done = await night.first.post(path, form)
    again = await night.first.post(path, form)  # a double click

    assert "3 recipients are told</strong> at once" in page
    assert "2 recipients who have not answered stay open" in page
    assert "What stands against it" not in page
    assert done.headers["location"] == again.headers["location"] == f"{night.path}?said=cleared"
    assert await night.state() == "cleared"
    assert len(await rows_of(night.console, notices)) == 2
    seen = await night.county.poster.get(f"/v1/incidents/{night.notice['incident_id']}")
    assert seen["obligations"] == {"closed": 1, "open": 2}
    last = await night.county.poster.get(f"/v1/notices/{seen['versions'][-1]['id']}")
    assert last["still_open"] == ["2 children not located", "1 bus <late>"]
    assert last["description"] == "All buses have left."


async def test_all_clear_while_matters_of_class_a_are_open_names_them_and_needs_a_reason(
    console: Console,
) -> None:
    night = await night_of(console, **{"class": "A"})
    await night.ask()
    path = f"{night.path}/all-clear"
    await night.first.get(path)
    named = html.unescape(night.first.page)
    form = hidden(night.first) | CLEAR
    refused = await night.county.poster.post(
        f"/v1/incidents/{night.notice['incident_id']}/all-clear",
        {"base_version": 1, "headline": "Over", "still_open": []},
        status=409,
    )
    before = await night.stored()

    await night.first.post(path, form, status=409)

    for one in refused["errors"]:  # the page and the interface name the same
        sentence, id_ = one["message"].removesuffix(").").split(" (")
        assert f'<a href="/obligations/{id_}">{sentence}</a>' in named
    assert named.count("has not accepted the notice") == len(refused["errors"]) - 1
    assert "Matters of class A are still open" in night.first.page
    assert 'value="The action near Morton is over"' in night.first.page
    assert 'value="yes" checked' in night.first.page
    assert await night.stored() == before
    await night.first.post(path, form | {"override_reason": "Child protection is on the line."})
    assert await night.state() == "cleared"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"headline": ""}, "Write one line of up to 160 characters"),
        ({"headline": "x" * 161}, "Write one line of up to 160 characters"),
        ({"nothing_open": ""}, "Write what is still open, or tick that nothing is."),
        ({"still_open": "1 bus"}, "Write what is still open, or tick that nothing is: not both."),
        ({"still_open": "x" * 501, "nothing_open": ""}, "Write at most 20 matters"),
        ({"still_open": "one\n" * 21, "nothing_open": ""}, "Write at most 20 matters"),
        ({"override_reason": "x" * 501}, "Write why it is over all the same"),
        ({"description": "x" * 8001}, "Shorten what was done"),
        ({"base_version": "0"}, "The form cannot be read"),
    ],
)
async def test_wrong_all_clear_is_shown_again_and_stores_nothing(
    night: Night, typed: dict[str, str], said: str
) -> None:
    before = await night.stored()

    await send(night.first, f"{night.path}/all-clear", {**CLEAR, **typed}, status=422)

    assert said in night.first.page
    assert "Nothing was posted" in night.first.page
    if "headline" not in typed:
        assert 'value="The action near Morton is over"' in night.first.page
    assert await night.stored() == before


async def test_newer_version_is_shown_before_the_all_clear_is_given(night: Night) -> None:
    path = f"{night.path}/all-clear"
    await night.first.get(path)
    old = hidden(night.first) | CLEAR
    await night.update()
    before = await night.stored()

    await night.first.post(path, old, status=409)

    assert "A newer version was posted since you opened this page" in night.first.page
    assert "More is known" in night.first.page
    assert await night.stored() == before
    await night.first.post(path, old | hidden(night.first))
    assert await night.state() == "cleared"


async def test_form_of_the_all_clear_keeps_its_key_and_refuses_one_of_elsewhere(
    night: Night,
) -> None:
    path = f"{night.path}/all-clear"
    await night.first.get(path)
    key = hidden(night.first)["key"]
    await night.first.post(path, {**hidden(night.first), **CLEAR, "headline": ""}, status=422)
    assert hidden(night.first)["key"] == key
    before = await night.stored()

    await night.first.post(path, {**hidden(night.first), **CLEAR, "key": "a b"}, status=400)

    assert await night.stored() == before


# --- who may --------------------------------------------------------------------------------------


async def test_pages_are_their_posters_alone(night: Night) -> None:
    asked = await night.ask()
    await send(night.first, f"{night.path}/cancel", CANCEL)
    forms = {
        f"{night.path}/cancel": CANCEL,
        f"{night.path}/cancel/confirm": {"role": "x", "requested_at": "2019-08-07T12:00:00Z"},
        f"{night.path}/cancel/take-back": {},
        f"{night.path}/all-clear": {**CLEAR, "key": "k" * 32},
        f"/questions/{asked['id']}/answer": {"text": "No.", "role": "x"},
    }
    pages = [one for one in forms if not one.endswith("take-back")]
    other = await furnish.add_agency(night.console.desk, "Other office", kind=AgencyKind.FEDERAL)
    school = night.county.agencies["school"]
    sign_in = night.console.sign_in
    shut = [
        (await sign_in(UserRole.POSTER, agency=other, name="Cy Third"), 404),
        (await sign_in(UserRole.AUDITOR, name="Di Fourth"), 403),
        (await sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=school, name="Ed Fifth"), 403),
    ]
    dana = await sign_in(UserRole.OPERATOR)
    before = await night.stored()

    for browser, status in shut:
        await browser.get("/status")
        for path in pages:
            await browser.get(path, status=status)
        for path, form in forms.items():
            await browser.post(path, {"base_version": "1", **form}, status=status)
    for path in pages:
        await dana.get(path, status=200 if path.endswith("confirm") else 403)

    assert await night.stored() == before


async def test_links_are_shown_to_whoever_may_follow_them(night: Night) -> None:
    asked = await night.ask()
    links = (f"{night.path}/cancel", f"{night.path}/all-clear", f"/questions/{asked['id']}/answer")
    auditor = await night.console.sign_in(UserRole.AUDITOR)
    school = await night.console.sign_in(
        UserRole.AGENCY_ADMINISTRATOR, agency=night.county.agencies["school"]
    )

    for browser in (auditor, school):
        await browser.get(night.path)
        for link in links:
            assert f'href="{link}"' not in browser.page
    await night.first.get(night.path)
    for link in links:
        assert f'href="{link}"' in night.first.page
    assert f"/v1/incidents/{night.notice['incident_id']}/updates" in night.first.page
    await night.first.get("/")
    assert f'href="/questions/{asked["id"]}/answer"' in night.first.page
    await night.first.get(f"/obligations/{asked['obligation_id']}")
    assert f'href="/questions/{asked["id"]}/answer"' in night.first.page


async def test_page_of_a_mailed_link_names_where_a_poster_answers(night: Night) -> None:
    desk, office = night.console.desk, night.county.agencies["poster"]
    contact = await furnish.add_contact(desk, office, "Office desk")
    asked = await night.ask()
    async with desk.database.read() as conn:
        (notice,) = (await notices_by_id(conn, [NoticeId(night.notice["id"])])).values()
    claims = links.claims_of(
        obligation_id=asked["obligation_id"], notice=notice, contact_id=contact.id
    )
    address = links.link_address(desk, claims).removeprefix(desk.base_url.rstrip("/"))
    reader = night.console.browser()
    path = f"/questions/{asked['id']}/answer"

    await reader.get(address)
    english = reader.page
    await reader.get(f"{address}?lang=es")

    assert f'<a href="{path}">Sign in and answer the question</a>' in english
    assert f'<a href="{path}">Iniciar sesión y responder la pregunta</a>' in reader.page
    there = await reader.get(path, status=303)
    assert there.headers["location"].startswith("/sign-in?next=%2Fquestions%2F")
    await send(night.first, path, {"text": "No.", "role": "duty officer"})
    await reader.get(address)
    assert f'href="{path}"' not in reader.page


async def test_page_of_an_all_clear_takes_as_many_statements_for_many_matters(
    console: Console,
) -> None:
    night = await night_of(console, **{"class": "A"})
    path = f"{night.path}/all-clear"
    await night.first.get(path)
    with statements_of(console.desk) as few:
        await night.first.get(path)
    for number in range(OPEN_NAMED_MAX):
        agency = await furnish.add_agency(console.desk, f"Office {number}")
        await furnish.add_contact(console.desk, agency, f"Desk {number}")
    other = await night.county.poster.post_notice(
        furnish.notice_body(console.desk, **{"class": "A"})
    )
    with statements_of(console.desk) as many:
        await night.first.get(f"/incidents/{other['incident_id']}/all-clear")

    assert "and more: see the incident" in night.first.page
    assert len(many) <= len(few) + 2  # the view of another incident is entered in the ledger
