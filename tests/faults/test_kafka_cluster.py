"""A cluster of three brokers loses the leader of a partition, then all: no notice waits for it.

Two gateways and two dispatchers, each a process, work over one PostgreSQL and the cluster.
"""

import asyncio
import contextlib
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from harness import desk as furnish
from harness import kafka, roles, tables
from harness.kafka import Broker
from harness.place import Place
from harness.receivers import WebhookReceiver, webhook_receiver
from harness.roles import Process, until
from harness.system import open_bus
from noticebus.bus.topics import TopicState, init_topics
from noticebus.casework import keys
from noticebus.contracts.key import ApiKeyPost
from noticebus.contracts.vocabulary import AgencyKind, Scope
from noticebus.ports import kafka_options
from noticebus.settings import Settings

TOPIC = "noticebus.notices.v1"
ENDPOINTS = 3
AT_ONCE = 6


@dataclass(slots=True, kw_only=True)
class Installation:
    """Four processes over a database and a cluster, an agency that posts, and who is told."""

    gateways: Sequence[Process]
    dispatchers: Sequence[Process]
    receiver: WebhookReceiver
    key: str
    body: dict[str, object]
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    accepted: set[str] = field(default_factory=set)

    @property
    def processes(self) -> list[Process]:
        return [*self.gateways, *self.dispatchers]

    async def post(self, count: int) -> None:
        """Post notices, a few at a time, to the gateways in turn; each is accepted."""
        some = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for number in itertools.islice(self.numbers, count):
                await some.acquire()
                posting = tasks.create_task(self._post(number))
                posting.add_done_callback(lambda _: some.release())

    async def _post(self, number: int) -> None:
        gateway = self.gateways[number % len(self.gateways)]
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": f"notice-{number}"}
        answer = await gateway.client.post(
            f"{gateway.url}/v1/notices", json=self.body, headers=headers
        )
        assert answer.status_code == 201, answer.text
        self.accepted.add(answer.json()["id"])

    async def accepts(self, count: int) -> None:
        """Wait until so many were accepted in all."""

        async def enough() -> bool:
            return len(self.accepted) >= count

        await until(enough)

    async def delivers_all(self) -> None:
        """Wait until each endpoint has each accepted notice, and nothing came under two ids."""

        async def all_sent() -> bool:
            sent = self._sent()
            return all(len(sent[notice_id]) >= ENDPOINTS for notice_id in self.accepted)

        await until(all_sent)
        assert {len(ids) for ids in self._sent().values()} == {ENDPOINTS}
        assert self._sent().keys() == self.accepted

    def _sent(self) -> dict[str, set[tuple[str, bytes]]]:
        """Give what arrived, by notice: a repeat has the same id and the same bytes."""
        sent: defaultdict[str, set[tuple[str, bytes]]] = defaultdict(set)
        for one in self.receiver.arrivals.all:
            notice_id = one.body.split(b'"subject":"', 1)[1].split(b'"', 1)[0].decode()
            sent[notice_id].add((one.headers["webhook-id"], one.body))
        return sent

    async def carried(self) -> float:
        """Count the shards that dispatchers had from the bus."""
        name = 'noticebus_bus_shards_total{outcome="received"}'
        return sum([await one.figure(name) for one in self.dispatchers])

    async def bus_is(self, *, up: bool) -> None:
        """Wait until every process says so of its bus."""

        async def all_say_so() -> bool:
            said = [await one.figure("noticebus_bus_up") for one in self.processes]
            return all(bool(one) is up for one in said)

        await until(all_say_so)

    async def bus_is_read(self) -> None:
        """Wait until no shard waits on the bus."""

        async def none_waits() -> bool:
            return not any([await one.figure("noticebus_bus_lag") for one in self.dispatchers])

        await until(none_waits)

    async def bus_carries(self) -> None:
        """Post until dispatchers have a shard from the bus: they may be joining it."""
        before = await self.carried()

        async def carries() -> bool:
            await self.post(2)
            await self.delivers_all()
            return await self.carried() > before

        await until(carries)


@contextlib.asynccontextmanager
async def installed(folder: Path, brokers: Sequence[Broker]) -> AsyncIterator[Installation]:
    """Make the topics, enter who posts and who is told, start four processes."""
    async with (
        tables.migrated_on_postgresql() as url,
        webhook_receiver() as receiver,
        roles.forked() as fork,
    ):
        key, body = await furnished(Place(folder=folder, database_url=url), receiver)
        bootstrap = ",".join(broker.bootstrap for broker in brokers)
        settings = {"database_url": url, "kafka_bootstrap": bootstrap, "kafka_partitions": 6}
        made = await init_topics(kafka_options(Settings.model_validate(settings)))
        assert {one.state for one in made} == {TopicState.MADE}  # as `noticebus kafka init` does
        started = [
            await fork.serve(role, folder=folder, **settings)
            for role in ("gateway", "gateway", "dispatcher", "dispatcher")
        ]
        yield Installation(
            gateways=started[:2], dispatchers=started[2:], receiver=receiver, key=key, body=body
        )


async def furnished(place: Place, receiver: WebhookReceiver) -> tuple[str, dict[str, object]]:
    """Enter a poster and recipients with an endpoint each; give its key and a notice."""
    async with open_bus(place, roles=(), strict=False) as bus:
        poster = await furnish.add_agency(bus.desk, "Field office", kind=AgencyKind.FEDERAL)
        for number in range(ENDPOINTS):
            county = await furnish.add_agency(bus.desk, f"Scott County CPS {number}")
            await bus.subscribe(bus.member(county, receiver))
        made = await keys.create_key(
            bus.desk,
            furnish.principal(Scope.ADMIN),
            post=ApiKeyPost(name="poster", agency_id=poster.id, scopes=(Scope.POST,)),
        )
        return made.secret, furnish.notice_body(bus.desk)


async def leader_of(partition: int, brokers: Sequence[Broker]) -> Broker:
    """Ask the cluster which of its brokers leads a partition, of which each keeps a copy."""
    admin = AIOKafkaAdminClient(bootstrap_servers=[one.bootstrap for one in brokers])
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([TOPIC])
    finally:
        await admin.close()
    (found,) = [one for one in topic["partitions"] if one["partition"] == partition]
    assert len(found["replicas"]) == 3, "what kafka_replication says where nobody sets it"
    (leader,) = [one for one in brokers if one.number == found["leader"]]
    return leader


@pytest.mark.usefixtures("postgres_url")  # the server starts before the test's time does
@pytest.mark.slow(reason="three brokers start, twice, and four processes of the bus")
async def test_a_cluster_that_loses_a_leader_and_then_all_brokers_loses_no_notice(
    tmp_path: Path,
) -> None:
    async with kafka.cluster() as brokers, installed(tmp_path, brokers) as bus:
        await bus.bus_is(up=True)
        await bus.bus_carries()

        leader = await leader_of(0, brokers)
        async with asyncio.TaskGroup() as posting:
            posting.create_task(bus.post(60))
            await bus.accepts(len(bus.accepted) + 15)
            await leader.kill()  # kill -9, while shards are on their way to it
        await bus.delivers_all()
        await bus.bus_carries()  # by the two that are left

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(leader.start())
            tasks.create_task(bus.post(20))
        await bus.delivers_all()

        for broker in brokers:
            await broker.kill()
        await bus.post(20)
        await bus.delivers_all()  # by the sweep
        await bus.bus_is(up=False)

        await kafka.start_all(brokers)
        await bus.bus_is(up=True)
        await bus.bus_carries()  # the same processes, without a restart
        await bus.bus_is_read()
