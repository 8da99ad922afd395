"""Recipients: the list, and the page of each, to see before the event whether it can be reached."""

from typing import Annotated, Any, assert_never
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response

from noticebus.access.sessions import Visitor
from noticebus.casework import agency_pages, contact_tests, delivery_pages
from noticebus.casework.agency_lists import Asked, list_lines
from noticebus.casework.agency_pages import AgencyRead
from noticebus.casework.desk import Desk
from noticebus.casework.report_places import name_of
from noticebus.console.forms import read_form
from noticebus.console.pages import PageRoute, enter_view, redirect, render, words
from noticebus.console.visitors import TheDesk, TheVisitor
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    Position,
    Role,
    Scope,
    SignInMethod,
)
from noticebus.domain import delivery_words, paths
from noticebus.domain.calendar_words import sentences_of
from noticebus.domain.endpoint_words import said_of
from noticebus.domain.figures import how_long
from noticebus.domain.health import Health
from noticebus.domain.leases import CALLED
from noticebus.domain.masking import mask
from noticebus.domain.policies import Hold, Policy
from noticebus.domain.record_words import outcome_of, reached
from noticebus.errors import ConflictError, ForbiddenError, InvalidError

PAGE = 50
ID_MAX = 64
TEXT_MAX = 100
KIND_WORDS = {kind: words(kind) for kind in AgencyKind}
ROLE_WORDS = {role: words(role) for role in Role}
POSITIONS = {
    Position.ON_DUTY: "on duty",
    Position.SECOND: "second",
    Position.HEAD: "head",
    Position.OTHER: "other",
}

router = APIRouter(include_in_schema=False, route_class=PageRoute)

Text = Annotated[str, Query(max_length=TEXT_MAX)]
AgencyPath = Annotated[str, Path(max_length=ID_MAX)]


@router.get("/agencies")
async def show_agencies(  # noqa: PLR0913, PLR0917 - the parts of a request
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    name: Text = "",
    kind: Text = "",
    area: Text = "",
    after: Annotated[str, Query(max_length=ID_MAX)] = "",
) -> Response:
    """List agencies by name, narrowed by the form: its address is the view."""
    problem: InvalidError | None = None
    try:
        asked = Asked(name=name, kind=_kind(kind), area=area, after=after)
        found = await list_lines(desk, visitor.principal, asked, limit=PAGE + 1)
    except InvalidError as error:
        problem, found = error, []
    shown = found[:PAGE]
    kept = {"name": name, "kind": kind, "area": area}
    query = {one: said for one, said in kept.items() if said}
    return await render(
        request,
        "agencies.html",
        visitor=visitor,
        status=200 if problem is None else problem.status,
        title="Recipients",
        lines=shown,
        problem=problem,
        asked=kept,
        kinds=KIND_WORDS,
        following=urlencode({**query, "after": shown[-1].id}) if len(found) > PAGE else "",
        first=urlencode(query),
        after=after,
    )


@router.get("/agencies/{agency_id}")
async def show_agency(
    request: Request,
    agency_id: AgencyPath,
    desk: TheDesk,
    visitor: TheVisitor,
    test: Annotated[str, Query(max_length=ID_MAX)] = "",
) -> Response:
    """Show one agency, and what came of a test to a contact of it."""
    return await _page(request, agency_id, desk, visitor, test=test)


@router.post("/agencies/{agency_id}/contacts/{contact_id}/test")
async def test_contact(
    request: Request,
    agency_id: AgencyPath,
    contact_id: AgencyPath,
    desk: TheDesk,
    visitor: TheVisitor,
) -> Response:
    """Send a test message to a contact; the page then says what came of it."""
    form = await read_form(request, visitor)
    if visitor.method is SignInMethod.LINK:
        raise ForbiddenError(
            "Whoever came by a link looks after endpoints, and tests no contacts. Ask the agency's"
            " administrator, or the operators."
        )
    try:
        sent = await contact_tests.send_test(
            desk,
            visitor.principal,
            agency_id=agency_id,
            contact_id=contact_id,
            channel=Channel.SMS if form.text("by") == Channel.SMS else Channel.EMAIL,
        )
    except ConflictError as error:
        return await _page(request, agency_id, desk, visitor, problem=error)
    query = urlencode({"test": sent.id})
    return redirect(f"/agencies/{agency_id}?{query}", fragment="test-answer")


async def _page(
    request: Request,
    agency_id: str,
    desk: Desk,
    visitor: Visitor,
    *,
    test: str = "",
    problem: ConflictError | None = None,
) -> Response:
    """Show the page. It holds people's telephone numbers, so that the view is entered."""
    read = await agency_pages.read_agency(desk, visitor.principal, agency_id=agency_id)
    await enter_view(request, visitor, "agency", agency_id=read.agency.id)
    held = visitor.principal.scopes
    return await render(
        request,
        "agency.html",
        visitor=visitor,
        status=200 if problem is None else problem.status,
        title=read.agency.name,
        problem=problem,
        back=f"/agencies/{read.agency.id}" + (f"?{urlencode({'test': test})}" if test else ""),
        **await _tested(desk, read, test),
        read=read,
        agency=read.agency,
        zone=read.agency.zone,
        now=read.now,
        kinds=KIND_WORDS,
        roles=ROLE_WORDS,
        positions=POSITIONS,
        places=_places(desk, read),
        calendar=sentences_of(
            read.calendar.calendar, own_hours=read.calendar.stated.hours is not None, now=read.now
        ),
        outcome_of=outcome_of,
        reached=reached,
        order_said=lambda one: said_of(
            one.state, Health(state=one.endpoint), is_called=one.channel in CALLED
        ),
        path_said=paths.said_of,
        due_said=_due_said,
        share=_share(read),
        on_duty_now=_on_duty_now(read),
        sees_policies=not held.isdisjoint({Scope.OPERATE, Scope.ADMIN, Scope.AUDIT}),
        lends=_lends(visitor, read),
        subscribes=_subscribes(visitor, read),
    )


async def _tested(desk: Desk, read: AgencyRead, test: str) -> dict[str, Any]:
    """Give what the page says of a test, and to whom one can be sent."""
    tested = None
    if test:
        tested = await contact_tests.find_test(desk, agency_id=read.agency.id, delivery_id=test)
    channel = Channel.EMAIL if tested is None else tested[0].channel
    return {
        "tested": tested,
        "testable": {
            (one.id, by)
            for one in read.contacts
            for by in contact_tests.BY
            if contact_tests.testable(desk, one, by)
        },
        "outcomes": delivery_words.OUTCOMES,
        "states": delivery_words.STATES,
        "explain": lambda attempt: mask(delivery_pages.explained(attempt, channel)),
    }


def _lends(visitor: Visitor, read: AgencyRead) -> bool:
    """Say whether the visitor may make links to these pages: not whoever came by one."""
    return visitor.method is not SignInMethod.LINK and _subscribes(visitor, read)


def _subscribes(visitor: Visitor, read: AgencyRead) -> bool:
    """Say whether the visitor may order for the agency."""
    held, own = visitor.principal.scopes, visitor.principal.agency_id == read.agency.id
    return not held.isdisjoint({Scope.OPERATE, Scope.ADMIN}) or (own and Scope.SUBSCRIBE in held)


def _kind(said: str) -> AgencyKind | None:
    if not said:
        return None
    if said not in set(AgencyKind):
        raise InvalidError("There is no such kind of recipient. Choose one from the list.")
    return AgencyKind(said)


def _places(desk: Desk, read: AgencyRead) -> dict[str, list[str]]:
    """Name the places of each responsibility, by its id."""
    return {
        duty.id: sorted(name_of(desk.places, key) or key for key in duty.area_keys)
        for duty in read.responsibilities
    }


def _due_said(policy: Policy) -> str:
    """Say when an answer is due under a policy, and from when that counts."""
    if policy.due_after is None:
        return "nothing falls due"
    after = f"{how_long(policy.due_after)} after" if policy.due_after else "at"
    match policy.hold.hold:
        case Hold.NEVER:
            return f"{after} the notice, day or night"
        case Hold.WINDOW:
            return f"{after} the notice, or its next opening"
        case Hold.BUSINESS_DAY:
            return f"{after} {policy.hold.at:%H:%M} on its next business day"
        case other:
            assert_never(other)


def _share(read: AgencyRead) -> int:
    """Give the share within target in whole per cent, rounded down: 99.9 is not 100."""
    if read.record is None:
        return 0
    counted = read.record.counted
    return counted.closed_within * 100 // counted.due if counted.due else 0


def _on_duty_now(read: AgencyRead) -> dict[str, str]:
    """Say who holds a position by the roster now, by contact's id."""
    return {
        one.shift.contact_id: POSITIONS[one.shift.position]
        for one in read.roster.shifts
        if one.shift.starts_at <= read.now < one.shift.ends_at
    }
