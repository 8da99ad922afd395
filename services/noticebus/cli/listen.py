"""`noticebus listen`: see what a webhook would carry, on your own machine."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from noticebus.cli.client import make_client, read_key
from noticebus.cli.output import CommandError, clean, note, say
from noticebus.cli.receiver import Misbehaviour, Received, Receiver
from noticebus.cli.session import Session, session_of
from noticebus.cli.verifying import jwks_keys, public_key_bytes
from noticebus.clock import SystemClock
from noticebus.errors import NoticebusError

JWKS = "/.well-known/jwks.json"


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("listen")(listen)


def listen(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8099,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    secret: Annotated[str | None, typer.Option(help="The subscription's secret, whsec_….")] = None,
    secret_file: Annotated[
        Path | None, typer.Option(help="File with the secret; may be made later.")
    ] = None,
    public_key: Annotated[
        str | None, typer.Option(help="The bus's public key, whpk_…; else asked of the bus.")
    ] = None,
    fail: Annotated[int, typer.Option(min=0, help="Fail the first so many events.")] = 0,
    status: Annotated[
        int | None, typer.Option(min=200, max=599, help="Status of a failure; alone: of all.")
    ] = None,
    delay: Annotated[float, typer.Option(min=0, max=600, help="Answer after s seconds.")] = 0.0,
    count: Annotated[int, typer.Option(min=0, help="End after so many events; 0 never.")] = 0,
) -> None:
    """Receive webhooks on this machine, verify their signatures, and misbehave when asked to.

    The bus must be allowed to call this address: for one on the same machine set
    NOTICEBUS_EGRESS_ALLOW=127.0.0.1/32 where it is served. Stop with Ctrl-C.
    """
    misbehaviour = Misbehaviour(
        fail=None if status is not None and fail == 0 else fail,
        status=500 if status is None else status,
        delay_s=delay,
    )
    keys = _public_keys(session_of(context), public_key)
    receiver = Receiver(
        host=host,
        port=port,
        secrets=lambda: known_secrets(secret, secret_file),
        public_keys=keys,
        misbehaviour=misbehaviour,
        hear=lambda received: say(line_of(received)),
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_listen(receiver, count=count))


def known_secrets(secret: str | None, secret_file: Path | None) -> Sequence[str]:
    """Give the secret said or, once its file exists, the one in it."""
    if secret is not None:
        return (secret,)
    if secret_file is not None and secret_file.exists():
        return (read_key(secret_file),)
    return ()


def line_of(received: Received) -> str:
    """Write one event as a line."""
    again = f" (time {received.time})" if received.time > 1 else ""
    headline = f'  "{received.headline}"' if received.headline else ""
    at = SystemClock().now()
    return clean(
        f"{at:%H:%M:%SZ}  {received.cause}  {received.delivery_id}{again}"
        f"{headline}  {received.verdict.cause}  answered {received.status}"
    )


async def _listen(receiver: Receiver, *, count: int) -> None:
    async with receiver:
        say(f"listening on {receiver.url}")
        if count:
            await receiver.wait_for(count, within_s=86_400)
        else:
            await asyncio.Event().wait()


def _public_keys(session: Session, said: str | None) -> list[bytes]:
    """Take the public key said, or ask the bus; without either only the secret is checked."""
    if said is not None:
        try:
            return [public_key_bytes(said)]
        except ValueError:
            raise CommandError(
                "The public key is not in the form whpk_<base64>.",
                remedy="Copy it again from the subscription's answer, or leave --public-key out.",
            ) from None
    try:
        client = make_client(session)
        return jwks_keys(asyncio.run(client.call("GET", JWKS)).body)
    except NoticebusError:
        note("No bus answers, so its public key is unknown: only v1 is checked, with the secret.")
        return []
