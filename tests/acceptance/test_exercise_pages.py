"""Exercises on the console: scheduled by form, called off, and how they went."""

import datetime as dt
import re
import zoneinfo

import pytest
import sqlalchemy as sa

from harness.console import Console
from harness.desk import (
    SCOTT_COUNTY,
    add_agency,
    add_contact,
    notice_body,
    obligation_of,
    post_notice,
)
from harness.orders import add_deliveries, add_orders
from noticebus.contracts.vocabulary import AgencyKind, Fault, NoticeClass, Outcome, Scope, UserRole
from noticebus.ledger.sequencer import Sequencer
from noticebus.store.agencies import Agency
from noticebus.store.deliveries import Attempt, insert_attempts
from noticebus.store.tables import entries, obligations

ACCEPTED = {"answer": "accepted", "by": {"name": "Jo Park", "role": "principal"}}
ZONE = zoneinfo.ZoneInfo("America/Chicago")


def typed(console: Console, **changes: str) -> dict[str, str]:
    """Give the form as a person fills it in: tomorrow morning, in the poster's own time."""
    tomorrow = (console.desk.world.now() + dt.timedelta(days=1)).astimezone(ZONE)
    return {
        "name": "Autumn <b>exercise</b>",
        "starts": f"{tomorrow:%Y-%m-%d}T09:00",
        "ends": f"{tomorrow:%Y-%m-%d}T12:00",
        "class": "B",
        "counties": SCOTT_COUNTY,
        "headline": "Exercise near Morton",
        "unit": "Field office",
        "callback": "+16015550100",
        **changes,
    }


def key_on(page: str) -> str:
    found = re.search(r'name="key" value="([^"]+)"', page)
    assert found is not None
    return found[1]


async def furnish(console: Console) -> tuple[Agency, Agency]:
    poster = await add_agency(console.desk, "Field office", kind=AgencyKind.FEDERAL)
    school = await add_agency(console.desk, "Scott Schools", kind=AgencyKind.SCHOOL_DISTRICT)
    await add_contact(console.desk, school, "front desk")
    administrator = await console.api.caller(Scope.ADMIN)
    await administrator.post(
        f"/v1/agencies/{school.id}/responsibilities",
        {"role": "school", "areas": [{"county_fips": [SCOTT_COUNTY]}]},
    )
    return poster, school


async def test_duty_officer_schedules_one_and_a_second_press_makes_no_second(
    console: Console,
) -> None:
    poster, school = await furnish(console)
    browser = await console.sign_in(UserRole.POSTER, agency=poster)
    form = typed(console, key=key_on((await browser.get("/exercises/new")).text))
    made = await browser.post("/exercises", form)
    again = await browser.post("/exercises", form)
    assert again.headers["location"] == made.headers["location"]
    page = await browser.follow(made)
    assert "○ to come" in page.text
    assert "09:00 C" in page.text
    assert "<b>exercise</b>" not in page.text
    listed = await browser.get("/exercises")
    assert "Autumn" in listed.text
    watcher = await console.sign_in(UserRole.OPERATOR)
    assert school.name in (await watcher.get("/exercises")).text
    other = await add_agency(console.desk, "Other office", kind=AgencyKind.FEDERAL)
    stranger = await console.sign_in(UserRole.POSTER, agency=other)
    await stranger.get(made.headers["location"].partition("?")[0], status=404)


async def test_exercise_is_called_off_before_it_starts_and_not_by_an_auditor(
    console: Console,
) -> None:
    poster, _ = await furnish(console)
    browser = await console.sign_in(UserRole.POSTER, agency=poster)
    await browser.get("/exercises/new")
    made = await browser.post("/exercises", typed(console))
    path = made.headers["location"].partition("?")[0]
    auditor = await console.sign_in(UserRole.AUDITOR)
    assert "Call it off" not in (await auditor.get(path)).text
    await auditor.post(f"{path}/cancel", {}, status=403)
    await browser.follow(await browser.post(f"{path}/cancel", {}))
    assert "✗ called off" in browser.page
    again = await browser.post(f"{path}/cancel", {}, status=409)
    assert "called off already" in again.text


async def test_what_is_wrong_stands_beside_its_field_and_nothing_is_stored(
    console: Console,
) -> None:
    poster, _ = await furnish(console)
    browser = await console.sign_in(UserRole.OPERATOR)
    await browser.get("/exercises/new")
    before = await console.api.counts()
    for changes, sentence in (
        ({"agency": ""}, "Name the agency"),
        ({"ends": "soon"}, "Write a date and a time"),
        ({"ends": "9999-12-31T23:59"}, "Write a date and a time"),
        ({"ends": "2001-01-01T00:00"}, "give a time after starts_at"),
        ({"counties": "99999"}, "99999"),
        ({"counties": ""}, "place"),
        ({"callback": "ring me"}, "+1"),
        ({"class": "Q"}, "one of"),
    ):
        form = typed(console, **{"agency": poster.id, **changes})
        page = await browser.post("/exercises", form, status=422)
        assert 'aria-invalid="true"' in page.text, changes
        assert form["headline"] in page.text
        assert sentence in page.text, changes
    assert await console.api.counts() == before


async def test_exercise_is_run_at_once_and_whoever_completes_it_has_a_certificate_to_print(
    console: Console,
) -> None:
    poster, school = await furnish(console)
    browser = await console.sign_in(UserRole.POSTER, agency=poster)
    await browser.get("/exercises/new")
    made = await browser.post("/exercises", typed(console))
    page = await browser.follow(made)
    path, form = made.headers["location"].partition("?")[0], {"key": key_on(page.text)}
    auditor = await console.sign_in(UserRole.AUDITOR)
    assert "Run it now" not in (await auditor.get(path)).text
    await auditor.post(f"{path}/run", form, status=403)

    begun = await browser.post(f"{path}/run", form)
    again = await browser.post(f"{path}/run", form)
    assert again.headers["location"] == begun.headers["location"]
    run = begun.headers["location"].partition("?")[0]
    assert run != path
    assert "▶ running" in (await browser.follow(begun)).text
    assert "○ to come" in (await browser.get(path)).text
    await browser.get(f"{run}/certificate", status=404)

    front_desk = await console.api.caller(Scope.ANSWER, agency=school)
    (told,) = (await front_desk.get("/v1/notices"))["items"]
    await front_desk.post(f"/v1/notices/{told['id']}/acknowledgements", ACCEPTED)
    await Sequencer(console.desk).sweep()

    own = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=school)
    linked = (await own.get(f"/agencies/{school.id}")).text
    assert f"{run}/certificate?agency={school.id}" in linked
    sheet = (await own.get(f"{run}/certificate?agency={school.id}")).text
    async with console.desk.database.read() as conn:
        answered = entries.c.type == "acknowledgement.recorded"
        proof = (await conn.execute(sa.select(entries).where(answered))).mappings().one()
    said = (
        "EXERCISE",
        "Scott Schools",
        "Autumn &lt;b&gt;exercise&lt;/b&gt;",
        "within the deadline",
    )
    for one in (*said, f"index {proof['index']},", proof["leaf_hash"].hex()):
        assert one in sheet
    assert f"{run}/certificate" in (await auditor.get("/exercises")).text
    await own.get(f"{run}/certificate?agency={poster.id}", status=404)
    async with console.desk.database.begin() as conn:
        await conn.execute(sa.update(obligations).values(notice_class=NoticeClass.D))
    sheet = (await own.get(f"{run}/certificate?agency={school.id}")).text
    assert "delivered; no answer is asked" in sheet
    assert "Time to answer" not in sheet
    church = await add_agency(console.desk, "St. Brigid", kind=AgencyKind.FAITH)
    stranger = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=church)
    await stranger.get(f"{run}/certificate", status=404)


@pytest.mark.parametrize(("status", "is_drill"), [("exercise", True), ("actual", False)])
async def test_every_page_of_an_exercise_bears_its_mark(
    console: Console,
    status: str,
    is_drill: bool,
) -> None:
    poster, school = await furnish(console)
    notice = await post_notice(
        console.desk, poster, body=notice_body(console.desk, status=status, headline="At Morton")
    )
    owed = await obligation_of(console.desk, notice, school.id)
    (order,) = await add_orders(console.desk, 1, agency_id=school.id)
    sent = {"notice_id": notice.id, "incident_id": notice.incident_id, "obligation_id": owed.id}
    (delivery,) = await add_deliveries(console.desk, (order, sent))
    now = console.desk.machine.now()
    attempt = Attempt(
        delivery_id=delivery.id,
        number=1,
        started_at=now,
        finished_at=now,
        outcome=Outcome.FAILED,
        fault=Fault.RECIPIENT,
        status_code=500,
        error="",
        duration_ms=3,
        response_excerpt="",
        body_digest="none",
    )
    async with console.desk.database.begin() as conn:
        await insert_attempts(conn, [attempt])
    browser = await console.sign_in(UserRole.OPERATOR)

    for path in (
        f"/reports/unacknowledged?status={status}",
        f"/incidents?status={status}",
        f"/incidents/{notice.incident_id}",
        f"/incidents/{notice.incident_id}/resend",
        f"/notices/{notice.id}",
        f"/obligations/{owed.id}",
        f"/obligations/{owed.id}/attend",
        f"/obligations/{owed.id}/answer",
        f"/deliveries/{delivery.id}",
        f"/endpoints/{order.id}",
    ):
        page = (await browser.get(path)).text
        shown = page[page.index("</header>") :]
        marks = re.findall(r"<strong>(?:DRILL\b|THIS IS AN EXERCISE)", shown)
        assert bool(marks) is is_drill, path
