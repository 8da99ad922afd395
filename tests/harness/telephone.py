"""A telephone provider: a real local server that behaves like Twilio's API of 2010-04-01.

It takes text messages and calls, refuses numbers, fails on request, and calls the bus back signed
as the real one does.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import xml.etree.ElementTree as ET
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
from aiohttp import web
from fastapi import FastAPI

from harness.receivers import ADDRESS, ARRIVAL_S, Arrivals

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
TOKEN = "f00dfacef00dfacef00dfacef00dface"
NUMBER = "+16015550199"
BASE = "/v1/telephone/twilio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """One text message or call as it was handed over, with the provider's id."""

    sid: str
    kind: str  # "Messages" or "Calls"
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def to(self) -> str:
        return self.fields["To"]

    @property
    def text(self) -> str:
        """Give what is written, or spoken."""
        return self.fields.get("Body") or " ".join(ET.fromstring(self.fields["Twiml"]).itertext())  # noqa: S314 - our own document

    @property
    def code(self) -> str:
        """Give the one-time code in it."""
        found = re.search(r"\b\d(?:(?:, )?\d){5}\b", self.text)
        assert found is not None, self.text
        return found[0].replace(", ", "")

    @property
    def gather(self) -> str:
        """Give the address to which typed digits go."""
        found = ET.fromstring(self.fields["Twiml"]).find("Gather")  # noqa: S314 - our own document
        assert found is not None, self.fields["Twiml"]
        return found.attrib["action"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How the provider fails one request."""

    status: int
    code: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay_s: float = 0.0
    takes: bool = False  # it takes the request all the same: the answer is lost


class Provider:
    """Records what it is handed.

    Fails as `then` says, one each; `refused` maps numbers to codes.
    """

    def __init__(self) -> None:
        self.handed: Arrivals[Handed] = Arrivals()
        self.then: deque[Fault] = deque()
        self.refused: dict[str, int] = {}
        self.may_answer = asyncio.Event()  # cleared, it takes requests and answers later
        self.may_answer.set()
        self.url = ""
        self._expected: dict[tuple[str, str], int] = {}
        self._released = asyncio.Event()

    async def start(self) -> web.AppRunner:
        """Listen; the caller cleans the runner up."""
        app = web.Application()
        app.router.add_post(f"/2010-04-01/Accounts/{ACCOUNT}/{{kind}}.json", self._take)
        app.router.add_get(f"/2010-04-01/Accounts/{ACCOUNT}.json", self._account)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, ADDRESS, 0).start()
        self.url = f"http://{ADDRESS}:{runner.addresses[0][1]}"
        return runner

    def release(self) -> None:
        """Let everything that hangs end."""
        self._released.set()
        self.may_answer.set()

    def settings(self) -> dict[str, str]:
        """Give the settings of a bus that uses this provider."""
        return {
            "telephone_url": self.url,
            "telephone_account": ACCOUNT,
            "telephone_token": TOKEN,
            "telephone_from": NUMBER,
        }

    async def texts(self, to: str, *, times: int = 1) -> list[Handed]:
        """Expect `times` more text messages to a number."""
        return await self._expect("Messages", to, times)

    async def calls(self, to: str, *, times: int = 1) -> list[Handed]:
        """Expect `times` more calls to a number."""
        return await self._expect("Calls", to, times)

    def surprises(self) -> list[str]:
        """Name the numbers that got more, or less, than was expected."""
        keys = {(one.kind, one.to) for one in self.handed.all}
        return [
            f"{kind} to {to}: {len(self._to(kind, to))} arrived, {expected} expected"
            for kind, to in sorted(keys)
            if len(self._to(kind, to)) != (expected := self._expected.get((kind, to), 0))
        ]

    def _to(self, kind: str, to: str) -> list[Handed]:
        return [one for one in self.handed.all if (one.kind, one.to) == (kind, to)]

    async def _expect(self, kind: str, to: str, times: int) -> list[Handed]:
        wanted = self._expected.get((kind, to), 0) + times
        self._expected[kind, to] = wanted
        async with asyncio.timeout(ARRIVAL_S):
            while len(found := self._to(kind, to)) < wanted:
                await self.handed.wait_for(len(self.handed.all) + 1)
        return found[wanted - times :]

    async def _account(self, request: web.Request) -> web.Response:
        return self._unknown(request) or web.json_response({"sid": ACCOUNT, "status": "active"})

    async def _take(self, request: web.Request) -> web.StreamResponse:
        if (unknown := self._unknown(request)) is not None:
            return unknown
        form = {name: str(value) for name, value in (await request.post()).items()}
        fault = self.then.popleft() if self.then else None
        if fault is not None and not fault.takes:
            return await self._fail(fault)
        if (code := self.refused.get(form["To"])) is not None:
            return _problem(400, code, f"The 'To' number {form['To']} is not valid.")
        kind = request.match_info["kind"]
        prefix = {"Messages": "SM", "Calls": "CA"}[kind]
        sid = f"{prefix}{len(self.handed.all):032x}"
        await self.handed.add(Handed(sid=sid, kind=kind, fields=form))
        if fault is not None:
            return await self._fail(fault)
        await self.may_answer.wait()
        return web.json_response({"sid": sid, "status": "queued", "to": form["To"]}, status=201)

    def _unknown(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        if given == "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode():
            return None
        return _problem(401, 20003, "Authenticate")

    async def _fail(self, fault: Fault) -> web.StreamResponse:
        if fault.delay_s:
            async with asyncio.timeout(fault.delay_s):
                await self._released.wait()
        if fault.body is not None:
            return web.Response(status=fault.status, headers=fault.headers, body=fault.body)
        response = _problem(fault.status, fault.code, "It went wrong.")
        response.headers.update(fault.headers)
        return response


class Line:
    """The provider's way back to the bus: signed callbacks over the public interface."""

    def __init__(self, app: FastAPI, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        transport = httpx2.ASGITransport(app=app)
        self._client = httpx2.AsyncClient(transport=transport, base_url=self._base_url)

    async def post(
        self, address: str, fields: dict[str, str], *, signature: str | None = None
    ) -> httpx2.Response:
        """Post a form to the bus, signed with the account's token unless another is given."""
        url = address if address.startswith("http") else f"{self._base_url}{address}"
        headers = {"X-Twilio-Signature": sign(url, fields) if signature is None else signature}
        if signature == "":
            headers = {}
        return await self._client.post(url, data=fields, headers=headers)

    async def says(self, handed: Handed, status: str, **more: str) -> httpx2.Response:
        """Tell the bus what became of a text message or call."""
        call = handed.kind == "Calls"
        fields = {
            "CallSid" if call else "MessageSid": handed.sid,
            "CallStatus" if call else "MessageStatus": status,
            "AccountSid": ACCOUNT,
            "To": handed.to,
            "From": NUMBER,
            **more,
        }
        return await self.post(handed.fields["StatusCallback"], fields)

    async def reply(self, phone: str, body: str) -> str:
        """Send a text message to the bus, and give what it answers."""
        fields = {"MessageSid": "SMin", "From": phone, "To": NUMBER, "Body": body}
        response = await self.post(f"{BASE}/inbound", fields)
        assert response.status_code == 200, response.text
        return _said(response, "Message")

    async def types(self, handed: Handed, digits: str, *, to: str | None = None) -> str:
        """Type digits on a call, and give what the call says next."""
        fields = {"CallSid": handed.sid, "To": to or handed.to, "From": NUMBER, "Digits": digits}
        response = await self.post(handed.gather, fields)
        assert response.status_code == 200, response.text
        return _said(response, "Say")


def sign(url: str, fields: dict[str, str], token: str = TOKEN) -> str:
    """Sign as the provider's documentation says: the address, then names and values in order."""
    text = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    mac = hmac.new(token.encode(), text.encode(), hashlib.sha1)
    return base64.b64encode(mac.digest()).decode()


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """Run a provider for the length of a block."""
    one = Provider()
    runner = await one.start()
    try:
        yield one
    finally:
        one.release()
        await runner.cleanup()


def _said(response: httpx2.Response, verb: str) -> str:
    assert response.headers["content-type"].startswith("text/xml")
    document: Any = ET.fromstring(response.text)  # noqa: S314 - our own document
    return " ".join("".join(one.itertext()) for one in document.iter(verb))


def _problem(status: int, code: int, message: str) -> web.Response:
    body = {"code": code, "message": message, "status": status}
    return web.json_response(body, status=status)
