"""The first page: one sentence, then the signs of life, then whom to ring next."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from noticebus.access.principals import sees_every_agency
from noticebus.access.sessions import Visitor
from noticebus.casework.approvals import list_waiting
from noticebus.casework.overview import Overview, read_overview
from noticebus.casework.reading import READERS
from noticebus.casework.signs_of_life import Signs, read_signs
from noticebus.casework.users import anybody_manages
from noticebus.console.headline import (
    MARKS,
    Headline,
    as_known,
    duration,
    headline_for_recipient,
    headline_of,
)
from noticebus.console.pages import PageRoute, enter_view, render
from noticebus.console.report_words import DEBTS, STEPS
from noticebus.console.visitors import TheDesk, TheVisitor
from noticebus.contracts.report import OwedItem, UnacknowledgedReport
from noticebus.contracts.vocabulary import Scope
from noticebus.domain.mail import CLASS_WORDS

ASIDE_MAX = 5

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """From where somebody looks: over all, as a poster, or as one who must answer."""

    watches: bool
    posts: bool

    @property
    def answers(self) -> bool:
        """Tell whether the page speaks to a recipient: of what it owes itself."""
        return not self.watches and not self.posts


@router.get("/")
async def show_home(request: Request, desk: TheDesk, visitor: TheVisitor) -> Response:
    """Show the first page; it asks for itself again every 15 s, which is one view in 5 minutes."""
    if visitor.principal.scopes.isdisjoint(READERS):  # a technician, by a link
        return await render(request, "home_of_guest.html", visitor=visitor, title="Home")
    seen = await read_overview(desk, visitor.principal)
    signs = await read_signs(desk, agency_id=visitor.principal.agency_id)
    await enter_view(request, visitor, "home")
    side = side_of(visitor)
    report = seen.read.report
    return await render(
        request,
        "home.html",
        visitor=visitor,
        title="Home",
        overdue=report.summary.overdue,
        signs=signs,
        side=side,
        managed=not side.watches or await anybody_manages(desk),
        marks=MARKS,
        headline=said_of(seen, side, signs),
        more=said_besides(seen, side),
        seen=seen,
        waiting=await list_waiting(desk, visitor.principal),
        now=seen.now,
        report=report,
        zones=seen.read.zones,
        unreachable=seen.read.unreachable,
        owed=owed_to_show(report, visitor)[:ASIDE_MAX],
        uncovered=report.uncovered[:ASIDE_MAX],
        classes=CLASS_WORDS,
        steps=STEPS,
        debts=DEBTS,
    )


def side_of(visitor: Visitor) -> Side:
    """Say from where somebody looks."""
    principal = visitor.principal
    return Side(watches=sees_every_agency(principal), posts=Scope.POST in principal.scopes)


def said_of(seen: Overview, side: Side, signs: Signs) -> Headline:
    """Say the state of things in a word and a sentence."""
    report = seen.read.report
    if side.answers:
        return as_known(headline_for_recipient(report), signs)
    return as_known(headline_of(report, unreached=seen.unreached), signs)


def said_besides(seen: Overview, side: Side) -> Sequence[str]:
    """Say what is known besides: how many answers are awaited, and when the last one came."""
    report, said = seen.read.report, []
    waited = report.summary.open - report.summary.overdue
    if waited and not side.answers:
        due = [one.due_at for one in report.items if one.due_at and one.overdue_s is None]
        first = f", the next in {duration((min(due) - seen.now).total_seconds())}" if due else ""
        said.append(f"{waited} more due later{first}.")
    if seen.last_answer_at is None and not side.answers:
        said.append("Nobody has acknowledged anything yet.")
    elif seen.last_answer_at is not None:
        since = (seen.now - seen.last_answer_at).total_seconds()
        said.append(
            f"{'Your last' if side.answers else 'Last'} acknowledgement {duration(since)} ago."
        )
    return said


def owed_to_show(report: UnacknowledgedReport, visitor: Visitor) -> Sequence[OwedItem]:
    """Give what posters owe: all of it, or what the visitor's agency owes or is owed."""
    own = visitor.principal.agency_id
    return sorted(report.owed_by_posters, key=lambda one: (one.agency.id != own, one.due_at))
