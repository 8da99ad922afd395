"""docs/explanation/delivery.md names a test for whatever it promises, and each of them exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "delivery.md"
FAULTS = ROOT / "tests" / "faults"
ROWS = re.compile(r"^\| F(?P<number>\d+) \|.*\| (?P<held_by>[^|]*) \|$", re.MULTILINE)
NAMED = re.compile(r"`(test_\w+)`")
IN_A_FILE = re.compile(r"`(tests/faults/test_\w+\.py)::(test_\w+)`")
FAULTS_KNOWN = 14


def names_in(path: Path) -> set[str]:
    """Give the names of a file's tests."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    nodes = ast.walk(ast.parse(path.read_text()))
    return {one.name for one in nodes if isinstance(one, kinds) and one.name.startswith("test_")}


def test_every_fault_has_a_row_with_a_test_of_its_own() -> None:
    rows = {int(one["number"]): one["held_by"] for one in ROWS.finditer(PAGE.read_text())}

    without = [
        f"F{number}"
        for number in range(1, FAULTS_KNOWN + 1)
        if not re.search(rf"`tests/faults/test_f{number:02}_\w+\.py::test_", rows.get(number, ""))
    ]

    assert without == []
    assert sorted(rows) == list(range(1, FAULTS_KNOWN + 1))


def test_every_test_of_a_fault_is_in_the_file_that_is_named() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in IN_A_FILE.findall(PAGE.read_text())
        if not (ROOT / path).exists() or name not in names_in(ROOT / path)
    ]

    assert missing == []


def test_every_test_of_a_fault_is_on_the_page() -> None:
    page = PAGE.read_text()

    unsaid = [path.name for path in FAULTS.glob("test_f[0-9]*.py") if path.name not in page]

    assert unsaid == []


def test_every_promise_names_tests_and_they_exist() -> None:
    defined = {name for path in (ROOT / "tests").rglob("test_*.py") for name in names_in(path)}
    after_heads = re.split(
        r"^\| promise \| held by \|\n\| --- \| --- \|\n", PAGE.read_text(), flags=re.MULTILINE
    )
    promises = [
        line for block in after_heads[1:] for line in block.partition("\n\n")[0].splitlines()
    ]

    assert promises
    assert [line for line in promises if not NAMED.search(line.rpartition(" | ")[2])] == []
    assert {name for line in promises for name in NAMED.findall(line)} - defined == set()
