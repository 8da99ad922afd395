"""Who is on the bus: agencies, their contacts and responsibilities, subscriptions and keys."""

from pathlib import Path
from typing import Annotated, Any

import typer

from noticebus.access.first_key import write_key_file
from noticebus.cli.client import Client, client_of, run
from noticebus.cli.endpoints import with_endpoint
from noticebus.cli.output import Format, FormatOption, note, show_record, show_rows
from noticebus.contracts.places import NATION
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Channel,
    ContentLevel,
    EndpointState,
    NoticeKind,
    Position,
    Role,
    Scope,
    SubscriptionState,
)

AGENCY_COLUMNS = ("id", "name", "kind", "zone", "created_at")
CONTACT_COLUMNS = ("id", "name", "role", "position", "email", "phone", "email_verified_at")
SUBSCRIPTION_COLUMNS = (
    "id", "agency_id", "name", "state", "channel", "url", "content_level", "last_sequence",
    "endpoint", "endpoint_held_back",
)  # fmt: skip
KEY_COLUMNS = ("id", "name", "agency_id", "scopes", "expires_at", "revoked_at")

agencies = typer.Typer(help="Organisations on the bus.", no_args_is_help=True)
contacts = typer.Typer(help="Persons and desks of an agency.", no_args_is_help=True)
responsibilities = typer.Typer(help="Who must answer where.", no_args_is_help=True)
subscriptions = typer.Typer(help="Standing orders of agencies.", no_args_is_help=True)
keys = typer.Typer(help="API keys.", no_args_is_help=True)
GROUPS = {
    "agency": agencies,
    "contact": contacts,
    "responsibility": responsibilities,
    "subscription": subscriptions,
    "key": keys,
}

Context = typer.Context
AgencyId = Annotated[str, typer.Argument(metavar="AGENCY", help="Its id: agy_….")]
States = Annotated[list[str] | None, typer.Option("--state", help="State, as FIPS: 28.")]
Counties = Annotated[list[str] | None, typer.Option("--county", help="County, as FIPS: 28123.")]
Districts = Annotated[list[str] | None, typer.Option("--lea", help="School district: NCES id.")]
Everywhere = Annotated[bool, typer.Option("--nation", help="Everywhere.")]
SecretFile = Annotated[
    Path | None,
    typer.Option("--secret-file", help="Write the secret here (0600) instead of showing it."),
]


@agencies.command("add")
def add_agency(
    context: Context,
    name: Annotated[str, typer.Argument(help="Its name.")],
    kind: Annotated[AgencyKind, typer.Option(help="What it is.")],
    zone: Annotated[str, typer.Option(help="Its time zone, like America/Chicago.")],
    holidays_state: Annotated[
        str | None, typer.Option(help="State whose public holidays it keeps, like MS.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Take an agency onto the bus. Give it contacts and responsibilities next."""
    body = {"name": name, "kind": kind, "zone": zone, "holidays_state": holidays_state}
    _create(context, "/v1/agencies", body, form=form)


@agencies.command("list")
def list_agencies(context: Context, form: FormatOption = Format.TABLE) -> None:
    """List the agencies that your key may see."""
    show_rows(_list(context, "/v1/agencies"), columns=AGENCY_COLUMNS, form=form)


@agencies.command("show")
def show_agency(context: Context, agency: AgencyId, form: FormatOption = Format.TABLE) -> None:
    """Show an agency with its contacts and responsibilities."""
    show_record(run(_read_agency(client_of(context), agency)), form=form)


@contacts.command("add")
def add_contact(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: Context,
    agency: AgencyId,
    name: Annotated[str, typer.Argument(help="Name of the person or desk.")],
    role: Annotated[str, typer.Option(help="What they do, like intake.")],
    position: Annotated[
        Position, typer.Option(help="Place in the order of escalation.")
    ] = Position.ON_DUTY,
    email: Annotated[str | None, typer.Option(help="Mail address.")] = None,
    phone: Annotated[str | None, typer.Option(help="Phone, like +16015550110.")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Enter a person or desk who answers for an agency."""
    body = {"name": name, "role": role, "position": position, "email": email, "phone": phone}
    _create(context, f"/v1/agencies/{agency}/contacts", body, form=form)


@contacts.command("list")
def list_contacts(context: Context, agency: AgencyId, form: FormatOption = Format.TABLE) -> None:
    """List the contacts of an agency."""
    found = _list(context, f"/v1/agencies/{agency}/contacts")
    show_rows(found, columns=CONTACT_COLUMNS, form=form)


@responsibilities.command("add")
def add_responsibility(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: Context,
    agency: AgencyId,
    role: Annotated[Role, typer.Option(help="The part it answers in.")],
    state: States = None,
    county: Counties = None,
    lea: Districts = None,
    nation: Everywhere = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Record that an agency must answer every notice that touches these areas."""
    area = _area(state=state, county=county, lea=lea, nation=nation)
    body = {"role": role, "areas": [area]}
    _create(context, f"/v1/agencies/{agency}/responsibilities", body, form=form)


@subscriptions.command("add")
def add_subscription(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: Context,
    agency: AgencyId,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    state: States = None,
    county: Counties = None,
    lea: Districts = None,
    nation: Everywhere = False,
    kind: Annotated[
        list[NoticeKind] | None, typer.Option(help="Only these kinds of notices (repeatable).")
    ] = None,
    content_level: Annotated[
        ContentLevel, typer.Option(help="How much it is told.")
    ] = ContentLevel.PARTNER,
    url: Annotated[str | None, typer.Option(help="Address of its webhook.")] = None,
    contact: Annotated[
        str | None, typer.Option(help="By mail to this contact (cnt_…) instead.")
    ] = None,
    secret_file: SecretFile = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Order notices for an agency: to a webhook, by mail, or else into its inbox.

    The signing secret is shown this once. Made with an operator's key it counts as approved.
    """
    channel = Channel.INBOX
    if url is not None or contact is not None:
        channel = Channel.WEBHOOK if url is not None else Channel.EMAIL
    body = {
        "agency_id": agency,
        "name": name,
        "areas": [_area(state=state, county=county, lea=lea, nation=nation)],
        "kinds": kind or [],
        "content_level": content_level,
        "channel": channel,
        "url": url,
        "contact_id": contact,
    }
    made = run(client_of(context).call("POST", "/v1/subscriptions", body=body)).body
    _show_with_secret(made, field="secret", path=secret_file, form=form)


@subscriptions.command("list")
def list_subscriptions(
    context: Context,
    state: Annotated[SubscriptionState | None, typer.Option(help="Only those in it.")] = None,
    endpoint_state: Annotated[
        EndpointState | None, typer.Option(help="Only those whose endpoint is in it.")
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """List subscriptions: your agency's, or all of them with an operator's key."""
    wanted = {"state": state, "endpoint_state": endpoint_state}
    query = {name: str(value) for name, value in wanted.items() if value is not None}
    found = run(client_of(context).list_all("/v1/subscriptions", query=query))
    rows = found if form is Format.JSON else [with_endpoint(one) for one in found]
    show_rows(rows, columns=SUBSCRIPTION_COLUMNS, form=form)


@subscriptions.command("approve")
def approve_subscription(
    context: Context,
    subscription: Annotated[str, typer.Argument(help="Its id: sub_….")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Approve the areas and the content level of a subscription as it stands now."""
    show_record(run(_approve(client_of(context), subscription)), form=form)


@subscriptions.command("verify")
def verify_subscription(
    context: Context,
    subscription: Annotated[str, typer.Argument(help="Its id: sub_….")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Send the handshake again to a webhook that has not answered it."""
    _create(context, f"/v1/subscriptions/{subscription}/verify", None, form=form)


@keys.command("add")
def add_key(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: Context,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do (repeatable).")],
    agency: Annotated[str | None, typer.Option(help="The agency it acts for: agy_….")] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="When it ends, like 2027-01-01T00:00:00Z.")
    ] = None,
    secret_file: SecretFile = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Make an API key; it is shown this once."""
    body = {"name": name, "agency_id": agency, "scopes": scope, "expires_at": expires_at}
    made = run(client_of(context).call("POST", "/v1/api-keys", body=body)).body
    _show_with_secret(made, field="key", path=secret_file, form=form)


@keys.command("list")
def list_keys(context: Context, form: FormatOption = Format.TABLE) -> None:
    """List API keys, never the keys themselves; those that have ended too."""
    show_rows(_list(context, "/v1/api-keys"), columns=KEY_COLUMNS, form=form)


@keys.command("revoke")
def revoke_key(
    context: Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id: key_….")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Revoke an API key: within five seconds it opens nothing, anywhere."""
    show_record(run(client_of(context).call("DELETE", f"/v1/api-keys/{key}")).body, form=form)


def _create(context: Context, path: str, body: object, *, form: Format) -> None:
    show_record(run(client_of(context).call("POST", path, body=body)).body, form=form)


def _list(context: Context, path: str) -> list[Any]:
    return run(client_of(context).list_all(path))


def _area(
    *, state: list[str] | None, county: list[str] | None, lea: list[str] | None, nation: bool
) -> dict[str, object]:
    codes = {"state": state, "county_fips": county, "lea_id": lea}
    area: dict[str, object] = {name: given for name, given in codes.items() if given}
    if nation:
        area[NATION.partition(":")[0]] = True
    if not area:
        raise typer.BadParameter("Name an area: --state, --county, --lea or --nation.")
    return area


def _show_with_secret(made: dict[str, Any], *, field: str, path: Path | None, form: Format) -> None:
    if path is not None and made.get(field):
        write_key_file(path, secret=made[field])
        made = {**made, field: f"in {path}"}
    elif made.get(field):
        note(f"Keep the {field}: it is not shown again.")
    show_record(made, form=form)


async def _approve(client: Client, subscription: str) -> Any:
    path = f"/v1/subscriptions/{subscription}"
    found = await client.call("GET", path)
    exactly = {"If-Match": found.headers["ETag"]}
    return (await client.call("POST", f"{path}/approve", headers=exactly)).body


async def _read_agency(client: Client, agency: str) -> dict[str, Any]:
    path = f"/v1/agencies/{agency}"
    found: dict[str, Any] = (await client.call("GET", path)).body
    found["contacts"] = [
        f"{one['name']} ({one['role']}, {one['position']})"
        for one in await client.list_all(f"{path}/contacts")
    ]
    found["responsibilities"] = [
        {"role": one["role"], "areas": one["areas"]}
        for one in await client.list_all(f"{path}/responsibilities")
    ]
    return found
