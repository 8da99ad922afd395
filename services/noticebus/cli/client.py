"""The HTTP client of the commands: they are callers like any other, with an API key."""

import asyncio
import ipaddress
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import typer
from yarl import URL

from noticebus.cli.output import CommandError, note
from noticebus.cli.session import FIRST_KEY_FILE, KEY_FILE, Session, effective, session_of
from noticebus.cli.session import URL as URL_VARIABLE

CONNECT_LIMIT_S = 5.0
WHOLE_LIMIT_S = 30.0
ANSWER_BYTES_MAX = 64 * 1024 * 1024
PAGE_SIZE = 200
PAGES_MAX = 50
REFUSED_FROM = 400
REMEDIES = {
    "unauthenticated": f"Give a valid key: set {KEY_FILE} to a file that holds one, or --key-file.",
    "forbidden": "Use a key with the scope it needs; an administrator makes one with"
    " `noticebus key add`.",
    "unavailable": "Try again shortly; if it lasts, run `noticebus doctor` where the bus runs.",
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the bus answered: below 400, or there would have been an error."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        """The answer's JSON."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """Speaks to one bus with one key."""

    server: str
    key: str | None

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Make one call; CommandError with cause and remedy where it does not succeed.

        A body of bytes is sent as it is, and needs its `Content-Type` among the headers.
        """
        sent = dict(headers or {})
        if self.key is not None:
            sent["Authorization"] = f"Bearer {self.key}"
        limit = aiohttp.ClientTimeout(total=WHOLE_LIMIT_S, sock_connect=CONNECT_LIMIT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.request(
                    method,
                    URL(self.server + path),
                    json=None if isinstance(body, bytes) else body,
                    data=body if isinstance(body, bytes) else None,
                    params=query,
                    headers=sent,
                    allow_redirects=False,  # the key goes where it was meant to go
                ) as response,
            ):
                raw = await response.content.read(ANSWER_BYTES_MAX)
                while chunk := await response.content.read(ANSWER_BYTES_MAX - len(raw)):
                    raw += chunk
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise _unreachable(self.server, error) from error
        answer = Answer(
            status=response.status, headers=response.headers, text=raw.decode("utf-8", "replace")
        )
        if answer.status >= 300:  # noqa: PLR2004 - redirects too: the bus answers none
            raise refused(answer)
        return answer

    async def list_all(self, path: str, *, query: Mapping[str, str] | None = None) -> list[Any]:
        """Read a list page by page; beyond 10,000 lines it says that there are more."""
        items: list[Any] = []
        asked = {"limit": str(PAGE_SIZE), **(query or {})}
        for _ in range(PAGES_MAX):
            page = (await self.call("GET", path, query=asked)).body
            items += page["items"]
            if page.get("next") is None:
                return items
            asked["cursor"] = page["next"]
        note(f"Only the first {len(items)} are shown; ask the API itself for the rest.")
        return items


class ProblemError(CommandError):
    """The bus refused a call with a problem document (RFC 9457)."""

    def __init__(self, cause: str, *, remedy: str, problem: Mapping[str, Any]) -> None:
        super().__init__(cause, remedy=remedy)
        self.problem = problem


def run(action: Coroutine[Any, Any, T]) -> T:
    """Run a command's calls."""
    return asyncio.run(action)


def client_of(context: typer.Context) -> Client:
    """Make the client that a command's session asks for."""
    return make_client(session_of(context))


def make_client(session: Session) -> Client:
    """Find the bus and the key: as said, or else those of the bus in this folder.

    The first administrator's key is sent only to the bus of this folder's settings: a key found by
    itself must not go to a server that somebody else named.
    """
    said = session.key or (None if session.key_file is None else read_key(session.key_file))
    if session.server is not None:
        return Client(server=_checked(session.server, key=said), key=said)
    settings = effective(session.load())
    found = Path(settings.data_dir) / FIRST_KEY_FILE
    if said is None and found.exists():
        said = read_key(found)
    return Client(server=_checked(settings.base_url, key=said), key=said)


def read_key(path: Path) -> str:
    """Read an API key, or another secret of one line, from its file."""
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"The file {path} cannot be read: {getattr(error, 'strerror', None) or 'not text'}.",
            remedy="Name a file that holds the key and that you may read.",
        ) from error


def refused(answer: Answer) -> ProblemError:
    """Turn an answer that is no success into cause and remedy."""
    try:
        problem = dict(answer.body)
    except (ValueError, TypeError):
        problem = {}
    code = str(problem.get("code", ""))
    detail = str(problem.get("detail") or f"The server answered {answer.status}.")
    cause = " ".join([detail, *(f"[{one}]" for one in _faults(problem, beyond=detail))])
    if code in REMEDIES:
        remedy = REMEDIES[code]
    elif "type" in problem:
        remedy = f"Correct it and repeat; {problem['type']} says more."
    else:
        remedy = f"Check that {URL_VARIABLE} or --server names a noticebus."
    return ProblemError(cause, remedy=remedy, problem=problem)


def _faults(problem: Mapping[str, Any], *, beyond: str) -> list[str]:
    """Give what `errors` adds to the detail: where each fault is, and what the detail left out."""
    found = [
        (str(fault.get("pointer") or ""), str(fault.get("detail") or fault.get("message")))
        for fault in problem.get("errors", [])
    ]
    return [
        f"{pointer}: {message}" if pointer else message
        for pointer, message in found
        if pointer or message not in beyond
    ]


def _checked(server: str, *, key: str | None) -> str:
    """Refuse what is no address; warn where a key would cross a network in the clear."""
    address = server.rstrip("/")
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise CommandError(
            f"{server} is not the address of a bus.",
            remedy=f"Write --server or {URL_VARIABLE} like https://bus.example.gov.",
        )
    if url.scheme == "http" and key is not None and not _is_here(url.host):
        note(f"warning: the key travels unencrypted to {url.host}; use https.")
    return address


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unreachable(server: str, error: Exception) -> CommandError:
    reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or "no answer"
    return CommandError(
        f"The bus at {server} does not answer ({reason}).",
        remedy=f"Start it with `noticebus serve`, or name another with --server or {URL_VARIABLE}.",
    )
