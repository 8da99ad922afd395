"""The digest mail: when operators are told in counts how things stand, and that it names nobody."""

import asyncio
import datetime as dt
import json
from typing import Any

import sqlalchemy as sa

from harness import desk as furnish
from harness.member import Member
from harness.place import Place
from harness.system import Bus, hours, minutes, open_bus
from noticebus.contracts.vocabulary import AgencyKind, Cause, Position
from noticebus.ids import new_shift_id
from noticebus.ledger.digests import DigestClock
from noticebus.store import rosters
from noticebus.store.agencies import Agency, Contact
from noticebus.store.rosters import ShiftRow
from noticebus.store.tables import deliveries, entries

TIMES = "07:00 19:00"  # 12:00Z and 00:00Z in summer; the bus begins at 13:00Z


async def operators(bus: Bus, *people: str) -> tuple[Agency, list[Contact]]:
    """Add the bus's operators: the first stands at the desk, the others elsewhere."""
    row = await furnish.add_agency(bus.desk, "Bus operators", kind=AgencyKind.OPERATOR)
    contacts = [
        await furnish.add_contact(
            bus.desk, row, name, position=Position.OTHER if number else Position.ON_DUTY
        )
        for number, name in enumerate(people)
    ]
    return row, contacts


async def silent_county(bus: Bus, **changes: Any) -> tuple[Member, Any]:
    """Let one county be told, which says nothing."""
    county = await bus.agency("Pine County CPS", contacts_at=())
    return county, await bus.post_notice(**changes)


def clock(bus: Bus) -> DigestClock:
    return DigestClock(bus.desk, times=TIMES, is_on=True)


async def digests(bus: Bus) -> list[dict[str, Any]]:
    """Read what was made, in order, with the contact it goes to."""
    statement = (
        sa.select(deliveries.c.detail, deliveries.c.contact_id, deliveries.c.state)
        .where(deliveries.c.cause == Cause.DIGEST)
        .order_by(deliveries.c.created_at, deliveries.c.id)
    )
    async with bus.desk.database.read() as conn:
        rows = (await conn.execute(statement)).all()
    return [{**row.detail, "contact": row.contact_id, "state": row.state} for row in rows]


async def test_operator_on_duty_is_mailed_each_hour_of_silence_and_once_when_it_ends(
    place: Place,
) -> None:
    async with open_bus(place, digest=True, strict=False) as bus:
        _, (operator,) = await operators(bus, "Olga Operator")
        assert operator.email is not None
        await clock(bus).look()
        county, notice = await silent_county(bus)
        await bus.settled()

        await bus.fast_forward(minutes(60))
        first = await wait_for(bus, operator, 1)
        await bus.fast_forward(minutes(60))
        second = await wait_for(bus, operator, 2)
        await county.answers(notice)
        third = await wait_for(bus, operator, 3)

    subjects = [one.message["Subject"] for one in (first, second, third)]
    assert subjects[0].startswith("ACTION: 1 not answered, oldest")
    assert subjects[0].endswith("(1st hourly)")
    assert subjects[1].endswith("(2nd hourly)")
    assert subjects[2] == "ALL CLEAR: nothing is overdue any more, 0 open"
    address = f"{bus.desk.base_url}/reports/unacknowledged?overdue=true"
    assert address in first.text
    assert address in first.html
    for mail in (first, second, third):
        said = f"{mail.message['Subject']}\n{mail.text}\n{mail.html}"
        for named in (
            "Pine",
            "Scott",
            "Morton",
            "Olga",
            "28123",
            "+1601",
            notice.id,
            "inc_",
            "obl_",
        ):
            assert named not in said


async def wait_for(bus: Bus, contact: Contact, count: int) -> Any:
    """Wait for the nth digest that reaches a contact; other mails are looked past."""
    seen = 0
    while True:
        found = [
            one
            for one in bus.mail.arrivals.all
            if contact.email in one.recipients and is_digest(one.message["Subject"])
        ]
        if len(found) >= count:
            assert len(found) == count
            return found[-1]
        seen = len(bus.mail.arrivals.all)
        await bus.mail.arrivals.wait_for(seen + 1)


def is_digest(subject: str) -> bool:
    plain = subject.removeprefix("[EXERCISE] ")
    return plain.startswith(("ACTION:", "CHECK:", "CLEAR:", "ALL CLEAR:"))


async def test_two_engines_at_once_make_one_digest(place: Place) -> None:
    async with open_bus(place, roles=()) as bus:
        await operators(bus, "Olga Operator")
        first, second = clock(bus), clock(bus)
        await first.look()
        bus.world.advance(hours(11))  # 00:00Z: 7 in the evening

        async with asyncio.TaskGroup() as tasks:
            for one in (first, second, first, second):
                tasks.create_task(one.look())
        made = await digests(bus)
        bus.world.advance(minutes(30))
        await first.look()

        assert [(one["kind"], one["status"]) for one in made] == [("shift", "actual")]
        assert await digests(bus) == made


async def test_shifts_of_the_roster_decide_when_and_to_whom(place: Place) -> None:
    async with open_bus(place, roles=()) as bus:
        row, (_, night) = await operators(bus, "Olga Operator", "Nils Night")
        now = bus.world.now()
        await shift(bus, row, night, now + minutes(90), now + hours(9))
        looks = clock(bus)

        assert await looks.look() == now + minutes(60)
        bus.world.advance(minutes(60))
        assert await looks.look() == now + minutes(90)
        assert await digests(bus) == []
        bus.world.advance(minutes(30))
        assert await looks.look() == now + minutes(120)
        bus.world.advance(hours(9))  # 23:30Z: the roster has ended, and 19:00 local is 00:00Z
        await looks.look()
        before = await digests(bus)
        bus.world.advance(minutes(30))
        await looks.look()

        assert [one["contact"] for one in before] == [night.id]
        assert len(await digests(bus)) == 2


async def shift(
    bus: Bus, row: Agency, contact: Contact, starts_at: dt.datetime, ends_at: dt.datetime
) -> None:
    new = ShiftRow(
        id=new_shift_id(),
        agency_id=row.id,
        contact_id=contact.id,
        position=Position.ON_DUTY,
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=bus.world.now(),
    )
    async with bus.desk.database.begin() as conn:
        await rosters.insert_shifts(conn, [new])


async def test_exercise_has_a_digest_of_its_own_and_is_in_no_other(place: Place) -> None:
    async with open_bus(place, roles=()) as bus:
        await operators(bus, "Olga Operator")
        looks = clock(bus)
        await looks.look()
        await silent_county(bus, status="exercise")

        bus.world.advance(hours(1))
        await looks.look()

        (made,) = await digests(bus)
        assert (made["status"], made["kind"], made["tally"]["overdue"]) == ("exercise", "hourly", 1)
        bus.world.advance(hours(10))
        await looks.look()
        kinds = [
            (one["status"], one["kind"], one["tally"]["overdue"]) for one in await digests(bus)
        ]
        assert kinds[1:] == [("actual", "shift", 0), ("exercise", "shift", 1)]


async def test_a_bus_that_was_off_sends_one_digest_and_not_one_for_each_hour(place: Place) -> None:
    async with open_bus(place, roles=()) as bus:
        await operators(bus, "Olga Operator")
        looks = clock(bus)
        await looks.look()
        await silent_county(bus)

        bus.world.advance(hours(9))
        await looks.look()
        await looks.look()

        assert [one["kind"] for one in await digests(bus)] == ["hourly"]


async def test_a_digest_that_waits_gives_way_to_the_next_one(place: Place) -> None:
    async with open_bus(place, roles=()) as bus:
        await operators(bus, "Olga Operator")
        looks = clock(bus)
        await looks.look()
        await silent_county(bus)
        for _ in range(3):
            bus.world.advance(hours(1))
            await looks.look()

        made = await digests(bus)
        assert [one["state"] for one in made] == ["moot", "moot", "queued"]
        assert [one["number"] for one in made] == [1, 2, 3]


async def test_without_anybody_on_duty_everybody_with_mail_hears_and_without_operators_nobody(
    place: Place,
) -> None:
    async with open_bus(place, roles=()) as bus:
        looks = clock(bus)
        await looks.look()
        bus.world.advance(hours(11))
        await looks.look()
        assert await digests(bus) == []
        row = await furnish.add_agency(bus.desk, "Bus operators", kind=AgencyKind.OPERATOR)
        head = await furnish.add_contact(bus.desk, row, "Head", position=Position.HEAD)
        await furnish.add_contact(bus.desk, row, "Dialled", phone="+16015550177")
        bus.world.advance(hours(12))
        await looks.look()

        assert [one["contact"] for one in await digests(bus)] == [head.id]


async def test_each_digest_is_an_entry_with_counts_and_ids_alone(place: Place) -> None:
    async with open_bus(place, roles=()) as bus:
        row, _ = await operators(bus, "Olga Operator")
        looks = clock(bus)
        await looks.look()
        await silent_county(bus)
        bus.world.advance(hours(1))
        await looks.look()

        async with bus.desk.database.read() as conn:
            statement = sa.select(entries.c.body).where(entries.c.type == "digest.made")
            (body,) = (await conn.execute(statement)).scalars()
        data = json.loads(body)["data"]
        assert (data["agency_id"], data["mails"], data["kind"]) == (row.id, 1, "hourly")
        assert "Olga" not in body.decode()


async def test_digest_can_be_switched_off(place: Place) -> None:
    async with open_bus(place, digest=False) as bus:
        await operators(bus, "Olga Operator")
        await bus.system.digests.run()  # returns at once
        await bus.fast_forward(hours(11))

        assert await digests(bus) == []
