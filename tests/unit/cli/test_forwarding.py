import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from harness.ports import free_port
from noticebus.cli.explaining import Fault, Finding
from noticebus.cli.forwarding import ANSWER_BYTES_MAX, Answered, Forwarder, meaning
from noticebus.cli.output import CommandError

RIGHT = Finding(ok=True, cause="signature ok (v1)")
WRONG = Finding(ok=False, cause="signature WRONG: …", fault=Fault.SECRET)
Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def application(handle: Handle) -> AsyncIterator[str]:
    """Run an application on this machine."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def forwarded(url: str, *, within_s: float = 5.0, body: bytes = b"x") -> Answered:
    async with Forwarder(url, within_s=within_s) as forwarder:
        return await forwarder.forward([("webhook-id", "dlv_1"), ("Host", "bus")], body)


async def test_bytes_and_headers_arrive_as_they_came() -> None:
    got: list[tuple[bytes, list[tuple[bytes, bytes]]]] = []
    body = b' {"a":1}\r\n\xff'

    async def handle(request: web.Request) -> web.Response:
        got.append((await request.read(), list(request.raw_headers)))
        return web.Response(status=202, text="taken", headers={"Retry-After": "7", "X-A": "b"})

    sent = [("Webhook-Id", "dlv_1"), ("X-Two", "a"), ("X-Two", "b"), ("Content-Length", "9")]
    async with application(handle) as url, Forwarder(url) as forwarder:
        answered = await forwarder.forward(sent, body)

    ((raw, headers),) = got
    assert raw == body
    assert [one for one in headers if one[0] in {b"Webhook-Id", b"X-Two"}] == [
        (b"Webhook-Id", b"dlv_1"),
        (b"X-Two", b"a"),
        (b"X-Two", b"b"),
    ]
    assert (answered.status, answered.body, answered.remark) == (202, b"taken", "")
    assert answered.headers["Retry-After" if "Retry-After" in answered.headers else "retry-after"]
    assert "X-A" not in answered.headers


async def test_a_redirect_of_the_application_is_passed_back_and_not_followed() -> None:
    async def handle(request: web.Request) -> web.Response:
        assert request.path == "/hook"
        return web.Response(status=302, headers={"Location": "/login"})

    async with application(handle) as url:
        answered = await forwarded(url)

    assert answered.status == 302


async def test_a_long_answer_is_cut() -> None:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * (ANSWER_BYTES_MAX + 1))

    async with application(handle) as url:
        assert len((await forwarded(url)).body) == ANSWER_BYTES_MAX


async def test_an_application_that_is_not_there_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}/hook"

    answered = await forwarded(url)

    assert answered.status == 502
    assert answered.remark == f"nothing listens at {url}: answered 502 for it"


async def test_an_application_that_is_late_is_named() -> None:
    async def handle(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with application(handle) as url:
        answered = await forwarded(url, within_s=0.05)

    assert answered.status == 504
    assert "did not answer within 0.05 s" in answered.remark


async def test_an_application_that_hangs_up_is_named() -> None:
    async def handle(request: web.Request) -> web.Response:
        assert isinstance(request.transport, asyncio.Transport)
        request.transport.abort()
        return web.Response()

    async with application(handle) as url:
        answered = await forwarded(url)

    assert answered.status == 502
    assert "broke the connection" in answered.remark


@pytest.mark.parametrize("url", ["localhost:3000", "ftp://x/y", "http://", "http://[::1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(CommandError, match="is not the address of an application"):
        Forwarder(url)


@pytest.mark.parametrize(
    ("status", "finding", "said"),
    [
        (204, WRONG, "took an event whose signature is WRONG"),
        (401, RIGHT, "look at its check of the signature first"),
        (401, WRONG, "the bus tries again"),
        (302, RIGHT, "the bus follows none"),
        (410, RIGHT, "closed for good"),
        (500, RIGHT, "the bus tries again"),
        (204, RIGHT, "answered 204 after 12 ms"),
    ],
)
def test_an_answer_is_told_with_what_it_means(status: int, finding: Finding, said: str) -> None:
    answered = Answered(status=status, took_s=0.012)

    assert said in meaning(answered, finding=finding, challenge=None)


def test_a_handshake_without_its_challenge_is_named() -> None:
    without, with_it = (Answered(status=200, took_s=0.0, body=body) for body in (b"ok", b'"c-1"'))

    assert "without the challenge" in meaning(without, finding=RIGHT, challenge="c-1")
    assert "without" not in meaning(with_it, finding=RIGHT, challenge="c-1")


def test_why_there_is_no_answer_is_all_that_is_said() -> None:
    answered = Answered(status=504, took_s=14.0, remark="too late")

    assert meaning(answered, finding=RIGHT, challenge=None) == "too late"
