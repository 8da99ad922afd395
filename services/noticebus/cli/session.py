"""What every command is handed: the options that stand before it, and the settings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from noticebus import settings as settings_module
from noticebus.cli.output import CommandError
from noticebus.settings import Loaded, Settings

URL = "NOTICEBUS_URL"
KEY = "NOTICEBUS_KEY"
KEY_FILE = "NOTICEBUS_KEY_FILE"
FIRST_KEY_FILE = "first-admin.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The options that hold for every command."""

    debug: bool = False
    settings_file: Path | None = None
    server: str | None = None
    key: str | None = None
    key_file: Path | None = None

    def load(self) -> Loaded:
        """Read the settings; raise SettingError with what to change."""
        return settings_module.load(self.settings_file)


def session_of(context: typer.Context) -> Session:
    """Give the session that the main command has put into the context."""
    session: Session = context.find_root().obj
    return session


def effective(loaded: Loaded, **changes: Any) -> Settings:
    """Apply a command's options, and let what was not set follow them.

    The database of the embedded profile is in `data_dir`, and others reach the bus where it
    listens, until a setting says otherwise.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    said = {*given, *loaded.origins}
    values = dict(loaded.settings) | given
    folder = Path(values["data_dir"])
    if "database_url" not in said and folder != Path():
        values["database_url"] = f"sqlite+aiosqlite:///{folder / 'noticebus.db'}"
    if "base_url" not in said:
        values["base_url"] = address_of(values["host"], values["port"])
    try:
        return Settings(**values)
    except ValueError as error:
        raise CommandError(
            f"An option cannot be used: {str(error).splitlines()[-1].strip()}.",
            remedy="Correct it; `noticebus config show` lists what is in force.",
        ) from None


def address_of(host: str, port: int) -> str:
    """Write the address at which a bus that listens on `host` is reached from this machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def sqlite_path(settings: Settings) -> Path | None:
    """Name the file of the embedded profile's database; None on PostgreSQL."""
    from sqlalchemy import make_url  # noqa: PLC0415 - most commands need no database, and no wait

    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite":
        return None
    return Path(url.database or "")
