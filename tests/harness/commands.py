"""The command `noticebus` as processes of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NOTICEBUS = Path(sys.executable).with_name("noticebus")
WITHIN_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


def environment_of(**changes: str) -> dict[str, str]:
    """Give this process's environment with only those settings of the bus that are named."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NOTICEBUS_")}
    return kept | {"NO_COLOR": "1"} | changes


def command(*words: str, folder: Path, stdin: str | None = None, **environment: str) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        [NOTICEBUS, *words],
        cwd=folder,
        env=environment_of(**environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


def read_until(process: "subprocess.Popen[str]", mark: str) -> str:
    """Read what a process says until `mark` is in it."""
    assert process.stdout is not None
    said = ""
    while mark not in said:
        line = process.stdout.readline()
        assert line, f"it ended before it said {mark!r}: {said}"
        said += line
    return said


@contextlib.contextmanager
def started(*words: str, folder: Path, **environment: str) -> "Iterator[subprocess.Popen[str]]":
    """Start a command, and end it with the block."""
    with subprocess.Popen(
        [NOTICEBUS, *words],
        cwd=folder,
        env=environment_of(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(WITHIN_S)
            finally:
                process.kill()
