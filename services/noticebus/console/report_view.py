"""The report as its page says it: one sentence, whom to ring first, figures that do not flatter."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from noticebus.casework.report_beside import FEW
from noticebus.casework.report_rows import filter_words
from noticebus.casework.reports import ReportRead
from noticebus.casework.signs_of_life import Signs
from noticebus.console.headline import (
    MARKS,
    Headline,
    as_known,
    headline_for_recipient,
    headline_of,
    of_its_part,
)
from noticebus.console.report_query import PATH, Typed, address, again
from noticebus.console.report_words import DEBTS, OUTCOMES, STEPS
from noticebus.console.signs import moment
from noticebus.contracts.report import Age, Percentile, ReportItem, UnacknowledgedReport
from noticebus.contracts.vocabulary import Status
from noticebus.domain.figures import AGE_BEGINS, how_long
from noticebus.domain.mail import CLASS_WORDS

CUTS = "/reports/figures"
FILES = (("csv", "CSV"), ("xlsx", "Excel"), ("json", "JSON"))
AGES = {
    Age.EARLY: "not due yet",
    Age.SOON: "due within 15 min",
    Age.LATE: "overdue < 1 h",
    Age.LATER: "overdue 1–4 h",  # noqa: RUF001 - a range
    Age.LATEST: "overdue 4–24 h",  # noqa: RUF001 - a range
    Age.OLDEST: "overdue > 24 h",
}
RIBBONS = {
    Status.EXERCISE: ("DRILL · EXERCISE · EXERCISE", "EXERCISE"),
    Status.TEST: ("TEST · TEST · TEST", "TEST"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of the ageing bar."""

    key: str
    label: str
    count: int
    href: str | None
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure with the words that keep it honest."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPage:
    """Everything the page says that is not in the report itself."""

    headline: Headline
    mark: str
    stands_at: str | None  # when it was so; a past report says that in its sentence
    ring_first: ReportItem | None
    ribbon: tuple[str, str] | None
    silent_heading: str
    owed_heading: str
    filter_said: str
    segments: Sequence[Segment]
    figures: Sequence[Figure]
    cuts_at: str | None  # where the same figures are cut
    files: Sequence[tuple[str, str]]
    first: str | None
    following: str | None
    same_again: str | None
    at_risk: Sequence[tuple[ReportItem, str]]


def page_of(read: ReportRead, *, typed: Typed, signs: Signs, linked: bool = False) -> ReportPage:
    """Say a report; behind a link nothing leads to where one must be signed in.

    By its `signs` of life the bus may be unable to say that all is well.
    """
    report = read.report
    is_own = not read.watches and not read.posts
    said = of_its_part(
        _headline(read, is_own=is_own), report, is_past=read.is_past, zone=signs.zone
    )
    said = as_known(said, signs)
    return ReportPage(
        headline=said,
        mark=MARKS[said.word],
        stands_at=None if read.is_past else moment(report.as_of, signs.zone),
        ring_first=ring_first(read) if read.watches and not read.is_past else None,
        ribbon=RIBBONS.get(report.filter.status),
        silent_heading="What we have not answered" if is_own else "Who has not answered us",
        owed_heading="Who has not answered us" if is_own else "Whom we have not answered",
        filter_said=filter_said(report),
        segments=_segments(read, typed, linked=linked),
        figures=figures_of(read),
        cuts_at=None if linked or read.is_past else _cuts_at(read),
        files=[]
        if linked
        else [(label, address(typed, path=f"{PATH}.{form}")) for form, label in FILES],
        first=None if read.is_first else "?" if linked else address(typed),
        following=_following(report, typed, linked=linked),
        same_again=None if linked or read.is_past else again(typed, report.as_of),
        at_risk=_at_risk(read),
    )


def _cuts_at(read: ReportRead) -> str | None:
    return f"{CUTS}?status={read.report.filter.status}" if read.watches else None


def _headline(read: ReportRead, *, is_own: bool) -> Headline:
    if is_own:
        return headline_for_recipient(read.report)
    unreached = read.beside.unreached if read.beside else None
    return headline_of(
        read.report,
        unreached=len(read.unreachable) if unreached is None else unreached,
        advisory=_advisory_late(read),
    )


def _advisory_late(read: ReportRead) -> int | None:
    """Count whatever is overdue and in no figure, for it need not answer; on any page."""
    if read.beside is None:
        return None
    late = sum(
        n for age, n in read.beside.ages.items() if age in AGE_BEGINS and age is not Age.SOON
    )
    return max(late - read.report.summary.overdue, 0)


def title_of(report: UnacknowledgedReport) -> str:
    """Name the page; an exercise says so first."""
    mark = "" if report.filter.status is Status.ACTUAL else f"{report.filter.status.upper()} "
    return f"{mark}Unacknowledged notices"


def ring_first(read: ReportRead) -> ReportItem | None:
    """Choose the most pressing line that somebody can be rung about and nobody works on."""
    attending = read.beside.attending if read.beside else {}
    return next(
        (
            item
            for item in read.report.items
            if item.contact is not None
            and item.contact.phone is not None
            and (item.overdue_s is not None or item.obligation_id in read.unreachable)
            and item.obligation_id not in attending
        ),
        None,
    )


def filter_said(report: UnacknowledgedReport) -> str:
    """Say the filter as the files do."""
    return filter_words(report.filter)


def figures_of(read: ReportRead) -> list[Figure]:
    """Give the figures: over all that fell due, the silent last, and what is left out beside."""
    summary = read.report.summary
    share = summary.closed_within_target_share
    within = "nothing has fallen due"
    if summary.due:
        within = f"{summary.closed_within_target} of {summary.due} that fell due"
        if share is not None and summary.due >= FEW:
            within = f"{share * 100:.1f} % ({within})"
    found = [
        Figure(label="Open", value=str(summary.open), note=f"{summary.overdue} overdue"),
        Figure(label="Closed within target", value=within, note=_left_out(read)),
    ]
    if 0 < summary.due < FEW:
        note = f"Fewer than {FEW} fell due: look at each of them, not at a percentage."
        return [*found, Figure(label="Time to close", value=f"n = {summary.due}", note=note)]
    return [
        *found,
        Figure(
            label="Half had closed after",
            value=_percentile(summary.time_to_close_p50, read),
            note=_counted(summary.due),
        ),
        Figure(
            label="Nine in ten had closed after",
            value=_percentile(summary.time_to_close_p90, read),
            note=_counted(summary.due),
        ),
    ]


def _at_risk(read: ReportRead) -> list[tuple[ReportItem, str]]:
    """Name each place at risk once, with the line that has waited longest."""
    alone = read.beside.alone if read.beside else {}
    found: dict[tuple[str, str], ReportItem] = {}
    for item in sorted(read.report.items, key=lambda one: -(one.overdue_s or 0)):
        for place in alone.get(item.obligation_id, ()):
            found.setdefault((item.agency.id, place), item)
    return [(item, place) for (_, place), item in found.items()]


def _counted(due: int) -> str:
    return f"n = {due}, the silent rank last" if due else ""


def _percentile(value: Percentile, read: ReportRead) -> str:
    if not read.report.summary.due:
        return "nothing has fallen due"
    if value.seconds is not None:
        return how_long(dt.timedelta(seconds=value.seconds))
    silent_for = read.beside.silent_for if read.beside else None
    return value.label if silent_for is None else f"{value.label} (> {how_long(silent_for)})"


def _left_out(read: ReportRead) -> str:
    left_out = read.beside.left_out if read.beside else None
    if left_out is None:
        return "Waived ones and exercises are not among them."
    return f"Not among them: {left_out.waived} waived, {left_out.exercised} of exercises."


def _segments(read: ReportRead, typed: Typed, *, linked: bool) -> list[Segment]:
    counted = read.beside.ages if read.beside else {}
    chosen = read.report.filter.age
    return [
        Segment(
            key=age,
            label=label,
            count=counted.get(age, 0),
            href=None if linked else address(typed, age="" if age is chosen else age, overdue=""),
            chosen=age is chosen,
        )
        for age, label in AGES.items()
    ]


def _following(report: UnacknowledgedReport, typed: Typed, *, linked: bool) -> str | None:
    if report.next is None:
        return None
    return f"?cursor={report.next}" if linked else address(typed, cursor=report.next)


WORDS: Mapping[str, object] = {
    "steps": STEPS,
    "outcomes": OUTCOMES,
    "debts": DEBTS,
    "classes": CLASS_WORDS,
}
