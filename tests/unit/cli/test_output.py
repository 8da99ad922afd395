import io
import json

import pytest

from noticebus.cli.output import (
    CommandError,
    Format,
    as_csv,
    cell_of,
    console,
    show_rows,
    split_failure,
)
from noticebus.errors import UnavailableError

ROWS = [{"name": "State CPS", "phone": None, "more": 1}]


def test_a_table_shows_its_columns_and_a_dash_for_what_is_not_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_rows(ROWS, columns=("name", "phone"), form=Format.TABLE)

    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["NAME", "PHONE"]
    assert line.split() == ["State", "CPS", "-"]


def test_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(ROWS, columns=("name",), form=Format.JSON)

    assert json.loads(capsys.readouterr().out) == ROWS


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_cell_of_a_csv_is_run_by_a_spreadsheet(start: str) -> None:
    text = as_csv([{"name": f"{start}SUM(A1)"}], columns=("name",))

    assert text == f'"name"\r\n"\'{start}SUM(A1)"\r\n'


def test_a_csv_leaves_empty_what_is_not_known() -> None:
    assert as_csv(ROWS, columns=("phone",)) == '"phone"\r\n""\r\n'


def test_a_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in cell_of("County \x1b[2J Schools")


def test_without_a_terminal_there_are_no_colours() -> None:
    assert console(io.StringIO()).is_terminal is False


@pytest.mark.parametrize(
    ("message", "cause", "remedy"),
    [
        ("It is away. Start it.", "It is away.", "Start it."),
        ("It is away: start it.", "It is away.", "Start it."),
    ],
)
def test_an_error_of_the_house_is_parted_into_cause_and_remedy(
    message: str, cause: str, remedy: str
) -> None:
    assert split_failure(UnavailableError(message)) == (cause, remedy)


def test_an_error_that_names_no_remedy_sends_to_the_doctor() -> None:
    cause, remedy = split_failure(UnavailableError("It is away"))

    assert cause == "It is away"
    assert "noticebus doctor" in remedy


def test_a_commands_own_error_keeps_its_two_parts() -> None:
    assert split_failure(CommandError("a: b. c.", remedy="d")) == ("a: b. c.", "d")
