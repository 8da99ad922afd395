"""Pausing a subscription, letting it go on, and having it sent again what it was sent."""

import asyncio
from typing import Annotated, Any

import typer

from noticebus.cli.client import Client, client_of, run
from noticebus.cli.output import Format, FormatOption, note, show_record

LOOK_EVERY_S = 1.0
RUNNING = "running"

Subscription = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its id: sub_….")]
After = Annotated[int | None, typer.Option(help="All after this number.", min=0)]
Since = Annotated[str | None, typer.Option(help="All since a time, like 2019-08-07T12:00:00Z.")]
Until = Annotated[int | None, typer.Option(help="Up to this number, and no further.", min=0)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count only; send nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Show how far it is until it has ended.")]
Leave = Annotated[
    bool, typer.Option("--leave", help="Leave what was held back in the inbox; do not send it.")
]


def install(subscriptions: typer.Typer) -> None:
    """Add the commands to the group of subscriptions."""
    subscriptions.command("pause")(pause)
    subscriptions.command("resume")(resume)
    subscriptions.command("replay")(replay)


def pause(
    context: typer.Context, subscription: Subscription, form: FormatOption = Format.TABLE
) -> None:
    """Pause a subscription: what comes is numbered and held back, and obligations go on."""
    path = f"/v1/subscriptions/{subscription}/pause"
    show_record(run(client_of(context).call("POST", path)).body, form=form)


def resume(
    context: typer.Context,
    subscription: Subscription,
    leave: Leave = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Let a paused subscription go on; what was held back is sent in its turn."""
    path = f"/v1/subscriptions/{subscription}/resume"
    body = {"held": "leave" if leave else "send"}
    show_record(run(client_of(context).call("POST", path, body=body)).body, form=form)


def replay(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: typer.Context,
    subscription: Subscription,
    after: After = None,
    since: Since = None,
    until: Until = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Have a webhook or topic sent again what it was sent, after a number or since a time."""
    if (after is None) is (since is None):
        raise typer.BadParameter("Give --after or --since, and not both of them.")
    wanted = {"after": after, "since": since, "until": until}
    body = {name: value for name, value in wanted.items() if value is not None}
    path = f"/v1/subscriptions/{subscription}"
    client = client_of(context)
    if dry_run:
        query = {"dry_run": "true"}
        show_record(
            run(client.call("POST", f"{path}/replay", body=body, query=query)).body, form=form
        )
        return
    begun = run(client.call("POST", f"{path}/replay", body=body)).body
    if wait:
        begun = run(_followed(client, path, begun))
    show_record(begun, form=form)


async def _followed(client: Client, path: str, found: dict[str, Any]) -> dict[str, Any]:
    """Look how far a replay is until it has ended; each change is a line beside the output."""
    said = ""
    while True:
        if (line := _progress(found)) != said:
            note(line)
            said = line
        if found["state"] != RUNNING:
            return found
        await asyncio.sleep(LOOK_EVERY_S)
        found = (await client.call("GET", f"{path}/replays/{found['id']}")).body


def _progress(found: dict[str, Any]) -> str:
    ended = found["delivered"] + found["failed"] + found["not_sent"]
    share = 100 if not found["total"] else ended * 100 // found["total"]
    return (
        f"{share} %: {found['delivered']} of {found['total']} delivered, "
        f"{found['failed']} failed, {found['waiting']} waiting"
    )
