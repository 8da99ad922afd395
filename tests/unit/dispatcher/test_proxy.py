"""A forward proxy on the way out: tunnels, what goes past it, and whose fault its failures are."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from dataclasses import astuple, dataclass
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from harness.certificates import Authority
from harness.proxy import Proxy, forward_proxy
from harness.receivers import WebhookReceiver, webhook_receiver
from noticebus.access.keyring import Keyring, new_webhook_secret
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher import proxy as proxies
from noticebus.dispatcher import sessions
from noticebus.dispatcher.egress import EgressGuard
from noticebus.dispatcher.proxy import ForwardProxy
from noticebus.dispatcher.webhook import WebhookRequest, WebhookSender
from noticebus.domain.delivery import AttemptResult

KEYRING = Keyring(b"k" * 32)
LOCAL = (ipaddress.ip_network("127.0.0.1/32"),)
AUTHORITY = Authority()
OURS = (Outcome.UNSENDABLE, Fault.OURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """An endpoint with TLS, a proxy before it, and how they are reached."""

    receiver: WebhookReceiver
    proxy: Proxy

    @property
    def port(self) -> int:
        return int(self.receiver.url.split(":")[2].split("/")[0])

    async def send(
        self, *, url: str | None = None, proxy_url: str | None = None, past: str = ""
    ) -> AttemptResult:
        proxy = ForwardProxy.from_setting(proxy_url or self.proxy.url, past=past.split())
        guard = EgressGuard(LOCAL, proxy=proxy)
        async with WebhookSender(keyring=KEYRING, guard=guard, tls=AUTHORITY.trusting()) as sender:
            return await sender.send(request_to(url or self.receiver.url), timestamp=1)


def request_to(url: str) -> WebhookRequest:
    return WebhookRequest(url=url, delivery_id="dlv_1", body=b"{}", secrets=(new_webhook_secret(),))


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    tls = AUTHORITY.serving(tmp_path, name="localhost")
    async with webhook_receiver(tls=tls) as receiver, forward_proxy() as proxy:
        yield Way(receiver=receiver, proxy=proxy)


def verdict(result: AttemptResult) -> tuple[Outcome, Fault | None]:
    return result.outcome, result.fault


async def test_a_webhook_goes_through_the_proxy_to_the_address_with_tls_for_the_name(
    way: Way,
) -> None:
    result = await way.send(url=way.receiver.url.replace("127.0.0.1", "localhost"))

    (arrival,) = way.receiver.arrivals.all
    assert verdict(result) == (Outcome.DELIVERED, None)
    assert way.proxy.asked == [f"127.0.0.1:{way.port}"]
    assert arrival.headers["host"] == f"localhost:{way.port}"
    assert "proxy-authorization" not in arrival.headers
    assert None not in astuple(result.spent)


async def test_a_tunnel_is_kept_and_used_again(way: Way) -> None:
    guard = EgressGuard(LOCAL, proxy=ForwardProxy.from_setting(way.proxy.url))
    async with WebhookSender(keyring=KEYRING, guard=guard, tls=AUTHORITY.trusting()) as sender:
        for _ in range(3):
            await sender.send(request_to(way.receiver.url), timestamp=1)

    assert len(way.receiver.arrivals.all) == 3
    assert len(way.proxy.asked) == 1


async def test_an_endpoint_without_tls_goes_through_a_tunnel_too(way: Way) -> None:
    async with webhook_receiver() as plain:
        result = await way.send(url=plain.url)

    assert result.outcome is Outcome.DELIVERED
    assert len(way.proxy.asked) == 1


@pytest.mark.parametrize(
    ("host", "past", "through"),
    [
        ("localhost", "example.gov 10.0.0.0/8", True),
        ("localhost", "localhost", False),
        ("localhost", ".LOCALHOST", False),
        ("localhost", "ocalhost", True),
        ("localhost", "127.0.0.0/8", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.2 127.0.0.1/32", False),
        ("127.0.0.1", "localhost", True),
    ],
)
async def test_what_is_listed_goes_past_the_proxy_and_through_the_guard_all_the_same(
    way: Way, host: str, past: str, *, through: bool
) -> None:
    result = await way.send(url=way.receiver.url.replace("127.0.0.1", host), past=past)
    closed = await way.send(url="https://127.0.0.2:1/", past=f"{past} 127.0.0.2")

    assert result.outcome is Outcome.DELIVERED
    assert bool(way.proxy.asked) is through
    assert closed.outcome is Outcome.BLOCKED


def test_a_name_goes_past_the_proxy_with_everything_below_it() -> None:
    proxy = ForwardProxy.from_setting("http://p:1", past=[".example.gov", "10.0.0.0/8", "::1"])

    assert proxy.passes_name("example.gov.")
    assert proxy.passes_name("A.Example.GOV")
    assert not proxy.passes_name("notexample.gov")
    assert proxy.passes_address("10.1.1.1")
    assert proxy.passes_address("::1")
    assert not proxy.passes_address("11.1.1.1")


async def test_a_closed_address_is_not_even_asked_for(way: Way) -> None:
    results = [
        await way.send(url=url) for url in ("https://127.0.0.2/", "https://[::ffff:127.0.0.1]/")
    ]

    assert [verdict(one) for one in results] == [(Outcome.BLOCKED, Fault.RECIPIENT)] * 2
    assert way.proxy.asked == []


# Whose fault it is


async def test_a_proxy_that_is_not_there_is_our_fault(way: Way) -> None:
    result = await way.send(proxy_url="http://127.0.0.1:1")

    assert verdict(result) == OURS
    assert result.error.startswith("Our proxy could not be reached.")
    assert "none of your tries" in result.error
    assert way.receiver.arrivals.all == []


async def test_a_proxy_whose_name_does_not_exist_is_our_fault(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def know_no_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", know_no_name)
    result = await way.send(proxy_url="http://proxy.invalid:3128")

    assert verdict(result) == OURS
    assert "name that could not be looked up" in result.error


async def test_a_proxy_that_wants_another_password_is_our_fault() -> None:
    async with forward_proxy(password="right one") as proxy:
        way = Way(receiver=WebhookReceiver(), proxy=proxy)
        result = await way.send(
            url="https://127.0.0.1:1/", proxy_url=proxy.url.replace("right", "wrong")
        )

    assert verdict(result) == OURS
    assert "user name and password" in result.error
    assert "wrong" not in result.error


async def test_a_proxy_is_shown_its_password(way: Way) -> None:
    async with forward_proxy(password="p@ss/word") as proxy:
        url = proxy.url.replace("p@ss/word", "p%40ss%2Fword")
        result = await way.send(proxy_url=url)

    assert result.outcome is Outcome.DELIVERED
    assert "p@ss" not in repr(ForwardProxy.from_setting(url))


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "refused to connect us, with 502"),
        (b"HTTP/1.1 503 Busy\r\nProxy-Status: p; error=connection_limit_reached\r\n\r\n", "503"),
        (b"HTTP/1.0 504 Late\r\nX-Squid-Error: ERR_CANNOT_FORWARD 0\r\n\r\n", "504"),
        (b"HTTP/1.1 503 No\r\nX-Squid-Error: ERR_CONNECT_FAIL 99\r\n\r\n", "503"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "does not let us through"),
        (b"HTTP/1.1 407 Who\r\n\r\n", "user name and password"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n", "302"),
        (b"HTTP/1.1 200 OK\r\n\r\nextra", "spoke into the tunnel"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "proper HTTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 4000, "more than a head"),
        (b"", "closed the connection"),
        (b"HTTP/1.1 200", "closed the connection"),
        (b"HTTP/1.1 503 No\r\nX-Squid-Error: ERR_CONNECT_FAIL 101\r\n\r\n", "with 503"),
    ],
)
async def test_what_the_proxy_itself_does_wrong_is_our_fault(
    way: Way, answer: bytes, word: str
) -> None:
    way.proxy.answers.append(answer)

    result = await way.send()

    assert verdict(result) == OURS
    assert result.error.startswith("Our proxy ")
    assert word in result.error
    assert way.receiver.arrivals.all == []


@pytest.mark.parametrize(
    ("header", "outcome", "fault", "word"),
    [
        ("Proxy-Status: p; error=connection_refused", "failed", "recipient", "refused the"),
        ("proxy-status: a; x=1, b;error=connection_terminated", "failed", "recipient", "closed"),
        ("Proxy-Status: p; error=connection_timeout", "timed_out", "network", "No connection"),
        ("Proxy-Status: p; error=destination_ip_unroutable", "failed", "network", "no route"),
        ("Proxy-Status: p; error=destination_unavailable", "failed", "network", "no route"),
        ("X-Squid-Error: ERR_CONNECT_FAIL 111", "failed", "recipient", "refused the"),
        ("X-Squid-Error: ERR_CONNECT_FAIL 110", "timed_out", "network", "No connection"),
        ("X-Squid-Error: ERR_CONNECT_FAIL 113", "failed", "network", "no route"),
    ],
)
async def test_what_the_proxy_says_the_destination_did_is_the_destinations(
    way: Way, header: str, outcome: str, fault: str, word: str
) -> None:
    way.proxy.answers.append(f"HTTP/1.1 502 Bad Gateway\r\n{header}\r\n\r\n".encode("ascii"))

    result = await way.send()

    assert verdict(result) == (Outcome(outcome), Fault(fault))
    assert word in result.error
    assert "proxy" not in result.error


async def test_a_dead_endpoint_behind_a_working_proxy_is_the_recipients_fault(way: Way) -> None:
    result = await way.send(url="https://127.0.0.1:1/")

    assert verdict(result) == (Outcome.FAILED, Fault.RECIPIENT)
    assert way.proxy.asked == ["127.0.0.1:1"]


async def test_what_goes_wrong_inside_the_tunnel_is_the_destinations(way: Way) -> None:
    foreign = EgressGuard(LOCAL, proxy=ForwardProxy.from_setting(way.proxy.url))
    async with (
        WebhookSender(keyring=KEYRING, guard=foreign) as strict,
        webhook_receiver() as plain,
    ):
        untrusted = await strict.send(request_to(way.receiver.url), timestamp=1)
        no_tls = await strict.send(request_to(plain.url.replace("http:", "https:")), timestamp=1)

    assert verdict(untrusted) == (Outcome.FAILED, Fault.RECIPIENT)
    assert "certificate" in untrusted.error
    assert verdict(no_tls) == (Outcome.FAILED, Fault.RECIPIENT)
    assert "TLS" in no_tls.error


async def test_a_proxy_that_never_answers_is_our_fault(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxies, "TUNNEL_S", 0.2)
    way.proxy.silent = True

    result = await way.send()

    assert verdict(result) == OURS
    assert "did not answer within" in result.error


async def test_a_destination_that_never_answers_inside_the_tunnel_is_no_fault_of_ours(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CONNECT_S", 0.2)  # of TLS inside it alone
    hung_up = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.transport.abort()
        hung_up.set()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        result = await way.send(url=f"https://127.0.0.1:{port}/")
        await hung_up.wait()

    assert verdict(result) == (Outcome.TIMED_OUT, Fault.NETWORK)


async def test_of_several_addresses_the_next_is_asked_for_when_one_is_dead(
    way: Way,
) -> None:
    found = EgressGuard().look_up("127.0.0.1", way.port, 0)  # type: ignore[arg-type]
    dead = {**found[0], "host": "93.184.216.34"}
    way.proxy.routes[f"93.184.216.34:{way.port}"] = "127.0.0.1:1"
    guard = EgressGuard(
        LOCAL,
        proxy=ForwardProxy.from_setting(way.proxy.url),
        look_up=lambda *_: [dead, *found],
    )
    async with WebhookSender(keyring=KEYRING, guard=guard, tls=AUTHORITY.trusting()) as sender:
        result = await sender.send(request_to(f"https://localhost:{way.port}/"), timestamp=1)

    assert result.outcome is Outcome.DELIVERED
    assert way.proxy.asked == [f"93.184.216.34:{way.port}", f"127.0.0.1:{way.port}"]


async def test_a_socket_past_the_proxy_is_refused_wherever_it_comes_from(way: Way) -> None:
    """Were aiohttp's step renamed, connections would fail and none would leave the proxy out."""
    guard = EgressGuard(LOCAL, proxy=ForwardProxy.from_setting(way.proxy.url))
    async with sessions.Sessions(guard) as kept, kept.lent(URL(way.receiver.url)) as one:
        connector = one.connector
        assert isinstance(connector, sessions.TunnelConnector)
        info: aiohttp.AddrInfoType = (2, 1, 6, "", ("127.0.0.1", way.port))
        with pytest.raises(proxies.ProxyFailedError):
            connector._open_past_proxy(info)
