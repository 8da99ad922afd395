"""Timelines of standing in: county dispatch answers for the district at night."""

import datetime as dt
from collections.abc import AsyncIterator

import pytest

from harness import desk as furnish
from harness.member import Member, Posted
from harness.place import Place
from harness.system import Bus, minutes, open_bus
from noticebus.casework import speaking
from noticebus.casework.answer import Answered, GivenAnswer
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    DelegationHours,
    ObligationState,
    Position,
    Scope,
    VerifiedBy,
)
from noticebus.errors import ConflictError, InvalidError, NotFoundError
from noticebus.ids import new_delegation_id
from noticebus.store import delegations
from noticebus.store.delegations import Delegation

NIGHT = dt.datetime(2019, 8, 7, 4, 0, tzinfo=dt.UTC)  # Tuesday, 11 in the evening in Mississippi
MORNING = dt.datetime(2019, 8, 7, 13, 0, tzinfo=dt.UTC)  # Wednesday, 8 in the morning


@pytest.fixture
async def bus(place: Place) -> AsyncIterator[Bus]:
    async with open_bus(place, world=ManualClock(NIGHT)) as opened:
        yield opened


async def delegate(bus: Bus, agency: Member, to: Member) -> None:
    """Let one agency stand in for another while that one is closed."""
    new = Delegation(
        id=new_delegation_id(),
        agency_id=agency.row.id,
        delegate_id=to.row.id,
        hours=DelegationHours.OUT_OF_HOURS,
        created_at=bus.world.now(),
        ended_at=None,
    )
    async with bus.desk.database.begin() as conn:
        await delegations.insert_delegation(conn, new)


async def district_and_dispatch(bus: Bus) -> tuple[Member, Member]:
    """Add a school district with people of its own, and the county's dispatch beside it."""
    district = await bus.agency(
        "Scott District",
        kind=AgencyKind.SCHOOL_DISTRICT,
        contacts_at=(Position.ON_DUTY, Position.HEAD),
        endpoint=False,
    )
    dispatch = await bus.agency(
        "Scott dispatch",
        kind=AgencyKind.LAW_ENFORCEMENT,
        contacts_at=(Position.ON_DUTY, Position.SECOND),
        area_key=None,
        endpoint=False,
    )
    await delegate(bus, district, dispatch)
    return district, dispatch


async def answer_for(bus: Bus, by: Member, owed_by: Member, notice: Posted) -> Answered:
    """Answer what one agency owes with the key of another."""
    owed = await owed_by.obligation(notice)
    return await speaking.answer_obligation(
        bus.desk,
        furnish.principal(Scope.ANSWER, agency=by.row),
        obligation_id=owed.id,
        given=GivenAnswer(answer=Answer.ACCEPTED, by_name="Dee Spatch", by_role="dispatcher"),
        how=None,
        on_behalf_of=None,
    )


async def test_at_night_dispatch_is_told_beside_the_district_and_answers_for_it(bus: Bus) -> None:
    district, dispatch = await district_and_dispatch(bus)
    notice = await bus.post_notice(**{"class": "A"})
    await district.mailed(Position.ON_DUTY)
    await dispatch.mailed(Position.ON_DUTY)

    await bus.fast_forward(minutes(5))
    answered = await dispatch.answers(notice)
    await bus.fast_forward(minutes(120))

    assert answered.obligation.agency_id == district.row.id
    assert answered.obligation.state is ObligationState.CLOSED
    assert answered.acknowledgement.on_behalf_of == "Scott District"
    assert answered.acknowledgement.by_agency_id == dispatch.row.id
    assert answered.acknowledgement.verified_by is VerifiedBy.API_KEY
    assert await district.steps(notice) == []


async def test_at_night_nothing_is_held_while_somebody_stands_in(bus: Bus) -> None:
    district, dispatch = await district_and_dispatch(bus)
    alone = await bus.agency("Leake District", kind=AgencyKind.SCHOOL_DISTRICT, endpoint=False)
    notice = await bus.post_notice()
    await district.mailed(Position.ON_DUTY)
    await dispatch.mailed(Position.ON_DUTY)

    await bus.fast_forward(minutes(30))
    await district.mailed(Position.ON_DUTY)
    await dispatch.mailed(Position.ON_DUTY)
    await dispatch.answers(notice)

    assert (await district.obligation(notice)).held_until is None
    assert (await alone.obligation(notice)).held_until is not None


async def test_a_server_that_nobody_watches_does_not_keep_the_notice_from_dispatch(
    bus: Bus,
) -> None:
    district, dispatch = await district_and_dispatch(bus)
    await bus.subscribe(district)
    notice = await bus.post_notice()

    await district.receives("notice", notice)
    await dispatch.mailed(Position.ON_DUTY)
    assert district.mails_to(Position.ON_DUTY) == []


async def test_in_school_hours_dispatch_is_left_alone_and_may_answer_all_the_same(bus: Bus) -> None:
    district, dispatch = await district_and_dispatch(bus)
    bus.world.move_to(MORNING)
    notice = await bus.post_notice()
    await district.mailed(Position.ON_DUTY)
    await bus.settled()

    answered = await answer_for(bus, dispatch, district, notice)

    assert dispatch.mails_to(Position.ON_DUTY) == []
    assert answered.obligation.state is ObligationState.CLOSED
    assert answered.acknowledgement.on_behalf_of == "Scott District"


async def test_the_mailed_link_of_dispatch_answers_for_the_district(bus: Bus) -> None:
    district, dispatch = await district_and_dispatch(bus)
    notice = await bus.post_notice(**{"class": "A"})
    await district.mailed(Position.ON_DUTY)
    (mail,) = await dispatch.mailed(Position.ON_DUTY)

    answered = await bus.answer_by_mail(mail, name="Dee Spatch", role="dispatcher")

    assert answered.obligation.id == (await district.obligation(notice)).id
    assert answered.acknowledgement.verified_by is VerifiedBy.LINK
    assert answered.acknowledgement.on_behalf_of == "Scott District"


async def test_a_stranger_may_not_answer_for_anybody(bus: Bus) -> None:
    district, dispatch = await district_and_dispatch(bus)
    stranger = await bus.agency(
        "Other dispatch", kind=AgencyKind.LAW_ENFORCEMENT, area_key=None, endpoint=False
    )
    notice = await bus.post_notice()
    await district.mailed(Position.ON_DUTY)
    await dispatch.mailed(Position.ON_DUTY)

    with pytest.raises(NotFoundError):
        await answer_for(bus, stranger, district, notice)
    with pytest.raises(NotFoundError):
        await stranger.answers(notice)


async def test_who_stands_in_for_two_says_for_which_it_answers(bus: Bus) -> None:
    district, dispatch = await district_and_dispatch(bus)
    other = await bus.agency("Leake District", kind=AgencyKind.SCHOOL_DISTRICT, endpoint=False)
    await delegate(bus, other, dispatch)
    notice = await bus.post_notice(**{"class": "A"})
    await district.mailed(Position.ON_DUTY)
    await dispatch.mailed(Position.ON_DUTY, times=2)

    with pytest.raises(ConflictError) as refused:
        await dispatch.answers(notice)
    await answer_for(bus, dispatch, other, notice)

    assert refused.value.code == "several-obligations"
    assert (await other.obligation(notice)).state is ObligationState.CLOSED
    assert (await district.obligation(notice)).state is ObligationState.OPEN


async def test_an_operator_says_how_it_was_told_and_for_whom(bus: Bus) -> None:
    district, _ = await district_and_dispatch(bus)
    bus.world.move_to(MORNING)
    notice = await bus.post_notice()
    await district.mailed(Position.ON_DUTY)

    with pytest.raises(InvalidError) as refused:
        await speaking.answer_obligation(
            bus.desk,
            furnish.principal(Scope.OPERATE),
            obligation_id=(await district.obligation(notice)).id,
            given=GivenAnswer(answer=Answer.ACCEPTED, by_name="Ann", by_role="clerk"),
            how=None,
            on_behalf_of=None,
        )

    assert [one.pointer for one in refused.value.details] == ["/how", "/on_behalf_of"]
