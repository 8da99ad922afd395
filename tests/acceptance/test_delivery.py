"""From a committed delivery to a receiver and back: signed, repeated, revoked, bounded, counted."""

import asyncio
import base64
import datetime as dt
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook

from harness.by_hand import record
from harness.crowd import add_crowd
from harness.kafka import Broker
from harness.member import Member, Posted
from harness.place import Place, embedded, production
from harness.receivers import Behaviour, WebhookArrival, redirect
from harness.roles import until
from harness.statements import statements_of
from harness.system import Bus, minutes, open_bus
from noticebus import wiring
from noticebus.access.keyring import from_base64url
from noticebus.casework import intake
from noticebus.clock import ManualClock, SystemClock
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    ContentLevel,
    DeliveryState,
    ObligationState,
    Outcome,
    Position,
    SubscriptionState,
)
from noticebus.dispatcher.lines import Lines
from noticebus.dispatcher.worker import SLOTS
from noticebus.store.deliveries import Delivery
from noticebus.store.tables import deliveries, subscriptions

SECOND = dt.timedelta(seconds=1)
LEASE = dt.timedelta(seconds=20)


async def until_delivered(bus: Bus, posted: Posted) -> list[Delivery]:
    """Move the world's clock on by 10 s at a time until nothing waits for it, 10 min at most."""
    for _ in range(60):
        await bus.fast_forward(10 * SECOND)
        found = await bus.deliveries_of(posted)
        if all(one.due_at is None for one in found):
            return found
    raise AssertionError("still waiting after ten minutes")


def same_request(arrivals: list[WebhookArrival]) -> bool:
    """Say whether all arrivals are one delivery: one id, one body, byte for byte (I3)."""
    return len({(one.headers["webhook-id"], one.body) for one in arrivals}) == 1


def have_patience(bus: Bus) -> None:
    """Let what waits for a slot of a crowd's one endpoint wait as long as a busy machine takes.

    Else it is put back after 2 s, which is another way, with statements of its own.
    """
    bus.system.dispatcher._lines = Lines(SLOTS, limit=minutes(5))


def record_afterwards(bus: Bus) -> None:
    """Let all outcomes wait until the test records them: no loop does it beside."""
    bus.system.dispatcher._recorder._tried = asyncio.Queue()


async def states_of_all(bus: Bus) -> Counter[DeliveryState]:
    """Count every delivery by its state."""
    async with bus.desk.database.read() as conn:
        return Counter((await conn.execute(sa.select(deliveries.c.state))).scalars())


async def change(bus: Bus, member: Member, **values: Any) -> None:
    """Change a member's subscription."""
    async with bus.desk.database.begin() as conn:
        await conn.execute(
            sa.update(subscriptions)
            .where(subscriptions.c.id == member.subscription_id)
            .values(**values)
        )


async def test_a_2xx_is_delivered_once_and_signed_for_the_published_package(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await bus.settled()

    (arrival,) = county.receiver.arrivals.all
    assert Webhook(county.secret).verify(arrival.body, arrival.headers)
    assert _v1a_verifies(bus, arrival)
    (delivery,) = await bus.deliveries_of(notice)
    (attempt,) = await bus.attempts_of(delivery)
    assert delivery.state is DeliveryState.DELIVERED
    assert arrival.headers["webhook-id"] == delivery.id
    assert attempt.outcome is Outcome.DELIVERED
    assert (await county.obligation(notice)).delivered_at is not None


def _v1a_verifies(bus: Bus, arrival: WebhookArrival) -> bool:
    keys = {key.kid: key.public_jwk() for key in bus.desk.keyring.signing_keys}
    signed = b".".join(
        [
            arrival.headers["webhook-id"].encode(),
            arrival.headers["webhook-timestamp"].encode(),
            arrival.body,
        ]
    )
    signatures = [
        one.removeprefix("v1a,")
        for one in arrival.headers["webhook-signature"].split()
        if one.startswith("v1a,")
    ]
    (jwk,) = keys.values()
    public = Ed25519PublicKey.from_public_bytes(from_base64url(jwk["x"]))
    for one in signatures:
        public.verify(base64.b64decode(one), signed)
    return bool(signatures)


async def test_a_failing_endpoint_gets_the_same_bytes_again_until_it_recovers(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    county.receiver.then.extend([Behaviour(status=500), Behaviour(drop=True)])
    notice = await bus.post_notice()

    (delivery,) = await until_delivered(bus, notice)
    await county.receives("notice", notice, times=3)

    attempts = await bus.attempts_of(delivery)
    assert delivery.state is DeliveryState.DELIVERED
    assert [one.outcome for one in attempts] == [
        Outcome.FAILED,
        Outcome.FAILED,
        Outcome.DELIVERED,
    ]
    assert same_request(county.receiver.arrivals.all)
    assert len({one.body_digest for one in attempts}) == 1


async def test_retries_wait_for_their_time_on_the_world_clock(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    county.receiver.then.extend([Behaviour(status=503)] * 3)
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await bus.settled()

    (waiting,) = await bus.deliveries_of(notice)
    assert waiting.due_at is not None
    assert 1.6 * SECOND <= waiting.due_at - bus.world.now() <= 2.4 * SECOND
    await bus.fast_forward(1.5 * SECOND)
    assert len(county.receiver.arrivals.all) == 1
    await bus.fast_forward(1 * SECOND)
    await county.receives("notice", notice)


async def test_410_ends_a_delivery_and_mail_starts_at_once(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
    county.receiver.always = Behaviour(status=410)
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await county.mailed(Position.ON_DUTY)
    await bus.fast_forward(minutes(30))

    states = {one.channel: one.state for one in await bus.deliveries_of(notice)}
    assert states == {"webhook": DeliveryState.EXHAUSTED, "email": DeliveryState.DELIVERED}


@pytest.mark.parametrize("behaviour", [Behaviour(status=404), redirect("http://127.0.0.1:1/")])
async def test_a_refusal_starts_mail_at_once_and_is_tried_again(
    bus: Bus, behaviour: Behaviour
) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
    county.receiver.then.append(behaviour)
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await county.mailed(Position.ON_DUTY)
    await bus.fast_forward(5 * SECOND)
    await county.receives("notice", notice)

    webhook = next(one for one in await bus.deliveries_of(notice) if one.channel == "webhook")
    assert [one.outcome for one in await bus.attempts_of(webhook)] == [
        Outcome.REFUSED,
        Outcome.DELIVERED,
    ]


async def test_a_mail_about_a_version_that_corrects_says_so(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
    county.receiver.always = Behaviour(status=410)
    first = await bus.post_notice()
    await county.receives("notice", first)
    await county.mailed(Position.ON_DUTY)

    await bus.fast_forward(minutes(2))  # past which a second mail is not gathered with others
    second = await bus.update(first, change_reason="correction")
    await county.receives("notice", second)
    (mail,) = await county.mailed(Position.ON_DUTY)

    assert mail.message["Subject"].startswith("Correction")


async def test_mail_follows_an_endpoint_that_fails_for_two_minutes(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
    county.receiver.always = Behaviour(status=503)
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await bus.settled()

    mail = next(one for one in await bus.deliveries_of(notice) if one.channel == "email")
    failed_at = next(one for one in await bus.deliveries_of(notice) if one.channel == "webhook")
    assert failed_at.first_failed_at is not None
    assert mail.due_at == failed_at.first_failed_at + minutes(2)
    assert mail.attempts == 0


async def test_an_endpoint_that_recovers_in_time_spares_the_mail(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
    county.receiver.then.append(Behaviour(status=503))
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await bus.settled()
    await bus.fast_forward(5 * SECOND)
    await county.receives("notice", notice)
    await bus.settled()

    states = {one.channel: one.state for one in await bus.deliveries_of(notice)}
    assert states == {"webhook": DeliveryState.DELIVERED, "email": DeliveryState.MOOT}


async def test_an_ended_subscription_revokes_what_was_to_be_repeated(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    county.receiver.then.append(Behaviour(status=500))
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await bus.settled()

    await change(bus, county, state=SubscriptionState.ENDED)
    await bus.fast_forward(10 * SECOND)

    (delivery,) = await bus.deliveries_of(notice)
    assert delivery.state is DeliveryState.REVOKED


async def test_a_lowered_level_is_renewed_under_a_new_id_as_often_as_it_falls(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    county.receiver.then.extend([Behaviour(status=500)] * 2)
    notice = await bus.post_notice()
    await county.receives("notice", notice)
    await bus.settled()

    await change(bus, county, content_level=ContentLevel.PUBLIC)
    await bus.fast_forward(10 * SECOND)
    await county.receives("correction", notice)
    await change(bus, county, content_level=ContentLevel.ID_ONLY)
    await bus.fast_forward(10 * SECOND)
    await county.receives("correction", notice)

    found = await bus.deliveries_of(notice)
    bodies = county.received()
    assert [(one.cause, one.state) for one in found] == [
        (Cause.NOTICE, DeliveryState.REVOKED),
        (Cause.CORRECTION, DeliveryState.REVOKED),
        (Cause.CORRECTION, DeliveryState.DELIVERED),
    ]
    assert len({one["id"] for one in bodies}) == 3
    assert [one["data"]["subscription"]["content_level"] for one in bodies] == [
        "partner",
        "public",
        "id_only",
    ]
    assert (await county.obligation(notice)).delivered_at is not None


async def test_an_answer_ends_the_repeats_of_what_was_on_its_way(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    county.receiver.always = Behaviour(status=503, delay_s=1.5)
    notice = await bus.post_notice()
    await county.receives("notice", notice)

    await county.answers(notice)  # while the first attempt waits for its 503
    await bus.fast_forward(SECOND)
    await bus.fast_forward(minutes(60))

    (delivery,) = await bus.deliveries_of(notice)
    assert delivery.state is DeliveryState.MOOT
    assert len(county.receiver.arrivals.all) == 1


async def test_a_waiver_ends_the_repeats_of_what_was_on_its_way_and_starts_no_mail(
    bus: Bus,
) -> None:
    county = await bus.agency("Scott County CPS", contacts_at=[Position.ON_DUTY])
    county.receiver.always = Behaviour(status=503, delay_s=1.5)
    notice = await bus.post_notice()
    await county.receives("notice", notice)

    bus.world.advance(SECOND)
    await county.is_waived(notice)  # while the first attempt waits for its 503
    await bus.fast_forward(SECOND)
    await bus.fast_forward(minutes(60))

    states = {one.channel: one.state for one in await bus.deliveries_of(notice)}
    assert set(states.values()) == {DeliveryState.MOOT}
    assert len(county.receiver.arrivals.all) == 1


async def test_a_class_d_notice_is_closed_by_its_own_delivery_and_no_older_one(bus: Bus) -> None:
    county = await bus.agency("Scott County CPS")
    county.receiver.then.extend([Behaviour(status=500)] * 2)
    first = await bus.post_notice(**{"class": "D"})
    await county.receives("notice", first)
    second = await bus.update(first, material=True, notice_class="D")
    await county.receives("notice", second)
    await bus.settled()
    before = await county.obligation(first)

    await bus.fast_forward(40 * SECOND)
    await county.next_events(2)

    assert (before.state, before.delivered_at) == (ObligationState.OPEN, None)
    entries = await bus.entries_of(first.incident_id)
    (reached,) = [one for one in entries if one["type"] == "obligation.delivered"]
    newest = next(one for one in await bus.deliveries_of(first) if one.version == 2)
    assert reached["data"]["delivery_id"] == newest.id
    assert (await county.obligation(first)).state is ObligationState.CLOSED


async def test_a_lease_that_ends_sends_the_same_delivery_again(place: Place) -> None:
    machine = ManualClock(SystemClock().now())
    async with open_bus(place, machine=machine, roles=()) as bus:
        county = await bus.agency("Scott County CPS")
        notice = await bus.post_notice()
        machine.advance(3 * SECOND)
        await bus.system.dispatcher.sweep()  # and the process dies before it can record
        early = await bus.system.dispatcher.sweep()
        machine.advance(LEASE)
        again = await bus.system.dispatcher.sweep()
        await bus.system.dispatcher.record_waiting()
        await county.receives("notice", notice, times=2)

        (delivery,) = await bus.deliveries_of(notice)
        assert (early, again) == (0, 1)
        assert same_request(county.receiver.arrivals.all)
        assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 2)


async def test_two_dispatchers_on_one_database_never_send_one_claim_twice(tmp_path: Path) -> None:
    machine = ManualClock(SystemClock().now())
    async with (
        production(tmp_path) as place,
        open_bus(place, machine=machine, roles=(), strict=False) as first,
        open_bus(place, machine=machine, roles=(), strict=False) as second,
    ):
        for one in (first, second):
            have_patience(one)
            record_afterwards(one)
        county = await first.agency("Scott County CPS", endpoint=False)
        await add_crowd(first, 60, url=county.receiver.url)
        for _ in range(5):
            await first.post_notice()
        machine.advance(3 * SECOND)
        async with asyncio.TaskGroup() as tasks:
            sweeps = [
                (one, tasks.create_task(one.system.dispatcher.sweep()))
                for one in (first, second) * 3
            ]
        for one in (first, second):
            await record(one, sum(sweep.result() for by, sweep in sweeps if by is one))

        ids = [one.headers["webhook-id"] for one in county.receiver.arrivals.all]
        assert len(ids) == len(set(ids)) == 300
        assert await states_of_all(first) == {DeliveryState.DELIVERED: 300}


async def test_one_hanging_endpoint_costs_the_other_nineteen_nothing(place: Place) -> None:
    async with open_bus(place, request_timeout_s=60, lease_s=120) as bus:  # none is given up
        members = [
            await bus.agency(f"District {number}", kind=AgencyKind.SCHOOL_DISTRICT)
            for number in range(20)
        ]
        slow, others = members[0], members[1:]
        slow.receiver.always = Behaviour(hang=True)

        for _ in range(10):  # more shards than are claimed at once, each with the hanging endpoint
            notice = await bus.post_notice()
            for one in others:
                await one.receives("notice", notice)

        slow.receiver.release()
        await slow.next_events(10)


async def test_sequence_numbers_have_no_gap_under_concurrent_posts_and_versions(
    tmp_path: Path,
) -> None:
    async with (
        production(tmp_path) as place,
        open_bus(place) as first,
        open_bus(place, roles=[wiring.Role.GATEWAY]) as second,
    ):
        have_patience(first)
        county = await first.agency("Scott County CPS")
        poster = (await first.post_notice(), first.poster)
        second.poster = poster[1]

        async def post_and_revise(bus: Bus) -> None:
            posted = await bus.post_notice()
            await bus.update(posted, headline="Enforcement action near Morton: buses run late")

        async with asyncio.TaskGroup() as tasks:
            for one in (first, second) * 4:
                tasks.create_task(post_and_revise(one))
        events = await county.next_events(17)

        numbers = sorted(one["data"]["subscription"]["sequence"] for one in events)
        assert numbers == list(range(1, 18))


async def test_a_shard_costs_as_many_statements_for_400_deliveries_as_for_20(place: Place) -> None:
    counted = {}
    for size in (20, 400):
        folder = place.folder / str(size)
        folder.mkdir()
        made = embedded(folder) if "sqlite" in place.database_url else production(folder)
        machine = ManualClock(SystemClock().now())
        async with (
            made as own,
            open_bus(own, machine=machine, roles=(), strict=False) as bus,
        ):
            have_patience(bus)
            record_afterwards(bus)
            county = await bus.agency("Scott County CPS", endpoint=False)
            await add_crowd(bus, size, url=county.receiver.url)
            with statements_of(bus.desk) as posting:
                await bus.post_notice()
            machine.advance(3 * SECOND)
            with statements_of(bus.desk) as sending:
                sent = await bus.system.dispatcher.sweep()
                recorded = await bus.system.dispatcher.record_waiting()
            assert (sent, recorded) == (size, size)
            assert await states_of_all(bus) == {DeliveryState.DELIVERED: size}
            counted[size] = [*posting, "sending:", *sending]

    few, many = ([one[:90] for one in counted[size]] for size in (20, 400))
    assert few == many


async def test_a_batch_of_notices_costs_as_many_statements_as_one(place: Place) -> None:
    async with open_bus(place, roles=(), strict=False) as bus:
        await bus.agency("Scott County CPS")
        await bus.post_notice()
        counted = []
        for size in (1, 8, 30):  # few rows go in one statement for several tables
            drafts = [await bus.draft() for _ in range(size)]
            with statements_of(bus.desk) as seen:
                answers = await intake.take_in(bus.desk, drafts)
            assert all(isinstance(one, intake.Answered) for one in answers)
            counted.append(len(seen))

    assert counted[0] <= counted[1] == counted[2]


async def test_a_notice_that_does_not_commit_is_offered_to_nobody(place: Place) -> None:
    async with open_bus(place, roles=(), strict=False) as bus:
        await bus.agency("Scott County CPS")
        await bus.post_notice()
        offered = bus.desk.bus.counts().offered
        draft = await bus.draft()

        with pytest.raises(sa.exc.IntegrityError):  # two notices of one id
            await intake.take_in(bus.desk, [draft, replace(await bus.draft(), id=draft.id)])

        assert bus.desk.bus.counts().offered == offered
        assert len(await bus.unacknowledged()) == 1


@pytest.mark.slow(reason="a broker of its own starts and stops")
async def test_posts_succeed_without_the_broker_and_the_sweep_delivers(
    tmp_path: Path, private_broker: Broker
) -> None:
    async with (
        production(tmp_path, bootstrap=private_broker.bootstrap) as place,
        open_bus(place) as bus,
    ):
        county = await bus.agency("Scott County CPS")
        warm = await bus.post_notice()
        await county.receives("notice", warm)
        await private_broker.stop()

        began = asyncio.get_running_loop().time()
        notices = [await bus.post_notice() for _ in range(5)]
        posted = asyncio.get_running_loop().time()
        events = await county.next_events(5)
        arrived = asyncio.get_running_loop().time()

        assert {one["subject"] for one in events} == {one.id for one in notices}
        assert posted - began < 30  # no post waits for the broker, which would take longer
        assert arrived - posted < 30  # 3 s by design; the machine may be busy


async def test_metrics_say_when_the_dispatcher_last_looked(bus: Bus) -> None:
    registry = bus.system.desk.metrics.registry
    name = "noticebus_dispatcher_last_tick_timestamp_seconds"

    async def has_looked() -> bool:
        return bool(registry.get_sample_value(name))

    await until(has_looked)  # a notice may arrive before the sweep has looked at all
    now = bus.system.desk.machine.now().timestamp()
    assert registry.get_sample_value(name) == pytest.approx(now, abs=60)
