"""Need to know: what of a stored notice each content level may see (I8).

Allow-lists, one per level: a key that is on none of them is never shown. Tiers: P public, R
registered recipient of the area, C child protection, O poster and operator.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from noticebus.contracts.vocabulary import ContentLevel

Rule = bool | Mapping[str, Any] | Callable[[Any], Any]
NOT_KNOWN = "not known"
NONE_REPORTED = "none reported"
_BANDS = ((10, "1–10"), (25, "11–25"), (50, "26–50"), (100, "51–100"), (250, "101–250"))  # noqa: RUF001 - an en dash between numbers
_BANDS_ABOVE = ((500, "251–500"), (1000, "501–1000"))  # noqa: RUF001 - an en dash between numbers
_BAND_TOP = "more than 1000"


def band(value: int | None) -> str:
    """Coarsen a count for the public: no number below 11 is told apart from 1 to 10."""
    if value is None:
        return NOT_KNOWN
    if value == 0:
        return NONE_REPORTED
    return next((name for top, name in _BANDS + _BANDS_ABOVE if value <= top), _BAND_TOP)


_BANDED = ("encountered", "detained_total", "minors_encountered")


def _bands_of_counts(counts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Add all sites up, so that no site shows; one site unknown makes the sum unknown (I13)."""
    return {name: band(_total([one.get(name) for one in counts])) for name in _BANDED}


def _total(numbers: Sequence[int | None]) -> int | None:
    known = [one for one in numbers if one is not None]
    return sum(known) if known and len(known) == len(numbers) else None


def _bands_of_children(children: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {
        name: band(children[name])
        for name in ("low", "high", "value")
        if children.get(name) is not None
    }
    return {"status": children["status"], **numbers}


_HEAD_ID_ONLY: dict[str, Rule] = {
    "id": True,
    "version": True,
    "kind": True,
    "status": True,
    "class": True,
}
_FAMILY_LINE = {"phone": True, "hours": True, "languages": True}
_PUBLIC: dict[str, Rule] = {
    **_HEAD_ID_ONLY,
    "msg": True,
    "headline": True,
    "areas": {"county_fips": True, "state": True},
    "counts": _bands_of_counts,
    "children": _bands_of_children,
    "family_line": _FAMILY_LINE,
    "phones_for_detainees": True,
    "locator": True,
}
_CHILDREN = {
    "status": True,
    "low": True,
    "high": True,
    "value": True,
    "basis": True,
    "as_of": True,
    "asserted_by": True,
    "by_age_band": {"band": True, "value": True},
}
_PARTNER: dict[str, Rule] = {
    **_PUBLIC,
    "incident_id": True,
    "agency": {"id": True, "name": True, "kind": True},
    "state": True,
    "accepted_at": True,
    "released_at": True,
    "material": True,
    "material_reasons": True,
    "change_reason": True,
    "reason": True,
    "still_open": True,
    "occurred_at": True,
    "release_at": True,
    "expires_at": True,
    "next_update_due": True,
    "urgency": True,
    "severity": True,
    "certainty": True,
    "marking": True,
    "sender": {
        "unit": True,
        "role": True,
        "callback_phone": True,
        "service_hours": True,
        "ori": True,
    },
    "description": True,
    "instruction": True,
    "areas": {
        "desc": True,
        "county_fips": True,
        "lea_id": True,
        "zip": True,
        "state": True,
        "tribal_area": True,
        "point": True,
        "radius_km": True,
        "polygon": True,
    },
    "action_type": True,
    "phase": True,
    "sites": {
        "site_id": True,
        "label": True,
        "county_fips": True,
        "started_at": True,
        "concluded_at": True,
    },
    "counts": {
        "site_id": True,
        "as_of": True,
        "basis": True,
        "encountered": True,
        "detained_total": True,
        "in_custody": True,
        "released_on_site_humanitarian": True,
        "released_on_site_other": True,
        "released_after_processing": True,
        "transferred_out": True,
        "minors_encountered": True,
    },
    "caregiver_screening": {
        "status": True,
        "method": True,
        "screened": True,
        "sole_caregivers": True,
    },
    "caregiver_assertion": {"text": True, "asserted_by": True, "basis": True},
    "children": _CHILDREN,
    "processing_place": {"label": True, "access": True},
    "requested_actions": {"recipient_kind": True, "action": True},
}
_CPS: dict[str, Rule] = {
    **_PARTNER,
    "purpose": True,
    "legal_basis": True,
    "children": {**_CHILDREN, "by_lea": {"lea_id": True, "value": True}},
    "processing_place": {"label": True, "address": True, "access": True},
    "cps_screening_offer": {"status": True, "contact_name": True, "contact_phone": True},
}
ALLOWED: Mapping[ContentLevel, Mapping[str, Rule]] = {
    ContentLevel.ID_ONLY: _HEAD_ID_ONLY,
    ContentLevel.PUBLIC: _PUBLIC,
    ContentLevel.PARTNER: _PARTNER,
    ContentLevel.CPS: _CPS,
}


def redact(
    notice: Mapping[str, Any],
    content_level: ContentLevel,
    *,
    lea_ids: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Give what of a stored notice (JSON form) this content level may see.

    A partner also gets `children.by_lea` for the districts in `lea_ids`, its own, and no other.
    """
    seen = _allowed(notice, ALLOWED[content_level])
    if content_level is ContentLevel.PARTNER and lea_ids:
        rows = (notice.get("children") or {}).get("by_lea", ())
        own = [dict(row) for row in rows if row["lea_id"] in lea_ids]
        if own:
            seen["children"] = {**seen["children"], "by_lea": own}
    return seen


def reads_at(level: ContentLevel, tier: ContentLevel) -> bool:
    """Say whether who reads at `level` may read what belongs to `tier`: that level and those above.

    The levels are listed from the least to the most.
    """
    levels = list(ContentLevel)
    return levels.index(level) >= levels.index(tier)


def _allowed(value: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    return {key: _apply(value[key], rule) for key, rule in rules.items() if key in value}


def _apply(value: Any, rule: Rule) -> Any:
    if value is None or rule is True:
        return value
    if callable(rule):
        return rule(value)
    assert isinstance(rule, Mapping), "a rule is True, a function or a table"
    if isinstance(value, Mapping):
        return _allowed(value, rule)
    return [_allowed(one, rule) for one in value if isinstance(one, Mapping)]
