"""An agency on the bus as a test sees it: what reaches it, what it answers, what it owes."""

import asyncio
import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from harness import desk as furnish
from harness.receivers import MailArrival, SmtpReceiver, WebhookReceiver
from noticebus.casework import answer as answering
from noticebus.casework import speaking, waiving
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Answer, DeclineReason, Position, Scope
from noticebus.contracts.waiver import WaiverConfirmPost, WaiverPost
from noticebus.ids import IncidentId, NoticeId, SubscriptionId
from noticebus.store import obligations
from noticebus.store.agencies import Agency
from noticebus.store.obligations import Obligation, StepRow

SETTLES_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A version as its poster was answered."""

    id: NoticeId
    incident_id: IncidentId
    version: int
    response: dict[str, Any]


class Mailboxes:
    """Everybody's mail on one server, and how much of it a test has expected so far."""

    def __init__(self, server: SmtpReceiver) -> None:
        self._server = server
        self._expected: dict[str, int] = {}

    def to(self, address: str) -> list[MailArrival]:
        """Give the mails that reached `address`."""
        return [one for one in self._server.arrivals.all if address in one.recipients]

    async def expect(self, address: str, *, times: int = 1) -> list[MailArrival]:
        """Wait for `times` more mails to `address`, and take them as expected."""
        wanted = self._expected.get(address, 0) + times
        self._expected[address] = wanted
        async with asyncio.timeout(SETTLES_WITHIN_S):
            while len(found := self.to(address)) < wanted:
                await self._server.arrivals.wait_for(len(self._server.arrivals.all) + 1)
        return found[wanted - times :]

    def surprises(self) -> list[str]:
        """Name the mailboxes that hold more, or less, than was expected."""
        mailed = {address for one in self._server.arrivals.all for address in one.recipients}
        return [
            f"mail to {address}: {len(self.to(address))} arrived, {expected} expected"
            for address in sorted(mailed)
            if len(self.to(address)) != (expected := self._expected.get(address, 0))
        ]


class Member:
    """One agency on the bus with its endpoint and its contacts."""

    def __init__(self, desk: Desk, row: Agency, receiver: WebhookReceiver, mail: Mailboxes) -> None:
        self._desk = desk
        self._mail = mail
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
        return self._mail.to(self.addresses[position])

    async def mailed(self, position: Position, *, times: int = 1) -> list[MailArrival]:
        """Expect `times` mails to the contact at `position` since the last look."""
        return await self._mail.expect(self.addresses[position], times=times)

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
        return await speaking.answer_as_agency(
            desk or self._desk,
            furnish.principal(Scope.ANSWER, agency=self.row),
            notice_id=notice.id,
            given=answering.GivenAnswer(
                answer=answer, by_name="Rosa Duty", by_role="duty", eta=eta, reason=reason
            ),
        )

    async def is_waived(self, notice: Posted) -> None:
        """Have two operators waive the agency's answer."""
        owed = await self.obligation(notice)
        post = WaiverPost(reason="It has closed.", by_name="Dana Reyes")
        first, second = furnish.principal(Scope.OPERATE), furnish.principal(Scope.OPERATE)
        await waiving.ask(self._desk, first, obligation_id=owed.id, post=post)
        await waiving.confirm(
            self._desk, second, obligation_id=owed.id, post=WaiverConfirmPost(by_name="Lee Ortiz")
        )

    async def obligation(self, notice: Posted) -> Obligation:
        """Read what the agency owes the notice's incident."""
        async with self._desk.database.read() as conn:
            found = await obligations.find_obligation(
                conn, incident_id=notice.incident_id, agency_id=self.row.id
            )
        assert found is not None, "the notice binds this agency"
        return found

    async def steps(self, notice: Posted) -> list[StepRow]:
        """Read the steps that fired or were skipped for the agency."""
        owed = await self.obligation(notice)
        async with self._desk.database.read() as conn:
            return await obligations.steps_of(conn, [owed.id])
