"""The parts of a notice: who posts, where, how many, and what is known about the children.

Names and terms: CAP 1.2 (OASIS) for urgency, severity and certainty; the rest from practice.
"""

from enum import StrEnum
from itertools import chain
from typing import Annotated, Self

from pydantic import Field, model_validator

from noticebus.contracts.base import (
    Accepted,
    Count,
    CountyFips,
    Instant,
    Language,
    LeaId,
    Line,
    Name,
    Note,
    Phone,
    Position,
    StateFips,
    TribalArea,
    ZipCode,
    at,
    refuse,
)
from noticebus.contracts.vocabulary import AgencyKind
from noticebus.errors import Detail


class Urgency(StrEnum):
    """CAP 1.2 `urgency`."""

    IMMEDIATE = "Immediate"
    EXPECTED = "Expected"
    FUTURE = "Future"
    PAST = "Past"
    UNKNOWN = "Unknown"


class Severity(StrEnum):
    """CAP 1.2 `severity`."""

    EXTREME = "Extreme"
    SEVERE = "Severe"
    MODERATE = "Moderate"
    MINOR = "Minor"
    UNKNOWN = "Unknown"


class Certainty(StrEnum):
    """CAP 1.2 `certainty`."""

    OBSERVED = "Observed"
    LIKELY = "Likely"
    POSSIBLE = "Possible"
    UNLIKELY = "Unlikely"
    UNKNOWN = "Unknown"


class Marking(StrEnum):
    """How the text must be handled (32 CFR part 2002)."""

    NONE = ""
    LEI = "CUI//LEI"
    LEI_DL_ONLY = "CUI//LEI//DL ONLY"


class ServiceHours(StrEnum):
    """When the sender's desk answers: `A` around the clock, `D` office hours only."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class ActionType(StrEnum):
    """Where the action takes place."""

    WORKSITE = "worksite"
    RESIDENCE = "residence"
    ROAD = "road"
    COURTHOUSE = "courthouse"
    TRANSFER = "transfer"
    OTHER = "other"


class Phase(StrEnum):
    """How far the action is."""

    IN_PROGRESS = "in_progress"
    SECURED = "secured"
    CONCLUDED = "concluded"


class CountBasis(StrEnum):
    """What a number rests on."""

    EXACT = "exact"
    ESTIMATE = "estimate"
    NOT_AVAILABLE = "not_available"


class ScreeningStatus(StrEnum):
    """How far the screening for caregivers is."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    COMPLETE = "complete"
    NOT_DONE = "not_done"


class ScreeningMethod(StrEnum):
    """Who was asked: everybody, or those who spoke up."""

    ASKED_ALL = "asked_all"
    SELF_REPORT = "self_report"


class ChildrenStatus(StrEnum):
    """What is known about the number of children. `unknown` is legal, and loud (I13)."""

    UNKNOWN = "unknown"
    NOT_ASKED = "not_asked"
    NONE_REPORTED = "none_reported"
    ESTIMATE = "estimate"
    COUNT = "count"


class AgeBand(StrEnum):
    """Ages in years."""

    UNDER_5 = "0-4"
    FROM_5 = "5-11"
    FROM_12 = "12-17"
    UNKNOWN = "unknown"


class OfferStatus(StrEnum):
    """Whether child protection was asked to screen for caregivers (2007 and 2009 guidelines)."""

    INVITED = "invited"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    NOT_OFFERED = "not_offered"


class Sender(Accepted):
    """Who posts, and where a recipient rings back."""

    unit: Name
    role: Name
    callback_phone: Phone
    service_hours: ServiceHours | None = None
    ori: Annotated[str, Field(pattern=r"^[A-Z0-9]{9}$")] | None = None


class Area(Accepted):
    """Places, by any of these codes and shapes; together they are one area."""

    desc: Line | None = None
    county_fips: Annotated[tuple[CountyFips, ...], Field(max_length=500)] = ()
    lea_id: Annotated[tuple[LeaId, ...], Field(max_length=500)] = ()
    zip: Annotated[tuple[ZipCode, ...], Field(max_length=500)] = ()
    state: Annotated[tuple[StateFips, ...], Field(max_length=60)] = ()
    tribal_area: Annotated[tuple[TribalArea, ...], Field(max_length=100)] = ()
    point: Position | None = None
    radius_km: Annotated[float, Field(strict=True, gt=0, le=500, allow_inf_nan=False)] | None = None
    polygon: Annotated[tuple[Position, ...], Field(min_length=4, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _names_a_place(self) -> Self:
        faults: list[Detail] = []
        if self.point is not None and self.radius_km is None:
            faults.append(at("/radius_km", "give the radius around the point, in kilometres"))
        if self.radius_km is not None and self.point is None:
            faults.append(at("/point", "give the point that the radius is around: [lat, lon]"))
        if self.polygon is not None and self.polygon[0] != self.polygon[-1]:
            faults.append(at("/polygon", "close the ring: repeat the first point as the last"))
        codes = (self.county_fips, self.lea_id, self.zip, self.state, self.tribal_area)
        if not any(codes) and self.point is None and self.polygon is None and not faults:
            faults.append(
                at("", "name a place: county_fips, lea_id, zip, state, tribal_area, point, polygon")
            )
        refuse(faults)
        return self


class Site(Accepted):
    """One place of the action. The label says what it is, not whose: no company names."""

    site_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    label: Line
    county_fips: CountyFips | None = None
    started_at: Instant | None = None
    concluded_at: Instant | None = None

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.started_at and self.concluded_at and self.concluded_at < self.started_at:
            refuse([at("/concluded_at", "give a time that is not before started_at")])
        return self


class SiteCounts(Accepted):
    """People at one site. Totals only grow; null is "not known" and never means zero."""

    site_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
    as_of: Instant
    basis: CountBasis
    encountered: Count | None = None
    detained_total: Count | None = None
    in_custody: Count | None = None
    released_on_site_humanitarian: Count | None = None
    released_on_site_other: Count | None = None
    released_after_processing: Count | None = None
    transferred_out: Count | None = None
    minors_encountered: Count | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.basis is CountBasis.NOT_AVAILABLE:
            refuse(_numbers_refused(self))
        refuse(_sum_faults(self))
        return self


NUMBERS = (
    "encountered",
    "detained_total",
    "in_custody",
    "released_on_site_humanitarian",
    "released_on_site_other",
    "released_after_processing",
    "transferred_out",
    "minors_encountered",
)
PARTS_OF_TOTAL = NUMBERS[2:7]


def _numbers_refused(counts: SiteCounts) -> list[Detail]:
    return [
        at(f"/{name}", "leave the number out, or say on what basis it is known")
        for name in NUMBERS
        if getattr(counts, name) is not None
    ]


def _sum_faults(counts: SiteCounts) -> list[Detail]:
    if counts.detained_total is None:
        return []
    parts = [getattr(counts, name) for name in PARTS_OF_TOTAL]
    known = sum(one for one in parts if one is not None)
    if known > counts.detained_total or (None not in parts and known != counts.detained_total):
        said = f"in_custody, releases and transferred_out give {known}"
        return [at("/detained_total", f"make the counts add up: {said}")]
    return []


class CaregiverScreening(Accepted):
    """Whether those detained were asked who looks after their children."""

    status: ScreeningStatus
    method: ScreeningMethod | None = None
    screened: Count | None = None
    sole_caregivers: Count | None = None


class AgeBandCount(Accepted):
    """How many children of an age."""

    band: AgeBand
    value: Count


class DistrictCount(Accepted):
    """How many children of a school district: for that district and child protection."""

    lea_id: LeaId
    value: Count


class Children(Accepted):
    """What is known about children left without a carer: a word first, numbers only where known."""

    status: ChildrenStatus
    low: Count | None = None
    high: Count | None = None
    value: Count | None = None
    basis: Line | None = None
    as_of: Instant | None = None
    asserted_by: Name | None = None
    by_age_band: Annotated[tuple[AgeBandCount, ...], Field(max_length=10)] = ()
    by_lea: Annotated[tuple[DistrictCount, ...], Field(max_length=200)] = ()

    @model_validator(mode="after")
    def _numbers_match_the_status(self) -> Self:
        refuse(_children_faults(self))
        return self


_CHILDREN_NUMBERS = {  # needed, refused
    ChildrenStatus.UNKNOWN: ((), ("low", "high", "value")),
    ChildrenStatus.NOT_ASKED: ((), ("low", "high", "value")),
    ChildrenStatus.NONE_REPORTED: ((), ("low", "high", "value")),
    ChildrenStatus.ESTIMATE: (("low", "high"), ("value",)),
    ChildrenStatus.COUNT: (("value",), ("low", "high")),
}


def _children_faults(children: Children) -> list[Detail]:
    status = children.status
    needed, refused = _CHILDREN_NUMBERS[status]
    faults = [
        at(f"/{name}", f"give this number: the status is {status}")
        for name in needed
        if getattr(children, name) is None
    ]
    faults += [
        at(f"/{name}", f"leave the number out, or change the status: it says {status}")
        for name in refused
        if getattr(children, name) is not None
    ]
    if not needed:
        faults += [
            at(f"/{name}", f"leave the breakdown out, or change the status: it says {status}")
            for name in ("by_age_band", "by_lea")
            if getattr(children, name)
        ]
    if children.low is not None and children.high is not None and children.low > children.high:
        faults.append(at("/high", "give a number that is not below low"))
    return faults


class FamilyLine(Accepted):
    """The number a relative may ring."""

    phone: Phone
    hours: Name | None = None
    languages: Annotated[tuple[Language, ...], Field(max_length=30)] = ()


class ProcessingPlace(Accepted):
    """Where people are taken, and who may go there. Only child protection sees the address."""

    label: Line
    address: Line | None = None
    access: Note | None = None


class CpsScreeningOffer(Accepted):
    """Whether child protection was invited to screen, and whom to ring about it."""

    status: OfferStatus
    contact_name: Name | None = None
    contact_phone: Phone | None = None


class RequestedAction(Accepted):
    """What one kind of recipient is asked to do ("hold buses until a carer is seen")."""

    recipient_kind: AgencyKind
    action: Note


class CaregiverAssertion(Accepted):
    """What the poster believes about carers, who says so, and on what ground."""

    text: Note
    asserted_by: Name
    basis: Line | None = None


def counties_named(areas: tuple[Area, ...]) -> frozenset[str]:
    """Give the county codes that the areas name directly, without resolving shapes or ZIP codes."""
    return frozenset(chain.from_iterable(area.county_fips for area in areas))
