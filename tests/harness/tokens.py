"""A token server (RFC 6749, section 4.4) that counts its fetches and misbehaves on request."""

import base64
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from aiohttp import web

from harness.receivers import WebhookReceiver

CLIENT_ID = "noticebus & co"
CLIENT_SECRET = "the secret: 100%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One request for a token: who asked, and with what form."""

    client: str
    form: dict[str, str]


@dataclass(slots=True)
class TokenServer:
    """Gives `token-1`, `token-2` …; `then` replaces its next answers."""

    url: str = ""
    fetches: list[Fetch] = field(default_factory=list)
    then: deque[web.Response] = field(default_factory=deque)
    expires_in: object = 3600

    @property
    def newest(self) -> str:
        """Give the token it gave last."""
        return f"token-{len(self.fetches)}-0123456789"

    async def give(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        encoded = request.headers.get("Authorization", "Basic ").removeprefix("Basic ")
        pair = base64.b64decode(encoded).decode("ascii")
        self.fetches.append(Fetch(client=":".join(map(unquote_plus, pair.split(":"))), form=form))
        if self.then:
            return self.then.popleft()
        said = {"access_token": self.newest, "token_type": "bearer", "expires_in": self.expires_in}
        return web.json_response(said)


@asynccontextmanager
async def token_server() -> AsyncIterator[TokenServer]:
    """Run a token server for the length of a block."""
    server = TokenServer()
    app = web.Application()
    app.router.add_post("/token", server.give)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/token"
    try:
        yield server
    finally:
        await runner.cleanup()


def tokens_of(receiver: WebhookReceiver) -> list[str]:
    """List the tokens that reached an endpoint, in order."""
    return [
        one.headers.get("authorization", "").removeprefix("Bearer ")
        for one in receiver.arrivals.all
    ]
