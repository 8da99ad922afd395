"""The dispatcher's pace: when the database slows, less is claimed at a time and at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from noticebus.clock import Clock
from noticebus.domain.pace import SLOW, ClaimPace, pace_after
from noticebus.errors import UnavailableError
from noticebus.telemetry import Pressure


class Pacing:
    """Measures claims and records by `machine`; bounds the claims by what they took of late.

    A turn that is taken is kept when the pace falls: the bound holds for the next.
    """

    def __init__(self, machine: Clock, gauges: Pressure) -> None:
        self._machine = machine
        self._gauges = gauges
        self._pace = ClaimPace()
        self._taken = 0
        self._changed = asyncio.Event()
        self._show()

    @property
    def size(self) -> int:
        """Give how many deliveries the sweep may claim next."""
        return self._pace.size

    async def take_turn(self) -> None:
        """Wait until another claim may run beside those that do."""
        while self._taken >= self._pace.at_once:
            self._changed.clear()
            await self._changed.wait()
        self._taken += 1

    def give_turn_back(self) -> None:
        """Let another claim run."""
        self._taken -= 1
        self._changed.set()

    @contextlib.asynccontextmanager
    async def timed(self, *, rows: int = 0) -> AsyncIterator[None]:
        """Measure one transaction that works on `rows`.

        A database that does not answer counts as a slow one.
        """
        began = self._machine.now()
        try:
            yield
        except UnavailableError:
            self._pace = pace_after(self._pace, took=SLOW)
            raise
        else:
            took = self._machine.now() - began
            self._pace = pace_after(self._pace, took=took, rows=rows)
        finally:
            self._changed.set()
            self._show()

    def _show(self) -> None:
        self._gauges.claim_size.set(self._pace.size)
        self._gauges.claims_at_once.set(self._pace.at_once)
