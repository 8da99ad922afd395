"""Serves the embedded profile in children of one process: what takes long to import is paid once.

Reads lines `folder port` and answers each with the child's number; the child is a process like any
other, and is killed like one.
"""

import os
import sys
from pathlib import Path

from noticebus.cli import serving
from noticebus.refdata import counties
from noticebus.settings import Settings
from noticebus.wiring import Role


def main() -> None:
    """Fork a server for every line."""
    counties.load().warm()
    for line in sys.stdin:
        folder, port = line.split()
        child = os.fork()
        if child == 0:
            os._exit(_serve(Path(folder), int(port)))
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os.waitpid(child, 0)


def _serve(folder: Path, port: int) -> int:
    os.dup2(os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    settings = Settings.model_validate(
        {
            "data_dir": folder,
            "database_url": f"sqlite+aiosqlite:///{folder}/bus.db",
            "egress_allow": "127.0.0.1/32",
            "port": port,
        }
    )
    return serving.run(settings, roles=tuple(Role), follow_port=True, log_format="json")


if __name__ == "__main__":
    main()
