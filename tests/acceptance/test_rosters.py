"""Timelines of rosters: the person of that night is told, not the one who usually stands there."""

import datetime as dt

from harness import desk as furnish
from harness.system import Bus, hours, minutes
from noticebus.casework import calendars, rosters
from noticebus.casework.reports import Asked, read_report
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


async def warned(bus: Bus) -> dict[str, str]:
    """Read the report's warnings about rosters: agency and code."""
    read = await read_report(bus.desk, ADMIN, asked=Asked(), output="json")
    codes = {"nobody_on_duty", "roster_ends", "roster_gap"}
    return {
        one.agency.name: one.code
        for one in read.report.data_quality
        if one.agency is not None and one.code in codes
    }


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
