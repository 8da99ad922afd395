"""The report as rows of a table: what its files hold, whichever form they have.

An instant stands in two columns: in UTC, and by the clock of the recipient, whose zone is a column.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo

from noticebus.contracts.base import write_instant
from noticebus.contracts.report import OwedItem, ReportFilter, ReportItem
from noticebus.contracts.vocabulary import EndpointState, ObligationState, Owed, Status
from noticebus.store.report_details import LastAnswer, NoticeFacts

Cell = str | int | dt.datetime | None


class Form(StrEnum):
    """What a column holds."""

    TEXT = "text"
    NUMBER = "number"
    UTC = "utc"
    LOCAL = "local"  # without a zone: the column `recipient_zone` has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, and how wide it is where there are widths."""

    name: str
    form: Form = Form.TEXT
    width: int = 16


def _text(name: str, width: int = 16) -> tuple[Column, ...]:
    return (Column(name=name, width=width),)


def _number(name: str) -> tuple[Column, ...]:
    return (Column(name=name, form=Form.NUMBER, width=10),)


def _instant(name: str) -> tuple[Column, ...]:
    return (
        Column(name=f"{name}_utc", form=Form.UTC, width=20),
        Column(name=f"{name}_recipient_local", form=Form.LOCAL, width=20),
    )


COLUMNS: tuple[Column, ...] = (
    *_number("overdue_minutes"),
    *_text("recipient", 32),
    *_text("recipient_kind"),
    *_text("places", 28),
    *_text("class", 6),
    *_text("state", 10),
    *_text("standing", 11),
    *_instant("due_at"),
    *_number("step"),
    *_number("attempts"),
    *_text("last_attempt", 20),
    *_instant("last_attempt_at"),
    *_text("next_action"),
    *_instant("next_action_at"),
    *_text("contact_name", 24),
    *_text("contact_role", 20),
    *_text("contact_phone", 18),
    *_text("recipient_zone", 18),
    *_text("obligation_id", 32),
    *_text("incident_id", 32),
    *_text("notice_id", 32),
    *_number("answered_version"),
    *_number("latest_version"),
    *_text("owed", 10),
    *_number("asks"),
    *_text("recipient_id", 32),
    *_text("reachable", 10),
    *_text("notice_kind", 20),
    *_instant("occurred_at"),
    *_instant("sent_at"),
    *_text("policy", 34),
    *_text("last_answer", 12),
    *_text("last_answer_by_role", 20),
    *_text("last_answer_how", 12),
    *_text("last_answer_late", 8),
    *_instant("last_answer_at"),
    *_text("endpoint", 10),
    *_number("report_row"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What a row says of a line beside its item. `endpoint` is of now, so of no past report."""

    sent_at: dt.datetime
    policy: str
    reachable: bool
    notice: NoticeFacts | None
    answer: LastAnswer | None
    endpoint: EndpointState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some of a report's lines in order, with what their rows need; debts come with the first."""

    items: tuple[ReportItem, ...]
    debts: tuple[OwedItem, ...]
    zones: Mapping[str, str]
    details: Mapping[str, Detail]
    is_cut: bool  # these are the last rows of the file, and the report has more


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a file stands on: enough to ask for the same report again.

    `leaf_hash` is that of the ledger's entry at `index`.
    """

    as_of: dt.datetime
    index: int
    leaf_hash: str
    filter: ReportFilter
    asked_by: str
    made_at: dt.datetime
    base_url: str

    @property
    def mark(self) -> str:
        """Say EXERCISE or TEST of a report of what is not real; empty of a real one."""
        return "" if self.filter.status is Status.ACTUAL else self.filter.status.upper()

    @property
    def filter_words(self) -> str:
        """Write the filter as its query, without what is "any"."""
        return filter_words(self.filter)

    def file_name(self, ending: str) -> str:
        """Name the file so that it says what it is once passed on: an exercise first of all."""
        mark = f"{self.mark}-" if self.mark else ""
        return f"{mark}unacknowledged-{self.as_of:%Y-%m-%dT%H%M%SZ}-index-{self.index}.{ending}"


def filter_words(chosen: ReportFilter) -> str:
    """Write a filter as its query, without what is "any"."""
    values = chosen.model_dump(mode="json", exclude_none=True)
    return " ".join(f"{name}={_word(value)}" for name, value in values.items())


def rows_of(batch: Batch, *, after: int) -> Iterator[tuple[Cell, ...]]:
    """Give the rows of a batch, each cell in the order of `COLUMNS`, numbered from `after` + 1."""
    number = after
    for item in batch.items:
        number += 1
        yield _row(_item_cells(item, batch) | {"report_row": number}, batch.zones[item.agency.id])
    for debt in batch.debts:
        number += 1
        yield _row(_debt_cells(debt) | {"report_row": number}, batch.zones[debt.agency.id])


def local_instant(at: dt.datetime, zone: str) -> dt.datetime:
    """Give what the recipient's clock shows at an instant, without a zone, to the second."""
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, microsecond=0)


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _row(cells: Mapping[str, Cell], zone: str) -> tuple[Cell, ...]:
    return tuple(_cell(column, cells, zone) for column in COLUMNS)


def _cell(column: Column, cells: Mapping[str, Cell], zone: str) -> Cell:
    """Give one cell; an instant is kept once among `cells`, under its name alone."""
    if column.form not in {Form.UTC, Form.LOCAL}:
        return zone if column.name == "recipient_zone" else cells.get(column.name)
    at = cells.get(column.name.removesuffix("_utc").removesuffix("_recipient_local"))
    if not isinstance(at, dt.datetime):
        return None
    return at if column.form is Form.UTC else local_instant(at, zone)


def _item_cells(item: ReportItem, batch: Batch) -> dict[str, Cell]:
    last, following, contact = item.last_attempt, item.next_action, item.contact
    return {
        "overdue_minutes": None if item.overdue_s is None else item.overdue_s // 60,
        "recipient": item.agency.name,
        "recipient_kind": item.agency.kind,
        "recipient_id": item.agency.id,
        "places": "; ".join(place.name or place.key for place in item.places),
        "class": item.notice_class,
        "state": item.state,
        "standing": item.standing,
        "due_at": item.due_at,
        "step": item.step,
        "attempts": item.attempts,
        "last_attempt": f"{last.channel} {last.outcome}" if last else None,
        "last_attempt_at": last.at if last else None,
        "next_action": following.what if following else None,
        "next_action_at": following.at if following else None,
        "contact_name": contact.name if contact else None,
        "contact_role": contact.role if contact else None,
        "contact_phone": contact.phone if contact else None,
        "obligation_id": item.obligation_id,
        "incident_id": item.incident_id,
        "notice_id": item.notice_id,
        "answered_version": item.answered_version,
        "latest_version": item.latest_version,
        "owed": Owed.NOTICE,
        **_detail_cells(batch.details.get(item.obligation_id)),
    }


def _detail_cells(detail: Detail | None) -> dict[str, Cell]:
    if detail is None:
        return {}
    notice, answer = detail.notice, detail.answer
    return {
        "reachable": "yes" if detail.reachable else "no",
        "sent_at": detail.sent_at,
        "policy": detail.policy,
        "notice_kind": notice.kind if notice else None,
        "occurred_at": notice.occurred_at if notice else None,
        "last_answer": answer.answer if answer else None,
        "last_answer_by_role": answer.by_role if answer else None,
        "last_answer_how": answer.how if answer else None,
        "last_answer_late": _yes_or_no(answer.late) if answer else None,
        "last_answer_at": answer.recorded_at if answer else None,
        "endpoint": detail.endpoint,
    }


def _yes_or_no(value: bool) -> str:  # noqa: FBT001 - what it says
    return "yes" if value else "no"


def _debt_cells(debt: OwedItem) -> dict[str, Cell]:
    """Write what a poster owes in the same columns: it is the recipient of a question."""
    following, contact = debt.next_action, debt.contact
    return {
        "overdue_minutes": None if debt.overdue_s is None else debt.overdue_s // 60,
        "recipient": debt.agency.name,
        "recipient_kind": debt.agency.kind,
        "recipient_id": debt.agency.id,
        "state": ObligationState.OPEN,
        "due_at": debt.due_at,
        "next_action": following.what if following else None,
        "next_action_at": following.at if following else None,
        "contact_name": contact.name if contact else None,
        "contact_role": contact.role if contact else None,
        "contact_phone": contact.phone if contact else None,
        "obligation_id": debt.obligation_id,
        "incident_id": debt.incident_id,
        "notice_id": debt.notice_id,
        "owed": debt.owed,
        "asks": debt.asks,
    }


def written(cell: Cell) -> str:
    """Write a cell as text: an instant in UTC with its Z, one by a clock without."""
    if isinstance(cell, dt.datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}" if cell.tzinfo is None else write_instant(cell)
    return "" if cell is None else str(cell)
