"""The report as a page: it prints, works without a script, and opens by a short-lived link.

Whoever is signed in has it in the console's frame, with its filter and its files; behind a link and
from the interface for programs it stands alone and leads nowhere.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from noticebus.access.sessions import Visitor
from noticebus.casework.desk import Desk
from noticebus.casework.report_cursor import CURSOR_MAX
from noticebus.casework.report_export import FileForm, export_report
from noticebus.casework.report_links import TOKEN_MAX, open_link
from noticebus.casework.report_views import TO_DO
from noticebus.casework.reports import PAGE_OUTPUT, Asked, ReportRead, read_report, wanted_for
from noticebus.casework.signs_of_life import Signs, read_signs
from noticebus.console.pages import PageRoute, duration, local, render, utc, words, zulu
from noticebus.console.report_query import (
    PATH,
    Typed,
    Understood,
    faults_of,
    get_typed,
    understand,
)
from noticebus.console.report_view import AGES, WORDS, page_of, title_of
from noticebus.console.signs import icon
from noticebus.console.static_files import static
from noticebus.console.visitors import TheDesk, TheVisitor
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Status
from noticebus.domain.mail import CLASS_WORDS
from noticebus.domain.phone_numbers import telephone
from noticebus.errors import Detail, InvalidError, NoticebusError, RefusedError

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; font-src 'self';"
    " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
NOBODY = Typed()

router = APIRouter(include_in_schema=False, route_class=PageRoute)

TheTyped = Annotated[Typed, Depends(get_typed)]


@router.get(PATH)
async def show_report(
    request: Request, desk: TheDesk, visitor: TheVisitor, typed: TheTyped
) -> Response:
    """Show who has not answered, with the filter that the address says."""
    understood = understand(typed)
    faults = _refused(desk, visitor, understood)
    if not faults:
        read = await read_report(
            desk, visitor.principal, asked=understood.asked, output=PAGE_OUTPUT
        )
        return await _framed(request, visitor, read, typed=typed)
    return await render(
        request,
        "report.html",
        visitor=visitor,
        status=InvalidError.status,
        title="Unacknowledged notices",
        report=None,
        **_form(typed, faults),
    )


def _refused(desk: Desk, visitor: Visitor, understood: Understood) -> Mapping[str, str]:
    """Give every fault of a filter by its field: those of words, places and times together."""
    try:
        wanted_for(desk, visitor.principal, understood.asked, now=desk.world.now())
    except InvalidError as error:
        return {**faults_of(error), **understood.faults}
    return understood.faults


@router.get(f"{PATH}.{{form}}")
async def download_report(
    request: Request, form: FileForm, desk: TheDesk, visitor: TheVisitor, typed: TheTyped
) -> Response:
    """Give the whole report of this filter as a file, for a spreadsheet or a program."""
    understood = understand(typed)
    faults = _refused(desk, visitor, understood)
    if faults:
        details = [Detail(pointer=name, message=said) for name, said in faults.items()]
        raise InvalidError("The filter says something it cannot.", details=tuple(details))
    made = await export_report(
        desk,
        visitor.principal,
        asked=understood.asked,
        form=form,
        marked=True,
        has_left=request.is_disconnected,
    )
    headers = {
        **made.headers,
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return StreamingResponse(made.chunks(), media_type=made.media_type, headers=headers)


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
        read = await read_report(desk, principal, asked=asked, output=PAGE_OUTPUT)
    except RefusedError as error:
        return await asyncio.to_thread(_refusal, error)
    signs = await read_signs(desk, agency_id=principal.agency_id)
    return await asyncio.to_thread(render_report, read, signs)


def render_report(read: ReportRead, signs: Signs) -> Response:
    """Render the report as a page that stands alone; its next lines are behind the same address."""
    page = _REPORT.render(
        overdue=read.report.summary.overdue,
        title=f"({read.report.summary.overdue}) {title_of(read.report)}",
        visitor=None,
        back="",
        now=read.report.as_of,
        **_facts(read, typed=NOBODY, alone=True, signs=signs),
    )
    return Response(page, media_type="text/html; charset=utf-8", headers=PAGE_HEADERS)


async def _framed(
    request: Request, visitor: Visitor, read: ReportRead, *, typed: Typed
) -> Response:
    desk: Desk = request.app.state.desk
    signs = await read_signs(desk, agency_id=visitor.principal.agency_id)
    facts = _facts(read, typed=typed, alone=False, signs=signs)
    return await render(
        request,
        "report.html",
        visitor=visitor,
        title=title_of(read.report),
        overdue=read.report.summary.overdue,
        signs=signs,
        **facts,
        **_form(typed, {}),
    )


def _facts(read: ReportRead, *, typed: Typed, alone: bool, signs: Signs) -> dict[str, Any]:
    return {
        "report": read.report,
        "read": read,
        "page": page_of(read, typed=typed, linked=alone, signs=signs),
        "leads": not alone,
        "to_do": TO_DO,
        **WORDS,
    }


def _form(typed: Typed, faults: Mapping[str, str]) -> dict[str, Any]:
    return {
        "typed": typed,
        "faults": faults,
        "kinds": [(one, words(one)) for one in AgencyKind],
        "notice_classes": [(one, f"{one}: {CLASS_WORDS[one]}") for one in NoticeClass],
        "statuses": list(Status),
        "ages": list(AGES.items()),
        "path": PATH,
    }


def _refusal(error: NoticebusError) -> Response:
    page = _REFUSED.render(title="This report cannot be shown", message=error.message)
    return Response(
        page,
        status_code=error.status,
        media_type="text/html; charset=utf-8",
        headers=PAGE_HEADERS,
    )


def _environment() -> Environment:
    alone = Environment(
        loader=PackageLoader("noticebus.console"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    alone.filters.update(
        duration=duration, local=local, telephone=telephone, utc=utc, words=words, zulu=zulu
    )
    alone.globals.update(static=static, icon=icon)
    return alone


_ALONE = _environment()
_REPORT = _ALONE.get_template("report_alone.html")  # read once, not in the event loop
_REFUSED = _ALONE.get_template("refused.html")
