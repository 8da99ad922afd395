"""Shifts as agencies' programs export them: rows of CSV, events of an iCalendar file."""

import csv
import datetime as dt
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

from noticebus.contracts.base import read_instant
from noticebus.contracts.vocabulary import Position
from noticebus.domain import ics
from noticebus.domain.ics import Happening
from noticebus.domain.rosters import FAULTS_MAX, SHIFTS_MAX, Names, Shift, Written
from noticebus.domain.working_time import first_utc
from noticebus.errors import Detail

COLUMNS = ("contact", "position", "starts", "ends")
FIELD_MAX = 300
LOCAL_FORMS = ("%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S")
MAILTO = "mailto:"
POSITIONS: Mapping[str, Position] = {
    "ON-DUTY": Position.ON_DUTY,
    "SECOND": Position.SECOND,
    "BACKUP": Position.SECOND,
    "HEAD": Position.HEAD,
    "SUPERVISOR": Position.HEAD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRead:
    """The shifts of a file, or what is wrong with it: never some of both."""

    written: tuple[Written, ...] = ()
    faults: tuple[Detail, ...] = ()


def read_csv(text: str, *, names: Names, zone: str) -> FileRead:
    """Read rows of contact, position, starts and ends, named in the first row in any order.

    Times are RFC 3339, or local ones of `zone`: of an hour that happens twice the first, a skipped
    one moves on by the gap. At most 2,000 rows.
    """
    try:
        rows = list(_rows(text))
    except ValueError as error:
        return FileRead(faults=(Detail(pointer="", message=f"{error}."),))
    return _together(_row(cells, number=number, names=names, zone=zone) for number, cells in rows)


def read_ics(text: str, *, names: Names, zone: str, now: dt.datetime) -> FileRead:
    """Read one shift of each event that is not over at `now`.

    Whose it is says the ATTENDEE's address, or else the SUMMARY; which position, CATEGORIES.
    """
    read = ics.read(text, zone=zone, now=now)
    if read.faults:
        return FileRead(faults=read.faults)
    return _together(_event(one, names=names) for one in read.happenings)


def _together(shifts: Iterator[Written | Detail]) -> FileRead:
    written: list[Written] = []
    faults: list[Detail] = []
    for one in shifts:
        if isinstance(one, Detail):
            faults.append(one)
        else:
            written.append(one)
    return (
        FileRead(faults=tuple(faults[:FAULTS_MAX])) if faults else FileRead(written=tuple(written))
    )


def _rows(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Give each row with its number in the file; the header is row 1, and empty rows are left out.

    Raises ValueError with a sentence.
    """
    cells_of = _cells(text.removeprefix("\ufeff"))
    _, first = next(cells_of, (1, []))
    header = [name.strip().lower() for name in first]
    if sorted(header) != sorted(COLUMNS):
        message = f"Row 1 must name the columns {', '.join(COLUMNS)}, and no others"
        raise ValueError(message)
    taken = 0
    for number, cells in cells_of:
        if not any(cell.strip() for cell in cells):
            continue
        taken += 1
        if taken > SHIFTS_MAX:
            message = f"A roster has at most {SHIFTS_MAX:,} rows"
            raise ValueError(message)
        if len(cells) != len(COLUMNS) or any(len(cell) > FIELD_MAX for cell in cells):
            message = (
                f"Row {number} must have {len(COLUMNS)} fields of at most {FIELD_MAX} characters"
            )
            raise ValueError(message)
        yield (
            number,
            {name: cell.strip() for name, cell in zip(header, cells, strict=True)},
        )


def _cells(text: str) -> Iterator[tuple[int, list[str]]]:
    """Give each row's number and cells; what is no CSV is said with its row."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        message = (
            f"Row {reader.line_num} cannot be read as CSV ({error}); check its quotation marks and"
            " commas"
        )
        raise ValueError(message) from error


def _row(cells: Mapping[str, str], *, number: int, names: Names, zone: str) -> Written | Detail:
    where = f"Row {number}"
    try:
        shift = Shift(
            contact_id=names.find(cells["contact"]),
            position=_position(cells["position"] or Position.ON_DUTY),
            starts_at=_instant(cells["starts"], zone=zone),
            ends_at=_instant(cells["ends"], zone=zone),
        )
    except ValueError as error:
        return Detail(pointer="", message=f"{where}: {error}.")
    return Written(shift=shift, where=where)


def _event(one: Happening, *, names: Names) -> Written | Detail:
    try:
        shift = Shift(
            contact_id=names.find(_called(one)),
            position=_position_of(one),
            starts_at=one.starts_at,
            ends_at=one.ends_at,
        )
    except ValueError as error:
        return Detail(pointer="", message=f"{one.where}: {error}.")
    return Written(shift=shift, where=one.where)


def _called(one: Happening) -> str:
    if len(one.attendees) > 1:
        message = "a shift is one person's; name one ATTENDEE"
        raise ValueError(message)
    if not one.attendees:
        return one.summary
    address = one.attendees[0]
    if not address.lower().startswith(MAILTO):
        message = "write its ATTENDEE as a mail address, mailto:…"
        raise ValueError(message)
    return address[len(MAILTO) :]


def _position_of(one: Happening) -> Position:
    if not one.categories:
        return Position.ON_DUTY
    found = {POSITIONS[name] for name in one.categories if name in POSITIONS}
    if len(found) != 1 or any(name not in POSITIONS for name in one.categories):
        message = (
            "its CATEGORIES must name one position: ON_DUTY, SECOND (or BACKUP), or HEAD (or "
            "SUPERVISOR)"
        )
        raise ValueError(message)
    return found.pop()


def _position(text: str) -> Position:
    known = POSITIONS.get(text.upper().replace("_", "-").replace(" ", "-"))
    if known is None:
        message = "the position is on_duty, second or head"
        raise ValueError(message)
    return known


def _instant(text: str, *, zone: str) -> dt.datetime:
    for form in LOCAL_FORMS:
        try:
            local = dt.datetime.strptime(text, form)  # noqa: DTZ007 - local, its zone is `zone`
        except ValueError:
            continue
        _ = read_instant(local.replace(tzinfo=dt.UTC))  # the same bounds
        return first_utc(local.date(), local.time(), zone=zone)
    try:
        return read_instant(text)
    except PydanticCustomError as error:
        message = f"{error.message()}; a local time of the agency is written like 2026-11-01 20:00"
        raise ValueError(message) from error
