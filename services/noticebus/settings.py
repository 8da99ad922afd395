"""Settings: `NOTICEBUS_*` environment (also `*_FILE`) over `noticebus.toml` over defaults.

Read once, in `cli`; constructors take the values they need. Each field has a heading in
`docs/reference/settings.md`.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from noticebus.errors import NoticebusError

PREFIX = "NOTICEBUS_"
FILE_SUFFIX = "_FILE"
SETTINGS_FILE = "NOTICEBUS_SETTINGS"  # names the settings file itself
DEFAULT_FILE = Path("noticebus.toml")
_NOT_OURS = (  # the test suite's own, and what the commands read to reach a bus
    "NOTICEBUS_TEST_",
    "NOTICEBUS_URL",
    "NOTICEBUS_KEY",
)
_ACCOUNT = re.compile(r"[A-Za-z0-9]{2,64}")
_ADDRESS = re.compile(r"https?://[^\s/?#]+\S*")
_PROXY = r"^http://([^@/\s]+@)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[1-9][0-9]{0,4}/?$"
# Over http only on this machine (OpenID Connect Core 1.0, section 16.17).
_ISSUER = (
    r"^(https://[^\s/?#@]+|http://(127\.0\.0\.1|localhost|\[::1\])(:[1-9][0-9]{0,4})?)(/[^\s?#]*)?$"
)
_PAST_PROXY = re.compile(r"\.?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_-]+)*", re.IGNORECASE)
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
_PASSWORD = re.compile(r"(?<=://)([^/@]*):[^/@]*@")


class SettingError(NoticebusError):
    """A setting stops the start. The message is one sentence: which, why and what to do."""

    code = "bad-setting"


def _listed(value: object) -> object:
    """Read a list from an environment variable: separated by commas or spaces."""
    return value.replace(",", " ").split() if isinstance(value, str) else value


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_listed)]

# Empty is none: a composition of containers hands on what is not set as an empty text.
Telephone = Annotated[
    Annotated[str, Field(pattern=r"^\+[1-9][0-9]{6,14}$")] | None,
    BeforeValidator(lambda value: value or None),
]

RoleName = Literal["operator", "supervisor", "auditor", "agency_administrator", "poster"]


class Settings(BaseSettings):
    """Every setting with its default. Built directly it reads nothing: `load` does."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, hide_input_in_errors=True
    )

    # Where the bus is
    base_url: str = Field("http://127.0.0.1:8080", pattern=r"^https?://[^\s?#]*[^\s?#/]$")
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    data_dir: Path = Path()
    secret_key: SecretStr | None = Field(None, min_length=32)
    stop_grace_s: float = Field(10.0, ge=0, le=300)
    operators_phone: Telephone = None

    # Database
    database_url: str = Field("sqlite+aiosqlite:///noticebus.db", repr=False)
    disk_reserve_mb: int = Field(50, ge=0, le=1_000_000_000)

    # Bus
    kafka_bootstrap: str | None = None
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_ca_path: Path | None = None
    kafka_certificate_path: Path | None = None
    kafka_key_path: Path | None = None
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_prefix: str = Field("noticebus", pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    kafka_partitions: int = Field(12, ge=1, le=1000)
    kafka_replication: int = Field(3, ge=1, le=9)
    kafka_retention_hours: int = Field(168, ge=1)

    # Mail
    smtp_url: str | None = Field(
        None, pattern=r"^smtp(s|\+starttls)?://([^@/\s]+@)?[^@/\s]+$", repr=False
    )
    mail_from: str = "noticebus@localhost"
    records_kept_s: float = Field(30.0, ge=0, le=3600)
    digest: bool = True
    digest_times: str = Field("07:00 19:00", pattern=rf"^{_TIME}([ ,]+{_TIME})*$")

    # Telephone
    telephone_url: str = Field("https://api.twilio.com", pattern=r"^https?://[^\s?#@]*[^\s?#/@]$")
    telephone_account: SecretStr | None = None
    telephone_token: SecretStr | None = None
    telephone_from: str | None = Field(None, pattern=r"^\+[1-9][0-9]{6,14}$")

    # Sign-in
    password_sign_in: bool = True
    oidc_issuer: str | None = Field(None, pattern=_ISSUER)
    oidc_client_id: str | None = Field(None, min_length=1, max_length=200)
    oidc_client_secret: SecretStr | None = None
    oidc_roles_claim: str = Field("groups", min_length=1, max_length=100)
    oidc_roles: dict[str, RoleName] = {}
    oidc_agency_claim: str | None = Field(None, min_length=1, max_length=100)
    proxy_user_header: str | None = Field(None, pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    proxy_allow: Networks = ()

    # Deliveries
    egress_allow: Networks = ()
    egress_proxy_url: str | None = Field(None, pattern=_PROXY, repr=False)
    egress_no_proxy: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = ()
    calls_from: Networks = ()
    endpoint_concurrency: int = Field(16, ge=1, le=1000)
    endpoint_trip_after: int = Field(10, ge=2, le=1000)
    backlog_rate_per_minute: int = Field(600, ge=1, le=60_000)
    request_timeout_s: float = Field(15.0, gt=0, le=60)
    lease_s: float = Field(20.0, gt=0, le=600)
    lease_days: int = Field(180, ge=0, le=3650)
    schedules: dict[Literal["A", "B", "C", "D"], dict[str, Any]] = {}

    # Posting
    approval_above: int | None = Field(None, ge=0)

    # Interface
    idempotency_days: int = Field(7, ge=1, le=365)

    # Watching from outside
    deadman_url: SecretStr | None = None
    deadman_every_s: float = Field(60.0, ge=1, le=3600)

    # Logs
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing behind the caller's back: `load` names the sources."""
        return (init_settings,)

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        account, token = self.telephone_account, self.telephone_token
        if len({account is None, token is None, self.telephone_from is None}) > 1:
            raise ValueError(
                "telephone_account, telephone_token and telephone_from are set together, or none"
            )
        if account is not None and not _ACCOUNT.fullmatch(account.get_secret_value()):
            raise ValueError(
                "telephone_account is not an account id like AC0123…, letters and digits"
            )
        address = self.deadman_url and self.deadman_url.get_secret_value()
        if address and not _ADDRESS.fullmatch(address):
            raise ValueError("deadman_url is not an address like https://watch.example.org/abc")
        _check_sign_in(self)
        for one in self.egress_no_proxy:
            if not _goes_past_proxy(one):
                raise ValueError(
                    "egress_no_proxy lists host names and networks, like example.gov 10.0.0.0/8"
                )
        if self.lease_s <= self.request_timeout_s:
            raise ValueError(
                "lease_s must be longer than request_timeout_s, or a slow call is repeated"
            )
        if self.kafka_security.startswith("SASL") and not (
            self.kafka_username and self.kafka_password
        ):
            raise ValueError(f"{self.kafka_security} needs kafka_username and kafka_password")
        return self

    @property
    def dials(self) -> bool:
        """Say whether a telephone provider is configured."""
        return self.telephone_account is not None


def _check_sign_in(settings: Settings) -> None:
    """Raise ValueError where the ways to sign in are set by halves."""
    if (settings.oidc_issuer is None) != (settings.oidc_client_id is None):
        raise ValueError("oidc_issuer and oidc_client_id are set together, or none")
    if settings.oidc_issuer is not None and not settings.oidc_roles:
        raise ValueError("oidc_issuer needs oidc_roles, or nobody who comes from it has a role")
    if (settings.proxy_user_header is None) != (not settings.proxy_allow):
        raise ValueError("proxy_user_header and proxy_allow, its networks, are set together")
    if any(network.prefixlen == 0 for network in settings.proxy_allow):
        raise ValueError("proxy_allow names every address: anybody could say who is there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings in force, and where each came from: `environment`, `file`, or `default`."""

    settings: Settings
    origins: Mapping[str, str]

    def shown(self) -> list[tuple[str, str, str]]:
        """List name, value with every secret masked, and origin, for `config show`."""
        return [
            (name, _masked(getattr(self.settings, name)), self.origins.get(name, "default"))
            for name in Settings.model_fields
        ]


def load(file: Path | None = None) -> Loaded:
    """Read the settings of this process; raise SettingError with what to change."""
    path = file or Path(os.environ.get(SETTINGS_FILE, DEFAULT_FILE))
    if not path.exists() and path != DEFAULT_FILE:
        raise SettingError(f"{path} does not exist: correct {SETTINGS_FILE} or --settings.")
    sources = [
        (str(path), _from_file(path)),
        ("environment", _from_environment()),
        ("environment, from a file", _from_secret_files()),
    ]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, found in sources:
        values |= found
        origins |= dict.fromkeys(found, origin)
    try:
        return Loaded(settings=Settings(**values), origins=origins)
    except ValidationError as error:
        raise SettingError(_sentence(error, origins)) from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        found = TomlConfigSettingsSource(Settings, path)() if path.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"{path} cannot be read as TOML: {error}.") from error
    for key in found:
        _known(key, said=f"`{key}` in {path}", form="{}")
    return found


def _from_environment() -> dict[str, Any]:
    for variable in _ours():
        name = variable.removeprefix(PREFIX).lower()
        if name not in Settings.model_fields:
            _known(name.removesuffix(FILE_SUFFIX.lower()), said=variable, form=PREFIX + "{}")
    found: dict[str, Any] = EnvSettingsSource(Settings)()
    return found


def _from_secret_files() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable in _ours():
        name = variable.removeprefix(PREFIX).removesuffix(FILE_SUFFIX).lower()
        if not variable.endswith(FILE_SUFFIX) or name not in Settings.model_fields:
            continue
        if PREFIX + name.upper() in os.environ:
            raise SettingError(f"{PREFIX}{name.upper()} and {variable} are both set: keep one.")
        try:
            found[name] = Path(os.environ[variable]).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{variable} names a file that cannot be read: {error}.") from error
    return found


def _ours() -> list[str]:
    return [
        variable
        for variable in sorted(os.environ)
        if variable.startswith(PREFIX)
        and variable != SETTINGS_FILE
        and not variable.startswith(_NOT_OURS)
    ]


def _known(name: str, *, said: str, form: str) -> None:
    if name in Settings.model_fields:
        return
    near = difflib.get_close_matches(name, Settings.model_fields, n=1, cutoff=0.0)[0]
    nearest = form.format(near.upper() if form.startswith(PREFIX) else near)
    raise SettingError(f"{said} is not a setting; the nearest is {nearest}.")


def _sentence(error: ValidationError, origins: Mapping[str, str]) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"Settings disagree: {reason}."
    name = str(first["loc"][0])
    return f"{name} (from {origins.get(name, 'default')}): {reason}."


def _goes_past_proxy(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        digits = text.rpartition(".")[2].isdigit()  # an address or network with a slip in it
        return _PAST_PROXY.fullmatch(text) is not None and not digits
    return True


def _masked(value: object) -> str:
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value) if value else ""
    return "" if value is None else _PASSWORD.sub(r"\1:********@", str(value))
