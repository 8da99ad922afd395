"""The backlog's turn: what waits for its endpoint is let through, a little at a time."""

import datetime as dt

from noticebus.casework import probes
from noticebus.casework.desk import Desk


class Backlog:
    """Any number may run on one database: each step is taken once, whoever takes it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def turn(self) -> dt.datetime | None:
        """Let go what may go now; give the machine time when there is more to do, if known."""
        times = [await probes.probe_due(self._desk)]
        return min((one for one in times if one is not None), default=None)
