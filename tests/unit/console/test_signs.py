"""How the banner writes the time, and how numbers are read out."""

import datetime as dt

import pytest

from noticebus.casework.signs_of_life import STALE_AFTER, Life, Part, Sign, Signs
from noticebus.console.headline import Headline, Word, as_known
from noticebus.console.signs import clock, icon, moment
from noticebus.domain.phone_numbers import telephone

AT = dt.datetime(2026, 11, 24, 20, 2, 31, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


def signs(
    *,
    dispatcher: dt.timedelta | None = SECOND,
    zone: str | None = None,
    waits: dt.timedelta | None = None,
    bus_faults: tuple[str, ...] = (),
) -> Signs:
    ages = {Part.DISPATCHER: dispatcher, Part.ENGINE: SECOND, Part.SEQUENCER: SECOND}
    return Signs(
        at=AT,
        zone=zone,
        parts=tuple(Sign(part=part, age=age) for part, age in ages.items()),
        waits=waits,
        bus_faults=bus_faults,
    )


def test_clock_is_written_in_the_zone_of_whoever_looks_and_in_utc() -> None:
    assert clock(signs(zone="America/Chicago")) == "14:02:31 CST (20:02:31Z)"
    assert clock(signs()) == "20:02:31Z"


def test_moment_has_its_day_its_zone_and_utc() -> None:
    assert moment(AT, "America/Chicago") == "Tue 24 Nov 2026, 14:02 CST (20:02Z)"
    assert moment(AT, None) == "Tue 24 Nov 2026, 20:02Z"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("+16015550142", "(601) 555-0142"),
        ("+525555550142", "+525555550142"),
        ("+1601555014", "+1601555014"),
        ("", ""),
    ],
)
def test_telephone_of_this_country_is_written_as_people_read_it_out(number: str, said: str) -> None:
    assert telephone(number) == said


def test_icon_carries_a_count_up_to_99() -> None:
    assert [icon(one) for one in (None, 0, 7, 250, "unknown")] == [
        "/icon/quiet.svg",
        "/icon/0.svg",
        "/icon/7.svg",
        "/icon/100.svg",
        "/icon/unknown.svg",
    ]


def test_life_is_never_better_than_what_is_known() -> None:
    assert signs().life is Life.ALIVE
    assert signs(dispatcher=STALE_AFTER).life is Life.ALIVE
    assert signs(dispatcher=STALE_AFTER + SECOND).life is Life.UNKNOWN
    assert signs(dispatcher=None).life is Life.UNKNOWN
    assert signs(waits=dt.timedelta(minutes=6)).life is Life.CHECK
    assert signs(bus_faults=("Kafka is away.",)).life is Life.CHECK
    assert signs(dispatcher=None, bus_faults=("Kafka is away.",)).life is Life.UNKNOWN


@pytest.mark.parametrize("word", [Word.CHECK, Word.CLEAR])
def test_unknown_beats_all_that_sounds_well_and_leaves_action_as_it_is(word: Word) -> None:
    well = Headline(word=word, sentence="nothing is overdue.")
    dead = as_known(well, signs(dispatcher=None))
    assert dead.word is Word.UNKNOWN
    assert str(dead) == "UNKNOWN: nobody is sending. As last known, nothing is overdue."
    assert as_known(well, signs()) == well

    action = Headline(word=Word.ACTION, sentence="1 recipient has not answered.")
    assert as_known(action, signs(dispatcher=None)) == action
