"""Recipients: the list, and each one's page, which says before the event whether it is reached."""

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from harness.console import Browser, Console
from harness.desk import (
    add_agency,
    add_contact,
    notice_body,
    obligation_of,
    post_notice,
    principal,
    world,
)
from harness.orders import add_deliveries, add_orders
from harness.statements import statements_of
from noticebus.casework import delegations, rosters
from noticebus.casework.page_views import ENTRY_TYPE
from noticebus.casework.rosters import Span
from noticebus.contracts.delegation import DelegationPost
from noticebus.contracts.roster import RosterPut
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    Channel,
    DelegationHours,
    DeliveryState,
    EndpointState,
    Fault,
    ObligationState,
    Outcome,
    Position,
    Scope,
    Status,
    UserRole,
)
from noticebus.domain.health import Health
from noticebus.ids import new_incident_id, new_obligation_id
from noticebus.store import endpoints
from noticebus.store.agencies import Agency
from noticebus.store.deliveries import Attempt, Delivery, insert_attempts
from noticebus.store.obligations import insert_obligations
from noticebus.store.tables import contacts, deliveries, entries, incidents

HOSTILE = "<img src=x onerror=alert(1)>"
TELEPHONE = "+16015550142"


@dataclass(frozen=True, kw_only=True)
class Seat:
    """The console, an operator, and one agency with two contacts."""

    console: Console
    operator: Browser
    agency: Agency

    @property
    def path(self) -> str:
        return f"/agencies/{self.agency.id}"


@pytest.fixture
async def seat(console: Console) -> Seat:
    """Furnish an agency of child protection with a head and a duty officer."""
    agency = await add_agency(console.desk, "Scott County CPS")
    await add_contact(console.desk, agency, "Hanna Head", position=Position.HEAD, phone=TELEPHONE)
    await add_contact(console.desk, agency, HOSTILE, email="duty@agency.example")
    operator = await console.sign_in(UserRole.OPERATOR)
    return Seat(console=console, operator=operator, agency=agency)


def in_words(page: str) -> str:
    """Leave out how a page is marked up, and its white space."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


async def test_a_test_mail_to_a_contact_is_sent_once_and_its_real_error_is_on_the_page(
    seat: Seat,
) -> None:
    desk, operator = seat.console.desk, seat.operator
    await operator.get(seat.path)
    assert "Send a test mail" in operator.page
    assert "Send a test text" not in operator.page, "this bus has no telephone provider"
    found = re.search(r'action="(/agencies/[^"]+/contacts/[^"]+/test)"', operator.page)
    assert found is not None
    sent = await operator.post(found[1], {"by": "email"})
    await operator.get(sent.headers["location"].partition("#")[0])
    assert "On its way" in operator.page
    assert 'hx-trigger="every 2s"' in operator.page

    async with desk.database.begin() as conn:
        rows = (await conn.execute(sa.select(deliveries))).mappings()
        (delivery,) = [Delivery(**row) for row in rows]
        now = desk.world.now()
        attempt = Attempt(
            delivery_id=delivery.id,
            number=1,
            started_at=now,
            finished_at=now,
            outcome=Outcome.REFUSED,
            fault=Fault.RECIPIENT,
            status_code=550,
            body_digest="",
            response_excerpt="550 no such mailbox",
            error="The mail relay said: 550 no such mailbox.",
            duration_ms=140,
        )
        await insert_attempts(conn, [attempt])
    assert (delivery.cause, delivery.subscription_id) == (Cause.TEST, None)
    page = await operator.get(f"{seat.path}?test={delivery.id}")
    assert "550 in 140 ms" in in_words(page.text)
    assert "no such mailbox" in page.text
    await operator.post(found[1], {"by": "email"}, status=409)
    assert "A test went there within this minute" in operator.page
    await operator.post(found[1], {"by": "sms"}, status=409)
    assert "No text message can be sent" in operator.page

    auditor = await seat.console.sign_in(UserRole.AUDITOR)
    await auditor.get(seat.path)
    assert "Send a test mail" not in auditor.page
    await auditor.post(found[1], {"by": "email"}, status=403)
    other = await add_agency(desk, "Another county")
    stranger = await seat.console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=other)
    await stranger.get("/")
    await stranger.post(found[1], {"by": "email"}, status=404)


async def owed(seat: Seat, count: int, *, status: Status = Status.ACTUAL, **facts: Any) -> None:
    """Copy an obligation of the agency `count` times, each to an incident of its own."""
    desk = seat.console.desk
    poster = await add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    notice = await post_notice(desk, poster, body=notice_body(desk))
    like = await obligation_of(desk, notice, seat.agency.id)
    async with desk.database.begin() as conn:
        row = (
            (await conn.execute(sa.select(incidents).where(incidents.c.id == notice.incident_id)))
            .mappings()
            .one()
        )
        for _ in range(count):
            incident_id = new_incident_id()
            await conn.execute(incidents.insert().values({**row, "id": incident_id}))
            one = replace(
                like, id=new_obligation_id(), incident_id=incident_id, status=status, **facts
            )
            await insert_obligations(conn, [one])


async def test_list_says_kind_reach_debts_and_endpoint_in_one_line_each(seat: Seat) -> None:
    desk = seat.console.desk
    lonely = await add_agency(desk, "Zion Church", kind=AgencyKind.FAITH)
    (down,) = await add_orders(desk, 1, agency_id=lonely.id)
    async with desk.database.begin() as conn:
        now = desk.world.now()
        await endpoints.insert_missing(conn, [down.id], now=now)
        health = Health(state=EndpointState.TRIPPED, failures=10)
        await endpoints.write(conn, {down.id: health}, now=now)
    await owed(seat, 1, due_at=desk.world.now())

    page = in_words((await seat.operator.get("/agencies?area=28123")).text)

    assert "Scott County CPS child protection ✓ reachable 2 1 none" in page
    assert "Zion Church church ✕ no viable path 1 0 ✕ held back" in page


async def test_list_is_narrowed_by_name_kind_and_place(seat: Seat) -> None:
    desk = seat.console.desk
    await add_agency(desk, "scott schools", kind=AgencyKind.SCHOOL_DISTRICT)
    await add_agency(desk, "Elsewhere CPS", county_fips="01001")
    await add_agency(desk, "100%_odd", county_fips=None)

    async def listed(query: str) -> list[str]:
        page = await seat.operator.get(f"/agencies?{query}")
        return re.findall(r'<a href="/agencies/agy_[0-9a-z]+">([^<]*)</a>', page.text)

    assert await listed("name=SCOTT") == ["Scott County CPS", "scott schools"]
    assert await listed("name=scott&kind=school_district") == ["scott schools"]
    assert await listed("area=01001") == ["Elsewhere CPS"]
    assert await listed("area=al") == ["Elsewhere CPS"]
    assert await listed("area=28") == ["Scott County CPS", "scott schools"]
    assert await listed("name=100%25_") == ["100%_odd"]
    assert await listed("name=%25") == []


@pytest.mark.parametrize("query", ["area=99999", "area=Narnia", "kind=spies"])
async def test_filter_that_names_nothing_says_what_to_write(seat: Seat, query: str) -> None:
    page = await seat.operator.get(f"/agencies?{query}", status=422)

    assert "Give a county" in page.text or "Choose one from the list" in page.text
    assert '<form class="nb-filter"' in page.text


async def test_list_goes_on_by_name_and_takes_as_many_statements_for_fifty(seat: Seat) -> None:
    desk = seat.console.desk
    with statements_of(desk) as few:
        await seat.operator.get("/agencies")
    for number in range(55):
        agency = await add_agency(desk, f"Agency {number:02}", county_fips=None)
        await add_contact(desk, agency, f"Person {number}")
    with statements_of(desk) as many:
        first = await seat.operator.get("/agencies?name=agency")
    found = re.search(r'href="(/agencies\?name=agency&amp;after=[^"]+)"', first.text)
    assert found is not None
    second = await seat.operator.get(found[1].replace("&amp;", "&"))

    assert len(many) == len(few)
    names = re.findall(r">(Agency \d\d)<", first.text + second.text)
    assert names == [f"Agency {number:02}" for number in range(55)]


async def test_agency_sees_itself_alone_and_another_is_not_there(seat: Seat) -> None:
    other = await add_agency(seat.console.desk, "Elsewhere")
    theirs = await seat.console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=seat.agency)

    listed = await theirs.get("/agencies")
    own = await theirs.get(seat.path)
    await theirs.get(f"/agencies/{other.id}", status=404)
    await theirs.get("/agencies/agy_nothing", status=404)

    assert "Scott County CPS" in listed.text
    assert "Elsewhere" not in listed.text
    assert TELEPHONE in own.text


async def test_contacts_stand_up_the_line_and_hostile_names_are_text(seat: Seat) -> None:
    page = await seat.operator.get(seat.path)

    assert HOSTILE not in page.text
    assert page.text.index("&lt;img src=x") < page.text.index("Hanna Head")
    assert f'href="tel:{TELEPHONE}"' in page.text


async def test_looking_at_telephone_numbers_is_entered_once(seat: Seat) -> None:
    await seat.operator.get(seat.path)
    await seat.operator.get(seat.path)

    async with seat.console.desk.database.read() as conn:
        found = await conn.execute(sa.select(entries.c.body).where(entries.c.type == ENTRY_TYPE))
        bodies = [bytes(body).decode() for body in found.scalars()]
    assert len(bodies) == 1
    assert seat.agency.id in bodies[0]
    assert TELEPHONE not in bodies[0]


async def test_reach_counts_the_paths_that_were_proved_lately(seat: Seat) -> None:
    desk = seat.console.desk
    await add_orders(desk, 1, agency_id=seat.agency.id, name="old")
    (proved,) = await add_orders(desk, 1, agency_id=seat.agency.id, name="new")
    world(desk).advance(dt.timedelta(days=40))
    now = desk.world.now()
    await add_deliveries(
        desk, (proved, {"state": DeliveryState.DELIVERED, "due_at": None, "finished_at": now})
    )

    page = in_words((await seat.operator.get(seat.path)).text)

    # Two endpoints and one mail; no provider dials the telephone, so that it is no path of the bus.
    assert "1 of 3 paths tested in the last 30 days." in page
    assert "webhook “old” ✓ works not in the last 30 days" in page
    assert "Hanna Head, call ☎ by hand only" in page


async def test_no_viable_path_gives_the_reason(seat: Seat) -> None:
    lonely = await add_agency(seat.console.desk, "Lonely")
    paused = await add_agency(seat.console.desk, "Unverified")
    await add_contact(seat.console.desk, paused, "Nobody")
    async with seat.console.desk.database.begin() as conn:
        mine = contacts.c.agency_id == paused.id
        await conn.execute(contacts.update().where(mine).values(email_verified_at=None))

    nobody = await seat.operator.get(f"/agencies/{lonely.id}")
    unverified = await seat.operator.get(f"/agencies/{paused.id}")

    assert "No viable path: it has no contact and no endpoint." in nobody.text
    assert "No viable path: Nobody, mail: never verified." in unverified.text
    assert "has no contact" in nobody.text


async def test_figures_count_all_that_fell_due_and_the_silent_last(seat: Seat) -> None:
    desk = seat.console.desk
    started = desk.world.now()
    due, closed = started + dt.timedelta(hours=1), started + dt.timedelta(minutes=1)
    await owed(
        seat,
        8,
        state=ObligationState.CLOSED,
        due_at=due,
        delivered_at=started + dt.timedelta(seconds=20),
        closed_at=closed,
        next_step_at=None,
    )
    await owed(seat, 1, due_at=due)
    world(desk).advance(dt.timedelta(hours=2))

    page = in_words((await seat.operator.get(seat.path)).text)

    # Eight answered in a minute; one copy and the two it was copied from are silent.
    assert "Within target 72 % : 8 of 11 that fell due" in page
    assert "Half answered in 1 min (p50" in page
    assert "Nine in ten in not reached (p90)" in page
    assert "to its first delivery 20 s (p50), not reached (p90); n = 11 in a year" in page
    assert "from there to the answer 40 s (p50), not reached (p90)" in page


async def test_few_obligations_are_listed_without_a_percentage(seat: Seat) -> None:
    await owed(seat, 2, due_at=seat.console.desk.world.now())
    world(seat.console.desk).advance(dt.timedelta(minutes=1))

    page = in_words((await seat.operator.get(seat.path)).text)

    assert "Too few for a percentage" in page
    assert "Within target" not in page
    assert "✕ overdue not answered" in page


async def test_exercise_is_marked_and_in_no_figure(seat: Seat) -> None:
    before = in_words((await seat.operator.get(seat.path)).text)
    now = seat.console.desk.world.now()
    await owed(
        seat,
        1,
        status=Status.EXERCISE,
        state=ObligationState.CLOSED,
        closed_at=now + dt.timedelta(minutes=3),
    )

    page = in_words((await seat.operator.get(seat.path)).text)

    assert "It has never completed a drill." in before
    assert "It has never completed a drill." not in page
    assert "DRILL: the last 1 exercises" in page
    assert "acknowledged in time 3 min" in page
    assert "The last 1 actual obligations" in page


async def test_roster_calendar_delegation_policy_and_endpoints_are_shown(seat: Seat) -> None:
    desk = seat.console.desk
    admin = principal(Scope.ADMIN)
    other = await add_agency(desk, "Rankin County CPS")
    await delegations.create_delegation(
        desk,
        admin,
        agency_id=seat.agency.id,
        post=DelegationPost(delegate_id=other.id, hours=DelegationHours.OUT_OF_HOURS),
    )
    shift = {
        "contact": "Hanna Head",
        "position": "on_duty",
        "starts_at": "2019-08-07T12:00:00Z",
        "ends_at": "2019-08-07T20:00:00Z",
    }
    put = RosterPut.model_validate({"shifts": [shift]})
    await rosters.put_roster(
        desk, admin, agency_id=seat.agency.id, upload=put, span=Span(), revision=None
    )
    (order,) = await add_orders(desk, 1, agency_id=seat.agency.id, name="case system")

    text = (await seat.operator.get(seat.path)).text
    page = in_words(text)

    assert "on duty now, by the roster" in page
    assert "Hanna Head on duty Wed 07 Aug 2019, 07:00 CDT (12:00Z)" in page
    assert "Rankin County CPS stands in for it while it is closed" in page
    assert "The usual hours of its kind:" in page
    assert f'href="/endpoints/{order.id}"' in text
    assert "child protection : Scott County, MS" in page
    assert text.count("/policies/") == 4


async def test_page_takes_as_many_statements_whatever_the_agency_has(seat: Seat) -> None:
    await seat.operator.get(seat.path)
    with statements_of(seat.console.desk) as few:
        await seat.operator.get(seat.path)
    await owed(seat, 12)
    await add_orders(seat.console.desk, 5, agency_id=seat.agency.id)
    for number in range(5):
        await add_contact(seat.console.desk, seat.agency, f"Person {number}")
    await seat.operator.get(seat.path)
    with statements_of(seat.console.desk) as many:
        await seat.operator.get(seat.path)

    assert len(many) <= len(few) + 2  # the percentiles are asked once something fell due


async def test_inbox_of_an_agency_is_a_path_and_no_endpoint(seat: Seat) -> None:
    church = await add_agency(seat.console.desk, "Church", county_fips=None)
    await add_orders(
        seat.console.desk, 1, agency_id=church.id, channel=Channel.INBOX, url=None, name="feed"
    )

    listed = in_words((await seat.operator.get("/agencies?name=church")).text)
    page = in_words((await seat.operator.get(f"/agencies/{church.id}")).text)

    assert "Church child protection ✓ reachable 0 0 none" in listed
    assert "inbox “feed” ✓ works" in page
