"""Posting from the console: step by step, seen before it is stored, and one notice per form."""

import asyncio
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.api import County, furnish_county
from harness.console import Browser, Console
from noticebus.contracts.vocabulary import AgencyKind, UserRole
from noticebus.store.tables import entries, notices

# On one database: what a form does, the interface does too, and its tests run on each.
pytestmark = pytest.mark.parametrize("console", ["postgresql"], indirect=True)

WRITTEN = {
    "headline": "Enforcement action near Morton: children may need care",
    "description": "<script>alert(1)</script> Buses leave at two.",
    "occurred": "2019-08-07T07:55",
    "unit": "Field office",
    "role": "duty officer",
    "callback": "(601) 555-0100",
}
SELECT = re.compile(r'<select[^>]* name="(\w+)"[^>]*>(.*?)</select>', re.DOTALL)
TEXTAREA = re.compile(r'<textarea[^>]* name="(\w+)"[^>]*>(.*?)</textarea>', re.DOTALL)
Form = dict[str, str | list[str]]


@pytest.fixture
async def county(console: Console) -> County:
    """Furnish a field office, and three recipients that mail reaches."""
    return await furnish_county(console.api)


async def poster(console: Console, county: County) -> Browser:
    return await console.sign_in(UserRole.POSTER, agency=county.agencies["poster"])


def form_of(browser: Browser) -> Form:
    """Give what a browser would send of the form on the page, but for the button."""
    page = browser.page[browser.page.index('action="/post"') :]
    found: Form = {}
    for attributes in re.findall(r"<input ([^>]*)>", page):
        facts = dict(re.findall(r'(\w+)="([^"]*)"', attributes))
        if facts.get("type") == "checkbox" and not attributes.endswith(" checked"):
            continue
        add(found, facts["name"], html.unescape(facts.get("value", "")))
    for name, chosen in re.findall(
        r'<select[^>]* name="(\w+)"[^>]*>(.*?)</select>', page, re.DOTALL
    ):
        values = re.findall(r'value="([^"]*)"( selected)?', chosen)
        add(found, name, next((value for value, yes in values if yes), values[0][0]))
    for name, text in re.findall(
        r'<textarea[^>]* name="(\w+)"[^>]*>(.*?)</textarea>', page, re.DOTALL
    ):
        add(found, name, html.unescape(text))
    del found["csrf"]
    return found


def add(form: Form, name: str, value: str) -> None:
    known = form.setdefault(name, [])
    assert isinstance(known, list)
    known.append(value)


async def press(
    browser: Browser,
    go: str,
    typed: Mapping[str, str | Sequence[str]] | None = None,
    *,
    status: int = 200,
    **changes: str | Sequence[str],
) -> Any:
    """Fill in the form on the page and press one of its buttons."""
    form = {**form_of(browser), **(typed or {}), **changes, "go": go}
    return await browser.post("/post", form, status=status)


async def to_the_check(
    browser: Browser,
    *,
    template: str = "worksite",
    what: Mapping[str, str] | None = None,
    numbers: Mapping[str, str] | None = None,
) -> None:
    """Walk through the steps as somebody would who fills in the least."""
    await browser.get(f"/post/new?template={template}")
    await press(browser, "show", state="28", filter="scott")
    await press(browser, "next", county="28123")
    await press(browser, "next", {**WRITTEN, **(what or {})})
    await press(browser, "next", numbers)


async def stored(console: Console) -> list[Any]:
    async with console.desk.database.read() as conn:
        return list((await conn.execute(sa.select(notices))).mappings())


def writes_nothing(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> bool:
    """Say whether nothing is stored but the draft of whoever types, and who looked at what."""
    kept = {"sessions", "entries", "post_drafts"}
    return all(after[name] == before[name] for name in after if name not in kept)


async def test_duty_officer_posts_and_gets_a_receipt(console: Console, county: County) -> None:
    browser = await poster(console, county)
    await browser.get("/post")
    assert "Enforcement action at a workplace" in browser.page
    before = await console.api.everything()
    await to_the_check(browser)

    assert "<strong>3 recipients</strong> would be told" in browser.page
    for name in ("cps", "school", "church"):
        assert f"Scott County {name}" in browser.page
    assert writes_nothing(before, await console.api.everything())

    there = await press(browser, "post", status=303, count="3")
    await browser.follow(there)

    (notice,) = await stored(console)
    assert notice["id"] in browser.page
    assert f'href="/incidents/{notice["incident_id"]}"' in browser.page
    assert "Signature" in browser.page
    assert browser.user is not None
    assert notice["posted_by"] == browser.user.id
    body = notice["body"].decode()
    assert '"callback_phone":"+16015550100"' in body
    assert '"occurred_at":"2019-08-07T12:55:00Z"' in body
    assert '"recipient_kind":"school_district"' in body


async def test_preview_shows_each_kind_what_its_level_lets_it_read(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    await to_the_check(
        browser, numbers={"offer_status": "invited", "offer_name": "Screening desk Nine"}
    )
    parts = browser.page.partition('action="/post"')[0].split("<summary>")
    read = {part.split(" (")[0]: part for part in parts[1:]}
    assert "Screening desk Nine" in read["Child protection"]
    assert "Screening desk Nine" not in read["School district"]
    assert "Screening desk Nine" not in read["Church"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; Buses leave at two." in read["Church"]
    assert "<script>alert" not in browser.page
    mail = re.search(r"<pre[^>]*>(.*?)</pre>", read["Church"], re.DOTALL)
    assert mail is not None
    assert "Buses leave at two" not in mail[1]
    assert "Scott County, Mississippi" in mail[1]
    async with console.desk.database.read() as conn:
        found = await conn.execute(sa.select(entries.c.body).where(entries.c.type == "page.viewed"))
        (viewed,) = found.scalars()
    assert b'"page":"post_check"' in viewed.replace(b": ", b":")


@pytest.mark.parametrize("at_once", [False, True])
async def test_double_click_and_reload_are_one_notice(
    console: Console, county: County, *, at_once: bool
) -> None:
    browser = await poster(console, county)
    await to_the_check(browser)
    form = {**form_of(browser), "go": "post", "count": "3"}
    if at_once:
        async with asyncio.TaskGroup() as tasks:
            made = [tasks.create_task(browser.post("/post", form)) for _ in range(3)]
        went = {one.result().headers["location"] for one in made}
    else:
        went = {(await browser.post("/post", form)).headers["location"] for _ in range(3)}
    assert len(went) == 1
    assert len(await stored(console)) == 1


async def test_reload_after_the_recipients_changed_still_leads_to_the_receipt(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    await to_the_check(browser)
    form = {**form_of(browser), "go": "post", "count": "3"}
    first = await browser.post("/post", form)
    await furnish.add_agency(console.desk, "Shelter", kind=AgencyKind.COMMUNITY)
    again = await browser.post("/post", form)
    assert again.headers["location"] == first.headers["location"]
    assert len(await stored(console)) == 1


@pytest.mark.parametrize("count", ["", "4", "three", "-3"])
async def test_wrong_count_posts_nothing_and_is_shown_with_the_right_one(
    console: Console, county: County, count: str
) -> None:
    browser = await poster(console, county)
    await to_the_check(browser)
    before = await console.api.everything()
    await press(browser, "post", status=422, count=count)
    assert "The number was not right. Type 3 to post." in browser.page
    assert writes_nothing(before, await console.api.everything())
    await press(browser, "post", status=303, count="3")
    assert len(await stored(console)) == 1


async def test_recipients_that_changed_since_the_check_are_shown_before_anything_is_posted(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    await to_the_check(browser)
    shelter = await furnish.add_agency(console.desk, "Shelter", kind=AgencyKind.COMMUNITY)
    await furnish.add_contact(console.desk, shelter, "Shelter desk")

    await press(browser, "post", status=409, count="3")

    assert await stored(console) == []
    assert "Who would be told has changed since you looked" in browser.page
    assert "<strong>4 recipients</strong>" in browser.page
    await press(browser, "post", status=303, count="4")
    assert len(await stored(console)) == 1


async def test_same_number_of_other_recipients_is_a_change_too(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    await to_the_check(browser)
    await furnish.add_contact(console.desk, county.agencies["cps"], "Second desk")
    await press(browser, "post", status=409, count="3")
    assert await stored(console) == []


@pytest.mark.parametrize(
    ("step", "changes", "field"),
    [
        ("where", {"county": []}, "county"),
        ("where", {"leas": "12"}, "leas"),
        ("what", {"headline": ""}, "headline"),
        ("what", {"headline": "x" * 161}, "headline"),
        ("what", {"occurred": "yesterday"}, "occurred"),
        ("what", {"occurred": "2019-03-10T02:30"}, "occurred"),
        ("what", {"callback": "555"}, "callback"),
        ("what", {"class": "Z"}, "class"),
        ("what", {"role": ""}, "role"),
        ("numbers", {"children_status": "estimate"}, "children_low"),
        ("numbers", {"children_status": "count", "children_value": "many"}, "children_value"),
        ("numbers", {"children_status": ""}, "children_status"),
        ("numbers", {"detained_total": "680"}, "site"),
        ("numbers", {"site": "food plant", "detained_total": "680"}, "basis"),
        ("numbers", {"act_school": "x" * 501}, "act_school"),
        ("numbers", {"family_phone": "ring us"}, "family_phone"),
    ],
)
async def test_fault_stands_beside_its_field_with_what_was_typed(
    console: Console, county: County, step: str, changes: dict[str, Any], field: str
) -> None:
    browser = await poster(console, county)
    await browser.get("/post/new?template=worksite")
    before = await console.api.everything()
    typed: dict[str, dict[str, Any]] = {
        "where": {"county": "28123", "state": "28"},
        "what": dict(WRITTEN),
        "numbers": {},
    }
    for name in ("where", "what", "numbers"):
        if name == step:
            await press(browser, "next", {**typed[name], **changes}, status=422)
            break
        await press(browser, "next", typed[name])
    assert f'id="{field}-fault"' in browser.page or (
        field == "county" and "Choose at least one county" in browser.page
    )
    assert "Nobody was told." in browser.page
    for name, value in changes.items():
        if isinstance(value, str) and value and name not in {"class", "children_status"}:
            assert html.escape(value) in browser.page
    assert writes_nothing(before, await console.api.everything())


async def test_times_that_contradict_each_other_lead_back_to_their_step(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    await browser.get("/post/new?template=worksite")
    await press(browser, "next", county="28123")
    await press(browser, "next", WRITTEN, next_update="2019-08-07T07:00", status=422)
    assert 'id="next_update-fault">Give a time after occurred_at.' in browser.page


async def test_place_that_does_not_exist_leads_back_to_where(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    await browser.get("/post/new?template=worksite")
    await press(browser, "next", county="28124")
    await press(browser, "next", WRITTEN)
    await press(browser, "next", status=422)
    assert 'id="county-fault"' in browser.page
    assert await stored(console) == []


async def test_counties_are_found_by_state_and_name_and_stay_chosen(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    await browser.get("/post/new?template=worksite")
    await press(browser, "show", state="28", filter="")
    assert len(re.findall(r'id="county-28\d{3}"', browser.page)) == 82
    await press(browser, "show", state="01", filter="autauga", county="28123")
    assert 'value="28123" checked' in browser.page
    assert "Autauga County" in browser.page
    assert form_of(browser)["county"] == ["28123"]
    await press(browser, "show", state="zz", filter="<b>")
    assert "<b>" not in browser.page.replace("<body>", "")


async def test_going_back_keeps_everything(console: Console, county: County) -> None:
    browser = await poster(console, county)
    await to_the_check(browser)
    await press(browser, "what")
    assert f'value="{WRITTEN["headline"]}"' in browser.page
    await press(browser, "where")
    assert 'value="28123" checked' in browser.page
    await press(browser, "next")
    await press(browser, "next")
    await press(browser, "next")
    assert "<strong>3 recipients</strong>" in browser.page


async def test_exercise_is_marked_on_every_page_and_in_the_mail(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    await to_the_check(browser, template="exercise")
    assert "DRILL · EXERCISE · EXERCISE" in browser.page
    assert "[EXERCISE] First notice" in browser.page
    await press(browser, "post", status=303, count="3")
    (notice,) = await stored(console)
    assert notice["status"] == "exercise"


async def test_advance_notice_is_held_until_its_time_and_says_so(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    late = {"occurred": "2019-08-09T07:00", "release": "2019-08-08T07:00"}
    await to_the_check(browser, template="advance", what=late)
    await browser.follow(await press(browser, "post", status=303, count="3"))
    (notice,) = await stored(console)
    assert (notice["kind"], notice["state"]) == ("advance", "scheduled")
    assert "It is stored, and held" in browser.page


async def test_nobody_answers_there_and_the_page_says_whom_to_ring(
    console: Console, county: County
) -> None:
    await furnish.add_agency(console.desk, "Quiet district", kind=AgencyKind.SCHOOL_DISTRICT)
    browser = await poster(console, county)
    await browser.get("/post/new?template=worksite")
    await press(browser, "next", county=["28123", "28079"])
    await press(browser, "next", WRITTEN)
    await press(browser, "next")
    assert "Ring these yourself" in browser.page
    assert "Nobody answers as child protection for Leake County, Mississippi." in browser.page
    assert "Quiet district cannot be reached" in browser.page
    assert "not reached: no verified mail address" in browser.page
    await browser.follow(await press(browser, "post", status=303, count="4"))
    assert "Leake County, Mississippi" in browser.page


async def test_numbers_not_typed_are_not_known_and_zero_is_zero(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    counted = {
        "site": "food plant near Morton",
        "basis": "estimate",
        "counts_as_of": "2019-08-07T08:00",
        "detained_total": "100",
        "minors_encountered": "0",
    }
    await to_the_check(browser, numbers=counted)
    await press(browser, "post", status=303, count="3")
    (notice,) = await stored(console)
    body = notice["body"].decode()
    assert '"detained_total":100' in body
    assert '"minors_encountered":0' in body
    assert "in_custody" not in body


@pytest.mark.parametrize("role", [UserRole.OPERATOR, UserRole.AUDITOR])
async def test_only_posters_post(console: Console, county: County, role: UserRole) -> None:
    somebody = await console.sign_in(role)
    await somebody.get("/post", status=403)
    await somebody.get("/post/new?template=worksite", status=403)


async def test_forms_of_others_broken_keys_and_unknown_templates_post_nothing(
    console: Console, county: County
) -> None:
    browser = await poster(console, county)
    assert (await browser.get("/post/new?template=x", status=303)).headers["location"] == "/post"
    await to_the_check(browser)
    before = await console.api.everything()
    form = {**form_of(browser), "go": "post", "count": "3"}
    await browser.post("/post", {**form, "csrf": "x"}, status=403)
    await browser.post("/post", {**form, "key": "short"}, status=400)
    await browser.post("/post", {**form, "template": "x"}, status=400)
    await browser.post("/post", {**form, "step": "x"}, status=400)
    assert writes_nothing(before, await console.api.everything())


async def test_receipt_is_for_whoever_posted(console: Console, county: County) -> None:
    browser = await poster(console, county)
    await to_the_check(browser)
    there = await press(browser, "post", status=303, count="3")
    other = await poster(console, county)
    await other.get(there.headers["location"], status=404)
    await browser.get("/post/posted/none", status=404)


async def test_one_key_in_the_forms_of_two_people_is_two_notices(
    console: Console, county: County
) -> None:
    browser, other = [await poster(console, county) for _ in range(2)]
    await to_the_check(browser)
    form = {**form_of(browser), "go": "post", "count": "3"}
    await browser.post("/post", form)
    await to_the_check(other)
    theirs = {**form_of(other), "key": form["key"], "go": "post", "count": "3"}
    await other.post("/post", theirs)
    assert len(await stored(console)) == 2
