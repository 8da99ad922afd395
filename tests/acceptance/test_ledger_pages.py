"""The ledger on people's pages: searched, checked, who exported what, how policies changed."""

import datetime as dt
import re

import sqlalchemy as sa

from harness.api import Caller, County, furnish_county
from harness.console import Browser, Console
from harness.desk import notice_body, post_notice, world
from harness.statements import statements_of
from noticebus.console.ledger import CHECKS
from noticebus.contracts.vocabulary import Scope, UserRole
from noticebus.ledger.sequencer import Sequencer
from noticebus.store import ledger_pages
from noticebus.store.ledger import append, make_entry
from noticebus.store.ledger_pages import Wanted
from noticebus.store.notices import Notice
from noticebus.store.tables import entries

HOUR = dt.timedelta(hours=1)


async def furnish(console: Console) -> tuple[County, Notice]:
    """Furnish Scott County, post a notice, and give every entry its index."""
    county = await furnish_county(console.api)
    body = notice_body(console.desk)
    notice = await post_notice(console.desk, county.agencies["poster"], body=body)
    await sequence(console)
    return county, notice


async def sequence(console: Console) -> None:
    sequencer = Sequencer(console.desk)
    while await sequencer.sweep():
        pass


async def auditor(console: Console) -> Browser:
    return await console.sign_in(UserRole.AUDITOR)


def types_on(page: str) -> list[str]:
    return re.findall(r'data-label="Type">\s*<strong>([a-z_.]+)</strong>', page)


async def test_ledger_is_searched_newest_first_with_bodies_that_name_nobody(
    console: Console,
) -> None:
    _, notice = await furnish(console)
    browser = await auditor(console)
    page = (await browser.get(f"/ledger?incident={notice.incident_id}")).text
    assert types_on(page)[-1] == "notice.accepted"
    assert notice.id in page
    assert "duty officer" not in page


async def test_ledger_is_narrowed_by_group_type_id_time_and_index(console: Console) -> None:
    county, notice = await furnish(console)
    browser = await auditor(console)
    page = (await browser.get("/ledger?group=notices")).text
    assert types_on(page) == ["notice.accepted"]
    page = (await browser.get("/ledger?type=responsibility.")).text
    assert set(types_on(page)) == {"responsibility.created"}
    page = (await browser.get(f"/ledger?mentions={county.agencies['church'].id}")).text
    assert {"agency.created", "routing.decided"} <= set(types_on(page))
    assert "notice.accepted" not in types_on(page)
    page = (await browser.get("/ledger?index=0")).text
    assert len(types_on(page)) == 1
    later = console.desk.world.now() + HOUR
    page = (await browser.get(f"/ledger?since={later:%Y-%m-%dT%H:%M}")).text
    assert "No entry matches" in page
    page = (await browser.get(f"/ledger?until={later:%Y-%m-%d+%H:%M}")).text
    assert notice.id in page


async def test_wrong_field_of_the_search_says_what_to_write(console: Console) -> None:
    browser = await auditor(console)
    assert "whole number" in (await browser.get("/ledger?index=ten", status=422)).text
    assert "2019-08-07 12:55" in (await browser.get("/ledger?since=soon", status=422)).text
    for beyond in ("9999-12-31T23:59:59-14:00", "0001-01-01"):
        page = await browser.get(f"/ledger?until={beyond}", status=422)
        assert "2019-08-07 12:55" in page.text
    await browser.get("/ledger")
    page = await browser.post("/ledger/verify", {"first": "9" * 5000}, status=422)
    assert "whole number" in page.text
    await browser.get("/ledger?before=0", status=422)


async def test_ledger_is_read_page_by_page_and_every_entry_comes_once(console: Console) -> None:
    county, _ = await furnish(console)
    for _ in range(30):
        body = notice_body(console.desk)
        await post_notice(console.desk, county.agencies["poster"], body=body)
    browser = await auditor(console)
    seen: list[str] = []
    path = "/ledger?type=notice."
    while path:
        page = (await browser.get(path)).text
        seen += re.findall(r'<small class="nb-id">(ent_[0-9a-z]+)</small>', page)
        found = re.search(r'href="(\?[^"]*before=[^"]+)"', page)
        path = "/ledger" + found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == 31


async def test_search_that_no_index_leads_looks_through_a_part_and_goes_on_from_there(
    console: Console,
) -> None:
    _, notice = await furnish(console)
    wanted, before, found = Wanted(types=["agency.created"]), None, []
    parts = 0
    async with console.desk.database.read() as conn:
        while True:
            part = await ledger_pages.search(conn, wanted, before=before, limit=9, look_through=2)
            found += part.entries
            before, parts = part.before, parts + 1
            if before is None:
                break
        own = await ledger_pages.search(
            conn, Wanted(incident_id=notice.incident_id), before=None, limit=9, look_through=1
        )
    assert [one.type for one in found] == ["agency.created"] * 4
    assert parts > 4
    assert own.entries[-1].type == "notice.accepted"
    assert own.before is None


async def test_search_by_time_ends_where_entries_are_older(console: Console) -> None:
    county, _ = await furnish(console)
    world(console.desk).advance(HOUR)
    middle = console.desk.world.now()
    world(console.desk).advance(HOUR)
    body = notice_body(console.desk)
    later = await post_notice(console.desk, county.agencies["poster"], body=body)
    async with console.desk.database.read() as conn:
        position = await ledger_pages.position_at(conn, middle)
        young = await ledger_pages.search(
            conn, Wanted(since=middle), before=None, limit=50, look_through=3
        )
        old = await ledger_pages.search(conn, Wanted(until=middle), before=None, limit=50)
    assert {one.incident_id for one in young.entries} == {later.incident_id}
    assert young.before is None
    assert max(one.position for one in old.entries) < position
    assert later.incident_id not in {one.incident_id for one in old.entries}


async def test_ledger_takes_the_same_number_of_statements_for_few_and_many(
    console: Console,
) -> None:
    county, _ = await furnish(console)
    browser = await auditor(console)
    await browser.get("/ledger")  # which is entered, once in a while
    with statements_of(console.desk) as few:
        await browser.get("/ledger?group=notices")
    for _ in range(8):
        body = notice_body(console.desk)
        await post_notice(console.desk, county.agencies["poster"], body=body)
    with statements_of(console.desk) as many:
        await browser.get("/ledger?group=notices")
    assert len(few) == len(many)


async def test_ledger_is_for_the_bus_s_people_alone(console: Console) -> None:
    county, _ = await furnish(console)
    for role, name in (
        (UserRole.AGENCY_ADMINISTRATOR, "cps"),
        (UserRole.POSTER, "poster"),
    ):
        browser = await console.sign_in(role, agency=county.agencies[name])
        await browser.get("/ledger", status=403)
        await browser.get("/ledger/policies", status=403)


async def test_sound_ledger_is_checked_whole_and_the_check_is_an_entry(console: Console) -> None:
    await furnish(console)
    browser = await auditor(console)
    await browser.get("/ledger")
    page = (await browser.post("/ledger/verify", {}, status=200)).text
    assert "✓ Done, and nothing is wrong" in page
    assert "1 of 1 incidents" in page
    assert page.count("✓ nothing found") == len(CHECKS)
    page = (await browser.get("/ledger?group=checks")).text
    assert types_on(page) == ["ledger.verified"]


async def test_changed_entry_is_found_and_named(console: Console) -> None:
    await furnish(console)
    async with console.desk.database.begin() as conn:
        await conn.execute(sa.update(entries).where(entries.c.index == 3).values(salt=b"x" * 16))
    browser = await auditor(console)
    await browser.get("/ledger")
    page = (await browser.post("/ledger/verify", {"first": "2", "last": "4"}, status=200)).text
    assert "⚠ Done, and something is wrong" in page
    assert "compare with a" in page
    assert "⚠ 1 found" in page
    page = (await browser.post("/ledger/verify", {"first": "4"}, status=200)).text
    assert "nothing is wrong" in page


async def test_long_check_goes_on_from_request_to_request(console: Console) -> None:
    await furnish(console)
    now = console.desk.world.now()
    for _ in range(9):
        many = [make_entry("report.read", {"by": "key_1"}, at=now) for _ in range(1_000)]
        async with console.desk.database.begin() as conn:
            await append(conn, many)
    await sequence(console)
    browser = await auditor(console)
    await browser.get("/ledger")

    page = (await browser.post("/ledger/verify", {}, status=200)).text

    assert "… Checking" in page
    assert "8,000 of 9,0" in page
    sealed = re.search(r'name="progress" value="([^"]+)"', page)
    assert sealed is not None
    other = await auditor(console)
    await other.get("/ledger")
    await other.post("/ledger/verify", {"progress": sealed[1]}, status=400)
    page = (await browser.post("/ledger/verify", {"progress": sealed[1]}, status=200)).text
    assert "✓ Done, and nothing is wrong" in page


async def test_check_is_continued_only_by_whom_it_was_begun_and_as_it_was(
    console: Console,
) -> None:
    await furnish(console)
    browser = await auditor(console)
    await browser.get("/ledger")
    page = (await browser.post("/ledger/verify", {}, status=200)).text
    assert 'name="progress"' not in page
    for forged in ("x", "e30.AAAA", "e30", "é.é"):
        refused = await browser.post("/ledger/verify", {"progress": forged}, status=400)
        assert "Start it again" in refused.text
    await browser.post("/ledger/verify", {"first": "5", "last": "2"}, status=422)
    await browser.post("/ledger/verify", {"first": "-1"}, status=422)
    await browser.post("/ledger/verify", {"csrf": "x"}, status=403)


async def test_exports_and_views_are_found_together(console: Console) -> None:
    _, notice = await furnish(console)
    browser = await auditor(console)
    await browser.get(f"/incidents/{notice.incident_id}")
    page = (await browser.get("/ledger?group=exports")).text
    assert types_on(page) == ["page.viewed"]
    assert "Dana Reyes" in page


async def test_change_of_a_policy_is_shown_with_before_and_after(console: Console) -> None:
    county, _ = await furnish(console)
    browser = await auditor(console)
    assert "No policy was changed" in (await browser.get("/ledger/policies")).text
    caller = await console.api.caller(Scope.OPERATE)
    path = f"/v1/agencies/{county.agencies['cps'].id}/policies/B"
    await put(caller, path, due_after_s=900)
    await put(caller, path, due_after_s=1800, revision=1)

    page = (await browser.get("/ledger/policies")).text

    assert re.search(r"<del>[^<]*15 min[^<]*</del> → <ins>[^<]*30 min", page)
    assert page.count("version 1") == 1
    assert page.count("version 2") == 1


async def put(caller: Caller, path: str, *, due_after_s: int, revision: int | None = None) -> None:
    """Give an agency a policy of its own, or its next version."""
    body = {
        "due_after_s": due_after_s,
        "hold": "never",
        "steps": [{"after_s": due_after_s, "notify": "on_duty", "channels": ["email"]}],
    }
    headers = {} if revision is None else {"If-Match": f'"{revision}"'}
    answer = await caller.send("PUT", path, json=body, headers=headers)
    assert answer.status_code in {200, 201}, answer.text
