"""What no schema describes, as raw bytes on the socket: refused, and never a fault of ours."""

import contextlib
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fuzz.findings import BUSY, Tally
from fuzz.served import CALL_WITHIN_S, Bus, example

CASES = 200
ANSWER_BYTES_MAX = 4 * 1024 * 1024
NOT_HTTP = b"Invalid HTTP request received."  # the server's own word, before any of ours
METHODS = st.sampled_from(
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "LOCK", "post", "Q"]
)
KNOWN_PATHS = st.sampled_from(
    ["/v1/notices", "/v1/agencies", "/v1/subscriptions", "/v1/api-keys", "/v1/inbox", "/livez"]
)
ODD_PATHS = st.sampled_from(
    [
        "/",
        "//",
        "/v1//notices",
        "/v1/notices/",
        "/v1/notices/%00",
        "/v1/notices/%ff%fe",
        "/v1/notices/..%2f..%2fetc%2fpasswd",
        "/v1/notices/" + "n" * 3000,
        "/v1/agencies?limit=99999999999999999999999",
        "/v1/agencies?limit=1&limit=2",
        "/v1/agencies?cursor=%F0%9F%98%80",
        "/v1/agencies?cursor=" + "=" * 50,
        "/v1/inbox?subscription=&after=-1",
        "/v1/inbox?subscription=sub_x&after=1e9",
        "/v1/inbox?subscription=sub_x&after=9223372036854775808",
        "/v1/reports/unacknowledged?as_of=0001-01-01T00:00:00%2B23:59",
        "/v1/reports/unacknowledged?as_of=2019-08-07T17:00:00",
        "/v1/reports/unacknowledged?format=html&area=%22%3E%3Cscript%3E",
        "/v1/reports/unacknowledged?cursor=AAAA",
        "/v1/reports/unacknowledged?format=csv&area=county:00000",
        "/schemas/..%2fpyproject.toml",
        "/schemas/%2e%2e/openapi.json",
        "/problems/%0d%0aSet-Cookie:%20a=b",
        "/a/",
        "/a/x",
        "/a/" + "A" * 400,
        "/a/%F0%9F%98%80",
        "/reports/unacknowledged?link=x",
        "/openapi.json?x=\u00e9",
        "*",
        "http://elsewhere.example/v1/notices",
        "/v1/notices?%zz",
    ]
)
BODY_PATHS = ["/v1/notices", "/v1/agencies", "/v1/subscriptions", "/v1/api-keys"]
NOTICE = json.dumps(example("notice-post.v1.least"))
STRANGE_BODIES = [
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"[" * 100_000,
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    b'{"name": "' + b"x" * 200_000 + b'"}',
    b"1" * 5000,
    b'{"name": ' + b"9" * 5000 + b"}",
    b'{"name": 1e999}',
    b'{"name": NaN}',
    b'{"name": "a", "name": "b"}',
    b'{"name": "\\u0000"}',
    b'{"name": "\\ud800"}',
    b'{"\\udfff": 1}',
    b'{"name": "\x00"}',
    b"{" * 300_000,
    NOTICE.replace("Exercise", "\\ud83d").encode(),
    NOTICE.replace("28123", "\\udc00").encode(),
    NOTICE.replace("2019", "99999999999").encode(),
    NOTICE.replace("exercise", "\\u0000").encode(),
]
TWICE = NOTICE.replace('"areas"', '"areas": [], "areas"').encode()  # the last one counts
BODIES = st.binary(max_size=200) | st.sampled_from([*STRANGE_BODIES, TWICE])
HEADER_VALUE = st.one_of(
    st.sampled_from(
        [
            "",
            "*",
            '"1"',
            'W/"999999999"',
            '"99999999999999999999"',
            "\u00e9",
            "x" * 9000,
            "x" * 70_000,
            "a\r\nX-Injected: yes",
            "text/plain",
            "application/xml",
            "multipart/form-data",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-16",
            "application/merge-patch+json",
            "Bearer ",
            "Bearer \u00ff",
            "Basic Og==",
            "bytes=0-1",
            "Wed, 07 Aug 2019 15:04:05 GMT",
            "100-continue",
        ]
    ),
    st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=60),
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "Content-Type",
            "Authorization",
            "X-Api-Key",
            "Idempotency-Key",
            "If-Match",
            "If-None-Match",
            "If-Modified-Since",
            "Range",
            "Accept",
            "Accept-Encoding",
            "X-Request-Id",
            "X-Forwarded-For",
            "X-HTTP-Method-Override",
            "Host",
            "Cookie",
            "Expect",
        ]
    ),
    HEADER_VALUE,
    max_size=3,
)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back on the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def send(bus: Bus, *, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
    """Write a request as it is, read the answer to its end."""
    host, _, port = bus.base_url.removeprefix("http://").partition(":")
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    wire = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body
    with socket.create_connection((host, int(port)), timeout=CALL_WITHIN_S) as connection:
        received = _exchanged(connection, wire)
    head, _, rest = received.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in fields)
    found = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Reply(status=int(status.split()[1]), headers=found, body=rest)


def _exchanged(connection: socket.socket, wire: bytes) -> bytes:
    """Send what the other side takes, and read what it says, even when it stops taking."""
    received = bytearray()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has answered already
        connection.sendall(wire)
    with contextlib.suppress(ConnectionResetError):  # it closed with bytes of ours unread
        while len(received) < ANSWER_BYTES_MAX and (chunk := connection.recv(65536)):
            received += chunk
    return bytes(received)


def _is_busy(reply: Reply) -> bool:
    """Say whether it asks to come again later, as it may on a busy machine."""
    return reply.status == BUSY and "retry-after" in reply.headers


def faults(reply: Reply, *, method: str) -> list[str]:
    """Say what is wrong with the answer to garbage."""
    found = []
    if reply.status >= 500:
        found.append(f"answered {reply.status}")
    if "x-injected" in reply.headers or "set-cookie" in reply.headers:
        found.append("took a header from the caller")
    ours = "x-request-id" in reply.headers
    if reply.status >= 400 and ours and method != "HEAD":
        if reply.headers.get("content-type") not in {
            "application/problem+json",
            "text/html; charset=utf-8",  # people's pages
        }:
            found.append(f"{reply.status} as {reply.headers.get('content-type')}")
        elif "json" in reply.headers["content-type"]:
            json.loads(reply.body)["detail"]
    if reply.status >= 400 and not ours and reply.body != NOT_HTTP:
        found.append(f"{reply.status} from somebody else: {reply.body[:80]!r}")
    return found


@pytest.mark.slow(reason="two hundred requests, some of them large")
def test_garbage_is_refused_and_never_a_fault_of_ours(
    bus: Bus, fuzz_calls: int, fuzz_seed: int, tally: Tally
) -> None:
    @seed(fuzz_seed)
    @settings(
        max_examples=max(CASES, fuzz_calls // 5),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        method=METHODS,
        path=KNOWN_PATHS | ODD_PATHS,
        headers=HEADERS,
        body=BODIES,
        with_key=st.integers(0, 3),
    )
    def garbage(
        method: str, path: str, headers: dict[str, str], body: bytes, with_key: int
    ) -> None:
        sent = _completed(bus, headers, body=body, with_key=with_key > 0)

        def ask() -> Reply:
            reply = send(bus, method=method, path=path, headers=sent, body=body)
            tally.count("garbage", reply.status)
            return reply

        reply = tally.ask("garbage", ask, is_busy=_is_busy)
        for what in faults(reply, method=method):
            call = f"{method} {path[:80]} {headers!r:.300} {body[:80]!r}\n    {reply.body[:400]!r}"
            tally.fault("garbage", what, example=call)

    garbage()

    assert not tally.faults, tally.report()
    assert not tally.too_busy(), tally.too_busy()
    assert send(bus, method="GET", path="/livez", headers={"Host": "bus"}, body=b"").status == 200


@pytest.mark.parametrize("path", BODY_PATHS)
def test_strange_body_is_refused_wherever_a_body_is_taken(
    bus: Bus, tally: Tally, path: str
) -> None:
    for position, body in enumerate(STRANGE_BODIES):
        sent = _completed(bus, {"Idempotency-Key": f"strange-{position}"}, body=body, with_key=True)
        if not path.endswith("/notices"):
            sent["Authorization"] = f"Bearer {bus.callers['administrator']}"

        ask = partial(send, bus, method="POST", path=path, headers=sent, body=body)
        reply = tally.ask(path, ask, is_busy=_is_busy)

        assert not faults(reply, method="POST"), f"{body[:80]!r}: {reply}"
        assert 400 <= reply.status < 500, f"{body[:80]!r}: {reply}"


def _completed(bus: Bus, headers: dict[str, str], *, body: bytes, with_key: bool) -> dict[str, Any]:
    usual: dict[str, str] = {"Host": "bus", "Content-Length": str(len(body))}
    if with_key:
        usual["Authorization"] = f"Bearer {bus.callers['poster']}"
        usual["Content-Type"] = "application/json"
        usual["Idempotency-Key"] = "garbage"
    return usual | headers
