"""Every error is a problem (RFC 9457), whatever a client sends."""

import asyncio
import datetime as dt
import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter
from jsonschema import Draft202012Validator

import noticebus
from harness import tables
from noticebus.access.keyring import Keyring
from noticebus.bus.memory import MemoryBus
from noticebus.casework.desk import Desk
from noticebus.casework.keys import create_first_key
from noticebus.clock import ManualClock
from noticebus.contracts.answers import ProblemView
from noticebus.errors import RateLimitedError, RefusedError
from noticebus.gateway import middleware
from noticebus.gateway.app import create_app
from noticebus.gateway.problem_pages import PROBLEMS
from noticebus.refdata.counties import load
from noticebus.store.database import Database
from noticebus.telemetry import Metrics

START = dt.datetime(2019, 8, 7, 12, 55, tzinfo=dt.UTC)
BASE_URL = "https://bus.example.gov"
CANARY = "canary-4711"
AGENCIES = "/v1/agencies"

faulty = APIRouter()


@faulty.get("/v1/broken")
async def broken() -> dict[str, str]:
    raise ZeroDivisionError(CANARY)


@faulty.get("/v1/busy")
async def busy() -> dict[str, str]:
    error = RateLimitedError("Too many requests; wait.")
    error.retry_after_s = 7  # type: ignore[attr-defined]
    raise error


@faulty.get("/v1/odd")
async def odd() -> dict[str, str]:
    raise RefusedError("Refused with a code that has no page.", code="never-heard-of")


async def not_ready() -> str | None:
    return "It has not ticked for 90 s."


async def hanging() -> str | None:
    await asyncio.Event().wait()
    return None


def a_desk(url: str) -> Desk:
    return Desk(
        database=Database(url),
        bus=MemoryBus(),
        world=ManualClock(START),
        machine=ManualClock(START),
        keyring=Keyring(b"k" * 32),
        places=load(),
        metrics=Metrics.create(),
        base_url=BASE_URL,
    )


def a_client(desk: Desk, **options: Any) -> httpx2.AsyncClient:
    app = create_app(desk, routers=[faulty], **options)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE_URL)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = a_desk(await tables.on_sqlite(tmp_path))
    yield desk
    await desk.database.close()


@pytest.fixture
async def client(desk: Desk, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    first = await create_first_key(desk, path=tmp_path / "first-key")
    assert first is not None
    async with a_client(desk) as client:
        client.headers["Authorization"] = f"Bearer {first.secret}"
        yield client


def the_problem(response: httpx2.Response, *, status: int, code: str) -> ProblemView:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = ProblemView.model_validate_json(response.content)
    assert (problem.status, problem.code) == (status, code)
    assert problem.request_id == response.headers["x-request-id"]
    assert problem.type == f"{BASE_URL}/problems/{code}"
    return problem


async def post(client: httpx2.AsyncClient, content: Any, **headers: str) -> httpx2.Response:
    all_headers = {"Content-Type": "application/json", **headers}
    return await client.post(AGENCIES, content=content, headers=all_headers)


async def test_unknown_address_and_wrong_method_are_problems(client: httpx2.AsyncClient) -> None:
    the_problem(await client.get("/nowhere"), status=404, code="not-found")
    the_problem(await client.get("/v1/agencies/"), status=404, code="not-found")
    wrong = await client.put(AGENCIES, json={})
    the_problem(wrong, status=405, code="method-not-allowed")
    assert "GET" in wrong.headers["allow"]


async def test_fault_of_ours_leaks_nothing_and_names_the_request(
    client: httpx2.AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    response = await client.get("/v1/broken")

    the_problem(response, status=500, code="internal")
    assert CANARY not in response.text
    assert "ZeroDivision" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_code_without_a_page_points_to_one_that_exists(client: httpx2.AsyncClient) -> None:
    response = await client.get("/v1/odd")

    assert response.json()["code"] == "never-heard-of"
    assert response.json()["type"] == f"{BASE_URL}/problems/refused"


async def test_waiting_time_is_in_the_header_and_in_the_problem(client: httpx2.AsyncClient) -> None:
    response = await client.get("/v1/busy")

    assert the_problem(response, status=429, code="rate-limited").retry_after == 7
    assert response.headers["retry-after"] == "7"


async def test_database_away_is_503_with_retry_after(tmp_path: Path) -> None:
    desk = a_desk(f"sqlite:///{tmp_path / 'missing' / 'noticebus.db'}")
    key = "noticebus_live_" + "0" * 26 + "_" + "a" * 43
    async with a_client(desk) as client:
        response = await client.get(AGENCIES, headers={"Authorization": f"Bearer {key}"})

        the_problem(response, status=503, code="unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert (await client.get("/livez")).status_code == 200
        ready = the_problem(await client.get("/readyz"), status=503, code="unavailable")
        assert [one.pointer for one in ready.errors] == ["/checks/database"]
    await desk.database.close()


async def test_readiness_names_each_loop_that_is_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_client(desk) as client:
        assert (await client.get("/readyz")).json() == {
            "status": "ready",
            "checks": {"database": "ok"},
        }
    monkeypatch.setattr("noticebus.gateway.operations.CHECK_WAIT_S", 3.0)
    async with a_client(desk, checks={"escalation": not_ready, "bus": hanging}) as client:
        ready = the_problem(await client.get("/readyz"), status=503, code="unavailable")

    assert {one.pointer for one in ready.errors} == {"/checks/escalation", "/checks/bus"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[" * 100_000,
        b'{"name": ' + b"1" * 5_000 + b"}",
        b'{"name": "\xff\xfe"}',
        '{"name": "x"}'.encode("utf-16"),
        b'{"name": "a\\u0000b"}',
        b"\x00",
    ],
    ids=["broken", "nested", "long number", "not utf-8", "utf-16", "escaped nul", "nul"],
)
async def test_body_that_cannot_be_read_is_400(client: httpx2.AsyncClient, body: bytes) -> None:
    the_problem(await post(client, body), status=400, code="bad-request")


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"name": "\\ud800", "kind": "cps", "zone": "UTC"}',
        b'{"name": NaN}',
        b'{"name": 1e400}',
        b'{"a/b~c": 1}',
    ],
)
async def test_body_that_says_something_wrong_is_422_with_pointers(
    client: httpx2.AsyncClient, body: bytes
) -> None:
    problem = the_problem(await post(client, body), status=422, code="invalid")

    assert problem.errors
    assert all(one.message for one in problem.errors)


async def test_pointers_escape_what_rfc_6901_says(client: httpx2.AsyncClient) -> None:
    problem = the_problem(await post(client, b'{"a/b~c": 1}'), status=422, code="invalid")

    assert "/a~1b~0c" in [one.pointer for one in problem.errors]


async def test_misspelt_field_is_told_its_neighbour(client: httpx2.AsyncClient) -> None:
    problem = the_problem(await post(client, b'{"nmae": "x"}'), status=422, code="invalid")

    assert any("did you mean name" in one.message for one in problem.errors)


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_body_that_is_not_declared_json_is_415(
    client: httpx2.AsyncClient, media_type: str
) -> None:
    response = await post(client, b"{}", **{"Content-Type": media_type})

    the_problem(response, status=415, code="unsupported-media-type")


async def test_body_over_the_limit_is_413_declared_or_chunked(client: httpx2.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 4096

    the_problem(await post(client, b" " * (256 * 1024 + 1)), status=413, code="too-large")
    the_problem(await post(client, chunks()), status=413, code="too-large")
    the_problem(await post(client, b" " * (256 * 1024)), status=400, code="bad-request")


async def test_body_that_does_not_come_is_not_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "BODY_WAIT_S", 0.01)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", b"10"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": AGENCIES,
        "raw_path": AGENCIES.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "server": ("bus.example.gov", 443),
        "client": ("192.0.2.1", 1),
    }
    await create_app(desk)(scope, receive, send)

    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["code"] == "slow-body"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/agencies/a%00b", 400, "bad-request"),
        ("/v1/agencies?cursor=%00", 400, "bad-request"),
        ("/v1/agencies?cursor=!!", 400, "bad-request"),
        ("/v1/agencies?cursor=YQ%F0%9F%98%80", 400, "bad-request"),
        ("/v1/agencies?cursor=" + "a" * 200, 422, "invalid"),
        ("/v1/agencies?limit=0", 422, "invalid"),
        ("/v1/agencies?limit=" + "9" * 5000, 422, "invalid"),
        ("/v1/agencies?limit=%F0%9F%98%80", 422, "invalid"),
        ("/v1/agencies/%F0%9F%98%80", 404, "not-found"),
        ("/v1/agencies/%ff%fe", 404, "not-found"),
        ("/v1/agencies/" + "a" * 4000, 404, "not-found"),
        ("/v1/subscriptions?state=maybe", 422, "invalid"),
        ("/problems/none-such", 404, "not-found"),
        ("/schemas/..%2f..%2fpyproject.toml", 404, "not-found"),
        ("/schemas/none.json", 404, "not-found"),
    ],
)
async def test_strange_address_is_a_problem_and_never_a_500(
    client: httpx2.AsyncClient, path: str, status: int, code: str
) -> None:
    the_problem(await client.get(path), status=status, code=code)


async def test_fault_in_the_query_says_where_it_is(client: httpx2.AsyncClient) -> None:
    response = await client.get("/v1/agencies?limit=201")

    (fault,) = response.json()["errors"]
    assert (fault["pointer"], fault["in"]) == ("/limit", "query")


async def test_id_from_outside_is_not_accepted(client: httpx2.AsyncClient) -> None:
    response = await client.get("/livez", headers={"X-Request-Id": "mine"})

    assert response.headers["x-request-id"].startswith("req_")


async def test_every_code_in_the_source_has_a_page_and_every_page_is_served(
    client: httpx2.AsyncClient,
) -> None:
    package = Path(noticebus.__file__).parent
    layers = ("access", "casework", "gateway", "console")
    sources = [path for layer in layers for path in (package / layer).rglob("*.py")]
    sources.append(package / "domain" / "obligation.py")
    # Codes of settings and start-up never reach HTTP; they are raised in access/keyring.py.
    text = "\n".join(one.read_text() for one in sources if one.name != "keyring.py")
    used = set(re.findall(r'\bcode ?= ?"([a-z-]+)"', text))

    assert used <= set(PROBLEMS)
    for code, page in PROBLEMS.items():
        served = await client.get(f"/problems/{code}")
        assert served.status_code == 200
        assert page.title in html.unescape(served.text)
    assert "rate-limited" in (await client.get("/problems")).text


async def test_openapi_describes_each_operation_with_its_problems(
    client: httpx2.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()

    assert document["openapi"].startswith("3.1")
    schema = document["components"]["schemas"]["ProblemView"]
    Draft202012Validator.check_schema(schema)
    for path, operations in document["paths"].items():
        if not path.startswith("/v1/") or path in {"/v1/broken", "/v1/busy", "/v1/odd"}:
            continue
        for operation in operations.values():
            assert operation["description"], path
            assert {"401", "403", "422", "503"} <= set(operation["responses"]), path
            problem = operation["responses"]["401"]["content"]["application/problem+json"]
            assert problem["examples"]["unauthenticated"]["value"]["request_id"]
            assert operation["security"], path


async def test_public_keys_metrics_and_liveness_need_no_key(desk: Desk) -> None:
    async with a_client(desk) as client:
        keys = (await client.get("/.well-known/jwks.json")).json()
        metrics = await client.get("/metrics")

        assert keys == desk.keyring.public_jwks()
        assert "noticebus_deliveries" in metrics.text
        assert (await client.get("/livez")).json() == {"status": "alive"}
