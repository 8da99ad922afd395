"""A stop asked for once drains what is in flight; asked for twice it leaves that to the next start.

Either way a 2xx that was given is kept.
"""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.forked import Forker
from harness.place import embedded
from harness.receivers import Behaviour
from harness.served import Served, served
from noticebus.contracts.vocabulary import DeliveryState
from noticebus.store.tables import attempts, deliveries

IN_FLIGHT = 50
LATE = range(IN_FLIGHT, IN_FLIGHT + 500)  # posts while it stops
REFUSED = 0  # no connection


@pytest.fixture
async def busy(tmp_path: Path, forker: Forker) -> AsyncIterator[Served]:
    """Lend a bus that has 50 requests out to a recipient which does not answer yet."""
    async with (
        embedded(tmp_path) as place,
        served(
            place,
            forker,
            request_timeout_s=20.0,
            lease_s=30.0,
            endpoint_concurrency=IN_FLIGHT,
        ) as bus,
    ):
        bus.receivers[0].always = Behaviour(hang=True)
        await bus.start()
        await bus.post(*range(IN_FLIGHT))
        await bus.receivers[0].arrivals.wait_for(IN_FLIGHT)
        yield bus


async def _post_until_refused(bus: Served) -> list[int]:
    """Post one notice after the other until the bus takes no connection; give what was said."""
    said: list[int] = []
    while REFUSED not in said:
        said += await bus.post(LATE[len(said)])
    return said


@pytest.mark.slow(reason="starts a server; the first of a run loads the bus")
async def test_a_stop_drains_what_is_in_flight_and_ends_well(busy: Served) -> None:
    busy.forker.signal(signal.SIGTERM)
    said = await _post_until_refused(busy)
    busy.receivers[0].release()
    ended = await busy.forker.ended()

    stored = await busy.rows(deliveries)
    first = [one for one in stored if one["notice_id"] in _accepted(busy, range(IN_FLIGHT))]
    tried = {one["delivery_id"] for one in await busy.rows(attempts)}
    assert ended == 0
    assert set(said) <= {201, 503, REFUSED}
    assert len(first) == IN_FLIGHT
    assert {(one["state"], one["attempts"]) for one in first} == {(DeliveryState.DELIVERED, 1)}
    assert {one["id"] for one in first} <= tried
    assert {one["notice_id"] for one in stored} == set(busy.accepted.values())


@pytest.mark.slow(reason="starts a server; the first of a run loads the bus")
async def test_a_second_signal_cancels_and_the_next_start_repeats_under_the_same_ids(
    busy: Served,
) -> None:
    busy.forker.signal(signal.SIGTERM)
    await _post_until_refused(busy)
    busy.forker.signal(signal.SIGTERM)
    ended = await busy.forker.ended()
    before = {one.headers["webhook-id"]: one.body for one in busy.arrivals()}

    busy.receivers[0].release()
    await busy.start()
    await busy.until_quiet()

    stored = await busy.rows(deliveries)
    repeated = busy.arrivals()[len(before) :]
    assert ended == 130
    assert len(before) == IN_FLIGHT
    assert {one["state"] for one in stored} == {DeliveryState.DELIVERED}
    assert {one["notice_id"] for one in stored} == set(busy.accepted.values())
    assert before.items() <= {one.headers["webhook-id"]: one.body for one in repeated}.items()


def _accepted(bus: Served, numbers: range) -> set[str]:
    return {bus.accepted[one] for one in numbers}
