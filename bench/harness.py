"""Starts what is measured, as an operator would: each part its own process; reads its figures.

`profile` runs the bus (embedded: one process; production: PostgreSQL, Kafka and the processes of a
layout), a counting receiver, and endpoints that misbehave where they are asked for. The publisher
is the harness's own process.
"""

import asyncio
import contextlib
import json
import math
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvloop

from bench.cast import COUNTY, seed
from bench.processes import ROOT, Part, PartError, used_by_this, used_by_tree
from bench.publisher import Posted, Publisher, ask

__all__ = ["ROOT", "Posted", "Running", "percentile", "post_all", "post_at", "profile", "wait_for"]

RUN_FOLDER = "NOTICEBUS_TEST_RUN_DIR"  # set while the suite's servers may run
ARRIVE_S = 120
ASK_S = 30
ADDRESSES_MAX = 50  # of good endpoints, which share them where they are more: 127.0.0.1 and after
BAD_FROM = 101  # the last part of the first bad address
LAYOUTS = {
    "embedded": "gateway,dispatcher,ledger",
    "production": "gateway,ledger dispatcher",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A profile that runs, with its receiver."""

    name: str
    layout: str
    publisher: Publisher
    receiver: Part
    parts: Sequence[Part]  # our own processes, the gateway's first
    servers: Mapping[str, int] = field(default_factory=dict)  # process numbers by name
    watchers: asyncio.TaskGroup

    @property
    def pid(self) -> int:
        """Give the process number of the first of our processes."""
        return int(_said(self.parts[0])["pid"])

    async def figures(self) -> dict[str, Any]:
        """Read what all parts have used: our statements and CPU seconds together, memory apart."""
        ours = {part.name: await self._ask(part, "GET", "/bench") for part in self.parts}
        statements: Counter[str] = Counter()
        for one in ours.values():
            statements.update(dict(one.get("by_statement", ())))
        counted = [one["statements"] for one in ours.values() if "statements" in one]
        used = {
            "publisher": used_by_this(),
            "receiver": await self._ask(self.receiver, "GET", "/used"),
            **{name: used_by_tree(pid) for name, pid in self.servers.items()},
        }
        return {
            "statements": sum(counted) if counted else None,
            "rows_of_many": sum(one.get("rows_of_many", 0) for one in ours.values()),
            "by_statement": statements.most_common(),
            "cpu_s": sum(one["cpu_s"] for one in ours.values()),
            "memory_mb": sum(one["memory_mb"] for one in ours.values()),
            "processes": {
                name: {key: one[key] for key in ("cpu_s", "memory_mb")}
                for name, one in {**ours, **used}.items()
            },
        }

    async def arrivals(self) -> dict[str, Any]:
        """Read what the receiver counted: first arrivals by notice, their count, repeats."""
        return await self._ask(self.receiver, "GET", "/report")

    async def arrived(self) -> int:
        """Count the different webhooks that have arrived."""
        return int((await self._ask(self.receiver, "GET", "/count"))["count"])

    async def wait(self, count: int, *, within_s: float = ARRIVE_S) -> bool:
        """Wait until `count` different webhooks have arrived; false after `within_s`."""
        path = f"/wait?count={count}&within={within_s}"
        found = await self._ask(self.receiver, "GET", path, within_s=within_s + ASK_S)
        return int(found["count"]) >= count

    async def make_overdue(self, part: str) -> int:
        """Make overdue retries of what still goes to endpoints whose address holds `part`."""
        found = await self._ask(self.parts[0], "POST", f"/bench/overdue?part={part}")
        return int(found["overdue"])

    async def restart(self, part: Part) -> None:
        """Start a part that was killed, on its old port."""
        await part.start()
        self.watchers.create_task(part.watch())

    async def _ask(
        self, part: Part, method: str, path: str, *, within_s: float = ASK_S
    ) -> dict[str, Any]:
        said = _said(part)
        port = said.get("control", said["port"])
        try:
            body = await ask(("127.0.0.1", port), method, path, within_s=within_s)
        except (OSError, TimeoutError) as error:
            message = f"{part.name} did not answer {method} {path}: {error!r}"
            raise PartError(message) from error
        found: dict[str, Any] = json.loads(body)
        return found

    async def post(self, number: int) -> Posted:
        """Post one notice and say when it was sent and answered."""
        return await self.publisher.post(number)


@contextlib.asynccontextmanager
async def profile(  # noqa: PLR0913 - each is one thing that scenarios differ in
    name: str,
    *,
    fan_out: int,
    concurrency: int = 16,
    bad: Sequence[str] = (),
    servers: tuple[str, str | None] | None = None,
    layout: str | None = None,
    counties: Sequence[str] = (COUNTY,),
    addresses: int | None = None,
    count: bool = True,
) -> AsyncIterator[Running]:
    """Run `embedded` or `production` with `fan_out` recipients in each of `counties`.

    With `bad`, ways to misbehave, as many of the recipients have such an endpoint, and each good
    one an address of its own. `servers`, database and broker, stand in for those of the profile.
    `layout` lists our processes by their roles ("gateway,ledger dispatcher"; "gateway*2" is two).
    `addresses` is how many the good endpoints share. `count` counts SQL statements.
    """
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        # A part that ends by itself ends the block. They are ended before the group is left.
        watchers = await stack.enter_async_context(asyncio.TaskGroup())
        good = fan_out * len(counties) - len(bad)
        shared = addresses or min(good, ADDRESSES_MAX)
        receiver = Part(name="receiver", module="bench.receiver", arguments=(str(shared),))
        port = (await _start(stack, watchers, receiver))["port"]
        urls = [
            f"http://127.0.0.{1 + number % shared}:{port}/hook/{number}" for number in range(good)
        ]
        if bad:
            worse = Part(name="misbehaving", module="bench.misbehaving", arguments=(str(len(bad)),))
            elsewhere = (await _start(stack, watchers, worse))["port"]
            urls += [
                f"http://127.0.0.{number}:{elsewhere}/{way}"
                for number, way in enumerate(bad, start=BAD_FROM)
            ]
        prefix = f"bench-{secrets.token_hex(4)}"
        database_url, kafka = servers or await _servers(stack, name, folder, prefix=prefix)
        settings = {
            "data_dir": folder,
            "database_url": database_url,
            "kafka_bootstrap": kafka,
            "kafka_prefix": "noticebus" if servers else prefix,
            "kafka_replication": 1,
            "egress_allow": "127.0.0.0/8",
            "endpoint_concurrency": concurrency,
            "secret_key": secrets.token_hex(32),
        }
        key = await _seed(settings, urls, counties)
        layout = layout or LAYOUTS[name]
        gateway = stack.enter_context(_reserved_port())
        parts = list(_parts(layout, settings, gateway=gateway, count=count))
        for part in parts:  # one after the other: the first may have something to make
            await _start(stack, watchers, part)
        publisher = Publisher(("127.0.0.1", gateway), key, counties=counties)
        stack.callback(publisher.close)
        yield Running(
            name=name,
            layout=layout,
            publisher=publisher,
            receiver=receiver,
            parts=parts,
            servers={} if kafka is None else _server_pids(),
            watchers=watchers,
        )


def _said(part: Part) -> Mapping[str, Any]:
    assert part.said is not None, f"{part.name} was started"
    return part.said


async def _start(
    stack: contextlib.AsyncExitStack, watchers: asyncio.TaskGroup, part: Part
) -> Mapping[str, Any]:
    stack.push_async_callback(part.end)
    said = await part.start()
    watchers.create_task(part.watch())
    return said


def _parts(
    layout: str, settings: Mapping[str, Any], *, gateway: int, count: bool
) -> Iterator[Part]:
    for word in sorted(layout.split(), key=lambda word: "gateway" not in word):
        roles, _, times = word.partition("*")
        for number in range(int(times or 1)):
            options = {
                "settings": settings,
                "roles": roles.split(","),
                "port": gateway if "gateway" in roles else 0,
                "count": count,
            }
            name = f"{roles} {number + 1}" if times else roles
            yield Part(name=name, module="bench.system", arguments=(json.dumps(options),))


@contextlib.contextmanager
def _reserved_port() -> Iterator[int]:
    """Hold a free port that our gateways share, one that was killed and starts again as well."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))  # it does not listen, so nobody is connected to it
        yield held.getsockname()[1]


async def _seed(settings: Mapping[str, Any], urls: Sequence[str], counties: Sequence[str]) -> str:
    from noticebus import wiring  # noqa: PLC0415 - a second, which other users need not wait
    from noticebus.settings import Settings  # noqa: PLC0415

    desk = await wiring.open_desk(Settings(**settings))
    try:
        return await seed(desk, urls, counties=counties)
    finally:
        await desk.database.close()


async def _servers(
    stack: contextlib.AsyncExitStack, name: str, folder: str, *, prefix: str
) -> tuple[str, str | None]:
    if name == "embedded":
        return f"sqlite+aiosqlite:///{folder}/noticebus.db", None
    from noticebus.bus.options import KafkaOptions  # noqa: PLC0415 - only where Kafka is used
    from noticebus.bus.topics import init_topics  # noqa: PLC0415
    from noticebus.store import migrate  # noqa: PLC0415

    stack.enter_context(servers_kept())
    from harness import kafka, postgres  # noqa: PLC0415 - the test suite's own servers

    database_url = await stack.enter_async_context(postgres.fresh_database())
    bootstrap = await kafka.shared()
    await migrate.upgrade(database_url)
    await init_topics(KafkaOptions(bootstrap=bootstrap, prefix=prefix))
    return database_url, bootstrap


@contextlib.contextmanager
def servers_kept() -> Iterator[None]:
    """Keep PostgreSQL and Kafka, once they are started, until the outermost such block ends."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.insert(0, str(ROOT / "tests"))
    from harness import postgres, run  # noqa: PLC0415 - the test suite's own servers

    os.environ[postgres.DURABLE_SETTING] = "1"  # what is measured waits for the disk
    if RUN_FOLDER in os.environ:
        yield
        return
    begun = run.begin()
    try:
        yield
    finally:
        run.end(begun)


def _server_pids() -> dict[str, int]:
    """Find the servers of this run; one that somebody else started is not ours to look into."""
    from harness import run  # noqa: PLC0415 - the test suite's own servers

    found = {}
    for note in run.folder().glob("*/server.json"):
        name = "postgres" if note.parent.name.startswith("postgres") else "kafka"
        found[name] = int(json.loads(note.read_text())["pid"])
    return found


async def post_all(running: Running, count: int, *, at_once: int) -> list[Posted]:
    """Post `count` notices, `at_once` at a time."""
    return await running.publisher.post_all(count, at_once=at_once)


async def post_at(running: Running, count: int, *, per_second: float) -> list[Posted]:
    """Post `count` notices at a steady rate, whatever the answers take."""
    return await running.publisher.post_at(count, per_second=per_second)


async def wait_for(running: Running, count: int) -> bool:
    """Wait until `count` different webhooks have arrived; false after `ARRIVE_S`."""
    return await running.wait(count)


def percentile(values: Sequence[float], share: float) -> float:
    """Give the nearest-rank percentile of `values`."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def measured(measuring: Coroutine[Any, Any, Any]) -> Any:
    """Run a measurement on uvloop; where a part failed, end with what it said, not with a trace.

    Told to end, by SIGTERM or Ctrl-C, it ends its parts first.
    """
    try:
        return uvloop.run(_until_told(measuring))
    except* PartError as errors:
        sys.exit("; ".join(str(one) for one in errors.exceptions))


async def _until_told(measuring: Coroutine[Any, Any, Any]) -> Any:
    everything = asyncio.current_task()
    assert everything is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, everything.cancel)
    try:
        return await measuring
    except asyncio.CancelledError:
        message = "Told to end before it was done."
        raise PartError(message) from None
