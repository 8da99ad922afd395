"""The subscriber's side at the command line: a lease renewed, a secret rotated, what was sent."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from noticebus.cli.client import client_of, run
from noticebus.cli.output import Format, FormatOption, show_record, show_rows

COLUMNS = ("id", "cause", "sequence", "state", "held_reason", "created_at", "tries", "last_answer")
TRY_COLUMNS = ("number", "started_at", "outcome", "status_code", "duration_ms", "whose", "error")
Subscription = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its id: sub_….")]


def install(subscriptions: typer.Typer) -> None:
    """Add the commands to the group of subscriptions."""
    subscriptions.command("renew")(renew)
    subscriptions.command("deliveries")(deliveries)


def renew(
    context: typer.Context, subscription: Subscription, form: FormatOption = Format.TABLE
) -> None:
    """Renew the lease of a webhook or topic; one that had lapsed is resumed."""
    path = f"/v1/subscriptions/{subscription}/renew"
    show_record(run(client_of(context).call("POST", path)).body, form=form)


def deliveries(
    context: typer.Context,
    subscription: Subscription,
    delivery: Annotated[
        str | None, typer.Option(help="Show this one with its request and every try: dlv_….")
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=200)] = 50,
    form: FormatOption = Format.TABLE,
) -> None:
    """List what a subscription was sent, newest first, and what came of it."""
    path = f"/v1/subscriptions/{subscription}/deliveries"
    if delivery is None:
        found = run(client_of(context).call("GET", f"{path}?limit={limit}")).body["items"]
        rows = found if form is Format.JSON else [_row(one) for one in found]
        show_rows(rows, columns=COLUMNS, form=form)
        return
    shown = run(client_of(context).call("GET", f"{path}/{delivery}")).body
    if form is Format.TABLE:
        show_record(_flat(shown), form=form)
        show_rows(shown["attempts"], columns=TRY_COLUMNS, form=form)
    else:
        show_record(shown, form=form)


def _row(view: Mapping[str, Any]) -> dict[str, Any]:
    tries = view["attempts"]
    last = tries[-1] if tries else None
    answer = "" if last is None else last["status_code"] or last["outcome"]
    return {**view, "tries": len(tries), "last_answer": answer}


def _flat(view: Mapping[str, Any]) -> dict[str, Any]:
    """Put the request's parts beside the delivery's, for a table of two columns."""
    request = view["request"] or {}
    parts = {name: value for name, value in view.items() if name not in {"attempts", "request"}}
    return {**parts, **request}
