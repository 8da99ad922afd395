"""The state of things in one word and one sentence: what a page says first."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from noticebus.casework.signs_of_life import Life, Signs
from noticebus.console.signs import TROUBLES, moment
from noticebus.contracts.report import ReportFilter, UnacknowledgedReport
from noticebus.contracts.vocabulary import Standing
from noticebus.domain.figures import how_long


class Word(StrEnum):
    """What is to be done. UNKNOWN is never green."""

    ACTION = "ACTION"
    CHECK = "CHECK"
    CLEAR = "CLEAR"
    UNKNOWN = "UNKNOWN"


# Beside the word, so that neither colour nor reading is needed to tell them apart.
MARKS = {Word.ACTION: "⚠", Word.CHECK: "!", Word.CLEAR: "✓", Word.UNKNOWN: "✗"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One word, and the sentence after it."""

    word: Word
    sentence: str

    def __str__(self) -> str:
        return f"{self.word}: {self.sentence}"


def headline(report: UnacknowledgedReport) -> str:
    """Say the whole report in one sentence."""
    return str(headline_of(report))


def headline_of(
    report: UnacknowledgedReport, *, unreached: int = 0, advisory: int | None = None
) -> Headline:
    """Say the whole report; CLEAR only where nothing at all waits for a person.

    `unreached` counts the recipients that no channel reaches, `advisory` those that need not answer
    and are past their time: without it, those that the report lists.
    """
    overdue, since = report.summary.overdue, report.summary.oldest_overdue_s
    if overdue and since is not None:
        who = "recipient has" if overdue == 1 else "recipients have"
        return Headline(
            word=Word.ACTION,
            sentence=f"{overdue} {who} not answered."
            f" Oldest: {_oldest(report, since)}{duration(since)} overdue.",
        )
    late = advisory_late(report) if advisory is None else advisory
    waiting = " and ".join(_waiting(report, unreached=unreached))
    if late:
        asked = f"{late} advisory {'one is' if late == 1 else 'ones are'}"
        said = f"no mandatory answer is overdue; {asked}{f', and {waiting}' if waiting else ''}."
        return Headline(word=Word.CHECK, sentence=said)
    if waiting:
        return Headline(word=Word.CHECK, sentence=f"no answer is overdue, but {waiting}.")
    return Headline(word=Word.CLEAR, sentence="nothing is overdue.")


def headline_for_recipient(report: UnacknowledgedReport) -> Headline:
    """Say to one agency what it owes."""
    overdue, since = report.summary.overdue, report.summary.oldest_overdue_s
    if overdue and since is not None:
        what = "one notice" if overdue == 1 else f"{overdue} notices"
        return Headline(
            word=Word.ACTION,
            sentence=f"you have not answered {what} in time."
            f" {'It has' if overdue == 1 else 'The oldest has'} been overdue for"
            f" {duration(since)}.",
        )
    waiting = len(report.items)
    if waiting:
        what = "one notice waits" if waiting == 1 else f"{waiting} notices wait"
        return Headline(word=Word.CHECK, sentence=f"{what} for your answer{_first_due(report)}.")
    return Headline(word=Word.CLEAR, sentence="no notice waits for your answer.")


def of_its_part(
    found: Headline, report: UnacknowledgedReport, *, is_past: bool, zone: str | None
) -> Headline:
    """Let no sentence speak for more than it knows: of which time it is, and of which filter."""
    said = found.sentence
    if _is_narrowed(report.filter, found.word):
        said = f"in this filter: {said}"
    if is_past:
        said = f"at {moment(report.as_of, zone)}: {said}"
    return replace(found, sentence=said)


def as_known(found: Headline, signs: Signs) -> Headline:
    """Let UNKNOWN stand over all that sounds well, where the bus gives no sign of life."""
    if signs.life is not Life.UNKNOWN or found.word is Word.ACTION:
        return found
    wrong = " and ".join(TROUBLES[one.part] for one in signs.silent)
    return Headline(word=Word.UNKNOWN, sentence=f"{wrong}. As last known, {found.sentence}")


def duration(seconds: float) -> str:
    """Say how long something takes."""
    return how_long(dt.timedelta(seconds=seconds))


def _oldest(report: UnacknowledgedReport, since: int) -> str:
    """Name the recipient that has been overdue longest, if it is on this page."""
    names = (
        item.agency.name
        for item in report.items
        if item.overdue_s == since and item.standing is Standing.MANDATORY
    )
    name = next(names, None)
    return "" if name is None else f"{name}, "


def advisory_late(report: UnacknowledgedReport) -> int:
    """Count the listed recipients that need not answer, and are past the time they were given."""
    return sum(
        one.overdue_s is not None and one.standing is Standing.ADVISORY for one in report.items
    )


def _is_narrowed(wanted: ReportFilter, word: Word) -> bool:
    """Tell whether a sentence is about a part alone; how many are overdue knows no lateness."""
    parts = (wanted.kind, wanted.area, wanted.notice_class)
    lateness = (wanted.overdue, wanted.age)
    return any(one is not None for one in (parts if word is Word.ACTION else parts + lateness))


def _first_due(report: UnacknowledgedReport) -> str:
    due = [one.due_at for one in report.items if one.due_at is not None]
    if not due:
        return ""
    if min(due) <= report.as_of:
        return ": the time you were asked to answer by has passed"
    return f", the first within {duration((min(due) - report.as_of).total_seconds())}"


def _waiting(report: UnacknowledgedReport, *, unreached: int) -> Sequence[str]:
    late = sum(debt.overdue_s is not None for debt in report.owed_by_posters)
    places = len(report.uncovered)
    said = []
    if unreached:
        said.append(f"no channel reaches {unreached} recipient{'s' if unreached > 1 else ''}")
    if places:
        said.append(f"{places} place{'s are' if places > 1 else ' is'} uncovered")
    if late:
        said.append(f"posters owe {late} answer{'s' if late > 1 else ''} or updates")
    return said
