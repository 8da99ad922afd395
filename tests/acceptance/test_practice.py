"""What practice asks for (research/domain.md section 4.8) and no other timeline holds."""

import datetime as dt
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from harness import desk as furnish
from harness import telephone
from harness.place import Place
from harness.system import Bus, hours, minutes, open_bus
from harness.telephone import Provider
from noticebus.casework import reports, simulate
from noticebus.casework.reports import Asked
from noticebus.casework.signs_of_life import read_signs
from noticebus.clock import ManualClock
from noticebus.console.headline import headline
from noticebus.console.report import render_report
from noticebus.contracts.report import UnacknowledgedReport
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    Channel,
    NoticeClass,
    ObligationState,
    Position,
    Scope,
    Standing,
    Status,
)

NIGHT = dt.datetime(2019, 8, 7, 7, 0, tzinfo=dt.UTC)  # 2 in the morning in Mississippi
PHONE = "+16015550123"
A_NUMBER = re.compile(r"\b(?:no|zero|\d+) (?:child|niñ)|(?:children|niños): *\d", re.IGNORECASE)


@pytest.fixture
async def phones() -> AsyncIterator[Provider]:
    async with telephone.provider() as opened:
        yield opened


async def report_of(bus: Bus) -> UnacknowledgedReport:
    operator = furnish.principal(Scope.OPERATE)
    read = await reports.read_report(bus.desk, operator, asked=Asked(), output="json")
    return read.report


async def test_children_not_known_are_no_number_by_text_call_or_mail_and_a_word_on_the_page(
    place: Place, phones: Provider
) -> None:
    async with open_bus(place, world=ManualClock(NIGHT), telephone=phones) as bus:
        district = await bus.agency(
            "Scott County Schools", kind=AgencyKind.SCHOOL_DISTRICT, endpoint=False
        )
        await furnish.add_contact(bus.desk, district.row, "Dana Duty", phone=PHONE)
        county = await bus.agency(
            "Scott County CPS", contacts_at=[Position.ON_DUTY], endpoint=False
        )

        await bus.post_notice(**{"class": "A"})
        (text,) = await phones.texts(PHONE)
        (call,) = await phones.calls(PHONE)
        (mail,) = await county.mailed(Position.ON_DUTY)
        link = re.search(r"https?://\S+(/a/\S+)", mail.text)
        assert link is not None, mail.text
        transport = httpx2.ASGITransport(app=bus.system.app)
        async with httpx2.AsyncClient(transport=transport, base_url=bus.desk.base_url) as reader:
            page = await reader.get(link[1])

        for said in (text.text, call.text, mail.text):
            assert "children may be without a carer" in said
            assert A_NUMBER.search(said) is None, said
        assert page.status_code == 200
        assert "number not known" in page.text


@pytest.mark.parametrize("notice_class", ["A", "B"])
async def test_received_stops_no_step_where_accepted_is_asked(
    place: Place, notice_class: str
) -> None:
    async with open_bus(place) as bus:
        county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
        notice = await bus.post_notice(**{"class": notice_class})
        await county.receives("notice", notice)
        if notice_class == "A":  # over every channel at once
            await county.mailed(Position.ON_DUTY)

        await county.answers(notice, Answer.RECEIVED)
        heard = await county.obligation(notice)
        assert heard.next_step_at is not None
        await bus.fast_forward(heard.next_step_at - bus.world.now())
        await county.receives("step", notice)
        await county.mailed(Position.ON_DUTY)
        reminded = await county.obligation(notice)
        await county.answers(notice, Answer.ACCEPTED)
        await bus.fast_forward(hours(12))

        assert (heard.state, heard.received_at) == (ObligationState.OPEN, furnish.MORNING)
        assert reminded.state is ObligationState.OPEN
        assert (await county.obligation(notice)).state is ObligationState.CLOSED
        assert len(await county.steps(notice)) == 1


async def test_advisory_silence_is_listed_and_never_in_the_headline(place: Place) -> None:
    async with open_bus(place) as bus:
        county = await bus.agency("Scott County CPS")
        church = await bus.agency("St. Brendan Parish", kind=AgencyKind.FAITH, area_key=None)
        await bus.operators()  # who get no mail of it: the block fails if one arrives
        notice = await bus.post_notice()
        await county.receives("notice", notice)
        await church.receives("notice", notice)
        await bus.fast_forward(minutes(20))
        await county.answers(notice)

        await bus.fast_forward(hours(3))
        await church.receives("step", notice)
        await bus.fast_forward(hours(72))
        after = await report_of(bus)

        (silent,) = [one for one in after.items if one.standing is Standing.ADVISORY]
        assert (silent.agency.name, silent.state) == ("St. Brendan Parish", ObligationState.OPEN)
        assert silent.overdue_s is not None
        assert (after.summary.due, after.summary.open, after.summary.overdue) == (1, 0, 0)
        assert after.summary.closed_within_target_share == 1
        late = "no mandatory answer is overdue; 1 advisory one is"
        assert f"CHECK: {late}" in headline(after)
        for asked, said in (
            (Asked(), late),
            (Asked(kind=AgencyKind.FAITH), f"in this filter: {late}"),
            (Asked(as_of=after.as_of), f": {late}"),
        ):
            page = await page_of(bus, asked)
            assert said in page
            assert "nb-sentence--check" in page or "nb-sentence--unknown" in page


async def page_of(bus: Bus, asked: Asked) -> str:
    operator = furnish.principal(Scope.OPERATE)
    read = await reports.read_report(bus.desk, operator, asked=asked, output="html")
    return bytes(render_report(read, await read_signs(bus.desk)).body).decode()


async def test_advisory_bodies_without_contacts_never_make_the_bus_call_its_operators(
    place: Place, phones: Provider
) -> None:
    async with open_bus(place, telephone=phones) as bus:
        churches = [
            await bus.agency(f"Church {number}", kind=AgencyKind.FAITH, area_key=None)
            for number in range(3)
        ]
        await bus.operators()
        on_call = await furnish.add_agency(bus.desk, "Night operators", kind=AgencyKind.OPERATOR)
        await furnish.add_contact(bus.desk, on_call, "Operator at night", phone=PHONE)
        notice = await bus.post_notice(**{"class": "A"})
        for one in churches:
            await one.receives("notice", notice)

        for passed in (60, 60, 60):
            await bus.fast_forward(minutes(passed))
        for one in churches:
            await one.receives("step", notice)
        await bus.fast_forward(hours(24))

        for one in churches:
            fired = await one.steps(notice)
            owed = await one.obligation(notice)
            assert [step.notify for step in fired] == ["on_duty", "second", "operators"]
            assert [step.contact_ids for step in fired] == [[], [], []]
            assert not any(step.skipped for step in fired)
            assert (owed.state, owed.step) == (ObligationState.OPEN, 3)  # listed, and not parked
        types = [entry["type"] for entry in await bus.entries_of(notice.incident_id)]
        assert types.count("escalation.stepped") == 3 * len(churches)
        assert "obligation.parked" not in types
        listed = await report_of(bus)
        assert [one.standing for one in listed.items] == [Standing.ADVISORY] * len(churches)


async def test_a_simulation_calls_no_operators_for_an_advisory_body_without_contacts(
    place: Place,
) -> None:
    async with open_bus(place) as bus:
        church = await bus.agency("St. Brendan Parish", kind=AgencyKind.FAITH, area_key=None)
        await bus.operators()

        said = await simulate.simulate(
            bus.desk,
            furnish.principal(Scope.OPERATE),
            agency_id=church.row.id,
            notice_class=NoticeClass.A,
            status=Status.ACTUAL,
            at=furnish.MORNING,
        )

        steps = [one for one in said.calls if one.kind == "step"]
        assert said.standing is Standing.ADVISORY
        assert [one.contacts for one in steps] == [(), (), ()]
        assert [one.endpoints for one in steps] == [(Channel.WEBHOOK,), (), ()]
        assert steps[1].why == ("nobody has answered; nobody is at second, so no person is called")
        assert "on the operators' list" in steps[2].why
        assert not any("operators" in one for one in said.warnings)
