"""Mails against a real SMTP server that takes, refuses, stalls and hangs up."""

import asyncio
import datetime as dt
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.receivers import SmtpReceiver, smtp_receiver
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher.email import CONNECTIONS_MAX, EmailSender, MailRequest
from noticebus.dispatcher.slots import SendLimits
from noticebus.domain.delivery import AttemptResult
from noticebus.errors import RefusedError

FROM = "bus@noticebus.example.gov"
MAIL = MailRequest(
    delivery_id="dlv_1",
    to="duty.desk@cps.example.gov",
    subject="First notice: class A, Scott County",
    text="First notice\n\n.a line that starts with a dot\nStraße\n",
    written_at=dt.datetime(2019, 8, 7, 15, 0, tzinfo=dt.UTC),
)


@pytest.fixture
async def relay() -> AsyncIterator[SmtpReceiver]:
    async with smtp_receiver() as one:
        yield one


@pytest.fixture
async def sender(relay: SmtpReceiver) -> AsyncIterator[EmailSender]:
    async with EmailSender(smtp_url=relay.url, mail_from=FROM) as one:
        yield one


def verdict(result: AttemptResult) -> tuple[Outcome, Fault | None, int | None]:
    return result.outcome, result.fault, result.status


async def test_a_mail_arrives_as_written(sender: EmailSender, relay: SmtpReceiver) -> None:
    result = await sender.send(MAIL)

    (arrival,) = relay.arrivals.all
    assert verdict(result) == (Outcome.DELIVERED, None, None)
    assert arrival.sender == FROM
    assert arrival.recipients == (MAIL.to,)
    assert arrival.text.replace("\r\n", "\n") == MAIL.text
    headers = {name: arrival.message[name] for name in arrival.message}
    assert headers["From"] == FROM
    assert headers["To"] == MAIL.to
    assert headers["Subject"] == MAIL.subject
    assert headers["Message-ID"] == "<dlv_1@noticebus.example.gov>"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["List-Id"] == "noticebus <notices.noticebus.example.gov>"
    assert headers["Date"] == "Wed, 07 Aug 2019 15:00:00 +0000"


async def test_a_repeat_is_the_same_byte_for_byte(sender: EmailSender, relay: SmtpReceiver) -> None:
    mail = replace(MAIL, html="<p>First notice, Straße</p>\n")

    first, second = await sender.send(mail), await sender.send(mail)

    before, after = relay.arrivals.all
    assert before.raw == after.raw
    assert before.message.get_content_type() == "multipart/alternative"
    assert before.text.replace("\r\n", "\n") == mail.text
    assert before.html.replace("\r\n", "\n") == mail.html
    assert first.body_digest == second.body_digest


async def test_a_connection_is_kept_for_the_next_mail(
    sender: EmailSender, relay: SmtpReceiver
) -> None:
    for _ in range(3):
        await sender.send(MAIL)

    assert relay.connections == 1


async def test_a_kept_connection_that_the_relay_closed_is_replaced(
    sender: EmailSender, relay: SmtpReceiver
) -> None:
    await sender.send(MAIL)
    relay.drop_connections()

    assert (await sender.send(MAIL)).outcome is Outcome.DELIVERED
    assert relay.connections == 2


async def test_a_kept_connection_that_the_relay_ends_politely_is_replaced(
    sender: EmailSender, relay: SmtpReceiver
) -> None:
    await sender.send(MAIL)
    relay.rcpt_then.append("421 idle for too long")

    assert (await sender.send(MAIL)).outcome is Outcome.DELIVERED
    assert relay.connections == 2


async def test_a_refusal_on_a_kept_connection_is_not_tried_twice(
    sender: EmailSender, relay: SmtpReceiver
) -> None:
    await sender.send(MAIL)
    relay.rcpt_then.append("550 moved away")

    assert verdict(await sender.send(MAIL)) == (Outcome.REFUSED, Fault.RECIPIENT, 550)
    assert relay.connections == 1


async def test_mails_run_side_by_side_up_to_a_bound(
    sender: EmailSender, relay: SmtpReceiver
) -> None:
    relay.delay_s = 0.01

    async with asyncio.TaskGroup() as tasks:
        sends = [tasks.create_task(sender.send(MAIL)) for _ in range(3 * CONNECTIONS_MAX)]

    assert {one.result().outcome for one in sends} == {Outcome.DELIVERED}
    assert relay.connections == CONNECTIONS_MAX


@pytest.mark.parametrize(
    ("reply", "outcome", "code"),
    [
        ("550 no such mailbox", Outcome.REFUSED, 550),
        ("450 greylisted", Outcome.FAILED, 450),
    ],
)
async def test_a_refused_mailbox_is_the_recipients_and_the_connection_stays(
    sender: EmailSender, relay: SmtpReceiver, reply: str, outcome: Outcome, code: int
) -> None:
    relay.rcpt_then.append(reply)

    result = await sender.send(MAIL)
    after = await sender.send(MAIL)

    assert verdict(result) == (outcome, Fault.RECIPIENT, code)
    assert result.response_excerpt == reply[4:]
    assert after.outcome is Outcome.DELIVERED
    assert relay.connections == 1


@pytest.mark.parametrize(
    ("reply", "outcome", "code"),
    [
        ("554 not wanted", Outcome.REFUSED, 554),
        ("452 full", Outcome.FAILED, 452),
    ],
)
async def test_a_refused_content_is_told_with_the_relays_code(
    sender: EmailSender, relay: SmtpReceiver, reply: str, outcome: Outcome, code: int
) -> None:
    relay.data_then.append(reply)

    assert verdict(await sender.send(MAIL)) == (outcome, Fault.RECIPIENT, code)


async def test_a_relay_that_is_away_is_our_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    async with EmailSender(smtp_url=f"smtp://127.0.0.1:{port}", mail_from=FROM) as sender:
        result = await sender.send(MAIL)

    assert verdict(result) == (Outcome.FAILED, Fault.OURS, None)
    assert "smtp.url" in result.error


async def test_a_relay_that_takes_no_login_is_our_fault(relay: SmtpReceiver) -> None:
    url = relay.url.replace("smtp://", "smtp://user:pass%40word@")

    async with EmailSender(smtp_url=url, mail_from=FROM) as sender:
        assert verdict(await sender.send(MAIL))[:2] == (Outcome.FAILED, Fault.OURS)


async def test_a_relay_without_the_tls_that_was_asked_for_gets_no_mail(relay: SmtpReceiver) -> None:
    url = relay.url.replace("smtp://", "smtp+starttls://")

    async with EmailSender(smtp_url=url, mail_from=FROM) as sender:
        assert verdict(await sender.send(MAIL))[:2] == (Outcome.FAILED, Fault.OURS)

    assert relay.arrivals.all == []


async def test_a_relay_that_stalls_is_our_fault_within_the_limit(relay: SmtpReceiver) -> None:
    relay.delay_s = 5
    limits = SendLimits(request=dt.timedelta(seconds=0.2))

    async with EmailSender(smtp_url=relay.url, mail_from=FROM, limits=limits) as sender:
        result = await sender.send(MAIL)

    assert verdict(result) == (Outcome.TIMED_OUT, Fault.OURS, None)
    assert result.duration < dt.timedelta(seconds=relay.delay_s)


async def test_waiting_too_long_for_a_connection_is_our_fault(
    relay: SmtpReceiver,
) -> None:
    relay.delay_s = 0.3
    limits = SendLimits(slot=dt.timedelta(seconds=0.05))

    async with (
        EmailSender(smtp_url=relay.url, mail_from=FROM, limits=limits) as sender,
        asyncio.TaskGroup() as tasks,
    ):
        sends = [tasks.create_task(sender.send(MAIL)) for _ in range(CONNECTIONS_MAX + 1)]

    outcomes = [one.result().outcome for one in sends]
    assert outcomes.count(Outcome.UNSENDABLE) == 1
    assert outcomes.count(Outcome.DELIVERED) == CONNECTIONS_MAX


def _with(**changes: str) -> MailRequest:
    facts = {"delivery_id": "dlv_1", "to": MAIL.to, "subject": "s", "text": "t"} | changes
    return MailRequest(**facts, written_at=MAIL.written_at)


@pytest.mark.parametrize(
    "to",
    [
        "",
        "nobody",
        "a@",
        "@b.example",
        "a@b.example, c@d.example",
        "a@b.example\r\nBcc: c@d.example",
        "a@b.example\nBcc: c@d.example",
        "<a@b.example>",
        "A <a@b.example>",
        "a b@c.example",
        "a..b@c.example",
        "jos\N{LATIN SMALL LETTER E WITH ACUTE}@b.example",
        "a@b\N{LATIN SMALL LETTER U WITH DIAERESIS}.example",
        "a" * 250 + "@b.example",
    ],
)
async def test_what_is_not_one_bare_address_is_refused_before_the_wire(
    sender: EmailSender, relay: SmtpReceiver, to: str
) -> None:
    result = await sender.send(_with(to=to))

    assert verdict(result) == (Outcome.REFUSED, Fault.RECIPIENT, None)
    assert relay.connections == 0


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r"])
async def test_no_subject_can_add_a_header(
    sender: EmailSender, relay: SmtpReceiver, mark: str
) -> None:
    result = await sender.send(_with(subject=f"s{mark}Bcc: x@y.example"))

    assert result.outcome is not Outcome.DELIVERED
    assert relay.arrivals.all == []


@given(st.text(), st.text())
def test_any_text_is_rendered_the_same_twice_or_refused(subject: str, text: str) -> None:
    sender = EmailSender(smtp_url="smtp://127.0.0.1", mail_from=FROM)
    request = _with(subject=subject, text=text)

    try:
        first = sender.render(request)
    except ValueError:
        return

    assert first == sender.render(request)
    head, _, _ = first.partition(b"\r\n\r\n")
    assert b"bcc" not in head.lower().replace(subject.lower().encode(errors="replace"), b"")


@pytest.mark.parametrize("url", ["", "http://relay", "smtp://", "relay:25"])
def test_a_relay_that_cannot_be_read_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(RefusedError, match="smtp\\+starttls://"):
        EmailSender(smtp_url=url, mail_from=FROM)


def test_a_sender_that_is_no_address_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"mail\.from"):
        EmailSender(smtp_url="smtp://relay", mail_from="the bus")
