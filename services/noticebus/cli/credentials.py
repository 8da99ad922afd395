"""What a subscription's endpoint is shown: a client certificate, a token; set, looked at, removed.

Secrets come from files only: what is written on a command line can be read by others.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from noticebus.cli.client import Client, client_of, read_key, run
from noticebus.cli.output import CommandError, Format, FormatOption, note, show_record

FILE_BYTES_MAX = 64 * 1024
PARTS = {"client_certificate": "client certificate", "oauth2": "OAuth2 client"}

CertificateFile = Annotated[
    Path | None,
    typer.Option("--certificate", help="TLS client certificate in PEM, its chain after it."),
]
KeyFile = Annotated[
    Path | None, typer.Option("--key", help="Its private key in PEM, without a password.")
]
TokenUrl = Annotated[str | None, typer.Option(help="Address of the OAuth2 token server.")]
ClientId = Annotated[str | None, typer.Option(help="The bus's name there.")]
SecretFile = Annotated[Path | None, typer.Option(help="File with the bus's secret there.")]
Scope = Annotated[str | None, typer.Option(help="Scopes to ask for, separated by spaces.")]
Audience = Annotated[str | None, typer.Option(help="Audience to ask for, where it wants one.")]
Remove = Annotated[bool, typer.Option("--remove", help="Remove all of them.")]


def credentials(  # noqa: PLR0913, PLR0917 - each option is a parameter
    context: typer.Context,
    subscription: Annotated[str, typer.Argument(help="Its id: sub_….")],
    certificate: CertificateFile = None,
    key: KeyFile = None,
    oauth2_token_url: TokenUrl = None,
    oauth2_client_id: ClientId = None,
    oauth2_secret_file: SecretFile = None,
    oauth2_scope: Scope = None,
    oauth2_audience: Audience = None,
    remove: Remove = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Set what the endpoint is shown, or look at it; what you do not name is removed.

    Without any option it shows what is set: facts, never a key or a secret.
    """
    shown = _certificate(certificate, key)
    client = _client(
        {
            "token_url": oauth2_token_url,
            "client_id": oauth2_client_id,
            "client_secret": None if oauth2_secret_file is None else read_key(oauth2_secret_file),
            "scope": oauth2_scope,
            "audience": oauth2_audience,
        }
    )
    given = {"client_certificate": shown, "oauth2": client}
    if remove and any(given.values()):
        raise typer.BadParameter("--remove removes all; leave the other options out.")
    path = f"/v1/subscriptions/{subscription}/credentials"
    if remove or any(given.values()):
        show_record(run(_change(client_of(context), path, None if remove else given)), form=form)
    else:
        show_record(run(client_of(context).call("GET", path)).body, form=form)


async def _change(client: Client, path: str, body: dict[str, Any] | None) -> Any:
    """Replace or remove what was read just before; a change in between is refused."""
    present = await client.call("GET", path)
    exactly = {"If-Match": present.headers["ETag"]}
    if body is None:
        return (await client.call("DELETE", path, headers=exactly)).body
    changed = (await client.call("PUT", path, body=body, headers=exactly)).body
    for part, word in PARTS.items():
        if present.body[part] and not changed[part]:
            note(f"The {word} that was set before is removed.")
    return changed


def _certificate(certificate: Path | None, key: Path | None) -> dict[str, str] | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise typer.BadParameter("Give --certificate and --key together.")
    return {"certificate_pem": _read(certificate), "key_pem": _read(key)}


def _client(given: dict[str, str | None]) -> dict[str, str | None] | None:
    if not any(given.values()):
        return None
    if not (given["token_url"] and given["client_id"] and given["client_secret"]):
        raise typer.BadParameter(
            "Give --oauth2-token-url, --oauth2-client-id and --oauth2-secret-file together."
        )
    return given


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(FILE_BYTES_MAX).decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"The file {file} cannot be read: {getattr(error, 'strerror', None) or 'not PEM'}.",
            remedy="Name a PEM file that you may read.",
        ) from error


def install(subscriptions: typer.Typer) -> None:
    """Add the command to those about subscriptions."""
    subscriptions.command("credentials")(credentials)
