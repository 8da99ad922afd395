"""The bench's parts as processes: started, asked, watched, ended on every path; what each used."""

import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
START_S = 90
END_S = 15
LINE_BYTES_MAX = 2**20
KB = 1024


class PartError(Exception):
    """A part of the bench ended, or did not do what it was asked, and why."""


@dataclass(slots=True, kw_only=True)
class Part:
    """A process that runs one of the bench's modules: it says a line of JSON once it is ready."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    process: asyncio.subprocess.Process | None = None
    said: Mapping[str, Any] | None = None
    dismissed: set[int] = field(default_factory=set)  # processes that were told to end

    async def start(self) -> Mapping[str, Any]:
        """Start it, and give what it says once it is ready; raise PartError where it is not."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self.module,
            *self.arguments,
            stdin=asyncio.subprocess.PIPE,  # it ends when this process does, however that ends
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            limit=LINE_BYTES_MAX,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'services'}:{ROOT / 'tests'}"},
            start_new_session=True,  # Ctrl-C is for the harness, which then ends its parts
        )
        assert self.process.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                line = await self.process.stdout.readline()
        if not line:
            message = f"{self.name} was not ready: it ended, or took more than {START_S} s."
            raise PartError(message)
        self.said = json.loads(line)
        assert self.said is not None
        return self.said

    async def watch(self) -> None:
        """Return once this start of it has been ended; raise PartError where it ends by itself."""
        process = self.process
        assert process is not None
        code = await process.wait()
        if process.pid not in self.dismissed:
            message = f"{self.name} ended with {code}; what it said about it stands above."
            raise PartError(message)

    async def kill(self) -> None:
        """End it as kill -9 does; `start` starts it again."""
        assert self.process is not None
        self.dismissed.add(self.process.pid)
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def end(self) -> None:
        """End it: it is asked first, then it must."""
        process, self.process = self.process, None
        if process is None:
            return
        self.dismissed.add(process.pid)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def until_left() -> None:
    """Return once the process that started this one has gone, or has let go of it."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def used_by_this() -> dict[str, float]:
    """Say what this process has used: CPU seconds, and MB of memory at the most."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu_s": used.ru_utime + used.ru_stime, "memory_mb": used.ru_maxrss / KB}


def used_by_tree(pid: int) -> dict[str, float | None]:
    """Say what a server and its children have used, those that have ended included.

    Memory is the sum of each one's most, what they share counted once; None where it is not known.
    """
    root = psutil.Process(pid)
    cpu_s, own, shared = 0.0, 0, 0
    for one in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            cpu_s += times.user + times.system + times.children_user + times.children_system
            most, together = _memory_kb(one.pid)
            own += max(most - together, 0)
            shared = max(shared, together)
    return {"cpu_s": cpu_s, "memory_mb": (own + shared) / KB if own else None}


def _memory_kb(pid: int) -> tuple[int, int]:
    """Read the most a process has held, and how much of what it holds is shared."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    lines = dict(line.split(":", 1) for line in text.splitlines())
    return tuple(int(lines.get(key, "0 kB").split()[0]) for key in ("VmHWM", "RssShmem"))  # type: ignore[return-value]


def machine() -> dict[str, Any]:
    """Describe what the figures were taken on."""
    models = [
        line.partition(":")[2].strip()
        for line in _text("/proc/cpuinfo").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": models[0] if models else None,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": os.uname().release,
        "python": sys.version.split()[0],
        "commit": _commit(),
        "load": round(os.getloadavg()[0], 1),
    }


def _commit() -> str | None:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - a developer's own
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or None


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
