"""A soak on PostgreSQL and Kafka: steady notices while broker and database are stopped and started.

python -m bench.soak [--minutes 10] [--rate 50] [--fan-out 20] [--bad 0.05] [--json FILE]

Prints its counts: accepted, delivered, missing, arrivals more than once under one id, memory. A
post that is refused is sent again under its key. Ends with 1 if anything is missing.
"""

import argparse
import asyncio
import contextlib
import math
import os
import pwd
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from bench import options as given
from bench.harness import ROOT, Posted, Running, measured, profile
from bench.publisher import NotAcceptedError
from noticebus.bus.options import KafkaOptions
from noticebus.bus.topics import init_topics
from noticebus.store import migrate

sys.path.insert(0, str(ROOT / "tests"))
from harness import kafka, postgres, run

WAYS = ("fail", "hang", "drip", "flood")
AWAY_S = 5.0
SAMPLE_EVERY_S = 5.0
TRY_AGAIN_S = 1.0
SETTLE_S = 180.0
POSTS_AT_ONCE_MAX = 256


class Server:
    """The run's PostgreSQL, to be killed and started again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._data = home / "data"
        self._control = Path(psutil.Process(self._pid()).exe()).with_name("pg_ctl")

    def _pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])

    async def stop(self) -> None:
        """Stop it as a crash would: nothing is written out."""
        await asyncio.to_thread(self._call, "stop", "-m", "immediate")

    async def start(self) -> None:
        """Start it as it was started before, and wait until it answers."""
        _program, *options = shlex.split((self._data / "postmaster.opts").read_text())
        words = [one for one in options if one not in {"-D", str(self._data)}]
        await asyncio.to_thread(
            self._call, "start", "-l", str(self._home / "log"), "-o", shlex.join(words)
        )
        run.note_process(self._home / "server.json", self._pid())

    def _call(self, *words: str) -> None:
        owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        subprocess.run(  # noqa: S603 - the program that started it
            [self._control, *words, "-w", "-D", self._data],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=None if owner is None else owner.pw_uid,
            group=None if owner is None else owner.pw_gid,
            extra_groups=None if owner is None else [],
            cwd="/",
            check=True,
        )


@dataclass(slots=True, kw_only=True)
class Counts:
    """What happened so far."""

    accepted: dict[int, Posted] = field(default_factory=dict)
    refused: int = 0
    restarts: dict[str, int] = field(default_factory=lambda: {"broker": 0, "database": 0})
    memory_mb: dict[str, list[float]] = field(default_factory=dict)


async def soak(options: argparse.Namespace) -> dict[str, Any]:
    """Run it all, and say what came of it."""
    bad = [WAYS[number % len(WAYS)] for number in range(_bad_of(options))]
    os.environ[postgres.DURABLE_SETTING] = "1"
    begun = run.begin()
    try:
        async with contextlib.AsyncExitStack() as stack:
            database_url = await stack.enter_async_context(postgres.fresh_database())
            broker = await stack.enter_async_context(kafka.private())
            await migrate.upgrade(database_url)
            await init_topics(KafkaOptions(bootstrap=broker.bootstrap, replication=1))
            running = await stack.enter_async_context(
                profile(
                    "production",
                    fan_out=options.fan_out,
                    bad=bad,
                    servers=(database_url, broker.bootstrap),
                )
            )
            server = Server(run.folder() / "postgres")
            return await _measure(running, server, broker, options=options, bad=len(bad))
    finally:
        run.end(begun)


def _bad_of(options: argparse.Namespace) -> int:
    return math.ceil(float(options.fan_out * options.bad))


async def _measure(
    running: Running,
    server: Server,
    broker: kafka.Broker,
    *,
    options: argparse.Namespace,
    bad: int,
) -> dict[str, Any]:
    counts, seconds = Counts(), options.minutes * 60
    good = options.fan_out - bad
    async with asyncio.TaskGroup() as tasks:
        sampling = tasks.create_task(_sample(running, counts))
        async with asyncio.TaskGroup() as together:
            together.create_task(_disturb(server, broker, counts, seconds=seconds))
            together.create_task(_post(running, counts, seconds=seconds, rate=options.rate))
        settled = await _settle(running, expected=len(counts.accepted) * good)
        sampling.cancel()
    report = await running.arrivals()
    arrived = {notice: len(at) for notice, at in report["arrivals"].items() if notice}
    unique = await running.arrived()
    expected = len(counts.accepted) * good
    strangers = set(arrived) - {one.notice_id for one in counts.accepted.values()}
    return {
        "minutes": options.minutes,
        "rate": options.rate,
        "fan_out": options.fan_out,
        "bad_endpoints": bad,
        "accepted": len(counts.accepted),
        "posts_refused_and_repeated": counts.refused,
        "expected": expected,
        "delivered": unique,
        "missing": expected - unique,
        "of_no_accepted_notice": len(strangers),
        "again_by_same_id": report["doubled"],
        "settled_after_s": settled,
        "restarts": counts.restarts,
        "memory_mb": {name: _trend(values) for name, values in counts.memory_mb.items()},
    }


async def _post(running: Running, counts: Counts, *, seconds: float, rate: float) -> None:
    """Post at a steady rate, whatever the answers; each is sent until it is taken."""
    start = time.monotonic()
    slots = asyncio.Semaphore(POSTS_AT_ONCE_MAX)
    async with asyncio.TaskGroup() as tasks:
        for number in range(round(seconds * rate)):
            await asyncio.sleep(max(start + number / rate - time.monotonic(), 0))
            await slots.acquire()
            task = tasks.create_task(_until_taken(running, counts, number))
            task.add_done_callback(lambda _done: slots.release())


async def _until_taken(running: Running, counts: Counts, number: int) -> None:
    while True:
        try:
            counts.accepted[number] = await running.post(number)
        except (NotAcceptedError, OSError, TimeoutError):
            counts.refused += 1
            await asyncio.sleep(TRY_AGAIN_S)
        else:
            return


async def _disturb(server: Server, broker: kafka.Broker, counts: Counts, *, seconds: float) -> None:
    """Stop broker, database, and both, four times in all, and start them after five seconds."""
    pause = seconds / 5 - AWAY_S
    for away in (("broker",), ("database",), ("broker", "database"), ("database",)):
        await asyncio.sleep(max(pause, 1))
        if "broker" in away:
            await broker.stop()
        if "database" in away:
            await server.stop()
        await asyncio.sleep(AWAY_S)
        if "database" in away:
            await server.start()
        if "broker" in away:
            await broker.start()
        for one in away:
            counts.restarts[one] += 1


async def _sample(running: Running, counts: Counts) -> None:
    """Note the memory of our processes and of the receiver, and how it went, until cancelled."""
    while True:
        for part in (*running.parts, running.receiver):
            with contextlib.suppress(psutil.Error):
                assert part.process is not None
                used = psutil.Process(part.process.pid).memory_info().rss / 2**20
                counts.memory_mb.setdefault(part.name, []).append(used)
        await asyncio.sleep(SAMPLE_EVERY_S)


async def _settle(running: Running, *, expected: int) -> float:
    """Wait until everything expected has arrived; say how long that took."""
    began = time.monotonic()
    while (  # noqa: ASYNC110 - another process
        await running.arrived() < expected and time.monotonic() - began < SETTLE_S
    ):
        await asyncio.sleep(0.5)
    return round(time.monotonic() - began, 1)


def _trend(values: Sequence[float]) -> dict[str, float]:
    """Give the memory at the start, after each eighth of the run, and at its most."""
    last = len(values) - 1
    eighths = {f"{part}/8": values[round(last * part / 8)] for part in range(1, 9)}
    trend = {"start": values[0], **eighths, "most": max(values)}
    return {name: round(value, 1) for name, value in trend.items()}


def main() -> None:
    """Soak, print the counts, and end with 1 if anything is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=50.0, help="notices a second")
    parser.add_argument("--fan-out", type=int, default=20)
    parser.add_argument("--bad", type=float, default=0.05, help="share of endpoints, rounded up")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = measured(soak(options))
    console = Console(width=120)
    for name, value in found.items():
        console.print(f"{name.replace('_', ' ')}: {value}")
    if options.json is not None:
        given.write(
            options.json, {"rows": [{"scenario": "soak", "profile": "production", **found}]}
        )
    sys.exit(1 if found["missing"] or found["of_no_accepted_notice"] else 0)


if __name__ == "__main__":
    main()
