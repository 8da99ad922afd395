"""`noticebus user`: people entered on the machine of the bus, beside a bus that may be running."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import tables
from harness.commands import Ended
from noticebus.cli.app import hoist, run

Command = Callable[..., Ended]


@pytest.fixture(params=["sqlite", "postgresql"])
def noticebus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Command]:
    """Lend the command in a folder of its own, over an empty database of each kind."""
    with asyncio.Runner() as runner, contextlib.chdir(tmp_path):
        on = _sqlite(tmp_path) if request.param == "sqlite" else _postgresql()
        url = runner.run(on.__aenter__())

        def command(*words: str, typed: str = "") -> Ended:
            out, err = io.StringIO(), io.StringIO()
            with (
                pytest.MonkeyPatch.context() as process,
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                process.setattr("sys.stdin", io.StringIO(typed))
                process.setenv("NOTICEBUS_DATABASE_URL", url)
                code = run(hoist(words))
            return Ended(code=code, out=out.getvalue(), err=err.getvalue())

        yield command
        runner.run(on.__aexit__(None, None, None))


@contextlib.asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[str]:
    yield await tables.migrated_on_sqlite(folder / "bus.db")


@contextlib.asynccontextmanager
async def _postgresql() -> AsyncIterator[str]:
    async with tables.migrated_on_postgresql() as url:
        yield url


def add(noticebus: Command, login: str = "dana.reyes", *more: str, typed: str = "") -> Ended:
    words = ("user", "add", login, "--name", "Dana Reyes", "--role", "operator", *more)
    return noticebus(*words, "--format", "json", typed=typed)


def listed(noticebus: Command) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(noticebus("user", "list", "--format", "json").out)
    return found


def test_person_is_entered_with_a_one_time_password_that_is_shown_once(noticebus: Command) -> None:
    ended = add(noticebus, "Dana.Reyes")
    assert ended.code == 0, ended
    made = json.loads(ended.out)
    assert made["login"] == "dana.reyes"
    assert len(made["one_time_password"]) == 24
    assert "not shown again" in ended.err
    (one,) = listed(noticebus)
    assert one == {name: value for name, value in made.items() if name != "one_time_password"}
    assert (one["roles"], one["state"]) == ("operator", "active")


def test_password_may_come_from_a_program_and_keeps_the_rules(noticebus: Command) -> None:
    short = add(noticebus, "dana", "--password-stdin", typed="too short\n")
    assert short.code == 1
    assert "needs 15" in short.err
    assert listed(noticebus) == []
    taken = add(noticebus, "dana", "--password-stdin", typed="vier Enten rudern\n")
    assert taken.code == 0
    assert "one_time_password" not in json.loads(taken.out)
    again = noticebus(
        "user", "reset-password", "dana", "--password-stdin", typed="dana the operator"
    )
    assert "your own name" in again.err


def test_person_is_disabled_enabled_given_roles_and_a_fresh_password(noticebus: Command) -> None:
    add(noticebus)
    first = listed(noticebus)[0]
    assert noticebus("user", "disable", "dana.reyes").code == 0
    assert listed(noticebus)[0]["state"] == "disabled"
    refused = noticebus("user", "link", "dana.reyes")
    assert refused.code == 1
    assert "user enable" in refused.err
    assert noticebus("user", "enable", "dana.reyes").code == 0
    roles = ("--role", "operator", "--role", "supervisor")
    assert noticebus("user", "roles", "dana.reyes", *roles).code == 0
    assert listed(noticebus)[0]["roles"] == "operator, supervisor"
    fresh = noticebus("user", "reset-password", "dana.reyes", "--format", "json")
    assert json.loads(fresh.out)["one_time_password"]
    assert listed(noticebus)[0]["id"] == first["id"]
    link = noticebus("user", "link", "dana.reyes")
    assert link.out.startswith("http://127.0.0.1:8080/sign-in/link/")
    assert "once, for 15 minutes" in link.err


def test_what_cannot_be_says_why_and_changes_nothing(noticebus: Command) -> None:
    add(noticebus)
    assert "is taken" in add(noticebus).err
    assert "oidc" not in add(noticebus, "oidc:dana").out
    assert "must be 2 to 99" in add(noticebus, "oidc:dana").err
    poster = noticebus("user", "roles", "dana.reyes", "--role", "poster")
    assert "belongs to one agency" in poster.err
    away = noticebus("user", "roles", "dana.reyes", "--role", "poster", "--agency", "agy_1")
    assert "no such agency" in away.err
    assert "user list" in noticebus("user", "disable", "nobody").err
    assert [(one["login"], one["roles"]) for one in listed(noticebus)] == [
        ("dana.reyes", "operator")
    ]


def test_without_a_database_it_says_how_there_will_be_one(tmp_path: Path) -> None:
    err = io.StringIO()
    with contextlib.chdir(tmp_path), contextlib.redirect_stderr(err):
        assert run(["user", "list"]) == 1
    assert "noticebus serve" in err.getvalue()
    assert not any(tmp_path.iterdir())
