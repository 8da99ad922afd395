"""The HTTP interface put together: routers, middleware, problems and OpenAPI."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from noticebus.access.principals import Principals
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Intake
from noticebus.contracts.answers import ProblemView
from noticebus.domain.egress_rules import Network
from noticebus.gateway import (
    acknowledgements,
    agencies,
    audit,
    calendars,
    credentials,
    delegations,
    endpoints,
    exercises,
    inbox,
    incidents,
    keys,
    notices,
    offers,
    operations,
    policies,
    problems,
    questions,
    replays,
    reports,
    resends,
    rosters,
    schedules,
    subscriptions,
    telephone,
    waivers,
    webhooks,
)
from noticebus.gateway.dependencies import Check
from noticebus.gateway.middleware import BodyGuard, Envelope

ROUTERS = (
    notices.router,
    incidents.router,
    resends.router,
    exercises.router,
    acknowledgements.router,
    waivers.router,
    questions.router,
    offers.router,
    inbox.router,
    subscriptions.router,
    replays.router,
    endpoints.router,
    credentials.router,
    reports.router,
    agencies.router,
    calendars.router,
    rosters.router,
    delegations.router,
    policies.router,
    schedules.router,
    keys.router,
    telephone.router,
    audit.router,
    operations.router,
)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    desk: Desk,
    *,
    intake: Intake | None = None,
    checks: Mapping[str, Check] | None = None,
    routers: Sequence[APIRouter] = (),
    lifespan: Lifespan | None = None,
    egress_allow: Sequence[Network] = (),
) -> FastAPI:
    """Create the application around `desk`. Whoever creates it runs `intake`, or no post is taken.

    `routers` are those of other services, `checks` go on /readyz, `egress_allow` are the networks
    that an operator opened for endpoints (I11).
    """
    app = _application(https=desk.base_url.startswith("https://"), lifespan=lifespan)
    attach(app, desk, intake=intake)
    app.state.checks = checks or {}
    app.state.egress_allow = tuple(egress_allow)
    app.state.routers = (*ROUTERS, *routers)
    problems.install(app)
    for router in app.state.routers:
        app.include_router(router)
    return app


def attach(app: FastAPI, desk: Desk, *, intake: Intake | None = None) -> None:
    """Let an application that `create_app` made work on `desk` from now on."""
    app.state.desk = desk
    app.state.intake = intake or Intake(desk)
    app.state.principals = Principals(desk.database, machine=desk.machine)


def create_health_app(desk: Desk, *, checks: Mapping[str, Check]) -> FastAPI:
    """Create the application of a process without the gateway's role: health and metrics only."""
    app = _application(https=desk.base_url.startswith("https://"), lifespan=None)
    app.state.desk = desk
    app.state.checks = checks
    app.state.routers = (operations.router,)
    problems.install(app)
    app.include_router(operations.router)
    return app


def openapi_document() -> dict[str, Any]:
    """Give the published description of the interface: what every installation serves."""
    app = _application(https=True, lifespan=None)
    for router in ROUTERS:
        app.include_router(router)
    return app.openapi()


def _application(*, https: bool, lifespan: Lifespan | None) -> FastAPI:
    app = FastAPI(
        title="noticebus",
        summary="One notice posted, every responsible agency told, every silence noticed.",
        version=version("noticebus"),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        webhooks=webhooks.router,
        lifespan=lifespan,
        middleware=[
            Middleware(Envelope, https=https),
            Middleware(BodyGuard),
        ],
        # Ours are on /metrics. Spans and logs of FastAPI's would carry addresses with tokens in
        # them, and looking for a collector costs every request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    _describe_problems(app)
    return app


def _operation_id(route: APIRoute) -> str:
    """Name an operation as its handler: generated clients make method names of these."""
    return route.name


def _describe_problems(app: FastAPI) -> None:
    describe = app.openapi

    def described() -> dict[str, Any]:
        schema = describe()
        known = schema.setdefault("components", {}).setdefault("schemas", {})
        if "ProblemView" not in known:
            problem = ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
            known.update(problem.pop("$defs", {}))
            known["ProblemView"] = problem
        return schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI documents replacing it
