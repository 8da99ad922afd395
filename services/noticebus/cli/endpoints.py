"""How a subscription and its endpoint do, at the command line, and a probe at once."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from noticebus.cli.client import client_of, run
from noticebus.cli.output import Format, FormatOption, show_record

Subscription = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its id: sub_….")]


def install(subscriptions: typer.Typer) -> None:
    """Add the commands to the group of subscriptions."""
    subscriptions.command("show")(show)
    subscriptions.command("probe")(probe)


def show(
    context: typer.Context, subscription: Subscription, form: FormatOption = Format.TABLE
) -> None:
    """Show a subscription, and how its endpoint does."""
    found = run(client_of(context).call("GET", f"/v1/subscriptions/{subscription}")).body
    show_record(found if form is Format.JSON else with_endpoint(found), form=form)


def probe(
    context: typer.Context, subscription: Subscription, form: FormatOption = Format.TABLE
) -> None:
    """Send one delivery now to an endpoint that is down, to find out whether it works again."""
    path = f"/v1/subscriptions/{subscription}/probe"
    show_record(run(client_of(context).call("POST", path)).body, form=form)


def with_endpoint(view: Mapping[str, Any]) -> dict[str, Any]:
    """Put how the endpoint does beside the subscription's own fields, for a table."""
    endpoint = view.get("endpoint") or {}
    own = {name: value for name, value in view.items() if name != "endpoint"}
    return {
        **own,
        "endpoint": endpoint.get("state"),
        **{f"endpoint_{name}": value for name, value in endpoint.items() if name != "state"},
    }
