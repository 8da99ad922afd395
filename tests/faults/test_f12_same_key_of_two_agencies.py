"""F12: an event's id is claimed without its tenant, so the second tenant's event is not sent.

Better: a key is its client's own; two agencies that use the same one post two notices.
"""

from harness import by_hand
from harness import desk as furnish
from harness.api import open_api
from harness.system import Bus
from noticebus.contracts.vocabulary import AgencyKind, Scope

KEY = "2019-08-07/1"


async def test_f12_the_same_key_of_two_agencies_makes_two_notices_and_both_are_sent(
    still_bus: Bus,
) -> None:
    bus = still_bus
    county = await bus.agency("Scott County CPS")
    body = furnish.notice_body(bus.desk)
    async with open_api(bus.desk) as api:
        answers = []
        for name in ("Field office", "Marshals"):
            agency = await furnish.add_agency(bus.desk, name, kind=AgencyKind.FEDERAL)
            poster = await api.caller(Scope.POST, agency=agency)
            answers.append(await poster.post("/v1/notices", body, key=KEY))

    await by_hand.sweep_unclaimed(bus)

    arrived = county.received()
    assert len({one["id"] for one in answers}) == 2
    assert {one["subject"] for one in arrived} == {one["id"] for one in answers}
    assert len({one["id"] for one in arrived}) == 2
