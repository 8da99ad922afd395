"""The operator's ZIP table: three published forms are read, and a bad line is named."""

from pathlib import Path

import pytest

from noticebus.errors import InvalidError
from noticebus.refdata import counties, zips


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "zips.csv"


@pytest.mark.parametrize(
    "text",
    [
        "zip,county_fips\n39051,28079\n39051,28123\n",
        "\ufeffZIP\tCOUNTY\tRES_RATIO\r\n39051\t28079\t0.9\r\n39051\t28123\t0.1\r\n",
        "GEOID_ZCTA5_20|NAME|GEOID_COUNTY_20\n39051|x|28079\n39051|y|28123\n|z|28001\n\n",
    ],
)
def test_a_plain_a_hud_and_a_census_table_are_read(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8", newline="")

    gazetteer = counties.load(file)

    assert gazetteer.has_zip_table
    assert gazetteer.counties_of_zip("39051") == frozenset({"28079", "28123"})
    assert gazetteer.counties_of_zip("39052") is None


def test_a_retired_county_in_the_table_counts_as_its_successors(file: Path) -> None:
    file.write_text("zip,county\n06604,09007\n")

    assert counties.load(file).counties_of_zip("06604") == frozenset({"09130"})


def test_the_version_changes_with_the_table(file: Path) -> None:
    file.write_text("zip,county\n39051,28079\n")
    first = counties.load(file).version
    file.write_text("zip,county\n39051,28123\n")

    assert first.startswith(f"{counties.load().version}+zip.")
    assert counties.load(file).version != first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column zip"),
        ("zip,place\n39051,Carthage\n", "no column county_fips"),
        ("zip,county\n39051\n", "line 2: a column is missing"),
        ("zip,county\n6604,09007\n", "line 2: a ZIP code has five digits"),
        ("zip,county\n39051,28123\n39051,28999\n", "line 3: that county does not exist"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_line_and_remedy(
    file: Path, text: str, said: str
) -> None:
    file.write_text(text)

    with pytest.raises(InvalidError, match=said):
        counties.load(file)


def test_a_table_that_is_not_text_is_refused(file: Path) -> None:
    file.write_bytes(b"zip,county\n\xff\xfe\n")

    with pytest.raises(InvalidError, match="UTF-8"):
        counties.load(file)


def test_a_table_beyond_the_limit_is_refused_unread(file: Path) -> None:
    with file.open("wb") as table:
        table.truncate(zips.FILE_BYTES_MAX + 1)

    with pytest.raises(InvalidError, match="Keep only the columns"):
        counties.load(file)
