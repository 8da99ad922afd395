import base64
import datetime as dt

import pytest

from noticebus.casework.report_cursor import read_cursor, write_cursor
from noticebus.casework.report_places import name_of, places_of
from noticebus.casework.report_views import call_now
from noticebus.contracts.vocabulary import Notify, Position
from noticebus.domain.figures import Tier
from noticebus.errors import BadRequestError
from noticebus.ids import new_agency_id, new_contact_id, new_obligation_id
from noticebus.refdata import counties
from noticebus.store.agencies import Contact
from noticebus.store.obligations import StepRow
from noticebus.store.reports import NEVER, Place

NOW = dt.datetime(2019, 8, 7, 13, 0, 0, 1, tzinfo=dt.UTC)
PLACES = counties.load()
SCOTT, LEAKE, STATE, NATION = "county:28123", "county:28079", "state:28", "nation:us"
OBLIGATION = "obl_01m86t467yer7ty3ayp8scbbg0"  # always the same: workers compare tests' names
NOTICE = [SCOTT, LEAKE, "lea:2803060", "tribe:choctaw", STATE, NATION]


def keys(*answered_for: str, notice: list[str] = NOTICE) -> list[str]:
    return [place.key for place in places_of(notice, answered_for, PLACES)]


def test_places_are_those_of_the_notice_that_the_recipient_answers_for() -> None:
    assert keys(SCOTT, "county:28001") == [SCOTT]
    assert keys("lea:2803060") == ["lea:2803060"]
    assert keys("tribe:choctaw", SCOTT) == [SCOTT, "tribe:choctaw"]


def test_agency_of_a_state_or_the_nation_answers_for_every_county() -> None:
    assert keys(STATE) == keys(NATION) == [LEAKE, SCOTT]


def test_recipient_that_answers_for_nothing_there_is_shown_all_counties() -> None:
    assert keys() == [LEAKE, SCOTT]


def test_every_county_of_a_state_is_shown_as_the_state() -> None:
    every = [f"county:{fips}" for fips in PLACES.counties_of_state("28")]

    found = places_of([*every, "county:01001", STATE, NATION], (NATION,), PLACES)

    assert [(place.key, place.name) for place in found] == [
        ("county:01001", "Autauga County, AL"),
        ("state:28", "Mississippi"),
    ]


def test_place_without_a_name_in_the_reference_data_has_none() -> None:
    assert name_of(PLACES, "lea:2803060") is None
    assert name_of(PLACES, "county:99999") is None
    assert name_of(PLACES, "state:99") is None


def contact(position: Position, phone: str | None, name: str = "Dana") -> Contact:
    return Contact(
        id=new_contact_id(),
        agency_id=new_agency_id(),
        name=name,
        role="duty officer",
        position=position,
        email=None,
        phone=phone,
        email_verified_at=None,
        phone_verified_at=None,
        ended_at=None,
        revision=1,
        created_at=NOW,
    )


def step(number: int, reached: list[Contact], *, skipped: bool = False) -> StepRow:
    return StepRow(
        obligation_id=new_obligation_id(),
        epoch=1,
        step=number,
        notify=Notify.SECOND,
        skipped=skipped,
        contact_ids=[one.id for one in reached],
        planned_at=NOW,
        fired_at=NOW,
    )


def test_whom_the_last_fired_step_reached_is_rung_first() -> None:
    desk, second = (
        contact(Position.ON_DUTY, "+16015550101"),
        contact(Position.SECOND, "+16015550102"),
    )
    steps = [step(0, [desk]), step(1, [], skipped=True), step(2, [second])]

    before, after = call_now([desk, second], reached=[]), call_now([desk, second], reached=steps)

    assert before is not None
    assert before.phone == desk.phone
    assert after is not None
    assert after.phone == second.phone


def test_somebody_with_a_telephone_is_rung_before_somebody_without() -> None:
    desk, head = contact(Position.ON_DUTY, None), contact(Position.HEAD, "+16015550103", "Hal")

    chosen = call_now([desk, head], reached=[step(0, [desk])])

    assert chosen is not None
    assert chosen.name == "Hal"


def test_without_any_telephone_the_person_is_named_all_the_same() -> None:
    chosen = call_now([contact(Position.ON_DUTY, None)], reached=[])

    assert chosen is not None
    assert (chosen.name, chosen.phone) == ("Dana", None)
    assert call_now([], reached=[]) is None


@pytest.mark.parametrize("due_at", [NOW, NEVER])
def test_cursor_is_read_back_as_it_was_written(due_at: dt.datetime) -> None:
    place = Place(tier=Tier.OVERDUE, minus_step=-3, due_at=due_at, id=new_obligation_id())

    cursor = read_cursor(write_cursor(place, ranked_at=NOW))

    assert cursor.place == place
    assert cursor.ranked_at == NOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.0.1.obl_x.1",
        f"9.0.1.{OBLIGATION}.1",
        f"1.0.{10**18 - 1}.{OBLIGATION}.1",  # beyond the year 9999
    ],
)
def test_forged_cursor_is_refused(text: str) -> None:
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    with pytest.raises(BadRequestError):
        read_cursor(cursor)
