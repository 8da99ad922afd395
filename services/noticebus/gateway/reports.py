"""The unacknowledged report over HTTP: as JSON, as a file, as a page, and links to the page."""

import asyncio
import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, assert_never

from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from noticebus.casework.report_cursor import CURSOR_MAX
from noticebus.casework.report_export import LINES_MAX, FileForm, ReportFile, export_report
from noticebus.casework.report_links import make_link
from noticebus.casework.report_rows import filter_words
from noticebus.casework.report_xlsx import XlsxFile
from noticebus.casework.reports import LIMIT_MAX, Asked, ReportRead, read_report
from noticebus.casework.signs_of_life import Signs, read_signs
from noticebus.contracts.base import Instant, write_instant
from noticebus.contracts.report import Age, UnacknowledgedReport
from noticebus.contracts.report_link import ReportLinkPost, ReportLinkView
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Status
from noticebus.errors import BadRequestError
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.examples import REPORT_LINK_EXAMPLES
from noticebus.gateway.problems import responses

router = APIRouter(prefix="/v1/reports", tags=["reports"])

RenderPage = Callable[[ReportRead, Signs], Response]
PROBLEMS = ("unauthenticated", "forbidden", "invalid", "bad-request", "unavailable")


class ReportFormat(StrEnum):
    """The forms in which a report is given out."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    HTML = "html"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportQuery:
    """What a report is asked for, and how many lines of it at most, None where nothing is said."""

    asked: Asked
    limit: int | None


async def get_query(  # noqa: PLR0913  (each is one parameter of the address)
    *,
    as_of: Annotated[
        Instant | None,
        Query(description="As things stood then, rebuilt from the ledger; without it, now."),
    ] = None,
    kind: Annotated[AgencyKind | None, Query(description="Recipients of this kind.")] = None,
    area: Annotated[
        str | None,
        Query(
            max_length=90,
            description="Notices that touch this place: `28123`, `county:28123`, `state:28`, …",
        ),
    ] = None,
    notice_class: Annotated[NoticeClass | None, Query(alias="class")] = None,
    overdue: Annotated[
        bool | None, Query(description="Only lines past their deadline, or only those not.")
    ] = None,
    age: Annotated[
        Age | None,
        Query(
            description="Only lines that stand so to their deadline: `early`, `soon` (due within 15"
            " minutes), `late` (overdue by less than an hour), `later` (1 to 4 hours), `latest` (4"
            " to 24 hours), `oldest`."
        ),
    ] = None,
    status: Annotated[
        Status, Query(description="An exercise never mixes with the actual.")
    ] = Status.ACTUAL,
    limit: Annotated[
        int | None,
        Query(
            ge=1,
            le=LIMIT_MAX,
            description=f"Lines at most. Without it {LIMIT_MAX}, and in a file (`csv`, `xlsx`) the"
            f" whole report up to {LINES_MAX:,}.",
        ),
    ] = None,
    cursor: Annotated[
        str, Query(max_length=CURSOR_MAX, description="`next` of the page before; opaque.")
    ] = "",
) -> ReportQuery:
    """Read from the query what a report is asked for."""
    asked = Asked(
        as_of=as_of,
        kind=kind,
        area=area,
        notice_class=notice_class,
        overdue=overdue,
        status=status,
        limit=LIMIT_MAX if limit is None else limit,
        cursor=cursor,
        age=age,
    )
    return ReportQuery(asked=asked, limit=limit)


TheQuery = Annotated[ReportQuery, Depends(get_query)]


@router.get(
    "/unacknowledged",
    response_model=UnacknowledgedReport,
    responses={
        200: {
            "content": {"text/csv": {}, "text/html": {}, XlsxFile.media_type: {}},
            "description": "The report.",
        },
        **responses(*PROBLEMS),
    },
)
async def read_unacknowledged(
    request: Request,
    desk: TheDesk,
    caller: Caller,
    query: TheQuery,
    form: Annotated[ReportFormat, Query(alias="format")] = ReportFormat.JSON,
) -> Response:
    """Read who has not answered, since when, and whom to call now, the most pressing first.

    Operators, administrators and auditors see every line; an agency sees its own, and as a poster
    those of the incidents it posted. The figures count mandatory obligations; `kind`, `area` and
    `class` narrow them, `overdue` narrows only the lines. Every report stands on a ledger `index`
    and is itself entered in the ledger. With `as_of` the same report comes again: `contact` is then
    null and `data_quality` empty, since both are about now. `format=csv` and `format=xlsx` are
    whole and safe to open in a spreadsheet; `format=html` is a page that prints.
    """
    match form:
        case ReportFormat.CSV | ReportFormat.XLSX:
            made = await export_report(
                desk,
                caller,
                asked=query.asked,
                form=FileForm(form),
                lines_max=query.limit or LINES_MAX,
                has_left=request.is_disconnected,
            )
            return _file(request, made)
        case ReportFormat.HTML:
            render = _page_renderer(request)
            read = await read_report(desk, caller, asked=query.asked, output=form)
            signs = await read_signs(desk, agency_id=caller.agency_id)
            response = await asyncio.to_thread(render, read, signs)
        case ReportFormat.JSON:
            read = await read_report(desk, caller, asked=query.asked, output=form)
            response = Response(read.report.model_dump_json(), media_type="application/json")
        case _:
            assert_never(form)
    _set_headers(request, response, read)
    return response


@router.post(
    "/unacknowledged/links",
    status_code=201,
    responses=responses(*PROBLEMS),
)
async def link_unacknowledged(
    body: Annotated[ReportLinkPost, Body(openapi_examples=REPORT_LINK_EXAMPLES)],
    desk: TheDesk,
    caller: Caller,
) -> ReportLinkView:
    """Make a link that shows this report in a browser without a key, for 15 minutes to 12 hours.

    Whoever holds the link reads what your key may see; it ends early when your key does. Send it
    as you would send the key itself.
    """
    asked = Asked(
        kind=body.kind,
        area=body.area,
        notice_class=body.notice_class,
        overdue=body.overdue,
        status=body.status,
        as_of=body.as_of,
    )
    link = await make_link(
        desk, caller, asked=asked, valid_for=dt.timedelta(minutes=body.valid_minutes)
    )
    return ReportLinkView(url=link.url, expires_at=link.expires_at)


def _page_renderer(request: Request) -> RenderPage:
    """Give what `console.report.install` left for us: a service does not import its neighbour."""
    render: RenderPage | None = getattr(request.app.state, "render_report", None)
    if render is None:
        raise BadRequestError(
            "This process serves no pages. Ask for format=json or format=csv, or ask the operator"
            " for the address of the console."
        )
    return render


def _file(request: Request, made: ReportFile) -> Response:
    response = StreamingResponse(made.chunks(), media_type=made.media_type, headers=made.headers)
    _link_next(request, response, made.following)
    return response


def _set_headers(request: Request, response: Response, read: ReportRead) -> None:
    """Say on every form what the report stands on, so that it can be asked for again."""
    report = read.report
    response.headers["Noticebus-Report-As-Of"] = write_instant(report.as_of)
    response.headers["Noticebus-Report-Index"] = str(report.index)
    response.headers["Noticebus-Report-Filter"] = filter_words(report.filter)
    response.headers["Noticebus-Report-Rows"] = str(len(report.items))
    _link_next(request, response, report.next)


def _link_next(request: Request, response: Response, cursor: str | None) -> None:
    if cursor is not None:
        base_url = request.app.state.desk.base_url.rstrip("/")
        target = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{base_url}{target.path}?{target.query}>; rel="next"'
