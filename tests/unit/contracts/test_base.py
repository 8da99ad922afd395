import datetime as dt
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from noticebus.contracts.base import (
    _LINE_CONTROLS,
    _TEXT_CONTROLS,
    AgencyIdText,
    CountyFips,
    Email,
    Instant,
    Language,
    Latitude,
    Line,
    Name,
    Note,
    Phone,
    Prose,
    Url,
    Version,
    Zone,
    read_instant,
    write_instant,
)
from noticebus.ids import new_agency_id, new_notice_id

ZONES = st.timezones() | st.builds(
    dt.timezone, st.timedeltas(min_value=dt.timedelta(hours=-14), max_value=dt.timedelta(hours=14))
)
INSTANTS = st.datetimes(
    min_value=dt.datetime(2001, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=dt.datetime(2098, 12, 31),  # noqa: DTZ001
    timezones=ZONES,
    allow_imaginary=False,
)


KINDS: dict[str, Any] = {
    "AgencyIdText": AgencyIdText,
    "CountyFips": CountyFips,
    "Email": Email,
    "Instant": Instant,
    "Language": Language,
    "Latitude": Latitude,
    "Line": Line,
    "Name": Name,
    "Note": Note,
    "Phone": Phone,
    "Prose": Prose,
    "Url": Url,
    "Version": Version,
    "Zone": Zone,
}


def _accepts(kind: str, value: object) -> bool:
    try:
        TypeAdapter(KINDS[kind]).validate_python(value)
    except ValidationError:
        return False
    return True


@given(INSTANTS)
def test_instant_written_and_read_is_the_same_moment(instant: dt.datetime) -> None:
    written = write_instant(instant)

    assert written.endswith("Z")
    assert read_instant(written) == instant.astimezone(dt.UTC)  # a doubled hour equals nothing else
    assert read_instant(written).tzinfo is dt.UTC
    assert write_instant(read_instant(written)) == written


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none() | st.binary())
def test_whatever_is_no_instant_is_refused_and_never_fails_otherwise(value: object) -> None:
    with pytest.raises(PydanticCustomError):
        read_instant(value)


@given(
    st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}\Z")
)
def test_any_text_shaped_like_an_instant_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        read = read_instant(text)
    except PydanticCustomError as error:
        outcome = error.message()
    else:
        outcome = f"give a time {write_instant(read)}"

    assert outcome.startswith("give a ")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2019-08-07T12:55:00", "add the zone"),
        ("2019-08-07", "by RFC 3339"),
        ("yesterday", "by RFC 3339"),
        ("2019-08-07 12:55:00Z", "by RFC 3339"),
        ("2019-08-07T12:55:00+0500", "by RFC 3339"),
        ("٢٠١٩-08-07T12:55:00Z", "by RFC 3339"),
        ("2019-02-30T12:55:00Z", "exist in the calendar"),
        ("2019-08-07T12:55:60Z", "exist in the calendar"),
        ("2019-08-07T12:55:00+24:00", "exist in the calendar"),
        ("1999-12-31T23:59:59Z", "a year from 2000"),
        ("2099-12-31T23:59:59-01:00", "a year from 2000"),
        ("9999-12-31T23:59:59-01:00", "a year from 2000"),
        ("0001-01-01T00:00:00+01:00", "a year from 2000"),
    ],
)
def test_instant_refused_says_what_to_write(text: str, sentence: str) -> None:
    with pytest.raises(PydanticCustomError, match=sentence):
        read_instant(text)


def test_instant_keeps_microseconds_and_no_more() -> None:
    assert write_instant(read_instant("2019-08-07t07:55:00.123456789-05:00")) == (
        "2019-08-07T12:55:00.123456Z"
    )
    assert write_instant(read_instant("2019-08-07T12:55:00.5z")) == "2019-08-07T12:55:00.500000Z"


def test_naive_datetime_is_refused_and_aware_one_taken() -> None:
    naive = dt.datetime(2019, 8, 7, 12, 55)  # noqa: DTZ001 - that is the point
    assert not _accepts("Instant", naive)
    assert _accepts("Instant", naive.replace(tzinfo=dt.UTC))


@pytest.mark.parametrize("kind", ["Name", "Line", "Note", "Prose"])
@pytest.mark.parametrize(
    "bad", ["a\x00b", "a\x1bb", "a\x7fb", "a\u202eb", "a\ud800b", "", "  ", 5, None]
)
def test_text_with_what_a_database_or_a_reader_cannot_take_is_refused(
    kind: str, bad: object
) -> None:
    assert not _accepts(kind, bad)


def test_only_longer_texts_may_have_line_breaks() -> None:
    assert not _accepts("Line", "one\ntwo")
    assert not _accepts("Name", "one\u2028two")
    assert _accepts("Note", "one\r\n\ttwo")


@given(st.text(max_size=140))
def test_text_accepted_can_be_stored_and_is_stable(text: str) -> None:
    if _accepts("Name", text):
        read = TypeAdapter(Name).validate_python(text)
        assert "\x00" not in read
        assert read.encode("utf-8")
        assert len(read) <= 120
        assert TypeAdapter(Name).validate_python(read) == read


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("Phone", "+16015550100", "601-555-0100"),
        ("Email", "desk@county.example", "desk@county"),
        ("Email", "a.b+c@x-y.example", "a b@x.example"),
        ("CountyFips", "01001", "1001"),
        ("CountyFips", "28123", "28123\n"),
        ("Language", "es-MX", "Spanish!"),
        ("Zone", "America/Chicago", "Central Time"),
        ("Zone", "UTC", "../../etc/passwd"),
        ("Url", "https://alerts.county.example:8443/x?y=1", "ftp://county.example/"),
        ("Url", "http://127.0.0.1:9/", "https://user:secret@county.example/"),
        ("Url", "https://[2001:db8::1]/", "https://[2001:db8::1/"),
        ("Url", "https://county.example", "https://county.example:99999/"),
        ("Url", "https://county.example", "https://county.example:0/"),
        ("Url", "https://county.example", "https:///nowhere"),
        ("Url", "https://county.example", "https://county.example/#part"),
        ("Url", "https://county.example", "https://bad.example\\@county.example/"),
        ("Url", "https://county.example", "https://county.example/" + "x" * 2048),
        ("Latitude", 32, 90.5),
        ("Latitude", -90.0, float("nan")),
        ("Latitude", 0, True),
        ("Latitude", 0, 10**400),
        ("Version", 1, 0),
        ("Version", 2**31 - 1, 2**31),
        ("Version", 3, "3"),
        ("Version", 3, True),
        ("Version", 3, 10**400),
    ],
)
def test_shape_takes_the_right_and_refuses_the_wrong(kind: str, good: object, bad: object) -> None:
    assert _accepts(kind, good)
    assert not _accepts(kind, bad)


def test_id_of_another_aggregate_is_refused() -> None:
    assert _accepts("AgencyIdText", new_agency_id())
    assert not _accepts("AgencyIdText", new_notice_id())


def test_no_character_that_is_refused_counts_as_printable() -> None:
    """The check of a text asks first whether it is printable, and looks no further if so."""
    refused = re.compile(f"[{_LINE_CONTROLS}{_TEXT_CONTROLS}]")
    found = [chr(one) for one in range(sys.maxunicode + 1) if refused.match(chr(one))]

    assert len(found) > 60
    assert not any(map(str.isprintable, found))
