"""When the operators are told in counts how things stand, and what they are told. Pure.

At a change of shift, every hour while anything is overdue, and once when the last has answered
(research/ux.md, section 4.4).
"""

import datetime as dt
import zoneinfo
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

from noticebus.contracts.vocabulary import Status
from noticebus.domain.figures import how_long
from noticebus.domain.mail import ComposedMail, local_time

HOUR = dt.timedelta(hours=1)
_DAY = dt.timedelta(days=1)
_TEENS = range(11, 14)
_EXERCISE = "This is about an exercise. Nothing in it is real."
_WHERE = "Who it is, and whom to ring, is on this page:"
_WHY = (
    "This mail has counts and no names on purpose. You get it as the operator on duty: at a",
    "change of shift, every hour while anything is overdue, and once when nothing is.",
)
_BODY = "font-family:sans-serif;color:#1b1b1b;max-width:40em"
_CELL = "border:1px solid #71767a;padding:.3em .8em"
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


class DigestKind(StrEnum):
    """Why a digest goes out. Their order numbers them: append, never insert."""

    SHIFT = "shift"
    HOURLY = "hourly"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How things stand, in counts alone: of mandatory recipients of one status."""

    open: int
    overdue: int
    oldest_due_at: dt.datetime | None
    unreachable: int
    uncovered: int
    owed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the operators know: whether the last digest said that something is overdue.

    `hourly` counts the hourly ones since then.
    """

    overdue: bool = False
    hourly: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What one mail says, as it stood at `at`."""

    kind: DigestKind
    status: Status
    at: dt.datetime
    number: int
    tally: Tally


def due_kind(
    tally: Tally, told: Told, *, shift_changed: bool, hour_passed: bool, is_real: bool
) -> DigestKind | None:
    """Decide whether a digest is due, and which.

    Of an exercise in which nothing is open there is nothing to tell at a change of shift.
    """
    if told.overdue and not tally.overdue:
        return DigestKind.CLEAR
    if shift_changed and (is_real or tally.open):
        return DigestKind.SHIFT
    if hour_passed and tally.overdue:
        return DigestKind.HOURLY
    return None


def after(kind: DigestKind, told: Told, tally: Tally) -> Told:
    """Say what the operators know once they have a digest of `kind`."""
    if not tally.overdue:
        return Told()
    return Told(overdue=True, hourly=told.hourly + (kind is DigestKind.HOURLY))


def read_times(text: str) -> tuple[dt.time, ...]:
    """Read times of day as the settings have them: `07:00 19:00`, or with commas."""
    return tuple(dt.time.fromisoformat(one) for one in text.replace(",", " ").split())


def next_hour(at: dt.datetime) -> dt.datetime:
    """Give the next full hour after an instant."""
    return at.replace(minute=0, second=0, microsecond=0) + HOUR


def last_time(
    times: Sequence[dt.time], *, zone: str, since: dt.datetime, until: dt.datetime
) -> dt.datetime | None:
    """Give the last of the times of day after `since` and up to `until`, by the clock of `zone`."""
    around = _times(times, zone=zone, near=until)
    return max((one for one in around if since < one <= until), default=None)


def next_time(times: Sequence[dt.time], *, zone: str, now: dt.datetime) -> dt.datetime | None:
    """Give the next of the times of day after `now`, by the clock of `zone`."""
    around = _times(times, zone=zone, near=now)
    return min((one for one in around if one > now), default=None)


def compose_digest(digest: Digest, *, zone: str, address: str) -> ComposedMail:
    """Write the mail: counts and a link alone, no name and no place (I9: an exercise says so)."""
    mark = "" if digest.status is Status.ACTUAL else f"[{digest.status.upper()}] "
    real = "" if not mark else f"{_EXERCISE}\n\n"
    counts = "".join(f"{name + ':':<25} {count}\n" for name, count in _counts(digest.tally))
    return ComposedMail(
        subject=f"{mark}{_subject(digest)}",
        text=f"{real}{_sentence(digest)}\n"
        f"As of {local_time(digest.at, zone=zone)}.\n\n"
        f"{counts}\n"
        f"{_WHERE}\n\n{address}\n\n"
        f"{_WHY[0]}\n{_WHY[1]}\n",
        html=_html(digest, zone=zone, address=address),
    )


def _counts(tally: Tally) -> tuple[tuple[str, int], ...]:
    return (
        ("Open", tally.open),
        ("Overdue", tally.overdue),
        ("No channel reaches", tally.unreachable),
        ("Places nobody covers", tally.uncovered),
        ("Posters owe, overdue", tally.owed),
    )


def _html(digest: Digest, *, zone: str, address: str) -> str:
    """Write the same for programs that show HTML: nothing in it is fetched from anywhere."""
    rows = "".join(
        f'<tr><th scope="row" style="{_CELL};text-align:left">{name}</th>'
        f'<td style="{_CELL};text-align:right">{count}</td></tr>\n'
        for name, count in _counts(digest.tally)
    )
    real = "" if digest.status is Status.ACTUAL else f"<p><strong>{_EXERCISE}</strong></p>\n"
    link = escape(address)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>noticebus</title>'
        f'</head>\n<body style="{_BODY}">\n{real}'
        f'<p style="font-size:1.25em"><strong>{escape(_sentence(digest))}</strong></p>\n'
        f"<p>As of {escape(local_time(digest.at, zone=zone))}.</p>\n"
        f'<table style="border-collapse:collapse">\n{rows}</table>\n'
        f'<p>{_WHERE}<br>\n<a href="{link}">{link}</a></p>\n'
        f"<p>{_WHY[0]} {_WHY[1]}</p>\n</body>\n</html>\n"
    )


def _subject(digest: Digest) -> str:
    tally = digest.tally
    if digest.kind is DigestKind.CLEAR:
        return f"ALL CLEAR: nothing is overdue any more, {tally.open} open"
    which = (
        "change of shift" if digest.kind is DigestKind.SHIFT else f"{_nth(digest.number)} hourly"
    )
    if tally.overdue:
        return f"ACTION: {tally.overdue} not answered, oldest {_oldest(digest)} overdue ({which})"
    waits = tally.unreachable + tally.uncovered + tally.owed
    word = "CHECK" if waits else "CLEAR"
    return f"{word}: nothing is overdue, {tally.open} open ({which})"


def _sentence(digest: Digest) -> str:
    overdue = digest.tally.overdue
    if not overdue:
        return "Nothing is overdue."
    who = "1 recipient has" if overdue == 1 else f"{overdue} recipients have"
    return f"{who} not answered in time. The oldest is {_oldest(digest)} overdue."


def _oldest(digest: Digest) -> str:
    since = digest.tally.oldest_due_at
    return how_long(digest.at - (since or digest.at))


def _nth(number: int) -> str:
    if number % 100 in _TEENS:
        return f"{number}th"
    return f"{number}{_ENDINGS.get(number % 10, 'th')}"


def _times(times: Sequence[dt.time], *, zone: str, near: dt.datetime) -> Iterator[dt.datetime]:
    """Give the times of day of the days around `near`; one that the clock skips counts after it."""
    there = zoneinfo.ZoneInfo(zone)
    today = near.astimezone(there).date()
    for day in (today - _DAY, today, today + _DAY):
        for one in times:
            yield dt.datetime.combine(day, one, tzinfo=there).astimezone(dt.UTC)
