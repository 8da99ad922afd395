"""Figures by kind, class and hour: the silent in every denominator, exercises apart."""

import datetime as dt

from harness.api import furnish_county
from harness.console import Console
from harness.desk import add_agency, notice_body
from noticebus.casework.desk import Desk
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import AgencyKind, Scope, UserRole
from noticebus.ledger.sequencer import Sequencer

PATH = "/reports/figures"


def advance(desk: Desk, *, hours: int) -> None:
    assert isinstance(desk.world, ManualClock)
    desk.world.advance(dt.timedelta(hours=hours))


async def test_figures_say_where_there_are_none_and_too_few(console: Console) -> None:
    watcher = await console.sign_in(UserRole.AUDITOR)
    empty = await watcher.get(PATH)
    assert "Nothing fell due in the last 30 days." in empty.text
    county = await furnish_county(console.api)
    administrator = await console.api.caller(Scope.ADMIN)
    await administrator.post(
        f"/v1/agencies/{county.agencies['cps'].id}/responsibilities",
        {"role": "cps", "areas": [{"county_fips": ["28123"]}]},
    )
    await county.poster.post_notice(notice_body(console.desk))
    await Sequencer(console.desk).sweep()
    report = await watcher.get("/reports/unacknowledged")
    assert f"{PATH}?status=actual" in report.text
    advance(console.desk, hours=6)
    few = await watcher.get(PATH)
    assert "By class of notice" in few.text
    assert "B: it has happened" in few.text
    assert "too few" in few.text
    assert "%)" not in few.text
    places = await watcher.get(f"{PATH}?by=places")
    assert "Mississippi" in places.text
    counties = await watcher.get(f"{PATH}?by=places&state=28&days=7")
    assert "By county of Mississippi" in counties.text
    assert "area=county%3A28123" in counties.text
    endings = await watcher.get(f"{PATH}?by=endings")
    assert "no closing answer" in endings.text
    latency = await watcher.get(f"{PATH}?by=latency")
    assert "Theirs: from that delivery to the closing answer" in latency.text
    assert "None of whom so many fell due" in (await watcher.get(f"{PATH}?by=recipients")).text
    await watcher.get(f"{PATH}?by=places&state=99", status=422)
    drill = await watcher.get(f"{PATH}?status=exercise")
    assert "DRILL" in drill.text


async def test_figures_are_for_those_who_see_every_agency(console: Console) -> None:
    school = await add_agency(console.desk, "Pine Schools", kind=AgencyKind.SCHOOL_DISTRICT)
    browser = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=school)
    await browser.get(PATH, status=403)
    watcher = await console.sign_in(UserRole.OPERATOR)
    refused = await watcher.get(f"{PATH}?status=maybe", status=422)
    assert "Choose one of: actual" in refused.text
