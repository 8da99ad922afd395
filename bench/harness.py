"""Starting what is measured, posting to it, reading the figures: each part its own process."""

import asyncio
import contextlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.cast import notice

ROOT = Path(__file__).parents[1]
START_S = 90
ARRIVE_S = 120
ADDRESSES_MAX = 50  # good endpoints with an address of their own: 127.0.0.1 and after
BAD_FROM = 101  # the last part of the first bad address


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A profile that runs, with its receiver."""

    url: str
    receiver: str
    key: str
    pid: int
    session: aiohttp.ClientSession

    async def figures(self) -> dict[str, Any]:
        """Read the system's own count of statements, CPU seconds and memory."""
        return await self._get(f"{self.url}/bench")

    async def arrivals(self) -> dict[str, Any]:
        """Read what the receiver counted."""
        return await self._get(f"{self.receiver}/report")

    async def arrived(self) -> int:
        """Count the different webhooks that have arrived."""
        return int((await self._get(f"{self.receiver}/count"))["count"])

    async def make_overdue(self, part: str) -> int:
        """Make overdue retries of what still goes to endpoints whose address holds `part`."""
        async with self.session.post(
            f"{self.url}/bench/overdue", params={"part": part}
        ) as response:
            return int((await response.json())["overdue"])

    async def _get(self, url: str) -> dict[str, Any]:
        async with self.session.get(url) as response:
            found: dict[str, Any] = await response.json()
            return found

    async def post(self, number: int) -> "Posted":
        """Post one notice and say when it was sent and answered."""
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": f"bench-{number}"}
        sent = time.monotonic()
        async with self.session.post(
            f"{self.url}/v1/notices", json=notice(number), headers=headers
        ) as response:
            body = await response.json()
            assert response.status == 201, body
        return Posted(notice_id=body["id"], sent=sent, answered=time.monotonic())


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One accepted notice: instants of the monotonic clock."""

    notice_id: str
    sent: float
    answered: float


@contextlib.asynccontextmanager
async def profile(
    name: str,
    *,
    fan_out: int,
    concurrency: int = 16,
    bad: Sequence[str] = (),
    servers: tuple[str, str | None] | None = None,
) -> AsyncIterator[Running]:
    """Run `embedded` or `production` with `fan_out` recipients and a receiver.

    With `bad`, ways to misbehave, as many of the recipients have such an endpoint, and each good
    one an address of its own. `servers`, database and broker, stand in for those of the profile.
    """
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        good = fan_out - len(bad)
        apart = str(good) if fan_out <= ADDRESSES_MAX else "1"
        port = int(await stack.enter_async_context(_process("bench.receiver", apart)))
        urls = [
            f"http://127.0.0.{1 + number % int(apart)}:{port}/hook/{number}"
            for number in range(good)
        ]
        if bad:
            elsewhere = int(
                await stack.enter_async_context(_process("bench.misbehaving", str(len(bad))))
            )
            urls += [
                f"http://127.0.0.{number}:{elsewhere}/{way}"
                for number, way in enumerate(bad, start=BAD_FROM)
            ]
        database_url, kafka = servers or await _servers(stack, name, folder)
        options = {
            "folder": folder,
            "database_url": database_url,
            "kafka": kafka,
            "urls": urls,
            "concurrency": concurrency,
        }
        said = json.loads(
            await stack.enter_async_context(_process("bench.system", json.dumps(options)))
        )
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256))
        )
        yield Running(
            url=f"http://127.0.0.1:{said['port']}",
            receiver=f"http://127.0.0.1:{port}",
            key=said["key"],
            pid=said["pid"],
            session=session,
        )


async def _servers(
    stack: contextlib.AsyncExitStack, name: str, folder: str
) -> tuple[str, str | None]:
    if name == "embedded":
        return f"sqlite+aiosqlite:///{folder}/noticebus.db", None
    sys.path.insert(0, str(ROOT / "tests"))
    from harness import kafka, postgres, run  # noqa: PLC0415 - the test suite's own servers
    from noticebus.bus.options import KafkaOptions  # noqa: PLC0415
    from noticebus.bus.topics import init_topics  # noqa: PLC0415
    from noticebus.store import migrate  # noqa: PLC0415

    os.environ[postgres.DURABLE_SETTING] = "1"  # what is measured waits for the disk
    begun = run.begin()
    stack.callback(run.end, begun)
    database_url = await stack.enter_async_context(postgres.fresh_database())
    bootstrap = await kafka.shared()
    await migrate.upgrade(database_url)
    await init_topics(KafkaOptions(bootstrap=bootstrap))
    return database_url, bootstrap


@contextlib.asynccontextmanager
async def _process(module: str, *arguments: str) -> AsyncIterator[str]:
    """Run a module as a process and give its first line; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=2**20,
        env=_environment(),
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        if not line:
            message = f"{module} ended before it was ready; its error stands above."
            raise RuntimeError(message)
        yield line.decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'services'}:{ROOT / 'tests'}"}


async def post_all(running: Running, count: int, *, at_once: int, first: int = 0) -> list[Posted]:
    """Post `count` notices, `at_once` at a time."""
    waiting = iter(range(first, first + count))
    posted: list[Posted] = []

    async def poster() -> None:
        for number in waiting:
            posted.append(await running.post(number))  # noqa: PERF401 - the list is shared

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(poster())
    return posted


async def post_at(
    running: Running, count: int, *, per_second: float, first: int = 0
) -> list[Posted]:
    """Post `count` notices at a steady rate, whatever the answers take."""
    start = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        handed = []
        for number in range(count):
            await asyncio.sleep(max(start + number / per_second - time.monotonic(), 0))
            handed.append(tasks.create_task(running.post(first + number)))
    return [one.result() for one in handed]


async def wait_for(running: Running, count: int) -> bool:
    """Wait until `count` different webhooks have arrived; false after `ARRIVE_S`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ARRIVE_S):
            while await running.arrived() < count:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
            return True
    return False


def percentile(values: list[float], share: float) -> float:
    """Give the nearest-rank percentile of `values`."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
