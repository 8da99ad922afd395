"""What people type into forms and addresses: local times and whole numbers, within bounds."""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

from noticebus.contracts.base import YEAR_FIRST, YEAR_LAST

DIGITS_MAX: Final = 18  # fits a column of either database


def read_local(text: str, *, zone: str) -> dt.datetime:
    """Read a date and time of `zone`, or with its own offset, as UTC; ValueError for any other."""
    said = dt.datetime.fromisoformat(text)
    return _bounded(said if said.tzinfo is not None else said.replace(tzinfo=ZoneInfo(zone)))


def read_instant(text: str) -> dt.datetime:
    """Read a date and time that says its offset, as UTC; ValueError for any other."""
    said = dt.datetime.fromisoformat(text)
    if said.tzinfo is None:
        raise ValueError("a time without its zone")
    return _bounded(said)


def read_whole(text: str) -> int | None:
    """Read a whole number from 0 on; None for anything else."""
    fits = len(text) <= DIGITS_MAX and text.isascii() and text.isdecimal()
    return int(text) if fits else None


def read_count(text: str) -> int:
    """Read a number that somebody confirms; -1, which is no count, for anything else."""
    number = read_whole(text)
    return -1 if number is None else number


def _bounded(said: dt.datetime) -> dt.datetime:
    """Write it in UTC; ValueError where a calendar or a database could not compute with it."""
    try:
        at = said.astimezone(dt.UTC)
    except OverflowError as error:
        raise ValueError("beyond the calendar") from error
    if not YEAR_FIRST <= at.year <= YEAR_LAST:
        raise ValueError("beyond the years the bus computes with")
    return at
