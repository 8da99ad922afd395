"""What happened, in order: one line a fact, with a mark that tells its sort without colour."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from noticebus.contracts.vocabulary import How, Notify


class Mark(StrEnum):
    """Of which sort a fact is. Delivered, opened and answered are three, and never one."""

    POSTED = "posted"  # the poster said something
    DELIVERED = "delivered"  # a machine took it
    FAILED = "failed"  # it was tried and did not arrive
    OPENED = "opened"  # somebody, or some scanner, may have looked
    ANSWERED = "answered"  # an identified person or system of the recipient said so
    LATE = "late"  # the same, after the deadline
    STEP = "step"  # the bus went one level up by itself
    DUE = "due"  # a deadline passed
    PERSON = "person"  # somebody at the console did something
    NOTED = "noted"  # the bus noted something about its own work


MARK_WORDS = {
    Mark.POSTED: "posted",
    Mark.DELIVERED: "delivered",
    Mark.FAILED: "not delivered",
    Mark.OPENED: "opened",
    Mark.ANSWERED: "answered",
    Mark.LATE: "answered late",
    Mark.STEP: "escalated",
    Mark.DUE: "deadline",
    Mark.PERSON: "operators",
    Mark.NOTED: "noted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One fact: when, of which sort, in a sentence; more of it, and where all of it is."""

    at: dt.datetime
    mark: Mark
    said: str
    detail: str = ""
    link: str = ""

    @property
    def word(self) -> str:
        return MARK_WORDS[self.mark]


def in_order(happenings: Iterable[Happening]) -> list[Happening]:
    """Put facts in the order of their times; of the same instant in the order they were given."""
    return sorted(happenings, key=lambda one: one.at)


LEVELS = {
    Notify.ON_DUTY: "the desk on duty",
    Notify.FIRST_TWO: "the first two people up the line",
    Notify.SECOND: "the second contact",
    Notify.HEAD: "the head of the agency",
    Notify.ALL_CONTACTS: "every contact of the agency",
    Notify.DELEGATE: "who stands in for the agency",
    Notify.OPERATORS: "the operators of the bus",
}
HEARD = {
    How.PHONE: "by telephone",
    How.RADIO: "by radio",
    How.IN_PERSON: "in person",
    How.MAIL: "by mail",
}
