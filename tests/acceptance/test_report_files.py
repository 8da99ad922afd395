"""The report as files: whole, harmless in a spreadsheet, and true to what they stand on."""

import csv
import datetime as dt
import io
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import openpyxl
import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.api import Api, County
from harness.desk import MORNING, add_agency, add_contact, notice_body, post_notice, world
from harness.statements import statements_of
from noticebus.casework import report_export, report_workshop
from noticebus.casework.report_csv import CLOSING, harmless
from noticebus.casework.report_export import FileForm, export_report
from noticebus.casework.report_rows import COLUMNS, Form
from noticebus.casework.reports import Asked
from noticebus.contracts.vocabulary import AgencyKind, Scope
from noticebus.errors import RefusedError
from noticebus.ledger.sequencer import Sequencer
from noticebus.store.tables import entries

PATH = "/v1/reports/unacknowledged"
HOSTILE = (
    '=HYPERLINK("http://evil.example";"click")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\N{FULLWIDTH EQUALS SIGN}1+1",
    "\N{FULLWIDTH PLUS SIGN}1",
    "\N{FULLWIDTH HYPHEN-MINUS}1",
    "\N{FULLWIDTH COMMERCIAL AT}SUM(1)",
    'Church";=1+1;"',
    "Church,=1+1",
    "Church|'=1+1",
    " =1+1",
    "\N{NO-BREAK SPACE}=1+1",
)
FORMULA = re.compile("(^|[,;|\t\r\n\"'])[\\s\u200b\u2060\ufeff]*[=+\\-@\uff1d\uff0b\uff0d\uff20]")


async def churches(api: Api, names: list[str]) -> None:
    """Let a notice be posted to churches of these names, and an hour pass."""
    desk = api.desk
    poster = await add_agency(desk, "Field office", kind=AgencyKind.FEDERAL)
    for name in names:
        await add_agency(desk, name, kind=AgencyKind.FAITH)
    await post_notice(desk, poster, body=notice_body(desk))
    await Sequencer(desk).sweep()
    world(desk).advance(dt.timedelta(hours=1))


def table_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


async def entered(api: Api) -> list[dict[str, Any]]:
    statement = sa.select(entries.c.body).where(entries.c.type == "report.read")
    async with api.desk.database.read() as conn:
        found = (await conn.execute(statement.order_by(entries.c.position))).scalars()
        return [json.loads(body)["data"] for body in found]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_cell_begins_a_formula_wherever_a_spreadsheet_sees_it_begin(name: str) -> None:
    safe = harmless(name)
    assert all(found[1] == "'" for found in FORMULA.finditer(safe))
    assert not re.match(r"[=+\-@\t\r\n]", safe)
    assert safe.replace("'", "") == name.replace("'", "")


@pytest.mark.parametrize(
    "text", ["Pine County Schools", "O'Neil", "2019-08-07T13:30:00Z", "a=b", ""]
)
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


async def test_csv_and_workbook_say_the_same_rows_whatever_agencies_call_themselves(
    api: Api,
) -> None:
    await churches(api, [*HOSTILE[:4], 'Church";=1+1;"', "Iglesia Peña"])
    operator = await api.caller(Scope.OPERATE)

    as_csv = await operator.send("GET", f"{PATH}?format=csv")
    as_book = await operator.send("GET", f"{PATH}?format=xlsx")

    lines = table_of(as_csv.content)
    book = openpyxl.load_workbook(io.BytesIO(as_book.content))
    header, *rows = book.worksheets[0].iter_rows(values_only=True)
    assert header == tuple(column.name for column in COLUMNS)
    assert len(rows) == len(lines) == 6
    for line, row in zip(lines, rows, strict=True):
        for column, cell in zip(COLUMNS, row, strict=True):
            assert line[column.name] == harmless(as_text(cell, column.form)), column.name
    assert all(cell.data_type != "f" for one in book for row in one.iter_rows() for cell in row)
    assert all(cell.hyperlink is None for one in book for row in one.iter_rows() for cell in row)
    assert "Iglesia Peña" in {line["recipient"] for line in lines}
    assert not as_csv.content.startswith(b"\xef\xbb\xbf"), "a program reads it"


def as_text(cell: Any, form: Form) -> str:
    """Write a workbook's cell as the CSV does."""
    if isinstance(cell, dt.datetime):
        return f"{cell:%Y-%m-%dT%H:%M:%SZ}" if form is Form.UTC else f"{cell:%Y-%m-%d %H:%M:%S}"
    return "" if cell is None else str(cell)


async def test_workbook_has_real_dates_a_header_that_stays_and_says_what_it_is(api: Api) -> None:
    await churches(api, ["First Church"])
    operator = await api.caller(Scope.OPERATE)

    answer = await operator.send("GET", f"{PATH}?format=xlsx&kind=faith")

    assert answer.headers["content-disposition"].endswith('.xlsx"')
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    sheet, about = book.worksheets
    names = [cell.value for cell in sheet[1]]
    row = dict(zip(names, [cell.value for cell in sheet[2]], strict=True))
    assert row["sent_at_utc"] == MORNING.replace(tzinfo=None)
    assert row["sent_at_recipient_local"] == dt.datetime(2019, 8, 7, 8, 0)  # noqa: DTZ001
    assert row["recipient_zone"] == "America/Chicago"
    assert row["occurred_at_utc"] == dt.datetime(2019, 8, 7, 12, 30)  # noqa: DTZ001
    assert row["notice_kind"] == "enforcement_action"
    assert sheet.freeze_panes == "C2"
    assert sheet.auto_filter.ref.startswith("A1:")
    said = dict(about.iter_rows(values_only=True))
    assert said["As of (UTC)"] == dt.datetime(2019, 8, 7, 14, 0)  # noqa: DTZ001
    assert said["Filter"] == "kind=faith status=actual"
    assert said["Asked by"] == "test"
    assert said["Rows"] == 1
    assert said["More rows that are not in this file"] == "no"
    assert re.fullmatch("[0-9a-f]{64}", said["Leaf hash of that entry (RFC 6962)"])
    assert str(said["Ledger index"]) == answer.headers["noticebus-report-index"]
    assert said["Same again"].endswith("?kind=faith&status=actual&as_of=2019-08-07T14:00:00Z")


async def test_file_of_an_exercise_says_so_wherever_it_is_looked_at(api: Api) -> None:
    operator = await api.caller(Scope.OPERATE)

    answer = await operator.send("GET", f"{PATH}?format=xlsx&status=exercise")
    text = await operator.send("GET", f"{PATH}?format=csv&status=exercise")

    assert 'filename="EXERCISE-unacknowledged-' in answer.headers["content-disposition"]
    assert 'filename="EXERCISE-unacknowledged-' in text.headers["content-disposition"]
    book = openpyxl.load_workbook(io.BytesIO(answer.content))
    assert book.worksheets[0].title == "EXERCISE Report"
    assert "EXERCISE" in book.worksheets[0].oddHeader.left.text
    said = dict(book.worksheets[1].iter_rows(values_only=True))
    assert said["Real or not"].startswith("DRILL")


async def test_file_holds_the_whole_report_in_a_constant_number_of_statements_a_page(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await churches(api, [f"Church {number:02}" for number in range(12)])
    principal = furnish.principal(Scope.OPERATE)
    counts = {}
    for size in (12, 6, 4):
        monkeypatch.setattr(report_export, "PAGE_LINES", size)
        with statements_of(api.desk) as asked:
            made = await export_report(api.desk, principal, asked=Asked(), form=FileForm.CSV)
        counts[size] = len(asked)
        lines = table_of(b"".join(made.chunks()))
        assert [line["report_row"] for line in lines] == [str(number) for number in range(1, 13)]
        assert len({line["recipient"] for line in lines}) == 12
        assert made.following is None
        assert {line["report_more_rows_follow"] for line in lines} == {"no"}

    # A page's lines take one statement for each of up to four tiers, and their facts one each.
    assert counts[6] <= counts[12] + 15
    assert counts[4] <= counts[12] + 2 * 15


async def test_file_that_is_cut_says_so_and_where_the_rest_is(api: Api) -> None:
    await churches(api, [f"Church {number}" for number in range(5)])
    operator = await api.caller(Scope.OPERATE)

    first = await operator.send("GET", f"{PATH}?format=csv&limit=3")
    link = re.fullmatch(r'<(.+)>; rel="next"', first.headers["link"])
    assert link is not None
    second = await operator.send("GET", link[1])

    assert (first.headers["noticebus-report-rows"], first.headers["noticebus-report-more"]) == (
        "3",
        "yes",
    )
    assert second.headers["noticebus-report-more"] == "no"
    lines = [*table_of(first.content), *table_of(second.content)]
    assert len({line["recipient"] for line in lines}) == 5
    assert [line["report_more_rows_follow"] for line in lines] == ["yes"] * 3 + ["no"] * 2


async def test_past_report_is_the_same_file_again_page_after_page(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_export, "PAST_LINES", 2)
    await churches(api, [f"Church {number}" for number in range(5)])
    operator = await api.caller(Scope.OPERATE)
    then = "2019-08-07T13:30:00Z"

    first = await operator.send("GET", f"{PATH}?format=csv&as_of={then}")
    await post_notice(
        api.desk,
        await add_agency(api.desk, "Late", kind=AgencyKind.FEDERAL),
        body=notice_body(api.desk),
    )
    await Sequencer(api.desk).sweep()
    second = await operator.send("GET", f"{PATH}?format=csv&as_of={then}")

    assert first.content == second.content
    assert len(table_of(first.content)) == 5


@pytest.mark.parametrize("form", FileForm)
async def test_file_that_is_broken_off_leaves_nothing_behind(
    api: Api, form: FileForm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report_export, "PAGE_LINES", 2)
    await churches(api, [f"Church {number}" for number in range(5)])
    left_behind = tmp_path / "temporary"
    left_behind.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(left_behind))
    asked = 0

    async def leaves_after_the_first_page() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(RefusedError, match="has gone"):
        await export_report(
            api.desk,
            furnish.principal(Scope.OPERATE),
            asked=Asked(),
            form=form,
            has_left=leaves_after_the_first_page,
        )

    assert list(left_behind.iterdir()) == []
    assert await entered(api) == []


async def test_click_that_was_dropped_writes_no_file(api: Api) -> None:
    await churches(api, ["First Church"])

    async def hung_up(scope: Any, receive: Any, send: Any) -> None:
        del receive
        await api.app(scope, _hangs_up, send)

    operator = await replace(api, app=cast("Any", hung_up)).caller(Scope.OPERATE)
    answer = await operator.send("GET", f"{PATH}?format=csv")

    assert "First Church" not in answer.text
    assert await entered(api) == []


async def _hangs_up() -> dict[str, str]:
    return {"type": "http.disconnect"}


async def test_one_file_too_many_waits_then_is_told_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await churches(api, ["First Church"])
    operator = await api.caller(Scope.OPERATE)

    async with api.desk.workshop.bench():
        with monkeypatch.context() as hurried:
            hurried.setattr(report_workshop, "WAIT_S", 0)
            refused = await operator.send("GET", f"{PATH}?format=xlsx")
    later = await operator.send("GET", f"{PATH}?format=xlsx")

    assert refused.status_code == 503
    assert "are being written" in refused.json()["detail"]
    assert refused.headers["retry-after"] == "10"
    assert [one["rows"] for one in await entered(api)] == [1]
    assert later.headers["noticebus-report-rows"] == "1"


async def test_each_file_is_one_entry_of_the_ledger_with_its_form_filter_and_rows(
    api: Api, county: County
) -> None:
    del county
    await churches(api, ["First Church"])
    operator = await api.caller(Scope.OPERATE)

    for form in ("csv", "xlsx", "json"):
        await operator.send("GET", f"{PATH}?format={form}&kind=faith")

    found = await entered(api)
    assert [(one["format"], one["rows"]) for one in found] == [("csv", 2), ("xlsx", 2), ("json", 2)]
    assert all(one["filter"]["kind"] == "faith" for one in found)
    assert len({one["by"] for one in found}) == 1
    assert not any("First Church" in json.dumps(one) for one in found)


async def test_columns_say_of_every_row_what_the_report_stands_on(api: Api) -> None:
    await churches(api, ["First Church"])
    await add_contact(api.desk, await add_agency(api.desk, "Ops", kind=AgencyKind.OPERATOR), "Op")
    operator = await api.caller(Scope.OPERATE)

    (line,) = table_of((await operator.send("GET", f"{PATH}?format=csv")).content)

    assert list(line) == [*(column.name for column in COLUMNS), *CLOSING]
    assert line["policy"] == "default.faith.community.B v1"
    assert line["reachable"] == "no"
    assert line["report_asked_by"] == "test"
    assert re.fullmatch("[0-9a-f]{64}", line["report_ledger_leaf_hash"])
