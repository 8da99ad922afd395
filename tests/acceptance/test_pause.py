"""While a subscription is paused its notices are numbered and held; resuming sends or leaves them.

What its recipient owes, and the mail to its contacts, do not wait for it.
"""

import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from harness import by_hand
from harness import desk as furnish
from harness.api import Api, Caller, open_api
from harness.member import Member
from harness.numbered import to_subscription
from harness.place import Place
from harness.receivers import Behaviour
from harness.system import Bus, minutes, open_bus
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import (
    Channel,
    DeliveryState,
    HeldReason,
    Position,
    Scope,
    UnreachableReason,
)
from noticebus.dispatcher.loads import loads_of
from noticebus.store.deliveries import Delivery
from noticebus.store.tables import contacts, deliveries, subscriptions

SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A bus whose clocks the test moves, one county with a webhook, and its own key."""

    bus: Bus
    api: Api
    county: Member
    key: Caller

    @property
    def path(self) -> str:
        return f"/v1/subscriptions/{self.county.subscription_id}"

    async def pause(self) -> dict[str, Any]:
        return await self.key.post(f"{self.path}/pause", None, status=200)

    async def resume(self, body: object = None, *, status: int = 200) -> dict[str, Any]:
        return await self.key.post(f"{self.path}/resume", body, status=status)

    async def rows(self) -> list[Delivery]:
        return await to_subscription(self.bus.desk, self.county.subscription_id)

    async def drain(self, seconds: int = 1) -> None:
        """Let the backlog go on for so long, and send what it lets go."""
        for _ in range(seconds):
            await self.bus.system.dispatcher.backlog.turn()
            await by_hand.sweep(self.bus)
            by_hand.machine(self.bus).advance(SECOND)


@pytest.fixture
async def stage(place: Place) -> AsyncIterator[Stage]:
    clock = ManualClock(furnish.MORNING)
    async with (
        open_bus(place, roles=(), strict=False, machine=clock) as bus,
        open_api(bus.desk) as api,
    ):
        county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
        key = await api.caller(Scope.SUBSCRIBE, Scope.ANSWER, agency=county.row)
        yield Stage(bus=bus, api=api, county=county, key=key)


async def test_notices_to_a_paused_endpoint_are_numbered_held_and_sent_when_it_goes_on(
    stage: Stage,
) -> None:
    bus, county = stage.bus, stage.county
    first = await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    paused = await stage.pause()
    missed = [await bus.post_notice(), await bus.post_notice()]
    await by_hand.sweep_unclaimed(bus)

    shown = await stage.key.get(stage.path)
    held = (await stage.rows())[1:]
    assert (paused["state"], paused["pause_reason"]) == ("paused", "requested")
    assert paused["paused_at"] is not None
    assert shown["held_back"] == 2
    assert shown["last_sequence"] == 3
    assert [one.sequence for one in held] == [2, 3]
    assert {(one.state, one.due_at, one.held_reason) for one in held} == {
        (DeliveryState.QUEUED, None, HeldReason.PAUSED)
    }
    assert len(county.receiver.arrivals.all) == 1

    resumed = await stage.resume()
    await stage.drain()

    assert (resumed["state"], resumed["paused_at"], resumed["pause_reason"]) == (
        "active",
        None,
        None,
    )
    events = await county.next_events(3)
    assert [one["sequence"][-1] for one in sorted(events, key=lambda one: one["sequence"])] == [
        "1",
        "2",
        "3",
    ]
    assert {one["subject"] for one in events} == {first.id, *(one.id for one in missed)}
    assert (await stage.key.get(stage.path))["held_back"] == 0


async def test_a_pause_changes_nothing_for_the_contacts_and_what_is_owed(stage: Stage) -> None:
    """Without a pause: webhook first. While it lasts: mail at once, and the report says paused."""
    bus, county = stage.bus, stage.county
    await stage.pause()
    notice = await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)

    (mail,) = await county.mailed(Position.ON_DUTY)
    owed = await county.obligation(notice)
    made = {one.channel: one for one in await bus.deliveries_of(notice)}
    assert mail is not None
    assert owed.reachable
    assert owed.due_at is not None
    assert set(made) == {Channel.EMAIL, Channel.WEBHOOK}
    assert made[Channel.WEBHOOK].held_reason is HeldReason.PAUSED
    (told,) = notice.response["recipients"]["obligations"]
    assert told["channels"] == ["email"]
    operator = await stage.api.caller(Scope.OPERATE)
    report = await operator.get("/v1/reports/unacknowledged")
    warnings = {one["code"]: one["message"] for one in report["data_quality"]}
    assert "paused" in warnings["subscription_paused"]
    assert "(1)" in warnings["subscription_paused"]


async def test_who_has_nothing_but_a_paused_subscription_counts_as_out_of_reach(
    stage: Stage,
) -> None:
    bus = stage.bus
    lone = await bus.agency("Leake County CPS")
    key = await stage.api.caller(Scope.SUBSCRIBE, agency=lone.row)
    await key.post(f"/v1/subscriptions/{lone.subscription_id}/pause", None, status=200)

    notice = await bus.post_notice()

    owed = await lone.obligation(notice)
    assert owed.unreachable_reason is UnreachableReason.SUBSCRIPTION_PAUSED
    assert owed.delivered_at is None
    (held,) = await to_subscription(bus.desk, lone.subscription_id)
    assert (held.held_reason, held.sequence) == (HeldReason.PAUSED, 1)


async def test_what_is_queued_when_the_pause_begins_is_held_and_its_contacts_are_told(
    stage: Stage,
) -> None:
    bus, county = stage.bus, stage.county
    await bus.post_notice()
    await stage.pause()
    await by_hand.sweep_unclaimed(bus)
    (held,) = await stage.rows()
    assert (held.state, held.due_at, held.attempts) == (DeliveryState.QUEUED, None, 0)
    assert county.mails_to(Position.ON_DUTY) == []

    bus.world.advance(minutes(2))
    await by_hand.sweep(bus)

    assert len(await county.mailed(Position.ON_DUTY)) == 1
    assert county.receiver.arrivals.all == []


async def test_what_was_claimed_while_the_pause_began_is_held_and_is_no_try(stage: Stage) -> None:
    bus, county = stage.bus, stage.county
    dispatcher = bus.system.dispatcher
    await bus.post_notice()
    by_hand.machine(bus).advance(by_hand.BEHIND_THE_BUS)
    claimed = [one.delivery for one in await dispatcher._claim_due()]
    await stage.pause()

    async with bus.desk.database.read() as conn:
        loads = await loads_of(conn, claimed)  # read as late as that
    await dispatcher._send_all(loads)

    (held,) = await stage.rows()
    assert (held.state, held.attempts, held.held_reason) == (
        DeliveryState.QUEUED,
        0,
        HeldReason.PAUSED,
    )
    assert county.receiver.arrivals.all == []


async def test_what_was_held_back_can_be_left_in_the_inbox(stage: Stage) -> None:
    bus, county = stage.bus, stage.county
    await stage.pause()
    missed = await bus.post_notice()

    await stage.resume({"held": "leave"})
    await stage.drain()

    inbox = await stage.key.get(f"/v1/inbox?subscription={county.subscription_id}&after=0")
    (ended,) = await stage.rows()
    assert ended.state is DeliveryState.MOOT
    assert [one["subject"] for one in inbox["items"]] == [missed.id]
    assert county.receiver.arrivals.all == []
    entered = await entries_of(bus)
    assert entered["subscription.paused"]["held_back"] == 0
    assert entered["subscription.resumed"] | {"by": ""} == {
        "subscription_id": county.subscription_id,
        "agency_id": county.row.id,
        "held": "leave",
        "held_back": 1,
        "by": "",
    }


async def entries_of(bus: Bus) -> dict[str, dict[str, Any]]:
    await bus.system.sequencer.sweep()
    return {one["type"]: one["data"] for one in await bus.entries_of()}


async def test_what_an_answer_overtook_is_not_sent_after_the_pause(stage: Stage) -> None:
    bus, county = stage.bus, stage.county
    await stage.pause()
    answered, open_still = await bus.post_notice(), await bus.post_notice()
    await county.answers(answered)

    await stage.resume()
    await stage.drain()

    await county.receives("notice", open_still)
    assert len(county.receiver.arrivals.all) == 1


async def test_a_fresh_notice_does_not_wait_for_what_was_held(stage: Stage) -> None:
    """What was held goes at the rate of a backlog, ten a second; the fresh one goes at once."""
    bus, county = stage.bus, stage.county
    await stage.pause()
    for _ in range(12):
        await bus.post_notice()
    await stage.resume()
    fresh = await bus.post_notice()

    await stage.drain()
    await by_hand.sweep_unclaimed(bus)

    assert len(county.receiver.arrivals.all) == 11
    assert fresh.id in {one["subject"] for one in county.received()}


async def test_an_inbox_that_is_paused_keeps_what_comes_and_goes_on_with_it(stage: Stage) -> None:
    bus = stage.bus
    made = await stage.key.post(
        "/v1/subscriptions",
        {
            "name": "feed",
            "areas": [{"county_fips": [furnish.SCOTT_COUNTY]}],
            "content_level": "partner",
            "channel": "inbox",
        },
    )
    operator = await stage.api.caller(Scope.OPERATE)
    path = f"/v1/subscriptions/{made['id']}"
    await operator.post(f"{path}/approve", None, status=200)
    await stage.key.post(f"{path}/pause", None, status=200)
    await bus.post_notice()
    assert (await stage.key.get(path))["held_back"] == 1

    resumed = await stage.key.post(f"{path}/resume", {"held": "leave"}, status=200)
    inbox = await stage.key.get(f"/v1/inbox?subscription={made['id']}&after=0")

    assert resumed["held_back"] == 0
    assert len(inbox["items"]) == 1
    (fetched,) = await to_subscription(bus.desk, made["id"])
    assert fetched.state is DeliveryState.DELIVERED


async def test_resuming_what_is_not_paused_or_with_another_word_changes_nothing(
    stage: Stage,
) -> None:
    refused = await stage.resume(status=409)
    assert refused["code"] == "conflict"
    await stage.pause()

    invalid = await stage.resume({"held": "drop"}, status=422)

    assert invalid["errors"][0]["pointer"] == "/held"
    assert (await stage.key.get(stage.path))["state"] == "paused"


async def test_an_endpoint_that_is_down_when_the_pause_ends_gets_it_once_it_recovers(
    stage: Stage,
) -> None:
    bus, county = stage.bus, stage.county
    county.receiver.always = Behaviour(status=503)
    for _ in range(10):
        await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    await stage.pause()
    await stage.resume()
    await stage.drain()
    assert len(county.receiver.arrivals.all) == 10
    assert (await stage.key.get(stage.path))["held_back"] == 10

    county.receiver.always = Behaviour()
    by_hand.machine(bus).advance(30 * SECOND)
    await stage.drain(3)

    assert {one.state for one in await stage.rows()} == {DeliveryState.DELIVERED}
    assert len(county.receiver.arrivals.all) == 20


async def test_a_replay_goes_on_where_what_the_pause_held_back_is_left_in_the_inbox(
    stage: Stage,
) -> None:
    """Else it would run for ever, and no second one could begin."""
    bus = stage.bus
    await bus.post_notice()
    await by_hand.sweep_unclaimed(bus)
    replay = await stage.key.post(f"{stage.path}/replay", {"after": 0}, status=202)
    await stage.pause()
    await bus.system.dispatcher.backlog.turn()

    await stage.resume({"held": "leave"})
    by_hand.machine(bus).advance(minutes(1))
    await stage.drain(7)

    shown = await stage.key.get(f"{stage.path}/replays/{replay['id']}")
    assert (shown["state"], shown["delivered"], shown["not_sent"]) == ("done", 0, 1)


async def test_mail_that_a_pause_held_back_comes_as_one_message_and_not_as_a_flood(
    stage: Stage,
) -> None:
    """An exercise has a message of its own."""
    bus, county = stage.bus, stage.county
    await stage.pause()
    for _ in range(3):
        await bus.post_notice()
    await bus.post_notice(status="exercise")
    async with bus.desk.database.begin() as conn:
        whose = contacts.c.agency_id == county.row.id
        contact_id = (await conn.execute(sa.select(contacts.c.id).where(whose))).scalar_one()
        mine = subscriptions.c.id == county.subscription_id
        by_mail = {"channel": Channel.EMAIL, "contact_id": contact_id}
        await conn.execute(sa.update(subscriptions).where(mine).values(**by_mail))
        ours = deliveries.c.subscription_id == county.subscription_id
        await conn.execute(sa.update(deliveries).where(ours).values(**by_mail))
        others = deliveries.c.subscription_id.is_(None)
        ended = {"state": DeliveryState.MOOT, "due_at": None}
        await conn.execute(sa.update(deliveries).where(others).values(**ended))

    await stage.resume()
    await stage.drain(2)

    assert {one.state for one in await stage.rows()} == {DeliveryState.DELIVERED}
    assert len({one.bundle for one in await stage.rows()}) == 2
    assert len(county.mails_to(Position.ON_DUTY)) == 2
