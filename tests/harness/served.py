"""A bus of a process of its own, on either profile, that a test starts, posts to and kills.

Its recipients are counting receivers in the test's process; what they saw is compared with what
the bus has stored.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import sqlalchemy as sa

from harness import desk as furnish
from harness.forked import Forker
from harness.place import Place
from harness.ports import free_port
from harness.receivers import WebhookArrival, WebhookReceiver, webhook_receiver
from harness.system import Bus, open_bus
from noticebus.casework import keys, recount
from noticebus.casework.findings import Finding
from noticebus.clock import ManualClock, SystemClock
from noticebus.contracts.key import ApiKeyPost
from noticebus.contracts.vocabulary import AgencyKind, Channel, NoticeClass, Notify, Scope
from noticebus.domain.policies import Hold, HoldRule, Step, default_policies, policy_to_record
from noticebus.ids import AgencyId
from noticebus.store.database import Database
from noticebus.store.tables import deliveries, entries, obligations, policies

QUIET_WITHIN_S = 60.0
LOOK_EVERY_S = 0.02
NOW = dt.timedelta(0)
HASTY = {
    "request_timeout_s": 1.0,
    "lease_s": 1.5,  # what a killed dispatcher held is free again after it
    "schedules": {
        "B": {"phases": [{"name": "immediate", "tries": 50, "first_s": 0.1}], "jitter": 0}
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A bus that may be started, and killed, as often as a test likes."""

    database: Database
    settings: Mapping[str, Any]
    key: str
    subscriber: tuple[str, str]  # the first recipient's key and subscription
    body: dict[str, object]
    receivers: Sequence[WebhookReceiver]
    forker: Forker
    accepted: dict[int, str] = field(default_factory=dict)  # notices answered 201, by their number
    grown: asyncio.Event = field(default_factory=asyncio.Event)  # one more was accepted

    async def start(self, *, crash_at: str | None = None) -> None:
        """Start the server and wait until it answers, or has died."""
        await self.forker.start(self.settings, crash_at=crash_at)
        async with asyncio.timeout(QUIET_WITHIN_S), self.client() as client:
            while self.forker.is_alive():
                if await _answers(client):
                    return
                await asyncio.sleep(LOOK_EVERY_S)

    def client(self, key: str | None = None) -> httpx2.AsyncClient:
        """Give a connection to it, a poster's or one with another `key`."""
        return httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self.settings['port']}",
            headers={"Authorization": f"Bearer {key or self.key}"},
            timeout=QUIET_WITHIN_S,
            verify=False,  # it is plain HTTP, and to read the authorities takes long
        )

    async def post(self, *numbers: int) -> list[int]:
        """Post notices at once, each under its own key; give each status, 0 where none came.

        Those that were answered 201 are not posted again.
        """
        missing = [one for one in numbers if one not in self.accepted]
        async with self.client() as client, asyncio.TaskGroup() as tasks:
            posted = [tasks.create_task(self._post(client, one)) for one in missing]
        return [one.result() for one in posted]

    async def _post(self, client: httpx2.AsyncClient, number: int) -> int:
        headers = {"Idempotency-Key": f"notice-{number}"}
        try:
            answer = await client.post("/v1/notices", json=self.body, headers=headers)
        except httpx2.TransportError:  # the kill: it may be stored, or not
            return 0
        assert answer.status_code in {201, 503}, answer.text
        assert answer.status_code == 201 or "Retry-After" in answer.headers
        if answer.status_code == 201:
            self.accepted[number] = answer.json()["id"]
            self.grown.set()
        return answer.status_code

    async def tell(self, verb: str) -> None:
        """Let the first recipient `pause` or `resume` its subscription."""
        key, subscription_id = self.subscriber
        async with self.client(key) as client:
            with contextlib.suppress(httpx2.TransportError):  # the kill
                answer = await client.post(f"/v1/subscriptions/{subscription_id}/{verb}")
                assert answer.status_code == 200, answer.text

    async def accepted_at_least(self, count: int) -> None:
        """Wait until `count` notices were answered 201."""
        async with asyncio.timeout(QUIET_WITHIN_S):
            while len(self.accepted) < count:
                self.grown.clear()
                await self.grown.wait()

    async def until_quiet(self) -> None:
        """Wait until nothing is due, under way or without an index."""
        async with asyncio.timeout(QUIET_WITHIN_S):
            while await self._unfinished():  # noqa: ASYNC110 - what ends it is in the database
                await asyncio.sleep(LOOK_EVERY_S)

    async def rows(self, table: sa.Table) -> list[sa.RowMapping]:
        """Read a whole table."""
        async with self.database.read() as conn:
            return list((await conn.execute(sa.select(table))).mappings())

    async def audited(self) -> list[Finding]:
        """Give what `noticebus audit` finds."""
        return await audited(self.database)

    async def counters_audited(self) -> list[Finding]:
        """Give what it finds in the report's counters alone, as they stand at this moment."""
        part = await recount.audit_part(self.database, cursor=recount.COUNTERS)
        return list(part.findings)

    def arrivals(self) -> list[WebhookArrival]:
        """Give everything that reached any recipient."""
        return [one for receiver in self.receivers for one in receiver.arrivals.all]

    async def _unfinished(self) -> int:
        counts = [
            sa.select(sa.func.count(deliveries.c.due_at)),
            sa.select(sa.func.count()).where(obligations.c.next_step_at <= SystemClock().now()),
            sa.select(sa.func.count(entries.c.position)).where(entries.c.index.is_(None)),
        ]
        async with self.database.read() as conn:
            return sum([int((await conn.execute(one)).scalar_one()) for one in counts])


async def _answers(client: httpx2.AsyncClient) -> bool:
    try:
        return (await client.get("/livez")).status_code == 200
    except httpx2.TransportError:
        return False


@contextlib.asynccontextmanager
async def served(
    place: Place, forker: Forker, *, recipients: int = 1, steps: bool = False, **more: Any
) -> AsyncIterator[Served]:
    """Furnish a bus with recipients in one county; its server ends with the block.

    With `steps` the first step of escalation falls due at once, and there is no other.
    """
    world = ManualClock(SystemClock().now())
    async with contextlib.AsyncExitStack() as stack:
        receivers = [await stack.enter_async_context(webhook_receiver()) for _ in range(recipients)]
        async with open_bus(place, world=world, roles=()) as bus:
            key, subscriber = await _furnish(bus, receivers, steps=steps)
            body = furnish.notice_body(bus.desk)
        database = Database(place.database_url)
        stack.push_async_callback(database.close)
        stack.push_async_callback(forker.kill)
        yield Served(
            database=database,
            settings=_settings(place) | more,
            key=key,
            subscriber=subscriber,
            body=body,
            receivers=receivers,
            forker=forker,
        )


async def _furnish(
    bus: Bus, receivers: Sequence[WebhookReceiver], *, steps: bool
) -> tuple[str, tuple[str, str]]:
    """Add a poster and the recipients; give its key, and the first one's with its subscription."""
    if steps:
        await _hasten(bus)
    poster = await furnish.add_agency(bus.desk, "Field office", kind=AgencyKind.FEDERAL)
    orders = []
    for number, receiver in enumerate(receivers):
        county = await furnish.add_agency(bus.desk, f"Scott County CPS {number}")
        orders.append(await bus.subscribe(bus.member(county, receiver)))
    posts = await _key(bus, poster.id, Scope.POST)
    return posts, (await _key(bus, orders[0].agency_id, Scope.SUBSCRIBE), orders[0].id)


async def _key(bus: Bus, agency_id: AgencyId, scope: Scope) -> str:
    post = ApiKeyPost(name="test", agency_id=agency_id, scopes=(scope,))
    made = await keys.create_key(bus.desk, furnish.principal(Scope.ADMIN), post=post)
    return made.secret


async def _hasten(bus: Bus) -> None:
    """Give the class B policies one step, due as soon as the notice is accepted."""
    step = Step(after=NOW, notify=Notify.ON_DUTY, channels=(Channel.WEBHOOK,))
    async with bus.desk.database.begin() as conn:
        for one in default_policies():
            if one.notice_class is NoticeClass.B:
                hasty = replace(one, due_after=NOW, hold=HoldRule(hold=Hold.NEVER), steps=(step,))
                await conn.execute(
                    sa.update(policies)
                    .where(policies.c.id == one.id)
                    .values(body=policy_to_record(hasty))
                )


def _settings(place: Place) -> dict[str, Any]:
    bus = {}
    if place.bus is not None:
        bus = {"kafka_bootstrap": place.bus.bootstrap, "kafka_prefix": place.bus.prefix}
    return {
        "data_dir": str(place.folder),
        "database_url": place.database_url,
        "egress_allow": "127.0.0.1/32",
        "port": free_port(),
        **HASTY,
        **bus,
    }


async def audited(database: Database) -> list[Finding]:
    """Give what `noticebus audit` finds in a database."""
    cursor: str | None = ""
    found: list[Finding] = []
    while cursor is not None:
        part = await recount.audit_part(database, cursor=cursor)
        found += part.findings
        cursor = part.next
    return found
