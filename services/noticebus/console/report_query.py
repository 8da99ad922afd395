"""The report's filter as its address says it: every value is kept as it was typed."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query

from noticebus.casework.report_cursor import CURSOR_MAX
from noticebus.casework.reports import Asked
from noticebus.console.reading import read_instant
from noticebus.contracts.base import write_instant
from noticebus.contracts.report import Age
from noticebus.contracts.vocabulary import AgencyKind, NoticeClass, Status
from noticebus.errors import InvalidError

PATH = "/reports/unacknowledged"
TYPED_MAX = 90
OVERDUE = {"": None, "true": True, "false": False}
_POINTER = "/query:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What the address says, in its own words; empty is "any"."""

    kind: str = ""
    area: str = ""
    notice_class: str = ""
    overdue: str = ""
    age: str = ""
    status: str = ""
    as_of: str = ""
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What is asked for, or a sentence for each field that says what it cannot."""

    asked: Asked
    faults: Mapping[str, str]


async def get_typed(  # noqa: PLR0913  (each is one parameter of the address)
    *,
    kind: Annotated[str, Query(max_length=TYPED_MAX)] = "",
    area: Annotated[str, Query(max_length=TYPED_MAX)] = "",
    notice_class: Annotated[str, Query(alias="class", max_length=TYPED_MAX)] = "",
    overdue: Annotated[str, Query(max_length=TYPED_MAX)] = "",
    age: Annotated[str, Query(max_length=TYPED_MAX)] = "",
    status: Annotated[str, Query(max_length=TYPED_MAX)] = "",
    as_of: Annotated[str, Query(max_length=TYPED_MAX)] = "",
    cursor: Annotated[str, Query(max_length=CURSOR_MAX)] = "",
) -> Typed:
    """Read the address."""
    typed = (kind, area, notice_class, overdue, age, status, as_of, cursor)
    names = (field.name for field in fields(Typed))
    return Typed(**{name: value.strip() for name, value in zip(names, typed, strict=True)})


def understand(typed: Typed) -> Understood:
    """Read what was typed; a field that cannot be read gets a sentence, and asks for nothing."""
    faults: dict[str, str] = {}

    def word(name: str, kind: Any, said: str) -> Any:
        value = getattr(typed, name)
        try:
            return kind(value) if value else None
        except (KeyError, ValueError):
            faults[name] = said
            return None

    asked = Asked(
        kind=word("kind", AgencyKind, "There is no such kind of recipient. Choose one."),
        area=typed.area or None,
        notice_class=word("notice_class", NoticeClass, "Classes are A, B, C and D. Choose one."),
        overdue=word("overdue", OVERDUE.__getitem__, "Choose overdue, not overdue, or any."),
        age=word("age", Age, "There is no such part of the bar. Choose one of its parts."),
        status=word("status", Status, "A report is of actual, exercise or test. Choose one.")
        or Status.ACTUAL,
        as_of=word("as_of", read_instant, "Write the time with its zone: 2019-08-07T15:04Z."),
        cursor=typed.cursor,
    )
    return Understood(asked=asked, faults=faults)


def faults_of(error: InvalidError) -> dict[str, str]:
    """Give what was refused by field; whatever has none stands before the form."""
    named = {
        one.pointer.removeprefix(_POINTER): one.message
        for one in error.details
        if one.pointer.startswith(_POINTER)
    }
    return named or {"": error.message}


def address(typed: Typed, *, path: str = PATH, **changes: str) -> str:
    """Give the address of a report like this one, with `changes`; it begins at its first line."""
    wanted = replace(typed, **{"cursor": "", **changes})
    query = {
        "class" if field.name == "notice_class" else field.name: getattr(wanted, field.name)
        for field in fields(wanted)
        if getattr(wanted, field.name)
    }
    return f"{path}?{urlencode(query)}" if query else path


def again(typed: Typed, as_of: dt.datetime) -> str:
    """Give the address under which this report comes again as it is now."""
    return address(typed, as_of=write_instant(as_of))
