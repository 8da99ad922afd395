"""A real Apache Kafka broker on a wheel's Java, or the one `NOTICEBUS_TEST_KAFKA` names.

`python tests/harness/kafka.py` fetches what a broker is made of (`harness.kafka_jars`) and lets one
start once, for what Java learns from it; `--pin` writes the jars' digests anew after a change of
version.
"""

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from harness import kafka_jars, run
from harness.ports import free_port

BOOTSTRAP_SETTING = "NOTICEBUS_TEST_KAFKA"
START_WITHIN_S = 120
LEARN_WITHIN_S = 120
_JVM = (
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xlog:disable",
    "-Djava.awt.headless=true",
)
_LOG4J = """<Configuration status="error"><Appenders><Console name="out">
<PatternLayout pattern="%d{ISO8601} %p %c %m%n"/></Console></Appenders>
<Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""
_CLUSTER_ID = "bm90aWNlYnVzLXRlc3RzMA"
_PROPERTIES = """process.roles=broker,controller
node.id={number}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=2
num.recovery.threads.per.data.dir=1
background.threads=2
"""
_OF_MANY = """default.replication.factor=3
offsets.topic.replication.factor=3
min.insync.replicas=2
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=1000
"""


class Broker:
    """One broker with its own port and data, which a stop and a start keep.

    `controllers` are the ports of a cluster's controllers, of which this is the `number`th. `more`
    are properties beside or instead of those that all brokers have, with `{port}` for its port;
    `users` sign in, each with a password.
    """

    def __init__(
        self,
        home: Path,
        *,
        number: int = 1,
        controllers: Sequence[int] = (),
        more: str = "",
        users: Mapping[str, str] | None = None,
    ) -> None:
        self._home = home
        self.number = number
        self._port = free_port()
        self._controllers = controllers or (free_port(),)
        self._more = more
        self._users = users or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._learns: Path | None = None
        self.bootstrap = f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start, and return once the broker answers; the first time, format its data."""
        if self._process is None and not (self._home / "server.properties").exists():
            await asyncio.to_thread(self.format)
        self._process = self._spawn("kafka.Kafka", self._home / "server.properties")
        run.note_process(self._home / "server.json", self._process.pid)
        try:
            async with asyncio.timeout(START_WITHIN_S):
                await self._until_ready(self._process)
        except TimeoutError as error:
            await self.stop()
            raise RuntimeError(
                f"Kafka was not ready within {START_WITHIN_S} s: {self._said()}"
            ) from error

    async def stop(self) -> None:
        """Stop the broker; port and data stay for the next start."""
        if self._process is not None:
            await asyncio.to_thread(run.stop_process, psutil.Process(self._process.pid))
            await asyncio.to_thread(self._process.wait)
            self._process = None

    async def teach(self, cache: Path) -> None:
        """Start and stop, and have Java write down in `cache` what it learnt."""
        await asyncio.to_thread(self.format)
        self._learns = cache
        await self.start()
        if self._process is not None:
            self._process.terminate()  # it writes as it ends, which takes a while
            await asyncio.to_thread(self._process.wait, LEARN_WITHIN_S)
            self._process = None

    async def kill(self) -> None:
        """End the broker at once, as a power cut does; it flushes nothing."""
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
            self._process = None

    def lose_data(self) -> None:
        """Put a stopped broker back to the day it was formatted: no topic, no group, no record."""
        assert self._process is None, "stopped before"
        shutil.rmtree(self._home / "data")
        shutil.copytree(self._home / "formatted", self._home / "data")

    def leave_running(self) -> None:
        """Let the broker outlive this process; whoever ends the run stops it by its note."""
        if self._process is not None:
            self._process.returncode = (
                0  # or Popen warns, when it is collected, of a child still running
            )
            self._process = None

    def format(self, *, like: "Broker | None" = None) -> None:
        """Prepare the data; `like` another broker of the cluster, which saves starting a Java."""
        self._home.mkdir(parents=True, exist_ok=True)
        (self._home / "log4j2.xml").write_text(_LOG4J)
        properties = self._home / "server.properties"
        voters = [f"{n}@127.0.0.1:{port}" for n, port in enumerate(self._controllers, start=1)]
        text = _PROPERTIES.format(
            number=self.number,
            voters=",".join(voters),
            port=self._port,
            controller=self._controllers[self.number - 1],
            data=self._home / "data",
        )
        properties.write_text(text + self._more.replace("{port}", str(self._port)))
        if like is None:
            self._format_anew(properties)
        else:
            self._copy_format(like)
        shutil.copytree(self._home / "data", self._home / "formatted")

    def _format_anew(self, properties: Path) -> None:
        users = [
            f"SCRAM-SHA-512=[name={name},password={password}]"
            for name, password in self._users.items()
        ]
        added = [word for user in users for word in ("--add-scram", user)]
        command = ["format", "-t", _CLUSTER_ID, "-c", str(properties), *added]
        if self._spawn("kafka.tools.StorageTool", *command).wait(START_WITHIN_S) != 0:
            raise RuntimeError(f"Kafka could not format its data: {self._said()}")

    def _copy_format(self, like: "Broker") -> None:
        data = self._home / "data"
        shutil.copytree(like._home / "formatted", data)
        meta = {"version": "1", "cluster.id": _CLUSTER_ID, "node.id": str(self.number)}
        meta["directory.id"] = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode()[:22]
        lines = [f"{name}={value}" for name, value in meta.items()]
        (data / "meta.properties").write_text("\n".join(lines) + "\n")

    def _spawn(self, main: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        java, classpath = kafka_jars.java(), f"{kafka_jars.jars()}{os.sep}*"
        logging = f"-Dlog4j2.configurationFile={self._home / 'log4j2.xml'}"
        with (self._home / "log").open("ab") as log:
            return subprocess.Popen(
                [java, *_JVM, *self._learnt(), logging, "-cp", classpath, main, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                start_new_session=True,  # it outlives its worker, and Ctrl-C
            )

    def _learnt(self) -> list[str]:
        """Give Java what it learnt of an earlier broker, which halves the time of a start."""
        if self._learns is not None:
            return [f"-XX:AOTCacheOutput={self._learns}"]
        cache = kafka_jars.learnt()
        return [f"-XX:AOTCache={cache}"] if cache.exists() else []

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if _is_open(self._port) and await _answers(self.bootstrap):
                return
            await asyncio.sleep(0.1)
        raise RuntimeError(f"Kafka ended as it started ({process.returncode}): {self._said()}")

    def _said(self) -> str:
        return (self._home / "log").read_text(errors="replace")[-4000:]


@asynccontextmanager
async def private(
    *, more: str = "", users: Mapping[str, str] | None = None
) -> AsyncIterator[Broker]:
    """Lend a started broker of one's own, to be stopped and started at will."""
    async with _home() as home:
        broker = Broker(home, more=more, users=users)
        try:
            await broker.start()
            yield broker
        finally:
            await broker.stop()


@asynccontextmanager
async def cluster(size: int = 3) -> AsyncIterator[list[Broker]]:
    """Lend a started cluster of one's own, each broker a process, a controller as well."""
    controllers = [free_port() for _ in range(size)]
    async with _home() as home:
        brokers = [
            Broker(home / str(n), number=n, controllers=controllers, more=_OF_MANY)
            for n in range(1, size + 1)
        ]
        try:
            await asyncio.to_thread(brokers[0].format)
            for broker in brokers[1:]:
                await asyncio.to_thread(broker.format, like=brokers[0])
            await start_all(brokers)
            yield brokers
        finally:
            for broker in brokers:
                await broker.kill()


async def start_all(brokers: Sequence[Broker]) -> None:
    """Start brokers together: none is ready before most are."""
    async with asyncio.TaskGroup() as tasks:
        for broker in brokers:
            tasks.create_task(broker.start())


@asynccontextmanager
async def _home() -> AsyncIterator[Path]:
    if not await asyncio.to_thread(_is_possible):
        return
    home = Path(tempfile.mkdtemp(prefix="kafka-", dir=run.folder()))
    try:
        yield home
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


async def shared() -> str:
    """Give the bootstrap address of the run's broker, starting it if no worker has."""
    if bootstrap := os.environ.get(BOOTSTRAP_SETTING):
        return bootstrap
    home = run.folder() / "kafka"
    note = home / "bootstrap"
    with run.only_one("kafka"):
        if not note.exists() and await asyncio.to_thread(_is_possible):
            broker = Broker(home)
            await broker.start()
            broker.leave_running()
            note.write_text(broker.bootstrap)
    return note.read_text()


async def learn() -> None:
    """Let a broker start once, if none has, for what Java learns from it."""
    cache = kafka_jars.learnt()
    if cache.exists():
        return
    run.say("starting a broker once, so that the others start in half the time")
    with tempfile.TemporaryDirectory() as home:
        written = Path(home) / "learnt"
        await Broker(Path(home)).teach(written)
        if written.exists():
            shutil.move(written, cache)


def _is_possible() -> bool:
    try:
        kafka_jars.java()
        kafka_jars.jars()
    except (ImportError, OSError) as error:
        run.unavailable(
            f"No Kafka ({error}): run `make setup` with network once, "
            f"or set {BOOTSTRAP_SETTING} to a broker's address."
        )
        return False
    return True


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def _answers(bootstrap: str) -> bool:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
    try:
        await admin.start()
        await admin.list_topics()
    except (KafkaError, OSError):
        return False
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await admin.close()
    return True


if __name__ == "__main__":
    if "--pin" in sys.argv:
        kafka_jars.pin()
    else:
        kafka_jars.jars()
        asyncio.run(learn())
