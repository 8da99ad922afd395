"""One run's scratch folder, shared by every worker, and the servers that live in it.

The controlling pytest makes the folder and stops what is in it at the end; whichever worker needs
a server first starts it under a file lock and leaves a note for the others. A run that was killed
is cleaned up by the next one.
"""

import contextlib
import fcntl
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import structlog

_FOLDER = "NOTICEBUS_TEST_RUN_DIR"
_PREFIX = "noticebus-test-"
_STOP_WITHIN_S = 15
_SOCKET_PATH_MAX = 60  # a socket's whole path must stay under about 100 bytes


def begin() -> Path:
    """Make this run's folder, after removing what killed runs left behind."""
    base = _base()
    for folder in base.glob(f"{_PREFIX}*"):
        if not _is_alive(folder / "controller.json"):
            _remove(folder)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    folder.chmod(0o711)  # PostgreSQL, as another user, walks through
    note_process(folder / "controller.json", os.getpid())
    os.environ[_FOLDER] = str(folder)
    return folder


def end(folder: Path) -> None:
    """Stop this run's servers and remove its folder."""
    os.environ.pop(_FOLDER, None)
    _remove(folder)


def folder() -> Path:
    """Give the run's folder, whichever process of the run asks."""
    return Path(os.environ[_FOLDER])


@contextlib.contextmanager
def only_one(name: str) -> Iterator[None]:
    """Let one process of the run at a time past the same name."""
    with (folder() / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def note_process(note: Path, pid: int) -> None:
    """Write down a process so that nobody later mistakes another with the same number for it."""
    note.write_text(json.dumps({"pid": pid, "started": psutil.Process(pid).create_time()}))


def say(text: str) -> None:
    """Tell the person at the terminal what takes long, past pytest's capture."""
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"tests: {text}\n")
        sys.__stderr__.flush()


def unavailable(reason: str) -> None:
    """Skip for want of a server; in CI a missing server is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def stop_process(process: psutil.Process) -> None:
    """Ask a process to end, then insist."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(_STOP_WITHIN_S)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(_STOP_WITHIN_S)


def _base() -> Path:
    base = Path(tempfile.gettempdir())
    return base if len(str(base)) < _SOCKET_PATH_MAX else Path("/tmp")  # noqa: S108 - for mkdtemp


def _noted(note: Path) -> psutil.Process | None:
    try:
        fact = json.loads(note.read_text())
        process = psutil.Process(fact["pid"])
        return process if process.create_time() == fact["started"] else None
    except (OSError, ValueError, KeyError, psutil.Error):
        return None


def _is_alive(note: Path) -> bool:
    return _noted(note) is not None


def _remove(folder: Path) -> None:
    try:
        if folder.stat().st_uid != os.geteuid():
            return
    except FileNotFoundError:  # another run that begins was first
        return
    for note in folder.glob("**/server.json"):
        if (process := _noted(note)) is not None:
            stop_process(process)
    shutil.rmtree(folder, ignore_errors=True)


def write_plain_logs() -> None:
    """Log in plain lines: drawing an exception with all its locals takes seconds."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ]
    )
