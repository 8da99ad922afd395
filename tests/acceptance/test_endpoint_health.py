"""An endpoint that fails is warned about by mail, tripped, probed and recovers; nothing is lost."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.member import Member, Posted
from harness.place import Place
from harness.receivers import Behaviour
from harness.roles import until
from harness.system import Bus, minutes, open_bus
from noticebus.casework import outcomes, probes, waiting
from noticebus.casework.outcomes import Tried
from noticebus.casework.waiting import PutBack
from noticebus.clock import ManualClock, SystemClock
from noticebus.contracts.vocabulary import (
    Cause,
    DeliveryState,
    EndpointState,
    Fault,
    HeldReason,
    Outcome,
    Position,
    Scope,
)
from noticebus.domain.delivery import AttemptResult
from noticebus.domain.health import Health
from noticebus.errors import ConflictError, NotFoundError
from noticebus.store import endpoints as rows
from noticebus.store.deliveries import Delivery
from noticebus.store.tables import deliveries, entries

SECOND = dt.timedelta(seconds=1)
SLOW = AttemptResult(
    outcome=Outcome.TIMED_OUT, fault=Fault.RECIPIENT, body_digest="", duration=SECOND
)
DOWN = Behaviour(status=503)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running system with both clocks in the test's hand, and one county."""

    bus: Bus
    machine: ManualClock
    county: Member
    operator: str

    async def posts(self, times: int = 1, **changes: Any) -> list[Posted]:
        """Post notices one after another, each sent and recorded before the next."""
        posted = []
        for _ in range(times):
            posted.append(await self.bus.post_notice(**changes))
            await self.bus.settled()
        return posted

    async def health(self) -> Health:
        assert self.county.subscription_id is not None
        async with self.bus.desk.database.read() as conn:
            found = await rows.endpoints_of(conn, [self.county.subscription_id])
        return found.get(self.county.subscription_id, Health())

    async def write(self, health: Health) -> None:
        """Bring the endpoint to how it stood after something that a test does not repeat."""
        assert self.county.subscription_id is not None
        now = self.bus.world.now()
        async with self.bus.desk.database.begin() as conn:
            await rows.insert_missing(conn, [self.county.subscription_id], now=now)
            await rows.write(conn, {self.county.subscription_id: health}, now=now)

    async def to_county(self) -> list[Delivery]:
        """Give what was made for the county's endpoint, oldest first."""
        statement = (
            sa.select(deliveries)
            .where(deliveries.c.subscription_id == self.county.subscription_id)
            .order_by(deliveries.c.id)
        )
        async with self.bus.desk.database.read() as conn:
            return [Delivery(**row) for row in (await conn.execute(statement)).mappings()]

    async def entered(self) -> list[str]:
        """Give the types of the entries about endpoints, in their order."""
        statement = (
            sa.select(entries.c.type)
            .where(entries.c.type.like("endpoint.%"))
            .order_by(entries.c.position)
        )
        async with self.bus.desk.database.read() as conn:
            return list((await conn.execute(statement)).scalars())

    async def until(self, state: EndpointState) -> Health:
        async def is_so() -> bool:
            return (await self.health()).state is state

        await until(is_so)
        return await self.health()

    async def arrives(self, count: int) -> None:
        """Wait until `count` requests in all have reached the endpoint, and expect them."""
        await self.county.receiver.arrivals.wait_for(count)
        await self.county.next_events(count - self.county._expected)


def tripped(stage_machine: ManualClock, *, now: dt.datetime, probe_in: dt.timedelta) -> Health:
    return Health(
        state=EndpointState.TRIPPED,
        failures=10,
        trips=1,
        failing_since=now,
        tripped_at=now,
        probe_at=stage_machine.now() + probe_in,
        last_error="Your server failed.",
    )


@contextlib.asynccontextmanager
async def set_up(place: Place) -> AsyncIterator[Stage]:
    machine = ManualClock(SystemClock().now())
    async with open_bus(place, machine=machine, strict=False) as bus:
        operator = await bus.operators()
        county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
        yield Stage(bus=bus, machine=machine, county=county, operator=operator)


@pytest.fixture
async def stage(place: Place) -> AsyncIterator[Stage]:
    async with set_up(place) as made:
        yield made


async def test_an_endpoint_that_fails_is_warned_about_tripped_probed_and_recovers(
    stage: Stage,
) -> None:
    """5, 7, 9 failures: mail to the desk on duty. 10: tripped, and the operators hear of it.

    It begins with three failures behind it, to be short.
    """
    county, bus = stage.county, stage.bus
    county.receiver.always = DOWN
    began = bus.world.now() - minutes(3)
    await stage.write(Health(state=EndpointState.FAILING, failures=3, failing_since=began))

    await stage.posts(1)
    assert county.mails_to(Position.ON_DUTY) == []
    assert (await stage.health()).failures == 4
    for more, per_cent in ((1, 50), (2, 70), (2, 90)):
        await stage.posts(more)
        (mail,) = await county.mailed(Position.ON_DUTY)
        assert f"{per_cent} % of what trips it" in mail.text
    await stage.posts(1)
    (mail,) = await county.mailed(Position.ON_DUTY)
    (to_operators,) = await bus.expect_mail(stage.operator)
    await stage.arrives(7)

    assert "Endpoint down since" in mail.message["subject"]
    assert "Scott County CPS" in to_operators.message["subject"]
    assert "Your server failed with 503" in mail.text
    assert (await stage.health()).state is EndpointState.TRIPPED
    assert {(one.state, one.due_at, one.held_reason) for one in await stage.to_county()} == {
        (DeliveryState.QUEUED, None, HeldReason.ENDPOINT_DOWN)
    }
    assert await stage.entered() == ["endpoint.warned"] * 3 + ["endpoint.tripped"]

    county.receiver.always = Behaviour()
    stage.machine.advance(30 * SECOND)
    await stage.until(EndpointState.HEALTHY)

    oldest = (await stage.to_county())[0]
    assert oldest.state is DeliveryState.DELIVERED
    assert (await stage.entered())[-1] == "endpoint.recovered"
    await _all_arrive(stage)


async def _all_arrive(stage: Stage) -> None:
    """Let the backlog go in its turn until all of it has arrived."""

    async def has_arrived() -> bool:
        stage.machine.advance(SECOND)
        return {one.state for one in await stage.to_county()} == {DeliveryState.DELIVERED}

    await until(has_arrived)
    ids = {one.headers["webhook-id"] for one in stage.county.receiver.arrivals.all}
    assert ids == {one.id for one in await stage.to_county()}, "nothing is lost, nothing renamed"


async def test_a_fresh_notice_is_the_probe_where_none_is_under_way(stage: Stage) -> None:
    await stage.write(tripped(stage.machine, now=stage.bus.world.now(), probe_in=minutes(5)))

    (notice,) = await stage.posts()
    await stage.county.receives("notice", notice)

    assert (await stage.health()).state is EndpointState.HEALTHY


async def test_what_comes_while_a_probe_is_under_way_is_held_without_an_attempt(
    stage: Stage,
) -> None:
    """A probe lost with its dispatcher is followed by the next, the gravest and oldest first."""
    bus = stage.bus
    down = tripped(stage.machine, now=bus.world.now(), probe_in=minutes(5))
    await stage.write(replace(down, state=EndpointState.PROBING))

    await stage.posts(2)
    (gravest,) = await stage.posts(1, **{"class": "A"})

    held = await stage.to_county()
    assert [(one.attempts, one.recipient_attempts, one.due_at) for one in held] == [
        (0, 0, None)
    ] * 3
    assert all([await bus.attempts_of(one) == [] for one in held])
    await stage.county.mailed(Position.ON_DUTY)  # class A goes over all channels at once

    stage.machine.advance(minutes(5))
    await stage.county.receives("notice", gravest)
    await stage.until(EndpointState.HEALTHY)
    await _all_arrive(stage)


async def test_escalation_and_the_contacts_mail_go_on_while_the_endpoint_is_down(
    stage: Stage,
) -> None:
    """What was never tried is told to the desk by mail after two minutes, and then its steps."""
    bus, county = stage.bus, stage.county
    down = tripped(stage.machine, now=bus.world.now(), probe_in=minutes(60))
    await stage.write(replace(down, state=EndpointState.PROBING))

    (notice,) = await stage.posts()
    await bus.fast_forward(minutes(2))
    await county.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(120))
    steps = await county.steps(notice)

    assert steps, "its clock runs"
    assert county.receiver.arrivals.all == []
    assert {one.held_reason for one in await stage.to_county()} == {HeldReason.ENDPOINT_DOWN}


async def test_an_empty_backlog_is_probed_with_a_heartbeat(stage: Stage) -> None:
    await stage.write(tripped(stage.machine, now=stage.bus.world.now(), probe_in=SECOND))
    stage.county.receiver.then.append(DOWN)

    stage.machine.advance(SECOND)
    await stage.arrives(1)
    failed = await stage.until(EndpointState.TRIPPED)
    assert failed.trips == 2
    assert failed.probe_at == stage.machine.now() + 60 * SECOND

    stage.machine.advance(60 * SECOND)
    await stage.until(EndpointState.HEALTHY)
    await stage.arrives(2)
    kinds = {one["type"] for one in stage.county.received()}
    assert kinds == {"org.noticebus.heartbeat.v1"}


async def test_a_fault_of_ours_trips_nothing(stage: Stage) -> None:
    county = stage.county
    county.receiver.always = DOWN
    await stage.posts(4)
    ours = AttemptResult(
        outcome=Outcome.UNSENDABLE, fault=Fault.OURS, body_digest="", duration=SECOND
    )
    await stage.arrives(4)

    await outcomes.record(stage.bus.desk, [await _claimed(stage, one, ours) for one in range(4)])

    assert (await stage.health()).failures == 4
    await _quiet(stage)


async def test_two_dispatchers_count_together(stage: Stage) -> None:
    """What two of them record at once is counted once each, and warned of once."""
    stage.county.receiver.always = DOWN
    await stage.posts(4)
    await stage.arrives(4)
    failed = AttemptResult(
        outcome=Outcome.FAILED, fault=Fault.NETWORK, body_digest="", duration=SECOND
    )
    one, two, three, four = [await _claimed(stage, number, failed) for number in range(4)]

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outcomes.record(stage.bus.desk, [one, two]))
        tasks.create_task(outcomes.record(stage.bus.desk, [three, four]))

    assert (await stage.health()).failures == 8
    warned = await stage.entered()
    assert set(warned) == {"endpoint.warned"}
    await stage.county.mailed(Position.ON_DUTY, times=len(warned))
    await _quiet(stage)


async def test_what_is_in_line_for_two_minutes_goes_to_the_desk_as_well(stage: Stage) -> None:
    """An endpoint that is slow, and never fails, keeps a notice from nobody."""
    stage.county.receiver.then.append(DOWN)
    await stage.posts()
    one = await _claimed(stage, 0, SLOW)

    await waiting.put_back(stage.bus.desk, [PutBack(delivery=one.delivery, jitter=0.0)])
    await stage.bus.settled()
    assert stage.county.mails_to(Position.ON_DUTY) == []
    one = await _claimed(stage, 0, SLOW)
    stage.bus.world.advance(minutes(2))
    await waiting.put_back(stage.bus.desk, [PutBack(delivery=one.delivery, jitter=0.0)])

    await stage.county.mailed(Position.ON_DUTY)
    await _quiet(stage)


async def _claimed(stage: Stage, number: int, result: AttemptResult) -> Tried:
    """Claim one delivery as a dispatcher does, with what its attempt came to."""
    delivery = (await stage.to_county())[number]
    claimed = replace(delivery, state=DeliveryState.SENDING, attempts=delivery.attempts + 1)
    async with stage.bus.desk.database.begin() as conn:
        await conn.execute(
            sa.update(deliveries)
            .where(deliveries.c.id == delivery.id)
            .values(
                state=claimed.state,
                attempts=claimed.attempts,
                lease_until=stage.machine.now() + minutes(1),
            )
        )
    now = stage.bus.world.now()
    return Tried(delivery=claimed, result=result, started_at=now, finished_at=now, jitter=0.5)


async def _quiet(stage: Stage) -> None:
    """Let nothing more of this test be sent."""
    async with stage.bus.desk.database.begin() as conn:
        await conn.execute(
            sa.update(deliveries)
            .where(deliveries.c.state == DeliveryState.QUEUED, deliveries.c.cause == Cause.NOTICE)
            .values(state=DeliveryState.MOOT, due_at=None)
        )


async def test_what_was_held_longer_than_its_schedule_lasts_is_exhausted_where_all_see_it(
    stage: Stage,
) -> None:
    bus = stage.bus
    down = tripped(stage.machine, now=bus.world.now(), probe_in=SECOND)
    await stage.write(replace(down, state=EndpointState.PROBING))
    await stage.posts(1, **{"class": "D"})
    bus.world.advance(dt.timedelta(days=6))
    await stage.bus.settled()

    stage.machine.advance(SECOND)
    await stage.until(EndpointState.HEALTHY)

    ended, probe = await stage.to_county()
    assert (ended.state, ended.held_reason) == (DeliveryState.EXHAUSTED, None)
    assert probe.cause is Cause.HEARTBEAT
    async with bus.desk.database.read() as conn:
        counted = sa.select(sa.func.count()).where(entries.c.type == "delivery.exhausted")
        assert (await conn.execute(counted)).scalar_one() == 1
    await stage.arrives(1)


async def test_a_probe_can_be_asked_for_by_whoever_mended_the_endpoint(stage: Stage) -> None:
    county, desk = stage.county, stage.bus.desk
    assert county.subscription_id is not None
    owner = furnish.principal(Scope.SUBSCRIBE, agency=county.row)
    stranger = furnish.principal(
        Scope.SUBSCRIBE, agency=await furnish.add_agency(desk, "Stranger", county_fips=None)
    )
    with pytest.raises(ConflictError, match="is healthy"):
        await probes.force_probe(desk, owner, subscription_id=county.subscription_id)
    await stage.write(tripped(stage.machine, now=stage.bus.world.now(), probe_in=minutes(5)))
    with pytest.raises(NotFoundError):
        await probes.force_probe(desk, stranger, subscription_id=county.subscription_id)

    await probes.force_probe(desk, owner, subscription_id=county.subscription_id)

    await stage.until(EndpointState.HEALTHY)
    await stage.arrives(1)
    assert await stage.entered() == ["endpoint.probed", "endpoint.recovered"]


async def test_what_waited_through_a_long_pause_is_not_exhausted_when_its_endpoint_trips(
    stage: Stage,
) -> None:
    """It was never tried: the endpoint has been down for a minute, not since it was made."""
    await stage.write(
        replace(
            tripped(stage.machine, now=stage.bus.world.now(), probe_in=minutes(60)),
            state=EndpointState.PROBING,
        )
    )
    await stage.posts(2, **{"class": "D"})
    stage.bus.world.advance(dt.timedelta(days=6))
    await stage.bus.settled()
    await stage.write(
        tripped(stage.machine, now=stage.bus.world.now() - minutes(1), probe_in=SECOND)
    )

    stage.machine.advance(SECOND)
    await stage.until(EndpointState.HEALTHY)

    await _all_arrive(stage)
    await stage.arrives(2)
