"""The demo's stage: the whole bus in this process, behind its real HTTP address, and its clock."""

import asyncio
import contextlib
import datetime as dt
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

import uvicorn
from fastapi import FastAPI

from noticebus.casework import step
from noticebus.casework.desk import Desk
from noticebus.casework.keys import create_first_key
from noticebus.cli.client import Client
from noticebus.cli.output import CommandError
from noticebus.cli.serving import bind
from noticebus.cli.session import FIRST_KEY_FILE, address_of
from noticebus.clock import ScaledClock, SystemClock
from noticebus.settings import Settings
from noticebus.store import claims
from noticebus.wiring import System, running

HOST = "127.0.0.1"
OPERATORS_PHONE = "+16015550110"  # that of the operators' desk in the scenario
LOOK_EVERY_S = 0.01
WITHIN_S = 20.0
HOUR = dt.timedelta(hours=1)
SOON = dt.timedelta(minutes=5)
ANY_LEASE = dt.timedelta(days=1)
NEVER = dt.datetime.max.replace(tzinfo=dt.UTC)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """How time passes: `speed` times as fast until `live_until`, then in steps `pause_s` apart.

    A speed of zero steps from the beginning, as tests do. After `unhurried_until`, in machine time,
    it stops only where something falls due and never pauses, so that a slow machine ends in time.
    """

    speed: float
    live_until: dt.datetime
    pause_s: float
    unhurried_until: dt.datetime


STILL = Tempo(speed=0.0, live_until=NEVER, pause_s=0.0, unhurried_until=NEVER)


@dataclass(slots=True, kw_only=True)
class Stage:
    """The running bus and its operator. Its clock stands still until `begin`."""

    system: System
    world: ScaledClock
    operator: Client
    tempo: Tempo = STILL

    def client(self, key: str) -> Client:
        """Make a client of this bus with another key."""
        return Client(server=self.operator.server, key=key)

    def begin(self, at: dt.datetime, *, tempo: Tempo) -> None:
        """Let time pass from `at`."""
        self.tempo = tempo
        self.world.jump_to(at)
        if tempo.speed:
            self.world.run_at(tempo.speed)

    async def until(self, instant: dt.datetime) -> None:
        """Return when the world clock shows `instant`, and everything due by then is done."""
        if self.tempo.speed and instant <= self.tempo.live_until:
            await self._pass(instant)
            return
        if self.tempo.speed and self.world.now() < self.tempo.live_until:
            await self._pass(self.tempo.live_until)
            self.world.jump_to(self.world.now())
        await self.settle()
        while (due := await self._next_stop()) < instant:
            seen = due - self.world.now() > SOON
            self.world.jump_to(due)
            await self.settle()
            if seen and not self._hurries:
                await asyncio.sleep(self.tempo.pause_s)
        if instant > self.world.now():
            self.world.jump_to(instant)
            await self.settle()

    async def settle(self) -> None:
        """Wait until nothing that is due at this moment is left to do."""

        async def done() -> bool | None:
            return True if await self._next_due() > self.world.now() else None

        await eventually(done, what="the bus to do what is due")

    async def _pass(self, instant: dt.datetime) -> None:
        """Let time pass at its speed until `instant`."""
        left = instant - self.world.now()
        while left > dt.timedelta(0):
            await asyncio.sleep(left.total_seconds() / self.tempo.speed)
            left = instant - self.world.now()

    async def _next_stop(self) -> dt.datetime:
        """Tell where the clock stops next.

        After the fast part a retry that is not soon waits for the next whole hour: there the clock
        stops at every step, and otherwise once an hour.
        """
        now, due = self.world.now(), await self._next_due()
        if now < self.tempo.live_until or due - now <= SOON:
            return due
        next_hour = now.replace(minute=0, second=0, microsecond=0) + HOUR
        steps = await step.next_due_at(self.system.desk) or NEVER
        return steps if self._hurries else min(steps, next_hour)

    @property
    def _hurries(self) -> bool:
        return self.system.desk.machine.now() >= self.tempo.unhurried_until

    async def _next_due(self) -> dt.datetime:
        desk = self.system.desk
        async with desk.database.read() as conn:
            sending = await claims.next_due_at(conn, machine_now=desk.machine.now() + ANY_LEASE)
        found = [one for one in (sending, await step.next_due_at(desk)) if one is not None]
        return min(found, default=NEVER)


async def eventually(find: Callable[[], Awaitable[T | None]], *, what: str) -> T:
    """Give what `find` finds, asking until it does; CommandError after 20 s."""
    try:
        async with asyncio.timeout(WITHIN_S):
            found = await find()
            while found is None:
                await asyncio.sleep(LOOK_EVERY_S)
                found = await find()
    except TimeoutError as error:
        raise CommandError(
            f"The demo waited {WITHIN_S:.0f} s for {what}.",
            remedy="Run it again at a lower --speed, on a machine with less to do.",
        ) from error
    return found


@contextlib.asynccontextmanager
async def staged(
    *, folder: Path, smtp_url: str, start: dt.datetime, host: str = HOST, known_as: str = HOST
) -> AsyncIterator[Stage]:
    """Run the embedded profile on a free port for the length of the block, its clock at rest.

    It listens on `host`, and its links lead to `known_as`.
    """
    machine = SystemClock()
    world = ScaledClock(start=start, speed=0.0, machine=machine)
    with bind(host, 0) as listening:
        home = address_of(known_as, listening.getsockname()[1])
        settings = _settings(folder, smtp_url=smtp_url, home=home)
        async with (
            running(settings, world=world, machine=machine) as system,
            serving(system.app, listening),
        ):
            key = await _first_key(system.desk, folder)
            operator = Client(server=settings.base_url, key=key)
            yield Stage(system=system, world=world, operator=operator)


def _settings(folder: Path, *, smtp_url: str, home: str) -> Settings:
    return Settings(
        base_url=home,
        operators_phone=OPERATORS_PHONE,
        data_dir=folder,
        database_url=f"sqlite+aiosqlite:///{folder / 'noticebus.db'}",
        smtp_url=smtp_url,
        mail_from="noticebus@bus.example",
        digest=False,  # what the demo shows is what happens to notices
        egress_allow=(ip_network(f"{HOST}/32"),),  # the demo's receivers live on this machine
        stop_grace_s=2.0,
    )


async def _first_key(desk: Desk, folder: Path) -> str:
    made = await create_first_key(desk, path=folder / FIRST_KEY_FILE)
    assert made is not None, "the database is new"
    return made.secret


class _Server(uvicorn.Server):
    """uvicorn in our loop, which keeps the signals and is told when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.answers.set()


@contextlib.asynccontextmanager
async def serving(app: FastAPI, listening: socket.socket) -> AsyncIterator[None]:
    """Answer HTTP on `listening` for the length of the block."""
    server = _Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listening]))
        await server.answers.wait()
        try:
            yield
        finally:
            server.should_exit = True
