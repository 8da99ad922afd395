"""Requests kept as files: the raw body, and the headers beside it, for nobody else to read."""

import datetime as dt
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from noticebus.cli.output import CommandError

BODY_SUFFIX = ".body"
HEADERS_SUFFIX = ".headers"
ARRIVED = "# arrived "
_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_NAME_MAX = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A request as it arrived; names of headers are in lower case."""

    headers: dict[str, str]
    body: bytes
    arrived_at: dt.datetime | None


def prepare(folder: Path) -> None:
    """Make the folder, or say why it cannot be."""
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error


def save(
    folder: Path,
    *,
    name: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    arrived_at: dt.datetime,
) -> Path:
    """Write body and headers as two new files of mode 0600, and give the body's path.

    Files that are there already stay: the number before the name goes on after the highest.
    """
    lines = [f"{ARRIVED}{arrived_at:%Y-%m-%dT%H:%M:%S.%fZ}", *(f"{k}: {v}" for k, v in headers)]
    try:
        base = f"{_next_number(folder):06d}-{_UNFIT.sub('_', name)[:_NAME_MAX]}"
        _write(folder / f"{base}{HEADERS_SUFFIX}", _text(lines))
        path = folder / f"{base}{BODY_SUFFIX}"
        _write(path, body)
    except OSError as error:
        raise _unusable(folder, error) from error
    return path


def load(body_file: Path, headers_file: Path | None = None) -> Saved:
    """Read a request back; its headers are beside the body unless another file is named.

    The headers may be those of any tool that writes `Name: value` lines.
    """
    beside = headers_file or body_file.with_suffix(HEADERS_SUFFIX)
    try:
        body = body_file.read_bytes()
        text = beside.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"The request in {body_file} and {beside} cannot be read:"
            f" {getattr(error, 'strerror', None) or 'the headers are not text'}.",
            remedy="Name the raw body, and with --headers a file of `Name: value` lines.",
        ) from error
    headers: dict[str, str] = {}
    arrived_at = None
    for line in text.splitlines():
        if line.startswith(ARRIVED):
            arrived_at = _instant(line.removeprefix(ARRIVED))
        elif ":" in line and not line.startswith("#"):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
    return Saved(headers=headers, body=body, arrived_at=arrived_at)


def _next_number(folder: Path) -> int:
    taken = [path.name.partition("-")[0] for path in folder.glob(f"*{HEADERS_SUFFIX}")]
    return max((int(one) for one in taken if one.isascii() and one.isdigit()), default=0) + 1


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _text(lines: Iterable[str]) -> bytes:
    """Write headers' bytes as they came: not all that is sent is text."""
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")


def _instant(text: str) -> dt.datetime | None:
    try:
        instant = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=dt.UTC)


def _unusable(folder: Path, error: OSError) -> CommandError:
    return CommandError(
        f"Nothing can be saved in {folder}: {error.strerror}.",
        remedy="Name a folder that you may write to, with --save.",
    )
