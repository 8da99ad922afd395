"""The bus as processes of its own, one for each role asked for, forked from one that has imported.

What takes long to import is paid once; each child is a process like any other, and is killed like
one. Run as a program it is that parent: it reads a line of JSON for each child to serve.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from harness.forking import environment_of_forker
from harness.ports import free_port

WITHIN_S = 120.0
LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of the bus, and how to ask it."""

    role: str
    pid: int
    url: str
    client: httpx2.AsyncClient

    async def answers(self) -> bool:
        """Say whether it answers."""
        try:
            return (await self.client.get(f"{self.url}/livez")).status_code == 200
        except httpx2.TransportError:
            return False

    async def figure(self, name: str) -> float:
        """Read a figure of `/metrics`, with its labels as they are written there; all if many."""
        told = (await self.client.get(f"{self.url}/metrics")).text
        values = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", told, re.MULTILINE)
        return sum(float(value) for value in values)


class Fork:
    """Starts processes, and ends them with the block."""

    def __init__(self, parent: "subprocess.Popen[str]", client: httpx2.AsyncClient) -> None:
        self._parent = parent
        self._client = client
        self._pids: list[int] = []

    async def serve(self, role: str, *, folder: Path, **settings: Any) -> Process:
        """Start a process that serves one role, and wait until it answers."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        port = free_port()
        order = {"role": role, "log": f"{folder}/{role}-{port}.log"}
        values = {"data_dir": str(folder), "egress_allow": "127.0.0.1/32", "port": port}
        self._parent.stdin.write(json.dumps(order | {"settings": values | settings}) + "\n")
        self._parent.stdin.flush()
        pid = int(await asyncio.to_thread(self._parent.stdout.readline))
        self._pids.append(pid)
        url = f"http://127.0.0.1:{port}"
        process = Process(role=role, pid=pid, url=url, client=self._client)
        await until(process.answers)
        return process

    def stop(self, process: Process) -> None:
        """Ask a process to end in order."""
        os.kill(process.pid, signal.SIGTERM)

    def end(self) -> None:
        """End all that were started."""
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def forked() -> AsyncIterator[Fork]:
    """Lend what starts processes."""
    async with httpx2.AsyncClient(timeout=WITHIN_S) as client:
        with subprocess.Popen(  # noqa: ASYNC220 - it starts at once, and lives in its own time
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment_of_forker(),
        ) as parent:
            fork = Fork(parent, client)
            try:
                yield fork
            finally:
                fork.end()
                parent.kill()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what happens in another process."""
    async with asyncio.timeout(WITHIN_S):
        while not await condition():  # noqa: ASYNC110 - it is another process: no signal
            await asyncio.sleep(LOOK_EVERY_S)


def main() -> None:
    """Fork a server for every line."""
    from noticebus.refdata import counties  # noqa: PLC0415 - only the parent of servers needs it

    counties.load().warm()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os._exit(_serve(order))
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


def _serve(order: dict[str, Any]) -> int:
    from noticebus.cli import serving  # noqa: PLC0415 - as above
    from noticebus.settings import Settings  # noqa: PLC0415

    os.dup2(os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    settings = Settings.model_validate(order["settings"])
    return serving.run(settings, roles=(order["role"],), follow_port=True, log_format="json")


if __name__ == "__main__":
    main()
