"""ZIP code to counties, from the operator's file: plain CSV, HUD's or the Census Bureau's."""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from noticebus.domain.gazetteer import Gazetteer
from noticebus.errors import InvalidError

FILE_BYTES_MAX = 64 * 1024 * 1024

_ZIP_COLUMNS = ("zip", "zcta5", "geoid_zcta5_20")
_COUNTY_COLUMNS = ("county_fips", "county", "geoid_county_20")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipTable:
    """Every county each ZIP code touches."""

    counties: Mapping[str, frozenset[str]]
    sha384: str  # of the file


def read(file: Path, *, gazetteer: Gazetteer) -> ZipTable:
    """Read a table with a header and a ZIP and a county column, split by comma, tab, `;` or `|`.

    Retired counties count as those that replaced them. Raises InvalidError with line and remedy.
    """
    if file.stat().st_size > FILE_BYTES_MAX:
        raise InvalidError(
            f"{file.name} is over {FILE_BYTES_MAX} bytes. Keep only the columns for ZIP and county."
        )
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidError(f"{file.name} is not UTF-8 text. Save it as UTF-8 CSV.") from error
    found: dict[str, set[str]] = {}
    for zip_code, counties in _rows(text, name=file.name, gazetteer=gazetteer):
        found.setdefault(zip_code, set()).update(counties)
    return ZipTable(
        counties=MappingProxyType({code: frozenset(counties) for code, counties in found.items()}),
        sha384=hashlib.sha384(content).hexdigest(),
    )


def _rows(text: str, *, name: str, gazetteer: Gazetteer) -> Iterator[tuple[str, Iterable[str]]]:
    header = text.split("\n", 1)[0]
    delimiter = max(",\t;|", key=header.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = [column.strip().lower() for column in next(lines, [])]
    zip_at = _column(columns, _ZIP_COLUMNS, name=name)
    county_at = _column(columns, _COUNTY_COLUMNS, name=name)
    for cells in lines:
        if not cells:
            continue
        where = f"{name}, line {lines.line_num}"
        if len(cells) <= max(zip_at, county_at):
            raise InvalidError(
                f"{where}: a column is missing. Each line needs a ZIP code and a county."
            )
        zip_code, county = cells[zip_at].strip(), cells[county_at].strip()
        # The Census file lists the parts of counties without any ZIP area too.
        if zip_code:
            if not re.fullmatch(r"[0-9]{5}", zip_code):
                raise InvalidError(f"{where}: a ZIP code has five digits. Keep its leading zeros.")
            yield zip_code, _present(county, where=where, gazetteer=gazetteer)


def _column(columns: list[str], wanted: tuple[str, ...], *, name: str) -> int:
    for column in wanted:
        if column in columns:
            return columns.index(column)
    raise InvalidError(f"{name} has no column {' or '.join(wanted)}. Name it in the first line.")


def _present(county: str, *, where: str, gazetteer: Gazetteer) -> Iterable[str]:
    if gazetteer.county(county) is not None:
        return (county,)
    retired = gazetteer.retired_county(county)
    if retired is None:
        raise InvalidError(f"{where}: that county does not exist. Use five-digit FIPS codes.")
    return retired.counties
