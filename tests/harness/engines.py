"""Runs escalation engines in children of one process: what takes long to import is paid once.

Reads lines of JSON and answers each with the child's number. The child runs the engine alone, on a
world clock that every engine shares: so many times as fast as the machine's since one instant.
"""

import asyncio
import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import Any

from noticebus import wiring
from noticebus.clock import Clock, ScaledClock, SystemClock
from noticebus.ledger.engine import Engine
from noticebus.refdata import counties
from noticebus.settings import Settings
from noticebus.telemetry import configure_logging


class WorldSince(ScaledClock):
    """The world clock that showed `start` when the machine's showed `began`.

    Whichever process makes one, they all show the same.
    """

    def __init__(
        self, *, start: dt.datetime, began: dt.datetime, speed: float, machine: Clock
    ) -> None:
        super().__init__(start=start, speed=speed, machine=machine)
        self._machine_origin = began


def main() -> None:
    """Fork an engine for every line, and start the next when it has ended."""
    counties.load().warm()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(_run(json.loads(line)))
            os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        os.waitpid(child, 0)


async def _run(told: dict[str, Any]) -> None:
    folder = Path(told["folder"])
    os.dup2(os.open(folder / "engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    configure_logging(log_format="json", level="warning")
    machine = SystemClock()
    desk = await wiring.open_desk(
        Settings(data_dir=folder, database_url=told["url"]),
        world=WorldSince(
            start=dt.datetime.fromisoformat(told["start"]),
            began=dt.datetime.fromisoformat(told["began"]),
            speed=told["speed"],
            machine=machine,
        ),
        machine=machine,
    )
    await Engine(desk).run()


if __name__ == "__main__":
    main()
