"""What `noticebus serve` does: check, bind, run, announce, and stop in order."""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import sqlalchemy as sa
import uvicorn
import uvloop
from fastapi import FastAPI

from noticebus.access.passwords import Passwords
from noticebus.casework.desk import Desk
from noticebus.casework.keys import create_first_key
from noticebus.casework.users import create_first_user
from noticebus.cli.output import CommandError, say
from noticebus.cli.session import FIRST_KEY_FILE, KEY_FILE, URL, address_of, sqlite_path
from noticebus.collector import spare_what_is_loaded
from noticebus.settings import Settings
from noticebus.store import migrate
from noticebus.store.users import User
from noticebus.telemetry import configure_logging
from noticebus.wiring import Role, running

FOLDER_MODE = 0o700
ONLY_US = 0o077  # database, keys and locks are nobody else's to read
REQUESTS_AT_ONCE_MAX = 1000
BACKLOG = 2048
KEEP_ALIVE_S = 30  # longer than a proxy's or a poller's pause, shorter than a day of idle sockets
HEAD_BYTES_MAX = 64 * 1024
INTERRUPTED = 130
FIRST_SIGN_IN_FILE = "first-sign-in.txt"


@dataclass(frozen=True, slots=True)
class Stop:
    """The wish to stop: the first signal is heard here, the second cancels."""

    wished: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        """Hear SIGTERM and SIGINT from now on."""
        loop = asyncio.get_running_loop()
        everything = asyncio.current_task()
        assert everything is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._hear, everything)

    def _hear(self, everything: "asyncio.Task[object]") -> None:
        if self.wished.is_set():
            everything.cancel()
        self.wished.set()


def run(
    settings: Settings, *, roles: Sequence[str], follow_port: bool, log_format: str | None
) -> int:
    """Serve until a signal; 0 after an orderly stop, 130 where a second signal cut it short.

    `follow_port`: the public address is the one listened on. `log_format` None chooses by itself.
    """
    chosen = [Role(name) for name in dict.fromkeys(roles)]
    configure_logging(
        log_format=log_format or ("console" if sys.stderr.isatty() else "json"),
        level=settings.log_level,
    )
    os.umask(ONLY_US)
    with contextlib.ExitStack() as held:
        _prepare_folder(settings)
        if (path := sqlite_path(settings)) is not None:
            _refuse_parts(chosen)
            held.enter_context(only_server(path))
        listening = held.enter_context(bind(settings.host, settings.port))
        if follow_port and Role.GATEWAY in chosen:
            settings = _at_port(settings, listening)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, chosen, listening))


@contextlib.contextmanager
def only_server(database: Path) -> Iterator[None]:
    """Hold the database against a second `serve`, which would take over the deliveries of this one.

    The lock ends with the process, however it ends; the file stays, since removing it would let
    two processes lock two files of one name.
    """
    descriptor = os.open(_lock_of(database), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            raise CommandError(
                f"Another `noticebus serve` (process {holder}) runs on {database}.",
                remedy="Use that one, stop it first, or give this one another --data-dir.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


def is_served(database: Path) -> bool:
    """Tell whether a `serve` holds the database, without holding it."""
    try:
        descriptor = os.open(_lock_of(database), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock_of(database: Path) -> Path:
    return database.with_name(database.name + ".serve-lock")


@contextlib.contextmanager
def bind(host: str, port: int) -> Iterator[socket.socket]:
    """Take the address before anything is opened: a port in use must not cost a migration."""
    with contextlib.ExitStack() as held:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listening = held.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host} port {port}: {error.strerror or error}.",
                remedy="Stop what uses it, or choose another with --port (0 takes a free one).",
            ) from error
        yield listening


class Server(uvicorn.Server):
    """uvicorn in our loop: the signals are ours, and `announce` is said once it answers."""

    def __init__(self, config: uvicorn.Config, *, stop: Stop, announce: "Announcement") -> None:
        super().__init__(config)
        self._stop = stop
        self._announce = announce

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `Stop`: uvicorn would raise them again after an orderly end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce.say()

    async def on_tick(self, counter: int) -> bool:
        self.should_exit = self.should_exit or self._stop.wished.is_set()
        return await super().on_tick(counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What a person is told once the bus runs."""

    settings: Settings
    roles: Sequence[Role]
    listening: str
    key_file: Path | None
    new_key: str | None
    first_user: User | None

    def say(self) -> None:
        """Say where it is, where the key is, and what to do next."""
        database = sa.make_url(self.settings.database_url).render_as_string()
        roles = "everything" if len(self.roles) == len(Role) else ", ".join(self.roles)
        say(f"noticebus {version('noticebus')}: {roles} on {database}")
        if Role.GATEWAY not in self.roles:
            say(f"health:   {self.listening}/readyz")
            return
        say(f"address:  {self.listening}")
        if self.key_file is not None:
            said = "new; keep it, and only you can read it" if self.new_key else "made earlier"
            say(f"key file: {self.key_file} (first administrator's, {said})")
        if self.new_key is not None and sys.stdout.isatty():
            say(f"key:      {self.new_key}")
        if self.first_user is not None:
            file = self.settings.data_dir.absolute() / FIRST_SIGN_IN_FILE
            said = f"as {self.first_user.login}; its one-time password is in {file}"
            say(f"sign in:  {self.listening}/sign-in ({said})")
        say(f"next:     {self._next()}")

    def _next(self) -> str:
        words = [f"{URL}={self.listening}"]
        if self.key_file is not None:
            words.append(f"{KEY_FILE}={self.key_file}")
        verb = "agency add" if self.new_key else "unacked"
        told = ' "State CPS" --kind cps --zone America/Chicago' if self.new_key else ""
        return " ".join([*words, "noticebus", verb]) + told


async def _serve(settings: Settings, roles: Sequence[Role], listening: socket.socket) -> int:
    stop = Stop()
    stop.listen()
    await _refuse_old_tables(settings)
    try:
        async with running(settings, roles=roles) as system:
            key_file = (settings.data_dir / FIRST_KEY_FILE).absolute()
            # A dispatcher may run on a machine that no administrator looks at.
            makes_keys = Role.GATEWAY in roles
            made = await create_first_key(system.desk, path=key_file) if makes_keys else None
            first = await _first_user(system.desk, settings) if makes_keys else None
            announcement = Announcement(
                settings=settings,
                roles=roles,
                listening=_address(listening),
                key_file=key_file if made is not None or key_file.exists() else None,
                new_key=None if made is None else made.secret,
                first_user=first,
            )
            spare_what_is_loaded()
            await _until_stopped(system.app, stop, announcement, listening=listening)
    except asyncio.CancelledError:
        if not stop.wished.is_set():
            raise
        return INTERRUPTED
    return 0


async def _first_user(desk: Desk, settings: Settings) -> User | None:
    """Enter a first supervisor where people sign in with passwords, and nobody is known."""
    if not settings.password_sign_in or settings.oidc_issuer is not None:
        return None
    path = (settings.data_dir / FIRST_SIGN_IN_FILE).absolute()
    return await create_first_user(desk, Passwords(), path=path)


async def _until_stopped(
    app: FastAPI, stop: Stop, announcement: Announcement, *, listening: socket.socket
) -> None:
    """Answer requests until the signal; then take no new ones and finish those in hand."""
    server = Server(_configuration(app, announcement.settings), stop=stop, announce=announcement)
    await server.serve(sockets=[listening])


def _configuration(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,  # it would write the tokens under /a/
        server_header=False,
        proxy_headers=False,
        limit_concurrency=REQUESTS_AT_ONCE_MAX,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.stop_grace_s)),
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
    )


async def _refuse_old_tables(settings: Settings) -> None:
    """PostgreSQL is shared: nobody changes its tables by starting a process."""
    if sqlite_path(settings) is not None:
        return
    if waiting := await migrate.pending(settings.database_url):
        raise CommandError(
            f"The database lacks {len(waiting)} migrations, up to {waiting[-1]}.",
            remedy="Run `noticebus db upgrade` once, then start again.",
        )


def _refuse_parts(roles: Sequence[Role]) -> None:
    if len(roles) < len(Role):
        raise CommandError(
            "On the embedded profile one process does everything, so --role has no place.",
            remedy="Leave --role out, or set database_url to a PostgreSQL database.",
        )


def _prepare_folder(settings: Settings) -> None:
    folder = Path(settings.data_dir)
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(
            f"The folder {folder} cannot be made: {error.strerror}.",
            remedy="Make it, or choose another with --data-dir.",
        ) from error


def _at_port(settings: Settings, listening: socket.socket) -> Settings:
    host, port, *_ = listening.getsockname()
    asked = settings.host if settings.host not in {"0.0.0.0", "::"} else host  # noqa: S104 - compared
    return settings.model_copy(update={"base_url": address_of(asked, port)})


def _address(listening: socket.socket) -> str:
    host, port, *_ = listening.getsockname()
    return address_of(host, port)
