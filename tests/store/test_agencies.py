"""Agencies, contacts and responsibilities on both databases."""

import datetime as dt
from dataclasses import replace

import pytest
import sqlalchemy as sa

from noticebus.contracts.vocabulary import AgencyKind, Position, Role
from noticebus.ids import AgencyId, new_agency_id, new_contact_id, new_responsibility_id
from noticebus.store import agencies
from noticebus.store.agencies import Agency, Contact, Responsibility
from noticebus.store.database import Database
from noticebus.store.tables import responsibility_areas

NOW = dt.datetime(2019, 8, 7, 12, 55, 0, 123456, tzinfo=dt.UTC)


def an_agency(name: str = "Scott County CPS") -> Agency:
    return Agency(
        id=new_agency_id(),
        name=name,
        kind=AgencyKind.CPS,
        zone="America/Chicago",
        holidays_state="MS",
        revision=1,
        created_at=NOW,
    )


def a_contact(agency_id: AgencyId, *, email: str | None = "desk@cps.example") -> Contact:
    return Contact(
        id=new_contact_id(),
        agency_id=agency_id,
        name="Duty desk",
        role="intake",
        position=Position.ON_DUTY,
        email=email,
        phone=None,
        email_verified_at=NOW,
        phone_verified_at=None,
        ended_at=None,
        revision=1,
        created_at=NOW,
    )


def a_responsibility(agency_id: AgencyId, *area_keys: str) -> Responsibility:
    return Responsibility(
        id=new_responsibility_id(),
        agency_id=agency_id,
        role=Role.CPS,
        area_keys=list(area_keys),
        created_at=NOW,
        ended_at=None,
    )


async def test_agency_is_read_back_as_it_was_stored(database: Database) -> None:
    agency = an_agency()
    async with database.begin() as conn:
        await agencies.insert_agency(conn, agency)

    async with database.read() as conn:
        assert await agencies.find_agency(conn, agency_id=agency.id) == agency
        assert await agencies.find_agency(conn, agency_id="agy_unknown") is None


async def test_agencies_are_listed_page_by_page_without_gap_or_repeat(database: Database) -> None:
    stored = [an_agency(f"Agency {number}") for number in range(5)]
    async with database.begin() as conn:
        for agency in stored:
            await agencies.insert_agency(conn, agency)

    seen: list[str] = []
    async with database.read() as conn:
        while page := await agencies.list_agencies(
            conn, agency_id=None, after=seen[-1] if seen else "", limit=2
        ):
            seen += [agency.id for agency in page]
        only = await agencies.list_agencies(conn, agency_id=stored[3].id, after="", limit=9)

    assert seen == sorted(agency.id for agency in stored)
    assert only == [stored[3]]


async def test_second_edit_of_one_revision_changes_nothing(database: Database) -> None:
    agency = an_agency()
    first = replace(agency, name="First", revision=2)
    second = replace(agency, name="Second", revision=2)
    async with database.begin() as conn:
        await agencies.insert_agency(conn, agency)
        assert await agencies.update_agency(conn, first, revision=1)
        assert not await agencies.update_agency(conn, second, revision=1)

    async with database.read() as conn:
        assert await agencies.find_agency(conn, agency_id=agency.id) == first


async def test_ended_contact_is_found_but_not_listed(database: Database) -> None:
    agency = an_agency()
    living, ended = a_contact(agency.id), a_contact(agency.id)
    async with database.begin() as conn:
        await agencies.insert_agency(conn, agency)
        await agencies.insert_contact(conn, living)
        await agencies.insert_contact(conn, ended)
        await agencies.update_contact(conn, replace(ended, ended_at=NOW, revision=2), revision=1)

    async with database.read() as conn:
        assert await agencies.list_contacts(conn, agency_id=agency.id, after="", limit=9) == [
            living
        ]
        found = await agencies.find_contact(conn, contact_id=ended.id)
    assert found is not None
    assert found.ended_at == NOW


@pytest.mark.parametrize(("email", "expected"), [("desk@cps.example", True), (None, False)])
async def test_only_a_contact_with_a_channel_is_a_person_to_tell(
    database: Database, email: str | None, expected: bool
) -> None:
    agency = an_agency()
    async with database.begin() as conn:
        await agencies.insert_agency(conn, agency)
        await agencies.insert_contact(conn, a_contact(agency.id, email=email))

        assert await agencies.has_reachable_contact(conn, agency_id=agency.id) is expected


async def test_ended_responsibility_leaves_no_row_for_routing(database: Database) -> None:
    agency = an_agency()
    stays = a_responsibility(agency.id, "county:28123")
    ends = a_responsibility(agency.id, "county:28121", "county:28123")
    rows = sa.select(responsibility_areas.c.area_key, responsibility_areas.c.responsibility_id)
    async with database.begin() as conn:
        await agencies.insert_agency(conn, agency)
        await agencies.insert_responsibility(conn, stays)
        await agencies.insert_responsibility(conn, ends)
        assert len((await conn.execute(rows)).all()) == 3

        assert await agencies.end_responsibility(conn, responsibility_id=ends.id, ended_at=NOW)
        assert not await agencies.end_responsibility(conn, responsibility_id=ends.id, ended_at=NOW)

        assert (await conn.execute(rows)).all() == [("county:28123", stays.id)]
        assert await agencies.list_responsibilities(
            conn, agency_id=agency.id, after="", limit=9
        ) == [stays]
        found = await agencies.find_responsibility(conn, responsibility_id=ends.id)
    assert found == replace(ends, ended_at=NOW)
