"""What the demo shows while it runs: a live table on a terminal, lines everywhere else."""

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol
from zoneinfo import ZoneInfo

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from noticebus.cli.demo.rows import Row
from noticebus.cli.output import clean, say
from noticebus.clock import Clock

EVENTS_SHOWN = 6
REFRESH_PER_SECOND = 8
TONES = {"good": "green", "waiting": "yellow", "bad": "bold red"}
MARKS = {"good": "✓", "waiting": "…", "bad": "!"}


class View(Protocol):
    """Where events and rows go."""

    def tell(self, text: str) -> None:
        """Show one event with the time on the scenario's clock."""
        ...

    def show(self, rows: Sequence[Row]) -> None:
        """Show how things stand."""
        ...


class PlainView:
    """Lines only: for logs, pipes and screen readers. The table is in the summary."""

    def __init__(self, *, world: Clock, zone: str) -> None:
        self._world = world
        self._zone = zone
        self._first = world.now().astimezone(ZoneInfo(zone)).date()

    def tell(self, text: str) -> None:
        local = self._world.now().astimezone(ZoneInfo(self._zone))
        days = (local.date() - self._first).days
        say(f"{'+' + str(days) if days else '  '} {local:%H:%M}  {clean(text)}")

    def show(self, rows: Sequence[Row]) -> None:
        """Nothing: a table that redraws itself is no line."""


class LiveView:
    """One table that redraws itself, the last events under it."""

    def __init__(self, live: Live, *, world: Clock, zone: str, banner: str) -> None:
        self._live = live
        self._world = world
        self._zone = ZoneInfo(zone)
        self._banner = banner
        self._rows: Sequence[Row] = ()
        self._events: deque[str] = deque(maxlen=EVENTS_SHOWN)

    def tell(self, text: str) -> None:
        local = self._world.now().astimezone(self._zone)
        self._events.append(f"{local:%H:%M} {clean(text)}")
        self._draw()

    def show(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self._draw()

    def _draw(self) -> None:
        local = self._world.now().astimezone(self._zone)
        head = Text(f"{local:%a} {local.day} {local:%b %Y  %H:%M %Z}", style="bold")
        head.append(f"   {self._banner}", style="reverse")
        events = [Text(one, no_wrap=True, overflow="ellipsis") for one in self._events]
        self._live.update(Group(head, table_of(self._rows), *events))


@contextlib.contextmanager
def live_view(console: Console, *, world: Clock, zone: str, banner: str) -> Iterator[LiveView]:
    """Draw on `console` for the length of the block; the last picture stays."""
    with Live(console=console, refresh_per_second=REFRESH_PER_SECOND) as live:
        yield LiveView(live, world=world, zone=zone, banner=banner)


def table_of(rows: Sequence[Row]) -> Table:
    """Make the table; it fits 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("")
    table.add_column("RECIPIENT", no_wrap=True, max_width=20)
    table.add_column("STATE", no_wrap=True, max_width=15)
    table.add_column("DUE", no_wrap=True, max_width=15)
    table.add_column("STEP", no_wrap=True, justify="right")
    table.add_column("LAST", no_wrap=True, overflow="ellipsis", max_width=24)
    for row in rows:
        style = TONES[row.tone]
        table.add_row(
            MARKS[row.tone],
            Text(clean(row.recipient)),
            Text(row.state, style=style),
            Text(row.due, style=style),
            row.step,
            Text(clean(row.last)),
        )
    return table
