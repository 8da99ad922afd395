"""A replay counts first, sends all of it again under its own ids, and says how far it is."""

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
from noticebus.casework.accepted import wire_instant
from noticebus.clock import ManualClock
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ContentLevel,
    DeliveryState,
    HeldReason,
    Scope,
    SubscriptionState,
)
from noticebus.store.deliveries import Delivery
from noticebus.store.tables import attempts, subscriptions

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

    async def notices(self, count: int, **changes: Any) -> None:
        """Post notices, and send them."""
        for _ in range(count):
            await self.bus.post_notice(**changes)
        await by_hand.sweep_unclaimed(self.bus)

    async def replay(self, body: object, *, query: str = "", status: int = 202) -> dict[str, Any]:
        return await self.key.post(f"{self.path}/replay{query}", body, status=status)

    async def progress(self, replay: dict[str, Any]) -> dict[str, Any]:
        return await self.key.get(f"{self.path}/replays/{replay['id']}")

    async def rows(self) -> list[Delivery]:
        return await to_subscription(self.bus.desk, self.county.subscription_id)

    async def change(self, **values: Any) -> None:
        async with self.bus.desk.database.begin() as conn:
            await conn.execute(
                sa.update(subscriptions)
                .where(subscriptions.c.id == self.county.subscription_id)
                .values(**values)
            )

    async def drain(self, seconds: int = 1) -> None:
        """Let the backlog go on for so long, and send what it lets go."""
        for _ in range(seconds):
            await self.bus.system.dispatcher.backlog.turn()
            await by_hand.sweep(self.bus)
            by_hand.machine(self.bus).advance(5 * SECOND)

    def arrived(self, *, after: int = 0) -> list[tuple[str, bytes]]:
        """Give id and body of what reached the endpoint after the first so many requests."""
        arrivals = self.county.receiver.arrivals.all[after:]
        return [(one.headers["webhook-id"], one.body) for one in arrivals]


@pytest.fixture
async def stage(place: Place) -> AsyncIterator[Stage]:
    clock = ManualClock(furnish.MORNING)
    async with (
        open_bus(place, roles=(), strict=False, machine=clock) as bus,
        open_api(bus.desk) as api,
    ):
        county = await bus.agency("Scott County CPS")
        key = await api.caller(Scope.SUBSCRIBE, Scope.ANSWER, agency=county.row)
        yield Stage(bus=bus, api=api, county=county, key=key)


async def test_a_replay_sends_the_same_again_under_the_same_ids_and_changes_no_original(
    stage: Stage,
) -> None:
    await stage.notices(3)
    before, first = await stage.rows(), stage.arrived()

    count = await stage.replay({"after": 1}, query="?dry_run=true", status=200)
    begun = await stage.replay({"after": 1})
    assert count == {"total": 2, "after": 1, "until": 3}
    assert (begun["state"], begun["total"], begun["queued"], begun["waiting"]) == (
        "running",
        2,
        0,
        2,
    )
    await stage.drain(2)

    ended = await stage.progress(begun)
    again = stage.arrived(after=3)
    assert sorted(again) == sorted(one for one in first if one[0] in {row.id for row in before[1:]})
    assert {name: ended[name] for name in ("state", "queued", "delivered", "waiting")} == {
        "state": "done",
        "queued": 2,
        "delivered": 2,
        "waiting": 0,
    }
    assert ended["finished_at"] is not None
    rows = await stage.rows()
    assert rows[:3] == before
    items = rows[3:]
    assert {(one.cause, one.sequence, one.attempts) for one in items} == {(Cause.REPLAY, None, 1)}
    assert [one.replays_id for one in items] == [one.id for one in before[1:]]
    assert (await stage.key.get(stage.path))["last_sequence"] == 3
    shown = await stage.key.get(f"{stage.path}/deliveries/{items[0].id}")
    assert shown["request"]["headers"]["webhook-id"] == before[1].id
    entered = await entries_of(stage.bus)
    assert entered["replay.requested"]["total"] == 2
    assert entered["replay.finished"]["delivered"] == 2


async def entries_of(bus: Bus) -> dict[str, dict[str, Any]]:
    await bus.system.sequencer.sweep()
    return {one["type"]: one["data"] for one in await bus.entries_of()}


async def test_a_replay_since_a_time_begins_with_the_first_number_of_that_time(
    stage: Stage,
) -> None:
    await stage.notices(2)
    stage.bus.world.advance(minutes(10))
    since = wire_instant(stage.bus.world.now())
    await stage.notices(2)

    count = await stage.replay({"since": since}, query="?dry_run=true", status=200)
    part = await stage.replay({"since": since, "until": 3}, query="?dry_run=true", status=200)
    stage.bus.world.advance(minutes(10))
    later = wire_instant(stage.bus.world.now())
    none = await stage.replay({"since": later})

    assert count == {"total": 2, "after": 2, "until": 4}
    assert part == {"total": 1, "after": 2, "until": 3}
    assert (none["total"], none["state"]) == (0, "done")
    assert none["finished_at"] is not None


async def test_where_a_replay_can_be_looked_at_is_said_and_they_are_listed(stage: Stage) -> None:
    await stage.notices(1)
    answer = await stage.key.send("POST", f"{stage.path}/replay", json={"after": 0})
    await stage.drain(2)
    later = await stage.replay({"after": 99})

    location = answer.headers["Location"]
    assert (await stage.key.get(location))["id"] == answer.json()["id"]
    page = await stage.key.get(f"{stage.path}/replays?limit=1")
    rest = await stage.key.get(f"{stage.path}/replays?limit=1&cursor={page['next']}")
    assert [one["id"] for one in (*page["items"], *rest["items"])] == [
        later["id"],
        answer.json()["id"],
    ]
    assert rest["next"] is None


async def test_a_second_replay_waits_for_the_first_or_for_its_cancel(stage: Stage) -> None:
    await stage.notices(2)
    first = await stage.replay({"after": 0})

    refused = await stage.replay({"after": 1}, status=409)
    await stage.bus.system.dispatcher.backlog.turn()
    cancelled = await stage.key.post(f"{stage.path}/replays/{first['id']}/cancel", None, status=200)
    await stage.drain(2)

    assert refused["code"] == "replay-running"
    assert first["id"] in refused["detail"]
    assert {name: cancelled[name] for name in ("state", "not_sent", "waiting", "delivered")} == {
        "state": "cancelled",
        "not_sent": 2,
        "waiting": 0,
        "delivered": 0,
    }
    assert len(stage.arrived()) == 2
    again = await stage.key.post(f"{stage.path}/replays/{first['id']}/cancel", None, status=409)
    assert "cancelled" in again["detail"]
    assert (await stage.replay({"after": 1}))["total"] == 1


async def test_a_fresh_notice_does_not_wait_for_a_replay(stage: Stage) -> None:
    await stage.notices(4)
    await stage.change(rate_per_minute=60)
    await stage.replay({"after": 0})
    fresh = await stage.bus.post_notice()
    by_hand.machine(stage.bus).advance(by_hand.BEHIND_THE_BUS)

    await stage.drain()

    (made,) = await stage.bus.deliveries_of(fresh)
    assert made.id in dict(stage.arrived(after=4))
    assert len(stage.arrived(after=4)) == 2


async def test_a_replay_of_what_never_arrived_tells_the_recipient(stage: Stage) -> None:
    stage.county.receiver.then.append(Behaviour(status=410))
    notice = await stage.bus.post_notice()
    await by_hand.sweep_unclaimed(stage.bus)
    assert (await stage.county.obligation(notice)).delivered_at is None
    assert (await stage.rows())[0].state is DeliveryState.EXHAUSTED

    await stage.replay({"after": 0})
    await stage.drain()

    assert (await stage.county.obligation(notice)).delivered_at is not None
    assert (await stage.rows())[0].state is DeliveryState.EXHAUSTED
    assert len({one[0] for one in stage.arrived()}) == 1


async def test_what_may_be_seen_no_more_is_revoked_and_the_replay_says_so(stage: Stage) -> None:
    await stage.notices(2)
    replay = await stage.replay({"after": 0})
    await stage.change(content_level=ContentLevel.ID_ONLY)

    await stage.drain(2)

    ended = await stage.progress(replay)
    assert (ended["state"], ended["failed"], ended["delivered"]) == ("done", 2, 0)
    assert len(stage.arrived()) == 2
    items = (await stage.rows())[2:]
    assert {(one.cause, one.state) for one in items} == {(Cause.REPLAY, DeliveryState.REVOKED)}


async def test_a_replay_that_would_not_be_the_same_bytes_is_not_sent(stage: Stage) -> None:
    """Whatever it is that has changed: the digest of what went first says that something has."""
    await stage.notices(1)
    async with stage.bus.desk.database.begin() as conn:
        await conn.execute(sa.update(attempts).values(body_digest="d" * 64))
    replay = await stage.replay({"after": 0})

    await stage.drain(2)

    ended = await stage.progress(replay)
    assert (ended["state"], ended["failed"], ended["delivered"]) == ("done", 1, 0)
    assert len(stage.arrived()) == 1


async def test_what_never_went_is_replayed_at_the_level_it_was_made_for_or_not_at_all(
    stage: Stage,
) -> None:
    await stage.key.post(f"{stage.path}/pause", None, status=200)
    await stage.bus.post_notice()
    await stage.key.post(f"{stage.path}/resume", {"held": "leave"}, status=200)
    await stage.replay({"after": 0})
    await stage.drain(2)
    assert len(stage.arrived()) == 1

    await stage.change(content_level=ContentLevel.ID_ONLY)
    again = await stage.replay({"after": 0})
    await stage.drain(2)

    assert (await stage.progress(again))["failed"] == 1
    assert len(stage.arrived()) == 1


async def test_a_replay_waits_while_the_subscription_is_paused(stage: Stage) -> None:
    await stage.notices(2)
    replay = await stage.replay({"after": 0})
    await stage.bus.system.dispatcher.backlog.turn()
    await stage.key.post(f"{stage.path}/pause", None, status=200)
    await stage.drain(2)
    assert (await stage.progress(replay))["waiting"] == 2
    assert {one.held_reason for one in (await stage.rows())[2:]} == {HeldReason.PAUSED}

    await stage.key.post(f"{stage.path}/resume", None, status=200)
    await stage.drain(2)

    assert (await stage.progress(replay))["delivered"] == 2


async def test_ending_the_subscription_ends_its_replay(stage: Stage) -> None:
    await stage.notices(1)
    replay = await stage.replay({"after": 0})

    response = await stage.key.send("DELETE", stage.path)
    await stage.drain()

    assert response.status_code == 200
    assert (await stage.progress(replay))["state"] == "cancelled"
    assert len(stage.arrived()) == 1


async def test_what_is_not_called_is_read_from_the_inbox_instead(stage: Stage) -> None:
    for channel in (Channel.INBOX, Channel.EMAIL):
        await stage.change(channel=channel)

        refused = await stage.replay({"after": 0}, status=409)
        counted = await stage.replay({"after": 0}, query="?dry_run=true", status=409)

        assert "/v1/inbox" in refused["detail"]
        assert counted["code"] == "conflict"


WRONG: tuple[tuple[dict[str, object], str], ...] = (
    ({}, "/after"),
    ({"after": 1, "since": "2019-08-07T12:00:00Z"}, "/after"),
    ({"after": -1}, "/after"),
    ({"after": 5, "until": 4}, "/until"),
    ({"since": "yesterday"}, "/since"),
    ({"after": 1, "to": 2}, "/to"),
)


async def test_a_replay_that_does_not_say_from_where_is_refused(stage: Stage) -> None:
    before = await stage.api.counts()

    for body, pointer in WRONG:
        refused = await stage.replay(body, status=422)
        assert pointer in {one["pointer"] for one in refused["errors"]}

    assert await stage.api.counts() == before


async def test_a_paused_subscription_is_replayed_only_after_it_goes_on(stage: Stage) -> None:
    await stage.change(state=SubscriptionState.PAUSED)

    assert "active" in (await stage.replay({"after": 0}, status=409))["detail"]


async def test_another_agencys_replay_is_not_there(stage: Stage) -> None:
    await stage.notices(1)
    replay = await stage.replay({"after": 0})
    other = await stage.bus.agency("Leake County CPS")
    stranger = await stage.api.caller(Scope.SUBSCRIBE, agency=other.row)
    path = f"/v1/subscriptions/{other.subscription_id}/replays/{replay['id']}"

    await stranger.get(f"{stage.path}/replays/{replay['id']}", status=404)
    await stranger.get(f"{stage.path}/replays", status=404)
    await stranger.post(f"{stage.path}/replay", {"after": 0}, status=404)
    await stranger.get(path, status=404)
    await stranger.post(f"{path}/cancel", None, status=404)
