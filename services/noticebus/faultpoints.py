"""Named points at which the tests kill a process: between a claim, a commit, a send and a record.

A point does nothing unless `NOTICEBUS_TEST_CRASH_AT` named it when this module was loaded.
"""

import os
import signal
from enum import StrEnum

CRASH_AT = "NOTICEBUS_TEST_CRASH_AT"  # a point's name; with `:n` the n-th time it is reached


class FaultPoint(StrEnum):
    """Where a crash is most awkward. Each is reached at exactly one place of the code."""

    INTAKE_STORED = "intake.stored"  # everything is written, nothing committed
    INTAKE_COMMITTED = "intake.committed"  # the poster has not heard, the bus has nothing
    INTAKE_ANSWERED = "intake.answered"  # the answer is given, and not yet on the wire
    BUS_PUBLISHING = "bus.publishing"  # offered to Kafka, which has nothing yet
    BUS_RECEIVED = "bus.received"  # a shard is in a dispatcher's hands, nothing is claimed
    BUS_CLAIMED = "bus.claimed"  # the claim is committed, the shard's offset is not
    SWEEP_CLAIMED = "sweep.claimed"  # the sweep's claim is committed
    DISPATCHER_CLAIMED = "dispatcher.claimed"  # about to send
    DISPATCHER_SENT = "dispatcher.sent"  # the recipient has it, its answer is not read
    DISPATCHER_ANSWERED = "dispatcher.answered"  # the answer is read, not yet recorded
    DISPATCHER_RECORDING = "dispatcher.recording"  # the record is written, not committed
    DISPATCHER_RECORDED = "dispatcher.recorded"  # the record is committed
    RETRY_RECORDED = "retry.recorded"  # a failure is recorded, and the next try set
    BACKLOG_LET_GO = "backlog.let_go"  # what waited is let go and committed; nothing is sent
    ENGINE_FIRING = "engine.firing"  # a step is written, not committed
    ENGINE_FIRED = "engine.fired"  # a step is committed, the bus has nothing
    SEQUENCER_INDEXING = "sequencer.indexing"  # given and counted, not committed
    SEQUENCER_INDEXED = "sequencer.indexed"  # indexes and counters are committed


class _Trap:
    """The one point that kills this process, and how often it may be passed before."""

    def __init__(self, text: str) -> None:
        name, _, count = text.partition(":")
        self._point = FaultPoint(name)  # a name that nothing reaches would test nothing
        self._left = int(count or 1)

    def spring(self, point: FaultPoint) -> None:
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


_trap = _Trap(os.environ[CRASH_AT]) if CRASH_AT in os.environ else None


def reach(point: FaultPoint) -> None:
    """Pass a point, or die there as by a power cut: nothing is flushed, closed or rolled back."""
    if _trap is not None:
        _trap.spring(point)
