"""The form of a notice: its steps and fields, and the body it stands for."""

import datetime as dt
import re
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from noticebus.console.posting_templates import TEMPLATES
from noticebus.console.reading import read_local, read_whole
from noticebus.contracts.base import write_instant
from noticebus.contracts.faults import details
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.vocabulary import AgencyKind
from noticebus.errors import Detail

SITE_ID: Final = "s1"  # the form describes one site; a notice with more is posted by a program

# What is typed, step by step. A field of an earlier or later step travels as a hidden one.
STEPS: Final[Mapping[str, Sequence[str]]] = {
    "where": ("state", "filter", "leas", "zips", "area_desc"),
    "what": (
        "class",
        "headline",
        "description",
        "instruction_en",
        "instruction_es",
        "action_type",
        "phase",
        "occurred",
        "next_update",
        "expires",
        "release",
        "marking",
        "unit",
        "role",
        "callback",
    ),
    "numbers": (
        "children_status",
        "children_low",
        "children_high",
        "children_value",
        "children_basis",
        "screening_status",
        "screening_method",
        "screened",
        "sole_caregivers",
        "site",
        "basis",
        "counts_as_of",
        "detained_total",
        "in_custody",
        "released_on_site_humanitarian",
        "released_on_site_other",
        "released_after_processing",
        "transferred_out",
        "minors_encountered",
        "family_phone",
        "family_hours",
        "offer_status",
        "offer_name",
        "offer_phone",
        "act_cps",
        "act_school",
        "act_faith",
    ),
    "check": (),
}
COUNTS: Final = (
    "detained_total",
    "in_custody",
    "released_on_site_humanitarian",
    "released_on_site_other",
    "released_after_processing",
    "transferred_out",
    "minors_encountered",
)
ACTIONS: Final = {
    "act_cps": AgencyKind.CPS,
    "act_school": AgencyKind.SCHOOL_DISTRICT,
    "act_faith": AgencyKind.FAITH,
}
STEP_OF: Final = {name: step for step, names in STEPS.items() for name in names} | {
    "county": "where"
}
_MISSING = "add this field: it is required"
_FIELD_OF: Final = {
    "/areas": "county",
    "/areas/0/county_fips": "county",
    "/areas/0/lea_id": "leas",
    "/areas/0/zip": "zips",
    "/areas/0/desc": "area_desc",
    "/class": "class",
    "/headline": "headline",
    "/description": "description",
    "/instruction": "instruction_en",
    "/instruction/es": "instruction_es",
    "/action_type": "action_type",
    "/phase": "phase",
    "/occurred_at": "occurred",
    "/next_update_due": "next_update",
    "/expires_at": "expires",
    "/release_at": "release",
    "/marking": "marking",
    "/sender/unit": "unit",
    "/sender/role": "role",
    "/sender/callback_phone": "callback",
    "/children": "children_status",
    "/children/low": "children_low",
    "/children/high": "children_high",
    "/children/value": "children_value",
    "/children/basis": "children_basis",
    "/caregiver_screening": "screening_status",
    "/caregiver_screening/method": "screening_method",
    "/caregiver_screening/screened": "screened",
    "/caregiver_screening/sole_caregivers": "sole_caregivers",
    "/sites": "site",
    "/counts": "site",
    "/counts/0/basis": "basis",
    "/counts/0/as_of": "counts_as_of",
    **{f"/counts/0/{name}": name for name in COUNTS},
    "/family_line": "family_phone",
    "/family_line/hours": "family_hours",
    "/cps_screening_offer": "offer_status",
    "/cps_screening_offer/contact_name": "offer_name",
    "/cps_screening_offer/contact_phone": "offer_phone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """Everything typed so far, in whichever step, and the counties chosen."""

    template: str
    key: str
    counties: tuple[str, ...]
    values: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """The form as a notice, or what is wrong with it: a sentence for each field."""

    post: NoticePost | None
    faults: Mapping[str, str]

    def of_step(self, step: str) -> dict[str, str]:
        """Give the faults of one step; what is of no field belongs to the last step that asks."""
        return {name: one for name, one in self.faults.items() if step_of(name) == step}


def step_of(name: str) -> str:
    """Give the step that asks for a field."""
    return STEP_OF.get(name, "numbers")


def read(typed: Typed, *, zone: str) -> Read:
    """Read the form as a notice; times are local ones of the poster's `zone`."""
    builder = _Builder(typed=typed, zone=zone)
    body = builder.body()
    try:
        post = NoticePost.model_validate(body)
    except ValidationError as error:
        found = beside(details(error), asked=builder.asked)
        return Read(post=None, faults=_in_order(found | builder.faults))
    return Read(post=None if builder.faults else post, faults=_in_order(builder.faults))


def beside(faults: Iterable[Detail], *, asked: Sequence[str] = ()) -> dict[str, str]:
    """Put faults beside their fields; `asked` are the fields of the actions, in their order."""
    return {_field(one.pointer, asked): _sentence(one.message) for one in faults}


class _Builder:
    """Builds the body; what cannot even be read is a fault at once."""

    def __init__(self, *, typed: Typed, zone: str) -> None:
        self._typed = typed
        self._zone = zone
        self.faults: dict[str, str] = {}
        self.asked = [name for name in ACTIONS if typed[name]]

    def body(self) -> dict[str, Any]:
        typed = self._typed
        return {
            **TEMPLATES[typed.template].fixed,
            **_filled(
                {
                    "class": typed["class"],
                    "headline": typed["headline"],
                    "description": typed["description"],
                    "instruction": _filled(
                        {"en": typed["instruction_en"], "es": typed["instruction_es"]}
                    ),
                    "action_type": typed["action_type"],
                    "phase": typed["phase"],
                    "marking": typed["marking"],
                    "occurred_at": self._instant("occurred"),
                    "next_update_due": self._instant("next_update"),
                    "expires_at": self._instant("expires"),
                    "release_at": self._instant("release"),
                    "areas": self._areas(),
                    **self._counted(),
                    "caregiver_screening": self._screening(),
                    "children": self._children(),
                    "family_line": self._family_line(),
                    "cps_screening_offer": self._offer(),
                    "requested_actions": [
                        {"recipient_kind": ACTIONS[name], "action": typed[name]}
                        for name in self.asked
                    ],
                }
            ),
            "sender": _filled(
                {
                    "unit": typed["unit"],
                    "role": typed["role"],
                    "callback_phone": telephone(typed["callback"]),
                }
            ),
        }

    def _areas(self) -> list[dict[str, Any]]:
        typed = self._typed
        named = _filled(
            {
                "county_fips": list(typed.counties),
                "lea_id": _codes(typed["leas"]),
                "zip": _codes(typed["zips"]),
            }
        )
        if not named:
            self.faults["county"] = "Choose at least one county, or write a district or ZIP code."
            return []
        return [_filled({**named, "desc": typed["area_desc"]})]

    def _counted(self) -> dict[str, Any]:
        """Give the site and its numbers; numbers need a site, a time and what they rest on."""
        typed = self._typed
        numbers = _filled({name: self._number(name) for name in COUNTS})
        if not (typed["site"] or typed["basis"] or numbers):
            return {}
        if not typed["site"]:
            self.faults["site"] = "Say which place the numbers are of: what it is, not whose."
        sites = [_filled({"site_id": SITE_ID, "label": typed["site"]})]
        if not (typed["basis"] or numbers):
            return {"sites": sites}
        counts = {
            "site_id": SITE_ID,
            "as_of": self._instant("counts_as_of"),
            "basis": typed["basis"],
            **numbers,
        }
        return {"sites": sites, "counts": [_filled(counts)]}

    def _screening(self) -> dict[str, Any]:
        typed = self._typed
        return _filled(
            {
                "status": typed["screening_status"],
                "method": typed["screening_method"],
                "screened": self._number("screened"),
                "sole_caregivers": self._number("sole_caregivers"),
            }
        )

    def _children(self) -> dict[str, Any]:
        typed = self._typed
        numbers = {name: self._number(f"children_{name}") for name in ("low", "high", "value")}
        return _filled(
            {"status": typed["children_status"], **numbers, "basis": typed["children_basis"]}
        )

    def _family_line(self) -> dict[str, Any]:
        typed = self._typed
        return _filled({"phone": telephone(typed["family_phone"]), "hours": typed["family_hours"]})

    def _offer(self) -> dict[str, Any]:
        typed = self._typed
        return _filled(
            {
                "status": typed["offer_status"],
                "contact_name": typed["offer_name"],
                "contact_phone": telephone(typed["offer_phone"]),
            }
        )

    def _number(self, name: str) -> int | None:
        written = self._typed[name]
        if not written:
            return None
        number = read_whole(written)
        if number is None:
            said = "Write a whole number, or leave it empty: that says it is not known."
            self.faults[name] = said
        return number

    def _instant(self, name: str) -> str | None:
        written = self._typed[name]
        if not written:
            return None
        try:
            at = read_local(written, zone=self._zone)
        except ValueError:
            self.faults[name] = "Write a date and a time, like 2026-08-07T07:55."
            return None
        local = dt.datetime.fromisoformat(written)
        there = at.astimezone(zoneinfo.ZoneInfo(self._zone))
        if local.tzinfo is None and there.replace(tzinfo=None) != local:
            self.faults[name] = "The clock jumped over this time that night. Give another."
        return write_instant(at)


def telephone(written: str) -> str:
    """Write a number by E.164 where it was typed as people do: (601) 555-0100."""
    digits = re.sub(r"[\s().-]", "", written)
    if re.fullmatch(r"[2-9][0-9]{9}", digits):
        return f"+1{digits}"
    return f"+{digits}" if re.fullmatch(r"1[2-9][0-9]{9}", digits) else digits


def _codes(written: str) -> list[str]:
    return re.split(r"[\s,;]+", written.strip()) if written.strip() else []


def _filled(values: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is empty: not known, not asked, not said."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}


def _field(pointer: str, asked: Sequence[str]) -> str:
    """Find the field that holds what a pointer names, by the longest part of it that is known."""
    action = re.match(r"/requested_actions/(\d+)", pointer)
    if action and int(action[1]) < len(asked):
        return asked[int(action[1])]
    parts = pointer.split("/")
    for length in range(len(parts), 1, -1):
        known = _FIELD_OF.get("/".join(parts[:length]))
        if known is not None:
            return known
    return "form"


def _in_order(faults: Mapping[str, str]) -> dict[str, str]:
    """Put faults in the order in which the form asks."""
    order = ["county", *STEP_OF, "form"]
    return dict(sorted(faults.items(), key=lambda one: order.index(one[0])))


def _sentence(message: str) -> str:
    said = "Fill this in" if message == _MISSING else message[:1].upper() + message[1:]
    return said if said.endswith(".") else f"{said}."
