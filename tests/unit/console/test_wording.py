import datetime as dt
from typing import Any

import pytest

from noticebus.console.texts import Language
from noticebus.console.wording import children_line, choose_language, local_time, number

EN, ES = Language.EN, Language.ES


@pytest.mark.parametrize(
    ("asked", "accepted", "chosen"),
    [
        (None, "", EN),
        ("es", "en", ES),
        ("en", "es", EN),
        ("fr", "es-US", ES),
        (None, "es", ES),
        (None, "en-US,en;q=0.9,es;q=0.8", EN),
        (None, "fr, es;q=0.2, en;q=0.1", ES),
        (None, "de", EN),
        (None, "es;q=broken, en;q=0.1", EN),
        (None, "," * 10_000, EN),
    ],
)
def test_language_is_the_one_asked_for_or_the_browsers(
    asked: str | None, accepted: str, chosen: Language
) -> None:
    assert choose_language(asked, accepted=accepted) is chosen


@pytest.mark.parametrize(
    ("instant", "zone", "language", "written"),
    [
        ("2019-08-07T14:20:00Z", "America/Chicago", EN, "Wed Aug 7, 9:20 AM CDT"),
        ("2019-08-07T17:05:00Z", "America/Chicago", EN, "Wed Aug 7, 12:05 PM CDT"),
        ("2019-12-08T05:05:00Z", "America/New_York", EN, "Sun Dec 8, 12:05 AM EST"),
        ("2019-08-07T23:05:00Z", "America/Denver", ES, "mié 7 ago, 17:05 MDT"),
    ],
)
def test_time_is_the_recipients_with_its_zone(
    instant: str, zone: str, language: Language, written: str
) -> None:
    moment = dt.datetime.fromisoformat(instant)

    assert local_time(moment, zone=zone, language=language) == written


@pytest.mark.parametrize(
    ("children", "said"),
    [
        ({"status": "unknown"}, "number not known"),
        ({"status": "estimate", "low": 3, "high": 9}, "estimated: from 3 to 9"),
        ({"status": "estimate", "low": 5, "high": 5}, "estimated: 5"),
        ({"status": "estimate", "low": 0, "high": 9}, "estimated: up to 9"),
        ({"status": "estimate", "low": "none reported", "high": "11-25"}, "estimated: up to 11-25"),
        ({"status": "count", "value": 31}, "31 counted"),
    ],
)
def test_children_are_a_word_first_and_a_number_only_where_known(
    children: dict[str, Any], said: str
) -> None:
    assert children_line(children, language=EN) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "se desconoce"), ("more than 1000", "más de 1000"), (0, "0"), ("51-100", "51-100")],
)
def test_count_that_is_not_known_says_so(value: int | str | None, said: str) -> None:
    assert number(value, language=ES) == said
