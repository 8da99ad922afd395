"""What a poster sends: a notice, its next version or its cancel, and the rules they satisfy."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from noticebus.contracts.acknowledgement import Person
from noticebus.contracts.base import (
    Accepted,
    Headline,
    Instant,
    Language,
    Line,
    Note,
    Prose,
    Url,
    Version,
    Word,
    at,
    refuse,
)
from noticebus.contracts.parts import (
    ActionType,
    Area,
    CaregiverAssertion,
    CaregiverScreening,
    Certainty,
    Children,
    CpsScreeningOffer,
    FamilyLine,
    Marking,
    Phase,
    ProcessingPlace,
    RequestedAction,
    Sender,
    Severity,
    Site,
    SiteCounts,
    Urgency,
    counties_named,
)
from noticebus.contracts.vocabulary import ChangeReason, NoticeClass, NoticeKind, Status
from noticebus.errors import Detail

KINDS_ACCEPTED = (NoticeKind.ENFORCEMENT_ACTION, NoticeKind.ADVANCE)
STILL_OPEN_MAX = 20
TOTALS = (
    "encountered",
    "detained_total",
    "released_on_site_humanitarian",
    "released_on_site_other",
    "released_after_processing",
    "transferred_out",
    "minors_encountered",
)
"""Counts that only grow. `in_custody` is not among them: people are released."""


def _kind_built(kind: NoticeKind) -> NoticeKind:
    if kind is NoticeKind.ALL_CLEAR:
        raise PydanticCustomError(
            "kind", "an all-clear ends an incident: post it at /v1/incidents/{id}/all-clear"
        )
    if kind not in KINDS_ACCEPTED:
        raise PydanticCustomError(
            "kind",
            "post an enforcement_action without personal data and ring the agency:"
            " family_safety names children, and this bus does not carry that yet",
        )
    return kind


def _not_withdrawn(reason: ChangeReason) -> ChangeReason:
    if reason is ChangeReason.WITHDRAWN:
        raise PydanticCustomError("reason", "use new_info or correction; to withdraw, cancel")
    return reason


KindAccepted = Annotated[
    NoticeKind,
    AfterValidator(_kind_built),
    WithJsonSchema({"type": "string", "enum": [str(kind) for kind in KINDS_ACCEPTED]}),
]
UpdateReason = Annotated[
    ChangeReason,
    AfterValidator(_not_withdrawn),
    WithJsonSchema({"type": "string", "enum": ["new_info", "correction"]}),
]


class NoticePost(Accepted):
    """A notice of an enforcement action: what happened, where, and what is known about children."""

    kind: KindAccepted
    status: Status
    notice_class: Annotated[NoticeClass, Field(alias="class")]
    occurred_at: Instant
    release_at: Instant | None = None
    expires_at: Instant | None = None
    next_update_due: Instant | None = None
    urgency: Urgency | None = None
    severity: Severity | None = None
    certainty: Certainty | None = None
    marking: Marking = Marking.NONE
    purpose: Word | None = None
    legal_basis: Line | None = None
    sender: Sender
    headline: Headline
    description: Prose | None = None
    instruction: Annotated[dict[Language, Prose], Field(max_length=20)] | None = None
    areas: Annotated[tuple[Area, ...], Field(min_length=1, max_length=50)]
    action_type: ActionType | None = None
    phase: Phase | None = None
    sites: Annotated[tuple[Site, ...], Field(max_length=100)] = ()
    counts: Annotated[tuple[SiteCounts, ...], Field(max_length=100)] = ()
    caregiver_screening: CaregiverScreening | None = None
    caregiver_assertion: CaregiverAssertion | None = None
    children: Children
    family_line: FamilyLine | None = None
    phones_for_detainees: Annotated[int, Field(strict=True, ge=0, le=10_000)] | None = None
    locator: Url | None = None
    processing_place: ProcessingPlace | None = None
    cps_screening_offer: CpsScreeningOffer | None = None
    requested_actions: Annotated[tuple[RequestedAction, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _says_nothing_impossible(self) -> Self:
        refuse([*_time_faults(self), *_site_faults(self), *_count_faults(self)])
        return self


class UpdatePost(NoticePost):
    """The next version: the whole state again, never a difference.

    `base_version` is the version it was written against. Without `material` the bus decides whether
    the change asks for a new answer.
    """

    base_version: Version
    change_reason: UpdateReason
    material: Annotated[bool, Field(strict=True)] | None = None


class CancelPost(Accepted):
    """Asks for the end of an incident that should not stand. A second person confirms it."""

    base_version: Version
    reason: Note
    by: Person


class CancelConfirmPost(Accepted):
    """The second person: somebody else, with another key, who has looked at it as well."""

    by: Person


class AllClearPost(Accepted):
    """The end of an incident that did stand: what was done, and what is still open.

    `still_open` may be empty but must be said. `override_reason` is for an all-clear while matters
    of class A are open.
    """

    base_version: Version
    headline: Headline
    still_open: Annotated[tuple[Note, ...], Field(max_length=STILL_OPEN_MAX)]
    description: Prose | None = None
    override_reason: Note | None = None
    sender: Sender | None = None


def _time_faults(notice: NoticePost) -> list[Detail]:
    faults = []
    if notice.expires_at is not None:
        if notice.expires_at <= notice.occurred_at:
            faults.append(at("/expires_at", "give a time after occurred_at"))
        if notice.release_at is not None and notice.release_at >= notice.expires_at:
            faults.append(at("/release_at", "give a time before expires_at"))
    if notice.next_update_due is not None and notice.next_update_due <= notice.occurred_at:
        faults.append(at("/next_update_due", "give a time after occurred_at"))
    return faults


def _site_faults(notice: NoticePost) -> list[Detail]:
    faults = []
    counties = counties_named(notice.areas)
    states = {state for area in notice.areas for state in area.state}
    seen: set[str] = set()
    for number, site in enumerate(notice.sites):
        if site.site_id in seen:
            faults.append(at(f"/sites/{number}/site_id", "give each site an id of its own"))
        seen.add(site.site_id)
        county = site.county_fips
        if county is not None and county not in counties and county[:2] not in states:
            message = "add this county to areas too: only areas decide who is told"
            faults.append(at(f"/sites/{number}/county_fips", message))
    return faults


def _count_faults(notice: NoticePost) -> list[Detail]:
    faults = []
    sites = {site.site_id for site in notice.sites}
    seen: set[str] = set()
    for number, counts in enumerate(notice.counts):
        pointer = f"/counts/{number}/site_id"
        if counts.site_id not in sites:
            faults.append(at(pointer, "name a site_id that is in sites, or add the site"))
        elif counts.site_id in seen:
            faults.append(at(pointer, "give one entry of counts per site"))
        seen.add(counts.site_id)
    return faults


def falling_totals(previous: NoticePost, following: UpdatePost) -> tuple[Detail, ...]:
    """List the totals that fall, or vanish, from one version to the next.

    Totals count everybody so far, so only a correction may lower one; `change_reason` says so. A
    site left out, or a total that was a number and is null, has lost what was known.
    """
    if following.change_reason is ChangeReason.CORRECTION:
        return ()
    after = {counts.site_id: (number, counts) for number, counts in enumerate(following.counts)}
    faults: list[Detail] = []
    for before in previous.counts:
        known = [name for name in TOTALS if getattr(before, name) is not None]
        if before.site_id in after:
            faults.extend(_falls(before, after[before.site_id], known))
        elif known:
            message = f"repeat the counts of site {before.site_id}, or set change_reason=correction"
            faults.append(at("/counts", message))
    return tuple(faults)


def _falls(before: SiteCounts, after: tuple[int, SiteCounts], known: list[str]) -> list[Detail]:
    number, counts = after
    faults = []
    for name in known:
        was, now = getattr(before, name), getattr(counts, name)
        if now is None or now < was:
            message = f"give at least {was} as before, or set change_reason=correction"
            faults.append(at(f"/counts/{number}/{name}", message))
    return faults
