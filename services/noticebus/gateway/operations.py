"""What operators, load balancers and developers ask: alive, ready, measured, contract, keys."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

import noticebus
from noticebus.errors import Detail, NotFoundError, UnavailableError
from noticebus.gateway.dependencies import Check, Checks, TheDesk
from noticebus.gateway.problem_pages import PROBLEMS, render_index, render_page
from noticebus.gateway.problems import responses
from noticebus.store.database import Database
from noticebus.store.keys import any_key_exists

CHECK_WAIT_S = 2.0
FOREVER = "public, max-age=86400"
WHILE_ROTATING = "public, max-age=300"  # keys must reach verifiers well before they sign
SCHEMA_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*\.json", re.ASCII)

router = APIRouter(tags=["operations"])


@router.get("/livez")
async def alive() -> dict[str, str]:
    """Say that the process answers. It touches nothing, so that a lost database restarts nobody."""
    return {"status": "alive"}


@router.get("/readyz", responses=responses("unavailable"))
async def ready(desk: TheDesk, checks: Checks) -> dict[str, Any]:
    """Say whether work can be done: database, bus and every loop; 503 names what is wrong.

    `warnings` name what will be wrong before long, such as a disk that fills.
    """
    found = await _run_all({"database": lambda: _ask(desk.database), **checks})
    wrong = {name: why for name, why in found.items() if why is not None}
    if wrong:
        details = tuple(Detail(pointer=f"/checks/{name}", message=wrong[name]) for name in wrong)
        raise UnavailableError(f"Not ready: {', '.join(sorted(wrong))}.", details=details)
    answer: dict[str, Any] = {"status": "ready", "checks": dict.fromkeys(found, "ok")}
    if desk.disk is not None and (warned := await desk.disk.warning()) is not None:
        answer["warnings"] = {"disk": warned}
    return answer


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(desk: TheDesk) -> Response:
    """Give the process's measurements in Prometheus text format."""
    return Response(generate_latest(desk.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/.well-known/jwks.json")
async def public_keys(desk: TheDesk, response: Response) -> dict[str, list[dict[str, str]]]:
    """Give the public keys that verify webhooks (`v1a`) and receipts, as a JWK set (RFC 7517)."""
    response.headers["Cache-Control"] = WHILE_ROTATING
    return desk.keyring.public_jwks()


@router.get(
    "/schemas/{name}",
    response_class=Response,
    responses={
        200: {"content": {"application/schema+json": {"schema": {"type": "object"}}}},
        **responses("not-found", "invalid"),
    },
)
async def schema(name: str) -> Response:
    """Give one of the published JSON schemas, as named by `dataschema` in every event."""
    text = await asyncio.to_thread(_read_schema, name)
    if text is None:
        raise NotFoundError("There is no such schema. Events name theirs in 'dataschema'.")
    return Response(text, media_type="application/schema+json", headers={"Cache-Control": FOREVER})


@router.get("/asyncapi.json", include_in_schema=False)
async def kafka_description() -> Response:
    """Describe the Kafka interface (AsyncAPI 3.1), beside the `/openapi.json` of this one."""
    return await schema("asyncapi.json")


@router.get("/problems", response_class=HTMLResponse, include_in_schema=False)
async def problem_index() -> HTMLResponse:
    """List every problem the bus answers with."""
    return HTMLResponse(render_index())


@router.get("/problems/{code}", response_class=HTMLResponse, include_in_schema=False)
async def problem_page(code: str) -> HTMLResponse:
    """Say what a problem means and what to do about it."""
    page = PROBLEMS.get(code)
    if page is None:
        raise NotFoundError("There is no such problem. All of them are listed at /problems.")
    return HTMLResponse(render_page(page))


def _read_schema(name: str) -> bytes | None:
    if SCHEMA_NAME.fullmatch(name) is None:
        return None
    package = Path(noticebus.__file__).parent
    for folder in (package / "_schemas", package.parents[1] / "schemas"):  # wheel, checkout
        if (path := folder / name).is_file():
            return path.read_bytes()
    return None


async def _run_all(checks: Mapping[str, Check]) -> dict[str, str | None]:
    async with asyncio.TaskGroup() as tasks:
        running = {name: tasks.create_task(_bounded(check)) for name, check in checks.items()}
    return {name: task.result() for name, task in running.items()}


async def _bounded(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_WAIT_S):
            return await check()
    except TimeoutError:
        return f"It did not answer within {CHECK_WAIT_S:.0f} s."
    except UnavailableError as error:
        return error.message


async def _ask(database: Database) -> str | None:
    async with database.read() as conn:
        await any_key_exists(conn)  # the smallest question that needs the schema to be there
    return None
