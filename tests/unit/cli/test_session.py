from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from noticebus.cli.app import begin, hoist, run
from noticebus.cli.client import make_client
from noticebus.cli.output import CommandError
from noticebus.cli.session import (
    FIRST_KEY_FILE,
    Session,
    address_of,
    effective,
    session_of,
    sqlite_path,
)
from noticebus.settings import Loaded, Settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in an empty folder, without settings of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)
    for name in ("NOTICEBUS_URL", "NOTICEBUS_KEY", "NOTICEBUS_KEY_FILE", "NOTICEBUS_SETTINGS"):
        monkeypatch.delenv(name, raising=False)


def test_the_database_is_in_the_data_folder_unless_a_setting_says_otherwise() -> None:
    default = effective(Loaded(settings=Settings(), origins={}), data_dir=Path("var"))
    chosen = effective(
        Loaded(settings=Settings(), origins={}), data_dir=Path("var"), database_url="sqlite:///x.db"
    )

    assert sqlite_path(default) == Path("var/noticebus.db")
    assert sqlite_path(chosen) == Path("x.db")


def test_the_public_address_follows_the_port_unless_a_setting_says_otherwise() -> None:
    default = effective(Loaded(settings=Settings(), origins={}), port=9000)
    settings = Settings(base_url="https://bus.example.gov")
    chosen = effective(Loaded(settings=settings, origins={"base_url": "environment"}), port=9000)

    assert default.base_url == "http://127.0.0.1:9000"
    assert chosen.base_url == "https://bus.example.gov"


def test_an_option_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(CommandError, match="An option cannot be used"):
        effective(Loaded(settings=Settings(), origins={}), port=70_000)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:1"),  # noqa: S104 - read, not bound
        ("::", "http://[::1]:1"),
        ("a.gov", "http://a.gov:1"),
    ],
)
def test_an_address_is_one_that_can_be_reached(host: str, address: str) -> None:
    assert address_of(host, 1) == address


def test_the_first_key_is_sent_to_the_bus_of_this_folder_and_to_no_other() -> None:
    Path(FIRST_KEY_FILE).write_text("noticebus_live_x\n")

    assert make_client(Session()).key == "noticebus_live_x"
    assert make_client(Session(server="https://elsewhere.example")).key is None


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(CommandError, match="not the address of a bus"):
        make_client(Session(server="bus.example.gov"))


def test_options_for_every_command_may_stand_anywhere() -> None:
    assert hoist(["agency", "list", "--server", "http://a", "--debug", "--", "--debug"]) == [
        "--server", "http://a", "--debug", "agency", "list", "--", "--debug",
    ]  # fmt: skip


def test_misuse_ends_with_2_and_says_where_help_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agency", "frob"]) == 2

    error = capsys.readouterr().err
    assert "error: No such command 'frob'" in error
    assert "remedy: See `noticebus agency --help`" in error


def test_a_bad_setting_ends_with_1_and_two_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTICEBUS_POTR", "1")

    assert run(["config", "show"]) == 1
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "error",
        "remedy",
    ]


def test_a_key_file_on_the_line_wins_over_a_key_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOTICEBUS_KEY", "from-the-environment")
    seen: list[Session] = []
    looker = typer.Typer()
    looker.callback()(begin)
    looker.command("look")(_look(seen))

    CliRunner().invoke(looker, ["--key-file", "mine.key", "look"])
    CliRunner().invoke(looker, ["look"])

    assert [(one.key, one.key_file) for one in seen] == [
        (None, Path("mine.key")),
        ("from-the-environment", None),
    ]


def _look(seen: list[Session]) -> Callable[[typer.Context], None]:
    def look(context: typer.Context) -> None:
        seen.append(session_of(context))

    return look
