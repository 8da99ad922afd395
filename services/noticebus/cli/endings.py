"""Ending an incident: ask for its cancel, confirm it as the second person, say all-clear."""

import secrets
from typing import Annotated, Any

import typer

from noticebus.cli.client import Client, client_of, run
from noticebus.cli.output import Format, FormatOption, note, show_record

Incident = Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id: inc_….")]
Name = Annotated[str, typer.Option("--name", help="Who you are.")]
Role = Annotated[str, typer.Option("--role", help="As what.")]
BaseVersion = Annotated[
    int | None, typer.Option(help="The version you have looked at; else the newest.")
]
SHOWN = ("id", "incident_id", "version", "state", "accepted_at")


def install(notices: typer.Typer) -> None:
    """Add the commands to the group of notices."""
    notices.command("cancel")(cancel)
    notices.command("confirm-cancel")(confirm_cancel)
    notices.command("keep")(keep)
    notices.command("all-clear")(all_clear)


def cancel(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: typer.Context,
    incident: Incident,
    reason: Annotated[str, typer.Option(help="Why it should not stand.")],
    name: Name,
    role: Role,
    base_version: BaseVersion = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Ask for the cancel of an incident; nobody is told until a second person confirms it."""
    asked = {"reason": reason, "by": {"name": name, "role": role}}
    made = run(_on_version(client_of(context), incident, "cancel", asked, version=base_version))
    show_record(made, form=form)
    note(
        f"Nobody has been told yet. Another person confirms it before {made['lapses_at']}, with"
        f" another key: noticebus notice confirm-cancel {incident}"
    )


def confirm_cancel(
    context: typer.Context,
    incident: Incident,
    name: Name,
    role: Role,
    form: FormatOption = Format.TABLE,
) -> None:
    """Cancel an incident as the second person: what is open is withdrawn, all told hear of it."""
    path = f"/v1/incidents/{incident}/cancel/confirm"
    body = {"by": {"name": name, "role": role}}
    _show(run(client_of(context).call("POST", path, body=body)).body, form=form)


def keep(context: typer.Context, incident: Incident) -> None:
    """Take back the request to cancel an incident: it stands."""
    run(client_of(context).call("DELETE", f"/v1/incidents/{incident}/cancel"))
    note(f"No cancel waits for {incident}.")


def all_clear(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: typer.Context,
    incident: Incident,
    headline: Annotated[str, typer.Option(help="What is over.")],
    still_open: Annotated[
        list[str] | None, typer.Option(help="What is still open (repeatable).")
    ] = None,
    nothing_open: Annotated[
        bool, typer.Option("--nothing-open", help="Say that nothing is still open.")
    ] = False,
    override_reason: Annotated[
        str | None, typer.Option(help="Why it stands while matters of class A are open.")
    ] = None,
    base_version: BaseVersion = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say that an incident is over, and what is still open of it; everybody bound is told."""
    if bool(still_open) is nothing_open:
        raise typer.BadParameter("Say what is still open with --still-open, or --nothing-open.")
    said = {"headline": headline, "still_open": still_open or []}
    if override_reason is not None:
        said["override_reason"] = override_reason
    client = client_of(context)
    _show(run(_on_version(client, incident, "all-clear", said, version=base_version)), form=form)


async def _on_version(
    client: Client, incident: str, what: str, said: dict[str, Any], *, version: int | None
) -> dict[str, Any]:
    path = f"/v1/incidents/{incident}"
    if version is None:
        version = (await client.call("GET", path)).body["latest_version"]
    headers = {"Idempotency-Key": secrets.token_urlsafe(18)}
    body = {**said, "base_version": version}
    made: dict[str, Any] = (
        await client.call("POST", f"{path}/{what}", body=body, headers=headers)
    ).body
    return made


def _show(answer: dict[str, Any], *, form: Format) -> None:
    if form is not Format.TABLE:
        show_record(answer, form=form)
        return
    told = {"recipients": answer["recipients"]["count"]}
    show_record({name: answer[name] for name in SHOWN} | told, form=form)
