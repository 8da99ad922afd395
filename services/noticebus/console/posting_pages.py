"""What the pages of posting show: the form step by step, and what would go to whom."""

import contextlib
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request, Response

from noticebus.access.principals import own_agency
from noticebus.access.sessions import Visitor
from noticebus.casework import approvals, post_drafts, posting
from noticebus.casework.desk import Desk
from noticebus.casework.policies import zone_of
from noticebus.casework.post_drafts import Kept, Written
from noticebus.casework.posting import Checked, Confirmed
from noticebus.console.pages import enter_view, render, words
from noticebus.console.posting_form import ACTIONS, COUNTS, STEPS, Typed
from noticebus.console.posting_templates import TEMPLATES
from noticebus.console.resending import CHANNEL_WORDS, REASON_WORDS
from noticebus.console.signs import moment
from noticebus.contracts import parts, vocabulary
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Role
from noticebus.domain.gazetteer import County, Gazetteer, State
from noticebus.domain.mail import CLASS_WORDS
from noticebus.domain.phone_numbers import telephone
from noticebus.errors import BadRequestError, UnavailableError

CONFLICT, INVALID = 409, 422
STATE_CODES = range(100)  # two digits, not all given out
STEP_WORDS = {"where": "Where", "what": "What and when", "numbers": "Numbers", "check": "Check"}
OPTIONS = {
    "class": {one.value: f"{one}: {said}" for one, said in CLASS_WORDS.items()},
    "action_type": [one.value for one in parts.ActionType],
    "phase": [one.value for one in parts.Phase],
    "marking": {"": "none", **{one.value: one.value for one in parts.Marking if one}},
    "children_status": [one.value for one in parts.ChildrenStatus],
    "screening_status": [one.value for one in parts.ScreeningStatus],
    "screening_method": [one.value for one in parts.ScreeningMethod],
    "basis": [one.value for one in parts.CountBasis],
    "offer_status": [one.value for one in parts.OfferStatus],
}
_FIPS = "county_fips"
_PAST = {
    "expires_at": "It has expired, so it cannot be posted as it stands. It held until",
    "next_update_due": "Its next update was promised for a time that is past:",
    "release_at": "It is held no longer, and goes out at once. It was to be held until",
}
KIND_WORDS = {kind: words(kind) for kind in AgencyKind}
ROLE_WORDS = {role: words(role) for role in Role}
_VOCABULARY = {
    str(word)
    for module in (vocabulary, parts)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, StrEnum)
    for word in kind
}
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A county on the form, and whether it is chosen."""

    fips: str
    name: str
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Somebody writing a notice: what was typed so far, in whose zone.

    `draft` is what is kept of it; with `keeps` what is shown is kept first.
    """

    request: Request
    desk: Desk
    visitor: Visitor
    typed: Typed
    zone: str
    draft: Kept | None = None
    keeps: bool = False

    async def page(
        self, step: str, *, faults: Mapping[str, str] | None = None, status: int = 200
    ) -> Response:
        """Show one step's form."""
        typed, places = self.typed, self.desk.places
        return await self._render(
            "post.html",
            step=step,
            status=INVALID if faults and status == 200 else status,  # noqa: PLR2004
            faults=faults or {},
            options=OPTIONS,
            counts=COUNTS,
            actions=ACTIONS,
            states=states(places),
            chosen=[_place(one, places, chosen=True) for one in typed.counties],
            offered=_offered(typed, places),
        )

    async def check(
        self, checked: Checked, *, fault: str = "", status: int = 200, count: str = ""
    ) -> Response:
        """Show what would go to whom, and ask for the count; of many, for a second person."""
        recipients = checked.preview.count
        needs = posting.needs_second(self.desk, recipients=recipients)
        await enter_view(self.request, self.visitor, "post_check")
        return await self._render(
            "post_check.html",
            step="check",
            status=status,
            fault=fault,
            count=count,
            needs_second=needs,
            above=self.desk.approval_above,
            may_go_alone=self.typed["class"] == NoticeClass.A,
            anybody_else=needs and await approvals.anybody_else(self.desk, self.visitor.principal),
            **shown_of(checked, zone=self.zone, places=self.desk.places),
        )

    def written(self, step: str) -> Written:
        """Give what was typed as it is kept."""
        typed = self.typed
        return Written(
            template=typed.template, step=step, counties=typed.counties, values=typed.values
        )

    async def _kept(self, step: str) -> Kept | None:
        """Keep what was typed; a database that cannot keeps nobody from going on."""
        if not self.keeps:
            return self.draft
        with contextlib.suppress(UnavailableError):
            return await post_drafts.save(
                self.desk,
                self.visitor.principal,
                key=self.typed.key,
                written=self.written(step),
            )
        return None

    async def _render(self, template: str, *, step: str, **facts: Any) -> Response:
        kept = await self._kept(step)
        return await render(
            self.request,
            template,
            visitor=self.visitor,
            title=f"Post a notice: {STEP_WORDS[step].lower()}",
            step=step,
            steps=STEP_WORDS,
            started_from=TEMPLATES[self.typed.template],
            typed=self.typed,
            zone=self.zone,
            now=self.desk.world.now(),
            kept=kept,
            saved=saved_line(kept, zone=self.zone) if kept or self.keeps else "",
            hidden=[
                (name, self.typed[name])
                for each, names in STEPS.items()
                if each != step
                for name in names
                if self.typed[name]
            ],
            **facts,
        )


async def writing(
    request: Request,
    desk: Desk,
    visitor: Visitor,
    typed: Typed,
    *,
    draft: Kept | None = None,
    keeps: bool = False,
) -> Writing:
    """Let a poster write, in its agency's zone."""
    zone = await zone_of(desk, visitor.principal, agency_id=own_agency(visitor.principal))
    return Writing(
        request=request,
        desk=desk,
        visitor=visitor,
        typed=typed,
        zone=zone,
        draft=draft,
        keeps=keeps,
    )


def typed_of(kept: Kept) -> Typed:
    """Give what was typed back to the form; BadRequestError where it has no such form any more."""
    written = kept.written
    if written.template not in TEMPLATES or written.step not in STEPS:
        raise BadRequestError("This draft is of an older form. Throw it away and begin again.")
    return Typed(
        template=written.template, key=kept.key, counties=written.counties, values=written.values
    )


def saved_line(kept: Kept | None, *, zone: str) -> str:
    """Say when a draft was saved, or that it was not."""
    if kept is None:
        return "✗ Not saved as a draft."
    return f"Saved {kept.saved_at.astimezone(ZoneInfo(zone)):%H:%M:%S %Z}, for you alone."


def fault_of(now: Checked, confirmed: Confirmed) -> tuple[str, int]:
    """Say why nothing was done, and the status that goes with it."""
    if now.mark != confirmed.mark:
        changed = "Who would be told has changed since you looked. Check it again, then confirm."
        return changed, CONFLICT
    return f"The number was not right. Type {now.preview.count} to post.", INVALID


def shown_of(checked: Checked, *, zone: str, places: Gazetteer) -> dict[str, Any]:
    """Give the page what would go to whom, and what each kind of recipient reads."""
    preview = checked.preview
    return {
        "preview": preview,
        "recipients": list(zip(preview.recipients, checked.zones, strict=True)),
        "areas": [line for area in checked.areas for line in areas_of(area, places)],
        "past": [(_PAST[name], at) for name, at in checked.past.items()],
        "readings": [
            (one, lines_of(one.content, zone=zone, places=places)) for one in checked.readings
        ],
        "mark": checked.mark,
        "channels": CHANNEL_WORDS,
        "reasons": REASON_WORDS,
        "kinds": KIND_WORDS,
        "unreachable": {one.agency.id: one.reason for one in preview.unreachable},
        "gaps": [gap_of(one.model_dump(), places) for one in preview.uncovered],
    }


def states(places: Gazetteer) -> list[State]:
    """List the states by name."""
    found = [places.state(f"{code:02}") for code in STATE_CODES]
    return sorted((one for one in found if one is not None), key=lambda one: one.name)


def _offered(typed: Typed, places: Gazetteer) -> list[Place]:
    """List the counties of the state that was asked for, those left that match the filter."""
    wanted = typed["filter"].casefold()
    found = [places.county(fips) for fips in places.counties_of_state(typed["state"])]
    left: list[County] = [
        one
        for one in found
        if one is not None and one.fips not in typed.counties and wanted in one.name.casefold()
    ]
    by_name = sorted(left, key=lambda one: one.name)
    return [Place(fips=one.fips, name=one.name, chosen=False) for one in by_name]


def _place(fips: str, places: Gazetteer, *, chosen: bool) -> Place:
    return Place(fips=fips, name=county_name(fips, places), chosen=chosen)


def county_name(fips: str, places: Gazetteer) -> str:
    """Name a county with its state; a code that is none stands for itself."""
    county = places.county(fips)
    state = places.state(county.state_fips) if county else None
    return f"{county.name}, {state.name}" if county and state else fips


def gap_of(gap: Mapping[str, Any], places: Gazetteer) -> tuple[str, str]:
    """Say a place that nobody answers for, and in which role nobody does."""
    fips = gap.get("county_fips")
    where = county_name(fips, places) if fips else f"school district {gap.get('lea_id')}"
    return where, ROLE_WORDS[Role(gap["missing"])]


def areas_of(area: Mapping[str, Any], places: Gazetteer) -> list[tuple[str, str]]:
    """Say which places a notice is for, each by its name, with how many of a kind there are."""
    counties = [county_name(fips, places) for fips in area.get(_FIPS, ())]
    named = {
        "Counties": sorted(counties),
        "School districts": area.get("lea_id", ()),
        "ZIP codes": area.get("zip", ()),
    }
    return [(f"{kind} ({len(found)})", "; ".join(found)) for kind, found in named.items() if found]


def lines_of(content: Mapping[str, Any], *, zone: str, places: Gazetteer) -> list[tuple[str, str]]:
    """Write a notice as a reader gets it, every field of it, one a line, for people."""
    return [
        (" · ".join(path).replace("_", " "), _plain(value, zone))
        for path, value in _leaves(_named(content, places), path=())
        if value
    ]


def _named(content: Mapping[str, Any], places: Gazetteer) -> Mapping[str, Any]:
    """Put the names of counties in the place of their codes."""
    areas = [
        {
            "counties": sorted(county_name(fips, places) for fips in area.get(_FIPS, ())),
            **{name: value for name, value in area.items() if name != _FIPS},
        }
        for area in content.get("areas", ())
    ]
    return {**content, "areas": areas}


def _plain(value: str, zone: str) -> str:
    """Write a time, a word of the vocabulary or a telephone as everywhere; else as it stands."""
    if _INSTANT.fullmatch(value):
        return moment(dt.datetime.fromisoformat(value), zone)
    return telephone(words(value) if value in _VOCABULARY else value)


def _leaves(value: Any, *, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        return [leaf for name, one in value.items() for leaf in _leaves(one, path=(*path, name))]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if all(not isinstance(one, Mapping | list) for one in value):
            between = "; " if path[-1:] == ("counties",) else ", "  # a county's name has a comma
            return [(path, between.join(map(str, value)))] if value else []
        many = len(value) > 1
        return [
            leaf
            for number, one in enumerate(value, 1)
            for leaf in _leaves(one, path=(*path, str(number)) if many else path)
        ]
    said = {None: "", True: "yes", False: "no"}
    return [(path, said[value] if value is None or isinstance(value, bool) else str(value))]
