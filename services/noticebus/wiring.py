"""The composition root: settings become ports, ports a desk, a desk the services of one process."""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum

from fastapi import FastAPI

from noticebus.access.ways import Ways, ways_of
from noticebus.bus.figures import BusFigures
from noticebus.bus.port import Bus
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Intake
from noticebus.casework.kept_quality import KeptQuality
from noticebus.casework.report_workshop import FILES_AT_ONCE, Workshop
from noticebus.casework.signs_of_life import Pulse
from noticebus.casework.upkeep import enter_egress
from noticebus.clock import Clock, OffsetClock, SystemClock
from noticebus.console import app as console
from noticebus.dispatcher.carrier import Carrier
from noticebus.dispatcher.egress import EgressGuard
from noticebus.dispatcher.email import EmailSender
from noticebus.dispatcher.slots import SendLimits
from noticebus.dispatcher.webhook import WebhookSender
from noticebus.dispatcher.worker import Dispatcher
from noticebus.domain.policies import default_policies
from noticebus.domain.working_time import Window, hours_for
from noticebus.gateway import telephone as callbacks
from noticebus.gateway.app import create_app, create_health_app
from noticebus.gateway.dependencies import Check
from noticebus.ledger import pulse
from noticebus.ledger.auditor import Auditor
from noticebus.ledger.deadman import Deadman
from noticebus.ledger.digests import DigestClock
from noticebus.ledger.engine import Engine
from noticebus.ledger.orders import OrderClock
from noticebus.ledger.sequencer import Sequencer
from noticebus.ledger.upkeep import Upkeep
from noticebus.ports import disk_of, load_keyring, make_bus, proxy_of, schedules_of, telephone_of
from noticebus.refdata import counties
from noticebus.settings import Settings
from noticebus.store import claims, migrate
from noticebus.store.database import Database
from noticebus.store.policies import seed_policies
from noticebus.telemetry import Metrics

TICK_STALE = dt.timedelta(seconds=30)  # a loop that has not looked for so long is not working


class Role(StrEnum):
    """What a process does; without a choice it does everything."""

    GATEWAY = "gateway"
    DISPATCHER = "dispatcher"
    LEDGER = "ledger"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A running process: its desk, its application, and the loops' units of work."""

    desk: Desk
    app: FastAPI
    intake: Intake
    engine: Engine
    sequencer: Sequencer
    upkeep: Upkeep
    orders: OrderClock
    digests: DigestClock
    dispatcher: Dispatcher
    auditor: Auditor
    deadman: Deadman
    pulse: Pulse


async def open_desk(
    settings: Settings,
    *,
    world: Clock | None = None,
    machine: Clock | None = None,
    bus: Bus | None = None,
) -> Desk:
    """Open every port; the embedded profile's database is brought up to date on the way."""
    machine = machine or SystemClock()
    world = world or OffsetClock(machine)
    database = Database(settings.database_url)
    if database.is_sqlite:
        await migrate.upgrade(settings.database_url)
    await seed(database, now=world.now())
    if database.is_sqlite:
        async with database.begin() as conn:
            await claims.void_leases(conn, machine_now=machine.now())
    bus = bus or make_bus(settings)
    metrics = Metrics.create()
    metrics.registry.register(BusFigures(bus))
    return Desk(
        database=database,
        bus=bus,
        world=world,
        machine=machine,
        keyring=load_keyring(settings),
        places=await asyncio.to_thread(_reference_data),
        metrics=metrics,
        base_url=settings.base_url,
        sends_mail=settings.smtp_url is not None,
        dials=settings.dials,
        lease_days=settings.lease_days,
        trip_after=settings.endpoint_trip_after,
        backlog_rate=settings.backlog_rate_per_minute,
        calls_from=tuple(map(str, settings.calls_from)),
        operators_phone=settings.operators_phone or "",
        approval_above=settings.approval_above,
        schedules=schedules_of(settings),
        disk=disk_of(settings, machine),
        quality=KeptQuality(keep=dt.timedelta(seconds=settings.records_kept_s)),
        workshop=Workshop(benches=1 if database.is_sqlite else FILES_AT_ONCE),
    )


async def seed(database: Database, *, now: dt.datetime) -> int:
    """Give the installation the default policies it does not have; say how many."""
    async with database.begin() as conn:
        return await seed_policies(conn, default_policies(), now=now)


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    *,
    roles: Collection[Role] = tuple(Role),
    world: Clock | None = None,
    machine: Clock | None = None,
    bus: Bus | None = None,
) -> AsyncIterator[System]:
    """Run the services of `roles` for the length of the block.

    At its end work in flight gets `stop_grace_s`.
    """
    desk = await open_desk(settings, world=world, machine=machine, bus=bus)
    try:
        await enter_egress(desk, settings.egress_allow)
        async with _services(settings, desk, roles) as system, _loops(settings, system, roles):
            yield system
    finally:
        await desk.database.close()


@contextlib.asynccontextmanager
async def _services(
    settings: Settings, desk: Desk, roles: Collection[Role]
) -> AsyncIterator[System]:
    guard = EgressGuard(settings.egress_allow, proxy=proxy_of(settings))
    async with contextlib.AsyncExitStack() as stack:
        webhook = await stack.enter_async_context(
            WebhookSender(
                keyring=desk.keyring,
                guard=guard,
                limits=SendLimits(request=dt.timedelta(seconds=settings.request_timeout_s)),
                base_url=settings.base_url,
            )
        )
        email = None
        if settings.smtp_url is not None:
            sender = EmailSender(smtp_url=settings.smtp_url, mail_from=settings.mail_from)
            email = await stack.enter_async_context(sender)
        provider = telephone_of(settings)
        telephone = None if provider is None else await stack.enter_async_context(provider)
        intake = Intake(desk)
        auditor = Auditor(desk)
        checks = _checks(desk, auditor if Role.LEDGER in roles else None)
        ways = ways_of(settings, keyring=desk.keyring, machine=desk.machine)
        app = _application(desk, intake, guard, roles, checks=checks, ways=ways)
        if settings.telephone_token is not None:
            callbacks.install(app, token=settings.telephone_token.get_secret_value())
        yield System(
            desk=desk,
            intake=intake,
            app=app,
            engine=Engine(desk),
            sequencer=Sequencer(desk),
            orders=OrderClock(desk),
            digests=DigestClock(desk, times=settings.digest_times, is_on=settings.digest),
            upkeep=Upkeep(desk, keep_idempotency=dt.timedelta(days=settings.idempotency_days)),
            dispatcher=Dispatcher(
                desk,
                Carrier(desk, webhook=webhook, email=email, telephone=telephone),
                lease=dt.timedelta(seconds=settings.lease_s),
                slots_per_origin=settings.endpoint_concurrency,
            ),
            auditor=auditor,
            deadman=_deadman(settings, desk, auditor, loops=checks["loops"]),
            pulse=Pulse(desk, serves=Role.GATEWAY in roles),
        )


def _deadman(settings: Settings, desk: Desk, auditor: Auditor, *, loops: Check) -> Deadman:
    """Make what pings outside while every loop lives and every check of the auditor is good."""
    url = settings.deadman_url

    async def is_good() -> bool:
        return await loops() is None and await auditor.is_good()

    return Deadman(
        desk,
        url=None if url is None else url.get_secret_value(),
        every=dt.timedelta(seconds=settings.deadman_every_s),
        is_good=is_good,
    )


def _application(
    desk: Desk,
    intake: Intake,
    guard: EgressGuard,
    roles: Collection[Role],
    *,
    checks: Mapping[str, Check],
    ways: Ways,
) -> FastAPI:
    """Choose what a process answers over HTTP: everything, or health and metrics alone."""
    if Role.GATEWAY not in roles:
        return create_health_app(desk, checks=checks)
    app = create_app(
        desk,
        intake=intake,
        checks=checks,
        routers=console.ROUTERS,
        egress_allow=guard.allow,
    )
    console.install(app, desk, ways=ways)
    return app


@contextlib.asynccontextmanager
async def _loops(
    settings: Settings, system: System, roles: Collection[Role]
) -> AsyncIterator[None]:
    """Hold the loops of `roles`.

    One that fails ends the process, which recovers from the database.
    """
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        bus = tasks.create_task(system.desk.bus.run(), name="bus")
        loops = [tasks.create_task(run, name=name) for name, run in _chosen(system, roles)]
        sending = (
            tasks.create_task(system.dispatcher.run(stop), name="dispatcher")
            if Role.DISPATCHER in roles
            else None
        )
        try:
            yield
        finally:
            stop.set()
            for loop in loops:
                loop.cancel()
            if sending is not None:
                await _drain(sending, grace_s=settings.stop_grace_s)
            await system.desk.bus.close()
            bus.cancel()
            await pulse.leave(system.pulse)


async def _drain(sending: "asyncio.Task[None]", *, grace_s: float) -> None:
    """Let what is in flight finish for `grace_s`, then leave the rest to the leases."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace_s):
            await asyncio.shield(sending)
    sending.cancel()


def _chosen(
    system: System, roles: Collection[Role]
) -> list[tuple[str, Coroutine[None, None, None]]]:
    chosen = [("upkeep", system.upkeep.run()), ("pulse", pulse.run(system.pulse))]
    if Role.GATEWAY in roles:
        chosen.append(("intake", system.intake.run()))
    if Role.LEDGER in roles:
        chosen += [("engine", system.engine.run()), ("sequencer", system.sequencer.run())]
        chosen += [("orders", system.orders.run()), ("digests", system.digests.run())]
        chosen += [("auditor", system.auditor.run()), ("deadman", system.deadman.run())]
    return chosen


def _checks(desk: Desk, auditor: Auditor | None) -> dict[str, Check]:
    """Say what `/readyz` looks at beside the database: every loop this process runs.

    What the auditor found is shown by the processes that run one: a gateway takes posts all the
    same. The bus is not among it: without it posts are taken as before, the sweep delivers.
    """

    async def loops() -> str | None:
        now = desk.machine.now()
        stale = [name for name, at in desk.signals.ticks.items() if now - at > TICK_STALE]
        return (
            f"No sign of life for {TICK_STALE.seconds} s from: {', '.join(stale)}."
            if stale
            else None
        )

    checks: dict[str, Check] = {"loops": loops}
    if desk.disk is not None:
        checks["disk"] = desk.disk.refusal
    return checks if auditor is None else {**checks, "audit": auditor.trouble}


def _reference_data() -> counties.VendoredGazetteer:
    """Load outlines and holiday calendars now, so that the first notice does not wait for them."""
    hours_for(Window.OFFICE, zone="America/Chicago")
    gazetteer = counties.load()
    gazetteer.warm()
    return gazetteer
