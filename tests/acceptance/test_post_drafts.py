"""Drafts of notices, and the second person for those that go to many: two stories."""

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from harness import desk as furnish
from harness.api import County, furnish_county
from harness.console import Browser, Console, open_console
from harness.drafts import WRITTEN, ask_for_approval
from harness.drafts import poster as writing_as
from noticebus.casework import approvals, posting, upkeep
from noticebus.casework.post_drafts import DRAFTS_MAX, save
from noticebus.casework.posting import Confirmed
from noticebus.console import posting_form
from noticebus.console.posting_pages import typed_of
from noticebus.contracts.vocabulary import UserRole
from noticebus.errors import ConflictError
from noticebus.store.tables import entries, notices, post_drafts

SECRET = "Screening desk Nine"  # for child protection alone
Form = Mapping[str, str | Sequence[str]]


async def poster(console: Console, county: County, name: str, agency: str = "poster") -> Browser:
    return await console.sign_in(UserRole.POSTER, agency=county.agencies[agency], name=name)


def typed(key: str, step: str, **changes: str) -> dict[str, str | list[str]]:
    """Give the form with everything typed; what is not shown travels in it too."""
    form = {**WRITTEN.values, **changes}
    return {**form, "template": "worksite", "county": "28123", "key": key, "step": step}


def key_on(page: str) -> str:
    found = re.search(r'name="key" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def mark_on(page: str) -> str:
    found = re.search(r'name="mark" value="([^"]+)"', page)
    assert found is not None
    return found[1]


async def rows_of(console: Console, table: sa.Table) -> list[Any]:
    async with console.desk.database.read() as conn:
        return list((await conn.execute(sa.select(table))).mappings())


async def withdrawn(console: Console) -> list[str]:
    """Give why what was asked for waited no longer, time after time."""
    found = [body for type_, body in await entered(console) if type_ == "approval.withdrawn"]
    return [json.loads(body)["data"]["why"] for body in found]


async def entered(console: Console) -> list[tuple[str, bytes]]:
    async with console.desk.database.read() as conn:
        statement = sa.select(entries.c.type, entries.c.body).order_by(entries.c.id)
        found = await conn.execute(statement)
        return [(type_, body) for type_, body in found]


async def test_what_is_typed_is_kept_for_its_writer_alone_until_it_is_posted(
    console: Console,
) -> None:
    county = await furnish_county(console.api)
    dana = await poster(console, county, "Dana Reyes")
    other = await poster(console, county, "Jo Park")
    abroad = await poster(console, county, "Kim Lee", agency="cps")
    with capture_logs() as logged:
        await dana.get("/post/new?template=worksite")
        key = key_on(dana.page)
        assert await rows_of(console, post_drafts) == []
        form = typed(key, "numbers", offer_name=SECRET, offer_status="")
        saved = await dana.post("/post/drafts", form, status=200)
        assert re.fullmatch(r"Saved \d\d:\d\d:\d\d CDT, for you alone\.", saved.text)
        await dana.post("/post/drafts", {**form, "csrf": "x"}, status=403)
        await dana.post("/post", {**form, "go": "leave"})
        await dana.post("/post", {**form, "go": "what"}, status=200)
    (row,) = await rows_of(console, post_drafts)
    assert SECRET not in repr(row)
    assert SECRET not in repr(logged)

    await dana.get("/post")
    assert "Enforcement action near Morton</strong>, begun Wed 07 Aug 2019, 08:00 CDT" in dana.page
    assert f'href="/post/drafts/{key}"' in dana.page
    await dana.get(f"/post/drafts/{key}")
    assert "Post a notice: what and when" in dana.page
    assert SECRET in dana.page
    for browser in (other, abroad):
        await browser.get("/post")
        assert key not in browser.page
        await browser.get(f"/post/drafts/{key}", status=404)
        await browser.post(f"/post/drafts/{key}/throw-away", {})
    operator = await console.sign_in(UserRole.OPERATOR)
    await operator.get(f"/post/drafts/{key}", status=403)

    await post_what_has_expired(dana, form)
    await dana.post("/post", {**form, "offer_status": "invited", "go": "next"}, status=200)
    form = {**form, "offer_status": "invited", "step": "check", "mark": mark_on(dana.page)}
    for _ in range(2):  # in two tabs
        there = await dana.post("/post", {**form, "count": "3", "go": "post"})
        assert there.headers["location"] == f"/post/posted/{key}"
    await change_what_was_posted(dana, form, key)
    assert await rows_of(console, post_drafts) == []
    assert len(await rows_of(console, notices)) == 1
    assert not any(SECRET.encode() in body for _, body in await entered(console))

    for number in range(2):
        await dana.post("/post/drafts", typed(f"{number}" * 16, "where"), status=200)
    await dana.post(f"/post/drafts/{'0' * 16}/throw-away", {})
    assert [row["key"] for row in await rows_of(console, post_drafts)] == ["1" * 16]
    assert dana.user is not None
    writer = writing_as(dana.user, county.agencies["poster"])
    for number in range(DRAFTS_MAX):
        furnish.world(console.desk).advance(dt.timedelta(seconds=1))
        await save(console.desk, writer, key=f"{number:016}", written=WRITTEN)
    kept = {row["key"] for row in await rows_of(console, post_drafts)}
    assert kept == {f"{number:016}" for number in range(DRAFTS_MAX)}  # the oldest has gone
    furnish.world(console.desk).advance(dt.timedelta(days=7))
    await dana.get("/post")
    assert "Go on with" not in dana.page
    assert await upkeep.prune_post_drafts(console.desk) == DRAFTS_MAX
    assert await rows_of(console, post_drafts) == []


async def post_what_has_expired(dana: Browser, form: Form) -> None:
    """Check a draft whose times are past, and be refused."""
    old = {"expires": "2019-08-07T07:58", "next_update": "2019-08-07T07:59"}
    late = {**form, **old, "offer_status": "invited"}
    await dana.post("/post", {**late, "go": "next"}, status=200)
    assert "It has expired, so it cannot be posted as it stands." in dana.page
    assert "Its next update was promised for a time that is past" in dana.page
    late |= {"step": "check", "mark": mark_on(dana.page), "count": "3", "go": "post"}
    await dana.post("/post", late, status=422)
    assert "Post a notice: what and when" in dana.page
    assert "Nothing goes out before it is another" in dana.page


async def change_what_was_posted(dana: Browser, form: Form, key: str) -> None:
    """Go on in another tab: the same leads to the receipt, and a change is refused."""
    saved = await dana.post("/post/drafts", form, status=200)
    assert saved.text == "✗ Posted already, as it stood then: this is neither saved nor sent."
    again = await dana.post("/post", {**form, "step": "what", "go": "next"})
    assert again.headers["location"] == f"/post/posted/{key}"
    for step, go in (("what", "leave"), ("numbers", "next"), ("check", "ask"), ("check", "post")):
        changed = {**form, "county": "28089", "step": step, "go": go, "count": "3"}
        await dana.post("/post", changed, status=409)
        assert "Nobody was told of your change" in dana.page
        assert "posted already at <time" in dana.page
        assert "/incidents/" in dana.page


async def test_notice_for_many_waits_for_a_second_person_of_the_same_agency(
    console: Console,
) -> None:
    county = await furnish_county(console.api)
    async with open_console(replace(console.desk, approval_above=2)) as many:
        dana = await poster(many, county, "Dana Reyes")
        jo = await ask_and_be_sent_back(many, county, dana)
        await ask_again_and_be_approved(many, county, dana, jo)
        await send_alone(many, county)


async def ask_and_be_sent_back(console: Console, county: County, dana: Browser) -> Browser:
    """Ask for a second person, who sends it back; give that one's browser."""
    form = typed("k" * 32, "numbers")
    await dana.get("/post")
    await dana.post("/post", {**form, "go": "next"}, status=200)
    assert "Nobody else of your agency may post here." in dana.page
    assert "I cannot reach a second person" not in dana.page
    asking = {**form, "step": "check", "mark": mark_on(dana.page), "count": "3"}
    await dana.post("/post", {**asking, "go": "post"}, status=403)
    await dana.post("/post", {**asking, "go": "post", "alone": "yes"}, status=403)
    await dana.post("/post", {**asking, "go": "ask", "count": "2"}, status=422)
    assert (await dana.post("/post", {**asking, "go": "ask"})).headers["location"] == (
        "/post?said=approval-asked"
    )
    assert dana.user is not None
    address = f"/post/approvals/{dana.user.id}/{'k' * 32}"
    await dana.get("/post")
    assert "waits for a second person since" in dana.page
    assert "Waits for your approval" not in dana.page
    await dana.get(address, status=404)
    assert await rows_of(console, notices) == []

    jo = await poster(console, county, "Jo Park")
    abroad = await poster(console, county, "Kim Lee", agency="cps")
    for page in ("/", "/post"):
        await abroad.get(page)
        assert address not in abroad.page
        await jo.get(page)
        assert "<strong>○ 3 recipients</strong>, asked by Dana Reyes," in jo.page
        assert f'href="{address}"' in jo.page
    await abroad.get(address, status=404)
    await jo.get(address)
    assert "Scott County church" in jo.page
    assert "<dt>Counties (1)</dt><dd>Scott County, Mississippi</dd>" in jo.page
    assert "<dt>areas · counties</dt><dd>Scott County, Mississippi</dd>" in jo.page
    await jo.post(f"{address}/back", {"asked_at": "2019-08-07T13:00:00+00:00"}, status=422)
    asked_at = re.search(r'name="asked_at" value="([^"]+)"', jo.page)
    assert asked_at is not None
    await jo.post(f"{address}/back", {"asked_at": asked_at[1], "reason": "Which <plant>?"})
    await jo.get(address, status=404)
    await dana.get(f"/post/drafts/{'k' * 32}")
    assert "Jo Park sent it back" in dana.page
    assert "Which &lt;plant&gt;?" in dana.page

    return jo


async def ask_again_and_be_approved(
    console: Console, county: County, dana: Browser, jo: Browser
) -> None:
    """Change it and ask anew, until it is approved."""
    assert dana.user is not None
    assert jo.user is not None
    form = typed("k" * 32, "numbers", site="food plant")
    address = f"/post/approvals/{dana.user.id}/{'k' * 32}"
    for changed in ({"site": "food plant near Morton"}, {}):  # what is changed no longer waits
        await dana.post("/post", {**form, "go": "next"}, status=200)
        asking = {**form, "step": "check", "mark": mark_on(dana.page), "count": "3", "go": "ask"}
        await dana.post("/post", asking)
        await jo.get(address)
        form |= changed
        await dana.post("/post/drafts", form, status=200)
    assert "food plant near Morton" in jo.page
    approving = {"mark": mark_on(jo.page), "count": "3"}
    await approve_too_late(console, county, dana, jo)
    await jo.post(address, {**approving, "count": "4"}, status=422)
    await jo.post(address, {**approving, "mark": "x"}, status=409)
    await jo.post(address, approving)
    there = await jo.post(address, approving)  # pressed twice
    (notice,) = await rows_of(console, notices)
    assert there.headers["location"].startswith(f"/incidents/{notice['incident_id']}")
    assert notice["posted_by"] == dana.user.id
    assert await rows_of(console, post_drafts) == []

    await jo.follow(there)
    assert "Asked for by Dana Reyes, approved by Jo Park, to 3 recipients" in jo.page
    await dana.get(f"/post/posted/{'k' * 32}")
    assert re.search(r"Approved by</dt><dd>Jo Park, .*; asked for by Dana Reyes", dana.page)
    types = [type_ for type_, _ in await entered(console)]
    assert types.count("approval.asked") == 4
    assert types.count("approval.sent_back") == 1
    assert await withdrawn(console) == ["changed", "thrown_away"]
    (approved,) = [body for type_, body in await entered(console) if type_ == "notice.approved"]
    assert dana.user.id.encode() in approved
    assert jo.user.id.encode() in approved
    assert not any(b"Which" in body or b"Dana" in body for _, body in await entered(console))


async def approve_too_late(console: Console, county: County, dana: Browser, jo: Browser) -> None:
    """Approve what was read before it was thrown away, and before it was asked for anew."""
    assert dana.user is not None
    assert jo.user is not None
    desk, agency, key = console.desk, county.agencies["poster"], "k" * 32
    reader = writing_as(jo.user, agency)
    read = await approvals.find_waiting(desk, reader, owner=dana.user.id, key=key)
    post = posting_form.read(typed_of(read), zone=agency.zone).post
    assert post is not None
    now = await posting.check(desk, approvals.as_asker(reader, read), post=post)
    confirmed = Confirmed(count=now.preview.count, mark=now.mark)
    asking = {**typed(key, "check"), **read.written.values, "mark": now.mark, "count": "3"}
    furnish.world(desk).advance(dt.timedelta(seconds=1))
    for path, form in ((f"/post/drafts/{key}/throw-away", {}), ("/post", {**asking, "go": "ask"})):
        await dana.post(path, form)
        with pytest.raises(ConflictError, match="Nothing was posted"):
            await approvals.approve(
                desk,
                console.api.app.state.intake,
                reader,
                kept=read,
                post=post,
                confirmed=confirmed,
            )
        assert await rows_of(console, notices) == []


async def send_alone(console: Console, county: County) -> None:
    """Send class A alone; then ask, and lose the right to post."""
    dana = await poster(console, county, "Dana Reyes")
    form = typed("a" * 32, "numbers", **{"class": "A"})
    await dana.get("/post")
    await dana.post("/post", {**form, "go": "next"}, status=200)
    assert "I cannot reach a second person" in dana.page
    sending = {**form, "step": "check", "mark": mark_on(dana.page), "count": "3", "go": "post"}
    await dana.post("/post", sending, status=403)
    assert "Only class A may be sent alone, and only with the tick" in dana.page
    await dana.follow(await dana.post("/post", {**sending, "alone": "yes"}))
    assert "sent by Dana Reyes alone" in dana.page
    incident = re.search(r'href="(/incidents/[^"]+)"', dana.page)
    assert incident is not None
    await dana.get(incident[1])
    assert "Sent by Dana Reyes alone, to 3 recipients: no second person could" in dana.page

    agency = county.agencies["poster"]
    moved = await poster(console, county, "Ash Long", agency="cps")
    other = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=agency, name="Lee Orr")
    for browser in (moved, other):  # no longer of the agency, and no longer one who may post
        assert browser.user is not None
        address = await ask_for_approval(console.desk, browser.user, agency)
        await dana.get(address, status=404)
        await dana.get("/post")
        assert address not in dana.page
    furnish.world(console.desk).advance(dt.timedelta(days=7))
    assert await upkeep.prune_post_drafts(console.desk) == 2
    assert (await withdrawn(console))[2:] == ["expired", "expired"]
