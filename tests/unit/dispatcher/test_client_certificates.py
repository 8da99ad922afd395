"""Client certificates: shown where they belong, refused in words, kept apart and closed again."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from harness.certificates import Authority, Issued
from harness.proxy import forward_proxy
from harness.receivers import WebhookReceiver, webhook_receiver
from noticebus.access.credentials import ClientCertificate, Credentials
from noticebus.access.keyring import Keyring, new_webhook_secret
from noticebus.clock import SystemClock
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher.egress import EgressGuard
from noticebus.dispatcher.failures import UnusableCertificateError
from noticebus.dispatcher.proxy import ForwardProxy
from noticebus.dispatcher.sessions import Sessions
from noticebus.dispatcher.webhook import WebhookRequest, WebhookSender
from noticebus.domain.delivery import AttemptResult

KEYRING = Keyring(b"k" * 32)
LOCAL = EgressGuard.from_setting(["127.0.0.1/32"])
AUTHORITY = Authority()
DAY = dt.timedelta(days=1)


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[WebhookReceiver]:
    """Lend an endpoint that lets in only whom the authority has certified."""
    tls = AUTHORITY.serving(tmp_path, asks_clients=True)
    async with webhook_receiver(tls=tls) as one:
        yield one


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    async with WebhookSender(keyring=KEYRING, guard=LOCAL, tls=AUTHORITY.trusting()) as one:
        yield one


def shown(issued: Issued) -> ClientCertificate:
    return ClientCertificate(certificate_pem=issued.certificate_pem, key_pem=issued.key_pem)


async def send(sender: WebhookSender, url: str, issued: Issued | None) -> AttemptResult:
    certificate = None if issued is None else shown(issued)
    request = WebhookRequest(
        url=url,
        delivery_id="dlv_1",
        body=b"{}",
        secrets=(new_webhook_secret(),),
        subscription_id="sub_1",
        credentials=Credentials(client_certificate=certificate),
    )
    return await sender.send(request, timestamp=1)


async def test_a_certificate_that_the_endpoint_asks_for_is_shown(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    issued = AUTHORITY.issue("bus.test")

    results = [await send(sender, receiver.url, issued) for _ in range(3)]

    assert [one.outcome for one in results] == [Outcome.DELIVERED] * 3
    assert len({one.connection for one in receiver.arrivals.all}) == 1


async def test_a_certificate_is_shown_through_a_proxy_too(receiver: WebhookReceiver) -> None:
    async with forward_proxy() as proxy:
        guard = EgressGuard(LOCAL.allow, proxy=ForwardProxy.from_setting(proxy.url))
        async with WebhookSender(keyring=KEYRING, guard=guard, tls=AUTHORITY.trusting()) as sender:
            result = await send(sender, receiver.url, AUTHORITY.issue("bus.test"))
            refused = await send(sender, receiver.url, None)

    assert result.outcome is Outcome.DELIVERED
    assert refused.outcome is Outcome.FAILED
    assert len(proxy.asked) == 2


def unacceptable(which: str) -> Issued | None:
    if which == "expired":
        return AUTHORITY.issue("bus.test", until=SystemClock().now() - DAY)
    return Authority("Somebody else").issue("bus.test") if which == "foreign" else None


@pytest.mark.parametrize("which", ["none", "expired", "foreign"])
async def test_a_certificate_that_is_missing_or_not_accepted_is_refused_in_words(
    sender: WebhookSender, tmp_path: Path, which: str
) -> None:
    """The server says why, as servers in the field do: by an alert of TLS."""
    context = AUTHORITY.serving(tmp_path, asks_clients=True)
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/hook"

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(asyncio.to_thread(refuse_one, listener, context))
        result = await send(sender, url, unacceptable(which))

    assert (result.outcome, result.fault) == (Outcome.REFUSED, Fault.RECIPIENT)
    assert "did not accept our client certificate" in result.error


@pytest.mark.parametrize("which", ["none", "expired", "foreign"])
async def test_a_server_that_only_hangs_up_leaves_a_hint(
    sender: WebhookSender, receiver: WebhookReceiver, which: str
) -> None:
    result = await send(sender, receiver.url, unacceptable(which))

    assert (result.outcome, result.fault) == (Outcome.FAILED, Fault.RECIPIENT)
    assert "if it asks for a client certificate" in result.error
    assert receiver.arrivals.all == []


def refuse_one(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Take one connection, refuse its handshake and wait until the client has read why."""
    listener.settimeout(30)
    with listener:
        taken, _ = listener.accept()
    taken.settimeout(30)
    guarded = context.wrap_socket(taken, server_side=True, do_handshake_on_connect=False)
    with contextlib.suppress(ssl.SSLError):
        guarded.do_handshake()
    with socket.socket(fileno=guarded.detach()) as raw, contextlib.suppress(OSError):
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(30)
        while raw.recv(4096):
            pass


async def test_one_subscriptions_certificate_opens_no_connection_for_another(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    """Goal: a connection made with a certificate is not used again by who has none."""
    with_one = await send(sender, receiver.url, AUTHORITY.issue("bus.test"))
    without = await send(sender, receiver.url, None)
    with_another = await send(sender, receiver.url, AUTHORITY.issue("other.test"))

    assert [with_one.outcome, without.outcome] == [Outcome.DELIVERED, Outcome.FAILED]
    assert with_another.outcome is Outcome.DELIVERED
    assert len({one.connection for one in receiver.arrivals.all}) == 2


async def test_a_client_certificate_buys_the_endpoints_own_no_trust(
    receiver: WebhookReceiver,
) -> None:
    async with WebhookSender(keyring=KEYRING, guard=LOCAL) as strict:
        result = await send(strict, receiver.url, AUTHORITY.issue("bus.test"))

    assert (result.outcome, result.fault) == (Outcome.FAILED, Fault.RECIPIENT)
    assert "Your server's certificate was not accepted" in result.error


async def test_a_certificate_that_cannot_be_used_is_no_fault_of_the_endpoint(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    mixed = Issued(
        certificate_pem=AUTHORITY.issue("a.test").certificate_pem,
        key_pem=AUTHORITY.issue("b.test").key_pem,
    )

    result = await send(sender, receiver.url, mixed)

    assert (result.outcome, result.fault) == (Outcome.UNSENDABLE, Fault.OURS)
    assert "client certificate" in result.error


async def test_the_key_lies_on_no_disk_afterwards_and_in_the_clear_at_no_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write = Path.write_bytes

    def watch(path: Path, data: bytes) -> int:
        written.append(data)
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", watch)
    issued = AUTHORITY.issue("bus.test")

    async with (
        Sessions(LOCAL) as sessions,
        sessions.lent(URL("https://a.example"), certificate=shown(issued)),
    ):
        left = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))

    assert left == []
    assert [b"ENCRYPTED PRIVATE KEY" in one for one in written] == [True]


async def test_sessions_of_certificates_unused_for_longest_are_closed() -> None:
    url = URL("https://a.example")
    first, *others = [shown(AUTHORITY.issue(f"{one}.test")) for one in range(4)]
    async with Sessions(LOCAL, certificates_max=2) as sessions:
        async with sessions.lent(url) as plain, sessions.lent(url, certificate=first) as used:
            for one in others:
                await borrow(sessions, url, one)
            state = used.closed, len(sessions)
        newest = await borrow(sessions, url, others[-1])
        again = await borrow(sessions, url, others[-1])

    assert state == (False, 3)  # the one in use, the newest, and the one without a certificate
    assert newest is again
    assert plain.closed
    assert used.closed


async def borrow(
    sessions: Sessions, url: URL, certificate: ClientCertificate
) -> aiohttp.ClientSession:
    async with sessions.lent(url, certificate=certificate) as one:
        return one


async def test_a_certificate_first_needed_by_many_at_once_gets_one_session() -> None:
    url, certificate = URL("https://a.example"), shown(AUTHORITY.issue("bus.test"))

    async with Sessions(LOCAL) as sessions, asyncio.TaskGroup() as tasks:
        many = [tasks.create_task(borrow(sessions, url, certificate)) for _ in range(8)]

    assert len({one.result() for one in many}) == 1


async def test_what_is_no_key_at_all_is_refused_without_a_trace() -> None:
    certificate = ClientCertificate(certificate_pem="x", key_pem="y")
    async with Sessions(LOCAL) as sessions:
        with pytest.raises(UnusableCertificateError):
            async with sessions.lent(URL("https://a.example"), certificate=certificate):
                pass

    assert len(sessions) == 0
