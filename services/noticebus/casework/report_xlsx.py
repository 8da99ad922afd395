"""The report as a workbook: real dates, a header that stays, and a sheet that says what it is.

Every text is written as text: no cell is a formula or a link, whatever an agency calls itself.
"""

import datetime as dt
from typing import IO

import xlsxwriter

from noticebus.casework.report_rows import COLUMNS, Basis, Batch, Cell, rows_of
from noticebus.contracts.base import write_instant

CELL_MAX = 32_767  # characters that a cell of a workbook can hold
DATE_FORM = "yyyy-mm-dd hh:mm:ss"
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


class XlsxFile:
    """Writes a report's rows to `file` as they come; one row is held in memory at a time.

    Rows lie in `folder` until the file is finished; whoever gives the folder removes it.
    """

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def __init__(self, file: IO[bytes], basis: Basis, *, folder: str) -> None:
        self._basis = basis
        self.rows = 0
        self._book = xlsxwriter.Workbook(file, {**_OPTIONS, "tmpdir": folder})
        self._book.set_properties(
            {
                "title": f"{basis.mark} Unacknowledged notices".strip(),
                "comments": f"As of {write_instant(basis.as_of)}, ledger index {basis.index}",
                "created": basis.made_at.astimezone(dt.UTC).replace(tzinfo=None),
            }
        )
        self._bold = self._book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        self._date = self._book.add_format({"num_format": DATE_FORM})
        self._sheet = self._book.add_worksheet(f"{basis.mark} Report".strip())
        self._about = self._book.add_worksheet("About")
        self._begin()

    def add(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        for row in rows_of(batch, after=self.rows):
            self.rows += 1
            for column, cell in enumerate(row):
                self._put(self.rows, column, cell)

    def finish(self, following: str | None) -> None:
        """Write what the report is on its second sheet, and close the file."""
        self._sheet.autofilter(0, 0, self.rows, len(COLUMNS) - 1)
        basis = self._basis
        about: list[tuple[str, Cell]] = [
            ("Report", f"{basis.mark} Unacknowledged notices".strip()),
            ("Real or not", _REALITY.get(basis.mark, "Real notices.")),
            ("As of (UTC)", basis.as_of),
            ("Filter", basis.filter_words),
            ("Asked by", basis.asked_by),
            ("Written at (UTC)", basis.made_at),
            ("Ledger index", basis.index),
            ("Leaf hash of that entry (RFC 6962)", basis.leaf_hash),
            ("Rows", self.rows),
            ("More rows that are not in this file", "no" if following is None else "yes"),
            ("Same again", _again(basis)),
            ("Times", "Columns _utc are UTC; _recipient_local are by the clock of recipient_zone."),
        ]
        self._about.set_column(0, 0, 36)
        self._about.set_column(1, 1, 90)
        for row, (label, cell) in enumerate(about):
            self._about.write_string(row, 0, label, self._bold)
            self._put(row, 1, cell, sheet=self._about)
        self._book.close()

    def give_up(self) -> None:
        """Close the files that rows lie in."""
        for sheet in (self._sheet, self._about):
            sheet.row_data_fh.close()

    def _begin(self) -> None:
        self._sheet.freeze_panes(1, 2)
        self._sheet.set_landscape()
        self._sheet.repeat_rows(0)
        basis = self._basis
        about = f"as of {write_instant(basis.as_of)}, ledger index {basis.index}"
        self._sheet.set_header(f"&L{basis.mark} Unacknowledged notices, {about}&RPage &P of &N")
        for number, column in enumerate(COLUMNS):
            self._sheet.set_column(number, number, column.width)
            self._sheet.write_string(0, number, column.name, self._bold)

    def _put(
        self,
        row: int,
        column: int,
        cell: Cell,
        *,
        sheet: "xlsxwriter.worksheet.Worksheet | None" = None,
    ) -> None:
        sheet = sheet or self._sheet
        match cell:
            case None:
                return
            case dt.datetime():
                naive = (
                    cell if cell.tzinfo is None else cell.astimezone(dt.UTC).replace(tzinfo=None)
                )
                sheet.write_datetime(row, column, naive.replace(microsecond=0), self._date)
            case int():
                sheet.write_number(row, column, cell)
            case _:
                sheet.write_string(row, column, str(cell)[:CELL_MAX])


_REALITY = {
    "EXERCISE": "DRILL. EXERCISE. Nothing in this file is real.",
    "TEST": "TEST. Nothing in this file is real.",
}


def _again(basis: Basis) -> str:
    query = basis.filter_words.replace(" ", "&")
    return f"{basis.base_url}/reports/unacknowledged?{query}&as_of={write_instant(basis.as_of)}"
