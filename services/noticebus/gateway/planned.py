"""Routes whose dependencies are looked through once, when they are made, not at each request.

FastAPI asks anew, for each request and each dependency, what kind of function it is and what it
takes. It stays the judge: what no plan foresees, and every request with a fault in it, is handled
by FastAPI's own handler from the start.
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args
from fastapi.params import Body
from fastapi.routing import APIRoute

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Reader = Callable[[Sequence[ModelField], Any], tuple[dict[str, Any], list[Any]]]

TEXTS = (str, str | None)

# Written any other way, the media type is FastAPI's to read.
JSON = frozenset({"application/json", "application/json; charset=utf-8"})


class PlannedRoute(APIRoute):
    """A route that is answered by plan, where its dependencies are plain and it gives a `Response`.

    They must only read: where a body is at fault, FastAPI calls them a second time. A router of
    such routes is included without dependencies of its own and without overrides: no plan knows of
    these.
    """

    is_planned = False

    def get_route_handler(self) -> Handler:
        """Put the plan before FastAPI's handler."""
        whole = super().get_route_handler()
        plan = _planned(self)
        self.is_planned = plan is not None
        if plan is None:
            return whole

        async def answer(request: Request) -> Response:
            arguments = await plan.arguments(request)
            if arguments is None:
                return await whole(request)
            response: Response = await plan.endpoint.call(**arguments)
            return response

        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """One call: of a dependency, or of the endpoint. `given` says which earlier steps it takes."""

    call: Callable[..., Awaitable[Any]]
    request_name: str | None
    given: Sequence[tuple[str, int]]
    parameters: Sequence[tuple[str, Sequence[ModelField], Reader]]  # where in the request, which

    def arguments(self, request: Request, results: Sequence[Any]) -> dict[str, Any] | None:
        """Gather what it is called with; None where a parameter is at fault."""
        arguments = {name: results[number] for name, number in self.given}
        for place, fields, read in self.parameters:
            values, faults = read(fields, getattr(request, place))
            if faults:
                return None
            arguments.update(values)
        if self.request_name is not None:
            arguments[self.request_name] = request
        return arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """The calls before the endpoint's, each after those it takes, and the endpoint's own."""

    steps: Sequence[_Step]
    endpoint: _Step
    body: Sequence[Any]

    async def arguments(self, request: Request) -> dict[str, Any] | None:
        """Give what the endpoint is called with, or None where FastAPI must look.

        In FastAPI's order: what a dependency raises comes before any fault of the body, but after
        a body that is no JSON.
        """
        body: Any = None
        if self.body:
            if request.headers.get("content-type") not in JSON:
                return None
            try:
                body = await request.json()
            except (ValueError, RecursionError):
                return None
        results: list[Any] = []
        for step in self.steps:
            arguments = step.arguments(request, results)
            if arguments is None:
                return None
            results.append(await step.call(**arguments))
        arguments = self.endpoint.arguments(request, results)
        if arguments is not None and self.body:
            read, faults = await request_body_to_args(
                list(self.body), received_body=body, embed_body_fields=False
            )
            return None if faults else arguments | read
        return arguments


def _planned(route: APIRoute) -> _Plan | None:
    """Make the plan of a route; None where FastAPI must handle every request to it."""
    answers = inspect.signature(route.endpoint).return_annotation
    body = route.dependant.body_params
    if not (isinstance(answers, type) and issubclass(answers, Response)):
        return None
    if body and (len(body) > 1 or not _is_whole_body(body[0].field_info)):
        return None
    steps: list[_Step] = []
    endpoint = _step(route.dependant, steps=steps, numbers={})
    return None if endpoint is None else _Plan(steps=steps, endpoint=endpoint, body=body)


def _is_whole_body(field: object) -> bool:
    return type(field) is Body and not field.embed  # forms and files are kinds of Body


def _step(
    dependant: Dependant, *, steps: list[_Step], numbers: dict[Callable[..., Any], int]
) -> _Step | None:
    """Make the call of a dependant, those before it put to `steps`; None where one is not plain."""
    call = dependant.call
    if call is None or not _is_plain(dependant, call):
        return None
    given = []
    for one in dependant.dependencies:
        assert one.call is not None, "FastAPI makes a dependency of a function"
        if one.call not in numbers:  # each is called once, whoever takes it
            step = None if one.body_params else _step(one, steps=steps, numbers=numbers)
            if step is None:
                return None
            steps.append(step)
            numbers[one.call] = len(steps) - 1
        if one.name is not None:
            given.append((one.name, numbers[one.call]))
    places = {
        "path_params": dependant.path_params,
        "query_params": dependant.query_params,
        "headers": dependant.header_params,
        "cookies": dependant.cookie_params,
    }
    return _Step(
        call=call,
        request_name=dependant.request_param_name or dependant.http_connection_param_name,
        given=given,
        parameters=[(place, fields, _reader(fields)) for place, fields in places.items() if fields],
    )


def _reader(fields: Sequence[ModelField]) -> Reader:
    return _read_texts if all(map(_is_text, fields)) else request_params_to_args


def _is_text(field: ModelField) -> bool:
    """Say whether it is one text under one name."""
    info = field.field_info
    has_other_names = info.validation_alias not in (None, info.alias) or bool(field.config)
    return info.annotation in TEXTS and not has_other_names and not info.validate_default


def _read_texts(
    fields: Sequence[ModelField], received: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Any]]:
    """Read what `request_params_to_args` would, of fields that are one text each."""
    values: dict[str, Any] = {}
    faults: list[Any] = []
    for field in fields:
        value = received.get(field.alias)
        if value is not None:
            values[field.name], found = field.validate(value, values)
            faults += found
        elif field.field_info.is_required():
            faults.append(field.name)
        else:
            values[field.name] = field.default
    return values, faults


def _is_plain(dependant: Dependant, call: Callable[..., Any]) -> bool:
    """Say whether it is awaited once and gone, and takes nothing but values and the request."""
    asks_more = (
        dependant.websocket_param_name,
        dependant.response_param_name,
        dependant.background_tasks_param_name,
        dependant.security_scopes_param_name,
        dependant.own_oauth_scopes,
        dependant.parent_oauth_scopes,
        dependant.concurrency,
        not dependant.use_cache,
    )
    is_async = inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)
    return is_async and not any(asks_more)
