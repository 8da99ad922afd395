"""Times and whole numbers as people type them, and as nobody should."""

import datetime as dt

import pytest

from noticebus.console.reading import DIGITS_MAX, read_count, read_instant, read_local, read_whole

CHICAGO = "America/Chicago"


def test_local_time_is_read_in_its_zone_and_one_with_an_offset_as_it_says() -> None:
    assert read_local("2019-08-07T07:55", zone=CHICAGO) == dt.datetime(
        2019, 8, 7, 12, 55, tzinfo=dt.UTC
    )
    assert read_local("2019-08-07T07:55Z", zone=CHICAGO).hour == 7
    assert read_local("2019-08-07T07:55-06:00", zone=CHICAGO).utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2019-02-30T10:00",
        "9999-12-31T23:59",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00+14:00",
        "0001-01-01T00:00",
        "1999-12-31T00:00Z",
        "2100-01-02T00:00Z",
    ],
)
def test_time_that_nothing_can_compute_with_is_none(text: str) -> None:
    for zone in (CHICAGO, "Pacific/Kiritimati"):
        with pytest.raises(ValueError, match=r"."):
            read_local(text, zone=zone)
    with pytest.raises(ValueError, match=r"."):
        read_instant(text)


def test_instant_needs_its_zone() -> None:
    assert read_instant("2019-08-07T07:55-05:00").hour == 12
    with pytest.raises(ValueError, match="without its zone"):
        read_instant("2019-08-07T07:55")


@pytest.mark.parametrize("text", ["", "-1", "1.0", "ten", "1e3", "¹", "٣", " 1", "9" * 5000])
def test_what_is_no_whole_number_is_none(text: str) -> None:
    assert read_whole(text) is None
    assert read_count(text) == -1


def test_whole_number_is_read_up_to_its_digits() -> None:
    assert (read_whole("0"), read_whole("007")) == (0, 7)
    assert read_whole("9" * DIGITS_MAX) == 10**DIGITS_MAX - 1
    assert read_whole("9" * (DIGITS_MAX + 1)) is None
