"""What a command shows: rows as table, JSON or CSV, and a failure as a cause and a remedy."""

import csv
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from noticebus.errors import NoticebusError

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_OVERDUE = 3
WIDTH_UNSEEN = 240  # where no terminal says how wide it is, nothing is folded
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
DOCTOR = "Run `noticebus doctor`, which looks at everything this could come from."
_MARKS = re.compile(r"[\\`*<>\[\]|]|(?<!\w)_|_(?!\w)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

Row = Mapping[str, Any]


class Format(StrEnum):
    """The forms in which rows come."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


FormatOption = Annotated[Format, typer.Option("--format", help="How the rows are written.")]


class CommandError(NoticebusError):
    """A command that cannot go on: what went wrong, and what to do about it."""

    code = "command"

    def __init__(self, cause: str, *, remedy: str) -> None:
        super().__init__(f"{cause} {remedy}")
        self.cause = cause
        self.remedy = remedy


def say(text: str = "") -> None:
    """Write a line for the person or program that reads the output."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Write a line beside the output: progress, warnings, what comes next."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def report_failure(error: NoticebusError) -> None:
    """Write the two lines of a failure to stderr."""
    cause, remedy = split_failure(error)
    colour = Console(stderr=True, highlight=False)
    colour.print(Text("error: ", style="bold red") + Text(clean(cause)), soft_wrap=True)
    colour.print(Text("remedy: ", style="bold") + Text(clean(remedy)), soft_wrap=True)


def split_failure(error: NoticebusError) -> tuple[str, str]:
    """Part an error's message into cause and remedy: the house writes both into it."""
    if isinstance(error, CommandError):
        return error.cause, error.remedy
    for mark in (". ", ": ", "; "):
        cause, _, remedy = error.message.partition(mark)
        if remedy:
            return f"{cause}.", remedy[:1].upper() + remedy[1:]
    return error.message, DOCTOR


def show_rows(rows: Sequence[Row], *, columns: Sequence[str], form: Format) -> None:
    """Write rows: a table of `columns`, or every field of each as JSON, or `columns` as CSV."""
    match form:
        case Format.JSON:
            show_json([dict(row) for row in rows])
        case Format.CSV:
            sys.stdout.write(as_csv(rows, columns=columns))
        case Format.TABLE:
            show_table(rows, columns=columns)


def show_record(record: Row, *, form: Format) -> None:
    """Write one thing: its fields one below the other, or as JSON, or as one line of CSV."""
    match form:
        case Format.JSON:
            show_json(dict(record))
        case Format.CSV:
            sys.stdout.write(as_csv([record], columns=list(record)))
        case Format.TABLE:
            table = Table.grid(padding=(0, 2))
            for name, value in record.items():
                table.add_row(Text(name, style="bold"), Text(cell_of(value)))
            console().print(table)


def show_json(value: object) -> None:
    """Write a value as JSON."""
    say(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def show_table(rows: Sequence[Row], *, columns: Sequence[str]) -> None:
    """Write a table; what others have entered cannot colour it or move the cursor."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.upper().replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell_of(row.get(column))) for column in columns))
    console().print(table)


def console(stream: TextIO | None = None) -> Console:
    """Give a console without guesses: colours only on a terminal and without `NO_COLOR`."""
    stream = stream or sys.stdout
    width = None if stream.isatty() else WIDTH_UNSEEN
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)


def as_csv(rows: Sequence[Row], *, columns: Sequence[str]) -> str:
    """Write rows as CSV in which a spreadsheet finds no formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_csv_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def as_markdown(rows: Sequence[Row], *, columns: Sequence[str]) -> str:
    """Write rows as a Markdown table; what others have entered stays text."""
    lines = [columns, ["---"] * len(columns)]
    lines += [[_markdown_cell(row.get(column)) for column in columns] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _markdown_cell(value: object) -> str:
    return _MARKS.sub(r"\\\g<0>", cell_of(value))


def _csv_cell(value: object) -> str:
    return "" if value is None else harmless(cell_of(value))


def harmless(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would run."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def cell_of(value: object) -> str:
    """Write one value as a cell; what is not known is a dash, never a zero."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list | tuple):
        return clean(json.dumps(value, ensure_ascii=False, default=str)) if value else "-"
    return clean(str(value))


def clean(text: str) -> str:
    """Take out control characters: a name must not steer the terminal that shows it."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)
