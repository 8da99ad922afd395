"""The report's cursor: the last line's place, and the instant by which the first page was ranked.

With the instant, lines that fall due between two pages stay where the first page expected them.
"""

import base64
import binascii
import datetime as dt
import re
from dataclasses import dataclass

from noticebus.domain.figures import Tier
from noticebus.errors import BadRequestError
from noticebus.store.reports import Place

CURSOR_MAX = 160
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_FORM = re.compile(
    r"([0-3])\.([0-9]{1,4})\.([0-9]{1,18})\.(obl_[0-9a-z]{26})\.([0-9]{1,16})", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where the next page begins, and the instant its order was decided by."""

    place: Place
    ranked_at: dt.datetime


def write_cursor(place: Place, *, ranked_at: dt.datetime) -> str:
    """Write an opaque cursor."""
    parts = (place.tier, -place.minus_step, _count(place.due_at), place.id, _count(ranked_at))
    text = ".".join(str(int(one)) if isinstance(one, int) else one for one in parts)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> Cursor:
    """Read a cursor back; BadRequestError where it is not one of ours."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise _foreign() from error
    found = _FORM.fullmatch(text)
    if found is None:
        raise _foreign()
    try:
        due_at, ranked_at = (_EPOCH + int(found[n]) * _MICROSECOND for n in (3, 5))
    except OverflowError as error:
        raise _foreign() from error
    place = Place(tier=Tier(int(found[1])), minus_step=-int(found[2]), due_at=due_at, id=found[4])
    return Cursor(place=place, ranked_at=ranked_at)


def _foreign() -> BadRequestError:
    return BadRequestError(
        "The cursor is not one the bus gave out. Start again without it and follow 'next'."
    )


def _count(instant: dt.datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND
