"""The whole system in one process, with a world clock that tests move and subscribers that record.

`open_bus` runs what `wiring` puts together over either profile. Its subscribers are real servers;
whatever reaches one of them and was not expected fails the test when the block ends.
"""

import asyncio
import contextlib
import datetime as dt
import json
import secrets
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from harness import desk as furnish
from harness import postgres
from harness.receivers import (
    MailArrival,
    SmtpReceiver,
    WebhookArrival,
    WebhookReceiver,
    smtp_receiver,
    webhook_receiver,
)
from noticebus import wiring
from noticebus.access.keyring import new_webhook_secret
from noticebus.bus.kafka import KafkaBus
from noticebus.bus.options import KafkaOptions
from noticebus.bus.port import Bus as Port
from noticebus.bus.topics import init_topics
from noticebus.casework import answer as answering
from noticebus.casework import cancel, drafts, intake, revise
from noticebus.casework.desk import Desk
from noticebus.clock import Clock, ManualClock, SystemClock
from noticebus.contracts.notice import CancelPost, NoticePost, UpdatePost
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    Channel,
    ContentLevel,
    DeclineReason,
    NoticeKind,
    Position,
    Scope,
    SubscriptionState,
)
from noticebus.ids import (
    IncidentId,
    NoticeId,
    SubscriptionId,
    new_api_key_id,
    new_subscription_id,
)
from noticebus.settings import Settings
from noticebus.store import acknowledgements, deliveries, migrate, obligations, subscriptions
from noticebus.store.agencies import Agency
from noticebus.store.deliveries import Attempt, Delivery
from noticebus.store.obligations import Obligation, StepRow
from noticebus.store.subscriptions import Subscription
from noticebus.store.tables import agencies as agency_rows
from noticebus.store.tables import deliveries as delivery_rows
from noticebus.store.tables import (
    entries,
    notices,
    obligation_history,
    responsibilities,
    responsibility_areas,
)
from noticebus.store.tables import obligations as obligation_rows

SETTLES_WITHIN_S = 10.0
LOOK_EVERY_S = 0.01
SCOTT = "county:28123"
ALL_ROLES = tuple(wiring.Role)


def minutes(number: float) -> dt.timedelta:
    """Give a number of minutes."""
    return dt.timedelta(minutes=number)


def hours(number: float) -> dt.timedelta:
    """Give a number of hours."""
    return dt.timedelta(hours=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a system keeps its rows and carries its shards: one profile."""

    folder: Path
    database_url: str
    bus: KafkaOptions | None = None

    def make_bus(self) -> Port | None:
        """Make one more process's bus; None is the profile's own."""
        return None if self.bus is None else KafkaBus(self.bus)


@contextlib.asynccontextmanager
async def embedded(folder: Path) -> AsyncIterator[Place]:
    """Lend the embedded profile: a SQLite file and the in-process bus."""
    yield Place(folder=folder, database_url=f"sqlite+aiosqlite:///{folder}/bus.db")


@contextlib.asynccontextmanager
async def production(folder: Path, *, bootstrap: str | None = None) -> AsyncIterator[Place]:
    """Lend the production profile: PostgreSQL, and Kafka topics of its own where there is one."""
    options = None
    if bootstrap is not None:
        prefix = f"test-{secrets.token_hex(6)}"
        options = KafkaOptions(bootstrap=bootstrap, prefix=prefix, partitions=4)
        await init_topics(options)
    async with postgres.fresh_database() as url:
        await migrate.upgrade(url)
        yield Place(folder=folder, database_url=url, bus=options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A version as its poster was answered."""

    id: NoticeId
    incident_id: IncidentId
    version: int
    response: dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Inboxed:
    """What reached one subscriber, and how much of it the test has expected so far."""

    webhooks: list[WebhookArrival] = field(default_factory=list)
    mails: list[MailArrival] = field(default_factory=list)


class Member:
    """One agency on the bus with its endpoint and its contacts."""

    def __init__(self, bus: "Bus", row: Agency, receiver: WebhookReceiver) -> None:
        self.bus = bus
        self.row = row
        self.receiver = receiver
        self.subscription_id: SubscriptionId | None = None
        self.secret = ""
        self.addresses: dict[Position, str] = {}
        self._expected = 0

    def received(self) -> list[dict[str, Any]]:
        """Give every event that reached the endpoint."""
        return [json.loads(one.body) for one in self.receiver.arrivals.all]

    def unexpected(self) -> list[str]:
        """Name what reached the endpoint and was not expected."""
        arrivals = self.received()[self._expected :]
        return [f"{self.row.name}: {one['type']} {one.get('subject')}" for one in arrivals]

    async def receives(self, kind: str, notice: Posted, *, times: int = 1) -> list[dict[str, Any]]:
        """Expect the next `times` events to be of `kind` about `notice`."""
        events = await self.next_events(times)
        for one in events:
            assert one["type"] == f"org.noticebus.{kind}.v1", one["type"]
            assert one["subject"] == notice.id
        return events

    async def next_events(self, times: int = 1) -> list[dict[str, Any]]:
        """Wait for the next `times` events, and take them as expected."""
        wanted = self._expected + times
        await self.receiver.arrivals.wait_for(wanted)
        found = self.received()[self._expected : wanted]
        self._expected = wanted
        return found

    def mails_to(self, position: Position) -> list[MailArrival]:
        """Give the mails that reached the contact at `position`."""
        address = self.addresses[position]
        return [one for one in self.bus.mail.arrivals.all if address in one.recipients]

    async def mailed(self, position: Position, *, times: int = 1) -> list[MailArrival]:
        """Expect `times` mails to the contact at `position` since the last look."""
        return await self.bus.expect_mail(self.addresses[position], times=times)

    async def answers(
        self,
        notice: Posted,
        answer: Answer = Answer.ACCEPTED,
        *,
        eta: dt.datetime | None = None,
        reason: DeclineReason | None = None,
        desk: Desk | None = None,
    ) -> answering.Answered:
        """Answer a notice with the agency's own key."""
        return await answering.answer_as_agency(
            desk or self.bus.desk,
            furnish.principal(Scope.ANSWER, agency=self.row),
            notice_id=notice.id,
            given=answering.GivenAnswer(
                answer=answer, by_name="Rosa Duty", by_role="duty", eta=eta, reason=reason
            ),
        )

    async def obligation(self, notice: Posted) -> Obligation:
        """Read what the agency owes the notice's incident."""
        async with self.bus.desk.database.read() as conn:
            found = await obligations.find_obligation(
                conn, incident_id=notice.incident_id, agency_id=self.row.id
            )
        assert found is not None, "the notice binds this agency"
        return found

    async def steps(self, notice: Posted) -> list[StepRow]:
        """Read the steps that fired or were skipped for the agency."""
        owed = await self.obligation(notice)
        async with self.bus.desk.database.read() as conn:
            return await obligations.steps_of(conn, [owed.id])


class Bus:
    """A running system and everything a test does to it."""

    def __init__(
        self, system: wiring.System, *, world: ManualClock, mail: SmtpReceiver, stack: Any
    ) -> None:
        self.system = system
        self.desk = system.desk
        self.world = world
        self.mail = mail
        self.members: list[Member] = []
        self._stack: contextlib.AsyncExitStack = stack
        self._mails_expected: dict[str, int] = {}
        self.poster: Agency | None = None

    # Furnishing

    async def agency(
        self,
        name: str,
        *,
        kind: AgencyKind = AgencyKind.CPS,
        contacts_at: Collection[Position] = (),
        endpoint: bool = True,
        area_key: str | None = SCOTT,
    ) -> Member:
        """Add an agency that answers for an area, with an active endpoint and contacts."""
        row = await furnish.add_agency(self.desk, name, kind=kind, county_fips=None)
        receiver = await self._stack.enter_async_context(webhook_receiver())
        member = Member(self, row, receiver)
        self.members.append(member)
        if kind in furnish.ROLE_OF and area_key is not None:
            await self.make_responsible(row, area_key)
        for position in contacts_at:
            contact = await furnish.add_contact(
                self.desk, row, f"{name} {position}", position=position
            )
            assert contact.email is not None, "made with one"
            member.addresses[position] = contact.email
        if endpoint:
            await self.subscribe(member, area_key=area_key or SCOTT)
        return member

    async def make_responsible(self, row: Agency, area_key: str) -> None:
        """Record that an agency answers for an area in the role of its kind."""
        responsibility_id = f"rsp_{secrets.token_hex(13)}"
        async with self.desk.database.begin() as conn:
            await conn.execute(
                responsibilities.insert().values(
                    id=responsibility_id,
                    agency_id=row.id,
                    role=furnish.ROLE_OF[row.kind],
                    area_keys=[area_key],
                    created_at=self.world.now(),
                )
            )
            await conn.execute(
                responsibility_areas.insert().values(
                    area_key=area_key, responsibility_id=responsibility_id
                )
            )

    async def subscribe(
        self, member: Member, *, area_key: str = SCOTT, level: ContentLevel = ContentLevel.PARTNER
    ) -> Subscription:
        """Give a member an active webhook subscription, its consent already proved."""
        member.secret = new_webhook_secret()
        sealed: dict[str, str | None] = {
            "sealed": self.desk.keyring.seal(member.secret),
            "expires_at": None,
        }
        now = self.world.now()
        new = Subscription(
            id=new_subscription_id(),
            agency_id=member.row.id,
            name="endpoint",
            state=SubscriptionState.ACTIVE,
            channel=Channel.WEBHOOK,
            url=member.receiver.url,
            contact_id=None,
            content_level=level,
            area_keys=[area_key],
            kinds=list[NoticeKind](),
            secrets_sealed=[sealed],
            challenge="c",
            approved_at=now,
            approved_by="test",
            verified_at=now,
            revision=1,
            created_at=now,
        )
        async with self.desk.database.begin() as conn:
            await subscriptions.insert_subscription(conn, new)
            await subscriptions.index_areas(conn, new)
        member.subscription_id = new.id
        return new

    async def operators(self) -> str:
        """Add the bus's operators with one mailbox, and give its address."""
        row = await furnish.add_agency(self.desk, "Bus operators", kind=AgencyKind.OPERATOR)
        contact = await furnish.add_contact(self.desk, row, "Operator on duty")
        assert contact.email is not None, "made with one"
        return contact.email

    # What posters do

    async def post_notice(self, *, key: str | None = None, **changes: Any) -> Posted:
        """Post a new incident's first notice about Scott County."""
        if self.poster is None:
            self.poster = await furnish.add_agency(
                self.desk, "Field office", kind=AgencyKind.FEDERAL
            )
        (answer,) = await intake.take_in(self.desk, [await self.draft(key=key, **changes)])
        assert isinstance(answer, intake.Answered), answer
        return _posted(answer.response)

    async def draft(self, *, key: str | None = None, **changes: Any) -> drafts.Draft:
        """Prepare a notice of the poster for its transaction; a poster has posted before."""
        assert self.poster is not None, "a poster has posted before"
        body = furnish.notice_body(self.desk, **changes)
        return await drafts.first_version(
            self.desk,
            furnish.principal(Scope.POST, agency=self.poster),
            post=NoticePost.model_validate(body),
            key=key or new_api_key_id(),
        )

    async def update(self, before: Posted, *, desk: Desk | None = None, **changes: Any) -> Posted:
        """Post the next version of an incident; `notice_class` is its class."""
        if "notice_class" in changes:
            changes["class"] = changes.pop("notice_class")
        body = furnish.notice_body(self.desk, **changes) | {
            "base_version": before.version,
            "change_reason": "new_info",
        }
        answer = await revise.update(
            desk or self.desk,
            furnish.principal(Scope.POST, agency=self.poster),
            incident_id=before.incident_id,
            post=UpdatePost.model_validate(body),
            key=None,
        )
        return _posted(answer.response)

    async def cancel(self, before: Posted, *, desk: Desk | None = None) -> Posted:
        """Cancel an incident."""
        answer = await cancel.cancel(
            desk or self.desk,
            furnish.principal(Scope.POST, agency=self.poster),
            incident_id=before.incident_id,
            post=CancelPost(base_version=before.version, reason="Posted in error."),
        )
        return _posted(answer.response)

    # Time

    async def fast_forward(self, by: dt.timedelta) -> None:
        """Move the world's clock, and wait until everything due by then has been done."""
        self.world.advance(by)
        await self.settled()

    async def settled(self) -> None:
        """Wait until nothing is due, under way or without an index."""
        async with asyncio.timeout(SETTLES_WITHIN_S):
            while await self._unfinished():  # noqa: ASYNC110 - what ends it is in the database
                await asyncio.sleep(LOOK_EVERY_S)

    async def _unfinished(self) -> int:
        now = self.world.now()
        counts = [
            sa.select(sa.func.count())
            .select_from(delivery_rows)
            .where(delivery_rows.c.due_at.is_not(None), delivery_rows.c.due_at <= now),
            sa.select(sa.func.count())
            .select_from(obligation_rows)
            .where(obligation_rows.c.next_step_at <= now),
            sa.select(sa.func.count())
            .select_from(notices)
            .where(notices.c.state == "scheduled", notices.c.release_at <= now),
            sa.select(sa.func.count()).select_from(entries).where(entries.c.index.is_(None)),
        ]
        async with self.desk.database.read() as conn:
            return sum([int((await conn.execute(one)).scalar_one()) for one in counts])

    # Looking

    async def unacknowledged(self) -> list[tuple[str, str]]:
        """List (incident, agency's name) of every obligation still open."""
        statement = (
            sa.select(obligation_rows.c.incident_id, agency_rows.c.name)
            .join(agency_rows, agency_rows.c.id == obligation_rows.c.agency_id)
            .where(obligation_rows.c.state == "open")
            .order_by(obligation_rows.c.incident_id, agency_rows.c.name)
        )
        async with self.desk.database.read() as conn:
            return [(row[0], row[1]) for row in await conn.execute(statement)]

    async def deliveries_of(self, notice: Posted) -> list[Delivery]:
        """Read every delivery of an incident, oldest first."""
        async with self.desk.database.read() as conn:
            found = await deliveries.deliveries_of(
                conn, incident_id=notice.incident_id, limit=5_000
            )
        return found[::-1]

    async def attempts_of(self, delivery: Delivery) -> list[Attempt]:
        """Read the attempts of a delivery."""
        async with self.desk.database.read() as conn:
            return (await deliveries.attempts_of(conn, [delivery.id])).get(delivery.id, [])

    async def entries_of(self, incident_id: str | None = None) -> list[Mapping[str, Any]]:
        """Read the ledger's entries in order of their index, each with its `index`."""
        statement = (
            sa.select(entries.c.index, entries.c.body)
            .where(entries.c.index.is_not(None))
            .order_by(entries.c.index)
        )
        if incident_id is not None:
            statement = statement.where(entries.c.incident_id == incident_id)
        async with self.desk.database.read() as conn:
            rows = (await conn.execute(statement)).all()
        return [{"index": index, **json.loads(body)} for index, body in rows]

    async def history_of(self, obligation_id: str) -> list[tuple[int | None, int | None, Any]]:
        """Read the history of an obligation: from, to, facts."""
        statement = (
            sa.select(
                obligation_history.c.from_index,
                obligation_history.c.to_index,
                obligation_history.c.facts,
            )
            .where(obligation_history.c.obligation_id == obligation_id)
            .order_by(obligation_history.c.position)
        )
        async with self.desk.database.read() as conn:
            return [(row[0], row[1], row[2]) for row in await conn.execute(statement)]

    async def answers_to(self, obligation_id: Any) -> list[acknowledgements.Acknowledgement]:
        """Read the answers to an obligation."""
        async with self.desk.database.read() as conn:
            found = await acknowledgements.acknowledgements_of(conn, [obligation_id])
        return found.get(obligation_id, [])

    # Expecting

    async def expect_mail(self, address: str, *, times: int = 1) -> list[MailArrival]:
        """Expect `times` more mails to `address`."""
        wanted = self._mails_expected.get(address, 0) + times
        self._mails_expected[address] = wanted
        async with asyncio.timeout(SETTLES_WITHIN_S):
            while len(found := self._mails_to(address)) < wanted:
                await self.mail.arrivals.wait_for(len(self.mail.arrivals.all) + 1)
        return found[wanted - times :]

    def _mails_to(self, address: str) -> list[MailArrival]:
        return [one for one in self.mail.arrivals.all if address in one.recipients]

    def surprises(self) -> list[str]:
        """Name whatever reached somebody and was not expected."""
        mailed = {address for one in self.mail.arrivals.all for address in one.recipients}
        mails = [
            f"mail to {address}: {len(self._mails_to(address))} arrived, {expected} expected"
            for address in sorted(mailed)
            if len(self._mails_to(address)) != (expected := self._mails_expected.get(address, 0))
        ]
        return [*mails, *(text for one in self.members for text in one.unexpected())]


def _posted(response: dict[str, Any]) -> Posted:
    return Posted(
        id=NoticeId(response["id"]),
        incident_id=IncidentId(response["incident_id"]),
        version=response["version"],
        response=response,
    )


@contextlib.asynccontextmanager
async def open_bus(
    place: Place,
    *,
    world: ManualClock | None = None,
    machine: Clock | None = None,
    roles: Collection[wiring.Role] = ALL_ROLES,
    strict: bool = True,
) -> AsyncIterator[Bus]:
    """Run the system over `place` for the length of a block.

    With `roles=()` nothing runs by itself: the test calls the units of work. `strict` fails a block
    in which something unexpected arrived.
    """
    world = world or ManualClock(furnish.MORNING)
    async with contextlib.AsyncExitStack() as stack:
        mail = await stack.enter_async_context(smtp_receiver())
        settings = settings_for(place, smtp_url=mail.url)
        system = await stack.enter_async_context(
            wiring.running(
                settings,
                roles=roles,
                world=world,
                machine=machine or SystemClock(),
                bus=place.make_bus(),
            )
        )
        bus = Bus(system, world=world, mail=mail, stack=stack)
        yield bus
        if roles:
            await bus.settled()
        if strict:
            assert bus.surprises() == []


def settings_for(place: Place, **more: Any) -> Settings:
    """Give the settings of a system over `place`; its own machine's addresses are allowed."""
    return Settings.model_validate(
        {
            "data_dir": place.folder,
            "database_url": place.database_url,
            "egress_allow": "127.0.0.1/32",
            "stop_grace_s": 2.0,
            **more,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Many agencies made at once: their subscriptions, in order."""

    agency_ids: list[str]
    subscription_ids: list[SubscriptionId]


async def add_crowd(bus: Bus, count: int, *, url: str, area_key: str = SCOTT) -> Crowd:
    """Add `count` responsible school districts, each with an active endpoint at `url`/n."""
    now = bus.world.now()
    sealed = {"sealed": bus.desk.keyring.seal(new_webhook_secret()), "expires_at": None}
    crowd = Crowd(
        agency_ids=[f"agy_{secrets.token_hex(13)}" for _ in range(count)],
        subscription_ids=[new_subscription_id() for _ in range(count)],
    )
    async with bus.desk.database.begin() as conn:
        await conn.execute(agency_rows.insert(), [_district(one, now) for one in crowd.agency_ids])
        duties = [(f"rsp_{secrets.token_hex(13)}", one) for one in crowd.agency_ids]
        await conn.execute(
            responsibilities.insert(),
            [
                {
                    "id": id_,
                    "agency_id": agency_id,
                    "role": "school",
                    "area_keys": [area_key],
                    "created_at": now,
                }
                for id_, agency_id in duties
            ],
        )
        await conn.execute(
            responsibility_areas.insert(),
            [{"area_key": area_key, "responsibility_id": id_} for id_, _ in duties],
        )
        for number, (agency_id, id_) in enumerate(
            zip(crowd.agency_ids, crowd.subscription_ids, strict=True)
        ):
            new = _order(agency_id, id_, url=f"{url}/{number}", sealed=sealed, now=now)
            await subscriptions.insert_subscription(conn, new)
            await subscriptions.index_areas(conn, new)
    return crowd


def _district(agency_id: str, now: dt.datetime) -> dict[str, Any]:
    return {
        "id": agency_id,
        "name": f"District {agency_id[-6:]}",
        "kind": "school_district",
        "zone": "America/Chicago",
        "holidays_state": "MS",
        "revision": 1,
        "created_at": now,
    }


def _order(
    agency_id: str, id_: SubscriptionId, *, url: str, sealed: Any, now: dt.datetime
) -> Subscription:
    return Subscription(
        id=id_,
        agency_id=agency_id,  # type: ignore[arg-type]
        name="endpoint",
        state=SubscriptionState.ACTIVE,
        channel=Channel.WEBHOOK,
        url=url,
        contact_id=None,
        content_level=ContentLevel.PARTNER,
        area_keys=[SCOTT],
        kinds=[],
        secrets_sealed=[sealed],
        challenge="c",
        approved_at=now,
        approved_by="test",
        verified_at=now,
        revision=1,
        created_at=now,
    )
