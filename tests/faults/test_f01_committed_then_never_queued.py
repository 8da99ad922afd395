"""F1: committed, then the process dies before anything is queued.

Better: it is delivered all the same, and the poster's retry under the same key gets 201 of it.
"""

import signal
from pathlib import Path

import pytest

from harness.forked import Forker
from harness.place import embedded
from harness.served import served
from noticebus.faultpoints import FaultPoint
from noticebus.store.tables import notices


@pytest.mark.slow(reason="two starts of a server; the first of a run loads the bus")
async def test_f01_what_was_committed_and_never_queued_is_delivered_and_its_retry_gets_201(
    tmp_path: Path, forker: Forker
) -> None:
    async with embedded(tmp_path) as place, served(place, forker) as bus:
        await bus.start(crash_at=FaultPoint.INTAKE_COMMITTED)
        unanswered = await bus.post(1)
        assert await forker.ended() == -signal.SIGKILL

        await bus.start()
        await bus.until_quiet()
        delivered = [one.headers["webhook-id"] for one in bus.arrivals()]
        retried = await bus.post(1)
        await bus.until_quiet()

        (stored,) = await bus.rows(notices)
        assert unanswered == [0]
        assert len(delivered) == 1
        assert retried == [201]
        assert bus.accepted == {1: stored["id"]}
        assert [one.headers["webhook-id"] for one in bus.arrivals()] == delivered
