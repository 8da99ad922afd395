"""What stands around a page's lines: agencies, people, steps, places, debts and offers.

Each kind of fact is read in one statement, for the lines, the debts and the offers together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, sees_every_agency
from noticebus.casework.desk import Desk
from noticebus.casework.report_basis import Wanted
from noticebus.casework.report_views import Page, Who, debt_view, offer_view
from noticebus.contracts.report import OfferItem, OwedItem
from noticebus.ids import AgencyId
from noticebus.store import offers, report_facts, report_history, report_lines
from noticebus.store.offers import Offer
from noticebus.store.report_facts import Debt
from noticebus.store.reports import Line


@dataclass(frozen=True, slots=True, kw_only=True)
class Owing:
    """What posters owe, and offers that nobody has decided on."""

    debts: Sequence[Debt] = ()
    offers: Sequence[Offer] = ()

    def debt_items(self, page: Page, *, is_past: bool) -> tuple[OwedItem, ...]:
        """Show the debts."""
        return tuple(debt_view(one, page.who, now=page.now, is_past=is_past) for one in self.debts)

    def offer_items(self, page: Page) -> tuple[OfferItem, ...]:
        """Show the offers."""
        return tuple(offer_view(one, page.who.agencies[one.agency_id]) for one in self.offers)


NOTHING = Owing()


async def owing_of(conn: AsyncConnection, wanted: Wanted, *, index: int) -> Owing:
    """Read what posters owe, and the offers that wait: these for who sees every agency."""
    scope, at = wanted.selection, wanted.at
    debts = await report_facts.debts(conn, scope, at=at, is_past=wanted.is_past)
    if scope.agency_id is not None:
        return Owing(debts=debts)
    status, most = scope.status, report_facts.SHOWN_MAX
    if wanted.is_past:
        found = await report_history.past_offers(conn, status, index=index, at=at, limit=most)
    else:
        found = await offers.unanswered(conn, status=status, at=at, limit=most)
    return Owing(debts=debts, offers=found)


async def page_of(
    conn: AsyncConnection,
    desk: Desk,
    principal: Principal,
    *,
    wanted: Wanted,
    lines: Sequence[Line],
    owing: Owing = NOTHING,
) -> Page:
    """Read what the page's lines need, and with them debts and offers."""
    ids, agency_ids = {line.id for line in lines}, {line.agency_id for line in lines}
    return Page(
        now=wanted.at,
        places=desk.places,
        who=await _who(conn, principal, wanted=wanted, lines=lines, owing=owing),
        tries=await report_facts.tries_of(conn, ids, by=wanted.at),
        notices=await report_lines.notices_of(
            conn, {line.round_notice_id for line in lines}, at=wanted.at
        ),
        answering=await report_facts.areas_answered_for(conn, agency_ids, at=wanted.at),
    )


async def _who(
    conn: AsyncConnection,
    principal: Principal,
    *,
    wanted: Wanted,
    lines: Sequence[Line],
    owing: Owing,
) -> Who:
    """Read it; in a past report nobody is to be rung."""
    owed_by = {one.agency_id for one in lines} | {one.agency_id for one in owing.debts}
    callable_ = frozenset() if wanted.is_past else _whose_contacts(principal, owed_by)
    rung = [one.id for one in lines if one.agency_id in callable_]
    rung += [
        one.obligation_id
        for one in owing.debts
        if one.obligation_id is not None and one.agency_id in callable_
    ]
    return Who(
        agencies=await report_facts.named(conn, owed_by | {one.agency_id for one in owing.offers}),
        contacts=await report_lines.callees_of(conn, callable_, at=wanted.at),
        steps=await report_lines.steps_of(conn, rung),
    )


def _whose_contacts(principal: Principal, agency_ids: set[AgencyId]) -> frozenset[AgencyId]:
    """Choose the agencies whose people's numbers the caller may see: a poster rings operators."""
    if sees_every_agency(principal):
        return frozenset(agency_ids)
    return frozenset(one for one in agency_ids if one == principal.agency_id)
