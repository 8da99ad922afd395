"""The guard over the real client: names that change, redirects, IPv4 inside IPv6 (I11).

Goal: nothing reaches a closed address. Method: a server listens on one and counts connections; the
names are answered by a real name server that says something else each time.
"""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from harness.certificates import Authority
from harness.names import NameServer, name_server
from harness.proxy import forward_proxy
from harness.receivers import WebhookReceiver, redirect, webhook_receiver
from noticebus.access.keyring import Keyring, new_webhook_secret
from noticebus.clock import SystemClock
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher.egress import EgressGuard
from noticebus.dispatcher.proxy import ForwardProxy
from noticebus.dispatcher.slots import SendLimits
from noticebus.dispatcher.webhook import WebhookRequest, WebhookSender
from noticebus.domain.delivery import AttemptResult
from noticebus.domain.egress_rules import Network

OPEN, FORBIDDEN = "127.0.0.1", "127.0.0.2"
LOCAL = (ipaddress.ip_network("127.0.0.1/32"),)
EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
PUBLIC = "93.184.216.34"
KEYRING = Keyring(b"k" * 32)


class Listener:
    """Listens where nothing may arrive, and counts what does."""

    def __init__(self) -> None:
        self.connections = 0

    async def took(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@asynccontextmanager
async def forbidden_listener(port: int) -> AsyncIterator[Listener]:
    listener = Listener()
    server = await asyncio.start_server(listener.took, FORBIDDEN, port)
    try:
        yield listener
    finally:
        server.close()


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as one:
        yield one


@pytest.fixture
async def forbidden(receiver: WebhookReceiver) -> AsyncIterator[Listener]:
    """Listen on the closed address, on the receiver's very port."""
    async with forbidden_listener(port_of(receiver)) as listener:
        yield listener


def port_of(receiver: WebhookReceiver) -> int:
    return int(receiver.url.split(":")[2].split("/")[0])


async def send_all(
    urls: Sequence[str],
    *,
    allow: Sequence[Network] = LOCAL,
    names: NameServer | None = None,
) -> list[AttemptResult]:
    """Send to each address in turn, over one sender."""
    guard = EgressGuard(allow, look_up=None if names is None else names.look_up)
    async with WebhookSender(keyring=KEYRING, guard=guard, limits=SendLimits()) as sender:
        return [
            await sender.send(
                WebhookRequest(
                    url=url, delivery_id="dlv_1", body=b"{}", secrets=(new_webhook_secret(),)
                ),
                timestamp=int(SystemClock().now().timestamp()),
            )
            for url in urls
        ]


def verdicts(results: Sequence[AttemptResult]) -> list[tuple[Outcome, Fault | None]]:
    return [(one.outcome, one.fault) for one in results]


async def test_a_name_that_turns_to_a_closed_address_gains_nothing(
    receiver: WebhookReceiver, forbidden: Listener
) -> None:
    """The first look-up is what was checked; who looks again is checked again."""
    url = f"http://rebound.example:{port_of(receiver)}/hook"

    async with name_server([OPEN], [FORBIDDEN]) as names:
        same_process = await send_all([url, url], names=names)
        another_process = await send_all([url], names=names)

    assert verdicts(same_process) == [(Outcome.DELIVERED, None)] * 2
    assert verdicts(another_process) == [(Outcome.BLOCKED, Fault.RECIPIENT)]
    assert "loopback" in another_process[0].error
    assert len(receiver.arrivals.all) == 2
    assert forbidden.connections == 0


async def test_of_a_name_with_a_good_and_a_bad_address_only_the_good_one_is_called(
    receiver: WebhookReceiver, forbidden: Listener
) -> None:
    url = f"http://mixed.example:{port_of(receiver)}/hook"

    async with name_server([FORBIDDEN, OPEN, "::ffff:127.0.0.2", "10.0.0.1"]) as names:
        results = await send_all([url, url], names=names)

    assert verdicts(results) == [(Outcome.DELIVERED, None)] * 2
    assert forbidden.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        [FORBIDDEN],
        ["::ffff:127.0.0.2"],
        ["64:ff9b::7f00:2", "2002:7f00:2::", "2001:0:1::80ff:fffd", "2a00:1450::5efe:7f00:2"],
        ["169.254.169.254", "fd00:ec2::254", "100.100.100.200"],
        ["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "198.18.0.1", "0.1.2.3"],
        ["fd00::1", "fe80::1", "100::1", "5f00::1", "ff02::1", "::"],
    ],
)
async def test_a_name_for_closed_addresses_is_refused_before_a_socket_is_made(
    receiver: WebhookReceiver, forbidden: Listener, addresses: list[str]
) -> None:
    async with name_server(addresses) as names:
        (result,) = await send_all([f"http://a.example:{port_of(receiver)}/"], names=names)

    assert (result.outcome, result.fault) == (Outcome.BLOCKED, Fault.RECIPIENT)
    assert result.error.startswith("Not called: ")
    assert (forbidden.connections, receiver.arrivals.all) == (0, [])


@pytest.mark.parametrize(
    "host",
    ["[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "[64:ff9b::7f00:2]", "[2002:7f00:2::]", FORBIDDEN],
)
async def test_a_literal_that_carries_a_closed_address_is_refused(
    receiver: WebhookReceiver, forbidden: Listener, host: str
) -> None:
    (result,) = await send_all([f"http://{host}:{port_of(receiver)}/hook"])

    assert result.outcome is Outcome.BLOCKED
    assert (forbidden.connections, receiver.arrivals.all) == (0, [])


async def test_an_ipv6_network_on_the_list_opens_no_ipv4_in_disguise(
    receiver: WebhookReceiver, forbidden: Listener
) -> None:
    """The address does reach the listener, as the check at the end shows."""
    (result,) = await send_all(
        [f"http://[::ffff:7f00:2]:{port_of(receiver)}/hook"],
        allow=(ipaddress.ip_network("::/0"),),
    )

    assert result.outcome is Outcome.BLOCKED
    assert forbidden.connections == 0
    _, writer = await asyncio.open_connection("::ffff:127.0.0.2", port_of(receiver))
    writer.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["http://169.254.169.254/latest/meta-data", "the listener"])
async def test_a_redirect_to_a_closed_address_is_not_followed(
    receiver: WebhookReceiver, forbidden: Listener, target: str, status: int
) -> None:
    closed = f"http://{FORBIDDEN}:{port_of(receiver)}/"
    receiver.always = redirect(closed if target == "the listener" else target, status)

    (result,) = await send_all([receiver.url], allow=EVERYTHING)

    assert (result.outcome, result.status) == (Outcome.REFUSED, status)
    assert (forbidden.connections, len(receiver.arrivals.all)) == (0, 1)


async def test_metadata_stays_closed_in_an_open_network_by_every_name() -> None:
    async with name_server(["169.254.169.254"]) as names:
        results = await send_all(
            ["http://metadata.google.internal/", "http://169.254.169.254/"],
            allow=EVERYTHING,
            names=names,
        )

    assert [one.outcome for one in results] == [Outcome.BLOCKED] * 2
    assert all("metadata" in one.error for one in results)


async def test_the_allow_list_opens_exactly_the_address_it_names(
    receiver: WebhookReceiver, forbidden: Listener
) -> None:
    port = port_of(receiver)

    results = await send_all([f"http://{OPEN}:{port}/", f"http://{FORBIDDEN}:{port}/"])

    assert [one.outcome for one in results] == [Outcome.DELIVERED, Outcome.BLOCKED]
    assert forbidden.connections == 0


async def test_behind_a_proxy_a_name_that_changes_gains_nothing_either(tmp_path: Path) -> None:
    """The proxy is asked for the checked address, and never for the name it could look up again."""
    authority = Authority()
    async with contextlib.AsyncExitStack() as stack:
        tls = authority.serving(tmp_path, name="rebound.example")
        receiver = await stack.enter_async_context(webhook_receiver(tls=tls))
        forbidden = await stack.enter_async_context(forbidden_listener(port_of(receiver)))
        names = await stack.enter_async_context(name_server([PUBLIC], [FORBIDDEN]))
        proxy = await stack.enter_async_context(forward_proxy())
        target = f"{PUBLIC}:{port_of(receiver)}"
        proxy.routes[target] = f"{OPEN}:{port_of(receiver)}"
        results = []
        for _ in range(2):  # two processes: each looks the name up
            guard = EgressGuard(proxy=ForwardProxy.from_setting(proxy.url), look_up=names.look_up)
            sender = WebhookSender(keyring=KEYRING, guard=guard, tls=authority.trusting())
            async with sender:
                request = WebhookRequest(
                    url=f"https://rebound.example:{port_of(receiver)}/hook",
                    delivery_id="dlv_1",
                    body=b"{}",
                    secrets=(new_webhook_secret(),),
                )
                results.append(await sender.send(request, timestamp=1))

    assert [one.outcome for one in results] == [Outcome.DELIVERED, Outcome.BLOCKED]
    assert proxy.asked == [target]
    assert forbidden.connections == 0
    assert receiver.arrivals.all[0].headers["host"] == f"rebound.example:{port_of(receiver)}"
