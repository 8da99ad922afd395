"""The real system on SQLite behind a real server, furnished so that random calls hit things."""

import asyncio
import contextlib
import datetime as dt
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from noticebus import wiring
from noticebus.casework.keys import create_first_key
from noticebus.clock import ManualClock
from noticebus.settings import Settings

NOON = dt.datetime(2019, 8, 7, 17, 0, tzinfo=dt.UTC)  # of the day that the examples are about
EXAMPLES = Path(__file__).resolve().parents[2] / "schemas" / "examples"
START_WITHIN_S = 120
CALL_WITHIN_S = 60
KNOWN_MAX = 40  # ids of one kind that are remembered


@dataclass(frozen=True, kw_only=True)
class Bus:
    """A running bus: where it listens, who may call it, and what is known to be in it."""

    base_url: str
    callers: Mapping[str, str]
    openapi: dict[str, Any]
    known: dict[str, list[str]] = field(default_factory=dict)

    def learn(self, answer: object) -> None:
        """Remember every id in an answer, so that later calls can name it."""
        match answer:
            case dict():
                for value in answer.values():
                    self.learn(value)
            case list():
                for value in answer:
                    self.learn(value)
            case str() if len(answer) == len("ntc_") + 26 and answer[3] == "_":
                self._remember(answer)

    def _remember(self, found: str) -> None:
        ids = self.known.setdefault(found[:3], [])
        if found not in ids and len(ids) < KNOWN_MAX:
            ids.append(found)


@contextlib.contextmanager
def running_bus(folder: Path) -> Iterator[Bus]:
    """Run the whole system in a thread, and furnish it over HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings(
        base_url=base_url,
        data_dir=folder,
        database_url=f"sqlite+aiosqlite:///{folder / 'fuzz.db'}",
        stop_grace_s=0.5,
    )
    server, thread = _Server(settings, listener, folder / "first-key"), None
    thread = threading.Thread(target=server.run, name="fuzzed-bus")
    thread.start()
    try:
        secret = server.wait_for_key()
        yield furnished(base_url, secret)
    finally:
        server.stop()
        thread.join(START_WITHIN_S)
        listener.close()
    if server.failure is not None:
        raise server.failure


class _Server:
    """The event loop of the system, in a thread of its own."""

    def __init__(self, settings: Settings, listener: socket.socket, key_path: Path) -> None:
        self._settings = settings
        self._listener = listener
        self._key_path = key_path
        self._ready = threading.Event()
        self._secret = ""
        self._uvicorn: uvicorn.Server | None = None
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again where the test can see it
            self.failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        async with wiring.running(self._settings, world=ManualClock(NOON)) as system:
            first = await create_first_key(system.desk, path=self._key_path)
            assert first is not None
            self._secret = first.secret
            config = uvicorn.Config(system.app, log_config=None, access_log=False)
            self._uvicorn = uvicorn.Server(config)
            self._ready.set()
            await self._uvicorn.serve(sockets=[self._listener])

    def wait_for_key(self) -> str:
        assert self._ready.wait(START_WITHIN_S), "the bus does not start"
        if self.failure is not None:
            raise self.failure
        return self._secret

    def stop(self) -> None:
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True


def example(name: str) -> dict[str, Any]:
    """Read one of the published examples."""
    body: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return body


def furnished(base_url: str, secret: str) -> Bus:
    """Make agencies, contacts, duties, subscriptions and an incident; give keys of every scope."""
    with httpx2.Client(base_url=base_url, timeout=CALL_WITHIN_S) as client:
        bus = _Furnisher(client, secret)
        callers = {"administrator": secret, **bus.furnish()}
        openapi = client.get("/openapi.json").json()
        made = Bus(base_url=base_url, callers=callers, openapi=openapi)
        made.learn(bus.answers)
        made.known["schemas"] = [path.name for path in sorted(EXAMPLES.parent.glob("*.json"))]
    for ours in bus.protected:  # a random call must not lock out all that follow
        for ids in made.known.values():
            if ours in ids:
                ids.remove(ours)
    return made


class _Furnisher:
    def __init__(self, client: httpx2.Client, secret: str) -> None:
        self._client = client
        self._secret = secret
        self._posts = 0
        self.answers: list[Any] = []
        self.protected: list[str] = []

    def furnish(self) -> dict[str, str]:
        cps = self._agency("Scott County CPS", "cps")
        school = self._agency("Scott County School District", "school_district")
        office = self._agency("Field office", "federal")
        callers = {
            "operator": self._key(None, "operate"),
            "auditor": self._key(None, "audit"),
            "poster": self._key(office, "post"),
            "cps": self._key(cps, "answer", "subscribe"),
            "school": self._key(school, "answer", "subscribe"),
        }
        self._key(cps, "answer", protected=False)  # one that a random call may revoke
        self._responsible(cps, "cps")
        self._responsible(school, "school")
        self._subscribe(cps, channel="inbox")
        self._subscribe(cps, channel="webhook", url="https://intake.cps.example/notices")
        for name in ("worksite", "least"):
            self._incident(f"notice-post.v1.{name}", callers)
        return callers

    def call(self, path: str, body: Any, *, key: str = "") -> Any:
        self._posts += 1
        headers = {
            "Authorization": f"Bearer {key or self._secret}",
            "Idempotency-Key": f"furnish-{self._posts}",
        }
        response = self._client.post(path, json=body, headers=headers)
        assert response.status_code < 300, f"{path}: {response.text}"
        self.answers.append(response.json())
        return response.json()

    def _agency(self, name: str, kind: str) -> str:
        body = {**example("agency-post.v1.cps"), "name": name, "kind": kind}
        agency_id = str(self.call("/v1/agencies", body)["id"])
        contact = example("contact-post.v1.desk")
        self.call(f"/v1/agencies/{agency_id}/contacts", contact)
        return agency_id

    def _key(self, agency_id: str | None, *scopes: str, protected: bool = True) -> str:
        body = {"name": "fuzz", "agency_id": agency_id, "scopes": list(scopes)}
        made = self.call("/v1/api-keys", body)
        if protected:
            self.protected.append(made["id"])
        return str(made["key"])

    def _responsible(self, agency_id: str, role: str) -> None:
        body = {"role": role, "areas": [{"county_fips": ["28123"]}]}
        self.call(f"/v1/agencies/{agency_id}/responsibilities", body)

    def _subscribe(self, agency_id: str, *, channel: str, url: str | None = None) -> None:
        body = example("subscription-post.v1.webhook") | {
            "agency_id": agency_id,
            "channel": channel,
            "url": url,
        }
        self.call("/v1/subscriptions", body)

    def _incident(self, name: str, callers: Mapping[str, str]) -> None:
        posted = self.call("/v1/notices", example(name), key=callers["poster"])
        question = example("question-post.v1.how-many")
        path = f"/v1/incidents/{posted['incident_id']}/questions"
        self.call(path, question, key=callers["cps"])
        path = f"/v1/incidents/{posted['incident_id']}/offers"
        self.call(path, example("offer-post.v1.meals"), key=callers["cps"])
