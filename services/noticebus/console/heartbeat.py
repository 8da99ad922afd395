"""The banner with the bus's signs of life, asked for every five seconds, and the tab's icon."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from noticebus.casework.signs_of_life import Life, read_signs
from noticebus.console.pages import PageRoute, render_part
from noticebus.console.signs import COUNT_MAX, QUIET, UNKNOWN
from noticebus.console.static_files import FOREVER, HEADERS
from noticebus.console.visitors import TheDesk, TheVisitor
from noticebus.errors import NotFoundError

LIFE_MAX = 10
MARK_MAX = 7

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/heartbeat")
async def show_heartbeat(
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    was: Annotated[str, Query(max_length=LIFE_MAX)] = "",
) -> Response:
    """Show the banner alone; it is read out where the bus has become UNKNOWN since it `was`."""
    signs = await read_signs(desk, agency_id=visitor.principal.agency_id)
    return await render_part(
        request, "parts/heartbeat.html", signs=signs, was=was if was in set(Life) else ""
    )


@router.get("/icon/{mark}.svg")
async def show_icon(request: Request, mark: Annotated[str, Path(max_length=MARK_MAX)]) -> Response:
    """Draw the tab's icon with a count, or with the mark of what is not known."""
    known = {QUIET, UNKNOWN, *map(str, range(COUNT_MAX + 2))}
    if mark not in known:
        raise NotFoundError("There is no such icon.")
    drawn = await render_part(request, "parts/icon.svg", mark=mark, most=COUNT_MAX)
    headers = {**HEADERS, "Cache-Control": FOREVER}
    return Response(drawn.body, media_type="image/svg+xml", headers=headers)
