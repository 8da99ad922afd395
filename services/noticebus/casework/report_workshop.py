"""Where a report's file is made: few at a time, each in a folder and by a thread of its own.

A file in the making holds a connection for as long as it takes. What lies in its folder has names
and telephone numbers in it, and is gone once the file is made, or is not.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from noticebus.errors import UnavailableError

FILES_AT_ONCE = 2  # of one process; one where readers share few connections
WAIT_S = 5.0
RETRY_AFTER_S = 10
_BUSY = (
    "Other files of reports are being written, and each takes a share of the database. Wait a"
    " moment, then ask for this one again."
)

Made = TypeVar("Made")


class Bench:
    """A folder that nobody else can open, and the one thread that works in it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="report-file")
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def folder(self) -> str:
        """Give the folder's path."""
        assert self._folder is not None, "set up first"
        return self._folder.name

    async def set_up(self) -> None:
        """Make the folder; mode 0700."""
        self._folder = await self.run(tempfile.TemporaryDirectory)

    async def run(self, work: Callable[..., Made], *args: object) -> Made:
        """Do some work in the bench's thread, after what it has begun."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def leave(self, work: Callable[[], object]) -> None:
        """Have some work done before the folder goes, whoever waits for it or not."""
        self._thread.submit(work)

    async def clear(self) -> None:
        """Remove the folder with all that is in it, once the thread is done with its work."""
        removed = self._thread.submit(self._remove)
        self._thread.shutdown(wait=False)
        await asyncio.shield(asyncio.wrap_future(removed))

    def _remove(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()


class Workshop:
    """The benches of one process: whoever finds none free waits for `WAIT_S` and is then refused.

    Used from one event loop.
    """

    def __init__(self, *, benches: int = 1) -> None:
        self._free = asyncio.Semaphore(benches)

    @contextlib.asynccontextmanager
    async def bench(self) -> AsyncIterator[Bench]:
        """Give a bench for the length of the block; UnavailableError where none gets free."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError as error:
            raise UnavailableError(_BUSY, retry_after_s=RETRY_AFTER_S) from error
        bench = Bench()
        try:
            await bench.set_up()
            yield bench
        finally:
            try:
                await bench.clear()
            finally:
                self._free.release()
