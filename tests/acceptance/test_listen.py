"""`noticebus listen` beside a real bus, and as the command that a developer starts."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import sqlalchemy as sa
from aiohttp import web

from harness.commands import environment_of, read_until, started
from harness.place import embedded
from harness.system import Bus, minutes, open_bus
from noticebus.access.keyring import Keyring, new_webhook_secret
from noticebus.cli.app import run
from noticebus.cli.forwarding import Forwarder
from noticebus.cli.misbehaving import Misbehaviour, Way
from noticebus.cli.receiver import Receiver
from noticebus.cli.verifying import jwks_keys
from noticebus.clock import SystemClock
from noticebus.contracts.canonical import canonical
from noticebus.contracts.vocabulary import DeliveryState
from noticebus.dispatcher.signing import signature_headers
from noticebus.store.tables import subscriptions

KEYRING = Keyring(b"k" * 32)
SECRET = new_webhook_secret()


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator[Bus]:
    async with embedded(tmp_path) as place, open_bus(place, strict=False) as opened:
        yield opened


async def posted_to(bus: Bus, receiver: Receiver) -> Any:
    """Post a notice to an agency whose endpoint is `receiver`."""
    member = await bus.agency("County")
    async with bus.desk.database.begin() as conn:
        await conn.execute(
            sa.update(subscriptions)
            .where(subscriptions.c.id == member.subscription_id)
            .values(url=receiver.url)
        )
    receiver._secrets = lambda: [member.secret]
    receiver._public_keys = jwks_keys(bus.desk.keyring.public_jwks())
    return await bus.post_notice()


async def test_a_receiver_that_breaks_once_gets_the_same_event_again_and_says_so(bus: Bus) -> None:
    async with Receiver(misbehaviour=Misbehaviour(fail=1, way=Way.MALFORMED)) as receiver:
        posted = await posted_to(bus, receiver)
        await receiver.wait_for(1)
        await bus.carried()
        await bus.fast_forward(minutes(2))
        first, second = await receiver.wait_for(2)

    assert first.verdict.cause == second.verdict.cause == "signature ok (v1, v1a)"
    assert second.noted.remarks == (f"again {first.delivery_id}, arrival 2, with the same body",)
    assert second.noted.sequence == 1
    (delivery,) = await bus.deliveries_of(posted)
    assert delivery.state is DeliveryState.DELIVERED


async def test_an_event_of_the_bus_goes_on_to_an_application_unchanged(bus: Bus) -> None:
    got: list[tuple[bytes, str]] = []

    async def handle(request: web.Request) -> web.Response:
        got.append((await request.read(), request.headers["webhook-signature"]))
        return web.Response(status=401)

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        to = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        async with Receiver(forwarder=Forwarder(to)) as receiver:
            posted = await posted_to(bus, receiver)
            (received,) = await receiver.wait_for(1)
            await bus.carried()
    finally:
        await runner.cleanup()

    ((body, signature),) = got
    assert json.loads(body) == received.event
    assert signature.startswith("v1,")
    assert received.verdict.ok is True
    assert "look at its check of the signature first" in received.did
    (delivery, *_) = await bus.deliveries_of(posted)
    assert delivery.state is DeliveryState.QUEUED  # the application's 401 is the bus's answer


def event(number: int) -> tuple[str, bytes]:
    """Make a notice with its number, as the bus writes it."""
    named = {"id": f"dlv_{number}", "type": "org.noticebus.notice.v1"}
    data = {"subscription": {"id": "sub_1", "sequence": number}, "notice": {"headline": "ñ"}}
    return named["id"], canonical({**named, "data": data})


async def send(url: str, number: int, *, sent: bytes | None = None) -> int:
    """Send an event signed by the bus; what arrives may be other bytes."""
    delivery_id, body = event(number)
    now = int(SystemClock().now().timestamp())
    headers = signature_headers(
        body, delivery_id=delivery_id, timestamp=now, secrets=[SECRET], keys=KEYRING.signing_keys
    )
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=sent or body, headers=headers) as answer,
    ):
        return answer.status


@pytest.mark.slow(reason="starts a process, with seconds of imports to trace")
def test_the_command_explains_saves_and_checks_again_what_it_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{new_webhook_secret()}\n{SECRET}\n")
    words = ("--port", "0", "--secret-file", str(secret), "--save", "kept", "--retry-after", "9")

    with started("listen", *words, "--fail", "1", "--count", "4", folder=tmp_path) as process:
        url = read_until(process, "\n").rpartition(" ")[2].strip()
        changed = json.dumps(json.loads(event(4)[1])).encode()
        statuses = [
            asyncio.run(send(url, number, sent=sent))
            for number, sent in ((1, None), (1, None), (3, None), (4, changed))
        ]
        said = read_until(process, "000004-dlv_4.body")
    monkeypatch.chdir(tmp_path)
    for name, value in environment_of().items():
        monkeypatch.setenv(name, value)
    check = ("listen", "--secret-file", str(secret), "--format", "json", "--verify")
    codes = [run([*check, f"kept/00000{n}-dlv_{i}.body"]) for n, i in ((1, 1), (4, 4))]
    right, wrong = map(json.loads, capsys.readouterr().out.splitlines())

    assert statuses == [503, 200, 200, 401]
    assert "your secret number 2, not the newest" in said
    assert "again dlv_1, arrival 2, with the same body" in said
    assert "1, 3: 2 is missing" in said
    assert "remedy: Take the body before your framework parses it." in said
    assert {stat.S_IMODE(one.stat().st_mode) for one in (tmp_path / "kept").iterdir()} == {0o600}
    assert codes == [0, 1]
    assert (right["signature_ok"], right["fault"]) == (True, None)
    assert (wrong["signature_ok"], wrong["fault"]) == (False, "body")
