"""Timelines of rosters: the person of that night is told, not the one who usually stands there."""

import datetime as dt
from dataclasses import replace

from harness import desk as furnish
from harness.desk import MORNING
from harness.system import Bus, hours, minutes
from noticebus.casework import agencies, calendars, rosters
from noticebus.casework.desk import Desk
from noticebus.casework.reports import Asked, read_report
from noticebus.contracts.agency import ContactPost
from noticebus.contracts.calendar import CalendarPut
from noticebus.contracts.vocabulary import AgencyKind, Position, Scope
from noticebus.store.agencies import Agency

ADMIN = furnish.principal(Scope.ADMIN)
HEADER = "contact,position,starts,ends"


async def roster(bus: Bus, agency: Agency, *rows: str) -> None:
    """Import rows of contact, position, starts and ends as the agency's roster."""
    await rosters.put_roster(
        bus.desk,
        ADMIN,
        agency_id=agency.id,
        upload=rosters.CsvFile(text="\n".join([HEADER, *rows])),
        span=rosters.Span(),
        revision=None,
    )


ABOUT_ROSTERS = frozenset({"nobody_on_duty", "roster_ends", "roster_gap"})
ABOUT_PEOPLE = ABOUT_ROSTERS | {"no_contact", "no_second_contact", "no_verified_channel"}


async def warned(bus: Bus) -> dict[str, str]:
    """Read the report's warnings about rosters: agency and code."""
    return dict(sorted(await warnings_of(bus.desk, ABOUT_ROSTERS)))


async def warnings_of(desk: Desk, codes: frozenset[str]) -> set[tuple[str, str]]:
    """Read who is warned of with one of `codes`, and with which."""
    read = await read_report(desk, ADMIN, asked=Asked(), output="json")
    return {
        (one.agency.name, one.code)
        for one in read.report.data_quality
        if one.agency is not None and one.code in codes
    }


async def add_temporary(
    bus: Bus,
    agency: Agency,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    phone: str | None = None,
) -> None:
    """Add a contact on duty, of the agency's name, who is valid for a time."""
    post = ContactPost(
        name=f"{agency.name} temporary",
        role="relief",
        position=Position.ON_DUTY,
        email=None if phone else f"{agency.name.lower().replace(' ', '.')}@relief.example",
        phone=phone,
        valid_from=since,
        valid_until=until,
    )
    await agencies.create_contact(bus.desk, ADMIN, agency_id=agency.id, post=post)


async def test_at_night_the_roster_s_person_is_mailed_and_by_day_the_usual_one(bus: Bus) -> None:
    """Ned has the night from 20:00 to 08:00; before and after it Dora stands on duty."""
    county = await bus.agency("County CPS", contacts_at=[Position.ON_DUTY], endpoint=False)
    ned = await furnish.add_contact(bus.desk, county.row, "Ned Night", position=Position.OTHER)
    await roster(bus, county.row, "Ned Night,on_duty,2019-08-07 20:00,2019-08-08 08:00")
    assert ned.email is not None, "made with one"

    morning = await bus.post_notice()
    await county.mailed(Position.ON_DUTY)
    await county.answers(morning)
    await bus.fast_forward(hours(14))  # 22:00 in Mississippi
    night = await bus.post_notice()
    await bus.expect_mail(ned.email)
    await bus.fast_forward(minutes(60))
    await bus.expect_mail(ned.email)  # the reminder reaches who has the night
    await county.answers(night)

    await bus.fast_forward(hours(9))
    after = await bus.post_notice()
    await county.mailed(Position.ON_DUTY)
    await county.answers(after)


async def test_a_head_who_has_the_night_is_told_once_at_each_step(bus: Bus) -> None:
    """The head takes a night of the desk: as on duty, and again as head; nobody gets it twice."""
    county = await bus.agency(
        "County CPS", contacts_at=[Position.ON_DUTY, Position.HEAD], endpoint=False
    )
    head = county.addresses[Position.HEAD]
    await roster(bus, county.row, f"{head},on_duty,2019-08-07 00:00,2019-08-08 08:00")

    notice = await bus.post_notice()
    await bus.expect_mail(head)
    for later in (minutes(60), minutes(30), minutes(30)):  # on duty, second (nobody: head), head
        await bus.fast_forward(later)
        await bus.expect_mail(head)
    await county.answers(notice)


async def test_an_early_release_ends_the_school_day_and_its_closure_moves_the_deadline(
    bus: Bus,
) -> None:
    """Thursday closes; a class B notice on Wednesday evening waits for Friday 06:30."""
    district = await bus.agency(
        "District", kind=AgencyKind.SCHOOL_DISTRICT, contacts_at=[Position.ON_DUTY], endpoint=False
    )
    put = CalendarPut.model_validate(
        {"closures": ["2019-08-08"], "bell": {"starts": "07:45", "dismissal": "15:10"}}
    )
    await calendars.put_calendar(bus.desk, ADMIN, agency_id=district.row.id, put=put, revision=None)

    await bus.fast_forward(hours(8))  # Wednesday 16:00, after the last bus
    notice = await bus.post_notice()
    await district.mailed(Position.ON_DUTY)

    owed = await district.obligation(notice)
    assert owed.due_at is not None
    assert owed.due_at >= dt.datetime(2019, 8, 9, 11, 30, tzinfo=dt.UTC)
    await district.answers(notice)


async def test_whoever_will_be_missing_in_the_coming_week_is_on_the_report(bus: Bus) -> None:
    usual = [Position.ON_DUTY]
    whole = await bus.agency("Whole", contacts_at=usual, endpoint=False)
    holes = await bus.agency("Holes", contacts_at=usual, endpoint=False)
    ends = await bus.agency("Ends", contacts_at=usual, endpoint=False)
    over = await bus.agency("Over", contacts_at=usual, endpoint=False)
    late = await bus.agency("Late", contacts_at=usual, endpoint=False)
    head = await bus.agency("Head only", contacts_at=[Position.HEAD], endpoint=False)
    covered = await bus.agency("Covered", contacts_at=[Position.HEAD], endpoint=False)
    await bus.agency("Without a roster", contacts_at=usual, endpoint=False)
    name = f"{whole.row.name} on_duty"
    await roster(
        bus,
        whole.row,
        f"{name},on_duty,2019-08-06 00:00,2019-08-08 00:00",
        f"{name},on_duty,2019-08-08 12:00,2019-08-20 00:00",  # a hole of exactly 12 hours
    )
    await roster(
        bus,
        holes.row,
        "Holes on_duty,on_duty,2019-08-07 00:00,2019-08-08 00:00",
        "Holes on_duty,on_duty,2019-08-08 13:00,2019-08-20 00:00",
    )
    await roster(bus, ends.row, "Ends on_duty,on_duty,2019-08-07 00:00,2019-08-10 00:00")
    await roster(bus, over.row, "Over on_duty,on_duty,2019-08-01 00:00,2019-08-02 00:00")
    await roster(bus, late.row, "Late on_duty,on_duty,2019-08-08 00:00,2019-08-20 00:00")
    await roster(bus, covered.row, "Covered head,on_duty,2019-08-07 00:00,2019-08-20 00:00")

    assert await warned(bus) == {
        "Holes": "roster_gap",
        "Ends": "roster_ends",
        "Over": "roster_ends",
        "Late": "roster_gap",
        "Head only": "nobody_on_duty",
    }
    assert head.row.name == "Head only"


async def test_who_is_valid_no_more_or_not_yet_counts_as_nobody(bus: Bus) -> None:
    """The clock stands at 7 August 2019, 13:00 UTC: validity ends, or begins, at that instant."""
    soon = MORNING + minutes(1)
    alone = await furnish.add_agency(bus.desk, "Alone")
    over = await bus.agency("Over", contacts_at=[Position.HEAD], endpoint=False)
    early = await bus.agency("Early", contacts_at=[Position.HEAD], endpoint=False)
    last_minute = await bus.agency("Last minute", contacts_at=[Position.HEAD], endpoint=False)
    relieved = await bus.agency("Relieved", contacts_at=[Position.HEAD], endpoint=False)
    await add_temporary(bus, alone, until=MORNING)
    await add_temporary(bus, over.row, until=MORNING)
    await add_temporary(bus, early.row, since=soon)
    await add_temporary(bus, last_minute.row, until=soon)
    await add_temporary(bus, relieved.row, since=MORNING)

    assert await warnings_of(bus.desk, ABOUT_PEOPLE) == {
        ("Alone", "no_contact"),
        ("Alone", "no_verified_channel"),
        ("Over", "nobody_on_duty"),
        ("Over", "no_second_contact"),
        ("Early", "nobody_on_duty"),
        ("Early", "no_second_contact"),
    }


async def test_a_shift_counts_only_while_its_contact_is_valid(bus: Bus) -> None:
    """Each has a roster over the coming seven days, of somebody who is not there for all of it."""
    spans = {
        "Ends": (None, MORNING + hours(48)),
        "Late": (MORNING + hours(13), None),
        "Over": (None, MORNING - hours(1)),
        "Later": (MORNING + hours(8 * 24), None),
        "Whole": (MORNING - hours(1), MORNING + hours(8 * 24)),
        "Short": (MORNING + hours(12), None),
    }
    for name, (since, until) in spans.items():
        agency = await bus.agency(name, contacts_at=[Position.ON_DUTY], endpoint=False)
        await add_temporary(bus, agency.row, since=since, until=until)
        row = f"{name} temporary,on_duty,2019-08-06 00:00,2019-08-20 00:00"
        await roster(bus, agency.row, row)

    assert await warnings_of(bus.desk, ABOUT_ROSTERS) == {
        ("Ends", "roster_ends"),
        ("Late", "roster_gap"),
        ("Over", "roster_ends"),
        ("Later", "roster_ends"),
    }


async def test_a_telephone_counts_only_where_the_bus_has_a_provider(bus: Bus) -> None:
    ringing = replace(bus.desk, dials=True)
    agency = await bus.agency("Rural", contacts_at=[Position.HEAD], endpoint=False)
    rung = await bus.agency("Rung", contacts_at=[Position.HEAD], endpoint=False)
    dispatch = await furnish.add_agency(bus.desk, "Dispatch")
    await add_temporary(bus, agency.row, phone="+16015550131")
    await add_temporary(bus, rung.row, phone="+16015550132")
    await add_temporary(bus, dispatch, phone="+16015550133")
    row = "Rung temporary,on_duty,2019-08-06 00:00,2019-08-20 00:00"
    await roster(bus, rung.row, row)

    assert await warnings_of(bus.desk, ABOUT_PEOPLE) == {
        ("Rural", "nobody_on_duty"),
        ("Rural", "no_second_contact"),
        ("Rung", "nobody_on_duty"),
        ("Rung", "no_second_contact"),
        ("Dispatch", "nobody_on_duty"),
        ("Dispatch", "no_second_contact"),
        ("Dispatch", "no_verified_channel"),
    }
    assert await warnings_of(ringing, ABOUT_PEOPLE) == {("Dispatch", "no_second_contact")}
