"""The reference page names every command and every option, and no other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from noticebus.cli.app import app

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"


def commands(group: Any, *words: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)
        else:
            yield " ".join((*words, name)), command


def test_every_command_has_a_heading_and_every_heading_a_command() -> None:
    written = set(re.findall(r"^### `noticebus ([a-z -]+)`", PAGE.read_text(), re.MULTILINE))

    assert written == {name for name, _ in commands(typer.main.get_command(app))}


def test_every_option_is_in_its_commands_section() -> None:
    sections = dict(
        re.findall(
            r"^### `noticebus ([a-z -]+)`(.*?)(?=^##|\Z)",
            PAGE.read_text(),
            re.MULTILINE | re.DOTALL,
        )
    )

    missing = [
        f"{name} {option}"
        for name, command in commands(typer.main.get_command(app))
        for parameter in command.params
        for option in parameter.opts[:1]
        if option.startswith("--") and option != "--help" and f"`{option}" not in sections[name]
    ]

    assert missing == []
