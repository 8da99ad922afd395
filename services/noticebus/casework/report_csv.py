"""The report as CSV (RFC 4180): rectangular, quoted, and nothing in it runs as a formula.

What the report stands on is in the last columns of every row, in the file's name and in the headers
of the answer: rows above a header would break every filter and import.
"""

import csv
import io
import re
from collections.abc import Sequence
from typing import IO

from noticebus.casework.report_rows import COLUMNS, Basis, Batch, Cell, rows_of, written
from noticebus.contracts.base import write_instant

CLOSING = (
    "status",
    "report_as_of_utc",
    "report_ledger_index",
    "report_ledger_leaf_hash",
    "report_filter",
    "report_asked_by",
    "report_more_rows_follow",
)
BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
# What makes a spreadsheet compute, ASCII and full-width, at the beginning of a cell: also behind
# spaces that it drops, and behind a quote or separator, where it may see a cell begin (CWE-1236).
_FORMULA = re.compile(
    r"""(^|[,;|\t\r\n"'])([\s\u200b\u2060\ufeff]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])"""
)
_CONTROL_FIRST = re.compile(r"^[\t\r\n]")


class CsvFile:
    """Writes a report's rows to `file` as they come; UTF-8 and CRLF.

    `marked` begins the file with the mark by which spreadsheets know UTF-8; programs need none.
    """

    media_type = "text/csv; charset=utf-8; header=present"

    def __init__(self, file: IO[bytes], basis: Basis, *, marked: bool = False) -> None:
        self._file = file
        self._basis = basis
        self.rows = 0
        self._write([[*(column.name for column in COLUMNS), *CLOSING]], start=BOM * marked)

    def add(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        closing = self._closing(more=batch.is_cut)
        rows = [(*row, *closing) for row in rows_of(batch, after=self.rows)]
        self.rows += len(rows)
        self._write([[harmless(written(cell)) for cell in row] for row in rows])

    def finish(self, following: str | None) -> None:
        """Nothing is left to write: the rows have said it."""

    def give_up(self) -> None:
        """Nothing is open beside the file."""

    def _closing(self, *, more: bool) -> tuple[Cell, ...]:
        basis = self._basis
        return (
            basis.filter.status,
            write_instant(basis.as_of),
            basis.index,
            basis.leaf_hash,
            basis.filter_words,
            basis.asked_by,
            "yes" if more else "no",
        )

    def _write(self, rows: Sequence[Sequence[str]], *, start: str = "") -> None:
        text = io.StringIO(newline="")
        text.write(start)
        csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
        self._file.write(text.getvalue().encode())


def harmless(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    stopped = _FORMULA.sub(r"\1\2'", cell)
    return f"'{stopped}" if _CONTROL_FIRST.match(stopped) else stopped
