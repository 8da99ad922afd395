"""The guard at work: real look-ups, real sockets, and nothing reached that is closed."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from harness.receivers import WebhookReceiver, webhook_receiver
from noticebus.dispatcher.egress import BlockedAddressError, EgressGuard, GuardedResolver

CLOSED = EgressGuard()
LOCAL = EgressGuard.from_setting(["127.0.0.1/32"])


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as one:
        yield one


@asynccontextmanager
async def session_of(
    guard: EgressGuard, *, plain: bool = True, resolver: AbstractResolver | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    mine = resolver or GuardedResolver(guard, plain=plain)
    async with guard.session(mine, plain=plain) as session:
        yield session
    await mine.close()


def reason_of(error: Exception) -> str:
    assert isinstance(error, aiohttp.ClientConnectorError)
    assert isinstance(error.os_error, BlockedAddressError)
    return str(error.os_error)


@pytest.mark.parametrize("text", ["127.1", "2130706433", "0", "0177.0.0.1"])
def test_the_guard_itself_opens_no_socket_to_a_numeric_form(text: str) -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (text, 80))

    with pytest.raises(BlockedAddressError, match="not an address"):
        LOCAL.open_socket(info, plain=True)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0",
        "0.0.0.0",  # noqa: S104 - called, not bound
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "10.0.0.1",
    ],
)
async def test_no_way_to_write_a_closed_address_gets_through(
    receiver: WebhookReceiver, host: str
) -> None:
    port = receiver.url.split(":")[2].split("/")[0]

    async with session_of(CLOSED, plain=False) as session:
        with pytest.raises((aiohttp.ClientConnectorError, aiohttp.InvalidURL)) as caught:
            await session.post(f"http://{host}:{port}/hook")

    # aiohttp itself refuses numeric forms; the guard must not depend on that.
    assert isinstance(caught.value, aiohttp.InvalidURL) or reason_of(caught.value)
    assert receiver.arrivals.all == []


async def test_an_allowed_address_is_reached_by_number_and_by_name(
    receiver: WebhookReceiver,
) -> None:
    async with session_of(LOCAL) as session:
        by_number = await session.post(receiver.url)
        by_name = await session.post(receiver.url.replace("127.0.0.1", "localhost"))

    assert (by_number.status, by_name.status) == (200, 200)


async def test_a_metadata_address_stays_closed_in_an_open_network() -> None:
    everything = EgressGuard.from_setting(["0.0.0.0/0", "::/0"])

    async with session_of(everything) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.post("http://169.254.169.254/latest/meta-data")

    assert "metadata" in reason_of(caught.value)


class LyingResolver(AbstractResolver):
    """Answers with whatever it is told, unchecked, as a name server under attack would."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for one in self._addresses
        ]

    async def close(self) -> None:
        pass


async def test_a_name_that_turns_to_a_closed_address_after_the_check_is_refused(
    receiver: WebhookReceiver,
) -> None:
    """Goal: no rebinding. Method: a resolver that checks nothing; the socket's maker must."""
    port = receiver.url.split(":")[2].split("/")[0]

    async with session_of(CLOSED, resolver=LyingResolver("127.0.0.1")) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.post(f"http://rebound.example:{port}/hook")

    assert "loopback" in reason_of(caught.value)
    assert receiver.arrivals.all == []


async def test_of_a_mixed_answer_only_the_open_address_is_called(
    receiver: WebhookReceiver,
) -> None:
    port = receiver.url.split(":")[2].split("/")[0]

    async with session_of(LOCAL, resolver=LyingResolver("10.0.0.1", "127.0.0.1")) as session:
        answer = await session.post(f"http://mixed.example:{port}/hook")

    assert answer.status == 200


async def test_the_resolver_names_the_refusal_and_leaves_closed_addresses_out() -> None:
    closed, local = GuardedResolver(CLOSED, plain=False), GuardedResolver(LOCAL, plain=False)

    with pytest.raises(BlockedAddressError, match="loopback"):
        await closed.resolve("localhost", 80)
    found = await local.resolve("localhost", 80)

    assert {one["host"] for one in found} == {"127.0.0.1"}
    await closed.close()
    await local.close()


async def test_cookies_and_proxy_settings_are_not_used(
    receiver: WebhookReceiver,
) -> None:
    async with session_of(LOCAL) as session:
        await session.post(receiver.url)

        assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
        assert not session.trust_env


def test_a_network_that_cannot_be_read_is_named() -> None:
    with pytest.raises(ValueError, match="127\\.0\\.0\\.1/33"):
        EgressGuard.from_setting(["127.0.0.1/33"])


def test_the_guard_gives_its_list_back() -> None:
    assert LOCAL.allow == (ipaddress.ip_network("127.0.0.1/32"),)


async def test_slow_look_ups_do_not_hold_up_other_blocking_calls() -> None:
    resolver = GuardedResolver(LOCAL, plain=True)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(40):
            tasks.create_task(resolver.resolve("localhost", 80))

    assert await asyncio.to_thread(lambda: True)
    await resolver.close()
