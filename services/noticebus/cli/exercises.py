"""Exercises: run one from a file and follow it, list them, report how one went."""

import asyncio
import datetime as dt
import json
import secrets
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from noticebus.cli.client import Client, client_of, run
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

PATH = "/v1/exercises"
FILE_BYTES_MAX = 16 * 1024 * 1024
FOLLOW_EVERY_S = 2.0
OVER = frozenset({"ended", "cancelled"})
COLUMNS = ("id", "name", "agency", "state", "starts_at", "ends_at", "incident_id")
RECIPIENT_COLUMNS = (
    "recipient", "standing", "class", "score", "told_after", "channel", "answered_after",
    "answered_at", "due_at", "steps", "state", "obligation",
)  # fmt: skip

app = typer.Typer(help="Exercises: drills of the whole path, scored.", no_args_is_help=True)


@app.command("run")
def run_exercise(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The exercise, TOML or JSON.")],
    wait: Annotated[bool, typer.Option(help="Follow it until it ends.")] = True,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Of an earlier try of the same exercise.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Schedule an exercise, follow it to its end, and report how it went."""
    body, client = read_exercise(file), client_of(context)
    headers = {"Idempotency-Key": idempotency_key or secrets.token_urlsafe(18)}
    made = run(client.call("POST", PATH, body=body, headers=headers)).body
    if not wait:
        show_record(_shown(made), form=form)
        return
    times = f"from {made['starts_at']} to {made['ends_at']}"
    note(f"{made['id']} runs {times}. Ctrl-C ends only the following of it.")
    _show_report(run(_follow(client, made["id"])), form=form)


@app.command("report")
def report(
    context: typer.Context,
    exercise: Annotated[str, typer.Argument(metavar="EXERCISE", help="Its id: exr_….")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Report how an exercise went, the lowest scores first; while it runs, how it stands."""
    _show_report(run(_report(client_of(context), exercise)), form=form)


@app.command("list")
def list_exercises(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """List exercises, newest first: your agency's, or all of them with an operator's key."""
    found = run(client_of(context).list_all(PATH))
    show_rows([_shown(one) for one in found], columns=COLUMNS, form=form)


@app.command("cancel")
def cancel(
    context: typer.Context,
    exercise: Annotated[str, typer.Argument(metavar="EXERCISE", help="Its id: exr_….")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Call off an exercise that has not started; nobody hears that there was to be one."""
    ended = run(client_of(context).call("DELETE", f"{PATH}/{exercise}")).body
    show_record(_shown(ended), form=form)


def read_exercise(file: Path) -> Any:
    """Read an exercise: TOML where the file's name says so, else JSON."""
    try:
        with file.open("rb") as opened:
            text = opened.read(FILE_BYTES_MAX).decode("utf-8")
        if file.suffix == ".toml":
            return json.loads(json.dumps(tomllib.loads(text), default=_instant))
        return json.loads(text)
    except OSError as error:
        raise CommandError(
            f"The exercise {file} cannot be read: {error.strerror}.",
            remedy="Name a file that you may read.",
        ) from error
    except (ValueError, TypeError) as error:
        raise CommandError(
            f"The exercise {file} is neither TOML nor JSON: {error}.",
            remedy="Correct it there; docs/how-to/exercises.md shows a complete one.",
        ) from error


def _instant(value: object) -> str:
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.isoformat()
    message = f"{value} is no time with a zone; write it like 2026-10-01T14:00:00Z"
    raise TypeError(message)


async def _report(client: Client, exercise: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.call("GET", f"{PATH}/{exercise}/report")).body
    return found


async def _follow(client: Client, exercise: str) -> dict[str, Any]:
    """Look every few seconds until it is over; say a line whenever something has changed."""
    said = ""
    while True:
        found = await _report(client, exercise)
        line = progress(found)
        if line != said:
            note(line)
            said = line
        if found["exercise"]["state"] in OVER:
            return found
        await asyncio.sleep(FOLLOW_EVERY_S)


def progress(found: dict[str, Any]) -> str:
    """Say in a line how an exercise stands."""
    summary = found["summary"]
    told = summary["mandatory"] - len(summary["never_reached"])
    answered = summary["mandatory"] - len(summary["never_answered"])
    return (
        f"EXERCISE {found['exercise']['state']}: {told} of {summary['mandatory']} told,"
        f" {answered} answered, {summary['within_target']} by the deadline"
    )


def _show_report(found: dict[str, Any], *, form: Format) -> None:
    match form:
        case Format.JSON:
            show_json(found)
        case Format.CSV:
            rows = [_recipient(one) for one in found["recipients"]]
            show_rows(rows, columns=RECIPIENT_COLUMNS, form=form)
        case Format.TABLE:
            _say_report(found)


def _say_report(found: dict[str, Any]) -> None:
    exercise, summary = found["exercise"], found["summary"]
    say(f"EXERCISE: {exercise['name']} ({exercise['state']})")
    say(f"{exercise['starts_at']} to {exercise['ends_at']}, posted by {exercise['agency']['name']}")
    say()
    say(f"Answered by the deadline: {summary['within_target']} of {summary['mandatory']}.")
    say(f"Score: {'nobody had to answer' if summary['score'] is None else summary['score']}.")
    if summary["slowest"] is not None:
        took = _minutes(summary["slowest_after_s"])
        say(f"Slowest: {summary['slowest']['name']}, {took} after the start.")
    for words, named in (
        ("Never reached", summary["never_reached"]),
        ("Never answered", summary["never_answered"]),
        ("Waived, and not counted", summary["waived"]),
    ):
        if named:
            say(f"{words}: {', '.join(one['name'] for one in named)}.")
    say()
    rows = [_recipient(one) for one in found["recipients"]]
    show_table(rows, columns=RECIPIENT_COLUMNS[:-1])
    if found["recipients_left_out"]:
        say(f"And {found['recipients_left_out']} more, with higher scores.")
    say()
    say(f"Scores: {found['rule']}")


def _recipient(one: dict[str, Any]) -> Row:
    return {
        "recipient": one["agency"]["name"],
        "standing": one["standing"],
        "class": one["class"],
        "score": one["score"],
        "told_after": _minutes(one["told_after_s"]),
        "channel": one["channel"],
        "answered_after": _minutes(one["answered_after_s"]),
        "answered_at": one["closing_answer_at"],
        "due_at": one["due_at"],
        "steps": one["steps"],
        "state": one["state"],
        "obligation": one["obligation_id"],
    }


def _minutes(seconds: int | None) -> str | None:
    return None if seconds is None else f"{seconds // 60} min {seconds % 60} s"


def _shown(made: dict[str, Any]) -> Row:
    return {**made, "agency": made["agency"]["name"]}
