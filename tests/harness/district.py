"""A furnished school district: a principal, a second, a superintendent, and the bus's operators."""

import datetime as dt
from dataclasses import dataclass

from harness import desk as furnish
from harness.desk import SCOTT_COUNTY, add_agency
from noticebus.casework.agencies import create_contact
from noticebus.casework.calendars import put_calendar
from noticebus.casework.desk import Desk
from noticebus.contracts.agency import ContactPost
from noticebus.contracts.calendar import CalendarPut
from noticebus.contracts.vocabulary import AgencyKind, Position, Scope
from noticebus.store.agencies import Agency

ZONE = dt.timezone(dt.timedelta(hours=-5), "CDT")
DISMISSAL = "15:10"
EARLY_DAY, EARLY_DISMISSAL = "2019-08-16", "12:00"
LINE = (
    ("A. Lee", "principal on duty", Position.ON_DUTY, "+16015550121"),
    ("B. Ortiz", "assistant principal", Position.SECOND, "+16015550122"),
    ("C. Stone", "superintendent", Position.HEAD, "+16015550123"),
)
OPERATOR = ("R. Example", "operator on duty", Position.ON_DUTY, "+16015550101")


@dataclass(frozen=True, slots=True, kw_only=True)
class District:
    """The district and the operators behind it."""

    row: Agency
    operators: Agency


async def furnish_district(desk: Desk, *, county_fips: str | None = SCOTT_COUNTY) -> District:
    """Furnish a district whose last bus leaves at 15:10, at noon on one Friday, and operators."""
    row = await add_agency(
        desk, "Scott County Schools", kind=AgencyKind.SCHOOL_DISTRICT, county_fips=county_fips
    )
    operators = await add_agency(desk, "Bus operators", kind=AgencyKind.OPERATOR)
    for agency, person in (*((row, one) for one in LINE), (operators, OPERATOR)):
        name, role, position, phone = person
        address = f"{name.split()[-1].lower()}@agency.example"
        post = ContactPost(name=name, role=role, position=position, email=address, phone=phone)
        admin = furnish.principal(Scope.ADMIN)
        await create_contact(desk, admin, agency_id=agency.id, post=post)
    await state_calendar(desk, row)
    return District(row=row, operators=operators)


async def state_calendar(desk: Desk, row: Agency) -> None:
    """State the district's bell schedule."""
    put = CalendarPut.model_validate(
        {
            "bell": {
                "starts": "07:45",
                "dismissal": DISMISSAL,
                "early_release": [{"day": EARLY_DAY, "dismissal": EARLY_DISMISSAL}],
            }
        }
    )
    admin = furnish.principal(Scope.ADMIN)
    await put_calendar(desk, admin, agency_id=row.id, put=put, revision=None)
