"""What the doctor looks at: each check says ok, warn or fail, what it found and what to do."""

import asyncio
import os
import shutil
import socket
import stat
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp
import aiosmtplib
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from noticebus.access.keyring import Keyring
from noticebus.bus.options import connect_with
from noticebus.bus.reasons import explain, find_cause
from noticebus.cli.session import address_of, sqlite_path
from noticebus.clock import SystemClock
from noticebus.errors import NoticebusError
from noticebus.ports import KEY_FILE, kafka_options, telephone_of
from noticebus.settings import Settings
from noticebus.store import installation, migrate
from noticebus.store.database import Database

CHECK_LIMIT_S = 15.0
SMTP_LIMIT_S = 5.0
SKEW_MAX_S = 2.0
FREE_BYTES_MIN = 1024**3
PYTHON_MIN = (3, 11)
OTHERS = stat.S_IRWXG | stat.S_IRWXO
SMTP_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found; a remedy wherever it is not ok."""

    check: str
    state: State
    finding: str
    remedy: str = ""


Check = Callable[[Settings], Awaitable[tuple[State, str, str]]]


async def examine(settings: Settings, *, origins: Mapping[str, str]) -> list[Finding]:
    """Make every check, one after the other; each has a time limit, and none stops the others."""
    said = len(origins)
    findings = [
        Finding(check="settings", state=State.OK, finding=f"readable, {said} set, others default")
    ]
    for name, check in CHECKS.items():
        findings.append(await _bounded(name, check, settings))
    return findings


async def _bounded(name: str, check: Check, settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            state, finding, remedy = await check(settings)
    except TimeoutError:
        state, finding = State.FAIL, f"no answer within {CHECK_LIMIT_S:.0f} s"
        remedy = "Check that it runs and that this machine may reach it."
    except NoticebusError as error:
        cause, _, then = error.message.partition(". ")
        state, finding, remedy = State.FAIL, cause, then
    except OSError as error:
        state, finding = State.FAIL, error.strerror or type(error).__name__
        remedy = "Check the path or address in the settings."
    return Finding(check=name, state=state, finding=finding, remedy=remedy)


async def _python(_settings: Settings) -> tuple[State, str, str]:
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < PYTHON_MIN:
        return State.FAIL, found, "Install Python 3.11 or newer."
    if sys.flags.optimize:
        return State.FAIL, f"{found} with -O", "Run without -O: asserts hold the invariants."
    return State.OK, found, ""


async def _data_dir(settings: Settings) -> tuple[State, str, str]:
    folder = settings.data_dir
    if not folder.is_dir():
        return State.WARN, f"{folder} does not exist", "`noticebus serve` makes it."
    if not os.access(folder, os.W_OK | os.X_OK):
        return State.FAIL, f"{folder} cannot be written", "Give it to the user that serves."
    free = shutil.disk_usage(folder).free
    if free < FREE_BYTES_MIN:
        return State.WARN, f"{free // 1024**2} MiB free", "Make room: a full disk stops posts."
    return State.OK, f"{folder}, {free // 1024**3} GiB free", ""


async def _database(settings: Settings) -> tuple[State, str, str]:
    path = sqlite_path(settings)
    if path is not None and not path.exists():
        return State.WARN, f"{path} does not exist yet", "`noticebus serve` makes it."
    waiting = await migrate.pending(settings.database_url)
    if waiting:
        return State.FAIL, f"{len(waiting)} migrations missing", "Run `noticebus db upgrade`."
    at = await migrate.current(settings.database_url)
    return State.OK, f"{'SQLite' if path else 'PostgreSQL'} at revision {at}", ""


async def _database_file(settings: Settings) -> tuple[State, str, str]:
    path = sqlite_path(settings)
    if path is None or not path.exists():
        return State.OK, "no file of ours", ""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS and path.absolute().parent.stat().st_mode & OTHERS:
        remedy = f"chmod 600 {path}, or chmod 700 its folder."
        return State.WARN, f"{path} is open to others (mode {mode:03o})", remedy
    return State.OK, f"{path}, mode {mode:03o}", ""


async def _clock(settings: Settings) -> tuple[State, str, str]:
    if sqlite_path(settings) is not None:
        return State.OK, "one machine, one clock", ""
    database = Database(settings.database_url)
    try:
        async with database.read() as conn:
            theirs = await installation.database_now(conn)
            ours = SystemClock().now()
    finally:
        await database.close()
    away = abs((theirs - ours).total_seconds())
    if away > SKEW_MAX_S:
        remedy = "Synchronise both machines (NTP): deadlines and signatures depend on it."
        return State.WARN, f"{away:.1f} s from the database's", remedy
    return State.OK, f"{away:.1f} s from the database's", ""


async def _keyring(settings: Settings) -> tuple[State, str, str]:
    if settings.secret_key is not None:
        Keyring.from_setting(settings.secret_key.get_secret_value())
        return State.OK, "secret_key is set", ""
    path = Path(settings.data_dir) / KEY_FILE
    if sqlite_path(settings) is None:
        remedy = "Set the same NOTICEBUS_SECRET_KEY_FILE for every process."
        return State.FAIL, "secret_key is not set, and processes must share it", remedy
    if not path.exists():
        return State.WARN, f"{path} does not exist yet", "`noticebus serve` makes it; back it up."
    Keyring.load_or_create(path)
    return State.OK, f"{path}, mode {stat.S_IMODE(path.stat().st_mode):03o}", ""


async def _bus(settings: Settings) -> tuple[State, str, str]:
    if settings.kafka_bootstrap is None:
        return State.OK, "in this process", ""
    options = kafka_options(settings)
    admin = AIOKafkaAdminClient(**connect_with(options))
    try:
        await admin.start()
        present = set(await admin.list_topics())
    except KafkaError as error:
        cause, remedy = explain(options, await find_cause(options, error))
        return State.FAIL, cause, f"{remedy[0].upper()}{remedy[1:]}. Until then the sweep delivers."
    finally:
        await admin.close()
    if missing := {options.notices_topic, options.events_topic} - present:
        return State.FAIL, f"topics missing: {', '.join(missing)}", "Run `noticebus kafka init`."
    return State.OK, f"{settings.kafka_bootstrap}, topics present", ""


async def _mail(settings: Settings) -> tuple[State, str, str]:
    if settings.smtp_url is None:
        remedy = "Set smtp_url: recipients without a webhook are told by mail only."
        return State.WARN, "no mail relay is set", remedy
    url = urlsplit(settings.smtp_url)
    port = url.port or SMTP_PORTS[url.scheme]
    client = aiosmtplib.SMTP(
        hostname=unquote(url.hostname or ""),
        port=port,
        use_tls=url.scheme == "smtps",
        start_tls=True if url.scheme == "smtp+starttls" else None,
        timeout=SMTP_LIMIT_S,
    )
    try:
        await client.connect()
        await client.ehlo()
        await client.quit()
    except (aiosmtplib.SMTPException, OSError) as error:
        remedy = "Check smtp_url, the relay and its certificate."
        return State.FAIL, f"{url.hostname}:{port}: {type(error).__name__}", remedy
    finally:
        client.close()
    return State.OK, f"{url.hostname}:{port} greets", ""


async def _telephone(settings: Settings) -> tuple[State, str, str]:
    provider = telephone_of(settings)
    if provider is None:
        return State.OK, "no telephone provider is set: nobody is rung or written to", ""
    host = urlsplit(settings.telephone_url).netloc
    try:
        async with provider:
            status = await provider.answers()
    except aiohttp.ClientError as error:
        remedy = "Check telephone_url and the network."
        return State.FAIL, f"{host}: {type(error).__name__}", remedy
    if status != HTTPStatus.OK:
        remedy = "Check telephone_account and telephone_token in the provider's console."
        return State.FAIL, f"{host} answered {status} for the account", remedy
    return State.OK, f"{host} knows the account", ""


async def _base_url(settings: Settings) -> tuple[State, str, str]:
    url = urlsplit(settings.base_url)
    if url.hostname in {"127.0.0.1", "localhost", "::1"}:
        remedy = "Set base_url before others use the bus: it is in every link and signature."
        return State.WARN, f"{settings.base_url} means this machine only", remedy
    if url.scheme != "https":
        return State.WARN, f"{settings.base_url} is not encrypted", "Put TLS in front; use https."
    return State.OK, settings.base_url, ""


async def _operators_phone(settings: Settings) -> tuple[State, str, str]:
    if not settings.operators_phone:
        remedy = "Set operators_phone: whoever cannot answer is told to ring, and finds no number."
        return State.WARN, "no number of the operators is set", remedy
    return State.OK, settings.operators_phone, ""


async def _egress(settings: Settings) -> tuple[State, str, str]:
    if not settings.egress_allow:
        return State.OK, "endpoints on public https addresses only", ""
    listed = ", ".join(str(network) for network in settings.egress_allow)
    wide = [str(one) for one in settings.egress_allow if one.prefixlen < 8]  # noqa: PLR2004 - a /8
    if wide:
        remedy = "List only the networks in which endpoints are."
        return State.WARN, f"very wide: {', '.join(wide)}", remedy
    return State.OK, f"also {listed}", ""


async def _port(settings: Settings) -> tuple[State, str, str]:
    host, port = settings.host, settings.port
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        if await _is_noticebus(address_of(host, port)):
            return State.OK, f"a noticebus answers on {host}:{port}", ""
        remedy = "Stop what uses it, or set another port."
        return State.FAIL, f"{host}:{port}: {error.strerror}", remedy
    return State.OK, f"{host}:{port} is free", ""


async def _is_noticebus(address: str) -> bool:
    limit = aiohttp.ClientTimeout(total=SMTP_LIMIT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(f"{address}/livez", allow_redirects=False) as answer,
        ):
            return answer.status == 200 and "alive" in await answer.text()  # noqa: PLR2004 - OK
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False


CHECKS: dict[str, Check] = {
    "python": _python,
    "data folder": _data_dir,
    "database": _database,
    "database file": _database_file,
    "clock": _clock,
    "signing keys": _keyring,
    "bus": _bus,
    "mail relay": _mail,
    "telephone": _telephone,
    "operators_phone": _operators_phone,
    "base_url": _base_url,
    "egress_allow": _egress,
    "port": _port,
}
