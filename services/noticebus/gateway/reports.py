"""The unacknowledged report over HTTP: as JSON, as CSV, as a page, and links to the page."""

import asyncio
import datetime as dt
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Request, Response

from noticebus.casework.report_cursor import CURSOR_MAX
from noticebus.casework.report_links import make_link
from noticebus.casework.reports import LIMIT_MAX, Asked, ReportRead, read_report
from noticebus.contracts.base import Instant, write_instant
from noticebus.contracts.report import UnacknowledgedReport
from noticebus.contracts.report_link import ReportLinkPost, ReportLinkView
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Status
from noticebus.errors import BadRequestError
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.examples import REPORT_LINK_EXAMPLES
from noticebus.gateway.problems import responses
from noticebus.gateway.report_csv import file_name, filter_words, render_csv

router = APIRouter(prefix="/v1/reports", tags=["reports"])

RenderPage = Callable[[ReportRead], Response]
PROBLEMS = ("unauthenticated", "forbidden", "invalid", "bad-request", "unavailable")


class ReportFormat(StrEnum):
    """The forms in which a report is given out."""

    JSON = "json"
    CSV = "csv"
    HTML = "html"


async def get_asked(  # noqa: PLR0913  (each is one parameter of the address)
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
    status: Annotated[
        Status, Query(description="An exercise never mixes with the actual.")
    ] = Status.ACTUAL,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Lines at most.")] = LIMIT_MAX,
    cursor: Annotated[
        str, Query(max_length=CURSOR_MAX, description="`next` of the page before; opaque.")
    ] = "",
) -> Asked:
    """Read from the query what a report is asked for."""
    return Asked(
        as_of=as_of,
        kind=kind,
        area=area,
        notice_class=notice_class,
        overdue=overdue,
        status=status,
        limit=limit,
        cursor=cursor,
    )


TheAsked = Annotated[Asked, Depends(get_asked)]


@router.get(
    "/unacknowledged",
    response_model=UnacknowledgedReport,
    responses={
        200: {"content": {"text/csv": {}, "text/html": {}}, "description": "The report."},
        **responses(*PROBLEMS),
    },
)
async def read_unacknowledged(
    request: Request,
    desk: TheDesk,
    caller: Caller,
    asked: TheAsked,
    form: Annotated[ReportFormat, Query(alias="format")] = ReportFormat.JSON,
) -> Response:
    """Read who has not answered, since when, and whom to call now, the most pressing first.

    Operators, administrators and auditors see every line; an agency sees its own, and as a poster
    those of the incidents it posted. The figures count mandatory obligations; `kind`, `area` and
    `class` narrow them, `overdue` narrows only the lines. Every report stands on a ledger `index`
    and is itself entered in the ledger. With `as_of` the same report comes again: `contact` is then
    null and `data_quality` empty, since both are about now. `format=csv` is safe to open in a
    spreadsheet; `format=html` is a page that prints.
    """
    render = _page_renderer(request) if form is ReportFormat.HTML else None
    read = await read_report(desk, caller, asked=asked, output=form)
    if render is not None:
        response = await asyncio.to_thread(render, read)
    elif form is ReportFormat.CSV:
        response = await asyncio.to_thread(_csv, read)
    else:
        response = Response(read.report.model_dump_json(), media_type="application/json")
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


def _csv(read: ReportRead) -> Response:
    return Response(
        render_csv(read),
        media_type="text/csv; charset=utf-8; header=present",
        headers={"Content-Disposition": f'attachment; filename="{file_name(read.report)}"'},
    )


def _set_headers(request: Request, response: Response, read: ReportRead) -> None:
    """Say on every form what the report stands on, so that it can be asked for again."""
    report = read.report
    response.headers["Noticebus-Report-As-Of"] = write_instant(report.as_of)
    response.headers["Noticebus-Report-Index"] = str(report.index)
    response.headers["Noticebus-Report-Filter"] = filter_words(report)
    response.headers["Noticebus-Report-Rows"] = str(len(report.items))
    if report.next is not None:
        base_url = request.app.state.desk.base_url.rstrip("/")
        target = request.url.include_query_params(cursor=report.next)
        response.headers["Link"] = f'<{base_url}{target.path}?{target.query}>; rel="next"'
