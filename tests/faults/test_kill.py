"""kill -9 at any moment after a 201 loses nothing: I1 and I3, at six moments drawn by chance.

`test_crash_matrix.py` kills at the points that are known to be awkward; this looks for others.
"""

import asyncio
import json
import random
import signal
from collections import defaultdict
from pathlib import Path

import pytest

from harness.forked import Forker
from harness.place import embedded
from harness.served import Served, served

NOTICES = 50
SEEDS = range(6)


def sent_of(bus: Served) -> dict[str, set[tuple[str, bytes]]]:
    """Give the deliveries that arrived, by notice: a repeat has the same id and the same bytes."""
    sent: defaultdict[str, set[tuple[str, bytes]]] = defaultdict(set)
    for one in bus.arrivals():
        sent[json.loads(one.body)["subject"]].add((one.headers["webhook-id"], one.body))
    return sent


@pytest.mark.slow(reason="two starts of a server and 50 notices")
@pytest.mark.parametrize("seed", SEEDS)
async def test_kill_after_any_201_loses_no_delivery(
    seed: int, tmp_path: Path, forker: Forker
) -> None:
    """Post 50 notices at once, kill after some were accepted, start again, post the rest."""
    chance = random.Random(seed)
    async with embedded(tmp_path) as place, served(place, forker) as bus:
        await bus.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bus.post(*range(NOTICES)))
            await bus.accepted_at_least(chance.randint(1, NOTICES - 5))
            await asyncio.sleep(chance.random() / 20)  # any moment: between two commits as well
            forker.signal(signal.SIGKILL)
        assert await forker.ended() == -signal.SIGKILL
        promised = set(bus.accepted.values())

        await bus.start()
        await bus.until_quiet()
        kept = sent_of(bus)
        await bus.post(*range(NOTICES))
        await bus.until_quiet()
        await forker.kill()

        sent = sent_of(bus)
        assert promised <= kept.keys()
        assert sent.keys() == set(bus.accepted.values())
        assert len(sent) == NOTICES
        assert all(len(one) == 1 for one in sent.values())
