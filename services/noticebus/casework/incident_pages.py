"""An incident as its page shows it: who has answered, who has not, what comes next by itself.

The bus's people and the poster see every recipient; a recipient sees its own line and no other.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, sees_every_agency
from noticebus.casework import offers as offering
from noticebus.casework import questions as asking
from noticebus.casework.cancel import pending_cancel
from noticebus.casework.desk import Desk
from noticebus.casework.incident_places import MappedPlace, mapped_places
from noticebus.casework.incident_timeline import TIMELINE_TYPES, Told, tell
from noticebus.casework.next_steps import NextStep, name_steps, soonest
from noticebus.casework.reading import READERS, seen_incident, seen_notice
from noticebus.casework.report_places import places_of
from noticebus.casework.report_views import call_now
from noticebus.contracts.report import CallNow, PlaceView
from noticebus.contracts.vocabulary import Notify, Standing
from noticebus.domain.progress import Progress
from noticebus.domain.recipient_groups import Group, group_of
from noticebus.errors import NotFoundError
from noticebus.ids import AgencyId, IncidentId
from noticebus.store import (
    acknowledgements,
    attendances,
    incident_recipients,
    ledger_pages,
    matching,
    notices,
    obligations,
    progress,
    report_facts,
)
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.actors import actors_by_id
from noticebus.store.attendances import Attendance
from noticebus.store.cancel_requests import CancelRequest
from noticebus.store.incident_recipients import Place
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation
from noticebus.store.offers import Offer
from noticebus.store.report_facts import Named, Tries

RECIPIENTS_SHOWN = 100
OTHERS_SHOWN = 200
ENTRIES_SHOWN = 60
NEXT_STEPS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One recipient: what it owes, what was tried, what it said, whom to ring."""

    owed: Obligation
    agency: Named
    group: Group
    tries: Tries | None
    answers: Sequence[Acknowledgement]
    places: Sequence[PlaceView]
    contact: CallNow | None
    attendance: Attendance | None

    @property
    def next_action(self) -> Notify | None:
        """Name whom the next step reaches, where one is to come."""
        steps = self.owed.policy["steps"]
        if self.owed.next_step_at is None or self.owed.step >= len(steps):
            return None
        return Notify(steps[self.owed.step]["notify"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What happens by itself: the next steps of all, and for how many none is left."""

    steps: Sequence[NextStep]
    stopped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentPage:
    """What one reader sees. `whole`: every recipient, and not the reader's own line alone."""

    now: dt.datetime
    incident: Incident
    poster: AgencyFacts
    versions: Sequence[Notice]
    content: Mapping[str, Any]
    whole: bool
    names: bool
    recipients: Sequence[Recipient]
    more: Place | None
    counts: Mapping[Standing, Mapping[Group, int]]
    progress: Progress | None
    others: Sequence[tuple[Obligation, Named]]
    uncovered: Sequence[Mapping[str, str]]
    places: Sequence[MappedPlace]
    ahead: Ahead
    told: Told
    cancel_request: CancelRequest | None
    agencies: Mapping[AgencyId, Named]
    people: Mapping[str, str]
    questions: Sequence[asking.Seen]
    offers: Sequence[Offer]

    @property
    def latest(self) -> Notice:
        return self.versions[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Which part of a long incident is asked for, and as of when its recipients are ranked."""

    after: Place | None = None
    ranked_at: dt.datetime | None = None
    entries_before: int | None = None


async def read_incident(
    desk: Desk, principal: Principal, *, incident_id: str, pages: Pages
) -> IncidentPage:
    """Read an incident for its page: a constant number of statements, whoever must answer."""
    require(principal, *READERS)
    now = desk.world.now()
    reader = _Reader(desk=desk, principal=principal, now=now, ranked_at=pages.ranked_at or now)
    asked = await _asked(desk, principal, incident_id=incident_id)
    async with desk.database.read() as conn:
        incident, own = await seen_incident(conn, principal, incident_id)
        versions = await _versions(conn, incident, own)
        bound = await _bound(conn, reader, incident, own, after=pages.after)
        shown = bound[:RECIPIENTS_SHOWN]
        rest = await _others(conn, incident, own)
        told = await _told(conn, incident, own, before=pages.entries_before)
        agencies = await report_facts.named(
            conn,
            {one.agency_id for one in (*shown, *rest)}
            | {*told.agency_ids, incident.agency_id}
            | {one.question.asked_by for one in asked.questions}
            | {one.agency_id for one in asked.offers},
        )
        facts = await matching.agencies_by_id(conn, [incident.agency_id])
        latest = versions[-1]
        return IncidentPage(
            now=now,
            incident=incident,
            poster=facts[incident.agency_id],
            versions=versions,
            content=seen_notice(latest, principal).content,
            whole=own is None,
            names=sees_every_agency(principal),
            recipients=await _recipients(conn, reader, shown, agencies, latest),
            more=incident_recipients.place_of(shown[-1], now=reader.ranked_at)
            if len(bound) > len(shown)
            else None,
            counts={}
            if own
            else await incident_recipients.counts_by_group(conn, incident.id, now=now),
            progress=None if own else await progress.progress_of(conn, incident.id),
            others=[(one, agencies[one.agency_id]) for one in rest],
            uncovered=() if own else latest.uncovered,
            places=await mapped_places(conn, latest, desk.places, whole=own is None, now=now),
            ahead=await _ahead(conn, reader, incident, own),
            told=told,
            cancel_request=None if own else await pending_cancel(conn, incident, now=now),
            agencies=agencies,
            people=await _people(conn, told),
            questions=asked.questions,
            offers=asked.offers,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Who reads, and when; recipients keep the order they had at `ranked_at`."""

    desk: Desk
    principal: Principal
    now: dt.datetime
    ranked_at: dt.datetime

    def may_call(self, agency_ids: set[AgencyId]) -> set[AgencyId]:
        """Choose the agencies whose people's numbers the reader may see, as the report does."""
        if sees_every_agency(self.principal):
            return agency_ids
        return {one for one in agency_ids if one == self.principal.agency_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    questions: Sequence[asking.Seen] = ()
    offers: Sequence[Offer] = ()


async def _asked(desk: Desk, principal: Principal, *, incident_id: str) -> _Asked:
    """Read the questions and offers that the reader may see; what it has no part in is empty."""
    id_ = IncidentId(incident_id)
    try:
        questions = await asking.list_questions(desk, principal, incident_id=id_)
    except NotFoundError:
        return _Asked()
    try:
        offers = await offering.list_offers(desk, principal, incident_id=id_)
    except NotFoundError:  # a poster that is not bound itself
        offers = ()
    return _Asked(questions=questions, offers=offers)


async def _versions(
    conn: AsyncConnection, incident: Incident, own: Obligation | None
) -> list[Notice]:
    found = await notices.versions_of(conn, incident.id)
    return [one for one in found if own is None or one.released_at is not None]


async def _bound(
    conn: AsyncConnection,
    reader: _Reader,
    incident: Incident,
    own: Obligation | None,
    *,
    after: Place | None,
) -> list[Obligation]:
    if own is not None:
        return [own]
    return await incident_recipients.recipients_page(
        conn, incident.id, now=reader.ranked_at, after=after, limit=RECIPIENTS_SHOWN + 1
    )


async def _others(
    conn: AsyncConnection, incident: Incident, own: Obligation | None
) -> Sequence[Obligation]:
    if own is not None:
        return ()
    return await incident_recipients.others_owing(conn, incident.id, limit=OTHERS_SHOWN)


async def _told(
    conn: AsyncConnection, incident: Incident, own: Obligation | None, *, before: int | None
) -> Told:
    if own is not None:  # its own page has all that is its business
        return tell([], limit=ENTRIES_SHOWN)
    found = await ledger_pages.entries_of(
        conn, incident.id, types=TIMELINE_TYPES, before=before, limit=ENTRIES_SHOWN + 1
    )
    return tell(found, limit=ENTRIES_SHOWN)


async def _people(conn: AsyncConnection, told: Told) -> dict[str, str]:
    """Name those on whose word a notice went out, for whoever sees the incident whole."""
    named = await actors_by_id(conn, told.people_ids)
    return {actor_id: actor.name for actor_id, actor in named.items()}


async def _recipients(
    conn: AsyncConnection,
    reader: _Reader,
    shown: Sequence[Obligation],
    agencies: Mapping[AgencyId, Named],
    latest: Notice,
) -> list[Recipient]:
    """Read what the lines need, each kind of fact in one statement."""
    ids, agency_ids = {one.id for one in shown}, {one.agency_id for one in shown}
    callable_ = reader.may_call(agency_ids)
    tries = await report_facts.tries_of(conn, ids, by=reader.now)
    answers = await acknowledgements.acknowledgements_of(conn, ids)
    answering = await report_facts.areas_answered_for(conn, agency_ids, at=reader.now)
    contacts = await report_facts.living_contacts(conn, callable_, at=reader.now)
    steps = await obligations.steps_of(conn, ids) if callable_ else []
    attending = await attendances.of(conn, ids, now=reader.now)
    return [
        Recipient(
            owed=one,
            agency=agencies[one.agency_id],
            group=group_of(one, now=reader.now),
            tries=tries.get(one.id),
            answers=answers.get(one.id, ()),
            places=places_of(
                latest.area_keys,
                answering.get(one.agency_id, frozenset()),
                reader.desk.places,
            ),
            contact=call_now(
                contacts.get(one.agency_id, ()),
                reached=[
                    row for row in steps if row.obligation_id == one.id and row.epoch == one.epoch
                ],
            ),
            attendance=attending.get(one.id),
        )
        for one in shown
    ]


async def _ahead(
    conn: AsyncConnection, reader: _Reader, incident: Incident, own: Obligation | None
) -> Ahead:
    if own is None:
        bound = await incident_recipients.next_to_step(conn, incident.id, limit=NEXT_STEPS)
        stopped = await incident_recipients.count_stopped(conn, incident.id)
    else:
        bound, stopped = [own], 0
    planned = soonest(bound, most=NEXT_STEPS)
    agencies = await matching.agencies_by_id(conn, {one.owed.agency_id for one in planned})
    steps = await name_steps(conn, reader.desk, planned, agencies, reader=reader.principal)
    return Ahead(steps=steps, stopped=stopped)
