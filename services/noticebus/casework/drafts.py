"""From a validated post to a draft.

Places resolved, ids given, everything that needs no transaction done.
"""

import asyncio
import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Any

from noticebus.access.principals import Principal, own_agency, require
from noticebus.casework import accepted
from noticebus.casework.desk import Desk
from noticebus.contracts.canonical import canonical, digest
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.parts import Area
from noticebus.contracts.vocabulary import (
    ChangeReason,
    IncidentState,
    Msg,
    NoticeClass,
    NoticeKind,
    NoticeState,
    Scope,
    Status,
)
from noticebus.domain.places import AreaFacts, ResolvedPlaces, resolve
from noticebus.errors import InvalidError
from noticebus.ids import (
    ActorId,
    AgencyId,
    IncidentId,
    NoticeId,
    new_incident_id,
    new_notice_id,
)
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import IdempotencyRecord, Incident, Notice

ABOUT_THE_VERSION = ("base_version", "change_reason", "material")
HOLDING = frozenset({dict, list})  # what a dump in JSON's kinds is made of


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What makes a post this version of this incident."""

    incident_id: IncidentId
    version: int
    msg: Msg
    material: bool
    change_reason: ChangeReason | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """On whose word a notice that many get goes out: a second person's, or its poster's alone."""

    recipients: int
    approved_by: ActorId | None
    asked_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A notice ready for its transaction. `content` is what was posted, as JSON.

    `fingerprint` its digest. What was typed `from_console` is kept there no longer, once posted.
    """

    id: NoticeId
    head: Head
    agency_id: AgencyId
    posted_by: ActorId
    key: str
    kind: NoticeKind
    status: Status
    notice_class: NoticeClass
    occurred_at: dt.datetime
    release_at: dt.datetime | None
    next_update_due: dt.datetime | None
    content: dict[str, Any]
    fingerprint: str
    places: ResolvedPlaces
    from_console: bool = False
    consent: Consent | None = None

    @property
    def idempotency(self) -> tuple[str, str]:
        return (self.posted_by, self.key)

    @property
    def warnings(self) -> list[dict[str, str]]:
        return [accepted.warning("area-alias", one.message) for one in self.places.aliases_used]

    def notice(self, *, poster: AgencyFacts, now: dt.datetime) -> Notice:
        """Make the notice as it is stored, its coverage not yet looked at."""
        embargoed = self.release_at is not None and self.release_at > now
        body = canonical({**self.content, "agency": accepted.agency_view(poster)})
        return Notice(
            id=self.id,
            incident_id=self.head.incident_id,
            version=self.head.version,
            agency_id=self.agency_id,
            msg=self.head.msg,
            kind=self.kind,
            status=self.status,
            notice_class=self.notice_class,
            state=NoticeState.SCHEDULED if embargoed else NoticeState.RELEASED,
            material=self.head.material,
            change_reason=self.head.change_reason,
            occurred_at=self.occurred_at,
            accepted_at=now,
            release_at=self.release_at,
            released_at=None if embargoed else now,
            next_update_due=self.next_update_due,
            posted_by=self.posted_by,
            body=body,
            body_digest=hashlib.sha256(body).hexdigest(),
            area_keys=sorted(self.places.keys),
            uncovered=[],
            refdata_version=self.places.version,
        )

    def incident(self, now: dt.datetime) -> Incident:
        """Make the incident that version 1 opens."""
        return Incident(
            id=self.head.incident_id,
            agency_id=self.agency_id,
            status=self.status,
            state=IncidentState.OPEN,
            latest_version=self.head.version,
            latest_notice_id=self.id,
            created_at=now,
            ended_at=None,
        )

    def record(self, response: dict[str, Any], *, at: dt.datetime) -> IdempotencyRecord:
        """Make the record that answers a repeat of this post."""
        return IdempotencyRecord(
            client_id=self.posted_by,
            key=self.key,
            fingerprint=self.fingerprint,
            response=response,
            created_at=at,
        )


async def first_version(desk: Desk, principal: Principal, *, post: NoticePost, key: str) -> Draft:
    """Prepare a new incident's first notice.

    Raises InvalidError with a pointer for each place that is not one.
    """
    head = Head(
        incident_id=new_incident_id(),
        version=1,
        msg=Msg.ALERT,
        material=True,
        change_reason=None,
    )
    return await prepare(desk, principal, post=post, key=key, head=head)


async def prepare(
    desk: Desk, principal: Principal, *, post: NoticePost, key: str, head: Head
) -> Draft:
    """Prepare any version: check the poster's right, resolve the places, give the notice its id."""
    require(principal, Scope.POST)
    if any(area.polygon for area in post.areas):  # half a second at worst, beside the event loop
        places = await asyncio.to_thread(places_of, desk, post.areas)
    else:
        places = places_of(desk, post.areas)
    said = _said(post)
    return Draft(
        id=new_notice_id(),
        head=head,
        agency_id=own_agency(principal),
        posted_by=principal.id,
        key=key,
        kind=post.kind,
        status=post.status,
        notice_class=post.notice_class,
        occurred_at=post.occurred_at,
        release_at=post.release_at,
        next_update_due=post.next_update_due,
        content=_content(said),
        fingerprint=digest(said),
        places=places,
    )


def fingerprint_of(post: NoticePost) -> str:
    """Digest what was posted: the same key with another is refused."""
    return digest(_said(post))


def _said(post: NoticePost) -> dict[str, Any]:
    return post.model_dump(mode="json", by_alias=True)


def _content(said: dict[str, Any]) -> dict[str, Any]:
    """Keep what the notice says: no nulls, and nothing that is about the version."""
    content: dict[str, Any] = _without_nulls(said)
    for name in ABOUT_THE_VERSION:
        content.pop(name, None)
    return content


def _without_nulls(value: Any) -> Any:
    """Leave the nulls out of a dumped object or list and of all inside it."""
    if isinstance(value, dict):
        return {
            name: _without_nulls(one) if type(one) in HOLDING else one
            for name, one in value.items()
            if one is not None
        }
    return [_without_nulls(one) if type(one) in HOLDING else one for one in value]


def places_of(desk: Desk, areas: tuple[Area, ...]) -> ResolvedPlaces:
    """Resolve areas once; districts are checked for form only, as no registry of them ships."""
    facts = [
        AreaFacts(
            county_fips=area.county_fips,
            lea_id=area.lea_id,
            zip=area.zip,
            point=area.point,
            radius_km=area.radius_km,
            polygon=area.polygon or (),
            state=area.state,
            tribal_area=area.tribal_area,
        )
        for area in areas
    ]
    resolved = resolve(facts, gazetteer=desk.places, known_leas=None)
    if isinstance(resolved, ResolvedPlaces):
        return resolved
    raise InvalidError(
        "The notice names a place that does not exist. Correct it; nothing was stored.",
        code="unknown-place",
        details=resolved,
    )
