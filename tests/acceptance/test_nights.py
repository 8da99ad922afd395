"""Timelines of hard nights: a clock that jumps, a bus that was away, agencies that all decline."""

import datetime as dt

import pytest

from harness.place import Place
from harness.system import hours, minutes, open_bus
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    DeclineReason,
    Notify,
    ObligationState,
    Position,
)
from noticebus.wiring import Role

# On one database: the clock's rules are the same on both, and test_escalation runs on each.
pytestmark = pytest.mark.parametrize("place", ["postgresql"], indirect=True)

EVERY_LEVEL = (Position.ON_DUTY, Position.SECOND, Position.HEAD)
CENTRAL_SUMMER = dt.timezone(dt.timedelta(hours=-5), "CDT")
CENTRAL_WINTER = dt.timezone(dt.timedelta(hours=-6), "CST")


def at(zone: dt.timezone, month: int, day: int, hour: int, minute: int) -> dt.datetime:
    """Give a local moment of 2019 as an instant."""
    return dt.datetime(2019, month, day, hour, minute, tzinfo=zone)


async def test_the_night_the_clock_goes_back_the_state_desk_is_called_by_minutes_that_pass(
    place: Place,
) -> None:
    """A class A notice comes at 01:50 CDT; ten minutes later the clock shows 01:00 again."""
    posted_at = at(CENTRAL_SUMMER, 11, 3, 1, 50)
    async with open_bus(place, world=ManualClock(posted_at)) as bus:
        desk = await bus.agency("State CPS", contacts_at=EVERY_LEVEL)
        operators = await bus.operators()
        notice = await bus.post_notice(**{"class": "A"})
        await desk.receives("notice", notice)
        (first,) = await desk.mailed(Position.ON_DUTY)

        await bus.fast_forward(minutes(10))
        await desk.receives("step", notice)
        await desk.mailed(Position.ON_DUTY)
        await bus.fast_forward(minutes(10))
        await desk.mailed(Position.SECOND)
        await bus.fast_forward(minutes(20))
        await desk.mailed(Position.HEAD)
        await bus.fast_forward(minutes(20))
        await bus.expect_mail(operators)

        fired = [one.fired_at for one in await desk.steps(notice)]
        assert fired == [
            at(CENTRAL_WINTER, 11, 3, 1, 0),
            at(CENTRAL_WINTER, 11, 3, 1, 10),
            at(CENTRAL_WINTER, 11, 3, 1, 30),
            at(CENTRAL_WINTER, 11, 3, 1, 50),
        ]
        assert "answer by Sun 3 Nov 2019 01:00 CST (07:00Z)" in first.message["Subject"]


async def test_the_night_the_clock_goes_forward_skips_an_hour_and_no_step(place: Place) -> None:
    """A class A notice comes at 01:55 CST; five minutes later the clock shows 03:00."""
    posted_at = at(CENTRAL_WINTER, 3, 10, 1, 55)
    async with open_bus(place, world=ManualClock(posted_at)) as bus:
        desk = await bus.agency("State CPS", contacts_at=EVERY_LEVEL)
        notice = await bus.post_notice(**{"class": "A"})
        await desk.receives("notice", notice)
        await desk.mailed(Position.ON_DUTY)

        await bus.fast_forward(minutes(10))
        await desk.receives("step", notice)
        await desk.mailed(Position.ON_DUTY)
        await desk.answers(notice)
        await bus.fast_forward(hours(24))

        (step,) = await desk.steps(notice)
        assert step.fired_at == at(CENTRAL_SUMMER, 3, 10, 3, 5)


@pytest.mark.parametrize(
    ("posted_at", "opens"),
    [
        (at(CENTRAL_SUMMER, 11, 2, 23, 0), at(CENTRAL_WINTER, 11, 4, 6, 30)),
        (at(CENTRAL_WINTER, 3, 9, 23, 0), at(CENTRAL_SUMMER, 3, 11, 6, 30)),
    ],
    ids=["clock-goes-back", "clock-goes-forward"],
)
async def test_a_school_is_held_over_the_weekend_to_half_past_six_by_its_own_clock(
    place: Place, posted_at: dt.datetime, opens: dt.datetime
) -> None:
    async with open_bus(place, world=ManualClock(posted_at)) as bus:
        district = await bus.agency(
            "Scott District", kind=AgencyKind.SCHOOL_DISTRICT, contacts_at=EVERY_LEVEL
        )
        notice = await bus.post_notice()
        await district.receives("notice", notice)  # told at once; only the clock is held

        held = await district.obligation(notice)
        await bus.fast_forward(opens - posted_at)
        assert await district.steps(notice) == []
        await bus.fast_forward(minutes(30))
        await district.receives("step", notice)
        await district.mailed(Position.ON_DUTY)

        assert held.held_until == opens
        assert held.due_at == opens + minutes(30)


async def test_after_two_hours_away_the_bus_says_once_what_applies_now(place: Place) -> None:
    """The engine is away from minute 5 to minute 125 of a class A round of the state's desk."""
    async with open_bus(place, roles=(Role.GATEWAY, Role.DISPATCHER)) as bus:
        desk = await bus.agency("State CPS", contacts_at=EVERY_LEVEL)
        operators = await bus.operators()
        notice = await bus.post_notice(**{"class": "A"})
        await desk.receives("notice", notice)
        await desk.mailed(Position.ON_DUTY)

        await bus.carried()

        bus.world.advance(minutes(125))
        assert await bus.system.engine.sweep() == 1
        await bus.expect_mail(operators)
        await bus.carried()
        bus.world.advance(hours(48))
        assert await bus.system.engine.sweep() == 0
        await bus.system.sequencer.sweep()  # nobody else gives entries their index here

        steps = await desk.steps(notice)
        assert [(one.notify, one.skipped) for one in steps] == [
            (Notify.ON_DUTY, True),
            (Notify.SECOND, True),
            (Notify.HEAD, True),
            (Notify.OPERATORS, False),
        ]
        assert [one.planned_at - bus.world.now() + hours(48) for one in steps] == [
            minutes(10 - 125),
            minutes(20 - 125),
            minutes(40 - 125),
            minutes(60 - 125),
        ]


async def test_declines_pass_the_place_on_until_the_operators_hold_it(place: Place) -> None:
    """County, then region, then state say it is not theirs; each decline finds the next."""
    async with open_bus(place) as bus:
        operators = await bus.operators(hold_gaps=True)
        district = await bus.agency("Scott District", kind=AgencyKind.SCHOOL_DISTRICT)
        county = await bus.agency("Scott County CPS")
        notice = await bus.post_notice()
        await district.receives("notice", notice)
        await county.receives("notice", notice)

        region = await bus.agency("Regional CPS", area_key="state:28")
        await county.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_JURISDICTION)
        await region.receives("notice", notice)
        nation = await bus.agency("National desk", area_key="nation:us")
        await region.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_JURISDICTION)
        await nation.receives("notice", notice)
        assert await bus.uncovered(notice) == []
        await nation.answers(notice, Answer.DECLINED, reason=DeclineReason.NO_JURISDICTION)
        await bus.expect_mail(operators)

        assert await bus.uncovered(notice) == [{"county_fips": "28123", "missing": "cps"}]
        assert await bus.unacknowledged() == [
            (notice.incident_id, "Bus operators"),
            (notice.incident_id, "Scott District"),
        ]
        for declined in (county, region, nation):
            assert (await declined.obligation(notice)).state is ObligationState.DECLINED


async def test_a_promise_made_after_the_last_step_is_called_in_when_it_ends(place: Place) -> None:
    """Nobody answers until the operators ring; then more time is asked for, and runs out."""
    async with open_bus(place) as bus:
        desk = await bus.agency("State CPS", endpoint=False)
        operators = await bus.operators()
        notice = await bus.post_notice(**{"class": "A"})
        await bus.fast_forward(minutes(60))
        await bus.expect_mail(operators)

        await desk.answers(notice, Answer.NEED_MORE_TIME, eta=bus.world.now() + hours(1))
        await bus.fast_forward(minutes(59))
        quiet = len(await desk.steps(notice))
        await bus.fast_forward(minutes(1))
        await bus.expect_mail(operators)
        await bus.fast_forward(hours(24))

        assert len(await desk.steps(notice)) == quiet + 1
        assert (await desk.steps(notice))[-1].notify == Notify.OPERATORS
