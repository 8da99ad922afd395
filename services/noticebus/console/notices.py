"""One version of a notice: what the visitor may see of it, what changed, who got which level."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from noticebus.casework.notice_pages import NoticePage, read_notice
from noticebus.console.pages import PageRoute, enter_view, render
from noticebus.console.people import people_lines
from noticebus.console.visitors import TheDesk, TheVisitor
from noticebus.contracts.vocabulary import ContentLevel
from noticebus.domain.delivery_words import STATES
from noticebus.domain.mail import CLASS_WORDS, KIND_WORDS
from noticebus.store.obligation_facts import Sent

ID_MAX = 64
LEVELS = {
    ContentLevel.ID_ONLY: "its number alone",
    ContentLevel.PUBLIC: "what the public may know",
    ContentLevel.PARTNER: "what partners may know",
    ContentLevel.CPS: "what child protection may know",
}

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One agency, and what went out to it at one content level."""

    name: str
    href: str
    level: str
    rows: Sequence[Sent]


@router.get("/notices/{notice_id}")
async def show_notice(
    request: Request,
    notice_id: Annotated[str, Path(max_length=ID_MAX)],
    desk: TheDesk,
    visitor: TheVisitor,
) -> Response:
    """Show one version of a notice."""
    page = await read_notice(desk, visitor.principal, notice_id=notice_id)
    await enter_view(
        request, visitor, "notice", incident_id=page.notice.incident_id, notice_id=page.notice.id
    )
    return await render(
        request,
        "notice.html",
        visitor=visitor,
        title=page.content["headline"],
        page=page,
        notice=page.notice,
        zone=page.poster.zone,
        people=people_lines(page.content),
        got=_got(page),
        levels=LEVELS,
        deliveries=STATES,
        classes=CLASS_WORDS,
        kinds=KIND_WORDS,
    )


def _got(page: NoticePage) -> list[Got]:
    return [
        Got(
            name=page.agencies[agency_id].name,
            href=f"/agencies/{agency_id}",
            level=LEVELS[ContentLevel(level)] if level in set(ContentLevel) else level,
            rows=tuple(rows),
        )
        for (agency_id, level), rows in groupby(
            page.sent, key=lambda one: (one.agency_id, one.content_level)
        )
    ]
