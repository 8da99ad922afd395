import re
from ipaddress import ip_network
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from noticebus.access.keyring import Keyring
from noticebus.access.ways import ways_of
from noticebus.cli import users as cli_users
from noticebus.clock import SystemClock
from noticebus.contracts.vocabulary import UserRole
from noticebus.settings import Loaded, RoleName, SettingError, Settings, load

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
SOURCES = Path(__file__).parents[2] / "services" / "noticebus"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, so that no settings file of the developer's is read."""
    monkeypatch.chdir(tmp_path)


def _loaded(text: str) -> Loaded:
    Path("noticebus.toml").write_text(text)
    return load()


def test_every_setting_has_a_default() -> None:
    settings = load().settings

    assert settings == Settings()
    assert settings.database_url == "sqlite+aiosqlite:///noticebus.db"
    assert settings.kafka_bootstrap is None


def test_every_setting_does_something() -> None:
    code = "\n".join(
        path.read_text() for path in SOURCES.rglob("*.py") if path.name != "settings.py"
    )

    unread = [name for name in Settings.model_fields if not re.search(rf"\.{name}\b", code)]

    assert unread == []


def test_operators_number_is_in_international_form_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICEBUS_OPERATORS_PHONE", "")
    assert load().settings.operators_phone is None
    monkeypatch.setenv("NOTICEBUS_OPERATORS_PHONE", "+16015550110")
    assert load().settings.operators_phone == "+16015550110"
    monkeypatch.setenv("NOTICEBUS_OPERATORS_PHONE", "601 555 0110")
    with pytest.raises(SettingError, match="operators_phone"):
        load()


def test_environment_wins_over_file_and_file_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICEBUS_PORT", "9001")

    loaded = _loaded('port = 9000\nhost = "0.0.0.0"\n')

    assert (loaded.settings.port, loaded.settings.host) == (9001, "0.0.0.0")  # noqa: S104 - any value
    assert loaded.origins == {"port": "environment", "host": "noticebus.toml"}


@pytest.mark.parametrize("address", ["watch.example.org", "ftp://watch.example.org/", "https://"])
def test_a_dead_man_address_that_cannot_be_called_stops_the_start(address: str) -> None:
    with pytest.raises(SettingError, match="deadman_url is not an address"):
        _loaded(f'deadman_url = "{address}"\n')

    assert _loaded('deadman_url = "https://watch.example.org/abc"\n').settings.deadman_url


def test_a_secret_comes_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("key").write_text("0123456789abcdef0123456789abcdef\n")
    monkeypatch.setenv("NOTICEBUS_SECRET_KEY_FILE", "key")

    secret = load().settings.secret_key

    assert secret is not None
    assert secret.get_secret_value() == "0123456789abcdef0123456789abcdef"


def test_a_secret_given_twice_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICEBUS_SECRET_KEY", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("NOTICEBUS_SECRET_KEY_FILE", "key")

    with pytest.raises(SettingError, match="keep one"):
        load()


def test_a_missing_secret_file_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICEBUS_KAFKA_PASSWORD_FILE", "nowhere")

    with pytest.raises(SettingError, match="NOTICEBUS_KAFKA_PASSWORD_FILE names a file"):
        load()


def test_an_unknown_key_of_the_file_names_the_nearest() -> None:
    with pytest.raises(
        SettingError, match=r"`databse_url` in noticebus\.toml.*nearest is database_url"
    ):
        _loaded('databse_url = "x"')


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("NOTICEBUS_KAFKA_BOOTSTRAPS", "NOTICEBUS_KAFKA_BOOTSTRAP"),
        ("NOTICEBUS_SECRETKEY_FILE", "NOTICEBUS_SECRET_KEY"),
    ],
    ids=["misspelt", "misspelt-file"],
)
def test_an_unknown_variable_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, variable: str, nearest: str
) -> None:
    monkeypatch.setenv(variable, "x")

    with pytest.raises(SettingError, match=f"{variable} is not a setting.*{nearest}"):
        load()


def test_a_bad_value_says_which_setting_from_where_and_not_the_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOTICEBUS_SECRET_KEY", "tooshort")

    with pytest.raises(SettingError) as refusal:
        load()

    assert str(refusal.value).startswith("secret_key (from environment): ")
    assert "tooshort" not in str(refusal.value)


def test_a_file_that_is_not_toml_stops_the_start() -> None:
    with pytest.raises(SettingError, match="cannot be read as TOML"):
        _loaded("port: 80")


def test_a_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICEBUS_SETTINGS", "nowhere.toml")

    with pytest.raises(SettingError, match=r"nowhere\.toml does not exist"):
        load()


def test_networks_are_listed_with_commas_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOTICEBUS_EGRESS_ALLOW", "127.0.0.1/32, fd00::/8")

    assert load().settings.egress_allow == (ip_network("127.0.0.1/32"), ip_network("fd00::/8"))


def test_networks_are_a_list_in_the_file() -> None:
    assert _loaded('egress_allow = ["10.0.0.0/8"]').settings.egress_allow == (
        ip_network("10.0.0.0/8"),
    )


@pytest.mark.parametrize(
    "text",
    ["lease_s = 15.0", 'kafka_security = "SASL_SSL"', 'base_url = "https://bus.example.gov/"'],
    ids=["lease", "sasl", "slash"],
)
def test_settings_that_cannot_work_are_refused(text: str) -> None:
    with pytest.raises(SettingError):
        _loaded(text)


def test_settings_do_not_change() -> None:
    settings = Settings()

    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_shown_settings_hide_every_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICEBUS_SECRET_KEY", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("NOTICEBUS_DATABASE_URL", "postgresql+asyncpg://bus:hunter2@db/noticebus")

    loaded = load()
    shown = {name: (value, origin) for name, value, origin in loaded.shown()}

    assert shown["secret_key"] == ("********", "environment")
    assert shown["database_url"] == (
        "postgresql+asyncpg://bus:********@db/noticebus",
        "environment",
    )
    assert shown["port"] == ("8080", "default")
    assert "hunter2" not in repr(loaded)


def test_every_setting_has_a_heading_with_its_default_and_its_variable() -> None:
    page = PAGE.read_text()
    sections = dict(
        re.findall(r"^### `(\w+)`\n(.*?)(?=^#|\Z)", page, flags=re.MULTILINE | re.DOTALL)
    )

    assert list(sections) == list(Settings.model_fields), "same settings, same order"
    for name, text in sections.items():
        default = Settings.model_fields[name].default
        said = re.search(r"Default: `(.*?)`|Default: none", text)
        assert said is not None, name
        expected = None if default in (None, (), Path()) else str(default)
        assert said.group(1) == expected, name


@pytest.mark.parametrize(
    "text",
    [
        'egress_proxy_url = "https://proxy:3128"',
        'egress_proxy_url = "http://proxy"',
        'egress_proxy_url = "http://proxy:3128/path"',
        'egress_proxy_url = "http://a b:3128"',
        'egress_no_proxy = ["10.0.0.1/8"]',
        'egress_no_proxy = ["10.0.0.256"]',
        'egress_no_proxy = ["*.example.gov"]',
        'egress_no_proxy = ["https://example.gov"]',
    ],
)
def test_a_proxy_setting_that_cannot_be_used_stops_the_start(text: str) -> None:
    with pytest.raises(SettingError, match=text.partition(" ")[0]):
        _loaded(text)


def test_a_proxys_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICEBUS_EGRESS_PROXY_URL", "http://bus:hunter2@proxy.example:3128")
    monkeypatch.setenv("NOTICEBUS_EGRESS_NO_PROXY", ".example.gov, 10.0.0.0/8 ::1")

    loaded = load()
    shown = {name: value for name, value, _ in loaded.shown()}

    assert shown["egress_proxy_url"] == "http://bus:********@proxy.example:3128"
    assert loaded.settings.egress_no_proxy == (".example.gov", "10.0.0.0/8", "::1")
    assert "hunter2" not in repr(loaded)


ACCOUNT = 'telephone_account = "AC0123456789abcdef"\n'
TOKEN = 'telephone_token = "f00dface"\n'  # of nobody
FROM = 'telephone_from = "+16015550100"\n'


@pytest.mark.parametrize("text", [ACCOUNT, TOKEN, FROM, ACCOUNT + TOKEN, TOKEN + FROM])
def test_a_telephone_account_is_set_whole_or_not_at_all(text: str) -> None:
    with pytest.raises(SettingError, match="are set together, or none"):
        _loaded(text)


@pytest.mark.parametrize(
    "text",
    [
        'telephone_account = "AC/../x"\n' + TOKEN + FROM,
        ACCOUNT + TOKEN + 'telephone_from = "6015550100"\n',
        ACCOUNT + TOKEN + FROM + 'telephone_url = "ftp://api.example"\n',
        ACCOUNT + TOKEN + FROM + 'telephone_url = "https://user:secret@api.example"\n',
    ],
)
def test_a_telephone_setting_that_cannot_be_used_stops_the_start(text: str) -> None:
    with pytest.raises(SettingError, match="telephone_"):
        _loaded(text)


def test_account_and_token_of_the_telephone_are_never_shown() -> None:
    loaded = _loaded(ACCOUNT + TOKEN + FROM)

    assert loaded.settings.dials
    assert not Settings().dials
    shown = {name: value for name, value, _ in loaded.shown()}
    assert shown["telephone_account"] == shown["telephone_token"] == "********"
    assert "f00dface" not in repr(loaded.settings)
    assert "AC0123456789abcdef" not in repr(loaded.settings)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('oidc_issuer = "https://login.example"', "set together"),
        ('oidc_client_id = "noticebus"', "set together"),
        ('oidc_issuer = "https://login.example"\noidc_client_id = "x"', "needs oidc_roles"),
        ('oidc_issuer = "http://login.example"', "oidc_issuer"),
        ('oidc_issuer = "https://login.example?x=1"', "oidc_issuer"),
        ('oidc_roles = { "staff" = "emperor" }', "oidc_roles"),
        ('proxy_user_header = "X-Forwarded-User"', "set together"),
        ('proxy_allow = ["10.0.4.7/32"]', "set together"),
        ('proxy_user_header = "X-User"\nproxy_allow = ["0.0.0.0/0"]', "names every address"),
        ('proxy_user_header = "X User"\nproxy_allow = ["10.0.4.7/32"]', "proxy_user_header"),
    ],
)
def test_a_way_to_sign_in_that_is_set_by_halves_stops_the_start(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        _loaded(text)


def test_ways_to_sign_in_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTICEBUS_OIDC_ISSUER", "https://login.example/realms/staff")
    monkeypatch.setenv("NOTICEBUS_OIDC_CLIENT_ID", "noticebus")
    monkeypatch.setenv("NOTICEBUS_OIDC_CLIENT_SECRET", "hush")
    monkeypatch.setenv("NOTICEBUS_OIDC_ROLES", '{"bus-operators": "operator"}')
    monkeypatch.setenv("NOTICEBUS_PROXY_USER_HEADER", "X-Forwarded-User")
    monkeypatch.setenv("NOTICEBUS_PROXY_ALLOW", "10.0.4.7/32 fd00::7/128")

    loaded = _loaded("")
    ways = ways_of(loaded.settings, keyring=Keyring(b"k" * 32), machine=SystemClock())

    assert ways.passwords
    assert ways.oidc is not None
    assert ways.oidc.provider.host == "login.example"
    assert ways.proxy is not None
    assert len(ways.proxy.networks) == 2
    assert "hush" not in str(loaded.shown())


def test_every_role_of_a_person_can_be_given_by_a_provider_and_by_the_command_line() -> None:
    roles = set(map(str, UserRole))

    assert set(get_args(RoleName)) == roles
    assert set(map(str, cli_users.RoleName)) == roles


def test_times_of_digests_are_times_of_day_and_nothing_else() -> None:
    assert Settings(digest_times="06:30, 18:30 23:00").digest
    for bad in ("", "7", "24:00", "07:00Z", "noon"):
        with pytest.raises(ValidationError):
            Settings(digest_times=bad)
