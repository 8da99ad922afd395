"""`noticebus listen`: see what a webhook would carry, on your own machine."""

import asyncio
import contextlib
import datetime as dt
import email.utils
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from noticebus.cli import saving
from noticebus.cli.client import Answer, make_client, read_key
from noticebus.cli.explaining import Finding, Known, explain
from noticebus.cli.forwarding import Forwarder
from noticebus.cli.misbehaving import Way, Wishes, misbehaviour_of
from noticebus.cli.output import EXIT_FAILED, CommandError, clean, note, say
from noticebus.cli.receiver import Received, Receiver
from noticebus.cli.session import Session, session_of
from noticebus.cli.verifying import jwks_keys, public_key_bytes
from noticebus.clock import SystemClock
from noticebus.errors import NoticebusError

JWKS = "/.well-known/jwks.json"
INDENT = " " * 11


class Written(StrEnum):
    """The forms in which events are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusKeys:
    """The public keys of the bus, and how far its clock is ahead of ours, where it was asked."""

    public_keys: Sequence[bytes] = ()
    ahead_s: float | None = None


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("listen")(listen)


def listen(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8099,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    secret: Annotated[
        list[str] | None,
        typer.Option(help="The subscription's secret, whsec_…; repeat it for older ones."),
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(help="File with the secret, older ones on further lines; may be made later."),
    ] = None,
    public_key: Annotated[
        str | None, typer.Option(help="The bus's public key, whpk_…; else asked of the bus.")
    ] = None,
    forward: Annotated[
        str | None, typer.Option(help="Pass each request on to this address, as it came.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Keep each request in this folder: raw body and headers.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(help="Only check a request that was saved: its raw body.")
    ] = None,
    headers: Annotated[
        Path | None, typer.Option(help="With --verify: its headers; else beside the body.")
    ] = None,
    fail: Annotated[int, typer.Option(min=0, help="Fail the first so many events.")] = 0,
    status: Annotated[
        int | None, typer.Option(min=200, max=599, help="Status of a failure; alone: of all.")
    ] = None,
    delay: Annotated[float, typer.Option(min=0, max=600, help="Answer after s seconds.")] = 0.0,
    hang: Annotated[bool, typer.Option("--hang", help="Fail by never answering.")] = False,
    drip: Annotated[bool, typer.Option("--drip", help="Fail by a byte a second.")] = False,
    flood: Annotated[bool, typer.Option("--flood", help="Fail by an endless answer.")] = False,
    close: Annotated[bool, typer.Option("--close", help="Fail by hanging up.")] = False,
    malformed: Annotated[
        bool, typer.Option("--malformed", help="Fail by an answer that is not HTTP.")
    ] = False,
    gone: Annotated[bool, typer.Option("--gone", help="Fail with 410: closed for good.")] = False,
    redirect: Annotated[
        str | None, typer.Option(help="Fail by a redirect to this address.")
    ] = None,
    retry_after: Annotated[
        int | None, typer.Option(min=0, max=86_400, help="Fail with Retry-After, in seconds.")
    ] = None,
    wrong_challenge: Annotated[
        bool, typer.Option("--wrong-challenge", help="Answer the handshake wrongly.")
    ] = False,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Agree to so many requests a minute, if asked.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Agree to so many requests at once, if asked.")
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="End after so many events; 0 never.")] = 0,
    form: Annotated[
        Written, typer.Option("--format", help="How events are written: json is one a line.")
    ] = Written.TEXT,
) -> None:
    """Receive webhooks on this machine, verify their signatures, and misbehave when asked to.

    The bus must be allowed to call this address: for one on the same machine set
    NOTICEBUS_EGRESS_ALLOW=127.0.0.1/32 where it is served. Stop with Ctrl-C.

    A way to fail is meant for every event, or with --fail for the first so many. With --verify
    nothing is listened to: the saved request is checked, and the end is 1 if it is wrong.
    """
    keys = _bus_keys(session_of(context), public_key)
    if verify is not None:
        _check_saved(
            verify, headers, secrets=known_secrets(secret, secret_file), keys=keys, form=form
        )
        return
    misbehaviour = misbehaviour_of(
        Wishes(
            ways=[
                way
                for way, wished in (
                    (Way.HANG, hang),
                    (Way.DRIP, drip),
                    (Way.FLOOD, flood),
                    (Way.CLOSE, close),
                    (Way.MALFORMED, malformed),
                    (Way.CHALLENGE, wrong_challenge),
                )
                if wished
            ],
            fail=fail,
            status=status,
            gone=gone,
            redirect=redirect,
            retry_after_s=retry_after,
            delay_s=delay,
        )
    )
    terms = {"rate_per_minute": rate, "concurrency": concurrency}
    if save is not None:
        saving.prepare(save)
    receiver = Receiver(
        host=host,
        port=port,
        secrets=lambda: known_secrets(secret, secret_file),
        public_keys=keys.public_keys,
        misbehaviour=misbehaviour,
        hear=_writer(form),
        forwarder=Forwarder(forward) if forward is not None else None,
        save_to=save,
        bus_ahead_s=keys.ahead_s,
        terms={name: number for name, number in terms.items() if number is not None},
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_listen(receiver, count=count, form=form))


def known_secrets(secret: Sequence[str] | None, secret_file: Path | None) -> Sequence[str]:
    """Give the secrets said or, once its file exists, those in it, a line each."""
    if secret:
        return tuple(secret)
    if secret_file is not None and secret_file.exists():
        return tuple(line.strip() for line in read_key(secret_file).splitlines() if line.strip())
    return ()


def lines_of(received: Received) -> list[str]:
    """Write one event as a line, and below it whatever is to be said of it."""
    noted = received.noted
    headline = f'  "{received.headline}"' if received.headline else ""
    number = f"  no. {noted.sequence}" if noted.sequence is not None else ""
    again = f" (time {received.time})" if received.time > 1 else ""
    at = SystemClock().now()
    first = (
        f"{at:%H:%M:%SZ}  {received.cause or 'no event'}  {received.delivery_id or '-'}{again}"
        f"{number}{headline}  {received.verdict.cause}  {received.did}"
    )
    below = [*noted.remarks, f"remedy: {received.verdict.remedy}" * bool(received.verdict.remedy)]
    below += [f"saved as {received.saved}"] if received.saved is not None else []
    return [clean(first), *(INDENT + clean(one) for one in below if one)]


def as_json(received: Received) -> dict[str, object]:
    """Give what a program wants to know of one event."""
    noted, verdict = received.noted, received.verdict
    return {
        "at": f"{SystemClock().now():%Y-%m-%dT%H:%M:%S.%fZ}",
        "type": received.type,
        "delivery_id": received.delivery_id,
        "time": received.time,
        "headline": received.headline,
        "subscription_id": noted.subscription_id,
        "sequence": noted.sequence,
        "missing": list(noted.missing),
        "remarks": list(noted.remarks),
        **_finding_json(verdict),
        "status": received.status,
        "answered": received.did,
        "saved": None if received.saved is None else str(received.saved),
    }


def _finding_json(finding: Finding) -> dict[str, object]:
    return {
        "signature_ok": finding.ok,
        "fault": finding.fault,
        "cause": finding.cause,
        "remedy": finding.remedy,
    }


def _writer(form: Written) -> Callable[[Received], None]:
    if form is Written.JSON:
        return lambda received: say(json.dumps(as_json(received), ensure_ascii=False))
    return lambda received: say("\n".join(lines_of(received)))


async def _listen(receiver: Receiver, *, count: int, form: Written) -> None:
    async with receiver:
        tell = say if form is Written.TEXT else note
        tell(f"listening on {receiver.url}")
        if count:
            await receiver.wait_for(count, within_s=86_400)
        else:
            await asyncio.Event().wait()


def _check_saved(
    body_file: Path,
    headers_file: Path | None,
    *,
    secrets: Sequence[str],
    keys: BusKeys,
    form: Written,
) -> None:
    """Check a saved request by the clock of its arrival, and say what is wrong."""
    saved = saving.load(body_file, headers_file)
    if saved.arrived_at is None:
        note("It is not noted when this arrived: its timestamp is compared with the clock now.")
    now = saved.arrived_at or SystemClock().now()
    finding = explain(
        saved.headers,
        saved.body,
        known=Known(
            secrets=secrets,
            public_keys=keys.public_keys,
            now_s=now.timestamp(),
            bus_ahead_s=keys.ahead_s if saved.arrived_at is None else None,
        ),
    )
    if form is Written.TEXT:
        say(clean(finding.cause))
        if finding.remedy:
            say(f"remedy: {clean(finding.remedy)}")
    else:
        say(json.dumps(_finding_json(finding), ensure_ascii=False))
    if finding.ok is False:
        raise typer.Exit(EXIT_FAILED)


def _bus_keys(session: Session, said: str | None) -> BusKeys:
    """Take the public key said, or ask the bus; without either only the secret is checked."""
    if said is not None:
        try:
            return BusKeys(public_keys=[public_key_bytes(said)])
        except ValueError:
            raise CommandError(
                "The public key is not in the form whpk_<base64>.",
                remedy="Copy it again from the subscription's answer, or leave --public-key out.",
            ) from None
    try:
        answer = asyncio.run(make_client(session).call("GET", JWKS))
        return BusKeys(public_keys=jwks_keys(answer.body), ahead_s=_ahead(answer))
    except (NoticebusError, ValueError):
        note("No bus answers, so its public key is unknown: only v1 is checked, with the secret.")
        return BusKeys()


def _ahead(answer: Answer) -> float | None:
    """Say how far the bus's clock is ahead of ours, by the Date of its answer (to the second)."""
    try:
        at = email.utils.parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return None
    return (at.astimezone(dt.UTC) - SystemClock().now()).total_seconds()
