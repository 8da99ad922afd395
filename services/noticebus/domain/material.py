"""When a new version of a notice asks for a new answer (research/domain.md section 4.4)."""

from dataclasses import dataclass
from enum import StrEnum

from noticebus.contracts.vocabulary import NoticeClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """A known number of children as a range: a count has equal ends, `none_reported` is 0 to 0."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeFacts:
    """What decides whether a version is material.

    `children` is None while the number is not known.
    """

    notice_class: NoticeClass
    phase: str | None
    places: frozenset[str]  # area keys as named: counties, districts, states, tribal areas
    sites: frozenset[str]
    children: Children | None


class MaterialReason(StrEnum):
    """What makes a version material."""

    CLASS_RAISED = "class_raised"
    CHILDREN_UP = "children_up"
    NEW_PLACE = "new_place"
    NEW_SITE = "new_site"
    PHASE_CHANGED = "phase_changed"


def is_material(
    previous: NoticeFacts, following: NoticeFacts
) -> tuple[bool, tuple[MaterialReason, ...]]:
    """Say whether a version asks for a new answer, and why (research/domain.md section 4.4).

    Counts alone do not, unless the children rise by more than 20 %. A correction is judged by what
    it changes.
    """
    found = {
        MaterialReason.CLASS_RAISED: following.notice_class < previous.notice_class,
        MaterialReason.CHILDREN_UP: _children_up(previous.children, following.children),
        MaterialReason.NEW_PLACE: not following.places <= previous.places,
        MaterialReason.NEW_SITE: not following.sites <= previous.sites,
        MaterialReason.PHASE_CHANGED: following.phase != previous.phase,
    }
    reasons = tuple(reason for reason, holds in found.items() if holds)
    return bool(reasons), reasons


def _children_up(previous: Children | None, following: Children | None) -> bool:
    """Compare both ends in whole numbers.

    A number where none was known counts as up, unless it is zero.
    """
    if following is None:
        return False
    if previous is None:
        return following.high > 0
    return any(
        after * 100 > before * 120
        for before, after in ((previous.low, following.low), (previous.high, following.high))
    )
