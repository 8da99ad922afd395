"""Until when a recipient may be given more time: the choices that a page offers."""

import contextlib
import datetime as dt
from collections.abc import Mapping, Sequence

from noticebus.console.reading import read_instant
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.store.obligations import Obligation

_HOURS: Mapping[NoticeClass, Sequence[float]] = {
    NoticeClass.A: (0.5, 1, 2),
    NoticeClass.B: (0.5, 1, 2, 4, 8),
    NoticeClass.C: (4, 8, 24, 48),
    NoticeClass.D: (),
}


def moments(
    owed: Obligation, *, latest: dt.datetime | None, now: dt.datetime, chosen: str = ""
) -> list[dt.datetime]:
    """Give the times to choose from; none where more time was given, or nothing is due.

    `latest` bounds what a school may be given. What was chosen stays on offer.
    """
    if owed.due_at is None or owed.more_time_used:
        return []
    # Whole minutes as of now: the same choice sent twice is the same answer.
    start = now.astimezone(dt.UTC).replace(second=0, microsecond=0)
    found = [start + dt.timedelta(hours=one) for one in _HOURS[owed.notice_class]]
    if latest is not None:
        found = [one for one in found if one <= latest]
    with contextlib.suppress(ValueError):
        kept = read_instant(chosen)
        found = sorted({*found, kept}) if kept > now else found
    return found


def written(moment: dt.datetime) -> str:
    """Write a choice as its form field."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
