"""One process of the system under measure, as `noticebus serve` runs it, with its figures.

Beside what the process answers anyway, on a port of its own: GET /bench (statements, CPU seconds,
memory), POST /bench/overdue?part=… (make overdue what goes to addresses that hold `part`).
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import uvicorn
import uvloop

from bench.counting import Statements
from bench.overdue import make_overdue
from bench.processes import until_left, used_by_this
from bench.wire import HEAD_END, answer
from noticebus import wiring
from noticebus.cli import serving
from noticebus.collector import spare_what_is_loaded
from noticebus.settings import Settings
from noticebus.telemetry import configure_logging
from noticebus.wiring import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(serving.Announcement):
    """What the harness is told once the process answers: its ports."""

    port: int
    control: int

    def say(self) -> None:
        """Say it as a line of JSON."""
        said = {"port": self.port, "control": self.control, "pid": os.getpid()}
        print(json.dumps(said), flush=True)


class Control:
    """What the harness asks of one process."""

    def __init__(self, system: wiring.System, statements: Statements | None) -> None:
        self._system = system
        self._statements = statements

    async def serve(self) -> int:
        """Listen on a free port, and give it."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(HEAD_END)
        asked = urlsplit(head.split(b" ", 2)[1].decode())
        if asked.path == "/bench/overdue":
            part = parse_qs(asked.query)["part"][0]
            found: Mapping[str, Any] = {"overdue": await make_overdue(self._system.desk, part)}
        else:
            found = self._figures()
        writer.write(answer(json.dumps(found).encode()))
        await writer.drain()
        writer.close()

    def _figures(self) -> dict[str, Any]:
        used: dict[str, Any] = dict(used_by_this())
        if self._statements is not None:
            used["statements"] = self._statements.counted.total()
            used["rows_of_many"] = self._statements.rows
            used["by_statement"] = self._statements.shown()
        return used


async def serve(options: Mapping[str, Any]) -> None:
    """Serve `roles` until the process that started this one ends it, or has gone."""
    configure_logging(log_format="json", level="error")
    settings = Settings(**options["settings"])
    roles = [Role(name) for name in options["roles"]]
    statements = Statements() if options["count"] else None
    if statements is not None:
        statements.listen()
    stop = serving.Stop()
    stop.listen()
    with _listening(options["port"]) as listening:
        async with wiring.running(settings, roles=roles) as system, asyncio.TaskGroup() as tasks:
            told = Told(
                settings=settings,
                roles=roles,
                listening="",
                key_file=None,
                new_key=None,
                first_user=None,
                port=listening.getsockname()[1],
                control=await Control(system, statements).serve(),
            )
            spare_what_is_loaded()
            left = tasks.create_task(_stop_when_left(stop))
            await _server(system, settings, stop, told).serve(sockets=[listening])
            left.cancel()


def _server(
    system: wiring.System, settings: Settings, stop: serving.Stop, told: Told
) -> uvicorn.Server:
    configuration = serving._configuration(system.app, settings)  # noqa: SLF001 - the product's own
    return serving.Server(configuration, stop=stop, announce=told)


async def _stop_when_left(stop: serving.Stop) -> None:
    await until_left()
    stop.wished.set()


def _listening(port: int) -> socket.socket:
    """Bind a port that several workers may share; 0 takes a free one."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(("127.0.0.1", port))
    return listening


def run(options: Mapping[str, Any]) -> None:
    """Run one process with the loop that the product uses."""
    folder = Path(options["settings"]["data_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options))


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
