"""Timelines of an agency that consumes Kafka: it subscribes, consents, is told over its topic."""

import contextlib
import datetime as dt
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from harness import desk as furnish
from harness.api import Api
from harness.desk import SCOTT_COUNTY
from harness.member import Member
from harness.place import Place, embedded, production
from harness.system import Bus, minutes, open_bus
from noticebus.bus.options import KafkaOptions
from noticebus.casework import endpoints
from noticebus.casework import subscriptions as casework
from noticebus.casework.replays import Wanted, begin_replay
from noticebus.contracts.subscription import SubscriptionPost
from noticebus.contracts.vocabulary import (
    Channel,
    DeliveryState,
    Fault,
    Outcome,
    Scope,
    SubscriptionState,
)
from noticebus.errors import InvalidError
from noticebus.store.subscriptions import Subscription

ARRIVES_WITHIN_MS = 30_000


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One agency's topic, as the agency reads it."""

    consumer: AIOKafkaConsumer

    async def next(self) -> ConsumerRecord:
        """Wait for the next record, a time limit at most."""
        found = await self.consumer.getmany(timeout_ms=ARRIVES_WITHIN_MS, max_records=1)
        ((record,),) = found.values()
        return record


@pytest.fixture
async def place(tmp_path: Path, kafka_bootstrap: str) -> AsyncIterator[Place]:
    async with production(tmp_path, bootstrap=kafka_bootstrap) as lent:
        yield lent


@contextlib.asynccontextmanager
async def reading(options: KafkaOptions, member: Member) -> AsyncIterator[Topic]:
    consumer = AIOKafkaConsumer(
        options.agency_topic(member.row.id),
        bootstrap_servers=options.bootstrap,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        yield Topic(consumer=consumer)
    finally:
        await consumer.stop()


async def subscribe(bus: Bus, member: Member) -> Subscription:
    """Ask for a subscription over Kafka as the agency, and approve it as an operator."""
    post = SubscriptionPost.model_validate(
        {
            "name": "our topic",
            "areas": [{"county_fips": [SCOTT_COUNTY]}],
            "content_level": "partner",
            "channel": "kafka",
            "heartbeat_minutes": None,
        }
    )
    agency = furnish.principal(Scope.SUBSCRIBE, agency=member.row)
    made = await casework.create_subscription(bus.desk, agency, post=post)
    assert made.secret is None
    return await casework.approve_subscription(
        bus.desk, furnish.principal(Scope.OPERATE), subscription_id=made.subscription.id
    )


async def consent(bus: Bus, member: Member, topic: Topic, order: Subscription) -> Subscription:
    """Confirm the handshake that came over the topic."""
    handshake = json.loads((await topic.next()).value)
    return await endpoints.verify_subscription(
        bus.desk,
        furnish.principal(Scope.SUBSCRIBE, agency=member.row),
        subscription_id=order.id,
        challenge=handshake["data"]["challenge"],
    )


async def test_an_agency_consents_over_its_topic_and_is_told_there(bus: Bus, place: Place) -> None:
    assert place.bus is not None
    county = await bus.agency("Scott County CPS", endpoint=False)
    order = await subscribe(bus, county)
    async with reading(place.bus, county) as topic:
        await bus.carried()
        assert order.state is SubscriptionState.PENDING_VERIFICATION
        active = await consent(bus, county, topic, order)
        assert active.state is SubscriptionState.ACTIVE

        notice = await bus.post_notice()
        told = await topic.next()
        await bus.carried()
        await begin_replay(
            bus.desk,
            furnish.principal(Scope.SUBSCRIBE, agency=county.row),
            subscription_id=order.id,
            wanted=Wanted(after=0, since=None, until=None),
        )
        again = await topic.next()
        await bus.carried()
        await bus.fast_forward(minutes(60))
        reminded = await topic.next()
        await bus.settled()

    event = json.loads(told.value)
    assert (again.key, again.value, again.headers) == (told.key, told.value, told.headers)
    (delivery, _replay, step) = sorted(await bus.deliveries_of(notice), key=lambda one: one.id)
    assert told.key == notice.incident_id.encode()
    assert event["id"] == delivery.id
    assert event["type"] == "org.noticebus.notice.v1"
    assert event["data"]["notice"]["status"] == "actual"
    assert event["data"]["subscription"]["sequence"] == 1
    assert dict(told.headers) == {
        "content-type": b"application/cloudevents+json",
        "ce_id": delivery.id.encode(),
        "exercise": b"false",
    }
    assert json.loads(reminded.value)["type"] == "org.noticebus.step.v1"
    assert {delivery.state, step.state} == {DeliveryState.DELIVERED}
    assert (await county.obligation(notice)).delivered_at is not None


async def test_an_exercise_says_so_in_the_header_and_in_the_body(bus: Bus, place: Place) -> None:
    assert place.bus is not None
    county = await bus.agency("Scott County CPS", endpoint=False)
    order = await subscribe(bus, county)
    async with reading(place.bus, county) as topic:
        await consent(bus, county, topic, order)

        await bus.post_notice(status="exercise")
        drill = await topic.next()

    assert dict(drill.headers)["exercise"] == b"true"
    assert json.loads(drill.value)["data"]["notice"]["status"] == "exercise"


async def test_a_wrong_challenge_begins_nothing_and_the_right_one_again_renews_the_lease(
    bus: Bus, place: Place
) -> None:
    assert place.bus is not None
    county = await bus.agency("Scott County CPS", endpoint=False)
    order = await subscribe(bus, county)
    agency = furnish.principal(Scope.SUBSCRIBE, agency=county.row)

    with pytest.raises(InvalidError, match="not the challenge"):
        await endpoints.verify_subscription(
            bus.desk, agency, subscription_id=order.id, challenge="guessed"
        )
    await endpoints.verify_subscription(bus.desk, agency, subscription_id=order.id)
    async with reading(place.bus, county) as topic:
        active = await consent(bus, county, topic, order)
        bus.world.advance(dt.timedelta(days=1))
        again = await endpoints.verify_subscription(
            bus.desk, agency, subscription_id=order.id, challenge=order.challenge
        )
    assert active.verified_at is not None
    assert active.lease_until is not None
    assert (again.state, again.lease_until) == (
        SubscriptionState.ACTIVE,
        active.lease_until + dt.timedelta(days=1),
    )


async def test_the_http_call_asks_again_or_takes_the_challenge(bus: Bus, place: Place) -> None:
    assert place.bus is not None
    county = await bus.agency("Scott County CPS", endpoint=False)
    order = await subscribe(bus, county)
    api = Api(app=bus.system.app, desk=bus.desk)
    caller = await api.caller(Scope.SUBSCRIBE, agency=county.row)
    path = f"/v1/subscriptions/{order.id}/verify"

    asked = await caller.send("POST", path)
    refused = await caller.post(path, {"challenge": "guessed"}, status=422)
    confirmed = await caller.post(path, {"challenge": order.challenge}, status=202)
    shown = await caller.get(f"/v1/subscriptions/{order.id}/deliveries")

    assert asked.json()["state"] == "pending_verification"
    assert refused["errors"][0]["pointer"] == "/challenge"
    assert confirmed["state"] == "active"
    assert {(one["channel"], one["held_reason"]) for one in shown["items"]} == {("kafka", None)}


async def test_a_topic_that_cannot_be_written_to_is_our_fault_and_is_tried_again(
    bus: Bus, place: Place
) -> None:
    assert place.bus is not None
    county = await bus.agency("Scott County CPS", endpoint=False)
    order = await subscribe(bus, county)
    async with reading(place.bus, county) as topic:
        await consent(bus, county, topic, order)
        await bus.desk.bus.close()  # as when the broker is away
        notice = await bus.post_notice()
        (delivery,) = await bus.deliveries_of(notice)
        await bus.carried()

    (attempt,) = await bus.attempts_of(delivery)
    (waiting,) = await bus.deliveries_of(notice)
    assert attempt.outcome is Outcome.FAILED
    assert attempt.fault is Fault.OURS
    assert "Kafka did not take the record" in attempt.error
    assert waiting.state is DeliveryState.QUEUED
    assert waiting.channel is Channel.KAFKA


async def test_without_kafka_a_subscription_to_a_topic_is_refused(tmp_path: Path) -> None:
    async with embedded(tmp_path) as place, open_bus(place) as bus:
        county = await bus.agency("Scott County CPS", endpoint=False)

        with pytest.raises(InvalidError, match="has no Kafka"):
            await subscribe(bus, county)

        found = await casework.list_subscriptions(
            bus.desk, furnish.principal(Scope.OPERATE), after="", limit=10
        )
    assert found == []


async def test_a_webhook_is_not_confirmed_by_call(tmp_path: Path) -> None:
    async with embedded(tmp_path) as place, open_bus(place) as bus:
        county = await bus.agency("Scott County CPS")
        assert county.subscription_id is not None

        with pytest.raises(InvalidError, match="webhook answers it itself"):
            await endpoints.verify_subscription(
                bus.desk,
                furnish.principal(Scope.OPERATE),
                subscription_id=county.subscription_id,
                challenge="c",
            )
