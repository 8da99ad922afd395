import base64
import json
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

from noticebus.access.keyring import new_webhook_secret
from noticebus.cli.misbehaving import Misbehaviour
from noticebus.cli.receiver import HANDSHAKE, Received, Receiver
from noticebus.cli.saving import load
from noticebus.clock import SystemClock
from noticebus.dispatcher.signing import signature_headers
from noticebus.domain.handshakes import read_terms
from noticebus.errors import UnavailableError

NOTICE = {"id": "dlv_1", "type": "org.noticebus.notice.v1", "data": {"notice": {"headline": "x"}}}
CONSENT = {"id": "dlv_0", "type": HANDSHAKE, "data": {"challenge": "c-1"}}


async def send(
    receiver: Receiver, event: object, *, secrets: Sequence[str] = (), sent: bytes | None = None
) -> tuple[int, str]:
    """Send an event as the bus does, and give status and text of the answer."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    timestamp = int(SystemClock().now().timestamp())
    headers = signature_headers(
        body, delivery_id="dlv_1", timestamp=timestamp, secrets=secrets, keys=[]
    )
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            receiver.url,
            data=sent or body,
            headers=headers | {"webhook-signature": headers["webhook-signature"] or "v1,none"},
        ) as answer,
    ):
        return answer.status, await answer.text()


async def test_the_handshake_is_answered_with_its_challenge() -> None:
    async with Receiver() as receiver:
        status, text = await send(receiver, CONSENT)

    assert (status, json.loads(text)) == (200, {"challenge": "c-1"})


async def test_what_the_receiver_agrees_to_stands_beside_the_challenge() -> None:
    terms = {"rate_per_minute": 60, "concurrency": 2}
    async with Receiver(terms=terms) as receiver:
        _, text = await send(receiver, CONSENT)

    assert json.loads(text) == {"challenge": "c-1", **terms}
    agreed = read_terms({}, text)
    assert (agreed.rate_per_minute, agreed.concurrency) == (60, 2)


async def test_the_first_events_fail_as_often_as_asked_and_then_succeed() -> None:
    async with Receiver(misbehaviour=Misbehaviour(fail=2, status=503)) as receiver:
        consent, _ = await send(receiver, CONSENT)
        statuses = [(await send(receiver, NOTICE))[0] for _ in range(3)]

    assert consent == 200
    assert statuses == [503, 503, 200]


async def test_a_repeat_is_counted() -> None:
    async with Receiver() as receiver:
        for _ in range(2):
            await send(receiver, NOTICE)
        first, second = await receiver.wait_for(2)

    assert (first.time, second.time) == (1, 2)
    assert second.headline == "x"
    assert second.cause == "notice"


async def test_an_event_with_a_wrong_signature_is_refused() -> None:
    mine, theirs = new_webhook_secret(), new_webhook_secret()
    async with Receiver(secrets=lambda: [mine]) as receiver:
        wrong, _ = await send(receiver, NOTICE, secrets=[theirs])
        right, _ = await send(receiver, NOTICE, secrets=[mine])

    assert (wrong, right) == (401, 200)


async def test_what_is_no_event_is_refused() -> None:
    async with Receiver() as receiver:
        status, _ = await send(receiver, ["no", "object"])
        async with aiohttp.ClientSession() as session, session.get(receiver.url) as got:
            assert got.status == 405

    assert status == 400
    assert not receiver.received


async def test_what_is_no_event_is_heard_of_with_what_is_wrong(tmp_path: Path) -> None:
    heard: list[Received] = []
    secret = new_webhook_secret()
    body = json.dumps(NOTICE).encode()
    async with Receiver(secrets=lambda: [secret], hear=heard.append, save_to=tmp_path) as receiver:
        status, _ = await send(receiver, body, sent=base64.b64encode(body), secrets=[secret])

    assert status == 400
    assert "a gateway passed it on in base64" in heard[0].verdict.cause
    assert heard[0].saved == tmp_path / "000001-unreadable.body"
    assert load(heard[0].saved).body == base64.b64encode(body)


async def test_a_forged_event_does_not_count_as_seen() -> None:
    mine, theirs = new_webhook_secret(), new_webhook_secret()
    async with Receiver(secrets=lambda: [mine]) as receiver:
        await send(receiver, NOTICE, secrets=[theirs])
        await send(receiver, NOTICE, secrets=[mine])

    assert [one.time for one in receiver.received] == [1, 1]


async def test_a_late_answer_is_an_answer() -> None:
    async with Receiver(misbehaviour=Misbehaviour(delay_s=0.01)) as receiver:
        status, _ = await send(receiver, NOTICE)

    assert status == 200


async def test_an_address_in_use_is_named() -> None:
    async with Receiver() as first:
        port = int(first.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(UnavailableError, match="Cannot listen on"):
            async with Receiver(port=port):
                pass
