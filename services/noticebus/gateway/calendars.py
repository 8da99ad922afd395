"""Agencies' calendars over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from noticebus.casework import calendars as casework
from noticebus.casework.calendars import CalendarRead
from noticebus.contracts.calendar import CalendarPut, CalendarView, HoursPart
from noticebus.domain.working_time import Hours
from noticebus.errors import BadRequestError
from noticebus.gateway.dependencies import Caller, IfMatch, TheDesk, set_etag
from noticebus.gateway.examples import CALENDAR_EXAMPLES, ICS_CALENDAR, file_example
from noticebus.gateway.middleware import media_type_of
from noticebus.gateway.problems import EDITED, READ, responses
from noticebus.store.calendars import WEEKDAYS

ICS = "text/calendar"

router = APIRouter(prefix="/v1/agencies", tags=["agencies"])


@router.get("/{agency_id}/calendar", responses=responses(*READ))
async def get_calendar(
    agency_id: str, desk: TheDesk, caller: Caller, response: Response
) -> CalendarView:
    """Read when an agency works. Its `ETag` is what an edit sends back in `If-Match`.

    `hours` are those in force. An agency that has stated nothing has the usual ones of its kind, at
    revision 0.
    """
    found = await casework.get_calendar(desk, caller, agency_id=agency_id)
    return _calendar(found, response)


@router.put("/{agency_id}/calendar", responses=responses(*EDITED))
async def put_calendar(
    agency_id: str,
    put: Annotated[CalendarPut, Body(openapi_examples=CALENDAR_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
) -> CalendarView:
    """State an agency's whole calendar: hours, closures, and a school's terms and bell schedule.

    What you leave out is no longer stated. Needs `If-Match`, except the first time. With an
    agency's own key (scope `subscribe`) for itself, or with `admin` or `operate`.
    """
    found = await casework.put_calendar(
        desk, caller, agency_id=agency_id, put=put, revision=if_match
    )
    return _calendar(found, response)


@router.post(
    "/{agency_id}/calendar/import",
    responses=responses(*EDITED),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                ICS: {"schema": {"type": "string"}, "examples": file_example(ICS_CALENDAR)}
            },
        }
    },
)
async def import_calendar(
    agency_id: str,
    request: Request,
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
) -> CalendarView:
    """Merge the events of an iCalendar file (RFC 5545) into an agency's calendar.

    An event's category says what it is: `TERM` (all day), `EARLY-RELEASE` (its start is the
    dismissal), `CLOSURE`, or none with an all-day event: a closure. Any other refuses the file,
    and `errors` names the event by its UID. What is over is left out.
    """
    text = await text_of(request, ICS)
    found = await casework.import_calendar(
        desk, caller, agency_id=agency_id, text=text, revision=if_match
    )
    return _calendar(found, response)


async def text_of(request: Request, *media_types: str) -> str:
    """Read a body of one of `media_types`; 415 where it is another, 400 where there is none."""
    body = await request.body()
    if media_type_of(request.headers) not in media_types:
        raise BadRequestError(
            f"Send the body with 'Content-Type: {' or '.join(media_types)}', and say which it is.",
            code="unsupported-media-type",
        )
    if not body.strip():
        raise BadRequestError("The body is empty. Send the file as the body of the request.")
    return body.decode()  # UTF-8, as the guard of the body has seen


def _calendar(read: CalendarRead, response: Response) -> CalendarView:
    set_etag(response, read.revision)
    return CalendarView(
        agency_id=read.agency.id,
        zone=read.agency.zone,
        holidays_state=read.agency.holidays_state,
        own_hours=read.stated.hours is not None,
        hours=_hours(read.calendar.hours),
        closures=read.stated.closures,
        terms=read.stated.terms,
        bell=read.stated.bell,
        revision=read.revision,
        updated_at=read.updated_at,
    )


def _hours(hours: Hours) -> HoursPart:
    return HoursPart(
        opens=hours.opens,
        closes=hours.closes,
        weekdays=tuple(WEEKDAYS[day] for day in sorted(hours.weekdays)),
        rests_on_holidays=hours.rests_on_holidays,
    )
