"""The report as a page: it prints, works without a script, and opens by a short-lived link."""

import asyncio
import datetime as dt
import hashlib
from importlib.resources import files
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from noticebus.casework.desk import Desk
from noticebus.casework.report_cursor import CURSOR_MAX
from noticebus.casework.report_links import TOKEN_MAX, open_link
from noticebus.casework.reports import Asked, ReportRead, read_report
from noticebus.contracts.report import Percentile, UnacknowledgedReport
from noticebus.contracts.vocabulary import Notify, Outcome, Owed, Standing, Status
from noticebus.domain.figures import how_long
from noticebus.domain.mail import CLASS_WORDS
from noticebus.errors import NoticebusError, RefusedError

STYLE_PATH = "/static/report.css"
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
_STYLE = (files("noticebus.console") / "static" / "report.css").read_bytes()
_STYLE_VERSION = hashlib.sha256(_STYLE).hexdigest()[:12]
_STEPS = {
    Notify.ON_DUTY: "remind the desk on duty",
    Notify.FIRST_TWO: "tell the first two people up the line",
    Notify.SECOND: "tell the second contact",
    Notify.HEAD: "tell the head of the agency",
    Notify.ALL_CONTACTS: "tell every contact of the agency",
    Notify.DELEGATE: "tell who stands in for the agency",
    Notify.OPERATORS: "hand over to the operators",
}
_OUTCOMES = {
    Outcome.DELIVERED: "✓ delivered",
    Outcome.HANDED_OVER: "… with the telephone provider",
    Outcome.REFUSED: "✗ refused",
    Outcome.GONE: "✗ address gone",
    Outcome.FAILED: "✗ failed",
    Outcome.TIMED_OUT: "✗ no reply in time",
    Outcome.BLOCKED: "✗ address not allowed",
    Outcome.UNSENDABLE: "✗ could not be sent",
}
_DEBTS = {
    Owed.QUESTION: "the answer to a question",
    Owed.UPDATE: "the update it promised",
    Owed.NOTICE: "an answer to a notice",
}

router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Mount the page and its style, and let the gateway's `format=html` use the same page."""
    app.include_router(router)
    app.state.render_report = render_report


@router.get("/r/{token}")
async def show_linked_report(
    request: Request,
    token: Annotated[str, Path(max_length=TOKEN_MAX)],
    cursor: Annotated[str, Query(max_length=CURSOR_MAX)] = "",
) -> Response:
    """Show the report of a link, read only; a link that has ended says so on a page."""
    desk: Desk = request.app.state.desk
    try:
        principal, linked = await open_link(desk, token)
        asked = Asked(
            kind=linked.kind,
            area=linked.area,
            notice_class=linked.notice_class,
            overdue=linked.overdue,
            status=linked.status,
            as_of=linked.as_of,
            cursor=cursor,
        )
        read = await read_report(desk, principal, asked=asked, output="html")
    except RefusedError as error:
        return _refusal(error)
    return await asyncio.to_thread(render_report, read, linked=True)


@router.get(STYLE_PATH)
async def read_style() -> Response:
    """Give the one style sheet; its address changes with its content."""
    return Response(
        _STYLE,
        media_type="text/css; charset=utf-8",
        headers={"Cache-Control": "public, max-age=86400"},
    )


def render_report(read: ReportRead, *, linked: bool = False) -> Response:
    """Render the report as a page; behind a link, its next lines are behind the same link."""
    report = read.report
    page = _REPORT.render(
        report=report,
        zones=read.zones,
        asked_by=read.asked_by,
        unreachable=read.unreachable,
        is_past=read.is_past,
        linked=linked,
        headline=headline(report),
        title=title(report),
    )
    return Response(page, media_type="text/html; charset=utf-8", headers=PAGE_HEADERS)


def headline(report: UnacknowledgedReport) -> str:
    """Say the whole report in one sentence; CLEAR only where nothing at all waits for a person."""
    overdue, since = report.summary.overdue, report.summary.oldest_overdue_s
    if overdue and since is not None:
        who = "recipient has" if overdue == 1 else "recipients have"
        return (
            f"ACTION: {overdue} {who} not answered."
            f" Oldest: {_oldest(report, since)}{_duration(since)} overdue."
        )
    waiting = _waiting(report)
    if waiting:
        return f"CHECK: no answer is overdue, but {' and '.join(waiting)}."
    return "CLEAR: nothing is overdue."


def title(report: UnacknowledgedReport) -> str:
    """Name the page; the count of the overdue comes first, to be read in a row of tabs."""
    mark = "" if report.filter.status is Status.ACTUAL else f"{report.filter.status.upper()} "
    return f"({report.summary.overdue}) {mark}Unacknowledged notices"


def _oldest(report: UnacknowledgedReport, since: int) -> str:
    """Name the recipient that has been overdue longest, if it is on this page."""
    names = (
        item.agency.name
        for item in report.items
        if item.overdue_s == since and item.standing is Standing.MANDATORY
    )
    name = next(names, None)
    return "" if name is None else f"{name}, "


def _waiting(report: UnacknowledgedReport) -> list[str]:
    late = sum(debt.overdue_s is not None for debt in report.owed_by_posters)
    places = len(report.uncovered)
    said = []
    if places:
        said.append(f"{places} place{'s are' if places > 1 else ' is'} uncovered")
    if late:
        said.append(f"posters owe {late} answer{'s' if late > 1 else ''} or updates")
    return said


def _refusal(error: NoticebusError) -> Response:
    page = _REFUSED.render(title="This report cannot be shown", message=error.message)
    return Response(
        page,
        status_code=error.status,
        media_type="text/html; charset=utf-8",
        headers=PAGE_HEADERS,
    )


def _duration(seconds: int) -> str:
    return how_long(dt.timedelta(seconds=seconds))


def _percentile(value: Percentile) -> str:
    return value.label if value.seconds is None else _duration(value.seconds)


def _local(at: dt.datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%a %d %b %Y, %H:%M %Z}"


def _utc(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def _environment() -> Environment:
    pages = Environment(
        loader=PackageLoader("noticebus.console"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(
        duration=_duration, local=_local, utc=_utc, percentile=_percentile, words=_words
    )
    pages.globals.update(
        style_address=f"{STYLE_PATH}?v={_STYLE_VERSION}",
        classes=CLASS_WORDS,
        steps=_STEPS,
        outcomes=_OUTCOMES,
        debts=_DEBTS,
    )
    return pages


def _words(name: str) -> str:
    return name.replace("_", " ")


_PAGES = _environment()
_REPORT = _PAGES.get_template("report.html")  # read once, not in the event loop
_REFUSED = _PAGES.get_template("refused.html")
