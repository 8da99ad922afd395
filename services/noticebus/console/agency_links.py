"""Links to one agency's pages, for its technician: made on the agency's page, shown once."""

from fastapi import APIRouter, Request, Response

from noticebus.casework.sign_in_links import make_agency_link
from noticebus.console.forms import read_form
from noticebus.console.pages import PageRoute, render
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.vocabulary import Scope

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.post("/agencies/{agency_id}/links")
async def make_link(
    request: Request, desk: TheDesk, visitor: TheVisitor, agency_id: str
) -> Response:
    """Make a link to an agency's pages and show it this once."""
    form = await read_form(request, visitor)
    allow(visitor, Scope.OPERATE, Scope.ADMIN, Scope.SUBSCRIBE)
    hours = form.text("hours")
    agency, link, address = await make_agency_link(
        desk,
        visitor.principal,
        agency_id=agency_id,
        name=form.text("name"),
        hours=int(hours) if hours in {"1", "8", "24"} else 0,
    )
    return await render(
        request,
        "agency_link_made.html",
        visitor=visitor,
        title="A link to these pages",
        agency=agency,
        link=link,
        address=address,
    )
