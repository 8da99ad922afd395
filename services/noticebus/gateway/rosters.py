"""Rosters over HTTP: as JSON, as CSV or as an iCalendar file."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ValidationError

from noticebus.casework import rosters as casework
from noticebus.casework.rosters import CsvFile, IcsFile, RosterRead, Span, Upload
from noticebus.contracts.base import Instant
from noticebus.contracts.roster import RosterPut, RosterView, ShiftView
from noticebus.gateway.calendars import ICS, text_of
from noticebus.gateway.dependencies import Caller, IfMatch, TheDesk, set_etag
from noticebus.gateway.examples import CSV_ROSTER, ICS_ROSTER, ROSTER_EXAMPLES, file_example
from noticebus.gateway.middleware import media_type_of
from noticebus.gateway.problems import EDITED, READ, from_validation, responses
from noticebus.store.rows import values_of

CSV = "text/csv"
JSON = "application/json"

router = APIRouter(prefix="/v1/agencies", tags=["agencies"])


async def get_span(
    start: Annotated[
        Instant | None, Query(alias="from", description="From this instant, with its zone.")
    ] = None,
    end: Annotated[
        Instant | None, Query(alias="until", description="To before this instant, with its zone.")
    ] = None,
) -> Span:
    """Read the bounds of a span of time from the query."""
    return Span(start=start, end=end)


TheSpan = Annotated[Span, Depends(get_span)]


def inlined(model: type[BaseModel]) -> dict[str, Any]:
    """Give a model's schema without references, for where the framework has no body to describe."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def inline(node: Any) -> Any:
        if isinstance(node, list):
            return [inline(one) for one in node]
        if not isinstance(node, dict):
            return node
        whole = {**node, **parts[node["$ref"].rpartition("/")[2]]} if "$ref" in node else node
        return {name: inline(value) for name, value in whole.items() if name != "$ref"}

    found: dict[str, Any] = inline(schema)
    return found


@router.get("/{agency_id}/roster", responses=responses(*READ))
async def get_roster(
    agency_id: str, span: TheSpan, desk: TheDesk, caller: Caller, response: Response
) -> RosterView:
    """Read who holds which position when. Without `from`, from now; without `until`, for 31 days.

    At most 2,000 shifts. The `ETag` is what the next `PUT` sends back in `If-Match`.
    """
    found = await casework.get_roster(desk, caller, agency_id=agency_id, span=span)
    return _roster(found, response)


@router.put(
    "/{agency_id}/roster",
    responses=responses(*EDITED),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": inlined(RosterPut), "examples": ROSTER_EXAMPLES},
                CSV: {"schema": {"type": "string"}, "examples": file_example(CSV_ROSTER)},
                ICS: {"schema": {"type": "string"}, "examples": file_example(ICS_ROSTER)},
            },
        }
    },
)
async def put_roster(  # noqa: PLR0913, PLR0917 - the parts of a request
    agency_id: str,
    request: Request,
    span: TheSpan,
    desk: TheDesk,
    caller: Caller,
    if_match: IfMatch,
    response: Response,
) -> RosterView:
    """Replace every shift that begins within a span of time, all or nothing.

    Send JSON, CSV (`contact,position,starts,ends`) or an iCalendar file. The span is that of the
    shifts sent, or from `from` to `until`. Two shifts of one position never overlap; each fault
    names its row, its event's UID or its place in the JSON. Needs `If-Match`, except the first
    time. With an agency's own key (scope `subscribe`) for itself, or with `admin` or `operate`.
    """
    found = await casework.put_roster(
        desk,
        caller,
        agency_id=agency_id,
        upload=await _upload(request),
        span=span,
        revision=if_match,
    )
    return _roster(found, response)


async def _upload(request: Request) -> Upload:
    text = await text_of(request, JSON, CSV, ICS)
    match media_type_of(request.headers):
        case "text/csv":
            return CsvFile(text=text)
        case "text/calendar":
            return IcsFile(text=text)
        case _:
            return _put(text)


def _put(text: str) -> RosterPut:
    try:
        return RosterPut.model_validate_json(text)
    except ValidationError as error:
        faults = [
            {**fault, "loc": ("body", *(fault["loc"] or (0,)))}
            if fault["type"] == "json_invalid"
            else {**fault, "loc": ("body", *fault["loc"])}
            for fault in error.errors(include_url=False)
        ]
        raise from_validation(faults, model=RosterPut) from error


def _roster(read: RosterRead, response: Response) -> RosterView:
    revision = 0 if read.roster is None else read.roster.revision
    set_etag(response, revision)
    return RosterView(
        agency_id=read.agency.id,
        zone=read.agency.zone,
        revision=revision,
        updated_at=None if read.roster is None else read.roster.updated_at,
        from_=read.start,
        until=read.end,
        shifts=tuple(_shift(values_of(one.shift), name=one.contact_name) for one in read.shifts),
    )


def _shift(values: dict[str, Any], *, name: str) -> ShiftView:
    shown = {key: value for key, value in values.items() if key in ShiftView.model_fields}
    return ShiftView(**shown, contact_name=name)
