"""Incidents on people's pages: the list, one incident, one obligation."""

import datetime as dt
import re
from collections import Counter

import sqlalchemy as sa

from harness.api import County, furnish_county
from harness.console import Browser, Console
from harness.desk import add_agency, add_contact, notice_body, obligation_of, post_notice, world
from harness.statements import statements_of
from noticebus.casework.step import fire_due_steps
from noticebus.contracts.vocabulary import (
    AgencyKind,
    NoticeClass,
    ObligationState,
    Position,
    UserRole,
)
from noticebus.domain.recipient_groups import Group, group_of
from noticebus.ids import ObligationId
from noticebus.store.incident_recipients import counts_by_group, place_of, recipients_page
from noticebus.store.notices import Notice
from noticebus.store.obligations import obligations_of
from noticebus.store.progress import progress_of
from noticebus.store.tables import obligations

HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
HOSTILE = "<script>alert(1)</script>"


async def furnish(console: Console) -> tuple[County, Notice]:
    """Furnish Scott County and post a notice about it."""
    county = await furnish_county(console.api)
    body = notice_body(console.desk)
    return county, await post_notice(console.desk, county.agencies["poster"], body=body)


async def owed_by(console: Console, notice: Notice, county: County, name: str) -> ObligationId:
    return (await obligation_of(console.desk, notice, county.agencies[name].id)).id


async def operator(console: Console) -> Browser:
    return await console.sign_in(UserRole.OPERATOR)


def table_of(page: str, word: str) -> str:
    """Give the table of recipients whose caption ends with `word`."""
    found = re.search(rf"<caption>\s*\S+ {word}\s*</caption>(.*?)</table>", page, re.DOTALL)
    return found[1] if found else ""


async def test_incident_with_somebody_overdue_leads_the_list_before_a_newer_one(
    console: Console,
) -> None:
    county, _ = await furnish(console)
    world(console.desk).advance(HOUR * 5)
    newer = notice_body(console.desk, headline="Newer and quiet")
    await post_notice(console.desk, county.agencies["poster"], body=newer)
    browser = await operator(console)

    page = (await browser.get("/incidents")).text

    assert page.index("near Morton") < page.index("Newer and quiet")
    assert page.count("⚠ overdue") == 1


async def test_list_of_incidents_is_read_page_by_page_and_misses_none(console: Console) -> None:
    county, _ = await furnish(console)
    for number in range(55):
        body = notice_body(console.desk, headline=f"Number {number}.")
        await post_notice(console.desk, county.agencies["poster"], body=body)
    browser = await operator(console)
    seen: list[str] = []
    path = "/incidents"
    while path:
        page = (await browser.get(path)).text
        seen += re.findall(r'href="/incidents/(inc_[0-9a-z]+)"', page)
        found = re.search(r'href="(\?[^"]*after=[^"]+)"', page)
        path = "/incidents" + found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == 56


async def test_exercises_are_listed_apart_from_what_is_real(console: Console) -> None:
    county, _ = await furnish(console)
    drill = notice_body(console.desk, headline="A drill", status="exercise")
    await post_notice(console.desk, county.agencies["poster"], body=drill)
    browser = await operator(console)
    assert "A drill" not in (await browser.get("/incidents")).text
    page = (await browser.get("/incidents?status=exercise&state=&agency=")).text
    assert "A drill" in page
    assert "near Morton" not in page
    assert "DRILL · EXERCISE" in page


async def test_list_is_filtered_by_agency_and_state_and_says_what_to_do_with_a_wrong_one(
    console: Console,
) -> None:
    await furnish(console)
    browser = await operator(console)
    assert "near Morton" in (await browser.get("/incidents?agency=county+CHURCH")).text
    assert "No incident matches" in (await browser.get("/incidents?agency=100%25")).text
    assert "No incident matches" in (await browser.get("/incidents?state=cleared")).text
    assert "Choose one of" in (await browser.get("/incidents?state=gone", status=422)).text
    await browser.get("/incidents?after=nowhere", status=400)
    await browser.get("/incidents?after=rest~soon~inc_1", status=400)


async def test_agency_lists_its_own_incidents_and_never_how_others_stand(console: Console) -> None:
    county, notice = await furnish(console)
    church = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=county.agencies["school"])
    page = (await church.get("/incidents")).text
    assert notice.incident_id in page
    assert "yours:" in page
    assert "ring__drawing" not in page
    stranger = await add_agency(console.desk, "Elsewhere", county_fips="28059")
    other = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=stranger)
    assert notice.incident_id not in (await other.get("/incidents")).text
    await other.get(f"/incidents/{notice.incident_id}", status=404)
    owed = await owed_by(console, notice, county, "school")
    await other.get(f"/obligations/{owed}", status=404)


async def test_filter_tells_an_agency_nothing_of_whom_else_an_incident_was_told_to(
    console: Console,
) -> None:
    county, notice = await furnish(console)
    await post_notice(
        console.desk,
        county.agencies["school"],
        body=notice_body(console.desk, headline="By the school itself"),
    )
    school = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=county.agencies["school"])
    cps, poster = county.agencies["cps"], county.agencies["poster"]

    of_another = (await school.get(f"/incidents?agency={cps.id}")).text
    by_name = (await school.get(f"/incidents?agency={county.agencies['church'].name}")).text
    of_its_poster = (await school.get(f"/incidents?agency={poster.id}")).text
    own = (await school.get(f"/incidents?agency={county.agencies['school'].id}")).text

    assert notice.incident_id not in of_another
    assert "By the school itself" in of_another
    assert notice.incident_id not in by_name
    assert notice.incident_id in of_its_poster
    assert notice.incident_id in own


async def test_list_takes_the_same_number_of_statements_for_few_and_many(console: Console) -> None:
    county, _ = await furnish(console)
    browser = await operator(console)
    await browser.get("/incidents")
    with statements_of(console.desk) as few:
        await browser.get("/incidents")
    for number in range(12):
        body = notice_body(console.desk, headline=f"Number {number}")
        await post_notice(console.desk, county.agencies["poster"], body=body)
    with statements_of(console.desk) as many:
        await browser.get("/incidents")
    assert len(few) == len(many)


async def test_incident_groups_its_recipients_and_keeps_the_facts_apart(console: Console) -> None:
    county, notice = await furnish(console)
    await county.cps.post(
        f"/v1/notices/{notice.id}/acknowledgements",
        {"answer": "accepted", "by": {"name": "R. Alvarez", "role": "duty officer"}},
    )
    world(console.desk).advance(HOUR * 5)
    browser = await operator(console)

    page = (await browser.get(f"/incidents/{notice.incident_id}")).text

    assert "Scott County cps" in table_of(page, "Answered")
    assert "R. Alvarez" in table_of(page, "Answered")
    assert "Scott County school" in table_of(page, "Overdue")
    for column in ("Delivered", "Opened", "Received", "Acknowledged"):
        assert f'<th scope="col">{column}</th>' in page
    assert "1 of 3 acknowledged" in page
    assert "school desk" in page
    seen = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "First to acknowledge Scott County cps , after 0 s" in seen
    assert "All acknowledged not yet: 1 of 3" in seen
    ended = {"state": ObligationState.WITHDRAWN, "closed_at": world(console.desk).now()}
    async with console.desk.database.begin() as conn:
        for name, values in (("school", ended), ("church", {"notice_class": NoticeClass.D})):
            one = obligations.c.agency_id == county.agencies[name].id
            await conn.execute(sa.update(obligations).where(one).values(values))
        left = await progress_of(conn, notice.incident_id)
    assert left is not None
    assert (left.counted, left.closed) == (2, 1)  # withdrawn once overdue still counts


async def test_late_answer_is_called_late_on_both_pages(console: Console) -> None:
    county, notice = await furnish(console)
    world(console.desk).advance(HOUR * 30)
    await county.cps.post(
        f"/v1/notices/{notice.id}/acknowledgements",
        {"answer": "accepted", "by": {"name": "R. Alvarez", "role": "duty officer"}},
    )
    browser = await operator(console)
    page = (await browser.get(f"/incidents/{notice.incident_id}")).text
    assert "Scott County cps" in table_of(page, "Answered late")
    owed = await owed_by(console, notice, county, "cps")
    page = (await browser.get(f"/obligations/{owed}")).text
    assert "Answered: accepted, late" in page
    assert "answered late" in page


async def test_incident_shows_uncovered_places_and_its_map_beside_a_table(console: Console) -> None:
    county = await furnish_county(console.api)
    body = notice_body(console.desk, areas=[{"county_fips": ["28123", "28059"]}])
    notice = await post_notice(console.desk, county.agencies["poster"], body=body)
    browser = await operator(console)
    page = (await browser.get(f"/incidents/{notice.incident_id}")).text
    drawing = page[page.index('<svg class="nb-map"') :].partition("</svg>")[0]
    assert len(drawing) < 40_000
    assert "url(#map-28-uncovered)" in drawing
    assert "url(#map-28-waiting)" in drawing
    assert re.search(r'<th scope="row">Jackson County</th>\s*<td>⚠ uncovered: no cps', page)
    assert re.search(r'<th scope="row">Scott County</th>\s*<td>○ waiting', page)


async def test_incident_says_what_comes_next_by_itself_and_what_if_nobody_acts(
    console: Console,
) -> None:
    county, notice = await furnish(console)
    await add_contact(console.desk, county.agencies["cps"], "Head Hunter", position=Position.HEAD)
    browser = await operator(console)
    page = (await browser.get(f"/incidents/{notice.incident_id}")).text
    ahead = page[page.index('id="ahead"') : page.index('id="uncovered"')]
    assert ahead.count("<li>") == 3
    assert "If nobody does anything" in ahead
    owed = await owed_by(console, notice, county, "cps")
    page = (await browser.get(f"/obligations/{owed}")).text
    assert "Head Hunter (duty officer)" in page
    assert "nothing more happens by itself" in page


async def test_recipient_sees_its_own_line_alone_and_no_name_of_another(console: Console) -> None:
    county, notice = await furnish(console)
    browser = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=county.agencies["school"])
    page = (await browser.get(f"/incidents/{notice.incident_id}")).text
    assert "Scott County school" in page
    for hidden in ("Scott County cps", "Scott County church", "Uncovered", "ring__drawing"):
        assert hidden not in page
    owed = await owed_by(console, notice, county, "school")
    page = (await browser.get(f"/obligations/{owed}")).text
    assert "Your answer" in page
    assert f"/obligations/{owed}/answer" in page


async def test_poster_sees_every_recipient_and_nobodys_telephone(console: Console) -> None:
    county, notice = await furnish(console)
    await add_contact(console.desk, county.agencies["cps"], "Secret Person", phone="+16015550199")
    browser = await console.sign_in(UserRole.POSTER, agency=county.agencies["poster"])
    page = (await browser.get(f"/incidents/{notice.incident_id}")).text
    assert "Scott County cps" in page
    owed = await owed_by(console, notice, county, "cps")
    page += (await browser.get(f"/obligations/{owed}")).text
    assert "+16015550199" not in page
    assert "Secret Person" not in page


async def test_view_of_an_incident_is_entered_in_the_ledger(console: Console) -> None:
    county, notice = await furnish(console)
    browser = await operator(console)
    owed = await owed_by(console, notice, county, "cps")
    await browser.get(f"/incidents/{notice.incident_id}")
    await browser.get(f"/obligations/{owed}")
    entries = await console.api.everything()
    viewed = [one for one in entries["entries"] if "page.viewed" in one]
    assert len(viewed) == 2
    assert all(notice.incident_id in one for one in viewed)


async def test_incident_takes_the_same_number_of_statements_for_few_and_many_recipients(
    console: Console,
) -> None:
    county, notice = await furnish(console)
    browser = await operator(console)
    path = f"/incidents/{notice.incident_id}"
    await browser.get(path)
    with statements_of(console.desk) as few:
        await browser.get(path)
    for number in range(8):
        made = await add_agency(console.desk, f"District {number}", kind=AgencyKind.SCHOOL_DISTRICT)
        await add_contact(console.desk, made, f"Desk {number}")
    body = notice_body(console.desk)
    larger = await post_notice(console.desk, county.agencies["poster"], body=body)
    path = f"/incidents/{larger.incident_id}"
    page = (await browser.get(path)).text
    assert "District 7" in page
    with statements_of(console.desk) as many:
        await browser.get(path)
    assert len(few) == len(many)


async def test_obligation_tells_steps_tries_and_answers_in_order(console: Console) -> None:
    county, notice = await furnish(console)
    await add_contact(console.desk, county.agencies["cps"], "Second Desk", position=Position.SECOND)
    for _ in range(40):
        world(console.desk).advance(MINUTE * 15)
        await fire_due_steps(console.desk)
    await county.cps.post(
        f"/v1/notices/{notice.id}/acknowledgements",
        {"answer": "accepted", "by": {"name": "R. Alvarez", "role": "duty officer"}},
    )
    browser = await operator(console)
    owed = await owed_by(console, notice, county, "cps")
    page = (await browser.get(f"/obligations/{owed}")).text
    told = page[page.index('id="timeline"') :]
    order = ["Version 1 (alert", "Its clock started", "The answer fell due", "Answered: accepted"]
    order.append("It was ended: closed")
    places = [told.index(one) for one in order]
    assert places == sorted(places)
    assert "Step 1:" in told
    assert "Second Desk" in told


async def test_recipient_reads_its_own_people_by_name_and_of_others_how_many(
    console: Console,
) -> None:
    county, notice = await furnish(console)
    operators = await add_agency(console.desk, "Bus operators", kind=AgencyKind.OPERATOR)
    for name in ("Olga Operator", "Otto Operator"):
        await add_contact(console.desk, operators, name)
    await add_contact(console.desk, county.agencies["cps"], "Second Desk", position=Position.SECOND)
    theirs = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=county.agencies["cps"])
    ours = await operator(console)
    path = f"/obligations/{await owed_by(console, notice, county, 'cps')}"

    before = [(await one.get(path)).text for one in (theirs, ours)]
    for _ in range(40):
        world(console.desk).advance(MINUTE * 15)
        await fire_due_steps(console.desk)
    after = [(await one.get(path)).text for one in (theirs, ours)]

    for of_theirs, of_ours in (before, after):
        assert "Second Desk (duty officer)" in of_theirs
        assert "Operator (duty officer)" not in of_theirs
        assert "Operator (duty officer)" in of_ours
    assert re.search(r"\d (person|people|elsewhere)", before[0])
    assert re.search(r"\d (person|people|elsewhere)", after[0])
    assert not re.search(r"\d (person|people|elsewhere)", after[1])


async def test_hostile_words_of_posters_and_people_stay_words(console: Console) -> None:
    county = await furnish_county(console.api)
    body = notice_body(console.desk, headline=HOSTILE)
    notice = await post_notice(console.desk, county.agencies["poster"], body=body)
    await add_contact(console.desk, county.agencies["cps"], HOSTILE, email="x@agency.example")
    await county.cps.post(
        f"/v1/notices/{notice.id}/acknowledgements",
        {"answer": "received", "by": {"name": HOSTILE, "role": HOSTILE}, "note": HOSTILE},
    )
    browser = await operator(console)
    owed = await owed_by(console, notice, county, "cps")
    for path in (
        "/incidents",
        f"/incidents/{notice.incident_id}",
        f"/notices/{notice.id}",
        f"/obligations/{owed}",
    ):
        page = (await browser.get(path)).text
        assert HOSTILE not in page
        assert "&lt;script&gt;" in page


async def test_long_incident_is_read_recipient_page_by_page(console: Console) -> None:
    county = await furnish_county(console.api)
    for number in range(103):
        await add_agency(console.desk, f"District {number}", kind=AgencyKind.SCHOOL_DISTRICT)
    notice = await post_notice(
        console.desk, county.agencies["poster"], body=notice_body(console.desk)
    )
    browser = await operator(console)
    path = f"/incidents/{notice.incident_id}"
    first = (await browser.get(path)).text
    found = re.search(r'href="(\?after=[^"]+)"', first)
    assert found is not None
    second = (await browser.get(path + found[1].replace("&amp;", "&"))).text
    rows = [re.findall(r'actions-(obl_[0-9a-z]+)"', page) for page in (first, second)]
    assert len(rows[0]) == 100
    assert not set(rows[0]) & set(rows[1])
    assert len({*rows[0], *rows[1]}) == 106
    await browser.get(f"{path}?after=9~soon~x~y", status=400)


async def test_address_in_the_webhook_is_this_page_and_leads_through_the_sign_in(
    console: Console,
) -> None:
    county, notice = await furnish(console)
    owed = await owed_by(console, notice, county, "cps")
    sent = await console.browser().get(f"/obligations/{owed}", status=303)
    assert sent.headers["location"] == f"/sign-in?next=%2Fobligations%2F{owed}"


async def test_auditor_sees_it_all_and_changes_nothing(console: Console) -> None:
    _, notice = await furnish(console)
    auditor = await console.sign_in(UserRole.AUDITOR)
    page = (await auditor.get(f"/incidents/{notice.incident_id}")).text
    assert "I am on this" not in page
    assert "Resend to the silent" not in page


async def test_notice_is_seen_at_the_level_that_the_interface_gives_the_same_reader(
    console: Console,
) -> None:
    county = await furnish_county(console.api)
    body = notice_body(
        console.desk,
        purpose="child_safety",
        legal_basis="no_pii",
        children={"status": "estimate", "low": 12, "high": 18, "as_of": "2019-08-07T12:40:00Z"},
    )
    notice = await post_notice(console.desk, county.agencies["poster"], body=body)
    path = f"/notices/{notice.id}"
    pages = {}
    for name in ("cps", "school"):
        role, agency = UserRole.AGENCY_ADMINISTRATOR, county.agencies[name]
        browser = await console.sign_in(role, agency=agency)
        pages[name] = (await browser.get(path)).text
    pages["operator"] = (await (await operator(console)).get(path)).text
    shown = await county.school.get(f"/v1{path}")
    assert "purpose" not in shown
    assert '<th scope="row" data-label="Field">purpose</th>' in pages["cps"]
    assert '<th scope="row" data-label="Field">purpose</th>' in pages["operator"]
    assert '<th scope="row" data-label="Field">purpose</th>' not in pages["school"]
    assert "what partners may know" in pages["school"]
    assert "You see it whole" in pages["operator"]
    stranger = await add_agency(console.desk, "Elsewhere", county_fips="28059")
    other = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=stranger)
    await other.get(path, status=404)


async def test_notice_says_what_changed_who_was_sent_it_and_where_its_entry_is(
    console: Console,
) -> None:
    county, notice = await furnish(console)
    body = notice_body(console.desk) | {
        "base_version": 1,
        "headline": "Now near Canton",
        "occurred_at": "2019-08-07T12:00:00Z",
        "change_reason": "new_info",
    }
    updated = await county.poster.post(f"/v1/incidents/{notice.incident_id}/updates", body)
    browser = await operator(console)
    page = (await browser.get(f"/notices/{updated['id']}")).text
    assert "<ins>Now near Canton</ins>" in page
    assert "<del>Enforcement action near Morton" in page
    assert "Scott County school" in page[page.index('id="got"') :]
    assert "it gets one within seconds" in page
    assert "counted with another version" in page
    first = (await browser.get(f"/notices/{notice.id}")).text
    assert "This is not the newest" in first
    assert "nobody yet" in first
    assert "What changed" not in first


async def test_question_is_no_recipient_and_a_version_that_asks_nothing_is_not_missed(
    console: Console,
) -> None:
    county, notice = await furnish(console)
    by = {"name": "Jo Park", "role": "intake worker"}
    acknowledged = f"/v1/notices/{notice.id}/acknowledgements"
    await county.cps.post(acknowledged, {"answer": "accepted", "by": by})
    await county.school.post(
        f"/v1/incidents/{notice.incident_id}/questions",
        {"topic": "ages", "text": "How old are they?"},
    )
    stopped = sa.update(obligations).where(obligations.c.owed == "question")
    async with console.desk.database.begin() as conn:
        await conn.execute(stopped.values(next_step_at=None))
    body = notice_body(console.desk, headline="Now near Canton", change_reason="new_info")
    await county.poster.post(
        f"/v1/incidents/{notice.incident_id}/updates", body | {"base_version": 1}
    )

    page = (await (await operator(console)).get(f"/incidents/{notice.incident_id}")).text

    assert "it has done all it can" not in page
    assert "accepted" in table_of(page, "Answered")
    assert "asks again" not in page
    assert "the newest is 2" not in page


async def test_recipient_s_notice_page_names_no_other_recipient(console: Console) -> None:
    county, notice = await furnish(console)
    browser = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=county.agencies["school"])
    page = (await browser.get(f"/notices/{notice.id}")).text
    assert "Scott County school" in page
    assert "Scott County cps" not in page


async def test_embargoed_notice_is_nobody_s_but_its_poster_s_and_the_operators(
    console: Console,
) -> None:
    county = await furnish_county(console.api)
    release = (console.desk.world.now() + HOUR).isoformat()
    body = notice_body(console.desk, release_at=release)
    notice = await post_notice(console.desk, county.agencies["poster"], body=body)
    school = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=county.agencies["school"])
    poster = await console.sign_in(UserRole.POSTER, agency=county.agencies["poster"])
    seer = await operator(console)
    owed = await owed_by(console, notice, county, "school")
    for path in (
        f"/incidents/{notice.incident_id}",
        f"/notices/{notice.id}",
        f"/obligations/{owed}",
    ):
        await school.get(path, status=404)
        await seer.get(path)
        await poster.get(path)
    assert notice.incident_id not in (await school.get("/incidents")).text
    page = (await poster.get(f"/incidents/{notice.incident_id}")).text
    assert "its clock starts with the release" in page
    assert "a person must act" not in page
    page = (await poster.get(f"/obligations/{owed}")).text
    assert "It is embargoed" in page
    assert "Whom to ring now" not in page


async def test_database_groups_recipients_as_the_rules_do(console: Console) -> None:
    county = await furnish_county(console.api)
    for number in range(12):
        await add_agency(console.desk, f"District {number}", kind=AgencyKind.SCHOOL_DISTRICT)
    notice = await post_notice(
        console.desk, county.agencies["poster"], body=notice_body(console.desk)
    )
    now = console.desk.world.now()
    changes: list[dict[str, object]] = [
        {"reachable": False, "due_at": now - HOUR},
        {"reachable": True, "due_at": now},
        {"reachable": True, "due_at": now + HOUR},
        {"reachable": True, "due_at": None},
        {"state": "closed", "closed_at": now, "due_at": now - HOUR},
        {"state": "closed", "closed_at": now, "due_at": now},
        {"state": "closed", "closed_at": now, "due_at": None},
        {"state": "declined", "closed_at": now},
        {"state": "waived", "closed_at": now},
        {"state": "withdrawn", "closed_at": now, "next_step_at": None},
    ]
    async with console.desk.database.begin() as conn:
        bound = await obligations_of(conn, incident_id=notice.incident_id, limit=50)
        for owed, change in zip(bound, changes, strict=False):
            await conn.execute(
                sa.update(obligations).where(obligations.c.id == owed.id).values(change)
            )
    async with console.desk.database.read() as conn:
        counts = await counts_by_group(conn, notice.incident_id, now=now)
        listed = await recipients_page(conn, notice.incident_id, now=now, after=None, limit=50)
    expected = Counter((one.standing, group_of(one, now=now)) for one in listed)
    found = {(kind, group): n for kind, many in counts.items() for group, n in many.items()}
    assert found == expected
    assert {group for _, group in found} == set(Group)
    places = [place_of(one, now=now) for one in listed]
    assert places == sorted(places, key=lambda one: (one.group, one.due_at, one.id))


async def test_notice_and_obligation_take_the_same_number_of_statements_however_much_there_is(
    console: Console,
) -> None:
    county, notice = await furnish(console)
    browser = await operator(console)
    owed = await owed_by(console, notice, county, "cps")
    paths = (f"/notices/{notice.id}", f"/obligations/{owed}")
    counts = []
    for answers in (("received", "need_more_time"), ()):
        for path in paths:
            await browser.get(path)
            with statements_of(console.desk) as asked:
                await browser.get(path)
            counts.append(len(asked))
        for answer in answers:
            said: dict[str, object] = {"answer": answer, "by": {"name": "A", "role": "desk"}}
            if answer == "need_more_time":
                said["eta"] = (console.desk.world.now() + MINUTE * 20).isoformat()
            await county.cps.post(f"/v1/notices/{notice.id}/acknowledgements", said)
    assert counts[:2] == counts[2:]
