"""The first administrator's key: written to a file that only its owner can read, never to a log."""

import os
from pathlib import Path

FILE_MODE = 0o600


def write_key_file(path: Path, *, secret: str) -> None:
    """Write `secret` to `path` with mode 0600, durably; an older file is replaced whole or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), FILE_MODE)  # whatever the process's umask says
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
