"""What somebody needs who writes down an answer: who owes it, whom to ring, what it is about."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require
from noticebus.casework import more_time
from noticebus.casework.accepted import receipt
from noticebus.casework.desk import Desk
from noticebus.casework.report_views import ranked_to_call
from noticebus.casework.speaking import ANSWERABLE, speaks_for
from noticebus.casework.views import level_of, notice_content
from noticebus.contracts.vocabulary import ContentLevel, Scope
from noticebus.domain.obligation import OWED_BY_POSTERS
from noticebus.errors import NotFoundError
from noticebus.ids import ObligationId
from noticebus.store import acknowledgements, ledger, matching, notices, obligations
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.agencies import Contact
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Notice
from noticebus.store.obligations import Obligation
from noticebus.store.report_facts import living_contacts


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSheet:
    """The facts of one obligation for whoever answers it or writes the answer down.

    `notice` is the newest version that was released, whichever the answer is to; `content` is what
    of it the recipient may be told. `contacts` have whom to ring first in front, and are an
    operator's to see.
    """

    owed: Obligation
    agency: AgencyFacts
    notice: Notice
    content: Mapping[str, Any]
    contacts: Sequence[Contact]
    answers: Sequence[Acknowledgement]
    latest_eta: dt.datetime | None
    hears: bool  # an operator was told; otherwise the reader answers for itself
    now: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """An answer of an obligation with its receipt."""

    sheet: CallSheet
    made: Acknowledgement
    receipt: Mapping[str, str]


async def call_sheet(desk: Desk, principal: Principal, *, obligation_id: ObligationId) -> CallSheet:
    """Read what answering an obligation needs; 404 unless the caller may answer it."""
    require(principal, Scope.OPERATE, Scope.ANSWER)
    async with desk.database.read() as conn:
        return await _sheet(conn, desk, principal, obligation_id)


async def recorded(
    desk: Desk, principal: Principal, *, obligation_id: ObligationId, acknowledgement_id: str
) -> Recorded:
    """Read one answer back, with the receipt it got; 404 unless the caller may answer too."""
    require(principal, Scope.OPERATE, Scope.ANSWER)
    async with desk.database.read() as conn:
        sheet = await _sheet(conn, desk, principal, obligation_id)
        made = next((one for one in sheet.answers if one.id == acknowledgement_id), None)
        if made is None:
            raise NotFoundError(f"There is no answer {acknowledgement_id} here. Check the id.")
        entry = await ledger.entry_of_acknowledgement(
            conn, obligation_id=obligation_id, acknowledgement_id=made.id
        )
    assert entry is not None, "an answer and its entry commit together"
    return Recorded(sheet=sheet, made=made, receipt=receipt(desk.keyring, entry))


async def _sheet(
    conn: AsyncConnection, desk: Desk, principal: Principal, obligation_id: ObligationId
) -> CallSheet:
    now = desk.world.now()
    owed = await obligations.obligation_by_id(conn, obligation_id)
    hears = Scope.OPERATE in principal.scopes
    if hears and owed is not None and owed.owed in OWED_BY_POSTERS:
        raise NotFoundError(
            "A poster owes this: an answer to a question, or an update it promised. It gives it"
            " itself, and no call takes its place. Ring it, and ask it to."
        )
    if owed is None or owed.owed not in ANSWERABLE or owed.round_started_at is None:
        raise _nothing(obligation_id)
    if not hears and not await _is_own(conn, principal, owed):
        raise _nothing(obligation_id)
    agency = (await matching.agencies_by_id(conn, [owed.agency_id]))[owed.agency_id]
    notice = await notices.newest_told(conn, owed.incident_id)
    assert notice is not None, "a round starts with a version that is released"
    return CallSheet(
        owed=owed,
        agency=agency,
        notice=notice,
        content=notice_content(notice, _level(principal, agency)),
        contacts=await _to_ring(conn, owed, at=now) if hears else (),
        answers=(await acknowledgements.acknowledgements_of(conn, [owed.id])).get(owed.id, ()),
        latest_eta=await more_time.latest_eta(conn, owed, now=now),
        hears=hears,
        now=now,
    )


async def _to_ring(
    conn: AsyncConnection, owed: Obligation, *, at: dt.datetime
) -> Sequence[Contact]:
    found = await living_contacts(conn, [owed.agency_id], at=at)
    steps = await obligations.steps_of(conn, [owed.id])
    return ranked_to_call(
        found.get(owed.agency_id, ()), reached=[one for one in steps if one.epoch == owed.epoch]
    )


async def _is_own(conn: AsyncConnection, principal: Principal, owed: Obligation) -> bool:
    agency_id = principal.agency_id
    return agency_id is not None and await speaks_for(conn, agency_id, owed.agency_id)


def _level(principal: Principal, agency: AgencyFacts) -> ContentLevel:
    """Show what the recipient may be told; to whoever stands in for it, the public tier."""
    if Scope.OPERATE in principal.scopes or principal.agency_id == agency.id:
        return level_of(agency.kind)
    return ContentLevel.PUBLIC


def _nothing(obligation_id: ObligationId) -> NotFoundError:
    return NotFoundError(
        f"There is no obligation {obligation_id} that you may answer. Check the id."
    )
