"""Notices and answers: post one, show one, acknowledge one."""

import json
import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from noticebus.cli.client import Client, ProblemError, client_of, run
from noticebus.cli.output import (
    CommandError,
    Format,
    FormatOption,
    Row,
    note,
    say,
    show_json,
    show_record,
    show_rows,
    show_table,
)
from noticebus.contracts.vocabulary import Answer, DeclineReason, How, QuestionTopic
from noticebus.errors import NoticebusError

STANDARD_INPUT = "-"
NOTICE_BYTES_MAX = 16 * 1024 * 1024  # the most that any bus may be set to take
RECIPIENT_COLUMNS = ("recipient", "kind", "class", "due_at", "channels", "obligation")
OBLIGATION_COLUMNS = (
    "recipient", "kind", "class", "state", "due_at", "step", "attempts", "obligation",
)  # fmt: skip
HIDDEN_IN_TABLE = frozenset({"recipients", "warnings", "receipt"})

app = typer.Typer(help="Notices of enforcement actions.", no_args_is_help=True)


def install(main: typer.Typer) -> None:
    """Add the command that answers a notice."""
    main.command("acknowledge")(acknowledge)


@app.command("post")
def post(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The notice as JSON.")],
    idempotency_key: Annotated[
        str | None, typer.Option(help="Of an earlier try of the same notice, to repeat it safely.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Post nothing; say who would get it.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Post a notice and say who gets it, who cannot be reached, and which places nobody covers."""
    body = read_notice(file)
    client = client_of(context)
    if dry_run:
        show_json(run(client.call("POST", "/v1/notices/preview", body=body)).body)
        return
    key = idempotency_key or secrets.token_urlsafe(18)
    try:
        headers = {"Idempotency-Key": key}
        answer = run(client.call("POST", "/v1/notices", body=body, headers=headers)).body
    except NoticebusError as error:
        raise _repeatable(error, file=file, key=key) from error
    _show_posted(answer, form=form)


@app.command("show")
def show(
    context: typer.Context,
    notice: Annotated[str, typer.Argument(metavar="NOTICE", help="Its id: ntc_….")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Show a notice as your key may see it, and what became of it at each recipient."""
    found, owed = run(_read(client_of(context), notice))
    if form is Format.JSON:
        show_json({"notice": found, "obligations": owed})
    elif form is Format.CSV:
        show_rows([_obligation(one) for one in owed], columns=OBLIGATION_COLUMNS, form=form)
    else:
        show_record(found, form=form)
        say()
        show_table([_obligation(one) for one in owed], columns=OBLIGATION_COLUMNS)


def acknowledge(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="NOTICE|OBLIGATION",
            help="ntc_…: answer as your agency. obl_…: record another's answer, as an operator.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Who answers.")],
    role: Annotated[str, typer.Option("--role", help="As what.")],
    answer: Annotated[Answer, typer.Option(help="The answer.")] = Answer.ACCEPTED,
    text: Annotated[str | None, typer.Option("--note", help="What else to say.")] = None,
    eta: Annotated[str | None, typer.Option(help="need_more_time: until when.")] = None,
    reason: Annotated[DeclineReason | None, typer.Option(help="declined: why.")] = None,
    reference: Annotated[str | None, typer.Option(help="Your own number for it.")] = None,
    how: Annotated[How | None, typer.Option(help="How it reached you, the operator.")] = None,
    on_behalf_of: Annotated[
        str | None, typer.Option(help="Who said so, where you record it as an operator.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Answer a notice: "we have this", unless --answer says something else."""
    body = {
        "answer": answer,
        "by": {"name": name, "role": role},
        "note": text,
        "eta": eta,
        "reason": reason,
        "reference": reference,
    }
    if what.startswith("obl_"):
        if how is None or on_behalf_of is None:
            raise typer.BadParameter("To record another's answer, add --how and --on-behalf-of.")
        path = f"/v1/obligations/{what}/acknowledgements"
        body |= {"how": how, "on_behalf_of": on_behalf_of}
    else:
        path = f"/v1/notices/{what}/acknowledgements"
    show_record(run(client_of(context).call("POST", path, body=body)).body, form=form)


@app.command("ask")
def ask(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id.")],
    topic: Annotated[QuestionTopic, typer.Option(help="What about.")],
    text: Annotated[str | None, typer.Option(help="In words; needed for the topic other.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Ask the poster of an incident something, or join who has asked the same."""
    path = f"/v1/incidents/{incident}/questions"
    body = {"topic": topic, "text": text}
    asked = run(client_of(context).call("POST", path, body=body)).body
    if form is Format.TABLE:
        asked = {name: value for name, value in asked.items() if name not in HIDDEN_IN_TABLE}
        asked |= {"asked_by": asked["asked_by"]["name"], "askers": asked["askers"]["count"]}
    show_record(asked, form=form)


@app.command("offer")
def offer(
    context: typer.Context,
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="Its id.")],
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The offer as JSON.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Offer help for an incident: meals, space, transport. Child protection answers."""
    path = f"/v1/incidents/{incident}/offers"
    made = run(client_of(context).call("POST", path, body=read_notice(file))).body
    if form is Format.TABLE:
        made = {name: value for name, value in made.items() if name not in HIDDEN_IN_TABLE}
        made |= {"agency": made["agency"]["name"], "contact": made["contact"]["name"]}
    show_record(made, form=form)


def read_notice(file: str) -> Any:
    """Read a notice from a file, or from standard input where it is `-`."""
    try:
        if file == STANDARD_INPUT:
            raw = sys.stdin.buffer.read(NOTICE_BYTES_MAX)
        else:
            with Path(file).open("rb") as opened:
                raw = opened.read(NOTICE_BYTES_MAX)
        return json.loads(raw)
    except OSError as error:
        raise CommandError(
            f"The notice {file} cannot be read: {error.strerror}.",
            remedy="Name a file that you may read, or - for standard input.",
        ) from error
    except ValueError as error:
        raise CommandError(
            f"The notice {file} is not JSON: {error}.",
            remedy="Correct it there; the README and `schemas/examples` show complete ones.",
        ) from error


def _repeatable(error: NoticebusError, *, file: str, key: str) -> NoticebusError:
    """Say how to repeat a post of which nobody knows whether it arrived."""
    if isinstance(error, ProblemError) and error.problem.get("code") not in {None, "unavailable"}:
        return error
    cause = error.cause if isinstance(error, CommandError) else error.message
    return CommandError(
        cause,
        remedy=f"Repeat it with `noticebus notice post {file} --idempotency-key {key}`:"
        " if it did arrive, nobody is told twice.",
    )


def _show_posted(answer: dict[str, Any], *, form: Format) -> None:
    if form is not Format.TABLE:
        show_record(answer, form=form)
        return
    recipients = answer["recipients"]
    brief = {name: value for name, value in answer.items() if name not in HIDDEN_IN_TABLE}
    told = f"{recipients['count']} ({recipients['mandatory']} must answer)"
    show_record({**brief, "recipients": told}, form=form)
    say()
    show_table([_recipient(one) for one in recipients["obligations"]], columns=RECIPIENT_COLUMNS)
    for one in recipients["unreachable"]:
        note(f"warning: {one['agency']['name']} cannot be reached: {one['reason']}")
    for warning in answer["warnings"]:
        note(f"warning: {warning['message']}")


def _recipient(one: Row) -> Row:
    agency = one["agency"]
    return {
        "recipient": agency["name"],
        "kind": agency["kind"],
        "class": one["class"],
        "due_at": one["due_at"],
        "channels": ", ".join(one["channels"]) or "none",
        "obligation": one["id"],
    }


def _obligation(one: Row) -> Row:
    agency = one["agency"]
    shown = {name: one.get(name) for name in OBLIGATION_COLUMNS}
    names = {"recipient": agency["name"], "kind": agency["kind"], "obligation": one["id"]}
    return {**shown, **names}


async def _read(client: Client, notice: str) -> tuple[dict[str, Any], list[Any]]:
    found: dict[str, Any] = (await client.call("GET", f"/v1/notices/{notice}")).body
    path = f"/v1/incidents/{found['incident_id']}/obligations"
    return found, await client.list_all(path)
