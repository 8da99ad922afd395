"""The report as CSV for a spreadsheet: rectangular, quoted, and nothing in it runs as a formula.

As-of, ledger index, filter and who asked stand in the last columns of every row, in the file's
name and in the response's headers: rows above a header would break every filter and import.
"""

import csv
import datetime as dt
import io
from zoneinfo import ZoneInfo

from noticebus.casework.reports import ReportRead
from noticebus.contracts.base import write_instant
from noticebus.contracts.report import OwedItem, ReportItem, UnacknowledgedReport
from noticebus.contracts.vocabulary import ObligationState, Owed, Status

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
COLUMNS = (
    "overdue_minutes",
    "recipient",
    "recipient_kind",
    "places",
    "class",
    "state",
    "standing",
    "due_at_utc",
    "due_at_recipient_local",
    "step",
    "attempts",
    "last_attempt",
    "last_attempt_at_utc",
    "last_attempt_at_recipient_local",
    "next_action",
    "next_action_at_utc",
    "next_action_at_recipient_local",
    "contact_name",
    "contact_role",
    "contact_phone",
    "recipient_zone",
    "obligation_id",
    "incident_id",
    "notice_id",
    "answered_version",
    "latest_version",
    "owed",
    "asks",
    "status",
    "report_as_of_utc",
    "report_ledger_index",
    "report_filter",
    "report_asked_by",
    "report_more_rows_follow",
)


def render_csv(read: ReportRead) -> bytes:
    """Write the report's lines, and on its first page what posters owe.

    UTF-8, CRLF, every cell quoted.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    closing = _closing(read)
    for item in read.report.items:
        cells = _cells(item, zone=read.zones[item.agency.id])
        writer.writerow([harmless(cell) for cell in (*cells, *closing)])
    for debt in read.report.owed_by_posters if read.is_first else ():
        cells = _debt_cells(debt, zone=read.zones[debt.agency.id])
        writer.writerow([harmless(cell) for cell in (*cells, *closing)])
    return text.getvalue().encode()


def harmless(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def file_name(report: UnacknowledgedReport) -> str:
    """Name the file so that it says what it is once passed on: an exercise first of all."""
    live = report.filter.status is Status.ACTUAL
    mark = "" if live else f"{report.filter.status.upper()}-"
    return f"{mark}unacknowledged-{report.as_of:%Y-%m-%dT%H%M%SZ}-index-{report.index}.csv"


def filter_words(report: UnacknowledgedReport) -> str:
    """Write the filter as its query, without what is "any"."""
    chosen = report.filter.model_dump(mode="json", exclude_none=True)
    return " ".join(f"{name}={_word(value)}" for name, value in chosen.items())


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cells(item: ReportItem, *, zone: str) -> tuple[str, ...]:
    last, following, contact = item.last_attempt, item.next_action, item.contact
    return (
        "" if item.overdue_s is None else str(item.overdue_s // 60),
        item.agency.name,
        item.agency.kind,
        "; ".join(place.name or place.key for place in item.places),
        item.notice_class,
        item.state,
        item.standing,
        *_times(item.due_at, zone),
        str(item.step),
        str(item.attempts),
        f"{last.channel} {last.outcome}" if last else "",
        *_times(last.at if last else None, zone),
        following.what if following else "",
        *_times(following.at if following else None, zone),
        contact.name if contact else "",
        contact.role if contact else "",
        (contact.phone or "") if contact else "",
        zone,
        item.obligation_id,
        item.incident_id,
        item.notice_id,
        str(item.answered_version),
        str(item.latest_version),
        Owed.NOTICE,
        "",
    )


def _debt_cells(debt: OwedItem, *, zone: str) -> tuple[str, ...]:
    """Write what a poster owes in the same columns: it is the recipient of a question."""
    following, contact = debt.next_action, debt.contact
    cells = dict.fromkeys(COLUMNS[: COLUMNS.index("status")], "") | {
        "overdue_minutes": "" if debt.overdue_s is None else str(debt.overdue_s // 60),
        "recipient": debt.agency.name,
        "recipient_kind": debt.agency.kind,
        "state": ObligationState.OPEN,
        "contact_name": contact.name if contact else "",
        "contact_role": contact.role if contact else "",
        "contact_phone": (contact.phone or "") if contact else "",
        "next_action": following.what if following else "",
        "recipient_zone": zone,
        "obligation_id": debt.obligation_id or "",
        "incident_id": debt.incident_id,
        "notice_id": debt.notice_id,
        "owed": debt.owed,
        "asks": "" if debt.asks is None else str(debt.asks),
    }
    due, next_at = _times(debt.due_at, zone), _times(following.at if following else None, zone)
    cells |= {"due_at_utc": due[0], "due_at_recipient_local": due[1]}
    cells |= {"next_action_at_utc": next_at[0], "next_action_at_recipient_local": next_at[1]}
    return tuple(cells.values())


def _closing(read: ReportRead) -> tuple[str, ...]:
    report = read.report
    return (
        report.filter.status,
        write_instant(report.as_of),
        str(report.index),
        filter_words(report),
        read.asked_by,
        "yes" if report.next else "no",
    )


def _times(at: dt.datetime | None, zone: str) -> tuple[str, str]:
    """Give an instant twice: in UTC, and by the recipient's clock in a form spreadsheets read."""
    if at is None:
        return "", ""
    return write_instant(at), f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
