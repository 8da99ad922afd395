"""The receivers of docs/receivers keep their word: each runs as a reader would start it.

C# and PowerShell are not run here, and their page says so. A runtime that this machine does not
have is skipped, in CI too, with the reason.
"""

import base64
import contextlib
import hmac
import http.client
import json
import os
import re
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.ports import free_port
from noticebus.access.keyring import Keyring, new_webhook_secret
from noticebus.clock import SystemClock
from noticebus.contracts.canonical import canonical
from noticebus.dispatcher.signing import signature_headers
from noticebus.ids import new_delivery_id

FOLDER = Path(__file__).parents[1] / "docs" / "receivers"
PAGE = FOLDER.parent / "how-to" / "receive-webhooks.md"
LINES_MAX = 80
READY_WITHIN_S = 60.0
GO_WITHIN_S = 120
LOOK_EVERY_S = 0.02
SECRET, OLD, STRANGE = new_webhook_secret(), new_webhook_secret(), new_webhook_secret()
KEYS = Keyring(b"k" * 32).signing_keys
pytestmark = pytest.mark.slow(reason="starts a runtime, which may have to compile first")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a receiver answered."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """One of the receivers as a process of its own."""

    port: int
    process: "subprocess.Popen[bytes]"

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", "/hook", body=body, headers=dict(headers))
            response = connection.getresponse()
            return Answer(status=response.status, body=response.read())
        finally:
            connection.close()

    def handled_until(self, delivery_id: str) -> list[str]:
        """Read which events were handed over, up to this one."""
        assert self.process.stdout is not None
        printed = b""
        while f"handled {delivery_id}".encode() not in printed:
            readable, _, _ = select.select([self.process.stdout], [], [], 10)
            assert readable, "nothing was handled within 10 s"
            said = os.read(self.process.stdout.fileno(), 65_536)
            assert said, "the receiver ended"
            printed += said
        return re.findall(r"^handled (\S+)", printed.decode(), re.MULTILINE)


def _python(_: Path, sources: Path) -> list[str]:
    return [_found("python3"), str(sources / "receiver.py")]


def _node(_: Path, sources: Path) -> list[str]:
    return [_found("node"), str(sources / "receiver.mjs")]


def _go(folder: Path, sources: Path) -> list[str]:
    """Build it; without what is built before, that is a minute's work on two cores."""
    go = _found("go")
    asked = [go, "list", "-f", "{{.Stale}}", "net/http"]
    try:
        stale = subprocess.run(
            asked, capture_output=True, text=True, check=False, timeout=GO_WITHIN_S
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"go did not say within {GO_WITHIN_S} s what it has built")
    if stale.stdout.strip() != "false":
        pytest.skip("go has not built its standard library here: run `go build net/http` once")
    built = folder / "receiver"
    subprocess.run(
        [go, "build", "-o", built, sources / "receiver.go"], check=True, timeout=GO_WITHIN_S
    )
    return [str(built)]


def _java(_: Path, sources: Path) -> list[str]:
    _found("javac")  # a runtime alone has no compiler, and cannot run a source
    return [_found("java"), "-XX:TieredStopAtLevel=1", str(sources / "Receiver.java")]


RUNTIMES: dict[str, Callable[[Path, Path], list[str]]] = {
    "python": _python,
    "node": _node,
    "go": _go,
    "java": _java,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Where a receiver has its reader's code, and such code that fails the first time only."""

    file: str
    begins: str
    fails_once: str


# A panic of Go ends the process, where everybody sees it; PowerShell has its events in files.
HANDLERS = {
    "python": Handler(
        file="receiver.py",
        begins="def handle(event):\n",
        fails_once="calls = []\n\n\ndef handle(event):\n    calls.append(event)\n    calls[1]\n",
    ),
    "node": Handler(
        file="receiver.mjs",
        begins="async function handle(event) {\n",
        fails_once="let calls = 0;\nasync function handle(event) {\n"
        "  if (!calls++) event.no.such;\n",
    ),
    "java": Handler(
        file="Receiver.java",
        begins="static void handle(String id, String body) {\n",
        fails_once="static int calls = 0;\n\nstatic void handle(String id, String body) {\n"
        "if (calls++ == 0) Integer.parseInt(body);\n",
    ),
}


def _found(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on this machine")
    return path


@contextmanager
def started(
    language: str, folder: Path, *, secret: str = SECRET, sources: Path = FOLDER
) -> Iterator[Receiver]:
    """Run a receiver as its page says, with its secret and port in the environment."""
    port = free_port()
    words = RUNTIMES[language](folder, sources)
    environment = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)}
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            receiver = Receiver(port=port, process=process)
            _wait_until_ready(receiver)
            yield receiver
        finally:
            process.kill()


def _wait_until_ready(receiver: Receiver) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            assert receiver.post(b"", {}).status >= 400
        except OSError:
            assert receiver.process.poll() is None, "the receiver ended"
            assert time.monotonic() < until, f"it does not listen within {READY_WITHIN_S:.0f} s"
            select.select([], [], [], LOOK_EVERY_S)
        else:
            return


def event(kind: str, **data: object) -> tuple[str, bytes]:
    """Make an event's id and body as the bus writes it."""
    delivery_id = str(new_delivery_id())
    named = {"id": delivery_id, "specversion": "1.0", "type": f"org.noticebus.{kind}.v1"}
    return delivery_id, canonical({**named, "data": data})


def headers_of(
    delivery_id: str, body: bytes, *, secrets: tuple[str, ...] = (SECRET,), age_s: int = 0
) -> dict[str, str]:
    """Sign a body as the bus does."""
    now = int(SystemClock().now().timestamp())
    signed = signature_headers(
        body, delivery_id=delivery_id, timestamp=now - age_s, secrets=secrets, keys=KEYS
    )
    return signed | {"content-type": "application/cloudevents+json"}


def _refused(delivery_id: str, body: bytes) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Give requests that nobody may take, by what is wrong with them."""
    right = headers_of(delivery_id, body)
    unsigned = b64_of(SECRET, f"{delivery_id}.{right['webhook-timestamp']}.".encode() + body)
    return {
        "another secret": (body, headers_of(delivery_id, body, secrets=(STRANGE,))),
        "a changed body": (body + b" ", right),
        "another id": (body, right | {"webhook-id": "dlv_1"}),
        "six minutes old": (body, headers_of(delivery_id, body, age_s=360)),
        "six minutes ahead": (body, headers_of(delivery_id, body, age_s=-360)),
        "a time that is none": (body, right | {"webhook-timestamp": "soon"}),
        "another scheme": (body, right | {"webhook-signature": f"v2,{unsigned}"}),
        "no signature": (body, right | {"webhook-signature": ""}),
        **{
            f"without {name}": (body, {one: said for one, said in right.items() if one != name})
            for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        },
    }


def b64_of(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()


@pytest.mark.parametrize("language", RUNTIMES)
def test_a_receiver_takes_what_is_genuine_once_and_refuses_the_rest(
    language: str, tmp_path: Path
) -> None:
    consent_id, consent = event("subscription.verify", challenge="chl-Ä 1".encode().hex())
    first_id, first = event("notice", notice={"headline": 'a "type" in a title: ñ'})
    second_id, second = event("notice", notice={"headline": "x" * 100_000})

    with started(language, tmp_path) as receiver:
        consented = receiver.post(consent, headers_of(consent_id, consent))
        refused = {
            why: receiver.post(body, headers).status
            for why, (body, headers) in _refused(first_id, first).items()
        }
        taken = [
            receiver.post(first, headers_of(first_id, first)).status,
            receiver.post(first, headers_of(first_id, first, age_s=20)).status,  # a repeat
            receiver.post(second, headers_of(second_id, second, secrets=(OLD, SECRET))).status,
        ]
        handled = receiver.handled_until(second_id)

    assert consented.status == 200
    assert json.loads(consent)["data"]["challenge"].encode() in consented.body
    assert {why: status for why, status in refused.items() if not 400 <= status < 500} == {}
    assert all(200 <= status < 300 for status in taken)
    assert handled == [first_id, second_id]


@pytest.mark.parametrize("language", HANDLERS)
def test_a_receiver_goes_on_after_an_event_that_its_readers_code_fails_at(
    language: str, tmp_path: Path
) -> None:
    """The failed one has had its 204; sent again, as by a replay, it is handled after all."""
    handler = HANDLERS[language]
    source = (FOLDER / handler.file).read_text()
    assert source.count(handler.begins) == 1
    (tmp_path / handler.file).write_text(source.replace(handler.begins, handler.fails_once))
    failed_id, failed = event("notice", notice={"headline": "the code fails at this one"})
    next_id, after = event("notice", notice={"headline": "and not at this one"})

    with started(language, tmp_path, sources=tmp_path) as receiver:
        taken = [
            receiver.post(failed, headers_of(failed_id, failed)).status,
            receiver.post(after, headers_of(next_id, after)).status,
        ]
        handled = receiver.handled_until(next_id)
        receiver.post(failed, headers_of(failed_id, failed, age_s=20))
        handled_again = receiver.handled_until(failed_id)

    assert all(200 <= status < 300 for status in taken)
    assert handled == [next_id]
    assert handled_again == [failed_id]


@pytest.mark.parametrize("language", RUNTIMES)
def test_a_receiver_without_its_secret_takes_nothing(language: str, tmp_path: Path) -> None:
    id_, body = event("notice", notice={"headline": "from nobody"})
    headers = headers_of(id_, body)
    forged = b64_of("", f"{id_}.{headers['webhook-timestamp']}.".encode() + body)

    try:
        with started(language, tmp_path, secret="") as receiver:
            status = receiver.post(body, headers | {"webhook-signature": f"v1,{forged}"}).status
    except (AssertionError, OSError, http.client.HTTPException):
        return  # it has ended, or hangs up
    assert status >= 400


@pytest.mark.parametrize("language", RUNTIMES)
def test_a_receiver_outlives_bodies_without_measure(language: str, tmp_path: Path) -> None:
    id_, body = event("notice", notice={"headline": "after that"})
    head = b"POST / HTTP/1.1\r\nHost: a\r\n"
    chunks = (b"3e8\r\n" + b"x" * 1000 + b"\r\n") * 2_500
    longer = b"Content-Length: 9000000\r\n\r\n" + b"x" * 3_000_000

    with started(language, tmp_path) as receiver:
        for rest in (
            b"Transfer-Encoding: chunked\r\n\r\n" + chunks,
            longer,
            b"Content-Length: -1\r\n\r\n" + b"x" * 3_000_000,
        ):
            with (
                contextlib.suppress(OSError),  # it may hang up while we speak
                socket.create_connection(("127.0.0.1", receiver.port), timeout=30) as connection,
            ):
                connection.sendall(head + rest)
                assert not connection.recv(64).startswith(b"HTTP/1.1 2")
        assert receiver.post(body, headers_of(id_, body)).status < 300


def test_every_receiver_is_short_and_is_on_the_page() -> None:
    receivers = sorted(path for path in FOLDER.iterdir() if path.is_file())
    page = PAGE.read_text()

    assert [path.suffix for path in receivers] == [".java", ".cs", ".go", ".mjs", ".ps1", ".py"]
    assert [one.name for one in receivers if f"(../receivers/{one.name})" not in page] == []
    assert [one.name for one in receivers if len(one.read_text().splitlines()) > LINES_MAX] == []
