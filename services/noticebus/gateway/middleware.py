"""What surrounds every request, as plain ASGI: id, headers, last resort, guard of the body."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable

import structlog
from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from noticebus.errors import BadRequestError, NoticebusError, TooLargeError
from noticebus.gateway.problems import problem_response
from noticebus.ids import new_request_id

BODY_BYTES_MAX = 256 * 1024
BODY_WAIT_S = 30.0
REQUEST_ID = b"x-request-id"
JSON_PATHS = "/v1/"
FILE_PATHS = {  # how a path ends that takes files of other programs too
    "/roster": frozenset({"text/csv", "text/calendar"}),
    "/calendar/import": frozenset({"text/calendar"}),
}
FORM_PATHS = "/v1/telephone/"  # a provider calls these, in its own way
ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

RawHeader = tuple[bytes, bytes]  # the name in small letters, as ASGI has it

log = structlog.get_logger(__name__)


class Envelope:
    """Mints each request's id, sets what every answer carries, answers what nobody expected.

    The id is taken from nobody outside and answered in `X-Request-Id`. Each header that a page has
    not set for itself gets its careful default. What nobody expected becomes a 500 problem that
    leaks nothing, and its traceback is logged. In one class: every answer passes here.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        headers = dict(SECURITY_HEADERS)
        if https:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        self._headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_complete(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = self._complete(message["headers"], request_id)
            await send(message)

        bound = structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, send_complete)
        except Exception:
            log.exception("request.failed", method=scope["method"], route=_route(scope))
            if started:
                raise
            fault = NoticebusError(
                "A fault of the bus, not of your request. It is logged under this request's id."
            )
            await problem_response(fault, request=Request(scope))(scope, receive, send_complete)
        finally:
            structlog.contextvars.reset_contextvars(**bound)

    def _complete(self, headers: Iterable[RawHeader], request_id: str) -> list[RawHeader]:
        complete = [one for one in headers if one[0] != REQUEST_ID]
        own = {name for name, _ in complete}
        complete += [one for one in self._headers if one[0] not in own]
        complete.append((REQUEST_ID, request_id.encode("latin-1")))
        return complete


class BodyGuard:
    """Reads each body within bounds of size and time, and refuses what no handler could read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            _check_target(scope)
            headers = Headers(scope=scope)
            body = await _read(receive, headers=headers) if _has_body(headers) else b""
            if body is None:  # the client went away: nobody waits for an answer
                return
            _check_body(scope["path"], headers=headers, body=body)
        except NoticebusError as error:
            await problem_response(error, request=Request(scope))(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _check_target(scope: Scope) -> None:
    if (
        "\x00" in scope["path"]
        or b"%00" in scope["query_string"]
        or b"\x00" in scope["query_string"]
    ):
        raise BadRequestError("The address contains a NUL character. Leave it out.")


async def _read(receive: Receive, *, headers: Headers) -> bytes | None:
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:12]) > BODY_BYTES_MAX:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                if len(body) > BODY_BYTES_MAX:
                    raise _too_large()
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise BadRequestError(
            f"The body did not arrive within {BODY_WAIT_S:.0f} s. Send the request again.",
            code="slow-body",
        ) from error


def _too_large() -> TooLargeError:
    return TooLargeError(f"The body is larger than {BODY_BYTES_MAX:,} bytes. Send less.")


def _check_body(path: str, *, headers: Headers, body: bytes) -> None:
    if not body or not path.startswith(JSON_PATHS) or path.startswith(FORM_PATHS):
        return
    media_type = media_type_of(headers)
    if (
        media_type not in _files_at(path)
        and media_type != "application/json"
        and not (media_type.startswith("application/") and media_type.endswith("+json"))
    ):
        raise BadRequestError(
            "The body is not declared as JSON. Send it with 'Content-Type: "
            f"{' or '.join(['application/json', *sorted(_files_at(path))])}'.",
            code="unsupported-media-type",
        )
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequestError(
            f"The body is not UTF-8 (at byte {error.start}). Send it as UTF-8."
        ) from error
    if b"\x00" in body or (b"\\u0000" in body and ESCAPED_NUL.search(body)):
        raise BadRequestError("The body contains a NUL character (\\u0000). Leave it out.")


def media_type_of(headers: Headers) -> str:
    """Give the media type that a body is declared as, without its parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _files_at(path: str) -> frozenset[str]:
    return next((found for end, found in FILE_PATHS.items() if path.endswith(end)), frozenset())


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


def _route(scope: Scope) -> str:
    # The template, never the path: a path may carry a one-time link.
    return str(getattr(scope.get("route"), "path", ""))
