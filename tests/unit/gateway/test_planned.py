"""A planned route answers as FastAPI alone would, whatever is sent, and calls each thing once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from harness.desk import open_desk
from noticebus.console.app import ROUTERS
from noticebus.gateway.app import create_app
from noticebus.gateway.planned import PlannedRoute

JSON = {"Content-Type": "application/json"}
KEY = {"X-Key": "k"}


class Thing(BaseModel):
    """What is posted here."""

    name: str
    size: int = 1


class Called:
    """Notes who was called, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []


def application(route_class: type[APIRoute], called: Called) -> FastAPI:
    """Make the same application with planned routes or with FastAPI's own."""
    router = APIRouter(route_class=route_class)
    bearer = HTTPBearer(auto_error=False)

    async def clock(request: Request) -> str:
        called.names.append("clock")
        return request.method

    async def key(
        clock: Annotated[str, Depends(clock)],
        x_key: Annotated[str, Header(max_length=3)],
        x_note: Annotated[str | None, Header()] = None,
    ) -> list[str | None]:
        called.names.append("key")
        if x_key == "bad":
            raise LookupError(x_key)
        return [clock, x_key, x_note]

    async def page(limit: Annotated[int, Query(ge=1)] = 5, after: str = "") -> tuple[int, str]:
        called.names.append("page")
        return limit, after

    @router.post("/things/{owner}")
    async def post_thing(
        owner: str,
        thing: Annotated[Thing, Body()],
        clock: Annotated[str, Depends(clock)],
        key: Annotated[list[str], Depends(key)],
        page: Annotated[tuple[int, str], Depends(page)],
        bearer: Annotated[Any, Depends(bearer)],
    ) -> Response:
        called.names.append("post_thing")
        told = [owner, thing.model_dump(), clock, key, page, bearer and bearer.credentials]
        return JSONResponse(told, status_code=201)

    app = FastAPI()
    app.include_router(router)

    @app.exception_handler(LookupError)
    async def refused(_request: Request, _error: Exception) -> Response:
        return JSONResponse("refused", status_code=409)

    return app


async def ask(app: FastAPI, path: str, *, body: bytes, headers: Mapping[str, str]) -> Any:
    """Give everything of an answer."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://bus") as client:
        answer = await client.post(path, content=body, headers=dict(headers))
    return answer.status_code, dict(answer.headers), answer.content


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/things/ann", b'{"name": "a"}', JSON | KEY),
        (
            "/things/ann?limit=2&after=x",
            b'{"name": "a"}',
            JSON | KEY | {"Authorization": "Bearer t"},
        ),
        ("/things/ann", b'{"name": "a"}', JSON | KEY | {"X-Note": "n", "Authorization": "Basic t"}),
        ("/things/ann", b'{"name": "a"}', {"Content-Type": "application/json;charset=utf-8"} | KEY),
        ("/things/ann", b'{"name": "a"}', {"Content-Type": "application/x+json"} | KEY),
        ("/things/ann", b'{"name": "a"}', {"Content-Type": "text/plain"} | KEY),
        ("/things/ann", b'{"name": "a"}', KEY),
        ("/things/ann", b'{"name": 1, "size": "x"}', JSON | KEY),
        ("/things/ann", b"[]", JSON | KEY),
        ("/things/ann", b"null", JSON | KEY),
        ("/things/ann", b"", JSON | KEY),
        ("/things/ann", b'{"name": ', JSON | KEY),
        ("/things/ann", b'\xef\xbb\xbf{"name": "a"}', JSON | KEY),
        ("/things/ann", b"[" * 100_000, JSON | KEY),
        ("/things/ann", b'{"name": "a", "size": ' + b"9" * 5000 + b"}", JSON | KEY),
        ("/things/ann", b'{"name": "a"}', JSON),
        ("/things/ann", b'{"name": "a"}', JSON | {"X-Key": "long"}),
        ("/things/ann", b'{"name": "a"}', JSON | {"X-Key": "bad"}),
        ("/things/ann", b'{"name": 1}', JSON | {"X-Key": "bad"}),
        ("/things/ann", b'{"name": ', JSON | {"X-Key": "bad"}),
        ("/things/ann?limit=0", b'{"name": 1}', JSON),
        ("/things/ann?limit=x", b'{"name": "a"}', JSON | KEY),
    ],
)
async def test_answer_is_that_of_fastapi(
    path: str, body: bytes, headers: Mapping[str, str]
) -> None:
    planned = await ask(application(PlannedRoute, Called()), path, body=body, headers=headers)

    assert planned == await ask(application(APIRoute, Called()), path, body=body, headers=headers)


async def test_good_request_calls_each_dependency_once_in_the_order_of_fastapi() -> None:
    called, by_fastapi = Called(), Called()
    for route_class, calls in ((PlannedRoute, called), (APIRoute, by_fastapi)):
        app = application(route_class, calls)
        await ask(app, "/things/ann", body=b'{"name": "a"}', headers=JSON | KEY)

    assert called.names == by_fastapi.names == ["clock", "key", "page", "post_thing"]


async def test_posting_a_notice_goes_by_plan(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        app = create_app(desk)
    contexts = iter_route_contexts(app.routes)
    (post,) = (one for one in contexts if one.path == "/v1/notices" and "POST" in one.methods)  # type: ignore[operator]

    assert isinstance(post.original_route, PlannedRoute)
    assert post.original_route.is_planned


async def test_no_router_is_included_with_dependencies_of_its_own(tmp_path: Path) -> None:
    """No plan would know of them."""
    async with open_desk(tmp_path) as desk:
        app = create_app(desk, routers=ROUTERS)
    planned = [
        (one, one.original_route)
        for one in iter_route_contexts(app.routes)
        if isinstance(one.original_route, PlannedRoute)
    ]

    assert planned
    assert all(one.dependencies == route.dependencies == [] for one, route in planned)
