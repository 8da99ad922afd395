"""Every error as an RFC 9457 problem: here an exception becomes a status and a document."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from noticebus.contracts.faults import details_of
from noticebus.errors import BadRequestError, Detail, InvalidError, NotFoundError, NoticebusError
from noticebus.gateway.problem_pages import PROBLEMS

MEDIA_TYPE = "application/problem+json"
BODY_LOCATION = "body"
PARAMETER_PLACES = frozenset({"query", "path", "header", "cookie"})
CODE_OF_STATUS = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}

# The problems of each sort of operation, for `responses`.
_EVERY = ("unauthenticated", "forbidden", "bad-request", "invalid", "unavailable")
READ = (*_EVERY, "not-found")
LISTED = _EVERY
MADE = (*_EVERY, "too-large", "unsupported-media-type")
DONE = (*READ, "conflict", "stale-revision", "too-large", "unsupported-media-type")
EDITED = (*MADE, "not-found", "stale-revision", "precondition-required")

log = structlog.get_logger(__name__)


# Refusals of what was sent: where no part of it is named, the pointer is to the whole (RFC 6901).
ABOUT_THE_REQUEST = frozenset({400, 409, 412, 413, 415, 422, 428})


def problem_document(error: NoticebusError, *, base_url: str, request_id: str) -> dict[str, Any]:
    """Give the problem document of `error`."""
    page = PROBLEMS.get(error.code) or PROBLEMS.get(type(error).code) or PROBLEMS["refused"]
    document: dict[str, Any] = {
        "type": f"{base_url.rstrip('/')}/problems/{page.code}",
        "title": page.title,
        "status": status_of(error),
        "detail": error.message,
        "code": error.code,
        "request_id": request_id,
    }
    details = error.details
    if not details and status_of(error) in ABOUT_THE_REQUEST:
        details = (Detail(pointer="", message=error.message),)
    if details:
        document["errors"] = [_located(detail) for detail in details]
    if (retry_after := _retry_after(error)) is not None:
        document["retry_after"] = retry_after
    return document


def problem_response(
    error: NoticebusError, *, request: Request, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer `request` with the problem that `error` is."""
    document = problem_document(
        error, base_url=request.app.state.desk.base_url, request_id=request_id_of(request)
    )
    all_headers = dict(headers or {})
    if document["status"] == 401:  # noqa: PLR2004 - RFC 9110, 15.5.2: it must say how
        all_headers["WWW-Authenticate"] = 'Bearer realm="noticebus"'
    if "retry_after" in document:
        all_headers["Retry-After"] = str(document["retry_after"])
    return Response(
        json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"),
        status_code=document["status"],
        media_type=MEDIA_TYPE,
        headers=all_headers,
    )


def status_of(error: NoticebusError) -> int:
    """Give the HTTP status: the code's own where its page has one, else the error class's."""
    page = PROBLEMS.get(error.code)
    return error.status if page is None else page.status


def request_id_of(request: Request) -> str:
    """Give the id minted for this request."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def install(app: FastAPI) -> None:
    """Answer every error that reaches FastAPI with a problem."""

    async def noticebus_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, NoticebusError)
        if status_of(error) >= 500:  # noqa: PLR2004 - the class of server errors
            log.warning("request.unavailable", code=error.code, request_id=request_id_of(request))
        return problem_response(error, request=request)

    async def validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        refused = from_validation(error.errors(), model=_body_model(request))
        return problem_response(refused, request=request)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if "Allow" in headers and (allowed := _methods_here(request)):
            headers["Allow"] = ", ".join(allowed)
        return problem_response(from_http(error), request=request, headers=headers)

    app.add_exception_handler(NoticebusError, noticebus_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, http_error)


def from_validation(
    faults: Sequence[Mapping[str, Any]], *, model: type[BaseModel] | None = None
) -> NoticebusError:
    """Turn FastAPI's validation faults into one error with a pointer for each.

    `model` is the body's: with it, an unknown field is told its nearest neighbour.
    """
    for fault in faults:
        if fault["type"] == "json_invalid":
            position = fault["loc"][-1]
            return BadRequestError(
                f"The body is not valid JSON (at character {position}). "
                "Repair it and send it again."
            )
    in_body = [_without_place(one) for one in faults if one["loc"][0] == BODY_LOCATION]
    elsewhere = [one for one in faults if one["loc"][0] != BODY_LOCATION]
    details = details_of(in_body, model=model) + tuple(_parameter(one) for one in elsewhere)
    return InvalidError(
        "The request says something it cannot; `errors` says where. Nothing was stored.",
        details=details,
    )


def from_http(error: HTTPException) -> NoticebusError:
    """Turn an HTTP error of the framework into ours."""
    code = CODE_OF_STATUS.get(error.status_code)
    match code:
        case "not-found":
            return NotFoundError(
                "There is nothing at this address. The addresses are in /openapi.json."
            )
        case "method-not-allowed":
            return BadRequestError(
                "This address does not take this method. The 'Allow' header lists those it takes.",
                code=code,
            )
        case None:
            return BadRequestError("The request cannot be read. Check its body and headers.")
        case _:
            return BadRequestError(PROBLEMS[code].meaning, code=code)


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Describe the problems an operation may answer with, for OpenAPI, each with an example."""
    described: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        page = PROBLEMS[code]
        entry = described.setdefault(
            page.status,
            {
                "description": page.title,
                "content": {
                    MEDIA_TYPE: {
                        "schema": {"$ref": "#/components/schemas/ProblemView"},
                        "examples": {},
                    }
                },
            },
        )
        entry["content"][MEDIA_TYPE]["examples"][code] = {
            "summary": page.title,
            "value": _example(code),
        }
    return described


def _example(code: str) -> dict[str, Any]:
    page = PROBLEMS[code]
    example = {
        "type": f"https://bus.example.gov/problems/{code}",
        "title": page.title,
        "status": page.status,
        "detail": page.meaning,
        "code": code,
        "request_id": "req_01k6v3x8hkfz2rj3m0c4k7s9ta",
    }
    if code == "invalid":
        example["errors"] = [{"pointer": "/name", "message": "This field is required; add it."}]
    if code == "unavailable":
        example["retry_after"] = 2
    return example


def _without_place(fault: Mapping[str, Any]) -> dict[str, Any]:
    return {**fault, "loc": tuple(fault["loc"][1:])}


def _parameter(fault: Mapping[str, Any]) -> Detail:
    # "/query:limit" says both the name and its place until `_located` takes them apart.
    place, *name = (str(part) for part in fault["loc"])
    (detail,) = details_of([{**fault, "loc": (f"{place}:{'.'.join(name)}",)}])
    return detail


def _located(detail: Detail) -> dict[str, str]:
    place, colon, name = detail.pointer.removeprefix("/").partition(":")
    if colon and place in PARAMETER_PLACES:
        return {"pointer": f"/{name}", "message": detail.message, "in": place}
    return {"pointer": detail.pointer, "message": detail.message}


def _methods_here(request: Request) -> list[str]:
    """List this address's methods (RFC 9110, section 15.5.6); the framework names one route's."""
    path, found = request.scope["path"], set()
    for router in request.app.state.routers:
        for route in router.routes:
            form = getattr(route, "path_regex", None)
            if form is not None and form.match(path):
                found |= set(route.methods)
    return sorted(found)


def _body_model(request: Request) -> type[BaseModel] | None:
    body = getattr(request.scope.get("route"), "body_field", None)
    model = getattr(getattr(body, "field_info", None), "annotation", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _retry_after(error: NoticebusError) -> int | None:
    seconds = getattr(error, "retry_after_s", None)
    return None if seconds is None else int(seconds)
