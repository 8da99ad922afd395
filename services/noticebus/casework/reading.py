"""Reading notices, incidents and obligations back, as each caller may see them. Changes nothing."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, sees_every_agency, visible_agency
from noticebus.casework import accepted
from noticebus.casework.cancel import cancel_request_view, pending_cancel
from noticebus.casework.desk import Desk
from noticebus.casework.obligation_views import ObligationFacts, agency_ref, obligation_view
from noticebus.casework.views import level_of, whole
from noticebus.casework.waiving import waivers_for
from noticebus.contracts.agency import AgencyRef
from noticebus.contracts.answers import ObligationView
from noticebus.contracts.incident import IncidentView, VersionView
from noticebus.contracts.rendering import redact
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import NotFoundError
from noticebus.ids import AgencyId, IncidentId, NoticeId, ObligationId
from noticebus.store import acknowledgements, matching, notices, obligations
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation
from noticebus.store.report_facts import latest_versions, tries_of

READERS = (Scope.POST, Scope.ANSWER, Scope.OPERATE, Scope.ADMIN, Scope.AUDIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenNotice:
    """A notice as the reader may see it: its id, and its content in wire form."""

    id: NoticeId
    content: dict[str, Any]


async def get_notice(desk: Desk, principal: Principal, *, notice_id: str) -> SeenNotice:
    """Read one notice: whole for its poster and the bus's people, else as a recipient may see it.

    404 for everybody else, and for a recipient until it is released.
    """
    require(principal, *READERS)
    async with desk.database.read() as conn:
        found = await notices.notices_by_id(conn, [NoticeId(notice_id)])
        notice = found.get(NoticeId(notice_id))
        if notice is None or not await is_told(conn, principal, notice):
            raise NotFoundError(f"There is no notice {notice_id} that you may see.")
    return seen_notice(notice, principal)


async def list_notices(
    desk: Desk, principal: Principal, *, before: str, limit: int
) -> list[SeenNotice]:
    """List at most `limit` notices with ids before `before`, newest first.

    What the caller's agency posted or was told, or all for the bus's people.
    """
    require(principal, *READERS)
    visible_to = visible_agency(principal)
    async with desk.database.read() as conn:
        found = await notices.notice_page(
            conn,
            visible_to=visible_to,
            before=NoticeId(before) if before else None,
            limit=limit,
        )
    return [seen_notice(one, principal) for one in found]


async def get_incident(desk: Desk, principal: Principal, *, incident_id: str) -> IncidentView:
    """Read an incident with its versions; a recipient sees those that were released."""
    require(principal, *READERS)
    async with desk.database.read() as conn:
        incident, owed = await seen_incident(conn, principal, incident_id)
        versions = await notices.versions_of(conn, incident.id)
        poster = (await matching.agencies_by_id(conn, [incident.agency_id]))[incident.agency_id]
        counts = None if owed else await obligations.counts_by_state(conn, incident.id)
        asked = None if owed else await pending_cancel(conn, incident, now=desk.world.now())
    return IncidentView(
        id=incident.id,
        agency=agency_ref(poster),
        status=incident.status,
        state=incident.state,
        latest_version=incident.latest_version,
        created_at=incident.created_at,
        ended_at=incident.ended_at,
        obligations=counts,
        cancel_request=None if asked is None else cancel_request_view(asked),
        versions=tuple(
            _version(one) for one in versions if owed is None or one.released_at is not None
        ),
    )


async def list_obligations(
    desk: Desk, principal: Principal, *, incident_id: str, after: str, limit: int
) -> list[ObligationView]:
    """List at most `limit` obligations of an incident with ids after `after`.

    All of them for its poster and the bus's people; a recipient sees its own.
    """
    require(principal, *READERS)
    async with desk.database.read() as conn:
        incident, owed = await seen_incident(conn, principal, incident_id)
        if owed is None:
            found = await obligations.obligations_of(
                conn,
                incident_id=incident.id,
                after=ObligationId(after) if after else None,
                limit=limit,
            )
        else:
            found = [owed] if owed.id > after else []
        return await _views(conn, found, now=desk.world.now(), reader=principal)


async def get_obligation(desk: Desk, principal: Principal, *, obligation_id: str) -> ObligationView:
    """Read one obligation: for the agency that owes it, the poster and the bus's people."""
    require(principal, *READERS)
    async with desk.database.read() as conn:
        owed = await obligations.obligation_by_id(conn, ObligationId(obligation_id))
        if owed is None or not await may_see(conn, principal, owed):
            raise NotFoundError(f"There is no obligation {obligation_id} that you may see.")
        (view,) = await _views(conn, [owed], now=desk.world.now(), reader=principal)
    return view


async def agency_refs(desk: Desk, agency_ids: Collection[AgencyId]) -> Mapping[AgencyId, AgencyRef]:
    """Name agencies as answers name them."""
    async with desk.database.read() as conn:
        found = await matching.agencies_by_id(conn, agency_ids)
    return {one.id: agency_ref(one) for one in found.values()}


def _owns(principal: Principal, agency_id: AgencyId) -> bool:
    return sees_every_agency(principal) or principal.agency_id == agency_id


async def is_told(conn: AsyncConnection, principal: Principal, notice: Notice) -> bool:
    """Say whether the caller may see a notice: poster, bus's people, whom it was released to."""
    if _owns(principal, notice.agency_id):
        return True
    if principal.agency_id is None or notice.released_at is None:
        return False
    owed = await obligations.find_obligation(
        conn, incident_id=notice.incident_id, agency_id=principal.agency_id
    )
    return owed is not None


async def seen_incident(
    conn: AsyncConnection, principal: Principal, incident_id: str
) -> tuple[Incident, Obligation | None]:
    """Read an incident, and what the caller owes it where that is all it may see."""
    incident = await notices.incident_by_id(conn, IncidentId(incident_id))
    if incident is not None and _owns(principal, incident.agency_id):
        return incident, None
    owed = None
    if incident is not None and principal.agency_id is not None:
        owed = await obligations.find_obligation(
            conn, incident_id=incident.id, agency_id=principal.agency_id
        )
    if incident is None or owed is None or owed.round_started_at is None:
        raise NotFoundError(f"There is no incident {incident_id} that you may see.")
    return incident, owed


async def may_see(conn: AsyncConnection, principal: Principal, owed: Obligation) -> bool:
    """Say whether the caller may see an obligation: who owes it, the poster, the bus's people."""
    if sees_every_agency(principal):
        return True
    if principal.agency_id == owed.agency_id and owed.round_started_at is not None:
        return True
    incident = await notices.incident_by_id(conn, owed.incident_id)
    assert incident is not None, "an obligation belongs to an incident"
    return principal.agency_id == incident.agency_id


async def _views(
    conn: AsyncConnection, found: Sequence[Obligation], *, now: dt.datetime, reader: Principal
) -> list[ObligationView]:
    """Show obligations: six statements, however many there are."""
    if not found:
        return []
    ids = [one.id for one in found]
    facts = ObligationFacts(
        now=now,
        agencies=await matching.agencies_by_id(conn, {one.agency_id for one in found}),
        tries=await tries_of(conn, ids, by=now),
        acknowledgements=await acknowledgements.acknowledgements_of(conn, ids),
        latest=await latest_versions(conn, {one.incident_id for one in found}, at=now),
        waivers=await waivers_for(conn, reader, ids),
    )
    return [obligation_view(one, facts) for one in found]


def seen_notice(notice: Notice, principal: Principal) -> SeenNotice:
    """Show a notice that the caller may see: whole to its poster and the bus's people."""
    everything = whole(notice) | {
        "state": notice.state.value,
        "released_at": accepted.wire_instant(notice.released_at),
        "uncovered": notice.uncovered,
    }
    if _owns(principal, notice.agency_id):
        return SeenNotice(id=notice.id, content=everything)
    assert principal.agency_kind is not None, "a recipient is an agency"
    return SeenNotice(id=notice.id, content=redact(everything, level_of(principal.agency_kind)))


def _version(notice: Notice) -> VersionView:
    content = accepted.body_of(notice)
    return VersionView(
        id=notice.id,
        version=notice.version,
        msg=notice.msg,
        kind=notice.kind,
        notice_class=notice.notice_class,
        state=notice.state,
        material=notice.material,
        material_reasons=content.get("material_reasons", ()),
        change_reason=notice.change_reason,
        headline=content["headline"],
        accepted_at=notice.accepted_at,
        released_at=notice.released_at,
    )
