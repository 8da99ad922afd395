"""`noticebus demo`: August 2019 in about a minute, through the real gateway."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from noticebus.clock import SystemClock

SPEED = 240.0
PAUSE_S = 0.2  # between two stops of the clock after the fast part
PLAIN_WHERE = ("NO_COLOR", "CI")


def install(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    scenario: Annotated[
        Path | None, typer.Option(help="Another scenario, as a TOML file.", dir_okay=False)
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=1.0, max=3600.0, help="How many times as fast; 240 unless you say."),
    ] = None,
    plain: Annotated[
        bool | None,
        typer.Option("--plain/--live", help="Lines instead of a table that redraws itself."),
    ] = None,
    keep: Annotated[
        bool | None,
        typer.Option(
            "--keep/--end",
            help="Leave the console and its pages up until Ctrl-C, as in a terminal, or end.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. With 0.0.0.0 phones on the same network, and everybody"
            " else there, can open the pages."
        ),
    ] = "127.0.0.1",
) -> None:
    """Play August 2019: one notice, ten recipients, and what silence does.

    Everything is real but the story: gateway, webhooks, mail, answers, clock and ledger run in this
    process and a folder that is removed at the end. Nothing leaves this machine. In a terminal the
    console stays up until Ctrl-C, and a QR code opens the page on which the silent one may answer.
    """
    began = SystemClock().now()
    from noticebus.cli.demo import show  # noqa: PLC0415 - loads the whole bus
    from noticebus.cli.demo.scenario import load  # noqa: PLC0415

    plain = wants_plain() if plain is None else plain
    wanted = show.Wanted(
        scenario=load(scenario),
        began=began,
        speed=speed or SPEED,
        in_time=speed is None,
        pause_s=PAUSE_S,
        plain=plain,
        keep=sys.stdin.isatty() and not wants_plain() if keep is None else keep,
        host=host,
    )
    show.run(wanted)


def wants_plain() -> bool:
    """Say whether to write lines: where nobody watches, or somebody asked for no drawing."""
    return not sys.stdout.isatty() or any(os.environ.get(name) for name in PLAIN_WHERE)
