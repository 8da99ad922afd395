"""A process dies at every point between claim, commit, send, answer and record: nothing is lost.

Each case posts a burst to a served bus that kills itself at one named point, starts it again,
repeats the posts that had no answer, and compares what is stored with what the recipients counted.
"""

import asyncio
import json
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness import kafka
from harness.forked import Forker
from harness.place import Place, embedded, production
from harness.receivers import Behaviour
from harness.served import Served, served
from noticebus.contracts.vocabulary import Cause, DeliveryState
from noticebus.faultpoints import FaultPoint
from noticebus.store.tables import deliveries, entries, notices, obligations, steps

NOTICES = 5
RECIPIENTS = 3
# The n-th time a point is reached: in the middle of the burst, where that is sure to come.
AT = {
    FaultPoint.INTAKE_STORED: 2,
    FaultPoint.INTAKE_COMMITTED: 2,
    FaultPoint.INTAKE_ANSWERED: 2,
    FaultPoint.BUS_PUBLISHING: 2,
    FaultPoint.BUS_RECEIVED: 2,
    FaultPoint.BUS_CLAIMED: 2,
    FaultPoint.SWEEP_CLAIMED: 1,
    FaultPoint.DISPATCHER_CLAIMED: 7,
    FaultPoint.DISPATCHER_SENT: 7,
    FaultPoint.DISPATCHER_ANSWERED: 7,
    FaultPoint.DISPATCHER_RECORDING: 2,
    FaultPoint.DISPATCHER_RECORDED: 2,
    FaultPoint.RETRY_RECORDED: 1,
    FaultPoint.BACKLOG_LET_GO: 1,
    FaultPoint.ENGINE_FIRING: 1,
    FaultPoint.ENGINE_FIRED: 1,
    FaultPoint.SEQUENCER_INDEXING: 2,
    FaultPoint.SEQUENCER_INDEXED: 2,
}
CASES = [
    (profile, point)
    for profile in ("embedded", "production")
    for point in FaultPoint
    if profile == "production" or point is not FaultPoint.BUS_PUBLISHING  # Kafka's publisher
]


@pytest.fixture
async def place(profile: str, tmp_path: Path) -> AsyncIterator[Place]:
    made = (
        embedded(tmp_path)
        if profile == "embedded"
        else production(tmp_path, bootstrap=await kafka.shared())
    )
    async with made as lent:
        yield lent


@pytest.mark.slow(reason="two starts of a server; the first of a run loads the bus")
@pytest.mark.parametrize(("profile", "point"), CASES)
async def test_a_crash_loses_nothing_and_doubles_nothing_unknowingly(
    point: FaultPoint, place: Place, forker: Forker
) -> None:
    async with served(place, forker, recipients=RECIPIENTS, steps=True) as bus:
        await bus.start(crash_at=f"{point}:{AT[point]}")
        async with asyncio.TaskGroup() as tasks:
            posting = tasks.create_task(_post_burst(bus, at=point))
            died_of = await forker.ended()
            await posting
        promised = set(bus.accepted.values())
        differed = await bus.counters_audited()

        await bus.start()
        await bus.post(*range(NOTICES))
        await bus.until_quiet()
        await forker.kill()

        assert died_of == -signal.SIGKILL
        assert differed == [], "what the dead had not indexed is known to wait"
        assert promised <= set(bus.accepted.values())
        await _nothing_is_lost(bus)
        _repeats_are_recognisable(bus)
        await _every_step_fired_once(bus)
        assert await bus.audited() == []


async def _post_burst(bus: Served, *, at: FaultPoint) -> None:
    """Post one notice, and the others at once; one recipient fails once.

    Where a backlog is to go, another has paused meanwhile.
    """
    bus.receivers[-1].then.append(Behaviour(status=503))
    await bus.post(0)
    if at is FaultPoint.BACKLOG_LET_GO:
        await bus.tell("pause")
    await bus.post(*range(1, NOTICES))
    if at is FaultPoint.BACKLOG_LET_GO:
        await bus.tell("resume")


async def _nothing_is_lost(bus: Served) -> None:
    """See that accepted minus delivered is zero, by the rows and by what was counted."""
    stored = await bus.rows(deliveries)
    failed = bus.receivers[-1].arrivals.all[0]
    answered_well = [one for one in bus.arrivals() if one is not failed]
    causes = Counter(one["cause"] for one in stored)
    stepped = {one["id"] for one in stored if one["cause"] is Cause.STEP}
    accepted = {one["id"] for one in await bus.rows(notices)}

    assert accepted == set(bus.accepted.values())
    assert len(accepted) == NOTICES
    assert causes.keys() == {Cause.NOTICE, Cause.STEP}
    assert causes[Cause.NOTICE] == NOTICES * RECIPIENTS
    assert stepped == await _entered_with_steps(bus)
    assert {one["state"] for one in stored} == {DeliveryState.DELIVERED}
    assert {one["id"] for one in stored} == {one.headers["webhook-id"] for one in answered_well}


def _repeats_are_recognisable(bus: Served) -> None:
    """See that what came twice has one id and the same bytes, and nothing came under two ids."""
    bodies: defaultdict[str, set[bytes]] = defaultdict(set)
    ids: defaultdict[tuple[int, str, str], set[str]] = defaultdict(set)
    for number, receiver in enumerate(bus.receivers):
        for one in receiver.arrivals.all:
            event = json.loads(one.body)
            bodies[one.headers["webhook-id"]].add(one.body)
            ids[number, event["type"], event["subject"]].add(one.headers["webhook-id"])

    assert {len(one) for one in bodies.values()} == {1}
    assert {len(one) for one in ids.values()} == {1}


async def _every_step_fired_once(bus: Served) -> None:
    owed = {one["id"] for one in await bus.rows(obligations)}
    fired = Counter(one["obligation_id"] for one in await bus.rows(steps))

    assert len(owed) == NOTICES * RECIPIENTS
    assert fired == dict.fromkeys(owed, 1)


async def _entered_with_steps(bus: Served) -> set[str]:
    """Give the deliveries that the ledger says steps have made."""
    bodies = [json.loads(one["body"]) for one in await bus.rows(entries)]
    made = [one["data"]["deliveries"] for one in bodies if one["type"] == "escalation.stepped"]
    return {delivery_id for each in made for delivery_id in each}
