"""How many people an incident affects, in words. What is not known says so, and is never a zero."""

from collections.abc import Mapping, Sequence
from typing import Any

from noticebus.console.texts import Language
from noticebus.console.wording import children_line

UNKNOWN = "not known"
_COUNTED = (
    ("detained_total", "detained"),
    ("in_custody", "in custody"),
    ("encountered", "encountered"),
    ("minors_encountered", "minors encountered"),
)


def people_lines(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give (what, how many) for the sums over all sites, and what is known of children."""
    counts = content.get("counts") or ()
    lines = [(word, _sum(counts, name)) for name, word in _COUNTED if _named(counts, name)]
    if not lines:
        lines = [("People affected", UNKNOWN)]
    if content.get("children"):
        lines.append(("Children", children_line(content["children"], language=Language.EN)))
    return [(what[:1].upper() + what[1:], said) for what, said in lines]


def _named(counts: Any, name: str) -> bool:
    if isinstance(counts, Mapping):  # bands, as the public sees them
        return name in counts
    return any(name in one for one in counts)


def _sum(counts: Mapping[str, Any] | Sequence[Mapping[str, Any]], name: str) -> str:
    if isinstance(counts, Mapping):
        return str(counts[name])
    known = [one[name] for one in counts if one.get(name) is not None]
    if not known:
        return UNKNOWN
    basis = {str(one.get("basis") or "") for one in counts} - {""}
    said = f"{sum(known)}" + (f" ({', '.join(sorted(basis)).replace('_', ' ')})" if basis else "")
    missing = len(counts) - len(known)
    return f"{said}, and {missing} of {len(counts)} sites {UNKNOWN}" if missing else said
