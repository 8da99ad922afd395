"""The whole system in one process, with a world clock that tests move and subscribers that record.

`open_bus` runs what `wiring` puts together over either profile. Its subscribers are real servers;
whatever reaches one of them and was not expected fails the test when the block ends.
"""

import asyncio
import contextlib
import datetime as dt
import re
import secrets
from collections.abc import AsyncIterator, Collection
from typing import Any

import sqlalchemy as sa

from harness import desk as furnish
from harness.desk import SCOTT
from harness.member import SETTLES_WITHIN_S, Mailboxes, Member, Posted
from harness.place import Place, settings_for
from harness.receivers import (
    MailArrival,
    SmtpReceiver,
    WebhookReceiver,
    smtp_receiver,
    webhook_receiver,
)
from harness.records import Records
from harness.telephone import Provider
from noticebus import wiring
from noticebus.access.keyring import new_webhook_secret
from noticebus.access.principals import Principal
from noticebus.casework import all_clear, cancel, drafts, intake, links, revise
from noticebus.casework.answer import Answered, GivenAnswer
from noticebus.casework.desk import Desk
from noticebus.clock import Clock, ManualClock, SystemClock
from noticebus.contracts.acknowledgement import Person
from noticebus.contracts.notice import (
    AllClearPost,
    CancelConfirmPost,
    CancelPost,
    NoticePost,
    UpdatePost,
)
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Answer,
    Channel,
    ContentLevel,
    DeclineReason,
    NoticeKind,
    Position,
    Role,
    Scope,
    SubscriptionState,
)
from noticebus.domain.leases import WARNED_BEFORE
from noticebus.ids import (
    IncidentId,
    NoticeId,
    new_api_key_id,
    new_subscription_id,
)
from noticebus.store import leases, subscriptions
from noticebus.store.agencies import Agency
from noticebus.store.columns import Instant
from noticebus.store.subscriptions import Subscription
from noticebus.store.tables import deliveries as delivery_rows
from noticebus.store.tables import (
    entries,
    exercises,
    notices,
    offers,
    responsibilities,
    responsibility_areas,
    subscription_counters,
)
from noticebus.store.tables import obligations as obligation_rows

LOOK_EVERY_S = 0.01
ALL_ROLES = tuple(wiring.Role)


def _count_of(table: sa.Table, *where: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:
    return sa.select(sa.func.count()).select_from(table).where(*where).scalar_subquery()


_NOW = sa.bindparam("now", type_=Instant())
_DUE_DELIVERIES = _count_of(delivery_rows, delivery_rows.c.due_at <= _NOW)
_DUE = sa.select(_DUE_DELIVERIES)
_UNFINISHED = sa.select(
    _DUE_DELIVERIES,
    _count_of(obligation_rows, obligation_rows.c.next_step_at <= _NOW),
    _count_of(notices, notices.c.state == "scheduled", notices.c.release_at <= _NOW),
    _count_of(exercises, exercises.c.state == "scheduled", exercises.c.ends_at <= _NOW),
    _count_of(offers, offers.c.state.in_(["open", "held"]), offers.c.lapses_at <= _NOW),
    _count_of(offers, offers.c.state == "held", offers.c.held_until <= _NOW),
    _count_of(entries, entries.c.index.is_(None)),
    _count_of(subscription_counters, subscription_counters.c.heartbeat_at <= _NOW),
)  # one statement, as tests look often


def minutes(number: float) -> dt.timedelta:
    """Give a number of minutes."""
    return dt.timedelta(minutes=number)


def hours(number: float) -> dt.timedelta:
    """Give a number of hours."""
    return dt.timedelta(hours=number)


class Bus(Records):
    """A running system and everything a test does to it."""

    def __init__(
        self, system: wiring.System, *, world: ManualClock, mail: SmtpReceiver, stack: Any
    ) -> None:
        super().__init__(system.desk)
        self.system = system
        self.world = world
        self.members: list[Member] = []
        self._stack: contextlib.AsyncExitStack = stack
        self.mail = mail
        self._mailboxes = Mailboxes(mail)
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
        member = self.member(row, receiver)
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

    def member(self, row: Agency, receiver: WebhookReceiver) -> Member:
        """Watch an agency that is there already; `receiver` stands for its endpoint."""
        member = Member(self.desk, row, receiver, self._mailboxes)
        self.members.append(member)
        return member

    async def make_responsible(
        self, row: Agency, area_key: str, *, role: Role | None = None
    ) -> None:
        """Record that an agency answers for an area, in the role of its kind or another."""
        responsibility_id = f"rsp_{secrets.token_hex(13)}"
        async with self.desk.database.begin() as conn:
            await conn.execute(
                responsibilities.insert().values(
                    id=responsibility_id,
                    agency_id=row.id,
                    role=role or furnish.ROLE_OF[row.kind],
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

    async def operators(self, *, hold_gaps: bool = False) -> str:
        """Add the bus's operators with one mailbox, and give its address.

        Unless they are to `hold_gaps`, the poster itself answers everywhere in every role, so that
        no place lacks anybody.
        """
        if not hold_gaps:
            for role in (Role.CPS, Role.SCHOOL):
                await self.make_responsible(await self._post_office(), "nation:us", role=role)
        row = await furnish.add_agency(self.desk, "Bus operators", kind=AgencyKind.OPERATOR)
        contact = await furnish.add_contact(self.desk, row, "Operator on duty")
        assert contact.email is not None, "made with one"
        return contact.email

    # What posters do

    async def post_notice(self, *, key: str | None = None, **changes: Any) -> Posted:
        """Post a new incident's first notice about Scott County."""
        await self._post_office()
        (answer,) = await intake.take_in(self.desk, [await self.draft(key=key, **changes)])
        assert isinstance(answer, intake.Answered), answer
        return _posted(answer.response)

    async def _post_office(self) -> Agency:
        if self.poster is None:
            self.poster = await furnish.add_agency(
                self.desk, "Field office", kind=AgencyKind.FEDERAL
            )
        return self.poster

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
        reason = changes.pop("change_reason", "new_info")
        if "notice_class" in changes:
            changes["class"] = changes.pop("notice_class")
        body = furnish.notice_body(self.desk, **changes) | {
            "base_version": before.version,
            "change_reason": reason,
        }
        answer = await revise.update(
            desk or self.desk,
            furnish.principal(Scope.POST, agency=self.poster),
            incident_id=before.incident_id,
            post=UpdatePost.model_validate(body),
            key=None,
        )
        return _posted(answer.response)

    async def request_cancel(
        self, before: Posted, *, by: Principal | None = None, desk: Desk | None = None
    ) -> None:
        """Ask for the cancel of an incident, which nobody is told of."""
        await cancel.request_cancel(
            desk or self.desk,
            by or furnish.principal(Scope.POST, agency=self.poster),
            incident_id=before.incident_id,
            post=CancelPost(
                base_version=before.version,
                reason="Posted in error.",
                by=Person(name="A. First", role="duty officer"),
            ),
        )

    async def cancel(self, before: Posted, *, desk: Desk | None = None) -> Posted:
        """Cancel an incident: one person asks, a second one confirms."""
        await self.request_cancel(before, desk=desk)
        answer = await cancel.confirm_cancel(
            desk or self.desk,
            furnish.principal(Scope.POST, agency=self.poster),
            incident_id=before.incident_id,
            post=CancelConfirmPost(by=Person(name="B. Second", role="supervisor")),
        )
        return _posted(answer.response)

    async def all_clear(self, before: Posted, **changes: Any) -> Posted:
        """Say that an incident is over."""
        said = {
            "base_version": before.version,
            "headline": "The action near Morton is over",
            "still_open": [],
        }
        answer = await all_clear.all_clear(
            self.desk,
            furnish.principal(Scope.POST, agency=self.poster),
            incident_id=before.incident_id,
            post=AllClearPost.model_validate(said | changes),
            key=None,
        )
        return _posted(answer.response)

    async def answer_by_mail(
        self,
        mail: MailArrival,
        answer: Answer = Answer.ACCEPTED,
        *,
        name: str = "Rosa Duty",
        role: str = "duty officer",
        reason: DeclineReason | None = None,
    ) -> Answered:
        """Answer on the page of a mail's link, with the code of the same mail."""
        token = re.search(r"/a/(\S+?)(?:\?|\s)", mail.text)
        code = re.search(r"\s{4}([0-9]{6})\s", mail.text)
        assert token is not None, mail.text
        assert code is not None, mail.text
        given = GivenAnswer(answer=answer, by_name=name, by_role=role, reason=reason)
        made = await links.answer_by_link(self.desk, token[1], code=code[1], given=given)
        return made.answered

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

    async def carried(self) -> None:
        """Wait until every delivery that is due has been sent and recorded."""
        async with asyncio.timeout(SETTLES_WITHIN_S):
            while await self._count(_DUE):  # noqa: ASYNC110 - as above
                await asyncio.sleep(LOOK_EVERY_S)

    async def _count(self, counted: sa.Select[Any]) -> int:
        async with self.desk.database.read() as conn:
            return sum((await conn.execute(counted, {"now": self.world.now()})).one())

    async def _unfinished(self) -> int:
        now = self.world.now()
        async with self.desk.database.read() as conn:
            due = sum((await conn.execute(_UNFINISHED, {"now": now})).one())
            return due or len(
                await leases.due_leases(
                    conn, now=now, warned_before=WARNED_BEFORE, batch_size_max=1
                )
            )

    # Expecting

    async def expect_mail(self, address: str, *, times: int = 1) -> list[MailArrival]:
        """Expect `times` more mails to `address`."""
        return await self._mailboxes.expect(address, times=times)

    def surprises(self) -> list[str]:
        """Name whatever reached somebody and was not expected."""
        events = [text for one in self.members for text in one.unexpected()]
        return [*self._mailboxes.surprises(), *events]


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
    telephone: Provider | None = None,
    **more: Any,
) -> AsyncIterator[Bus]:
    """Run the system over `place` for the length of a block; `more` are further settings.

    With `roles=()` nothing runs by itself: the test calls the units of work. `strict` fails a block
    in which something unexpected arrived.
    """
    world = world or ManualClock(furnish.MORNING)
    async with contextlib.AsyncExitStack() as stack:
        mail = await stack.enter_async_context(smtp_receiver())
        dialling = {} if telephone is None else telephone.settings()
        settings = settings_for(place, smtp_url=mail.url, **dialling, **more)
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
            assert [*bus.surprises(), *(telephone.surprises() if telephone else ())] == []
