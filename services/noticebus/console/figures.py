"""Figures that do not flatter: the silent are in every denominator, and rank last."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from noticebus.access.sessions import Visitor
from noticebus.casework.desk import Desk
from noticebus.casework.figures_cuts import FEW, Cut, read_cuts
from noticebus.casework.figures_ranks import ROWS_MAX, WORST, By, Cuts, Portion, read_ranks
from noticebus.casework.report_places import name_of as place_name
from noticebus.casework.reports import Asked
from noticebus.console.pages import PageRoute, duration, enter_view, render, words
from noticebus.console.visitors import TheDesk, TheVisitor, allow
from noticebus.contracts.report import NOT_REACHED
from noticebus.contracts.vocabulary import Scope, Status, VerifiedBy
from noticebus.domain.mail import CLASS_WORDS
from noticebus.domain.places import state_key
from noticebus.errors import Detail, InvalidError
from noticebus.store.report_cuts import BY_CLASS, BY_HOUR, BY_KIND
from noticebus.store.report_ranks import BY_DELIVERY, NO_ANSWER, NOT_KNOWN, STATE_PREFIX, Leg

PATH = "/reports/figures"
DAYS = (30, 7, 1)
HEADINGS = {
    BY_KIND: "By kind of recipient",
    BY_CLASS: "By class of notice",
    BY_HOUR: "By the hour in which the answer fell due (UTC)",
}
WAYS = {
    VerifiedBy.API_KEY: "by the recipient's system",
    VerifiedBy.OPERATOR: "recorded by an operator",
    VerifiedBy.LINK: "by the link in a message",
    VerifiedBy.TEXT: "by text message",
    VerifiedBy.CALL: "by telephone, with the code that a call spoke",
    VerifiedBy.SESSION: "signed in to the console",
    BY_DELIVERY: "closed by its delivery (class D)",
    NOT_KNOWN: "closed, in a way that is not known",
    NO_ANSWER: "✗ no closing answer",
}
LEGS = {
    Leg.OURS: "Ours: from the notice to its first delivery",
    Leg.THEIRS: "Theirs: from that delivery to the closing answer",
}


class Tab(StrEnum):
    """One view of the page."""

    SORTS = "sorts"
    PLACES = "places"
    RECIPIENTS = "recipients"
    ENDINGS = "endings"
    LATENCY = "latency"


TABS = {
    Tab.SORTS: "Kind, class and hour",
    Tab.PLACES: "Place",
    Tab.RECIPIENTS: "Recipient",
    Tab.ENDINGS: "How answers came",
    Tab.LATENCY: "Our time and theirs",
}
_CUT_BY = {
    Tab.PLACES: (By.AREA,),
    Tab.RECIPIENTS: (By.AGENCY,),
    Tab.ENDINGS: (By.WAY, By.STEP),
    Tab.LATENCY: (By.LEG,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a table: its name and where that leads, and the figures."""

    name: str
    href: str
    figures: Cut | Portion


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table. `note` says what is counted where that is no matter of course."""

    heading: str
    rows: Sequence[Row]
    note: str = ""
    is_of_all: bool = False
    has_share: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What the address asks for."""

    status: Status
    days: int
    tab: Tab
    state: str

    def link(self, **changes: object) -> str:
        """Give the address of the same view with something changed."""
        kept = {"status": self.status, "days": self.days, "by": self.tab, "state": self.state}
        return (
            f"{PATH}?{urlencode({name: said for name, said in (kept | changes).items() if said})}"
        )


router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get(PATH)
async def show_figures(  # noqa: PLR0913, PLR0917 - the parts of a request
    request: Request,
    desk: TheDesk,
    visitor: TheVisitor,
    status: Annotated[str, Query(max_length=20)] = "",
    days: Annotated[str, Query(max_length=4)] = "",
    by: Annotated[str, Query(max_length=20)] = "",
    state: Annotated[str, Query(max_length=2)] = "",
) -> Response:
    """Show the figures of the last days; those of exercises apart."""
    allow(visitor, Scope.OPERATE, Scope.ADMIN, Scope.AUDIT)
    chosen = _chosen(status=status, days=days, by=by, state=state)
    await enter_view(request, visitor, "figures", status=chosen.status, tab=chosen.tab)
    tables, is_too_many = await _tables(desk, visitor, chosen)
    return await render(
        request,
        "figures.html",
        visitor=visitor,
        title="Figures",
        tables=tables,
        is_too_many=is_too_many,
        rows_max=ROWS_MAX,
        chosen=chosen,
        statuses=tuple(Status),
        days=DAYS,
        tabs=TABS,
        few=FEW,
        took=took,
    )


async def _tables(desk: Desk, visitor: Visitor, chosen: Chosen) -> tuple[list[Table], bool]:
    asked = Asked(status=chosen.status)
    window = dt.timedelta(days=chosen.days)
    if chosen.tab is Tab.SORTS:
        found = await read_cuts(desk, visitor.principal, asked, window=window)
        groups = groupby(found, key=lambda one: one.cut)
        return [
            Table(heading=HEADINGS[cut], rows=_rows(list(rows), name_of)) for cut, rows in groups
        ], False
    cuts = await read_ranks(
        desk,
        visitor.principal,
        asked,
        by=_CUT_BY[chosen.tab],
        state=chosen.state or None,
        window=window,
    )
    if not cuts.rows and not cuts.portions:
        return [], cuts.is_too_many
    state = place_name(desk.places, state_key(chosen.state)) if chosen.state else None
    return _BUILD[chosen.tab](cuts, chosen, state or ""), False


def _places(cuts: Cuts, chosen: Chosen, state: str) -> list[Table]:
    def href(one: Cut) -> str:
        prefix, _, code = one.name.partition(":")
        return chosen.link(state=code) if f"{prefix}:" == STATE_PREFIX else _lines_of(one, chosen)

    return [
        Table(
            heading=f"By county of {state}" if state else "By state",
            rows=_rows(cuts.rows[By.AREA], lambda one: cuts.names[one.name], href),
            note="What is owed for a notice that touches several of them counts in each.",
        )
    ]


def _lines_of(one: Cut, chosen: Chosen) -> str:
    query = {"area": one.name, "status": chosen.status}
    return f"/reports/unacknowledged?{urlencode(query)}"


def _recipients(cuts: Cuts, _chosen: Chosen, _state: str) -> list[Table]:
    rows = _rows(
        cuts.rows[By.AGENCY],
        lambda one: cuts.names[one.name],
        lambda one: f"/agencies/{one.name}",
    )
    return [
        Table(
            heading="By recipient, the least share within target first",
            rows=rows,
            note=f"At most {WORST}, of those of whom at least {FEW} fell due. Every recipient's own"
            " page has its figures.",
        )
    ]


def _endings(cuts: Cuts, _chosen: Chosen, _state: str) -> list[Table]:
    of_all = "Each share is of all that fell due: who is silent answers in no way."
    return [
        Table(
            heading="By the way in which the closing answer came",
            rows=[_portion(one, WAYS.get(one.name, one.name)) for one in cuts.portions[By.WAY]],
            note=of_all,
            is_of_all=True,
        ),
        Table(
            heading="By how many steps of its policy it came to",
            rows=[_portion(one, step_name(one.name)) for one in cuts.portions[By.STEP]],
            note=of_all,
            is_of_all=True,
        ),
    ]


def _latency(cuts: Cuts, _chosen: Chosen, _state: str) -> list[Table]:
    return [
        Table(
            heading="Our time and theirs",
            rows=_rows(
                sorted(cuts.rows[By.LEG], key=lambda one: list(LEGS).index(Leg(one.name))),
                lambda one: LEGS[Leg(one.name)],
            ),
            note="A notice that was never delivered ranks last in both, and who is silent or"
            " declined ranks last in theirs.",
            has_share=False,
        )
    ]


_BUILD: dict[Tab, Callable[[Cuts, Chosen, str], list[Table]]] = {
    Tab.PLACES: _places,
    Tab.RECIPIENTS: _recipients,
    Tab.ENDINGS: _endings,
    Tab.LATENCY: _latency,
}


def _rows(
    found: Sequence[Cut], name: Callable[[Cut], str], href: Callable[[Cut], str] = lambda _: ""
) -> list[Row]:
    return [Row(name=name(one), href=href(one), figures=one) for one in found]


def _portion(one: Portion, name: str) -> Row:
    return Row(name=name, href="", figures=one)


def name_of(cut: Cut) -> str:
    """Name one row of a cut by kind, class or hour."""
    if cut.cut == BY_CLASS:
        said = {str(letter): sentence for letter, sentence in CLASS_WORDS.items()}
        return f"{cut.name}: {said.get(cut.name, '')}"
    return f"{cut.name}:00 to {cut.name}:59" if cut.cut == BY_HOUR else words(cut.name)


def step_name(name: str) -> str:
    """Say how far an escalation went."""
    if name == "0":
        return "no step was needed, or none has come"
    return "1 step" if name == "1" else f"{name} steps"


def took(value: dt.timedelta | None) -> str:
    """Write a percentile; one that falls among the silent is not reached, never a number."""
    return NOT_REACHED if value is None else duration(value.total_seconds())


def _chosen(*, status: str, days: str, by: str, state: str) -> Chosen:
    return Chosen(
        status=Status(_one_of(status or Status.ACTUAL, tuple(Status), "status")),
        days=int(_one_of(days or str(DAYS[0]), tuple(map(str, DAYS)), "days")),
        tab=Tab(_one_of(by or Tab.SORTS, tuple(Tab), "by")),
        state=state,
    )


def _one_of(text: str, choices: Sequence[str], field: str) -> str:
    if text in choices:
        return text
    message = f"There are no figures of that sort. Choose one of: {', '.join(choices)}."
    detail = Detail(pointer=f"/query:{field}", message=message)
    raise InvalidError(message, details=(detail,))
