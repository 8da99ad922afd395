"""What a notice is started from: a few kinds of event, with what is the same every time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What a notice starts from. `fixed` goes into the body as it is, `filled` can be edited."""

    title: str
    hint: str
    fixed: Mapping[str, Any]
    filled: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_drill(self) -> bool:
        return str(self.fixed["status"]) != "actual"


_TERMS = {"purpose": "child_safety", "legal_basis": "no_pii"}
_NOW = {"urgency": "Immediate", "severity": "Moderate", "certainty": "Observed", **_TERMS}
_ASKED = {
    "act_cps": "Take calls about children without a carer, and say whom you can send.",
    "act_school": "Hold buses, and let no child off until a carer is seen.",
    "act_faith": "Say through the bus what you can offer: rooms, meals, rides, interpreters.",
}
_ENFORCEMENT = {
    "class": "B",
    "action_type": "worksite",
    "phase": "in_progress",
    "children_status": "unknown",
    "screening_status": "not_started",
    **_ASKED,
}
TEMPLATES: Final[Mapping[str, Template]] = {
    "worksite": Template(
        title="Enforcement action at a workplace",
        hint="It has happened or is going on; children may be affected. Class B.",
        fixed={"kind": "enforcement_action", "status": "actual", **_NOW},
        filled=_ENFORCEMENT,
    ),
    "children": Template(
        title="Children may be without a carer now",
        hint="Class A: the gravest, with the shortest deadlines. No names and no addresses of"
        " families: the bus does not carry them. Ring child protection about a child you know of.",
        fixed={"kind": "enforcement_action", "status": "actual", **_NOW, "severity": "Severe"},
        filled={**_ENFORCEMENT, "class": "A", "action_type": "residence"},
    ),
    "advance": Template(
        title="Advance notice",
        hint="It is planned; recipients prepare. Class C. It can be held until a time you give.",
        fixed={
            "kind": "advance",
            "status": "actual",
            "urgency": "Future",
            "severity": "Moderate",
            "certainty": "Likely",
            **_TERMS,
        },
        filled={
            "class": "C",
            "action_type": "worksite",
            "children_status": "unknown",
            "marking": "CUI//LEI",
        },
    ),
    "exercise": Template(
        title="DRILL: an exercise, now",
        hint="The whole path, marked EXERCISE on every message and counted apart. To schedule one"
        " and have it scored, use Exercises.",
        fixed={"kind": "enforcement_action", "status": "exercise", **_NOW},
        filled={**_ENFORCEMENT, "headline": "EXERCISE: "},
    ),
}
