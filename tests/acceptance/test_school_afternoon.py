"""A school district late in its day: whom the bus calls when, as simulated and as it happens."""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness import telephone
from harness.district import ZONE, District, furnish_district
from harness.member import Posted
from harness.place import Place
from harness.system import Bus, open_bus
from harness.telephone import Provider
from noticebus.casework import links, speaking
from noticebus.casework.answer import Answered, GivenAnswer
from noticebus.casework.simulate import simulate
from noticebus.clock import ManualClock
from noticebus.console.acknowledge_view import Writer
from noticebus.console.texts import Language, text
from noticebus.contracts.policy import PolicySimulation
from noticebus.contracts.vocabulary import Answer, Cause, NoticeClass, Scope, Status
from noticebus.errors import InvalidError
from noticebus.store import agencies, notices, obligations
from noticebus.store.obligations import Obligation
from noticebus.store.tables import contacts

# On one database: the clock's rules are the same on both, and test_escalation runs on each.
pytestmark = pytest.mark.parametrize("place", ["postgresql"], indirect=True)

FRIDAY = "2019-08-09T13:50"
FIRST = ("+16015550121", "lee")
SECOND = ("+16015550122", "ortiz")
HEAD = ("+16015550123", "stone")
BEFORE = dt.timedelta(minutes=5)


def local(moment: str) -> dt.datetime:
    return dt.datetime.fromisoformat(moment).replace(tzinfo=ZONE).astimezone(dt.UTC)


def clock(instant: dt.datetime | None) -> str | None:
    return None if instant is None else f"{instant.astimezone(ZONE):%a %H:%M}"


@dataclass(frozen=True, kw_only=True)
class Town:
    """The system, its telephone provider and the district."""

    bus: Bus
    phones: Provider
    district: District

    async def simulated(self, notice_class: str, at: dt.datetime) -> PolicySimulation:
        """Ask what would happen."""
        return await simulate(
            self.bus.desk,
            furnish.principal(Scope.OPERATE),
            agency_id=self.district.row.id,
            notice_class=NoticeClass(notice_class),
            status=Status.ACTUAL,
            at=at,
        )

    async def until(self, moment: dt.datetime) -> None:
        """Let the clock run to a moment."""
        await self.bus.fast_forward(moment - self.bus.world.now())

    async def owed(self, notice: Posted) -> Obligation:
        """Read what the district owes."""
        async with self.bus.desk.database.read() as conn:
            found = await obligations.find_obligation(
                conn, incident_id=notice.incident_id, agency_id=self.district.row.id
            )
        assert found is not None
        return found

    async def happened(self, notice: Posted) -> list[Any]:
        """Give the steps that fired: when, which level, who, and each call by name and channel."""
        owed = await self.owed(notice)
        async with self.bus.desk.database.read() as conn:
            rows = await obligations.steps_of(conn, [owed.id])
            ids = {id_ for row in rows for id_ in row.contact_ids}
            people = await agencies.contacts_by_id(conn, ids)  # type: ignore[arg-type]
        called = {one.id: one for one in await self.bus.deliveries_of(notice)}
        of_step = {
            one["data"]["step"]: [called[id_] for id_ in one["data"]["deliveries"]]
            for one in await self.bus.entries_of(notice.incident_id)
            if one["type"] == "escalation.stepped" and one["data"]["obligation_id"] == owed.id
        }
        return [
            (
                clock(row.fired_at),
                row.notify,
                {people[id_].name for id_ in row.contact_ids},  # type: ignore[index]
                {
                    (people[one.contact_id].name, one.channel)
                    for one in of_step[row.step]
                    if one.contact_id is not None
                },
            )
            for row in rows
        ]

    def told_to(self, phone: str, name: str) -> tuple[str, str, str]:
        """Give what one person was told: the text message, the call, the subject of the mail."""
        handed = [one for one in self.phones.handed.all if one.to == phone]
        (text,) = [one.text for one in handed if one.kind == "Messages"]
        (call,) = [one.text for one in handed if one.kind == "Calls"]
        arrived = self.bus.mail.arrivals.all
        (mail,) = [one for one in arrived if f"{name}@agency.example" in one.recipients]
        return text, call, str(mail.message["Subject"])

    async def asks_for_time(self, notice: Posted, until: dt.datetime) -> Answered:
        """Ask for time by the district's own key."""
        return await speaking.answer_as_agency(
            self.bus.desk,
            furnish.principal(Scope.ANSWER, agency=self.district.row),
            notice_id=notice.id,
            given=GivenAnswer(
                answer=Answer.NEED_MORE_TIME, by_name="D. Clerk", by_role="clerk", eta=until
            ),
        )

    async def offered(self, notice: Posted) -> tuple[list[str | None], bool]:
        """Read until when the page offers time, and whether it offers that answer at all."""
        owed = await self.owed(notice)
        async with self.bus.desk.database.read() as conn:
            people = await agencies.list_contacts(conn, agency_id=owed.agency_id, after="", limit=1)
            about = (await notices.notices_by_id(conn, [notice.id]))[notice.id]
        claims = links.claims_of(obligation_id=owed.id, notice=about, contact_id=people[0].id)
        facts = await links.facts_of(self.bus.desk, claims)
        page = Writer(facts, language=Language.EN, places=self.bus.desk.places).page()
        times = [clock(dt.datetime.fromisoformat(value)) for value, _ in page.etas]
        return times, text(Language.EN, "answer_need_more_time") in page.otherwise

    def rung(self) -> list[str]:
        """Give the numbers that the provider was asked to ring, in order."""
        return [one.to for one in self.phones.handed.all if one.kind == "Calls"]


@pytest.fixture
async def town(place: Place) -> AsyncIterator[Town]:
    # Not strict: who is called is read from the records, since messages to one person are bundled.
    async with (
        telephone.provider() as phones,
        open_bus(
            place, world=ManualClock(local(FRIDAY) - BEFORE), telephone=phones, strict=False
        ) as bus,
    ):
        yield Town(bus=bus, phones=phones, district=await furnish_district(bus.desk))


async def test_at_13_50_on_a_friday_two_people_are_rung_at_once_and_the_rest_in_ten_minutes(
    town: Town,
) -> None:
    await town.until(local(FRIDAY))

    notice = await town.bus.post_notice(**{"class": "A"})
    await town.bus.settled()
    district = [one for one in town.rung() if one != "+16015550101"]  # the operators: no CPS here
    assert sorted(district) == ["+16015550121", "+16015550122"]  # each once
    await town.until(local("2019-08-09T13:55"))
    assert "+16015550123" in town.rung()
    await town.until(local("2019-08-09T14:00"))
    await town.until(local("2019-08-09T23:00"))

    owed = await town.owed(notice)
    assert [one[:3] for one in await town.happened(notice)] == [
        ("Fri 13:50", "first_two", {"A. Lee", "B. Ortiz"}),
        ("Fri 13:55", "head", {"C. Stone"}),
        ("Fri 14:00", "operators", {"R. Example"}),
    ]
    assert clock(owed.due_at) == "Fri 13:55"
    assert owed.policy["note"].startswith("The last bus leaves at 15:10")


async def test_the_two_rung_with_the_notice_are_told_of_it_and_who_comes_next_of_silence(
    town: Town,
) -> None:
    await town.until(local(FRIDAY))
    await town.bus.post_notice(**{"class": "A"})
    await town.bus.settled()
    first = [town.told_to(phone, name) for phone, name in (FIRST, SECOND)]
    await town.until(local("2019-08-09T13:55"))
    text, call, subject = town.told_to(*HEAD)

    for written, spoken, mailed in first:
        assert written.startswith("Notice bus: class A, children may be without a carer now")
        assert "Class A: children may be without a carer now" in spoken
        assert mailed.startswith("First notice: class A")
        assert "no answer" not in f"{written} {spoken} {mailed}".lower()
    assert "STILL NO ANSWER: class A" in text
    assert "There is still no answer." in call
    assert subject.startswith("Escalation: still no answer: class A")


async def test_operators_rung_with_the_notice_because_nobody_is_in_reach_are_told_of_silence(
    town: Town,
) -> None:
    await town.until(local(FRIDAY))
    async with town.bus.desk.database.begin() as conn:
        gone = sa.update(contacts).where(contacts.c.agency_id == town.district.row.id)
        await conn.execute(gone.values(ended_at=town.bus.world.now()))
    await town.bus.post_notice(**{"class": "A"})
    await town.bus.settled()
    rung = [one.text for one in town.phones.handed.all if "Scott County Schools" in one.text]
    subjects = [str(one.message["Subject"]) for one in town.bus.mail.arrivals.all]

    assert len(rung) == 2
    assert any("STILL NO ANSWER: class A" in one for one in rung)
    assert any("There is still no answer." in one for one in rung)
    assert any(one.startswith("Escalation: still no answer: class A") for one in subjects)
    assert not any(one.startswith("First notice") for one in subjects)


async def test_on_an_early_release_day_the_same_happens_in_the_morning(town: Town) -> None:
    await town.until(local("2019-08-16T09:31"))

    notice = await town.bus.post_notice(**{"class": "A"})
    await town.bus.settled()
    await town.until(local("2019-08-16T09:36"))
    await town.until(local("2019-08-16T09:41"))

    assert [one[:2] for one in await town.happened(notice)] == [
        ("Fri 09:31", "first_two"),
        ("Fri 09:36", "head"),
        ("Fri 09:41", "operators"),
    ]


async def test_a_class_b_notice_at_11_30_is_due_at_noon_and_its_chain_ends_before_14_10(
    town: Town,
) -> None:
    await town.until(local("2019-08-12T11:30"))

    notice = await town.bus.post_notice()
    for moment in ("12:00", "12:30", "13:00", "13:30"):
        await town.until(local(f"2019-08-12T{moment}"))

    owed = await town.owed(notice)
    steps = await town.happened(notice)
    assert clock(owed.due_at) == "Mon 12:00"
    assert [one[:2] for one in steps] == [
        ("Mon 12:00", "on_duty"),
        ("Mon 12:30", "second"),
        ("Mon 13:00", "head"),
        ("Mon 13:30", "operators"),
    ]
    assert max(one[0] for one in steps) <= "Mon 14:10"
    assert owed.policy["note"] == ""


async def test_no_promise_moves_the_calls_past_the_last_bus(town: Town) -> None:
    await town.until(local(FRIDAY))
    notice = await town.bus.post_notice(**{"class": "A"})
    await town.bus.settled()
    await town.until(local("2019-08-09T13:52"))

    offered = await town.offered(notice)
    with pytest.raises(InvalidError) as refused:
        await town.asks_for_time(notice, local("2019-08-09T15:52"))
    await town.until(local("2019-08-09T13:55"))
    await town.until(local("2019-08-09T14:00"))

    assert offered == ([], False)
    assert refused.value.code == "eta-too-far"
    assert "2019-08-09T18:55:00Z at the latest" in refused.value.message
    assert [one[:2] for one in await town.happened(notice)] == [
        ("Fri 13:50", "first_two"),
        ("Fri 13:55", "head"),
        ("Fri 14:00", "operators"),
    ]


async def test_a_promise_at_noon_keeps_the_chain_before_the_last_bus(town: Town) -> None:
    await town.until(local("2019-08-12T12:00"))
    notice = await town.bus.post_notice(**{"class": "A"})
    await town.bus.settled()

    offered = await town.offered(notice)
    with pytest.raises(InvalidError, match="17:55:00Z at the latest"):
        await town.asks_for_time(notice, local("2019-08-12T12:56"))
    given = await town.asks_for_time(notice, local("2019-08-12T12:55"))

    assert offered == (["Mon 12:30"], True)
    assert [clock(dt.datetime.fromisoformat(one)) for one in given.obligation.steps_at] == [
        "Mon 12:55",
        "Mon 13:10",
        "Mon 13:25",
        "Mon 13:40",
    ]


@pytest.mark.parametrize(
    ("notice_class", "moment"),
    [
        ("A", FRIDAY),
        ("A", "2019-08-09T20:00"),  # nobody is at school
        ("A", "2019-08-12T09:00"),
        ("B", "2019-08-09T14:30"),  # an hour left and no more
        ("B", "2019-08-09T16:00"),  # held to Monday
        ("B", "2019-08-15T19:00"),  # held to a day of early release
        ("C", "2019-08-09T14:00"),
        ("D", "2019-08-09T14:00"),
    ],
)
async def test_what_is_simulated_is_what_happens(
    town: Town, notice_class: str, moment: str
) -> None:
    await town.until(local(moment))
    said = await town.simulated(notice_class, local(moment))

    notice = await town.bus.post_notice(**{"class": notice_class})
    await town.bus.settled()
    for call in said.calls:
        if call.at > town.bus.world.now():
            await town.until(call.at)
    await town.until(town.bus.world.now() + dt.timedelta(hours=1))

    owed = await town.owed(notice)
    assert (said.due_at, said.held_until) == (owed.due_at, owed.held_until)
    assert (said.policy_id, said.policy_version) == (owed.policy["id"], owed.policy["version"])
    assert await town.happened(notice) == [
        (
            clock(one.at),
            one.notify,
            {called.name for called in one.contacts},
            {(called.name, channel) for called in one.contacts for channel in called.channels},
        )
        for one in said.calls
        if one.kind == "step"
    ]
    (first,) = (one for one in said.calls if one.kind == "notice")
    assert {
        one.channel
        for one in await town.bus.deliveries_of(notice)
        if one.obligation_id == owed.id
        and one.cause is Cause.NOTICE
        and one.created_at == local(moment)
    } == {channel for called in first.contacts for channel in called.channels}
