"""kill -9 at any moment after a 201 loses nothing: I1 and I3, twenty times."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from harness import desk as furnish
from harness import forked
from harness.place import embedded
from harness.receivers import WebhookReceiver, webhook_receiver
from harness.system import open_bus
from noticebus.casework import keys
from noticebus.contracts.key import ApiKeyPost
from noticebus.contracts.vocabulary import AgencyKind, Scope

NOTICES = 50
SEEDS = range(20)
QUIET_WITHIN_S = 30.0
LOOK_EVERY_S = 0.02


@pytest.fixture(scope="module")
def forker() -> Iterator["subprocess.Popen[str]"]:
    """Lend the process whose children serve."""
    paths = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(
        [sys.executable, forked.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    ) as process:
        yield process
        process.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A bus on disk that may be started, and killed, as often as a test likes."""

    folder: Path
    port: int
    key: str
    body: dict[str, object]
    forker: "subprocess.Popen[str]"

    async def start(self) -> int:
        """Start a server and wait until it answers; give its process number."""
        assert self.forker.stdin is not None
        assert self.forker.stdout is not None
        self.forker.stdin.write(f"{self.folder} {self.port}\n")
        self.forker.stdin.flush()
        child = int(await asyncio.to_thread(self.forker.stdout.readline))
        async with asyncio.timeout(QUIET_WITHIN_S), self.client() as client:
            while not await _answers(client):  # noqa: ASYNC110 - it is another process that ends it
                await asyncio.sleep(LOOK_EVERY_S)
        return child

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=QUIET_WITHIN_S,
        )

    async def until_quiet(self) -> None:
        """Wait until no delivery is due or under way."""
        async with asyncio.timeout(QUIET_WITHIN_S):
            while self._waiting():  # noqa: ASYNC110 - what ends it is in the database
                await asyncio.sleep(LOOK_EVERY_S)

    def _waiting(self) -> int:
        with contextlib.closing(sqlite3.connect(self.folder / "bus.db")) as connection:
            count = "SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL"
            return int(connection.execute(count).fetchone()[0])


async def _answers(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/livez")).status_code == 200
    except httpx2.TransportError:
        return False


@contextlib.asynccontextmanager
async def installed(
    folder: Path, forker: "subprocess.Popen[str]", receiver: WebhookReceiver
) -> AsyncIterator[Installation]:
    """Make an installation with one county whose endpoint is `receiver`."""
    async with embedded(folder) as place, open_bus(place, roles=()) as bus:
        poster = await furnish.add_agency(bus.desk, "Field office", kind=AgencyKind.FEDERAL)
        county = await furnish.add_agency(bus.desk, "Scott County CPS")
        await bus.subscribe(bus.member(county, receiver))
        made = await keys.create_key(
            bus.desk,
            furnish.principal(Scope.ADMIN),
            post=ApiKeyPost(name="poster", agency_id=poster.id, scopes=(Scope.POST,)),
        )
        body = furnish.notice_body(bus.desk)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield Installation(folder=folder, port=port, key=made.secret, body=body, forker=forker)


class Poster:
    """Posts notices at once, each under its key, and remembers those that were answered 201."""

    def __init__(self, bus: Installation) -> None:
        self._bus = bus
        self.accepted: dict[int, str] = {}
        self.grown = asyncio.Event()

    async def post_all(self) -> None:
        """Post every notice that was not answered yet."""
        missing = [number for number in range(NOTICES) if number not in self.accepted]
        async with self._bus.client() as client, asyncio.TaskGroup() as tasks:
            for number in missing:
                tasks.create_task(self._post(client, number))

    async def accepted_at_least(self, count: int) -> None:
        """Wait until `count` notices were answered 201."""
        async with asyncio.timeout(QUIET_WITHIN_S):
            while len(self.accepted) < count:
                self.grown.clear()
                await self.grown.wait()

    async def _post(self, client: httpx2.AsyncClient, number: int) -> None:
        headers = {"Idempotency-Key": f"notice-{number}"}
        with contextlib.suppress(httpx2.TransportError):  # the kill: it may be stored, or not
            answer = await client.post("/v1/notices", json=self._bus.body, headers=headers)
            assert answer.status_code == 201, answer.text
            self.accepted[number] = answer.json()["id"]
            self.grown.set()


def sent_of(receiver: WebhookReceiver) -> dict[str, set[tuple[str, bytes]]]:
    """Give the deliveries that arrived, by notice: a repeat has the same id and the same bytes."""
    sent: defaultdict[str, set[tuple[str, bytes]]] = defaultdict(set)
    for one in receiver.arrivals.all:
        notice_id = one.body.split(b'"subject":"', 1)[1].split(b'"', 1)[0].decode()
        sent[notice_id].add((one.headers["webhook-id"], one.body))
    return sent


@pytest.mark.slow(reason="20 times two starts of a server and 50 notices")
@pytest.mark.parametrize("seed", SEEDS)
async def test_kill_after_any_201_loses_no_delivery(
    seed: int, tmp_path: Path, forker: "subprocess.Popen[str]"
) -> None:
    """Post 50 notices at once, kill after some were accepted, start again, post the rest."""
    chance = random.Random(seed)
    async with (
        webhook_receiver() as receiver,
        installed(tmp_path, forker, receiver) as bus,
    ):
        poster = Poster(bus)
        first = await bus.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(poster.post_all())
            await poster.accepted_at_least(chance.randint(1, NOTICES - 5))
            await asyncio.sleep(chance.random() / 20)  # any moment: between two commits as well
            os.kill(first, signal.SIGKILL)
        promised = set(poster.accepted.values())

        second = await bus.start()
        await bus.until_quiet()
        kept = sent_of(receiver)
        await poster.post_all()
        await bus.until_quiet()
        os.kill(second, signal.SIGKILL)

        sent = sent_of(receiver)
        assert promised <= kept.keys()
        assert sent.keys() == set(poster.accepted.values())
        assert len(sent) == NOTICES
        assert all(len(one) == 1 for one in sent.values())
