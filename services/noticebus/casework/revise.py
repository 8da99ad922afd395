"""The next version of an incident: an update, in one transaction under the incident's lock."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require
from noticebus.casework import accepted, coverage, debts, shards
from noticebus.casework.answer import rules_view
from noticebus.casework.binding import Moment, counts_of, number
from noticebus.casework.coverage import Holding
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import Draft, Head, prepare
from noticebus.casework.ended import refuse_ended_exercise
from noticebus.casework.intake import Answered
from noticebus.casework.recipients import (
    Bound,
    bind_all,
    find_for,
    in_state,
    route_notice,
    tell,
    uncovered_of,
    without,
)
from noticebus.casework.rounds import begin, policies_in_force
from noticebus.casework.spacing import spaced
from noticebus.casework.telling import reached_now
from noticebus.casework.tracing import routing_entries
from noticebus.contracts.notice import NoticePost, UpdatePost, falling_totals
from noticebus.contracts.vocabulary import (
    Cause,
    IncidentState,
    Msg,
    NoticeClass,
    NoticeKind,
    NoticeState,
    ObligationState,
    Owed,
    Scope,
)
from noticebus.domain.material import Children, NoticeFacts, material_reasons
from noticebus.domain.obligation import OpensRound, VersionFacts, after_version
from noticebus.domain.policies import Policy
from noticebus.domain.routing import Recipient, Routing
from noticebus.errors import ConflictError, Detail, InvalidError, NotFoundError
from noticebus.ids import AgencyId, IncidentId
from noticebus.store import deliveries, ledger, matching, notices, obligations
from noticebus.store.deliveries import Delivery, insert_deliveries
from noticebus.store.ledger import History, Recorded
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation, facts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """A new version with what it does to those already bound, and to those it adds."""

    notice: Notice
    reopened: list[Obligation]
    bound: Bound
    known: list[Obligation]
    deliveries: list[Delivery]
    routing: Routing


async def update(
    desk: Desk,
    principal: Principal,
    *,
    incident_id: IncidentId,
    post: UpdatePost,
    key: str | None,
) -> Answered:
    """Store the next version and tell everybody bound, with a new round where it is material.

    Raises ConflictError for a stale `base_version` or an incident that has ended, InvalidError for
    totals that fall.
    """
    require(principal, Scope.POST)
    draft = await _draft(desk, principal, incident_id, post, key or "")
    async with desk.database.begin() as conn:
        # Under the lock, so that a repeat that waited for the first finds its record.
        await notices.lock_incidents(conn, [incident_id])
        if key is not None:
            records = await notices.find_idempotency_records(conn, [(principal.id, key)])
            if records:
                (record,) = records.values()
                response = accepted.replayed(record, draft.fingerprint)
                return Answered(response=response, fresh=False)
        incident, latest = await lock_latest(
            conn,
            principal,
            incident_id=incident_id,
            base_version=post.base_version,
            now=desk.world.now(),
        )
        await obligations.lock_obligations(conn, incident_id=incident_id)
        # Once all is locked: a step that came before a promised update ended is not after it.
        at = Moment(world=desk.world.now(), machine=desk.machine.now())
        draft = _checked(draft, incident, latest, post=post)
        revision = await _revise(conn, desk, draft, latest, at=at)
        recorded = await _store(conn, revision, at=at)
        await debts.follow(conn, revision.notice, at=at)
        holding = Holding(notice=revision.bound.notice, before=latest.uncovered)
        held = await coverage.hold(conn, desk, [holding], at=at)
        response = _response(desk, draft, revision, recorded)
        if key is not None:
            record = draft.record(response, at=at.world)
            await notices.insert_idempotency_records(conn, [record])
    desk.committed(shards.of(revision.notice, [*revision.deliveries, *held]))
    return Answered(response=response, fresh=True)


async def lock_latest(
    conn: AsyncConnection,
    principal: Principal,
    *,
    incident_id: IncidentId,
    base_version: int,
    now: dt.datetime,
) -> tuple[Incident, Notice]:
    """Lock an incident of the principal's own that takes another version, with its latest."""
    incident = (await notices.lock_incidents(conn, [incident_id])).get(incident_id)
    if incident is None or incident.agency_id != own_agency(principal):
        raise NotFoundError(f"Your agency has posted no incident {incident_id}. Check the id.")
    refuse_ended_or_stale(incident, base_version=base_version)
    await refuse_ended_exercise(conn, incident, what="version", now=now)
    found = await notices.notices_by_id(conn, [incident.latest_notice_id])
    return incident, found[incident.latest_notice_id]


def refuse_ended_or_stale(incident: Incident, *, base_version: int) -> None:
    """Raise ConflictError where the incident takes no further version, or has a newer one."""
    if incident.state is IncidentState.CANCELLED:
        raise ConflictError(
            "The incident was cancelled and takes no further version. Post a new notice instead.",
            code="incident-cancelled",
        )
    refuse_stale(incident, base_version=base_version)


def refuse_stale(incident: Incident, *, base_version: int) -> None:
    """Raise ConflictError where the incident has a newer version than the one looked at."""
    if incident.latest_version != base_version:
        message = (
            f"The incident is at version {incident.latest_version}, not {base_version}."
            f" Read {incident.latest_notice_id}, then send the whole state with that base_version."
        )
        raise ConflictError(
            message,
            code="stale-version",
            details=(Detail(pointer="/base_version", message=message),),
        )


async def _draft(
    desk: Desk, principal: Principal, incident_id: IncidentId, post: UpdatePost, key: str
) -> Draft:
    head = Head(
        incident_id=incident_id,
        version=post.base_version + 1,
        msg=Msg.UPDATE,
        material=bool(post.material),
        change_reason=post.change_reason,
    )
    draft = await prepare(desk, principal, post=post, key=key, head=head)
    of_incident = f"{incident_id}:{draft.fingerprint}"  # the same words may update two incidents
    return replace(draft, fingerprint=hashlib.sha256(of_incident.encode()).hexdigest())


def _checked(draft: Draft, incident: Incident, latest: Notice, *, post: UpdatePost) -> Draft:
    """Refuse what cannot follow the latest version.

    Decide whether the change asks for a new answer.
    """
    previous = posted(latest)
    faults = list(falling_totals(previous, post))
    if post.status is not incident.status:
        message = f"keep status {incident.status}: an exercise never turns into the actual"
        faults.append(Detail(pointer="/status", message=message))
    if post.release_at is not None:
        message = "leave release_at out: an update is told at once"
        faults.append(Detail(pointer="/release_at", message=message))
    if faults:
        raise InvalidError(
            "The update does not follow from the version before it. Nothing was stored.",
            code="invalid-update",
            details=tuple(faults),
        )
    if latest.state is NoticeState.SCHEDULED:
        raise ConflictError(
            "The notice is still embargoed and nobody has been told. Cancel it and post it anew.",
            code="embargoed",
        )
    reasons = material_reasons(_facts(previous), _facts(post), declared=bool(post.material))
    # Stored with what was posted: every reader and every repeat is told the same (I3).
    content = {**draft.content, "material_reasons": list(reasons)}
    return replace(draft, head=replace(draft.head, material=bool(reasons)), content=content)


def posted(notice: Notice) -> NoticePost:
    """Read back what was posted, without what the bus itself has written beside it.

    An all-clear keeps the sites and counts of the version before it: what follows it is compared
    with those, whatever its kind.
    """
    content = accepted.body_of(notice)
    sent = {name: value for name, value in content.items() if name in _POSTED}
    if notice.kind is NoticeKind.ALL_CLEAR:
        sent["kind"] = NoticeKind.ENFORCEMENT_ACTION
    return NoticePost.model_validate(sent)


_POSTED = frozenset(field.alias or name for name, field in NoticePost.model_fields.items())


def _facts(post: NoticePost) -> NoticeFacts:
    children = post.children
    low = children.low if children.value is None else children.value
    high = children.high if children.value is None else children.value
    known = low is not None and high is not None
    places = frozenset(
        f"{name}:{code}"
        for area in post.areas
        for name in ("county_fips", "lea_id", "zip", "state", "tribal_area")
        for code in getattr(area, name)
    )
    return NoticeFacts(
        notice_class=post.notice_class,
        phase=post.phase,
        places=places,
        sites=frozenset(site.site_id for site in post.sites),
        children=Children(low=low, high=high)
        if known and low is not None and high is not None
        else None,
    )


async def _revise(
    conn: AsyncConnection, desk: Desk, draft: Draft, latest: Notice, *, at: Moment
) -> Revision:
    poster = (await matching.agencies_by_id(conn, [draft.agency_id]))[draft.agency_id]
    made = draft.notice(poster=poster, now=at.world)
    # A place left out stays addressed until cancelled.
    made = replace(made, area_keys=sorted({*made.area_keys, *latest.area_keys}))
    found = await find_for(conn, desk, [made])
    routing = route_notice(made, found)
    known = [
        one
        for one in await obligations.lock_obligations(conn, incident_id=made.incident_id)
        if one.owed is Owed.NOTICE
    ]
    bound_before = await matching.agencies_by_id(conn, {one.agency_id for one in known})
    found = replace(found, facts={**found.facts, **bound_before})
    versions = await notices.versions_of(conn, made.incident_id)
    before = Before(
        versions=[_version(one) for one in versions],
        facts=bound_before,
        policies=await policies_in_force(
            conn, known, bound_before, classes=list(NoticeClass), at=at.world
        )
        if made.material
        else {},
        recipients={one.agency_id: one for one in routing.recipients},
        stood_in=found.stood_in,
    )
    reopened = [_reopen(one, made, before, at=at) for one in known]
    # Who has declined or was waived, and is not asked again, still answers for nothing.
    uncovered = uncovered_of(
        made,
        found,
        lost=in_state(reopened, ObligationState.DECLINED),
        waived=in_state(reopened, ObligationState.WAIVED),
    )
    notice = replace(made, uncovered=uncovered)
    asked = replace(notice, notice_class=_gravest([*versions, notice]))
    added = without(route_notice(asked, found), {one.agency_id for one in known})
    (bound,) = await bind_all(conn, [(asked, added)], found, at=at)
    told = await tell(conn, notice, reopened, before.recipients, at=at)
    reopened = reached_now(reopened, told, before.recipients, sends_mail=desk.sends_mail)
    every = [*told, *bound.deliveries]
    numbered = number(every, await matching.take_sequences(conn, counts_of(every)))
    return Revision(
        notice=notice,
        reopened=reopened,
        bound=bound,
        known=known,
        deliveries=numbered,
        routing=routing,
    )


def _gravest(versions: Sequence[Notice]) -> NoticeClass:
    """Give the class of what somebody bound now has to answer: all since the last all-clear."""
    asked = [versions[-1].notice_class]
    for one in reversed(versions):
        if one.kind is NoticeKind.ALL_CLEAR:
            break
        asked += [one.notice_class] if one.material else []
    return min(asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a version finds: its predecessors, and for those bound calendars, policies, reach."""

    versions: Sequence[VersionFacts]
    facts: Mapping[AgencyId, AgencyFacts]
    policies: Mapping[str, Policy]
    recipients: Mapping[AgencyId, Recipient]
    stood_in: frozenset[AgencyId]


def _reopen(owed: Obligation, notice: Notice, before: Before, *, at: Moment) -> Obligation:
    """Open a new round for one recipient where the version is material; its facts begin again."""
    decision = after_version(
        obligation=rules_view(owed),
        new=_version(notice),
        earlier=before.versions,
        answered_version=owed.answered_version or None,
    )
    if not isinstance(decision, OpensRound):
        return owed
    fresh = replace(
        owed,
        state=ObligationState.OPEN,
        epoch=decision.epoch,
        notice_class=decision.notice_class,
        round_notice_id=notice.id,
        round_version=decision.round_version,
        step=0,
        delivered_at=None,
        opened_at=None,
        received_at=None,
        promised_until=None,
        more_time_used=False,
        closed_at=None,
    )
    return begin(
        fresh,
        before.facts[owed.agency_id],
        policies=before.policies,
        recipient=before.recipients.get(owed.agency_id),
        at=at.world,
        stood_in=owed.agency_id in before.stood_in,
    )


def _version(notice: Notice) -> VersionFacts:
    return VersionFacts(
        version=notice.version, notice_class=notice.notice_class, material=notice.material
    )


async def _store(conn: AsyncConnection, revision: Revision, *, at: Moment) -> Recorded:
    notice = revision.notice
    await notices.insert_notices(conn, [notice])
    if not await notices.advance_incident(
        conn, notice=notice, state=IncidentState.OPEN, ended_at=None
    ):
        raise ConflictError("Another version was first; nothing was stored. Read it and try again.")
    pairs = list(zip(revision.known, revision.reopened, strict=True))
    changed = [after for before, after in pairs if after is not before]
    await obligations.save_all(conn, changed)
    ids = [after.id for before, after in pairs if after.epoch != before.epoch]
    if ids:  # a new round begins: what an old one still had to remind of is pointless
        await deliveries.make_moot(
            conn, ids, finished_at=at.world, causes=[Cause.STEP], version_max=notice.version
        )
    await obligations.insert_obligations(conn, revision.bound.obligations)
    await insert_deliveries(conn, await spaced(conn, revision.deliveries, now=at.world))
    trace = routing_entries(notice, revision.bound.obligations, revision.bound.routing, at=at.world)
    recorded = await ledger.append(conn, trace.entries)
    reopened = [
        History(obligation_id=one.id, entry_id=trace.entries[0].id, facts=facts_of(one))
        for one in changed
    ]
    await ledger.append_history(conn, [*reopened, *trace.history])
    return recorded[0]


def _response(desk: Desk, draft: Draft, revision: Revision, recorded: Recorded) -> dict[str, Any]:
    return accepted.response(
        revision.notice,
        routing=revision.routing,
        obligations=[*revision.reopened, *revision.bound.obligations],
        facts=revision.bound.facts,
        warnings=draft.warnings,
        receipt=accepted.receipt(desk.keyring, recorded),
    )
