"""A stored notice as others may see it: content by level, head by fact."""

import json
from collections import OrderedDict
from collections.abc import Collection
from typing import Any

from noticebus.casework.accepted import wire_instant
from noticebus.contracts.canonical import Written, written
from noticebus.contracts.rendering import redact
from noticebus.contracts.vocabulary import AgencyKind, ContentLevel
from noticebus.domain.gazetteer import Gazetteer
from noticebus.ids import NoticeId
from noticebus.store.notices import Notice

PLACES_NAMED_MAX = 3


def notice_content(notice: Notice, level: ContentLevel) -> dict[str, Any]:
    """Give what `level` may see of a notice.

    A pure function of what never changes about it (I3, I8).
    """
    return redact(whole(notice), level)


class Contents:
    """What each level may see of the notices in hand, written once and shared by their recipients.

    A notice never changes, nor does what a level may see of it.
    """

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._made: OrderedDict[tuple[NoticeId, ContentLevel], Written] = OrderedDict()

    def of(self, notice: Notice, level: ContentLevel) -> Written:
        """Write what `notice_content` gives; the oldest is forgotten when there are too many."""
        key = (notice.id, level)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = written(notice_content(notice, level))
            if len(self._made) > self._most:
                self._made.popitem(last=False)
        return made


def whole(notice: Notice) -> dict[str, Any]:
    """Give everything stored of a notice but its state, which changes.

    For its poster and the operators.
    """
    content: dict[str, Any] = json.loads(notice.body)
    return content | {
        "id": notice.id,
        "incident_id": notice.incident_id,
        "version": notice.version,
        "msg": notice.msg.value,
        "accepted_at": wire_instant(notice.accepted_at),
        "material": notice.material,
        "change_reason": notice.change_reason and notice.change_reason.value,
    }


def level_of(kind: AgencyKind) -> ContentLevel:
    """Give the level at which a recipient of `kind` reads what it must answer."""
    if kind in {AgencyKind.CPS, AgencyKind.TRIBAL_CHILD_WELFARE}:
        return ContentLevel.CPS
    return ContentLevel.PARTNER


def place_names(area_keys: Collection[str], gazetteer: Gazetteer) -> list[str]:
    """Name the counties of a notice, in order, "Scott County, Mississippi"."""
    names = []
    for key in sorted(area_keys):
        county = (
            gazetteer.county(key.removeprefix("county:")) if key.startswith("county:") else None
        )
        if county is not None:
            state = gazetteer.state(county.state_fips)
            names.append(f"{county.name}, {state.name}" if state else county.name)
    return names


def place_line(area_keys: Collection[str], gazetteer: Gazetteer) -> str:
    """Name the places of a notice in a line: the first few, and how many more."""
    names = place_names(area_keys, gazetteer)
    if not names:
        return "the places named in the notice"
    shown = "; ".join(names[:PLACES_NAMED_MAX])
    more = len(names) - PLACES_NAMED_MAX
    return f"{shown} and {more} more" if more > 0 else shown
