"""Where the next page of a list begins, in an address: its parts, as they were, in one word."""

import datetime as dt
from enum import IntEnum
from typing import Annotated, TypeVar

from fastapi import Query

from noticebus.console import reading
from noticebus.errors import BadRequestError

MARK_MAX = 200
_BETWEEN = "~"
_Number = TypeVar("_Number", bound=IntEnum)

MarkQuery = Annotated[str, Query(max_length=MARK_MAX)]


def write_mark(*parts: object) -> str:
    """Join the parts of a place in a list."""
    return _BETWEEN.join(
        one.isoformat() if isinstance(one, dt.datetime) else str(one) for one in parts
    )


def read_mark(text: str, *, parts: int) -> list[str]:
    """Take a place apart; BadRequestError for one that no page gave out."""
    found = text.split(_BETWEEN)
    if len(found) != parts or not all(found):
        raise _unreadable()
    return found


def read_instant(text: str) -> dt.datetime:
    """Read an instant of a place."""
    try:
        return reading.read_instant(text)
    except ValueError as error:
        raise _unreadable() from error


def read_number(text: str, numbers: type[_Number]) -> _Number:
    """Read one of some numbers of a place."""
    if text not in {str(int(one)) for one in numbers}:
        raise _unreadable()
    return numbers(int(text))


def _unreadable() -> BadRequestError:
    return BadRequestError(
        "This address does not lead to a page of the list. Go back to its first page."
    )
