"""Signs of life: each process says that its loops work, and everybody reads whether all do.

Silence of the bus itself must not look like a quiet day: where nobody is known to send, escalate or
write the ledger, the state is UNKNOWN, whatever the figures say (research/ux.md, section 4.5).
"""

import datetime as dt
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from noticebus.casework.desk import Desk
from noticebus.clock import OffsetClock
from noticebus.errors import UnavailableError
from noticebus.ids import AgencyId
from noticebus.store import loop_ticks
from noticebus.store.loop_ticks import Ticks

# Written every 5 s and shown again every 5 s: what stops is on the page within 30 s.
STALE_AFTER = dt.timedelta(seconds=24)
WAITING_MAX = dt.timedelta(minutes=5)  # what is due is taken up within seconds
FORGET_AFTER = dt.timedelta(hours=1)
GATEWAY = "gateway"  # waits for requests and looks for no work: it ticks when it says so
HOST_MAX = 20


class Part(StrEnum):
    """A part of the bus without which notices or answers stop; the loop's own name."""

    DISPATCHER = "dispatcher"
    ENGINE = "engine"
    SEQUENCER = "sequencer"


class Life(StrEnum):
    """How the bus is, as the banner says it."""

    ALIVE = "alive"
    CHECK = "check"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """The latest sign of one part, from any process; `age` None: no process has it."""

    part: Part
    age: dt.timedelta | None

    @property
    def is_stale(self) -> bool:
        """Tell whether nobody is known to do this part's work."""
        return self.age is None or self.age > STALE_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """How the whole bus is. `waits` is how long the oldest due delivery has waited for a sender."""

    at: dt.datetime
    zone: str | None
    parts: tuple[Sign, ...]
    waits: dt.timedelta | None
    bus_faults: tuple[str, ...]

    @property
    def silent(self) -> tuple[Sign, ...]:
        """Give the parts that nobody is known to work."""
        return tuple(one for one in self.parts if one.is_stale)

    @property
    def life(self) -> Life:
        """Say how the bus is; never better than what is known."""
        if self.silent:
            return Life.UNKNOWN
        is_late = self.waits is not None and self.waits > WAITING_MAX
        return Life.CHECK if is_late or self.bus_faults else Life.ALIVE


class Pulse:
    """One process's signs: written every few seconds, and taken away when it ends."""

    def __init__(self, desk: Desk, *, serves: bool) -> None:
        """Name the process; `serves` says that it answers the interface for programs and people."""
        self._desk = desk
        self._serves = serves
        self.process: Final = (
            f"{socket.gethostname()[:HOST_MAX]}/{os.getpid()}/{secrets.token_hex(3)}"
        )
        self._tidied_at: dt.datetime | None = None

    async def beat(self) -> None:
        """Write when each loop looked for work last; once an hour, forget who is long gone."""
        now, ticks = agreed_now(self._desk), own_ticks(self._desk)
        if self._serves:
            ticks[GATEWAY] = now
        async with self._desk.database.begin_relaxed() as conn:  # the next one comes soon
            await loop_ticks.write_ticks(conn, process=self.process, ticks=ticks)
            if self._tidied_at is None or now - self._tidied_at >= FORGET_AFTER:
                await loop_ticks.delete_before(conn, before=now - FORGET_AFTER)
                self._tidied_at = now

    async def leave(self) -> None:
        """Take the process's signs away: it has ended, and nobody need wait to find out."""
        async with self._desk.database.begin() as conn:
            await loop_ticks.delete_process(conn, self.process)


async def read_signs(desk: Desk, *, agency_id: AgencyId | None = None) -> Signs:
    """Read how the bus is, in one statement; where nothing can be read, nothing is known.

    What the loops of this very process last did is known without asking.
    """
    now = agreed_now(desk)
    try:
        async with desk.database.read() as conn:
            found = await loop_ticks.read_ticks(
                conn, agency_id=agency_id, now=desk.world.now(), machine_now=desk.machine.now()
            )
    except UnavailableError:
        found, own = Ticks(ticks=(), waiting_since=None, zone=None), {}
    else:
        own = own_ticks(desk)
    at = desk.world.now()
    return Signs(
        at=at,
        zone=found.zone,
        parts=tuple(_sign(part, found, own=own, now=now) for part in Part),
        waits=None
        if found.waiting_since is None
        else max(at - found.waiting_since, dt.timedelta()),
        bus_faults=desk.bus.faults(),
    )


async def read_processes(desk: Desk) -> Sequence[loop_ticks.Tick]:
    """Read every loop of every process as it was written last, for the page that says what runs."""
    async with desk.database.read() as conn:
        found = await loop_ticks.read_ticks(
            conn, agency_id=None, now=desk.world.now(), machine_now=desk.machine.now()
        )
    return found.ticks


def agreed_now(desk: Desk) -> dt.datetime:
    """Give machine time as all processes agree on it: corrected to the database's clock."""
    now = desk.machine.now()
    return now + desk.world.offset if isinstance(desk.world, OffsetClock) else now


def own_ticks(desk: Desk) -> dict[str, dt.datetime]:
    """Give when the loops of this process last looked for work, by the clock of all."""
    ahead = agreed_now(desk) - desk.machine.now()
    return {loop: at + ahead for loop, at in desk.signals.ticks.items()}


def _sign(part: Part, found: Ticks, *, own: Mapping[str, dt.datetime], now: dt.datetime) -> Sign:
    ticked = [one.ticked_at for one in found.ticks if one.loop == part]
    ticked += [own[part]] if part in own else []
    age = max(now - max(ticked), dt.timedelta()) if ticked else None
    return Sign(part=part, age=age)
