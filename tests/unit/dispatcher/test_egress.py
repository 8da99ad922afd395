"""The guard at work: real look-ups, real sockets, and nothing reached that is closed."""

import asyncio
import errno
import ipaddress
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_reqrep import ConnectionKey

from harness.receivers import WebhookReceiver, webhook_receiver
from harness.roles import until
from noticebus.access.keyring import Keyring, new_webhook_secret
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher import egress, failures
from noticebus.dispatcher.egress import (
    RESOLVERS_MAX,
    BlockedAddressError,
    BusyLookUpsError,
    EgressGuard,
    GuardedResolver,
    LookUp,
)
from noticebus.dispatcher.failures import failure_of
from noticebus.dispatcher.signs import Signs
from noticebus.dispatcher.webhook import WebhookRequest, WebhookSender
from noticebus.domain.delivery import AttemptResult

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


class Names:
    """Finds every name at once, but while it is `away` nobody answers for those of "dead"."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = True
        self._released = threading.Event()

    def look_up(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        released = self._released
        self.asked.append(host)
        if self.away and host.startswith("dead"):
            released.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "no name server answered")
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    def give_up(self) -> None:
        """End what is under way without an answer; what is asked from now on waits again."""
        given_up, self._released = self._released, threading.Event()
        given_up.set()

    def come_back(self) -> None:
        self.away = False
        self.give_up()

    async def are_asked(self, count: int) -> None:
        async def all_asked() -> bool:
            return len(self.asked) >= count

        await until(all_asked)


@asynccontextmanager
async def resolving(names: Names) -> AsyncIterator[GuardedResolver]:
    resolver = GuardedResolver(EgressGuard(LOCAL.allow, look_up=names.look_up), plain=True)
    try:
        yield resolver
    finally:
        names.come_back()
        await resolver.close()


async def fails(resolver: GuardedResolver, host: str) -> OSError:
    try:
        found = await resolver.resolve(host, 80)
    except OSError as error:
        return error
    raise AssertionError(found)


@asynccontextmanager
async def no_patience(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    with monkeypatch.context() as hurried:
        hurried.setattr(egress, "LOOK_UP_S", 0.01)
        yield


async def test_a_host_takes_one_thread_however_many_wait_for_it() -> None:
    names = Names()
    async with resolving(names) as resolver, asyncio.TaskGroup() as tasks:
        for _ in range(RESOLVERS_MAX):
            tasks.create_task(fails(resolver, "dead.example"))
        assert await resolver.resolve("well.example", 80)
        names.give_up()

    assert sorted(names.asked) == ["dead.example", "well.example"]


async def test_names_whose_name_server_is_away_hold_up_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names, dead = Names(), [f"dead{number}.example" for number in range(RESOLVERS_MAX)]
    async with resolving(names) as resolver:
        async with asyncio.TaskGroup() as tasks:
            for one in dead:
                tasks.create_task(fails(resolver, one))
            await names.are_asked(len(dead))
            async with no_patience(monkeypatch):
                given_up = [await fails(resolver, one) for one in dead]
                held_up = await fails(resolver, "well.example")
            names.give_up()
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(fails(resolver, one)) for one in dead]
            found = await resolver.resolve("another.example", 80)
            found += await resolver.resolve("well.example", 80)
            for task in waiting:
                task.cancel()

    assert {type(one) for one in given_up} == {socket.gaierror}
    assert isinstance(held_up, BusyLookUpsError), "that once"
    assert len(found) == 2


async def test_a_name_that_is_found_again_is_looked_up_with_all_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names()
    async with resolving(names) as resolver:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fails(resolver, "dead.example"))
            await names.are_asked(1)
            async with no_patience(monkeypatch):
                await fails(resolver, "dead.example")
            names.come_back()
        assert resolver._slow == {"dead.example"}
        await resolver.resolve("dead.example", 80)

        assert resolver._slow == set()


@pytest.mark.parametrize("error", [socket.EAI_AGAIN, socket.EAI_FAIL])
async def test_a_name_that_nobody_answers_for_is_a_fault_of_ours(error: int) -> None:
    def nobody_answers(*_: object) -> list[ResolveResult]:
        raise socket.gaierror(error, "no answer")

    result = await send_once(nobody_answers)

    assert (result.outcome, result.fault) == (Outcome.UNSENDABLE, Fault.OURS)
    assert "We could not look the host name up" in result.error


async def test_a_look_up_that_never_ends_is_a_fault_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its limit is less than that of a connection, which would be the recipient's."""
    names = Names()
    async with no_patience(monkeypatch):
        result = await send_once(names.look_up)
    names.come_back()

    assert egress.LOOK_UP_S < egress.CONNECT_S
    assert (result.outcome, result.fault) == (Outcome.UNSENDABLE, Fault.OURS)


@pytest.mark.parametrize("error", [socket.EAI_AGAIN, socket.EAI_FAIL])
async def test_a_name_without_a_name_server_is_not_ours_while_others_are_found(
    receiver: WebhookReceiver, error: int
) -> None:
    """Goal: a dead zone of one agency uses up tries and is warned of; only the first is ours."""

    def look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        if host.startswith("dead"):
            raise socket.gaierror(error, "no answer")
        return egress._look_up("127.0.0.1", port, family)

    async with sender_of(look_up) as sender:
        sent = [
            await sender.send(request_to(url), timestamp=1)
            for url in (
                receiver.url.replace("127.0.0.1", "well.example"),
                "https://dead.example/hook",
                receiver.url.replace("127.0.0.1", "another.example"),
                "https://dead.example/hook",
                "https://dead-too.example/hook",
            )
        ]

    assert [one.fault for one in sent] == [None, Fault.OURS, None, Fault.NETWORK, Fault.OURS]
    assert sent[3].outcome is Outcome.FAILED
    assert "Check that the name servers of its zone answer" in sent[3].error


async def send_once(look_up: LookUp) -> AttemptResult:
    async with sender_of(look_up) as sender:
        return await sender.send(request_to("https://dead.example/hook"), timestamp=1)


def sender_of(look_up: LookUp) -> WebhookSender:
    guard = EgressGuard(LOCAL.allow, look_up=look_up)
    return WebhookSender(keyring=Keyring(b"k" * 32), guard=guard)


def request_to(url: str) -> WebhookRequest:
    return WebhookRequest(url=url, delivery_id="dlv_1", body=b"{}", secrets=(new_webhook_secret(),))


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.ENETDOWN])
def test_an_address_without_a_way_to_it_is_not_ours_while_others_are_reached(number: int) -> None:
    """Goal: an endpoint with IPv6 alone, called from a host without, is warned of."""
    signs = Signs()
    key = ConnectionKey(
        host="v6.example",
        port=443,
        is_ssl=True,
        ssl=True,
        proxy=None,
        proxy_auth=None,
        proxy_headers_hash=None,
    )
    error = aiohttp.ClientConnectorError(key, OSError(number, "no way"))

    first = failure_of(error, signs=signs)
    signs.reached("well.example")
    second = failure_of(error, signs=signs)

    assert first is failures.NO_WAY_OUT
    assert second is failures.NO_WAY_TO_IT
    assert (second.outcome, second.fault) == (Outcome.FAILED, Fault.NETWORK)
