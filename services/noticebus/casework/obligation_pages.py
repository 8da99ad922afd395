"""One obligation as its page shows it: whom to ring, what happened, what comes next by itself."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, knows_people_of, require, sees_every_agency
from noticebus.casework.desk import Desk
from noticebus.casework.next_steps import NextStep, Planned, known_people, name_steps, planned_steps
from noticebus.casework.obligation_timeline import NAMED_TYPES, Facts, happenings
from noticebus.casework.reading import READERS, may_see
from noticebus.casework.report_places import places_of
from noticebus.casework.report_views import call_now
from noticebus.casework.waiving import may_be_waived, waivers_for
from noticebus.contracts.report import CallNow, PlaceView
from noticebus.contracts.vocabulary import Owed
from noticebus.domain.policies import Policy, policy_from_record
from noticebus.domain.recipient_groups import Group, group_of
from noticebus.domain.timeline import Happening
from noticebus.errors import NotFoundError
from noticebus.ids import ContactId, ObligationId
from noticebus.store import (
    acknowledgements,
    attendances,
    ledger_pages,
    matching,
    notices,
    obligation_facts,
    obligations,
    report_facts,
)
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.attendances import Attendance
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation
from noticebus.store.report_facts import Named
from noticebus.store.waivers import WaiveRequest

NEXT_STEPS = 3
DELIVERIES_READ = 300
TRIES_READ = 600
ENTRIES_READ = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ObligationPage:
    """What one reader sees of an obligation. `names`: the owing agency's people, by name."""

    now: dt.datetime
    owed: Obligation
    agency: AgencyFacts
    poster: AgencyFacts
    incident: Incident
    about: Notice
    latest_version: int
    group: Group
    places: Sequence[PlaceView]
    contact: CallNow | None
    attendance: Attendance | None
    waiver: WaiveRequest | None
    answers: Sequence[Acknowledgement]
    tries: int
    policy: Policy
    next_steps: Sequence[NextStep]
    later_steps: Sequence[Planned]
    happenings: Sequence[Happening]
    cut: bool
    names: bool
    own: bool

    @property
    def is_for_recipient(self) -> bool:
        return self.owed.owed is Owed.NOTICE

    @property
    def may_be_waived(self) -> bool:
        return may_be_waived(self.owed)


async def read_obligation(
    desk: Desk, principal: Principal, *, obligation_id: str
) -> ObligationPage:
    """Read an obligation for its page: for who owes it, the poster and the bus's people."""
    require(principal, *READERS)
    now = desk.world.now()
    async with desk.database.read() as conn:
        owed = await obligations.obligation_by_id(conn, ObligationId(obligation_id))
        if owed is None or not await may_see(conn, principal, owed):
            raise NotFoundError(
                f"There is no obligation {obligation_id} that you may see. Check the address."
            )
        incident = await notices.incident_by_id(conn, owed.incident_id)
        assert incident is not None, "an obligation belongs to an incident"
        versions = [
            one
            for one in await notices.versions_of(conn, incident.id)
            if one.released_at is not None or _sees_embargoed(principal, one)
        ]
        agencies = await matching.agencies_by_id(conn, {owed.agency_id, incident.agency_id})
        names = knows_people_of(principal, owed.agency_id)
        named = _named(agencies[owed.agency_id])
        facts = await _facts(conn, owed, versions, named, now=now, reader=principal)
        planned = planned_steps(owed)
        return ObligationPage(
            now=now,
            owed=owed,
            agency=agencies[owed.agency_id],
            poster=agencies[incident.agency_id],
            incident=incident,
            about=next(one for one in versions if one.id == owed.round_notice_id),
            latest_version=versions[-1].version,
            group=group_of(owed, now=now),
            places=await _places(conn, desk, owed, versions[-1], now=now),
            contact=await _contact(conn, owed, facts, now=now) if names else None,
            attendance=(await attendances.of(conn, [owed.id], now=now)).get(owed.id),
            waiver=(await waivers_for(conn, principal, [owed.id])).get(owed.id),
            answers=facts.answers,
            tries=len(facts.tries),
            policy=policy_from_record(owed.policy),
            next_steps=await name_steps(
                conn, desk, planned[:NEXT_STEPS], agencies, reader=principal
            ),
            later_steps=planned[NEXT_STEPS:],
            happenings=happenings(facts),
            cut=facts.is_cut,
            names=names,
            own=principal.agency_id == owed.agency_id,
        )


def _sees_embargoed(principal: Principal, notice: Notice) -> bool:
    return sees_every_agency(principal) or principal.agency_id == notice.agency_id


async def _facts(
    conn: AsyncConnection,
    owed: Obligation,
    versions: Sequence[Notice],
    agency: Named,
    *,
    now: dt.datetime,
    reader: Principal,
) -> Facts:
    """Read all that happened, each kind of fact in one statement."""
    steps = await obligations.steps_of(conn, [owed.id])
    sent = await obligation_facts.sent_for(conn, owed.id, limit=DELIVERIES_READ)
    tries = await obligation_facts.tries_for(conn, owed.id, limit=TRIES_READ)
    answers = await acknowledgements.acknowledgements_of(conn, [owed.id])
    entries = await ledger_pages.entries_about(
        conn, owed.id, incident_id=owed.incident_id, types=NAMED_TYPES, limit=ENTRIES_READ
    )
    ids = {ContactId(one) for row in steps for one in row.contact_ids}
    ids |= {one.contact_id for one in sent if one.contact_id is not None}
    return Facts(
        now=now,
        owed=owed,
        agencies={agency.id: agency},
        versions=versions,
        steps=steps,
        sent={one.id: one for one in sent},
        tries=tries,
        answers=answers.get(owed.id, ()),
        entries=entries,
        people=await known_people(conn, ids, reader=reader),
        is_cut=len(sent) == DELIVERIES_READ
        or len(tries) == TRIES_READ
        or len(entries) == ENTRIES_READ,
    )


def _named(agency: AgencyFacts) -> Named:
    return Named(id=agency.id, name=agency.name, kind=agency.kind, zone=agency.zone)


async def _places(
    conn: AsyncConnection, desk: Desk, owed: Obligation, latest: Notice, *, now: dt.datetime
) -> Sequence[PlaceView]:
    answering = await report_facts.areas_answered_for(conn, [owed.agency_id], at=now)
    return places_of(latest.area_keys, answering.get(owed.agency_id, frozenset()), desk.places)


async def _contact(
    conn: AsyncConnection, owed: Obligation, facts: Facts, *, now: dt.datetime
) -> CallNow | None:
    living = await report_facts.living_contacts(conn, [owed.agency_id], at=now)
    return call_now(
        living.get(owed.agency_id, ()),
        reached=[row for row in facts.steps if row.epoch == owed.epoch],
    )
