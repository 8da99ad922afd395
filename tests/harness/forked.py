"""Serves the bus in children of one process: what takes long to import is paid once.

Reads lines of JSON, `settings` and where to `crash_at`, and answers each with the child's number
and, once it has ended, with how. The child is a process like any other, and is killed like one.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from harness.forking import environment_of_forker
from noticebus import faultpoints
from noticebus.cli import serving
from noticebus.refdata import counties
from noticebus.settings import Settings
from noticebus.store import migrate
from noticebus.wiring import Role

ENDS_WITHIN_S = 60.0


class Forker:
    """The process whose children serve, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.child: int | None = None

    async def start(self, settings: Mapping[str, Any], *, crash_at: str | None = None) -> None:
        """Start a child; it has yet to answer."""
        assert self.child is None, "the one before has ended"
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"settings": settings, "crash_at": crash_at}) + "\n")
        self._process.stdin.flush()
        self.child = await self._read()

    async def ended(self) -> int:
        """Wait until the child has ended; give its code, negative for a signal's number."""
        async with asyncio.timeout(ENDS_WITHIN_S):
            code = await self._read()
        self.child = None
        return code

    def is_alive(self) -> bool:
        """Say whether the child still runs."""
        assert self.child is not None, "one was started"
        try:
            os.kill(self.child, 0)
        except ProcessLookupError:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send the child a signal."""
        assert self.child is not None, "one runs"
        os.kill(self.child, number)

    async def kill(self) -> None:
        """End the child as a power cut does, if one runs."""
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                self.signal(signal.SIGKILL)
            await self.ended()

    async def _read(self) -> int:
        assert self._process.stdout is not None
        return int(await asyncio.to_thread(self._process.stdout.readline))


@contextlib.contextmanager
def forker() -> Iterator[Forker]:
    """Lend a process whose children serve."""
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment_of_forker(),
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has loaded the bus
        yield Forker(process)
        process.kill()


def main() -> None:
    """Fork a server for every line, and say how it ended."""
    counties.load().warm()
    migrate.render_sql(target="0001")  # loads what every start needs of Alembic
    gc.freeze()  # else every child's collector copies what they all share
    _say(os.getpid())
    for line in sys.stdin:
        told = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(_serve(told["settings"], told["crash_at"]))
        _say(child)
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _serve(told: Mapping[str, Any], crash_at: str | None) -> int:
    if crash_at is not None:
        os.environ[faultpoints.CRASH_AT] = crash_at
        importlib.reload(faultpoints)  # it reads the variable when it is loaded
    settings = Settings.model_validate(told)
    os.dup2(os.open(settings.data_dir / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
    os.dup2(1, 2)
    return serving.run(settings, roles=tuple(Role), follow_port=True, log_format="json")


if __name__ == "__main__":
    main()
