"""Webhooks against a real receiver that answers, stalls, lies, redirects, floods and hangs up."""

import asyncio
import datetime as dt
import errno
import hashlib
import ipaddress
import json
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp.abc import ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from harness.receivers import Behaviour, WebhookArrival, WebhookReceiver, redirect, webhook_receiver
from noticebus.access.keyring import Keyring, new_webhook_secret
from noticebus.clock import SystemClock
from noticebus.contracts.canonical import canonical
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher import failures, phases
from noticebus.dispatcher.answers import mask
from noticebus.dispatcher.egress import BusyLookUpsError, EgressGuard
from noticebus.dispatcher.oauth import Token
from noticebus.dispatcher.slots import SendLimits
from noticebus.dispatcher.webhook import (
    EXCERPT_BYTES_MAX,
    WebhookRequest,
    WebhookSender,
    answers_challenge,
    read_retry_after,
)
from noticebus.domain.delivery import AttemptResult, TimeSpent

AT = 1_565_184_600  # where nobody compares it with the time of day
KEYRING = Keyring(b"k" * 32)
LOCAL = EgressGuard.from_setting(["127.0.0.1/32"])
SECRET = new_webhook_secret()
SHORT = dt.timedelta(seconds=0.3)
LONG = dt.timedelta(seconds=30)


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as one:
        yield one


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    async with WebhookSender(keyring=KEYRING, guard=LOCAL) as one:
        yield one


@pytest.fixture
async def impatient() -> AsyncIterator[WebhookSender]:
    """Lend a sender whose whole request has little time."""
    async with WebhookSender(keyring=KEYRING, guard=LOCAL, limits=SendLimits(request=SHORT)) as one:
        yield one


@pytest.fixture
async def skimming() -> AsyncIterator[WebhookSender]:
    """Lend a sender that waits for an answer, and reads it for a short time only."""
    limits = SendLimits(request=LONG, excerpt=dt.timedelta(seconds=1))
    async with WebhookSender(keyring=KEYRING, guard=LOCAL, limits=limits) as one:
        yield one


def request_to(url: str, *, delivery_id: str = "dlv_1") -> WebhookRequest:
    return WebhookRequest(
        url=url,
        delivery_id=delivery_id,
        body=b'{"specversion":"1.0"}',
        secrets=(SECRET,),
    )


async def send(sender: WebhookSender, url: str) -> AttemptResult:
    timestamp = int(SystemClock().now().timestamp())  # the published package compares it
    return await sender.send(request_to(url), timestamp=timestamp)


def verdict(result: AttemptResult) -> tuple[Outcome, Fault | None, int | None]:
    return result.outcome, result.fault, result.status


async def test_a_webhook_arrives_signed_and_is_delivered(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    result = await send(sender, receiver.url)

    (arrival,) = receiver.arrivals.all
    assert verdict(result) == (Outcome.DELIVERED, None, 200)
    assert result.body_digest == hashlib.sha256(arrival.body).hexdigest()
    assert result.error == ""
    assert arrival.path == "/hook"
    assert arrival.headers["content-type"] == "application/cloudevents+json"
    assert arrival.headers["webhook-id"] == "dlv_1"
    assert "cookie" not in arrival.headers
    Webhook(SECRET).verify(arrival.body, arrival.headers)


async def test_a_repeat_is_the_same_byte_for_byte_with_a_new_timestamp(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    receiver.then.append(Behaviour(status=500))

    first = await sender.send(request_to(receiver.url), timestamp=AT)
    second = await sender.send(request_to(receiver.url), timestamp=AT + 30)

    before, after = receiver.arrivals.all
    assert before.body == after.body
    assert first.body_digest == second.body_digest
    assert before.headers["webhook-id"] == after.headers["webhook-id"]
    assert after.headers["webhook-timestamp"] == str(AT + 30)


async def test_connections_are_kept_and_used_again(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    for _ in range(5):
        await send(sender, receiver.url)

    assert len({arrival.connection for arrival in receiver.arrivals.all}) == 1


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (202, Outcome.DELIVERED),
        (400, Outcome.REFUSED),
        (404, Outcome.REFUSED),
        (410, Outcome.GONE),
        (500, Outcome.FAILED),
        (503, Outcome.FAILED),
    ],
)
async def test_a_status_decides_the_outcome(
    sender: WebhookSender, receiver: WebhookReceiver, status: int, outcome: Outcome
) -> None:
    receiver.always = Behaviour(status=status, body=b"reason")

    result = await send(sender, receiver.url)

    assert result.outcome is outcome
    assert result.status == status
    assert result.response_excerpt == "reason"
    assert (result.error == "") == (outcome is Outcome.DELIVERED)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_refused_and_not_followed(
    sender: WebhookSender, receiver: WebhookReceiver, status: int
) -> None:
    receiver.then.append(redirect(receiver.url + "/login", status))

    result = await send(sender, receiver.url)

    assert verdict(result) == (Outcome.REFUSED, Fault.RECIPIENT, status)
    assert "redirects are not followed" in result.error
    assert [arrival.path for arrival in receiver.arrivals.all] == ["/hook"]


async def test_a_receiver_that_hangs_times_out_and_costs_others_nothing(
    sender: WebhookSender, impatient: WebhookSender, receiver: WebhookReceiver
) -> None:
    receiver.always = Behaviour(hang=True)

    async with webhook_receiver() as other, asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(send(sender, receiver.url))
        await receiver.arrivals.wait_for(1)
        quick = await send(sender, other.url)
        still_hangs = not hanging.done()
        hanging.cancel()
    given_up = await send(impatient, receiver.url)

    assert (quick.outcome, still_hangs) == (Outcome.DELIVERED, True)
    assert verdict(given_up) == (Outcome.TIMED_OUT, Fault.RECIPIENT, None)
    assert "did not answer in time" in given_up.error


async def test_an_answer_that_never_ends_still_counts_by_its_status(
    skimming: WebhookSender, receiver: WebhookReceiver
) -> None:
    receiver.then.append(Behaviour(status=200, body=b"so far", hang_in_body=True))

    result = await send(skimming, receiver.url)

    assert verdict(result) == (Outcome.DELIVERED, None, 200)
    assert result.response_excerpt == "so far"


async def test_a_huge_answer_is_read_to_its_bound_only(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    receiver.always = Behaviour(status=500, body=b"x" * 5_000_000)

    result = await send(sender, receiver.url)
    again = await send(sender, receiver.url)

    assert len(result.response_excerpt) == EXCERPT_BYTES_MAX
    assert again.status == 500


async def test_huge_headers_are_a_bad_answer(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    receiver.always = Behaviour(headers={"X-Big": "x" * 20_000})

    result = await send(sender, receiver.url)

    assert verdict(result) == (Outcome.FAILED, Fault.RECIPIENT, None)
    assert "proper HTTP" in result.error


async def test_a_dropped_connection_is_the_recipients_failure(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    receiver.always = Behaviour(drop=True)

    result = await send(sender, receiver.url)

    assert verdict(result) == (Outcome.FAILED, Fault.RECIPIENT, None)
    assert "closed the connection" in result.error


async def test_a_closed_port_is_named(sender: WebhookSender) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    result = await send(sender, f"http://127.0.0.1:{port}/")

    assert verdict(result) == (Outcome.FAILED, Fault.RECIPIENT, None)
    assert "refused the connection" in result.error
    assert result.spent == TimeSpent(connect_ms=result.spent.connect_ms)
    assert result.spent.connect_ms is not None


async def test_a_server_that_speaks_something_else_is_a_bad_answer(sender: WebhookSender) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        result = await send(sender, f"http://127.0.0.1:{port}/")

    assert result.outcome is Outcome.FAILED


async def test_headers_that_are_no_text_are_kept_as_far_as_they_are(
    sender: WebhookSender,
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b'{"specversion":"1.0"}')
        writer.write(
            b"HTTP/1.1 204 No Content\r\nServer: caf\xe9\r\nX-Request-Id: " + SECRET.encode()
        )
        writer.write(b"\r\nContent-Type: text/plain\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]

        result = await send(sender, f"http://127.0.0.1:{port}/")

    assert result.outcome is Outcome.DELIVERED
    assert result.response_headers == {
        "server": "caf\N{REPLACEMENT CHARACTER}",
        "x-request-id": "[masked]",
        "content-type": "text/plain",
    }


async def test_a_closed_address_is_blocked_with_the_way_to_open_it(
    receiver: WebhookReceiver,
) -> None:
    async with WebhookSender(keyring=KEYRING, guard=EgressGuard()) as sender:
        results = [await send(sender, receiver.url), await send(sender, "https://localhost/")]

    assert [verdict(one) for one in results] == [(Outcome.BLOCKED, Fault.RECIPIENT, None)] * 2
    assert all("egress.allow" in one.error for one in results)
    assert receiver.arrivals.all == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "http:///",
        "/hook",
        "http://[::1/",
        "http://127.1/",
        "http://a:b@127.0.0.1/",
    ],
)
async def test_what_is_no_usual_url_is_not_called(sender: WebhookSender, url: str) -> None:
    assert (await send(sender, url)).outcome is Outcome.BLOCKED


async def test_a_name_that_does_not_exist_fails() -> None:
    def look_up(*_: object) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    guard = EgressGuard(look_up=look_up)
    async with WebhookSender(keyring=KEYRING, guard=guard) as sender:
        result = await send(sender, "https://no-such-host.invalid/")

    assert result.outcome is Outcome.FAILED
    assert "host name" in result.error
    assert result.spent == TimeSpent(dns_ms=result.spent.dns_ms)
    assert result.spent.dns_ms is not None


async def test_a_secret_that_cannot_sign_is_our_fault(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    broken = WebhookRequest(url=receiver.url, delivery_id="dlv_1", body=b"{}", secrets=("whsec_?",))

    result = await sender.send(broken, timestamp=AT)

    assert verdict(result) == (Outcome.UNSENDABLE, Fault.OURS, None)


async def test_a_header_that_cannot_be_sent_is_our_fault_and_no_secrets(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    broken = request_to(receiver.url, delivery_id="dlv_1\r\nX-Injected: 1")

    result = await sender.send(broken, timestamp=AT)

    assert verdict(result) == (Outcome.UNSENDABLE, Fault.OURS, None)
    assert "header" in result.error
    assert receiver.arrivals.all == []


@pytest.mark.parametrize(
    "host", ["xn--bcher-kva.example", "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"]
)
async def test_a_bus_with_a_name_beyond_ascii_introduces_itself_by_its_name_in_the_dns(
    receiver: WebhookReceiver, host: str
) -> None:
    asking = replace(request_to(receiver.url), introduces=True)
    async with WebhookSender(keyring=KEYRING, guard=LOCAL, base_url=f"https://{host}") as sender:
        result = await sender.send(asking, timestamp=AT)

    (arrival,) = receiver.arrivals.all
    assert result.outcome is Outcome.DELIVERED
    assert arrival.headers["webhook-request-origin"] == "xn--bcher-kva.example"


async def test_retry_after_is_read_from_the_answer(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    receiver.always = Behaviour(status=503, headers={"Retry-After": "120"})

    assert (await send(sender, receiver.url)).retry_after == dt.timedelta(seconds=120)


async def test_the_answer_is_masked(sender: WebhookSender, receiver: WebhookReceiver) -> None:
    receiver.always = Behaviour(
        status=500,
        body=lambda arrival: f"bad {arrival.headers['webhook-signature']} for {SECRET}".encode(),
    )

    result = await send(sender, receiver.url)

    assert SECRET.removeprefix("whsec_") not in result.response_excerpt
    assert result.response_excerpt == "bad [masked] [masked] for [masked]"


def _certificate(folder: Path, *, name: str) -> Path:
    """Make a self-signed certificate and its key in one file, valid for `name` alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = SystemClock().now()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]),
            critical=False,
        )
        .sign(key, SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    return path


def _server_side(path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


async def test_a_trusted_certificate_is_accepted_and_each_phase_is_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases, "SHORTEST_S", 60.0)  # a busy machine is no look-up of a name
    path = _certificate(tmp_path, name="127.0.0.1")
    trust = ssl.create_default_context(cafile=path)

    async with (
        webhook_receiver(tls=_server_side(path)) as receiver,
        WebhookSender(keyring=KEYRING, guard=LOCAL, tls=trust) as sender,
    ):
        first, second = [await send(sender, receiver.url) for _ in range(2)]

    assert first.outcome is Outcome.DELIVERED
    assert first.spent.dns_ms is None
    assert first.spent.connect_ms is not None
    assert first.spent.tls_ms is not None
    assert first.spent.first_byte_ms is not None
    assert second.spent == TimeSpent(first_byte_ms=second.spent.first_byte_ms)
    assert second.spent.first_byte_ms is not None


@pytest.mark.parametrize("name", ["127.0.0.1", "127.0.0.2"])
async def test_an_unknown_or_foreign_certificate_is_refused(tmp_path: Path, name: str) -> None:
    path = _certificate(tmp_path, name=name)
    pinned = ssl.create_default_context(cafile=path)
    trust = ssl.create_default_context() if name == "127.0.0.1" else pinned

    async with (
        webhook_receiver(tls=_server_side(path)) as receiver,
        WebhookSender(keyring=KEYRING, guard=LOCAL, tls=trust) as sender,
    ):
        result = await send(sender, receiver.url)

    assert verdict(result) == (Outcome.FAILED, Fault.RECIPIENT, None)
    assert "certificate was not accepted" in result.error
    assert receiver.arrivals.all == []


async def test_a_port_without_tls_is_named(
    sender: WebhookSender, receiver: WebhookReceiver
) -> None:
    result = await send(sender, receiver.url.replace("http:", "https:"))

    assert verdict(result) == (Outcome.FAILED, Fault.RECIPIENT, None)
    assert "TLS" in result.error


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 90 ", 90),
        ("99999999999999999999", 7 * 86_400),
        ("Wed, 07 Aug 2019 15:02:00 GMT", 120),
        ("Wed, 07 Aug 2019 15:02:00 -0000", 120),
        ("Wed, 07 Aug 2019 14:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 7 * 86_400),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str | None, seconds: int | None) -> None:
    now = dt.datetime(2019, 8, 7, 15, 0, tzinfo=dt.UTC)

    read = read_retry_after(value, now=now)

    assert read == (None if seconds is None else dt.timedelta(seconds=seconds))


@given(st.text())
def test_any_retry_after_is_read_without_an_error(value: str) -> None:
    read = read_retry_after(value, now=dt.datetime(2019, 8, 7, tzinfo=dt.UTC))

    assert read is None or read >= dt.timedelta()


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"token Bearer abcdefgh12345678 end", "token [masked] end"),
        (b"whsec_AAAA==", "[masked]"),
        (
            b"https://bus.example.gov/a/AaINX0cocqeUXJwfk2pjiQAAAAM?x",
            "https://bus.example.gov/a/[masked]?x",
        ),
        (b"eyJhbGciOi.eyJzdWIi.c2ln", "[masked]"),
        (b"nul \x00 and \xff", "nul \N{REPLACEMENT CHARACTER} and \N{REPLACEMENT CHARACTER}"),
        ("Straße\n".encode(), "Straße\n"),
    ],
)
def test_what_looks_like_a_secret_or_is_no_text_is_masked(raw: bytes, kept: str) -> None:
    assert mask(raw, secrets=("", "other")) == kept


@given(st.binary(max_size=300))
def test_any_answer_becomes_text_that_a_database_takes(raw: bytes) -> None:
    text = mask(raw)

    assert "\x00" not in text
    text.encode()


@pytest.mark.parametrize(
    ("excerpt", "proved"),
    [
        ("chl_1", True),
        ("chl_1\n", True),
        ('"chl_1"', True),
        (json.dumps({"challenge": "chl_1"}), True),
        (json.dumps({"challenge": "chl_1", "more": 1}), True),
        (json.dumps({"challenge": "chl_2"}), False),
        (json.dumps({"challenge": None}), False),
        (json.dumps(["chl_1"]), False),
        ("ok", False),
        ("", False),
        ("chl_1 and more", False),
        ("é", False),
        ("[" * 4096, False),
    ],
)
def test_only_the_challenge_itself_proves_consent(excerpt: str, proved: bool) -> None:
    assert answers_challenge(excerpt, "chl_1") is proved


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (OSError(24, "too many open files"), failures.NO_SLOT),
        (OSError(errno.ENETUNREACH, "network unreachable"), failures.NO_WAY_OUT),
        (OSError(errno.ENETDOWN, "network is down"), failures.NO_WAY_OUT),
        (OSError(errno.EHOSTUNREACH, "no route to host"), failures.NO_ROUTE),
        (OSError(errno.EHOSTDOWN, "host is down"), failures.NO_ROUTE),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), failures.NO_NAME_JUST_NOW),
        (socket.gaierror(socket.EAI_FAIL, "refused"), failures.NO_NAME_JUST_NOW),
        (BusyLookUpsError(), failures.LOOK_UPS_BUSY),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), failures.NO_SUCH_NAME),
        (ConnectionResetError(104, "reset"), failures.BROKEN_OFF),
    ],
)
def test_faults_of_the_network_and_our_limits_are_told_apart(
    error: OSError, failure: failures.Failure
) -> None:
    assert failures._no_connection(error) == failure


@pytest.mark.parametrize(
    "failure", [failures.NO_WAY_OUT, failures.NO_NAME_JUST_NOW, failures.LOOK_UPS_BUSY]
)
def test_an_outage_of_our_own_line_or_resolver_is_ours_and_says_so(
    failure: failures.Failure,
) -> None:
    assert (failure.outcome, failure.fault) == (Outcome.UNSENDABLE, Fault.OURS)
    assert "We try again by ourselves" in failure.error
    assert "none of your tries" in failure.error


def test_what_is_sent_and_a_token_show_no_secret_where_they_are_written_out() -> None:
    request = WebhookRequest(
        url="https://a.example/", delivery_id="dlv_1", body=b"psst-4711", secrets=("psst-4711",)
    )

    assert "psst" not in repr((request, Token(value="psst-4711", kept=True)))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("quoted", [False, True])
async def test_an_event_that_is_sent_back_is_not_kept(
    sender: WebhookSender, receiver: WebhookReceiver, indent: int | None, quoted: bool
) -> None:
    event = {"data": {"notice": {"headline": "for child services only", "more": "x" * 9_000}}}

    def echo(arrival: WebhookArrival) -> bytes:
        text = json.dumps(json.loads(arrival.body), indent=indent)
        return json.dumps({"data": text}).encode() if quoted else text.encode()

    receiver.then.append(Behaviour(status=500, body=echo))
    request = replace(request_to(receiver.url), body=canonical(event))
    result = await sender.send(request, timestamp=AT)

    assert "not kept" in result.response_excerpt
    assert "child" not in result.response_excerpt
