"""What one version of a notice says that the one before it did not, field by field."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# RFC 3339 as posters and the bus write it; whole minutes are read without their seconds.
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::00|(:\d\d))(?:\.\d+)?Z", re.ASCII)
BETWEEN = " · "
# What differs from version to version by itself, and says nothing about the event.
_HEAD = frozenset(
    {
        "id",
        "incident_id",
        "version",
        "msg",
        "state",
        "accepted_at",
        "released_at",
        "material",
        "material_reasons",
        "change_reason",
        "uncovered",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field that differs: None is "not said"."""

    field: str
    before: str | None
    after: str | None


def fields_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Write what a notice says as (field, value) for people, in its own order, its head left out.

    What is null or empty is left out: it was not said. Rows of a list are numbered from 1.
    """
    said = {name: value for name, value in content.items() if name not in _HEAD}
    return dict(_flat(said, ()))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Compare two versions as one reader sees them: changed and new fields first, then dropped."""
    old, new = fields_of(before), fields_of(after)
    found = [
        Change(field=name, before=old.get(name), after=value)
        for name, value in new.items()
        if old.get(name) != value
    ]
    gone = [Change(field=name, before=old[name], after=None) for name in old if name not in new]
    return [*found, *gone]


def _flat(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if value is None or value == "":
        return
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _flat(one, (*path, str(name).replace("_", " ")))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _rows(value, path)
    else:
        yield BETWEEN.join(path), _text(value)


def _rows(rows: Sequence[Any], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    plain = [one for one in rows if not isinstance(one, Mapping | list)]
    if len(plain) == len(rows):
        if rows:
            yield BETWEEN.join(path), ", ".join(map(_text, rows))
        return
    for number, one in enumerate(rows, start=1):
        yield from _flat(one, (*path[:-1], f"{path[-1]} {number}"))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    instant = _INSTANT.fullmatch(str(value))
    return f"{instant[1]} {instant[2]}{instant[3] or ''} UTC" if instant else str(value)
