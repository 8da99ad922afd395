"""The demo's script: each beat is what a person or system does to the real gateway, over HTTP."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from noticebus.cli.client import Client
from noticebus.cli.demo.cast import Member
from noticebus.cli.demo.mail import Mail, MailSink
from noticebus.cli.demo.rows import clock, is_kept_late, length
from noticebus.cli.demo.scenario import Beat, Scenario
from noticebus.cli.demo.stage import Stage, eventually
from noticebus.cli.output import CommandError
from noticebus.contracts.acknowledgement import Person
from noticebus.contracts.answers import ObligationView
from noticebus.contracts.policy import PolicySimulation
from noticebus.contracts.vocabulary import Owed

PAGE_LIMIT_S = 10.0
CREATED = 201


@dataclass(slots=True, kw_only=True)
class Record:
    """What came of the beats, as the bus answered them."""

    incident_id: str = ""
    bound: int = 0  # obligations created, as the latest answer to a post says
    notice_ids: list[str] = field(default_factory=list)  # by version, the first at 0
    posted: dict[str, Any] = field(default_factory=dict)
    repeated: dict[str, Any] = field(default_factory=dict)
    duplicate_ignored: bool = False
    asked: dict[str, Any] = field(default_factory=dict)
    pages_opened: int = 0


class Script:
    """Plays beats, one after the other. `tell` is told a sentence about each."""

    def __init__(
        self,
        scenario: Scenario,
        stage: Stage,
        *,
        cast: Mapping[str, Member],
        sink: MailSink,
        tell: Callable[[str], None],
    ) -> None:
        self.record = Record()
        self._scenario = scenario
        self._stage = stage
        self._cast = cast
        self._sink = sink
        self._tell = tell
        self._key = secrets.token_hex(16)
        self._versions = scenario.versions()

    async def play(self) -> None:
        """Play the whole scenario; returns at the time of its last beat."""
        beats: dict[str, Callable[[Beat], Awaitable[None]]] = {
            "post": self._post,
            "repeat": self._repeat,
            "update": self._update,
            "answer": self._answer,
            "scan": self._scan,
            "phone": self._phone,
            "ask": self._ask,
            "simulate": self._simulate,
            "end": self._end,
        }
        for beat in self._scenario.beats:
            await self._stage.until(self._scenario.when(beat))
            await beats[beat.do](beat)

    async def _post(self, beat: Beat) -> None:
        answer = await self._send_notice()
        self.record.posted = answer.body
        self.record.incident_id = answer.body["incident_id"]
        self.record.notice_ids.append(answer.body["id"])
        told = answer.body["recipients"]
        self.record.bound = told["count"]
        sites, areas = len(self._scenario.notice.get("sites", ())), self._scenario.notice["areas"]
        counties = {code for area in areas for code in area.get("county_fips", ())}
        self._tell(
            f"One notice posted: {sites} sites, {len(counties)} counties, {told['count']}"
            f" recipients: {told['mandatory']} must answer, {told['advisory']} are asked to."
        )

    async def _repeat(self, beat: Beat) -> None:
        answer = await self._send_notice()
        self.record.repeated = answer.body
        same = answer.body["id"] == self.record.posted["id"]
        self.record.duplicate_ignored = same and "Idempotency-Replayed" in answer.headers
        ending = "duplicate ignored" if self.record.duplicate_ignored else "NOT recognised"
        self._tell(f"The same post again, with the same key: {ending}.")

    async def _send_notice(self) -> Any:
        return await self._poster.call(
            "POST",
            "/v1/notices",
            body=self._scenario.notice,
            headers={"Idempotency-Key": self._key},
        )

    async def _update(self, beat: Beat) -> None:
        assert beat.update is not None, "held by the check of the scenario"
        path = f"/v1/incidents/{self.record.incident_id}/updates"
        answer = await self._poster.call("POST", path, body=self._versions[beat.update])
        notice_id = answer.body["id"]
        self.record.notice_ids.append(notice_id)
        seen = (await self._stage.operator.call("GET", f"/v1/notices/{notice_id}")).body
        version, self.record.bound = answer.body["version"], answer.body["recipients"]["count"]
        self._tell(f"Update: version {version}, {_figures(seen)}.")
        await self._tell_promise(version)
        if not seen["material"]:
            self._tell("Counts alone: everybody is told, nobody is asked again.")
            return
        owed = await self._obligations()
        before = sum(0 < one["answered_version"] < version for one in owed)
        self._tell(
            f"It is material: a new round for all {len(owed)};"
            f" {before} have accepted version {version - 1} of {version}."
        )

    async def _tell_promise(self, version: int) -> None:
        """Say how much later than promised the poster sent a version."""
        kept = [one for one in await self._all_owed() if one["owed"] == Owed.UPDATE]
        for one in map(ObligationView.model_validate, kept):
            if one.round_version == version - 1 and is_kept_late(one):
                assert one.due_at is not None, "held by the test before"
                assert one.closed_at is not None, "held by the test before"
                told = f"It was promised for {clock(one.due_at, zone=self._scenario.zone)}"
                self._tell(f"{told}: {length(one.closed_at - one.due_at)} late, and marked so.")

    async def _answer(self, beat: Beat) -> None:
        member = self._member(beat)
        if beat.by == "api":
            await self._answer_by_api(beat, member)
        else:
            await self._answer_by_link(beat, member)

    async def _answer_by_api(self, beat: Beat, member: Member) -> None:
        """Answer as a system does: to the address that the verified webhook named."""

        async def arrived() -> dict[str, Any] | None:
            return member.event(version=beat.version)

        event = await eventually(arrived, what=f"the webhook of {member.agency.name}")
        path = urlsplit(event["obligation"]["acknowledge_url"]).path
        body = {"answer": "accepted", "by": _person(beat).model_dump()}
        made = (await member.client.call("POST", path, body=body)).body
        self._tell(f"{member.agency.short} accepts version {made['version']} by API{_late(made)}.")

    async def _answer_by_link(self, beat: Beat, member: Member) -> None:
        """Answer as a person does: open the mail's link, type its code and a name, press."""
        mail = await self._mail(beat, member)
        person = _person(beat)
        form = {
            "answer": "accepted",
            "code": mail.code or "",
            "name": person.name,
            "role": person.role,
        }
        limit = aiohttp.ClientTimeout(total=PAGE_LIMIT_S)
        async with aiohttp.ClientSession(timeout=limit) as browser:
            async with browser.get(mail.link or "") as page:
                page.raise_for_status()
            async with browser.post(mail.link or "", data=form) as receipt:
                if receipt.status != CREATED:
                    raise CommandError(
                        f"The page of {member.agency.name} answered {receipt.status}.",
                        remedy="Read the log in the demo's folder: run it with --keep.",
                    )
        owed = await self._obligation(member)
        newest = max(owed["acknowledgements"], key=lambda one: one["recorded_at"])
        who = "second contact" if beat.contact != "on_duty" else "link and code"
        self._tell(
            f"{member.agency.short} accepts version {newest['version']} by {who}{_late(newest)}."
        )

    async def _scan(self, beat: Beat) -> None:
        """Open the link as mail scanners do, again and again, without pressing anything."""
        member = self._member(beat)
        link = (await self._mail(beat, member)).link or ""
        limit = aiohttp.ClientTimeout(total=PAGE_LIMIT_S)
        async with aiohttp.ClientSession(timeout=limit) as scanner:
            for number in range(beat.gets + beat.heads):
                method = "GET" if number < beat.gets else "HEAD"
                async with scanner.request(method, link) as page:
                    page.raise_for_status()
        self.record.pages_opened += beat.gets + beat.heads
        owed = await self._obligation(member)
        answers = len(owed["acknowledgements"])
        opened = "opened" if owed["opened_at"] else "not opened"
        self._tell(
            f"A mail scanner opens the link of {member.agency.short}"
            f" {beat.gets + beat.heads} times: {opened}, {answers} answers."
        )

    async def _phone(self, beat: Beat) -> None:
        member = self._member(beat)
        owed = await self._obligation(member)
        body = {
            "answer": "accepted",
            "by": _person(beat).model_dump(),
            "how": beat.how,
            "on_behalf_of": beat.on_behalf_of,
        }
        path = f"/v1/obligations/{owed['id']}/acknowledgements"
        made = (await self._stage.operator.call("POST", path, body=body)).body
        self._tell(
            f"An operator rings {member.agency.short} and records the answer"
            f" ({made['how']}){_late(made)}."
        )

    async def _ask(self, beat: Beat) -> None:
        member = self._member(beat)
        path = f"/v1/incidents/{self.record.incident_id}/questions"
        body = {"topic": beat.topic, "text": beat.text}
        self.record.asked = (await member.client.call("POST", path, body=body)).body
        self._tell(f"{member.agency.short} asks the poster: {self.record.asked['text']}")

    async def _simulate(self, beat: Beat) -> None:
        """Ask the bus whom it would call if the notice came now, and say what it answers."""
        member = self._member(beat)
        path = f"/v1/agencies/{member.id}/policy-simulation"
        query = {
            "class": self._scenario.notice["class"],
            "status": self._scenario.notice["status"],
        }
        found = await self._stage.operator.call("GET", path, query=query)
        seen = PolicySimulation.model_validate(found.body)
        zone = self._scenario.zone
        for sentence in seen.why.split(". "):
            self._tell(f"{member.agency.short}, policy now: {sentence.rstrip('.')}.")
        steps = [f"{clock(one.at, zone=zone)} {one.notify}" for one in seen.calls if one.notify]
        self._tell(f"So, while nobody answers: {', '.join(steps)}.")

    async def _end(self, beat: Beat) -> None:
        await self._stage.settle()
        await self._stage.system.sequencer.sweep()

    async def _mail(self, beat: Beat, member: Member) -> Mail:
        address = member.agency.contact(beat.contact).email

        async def arrived() -> Mail | None:
            return self._sink.newest(address, version=beat.version)

        return await eventually(arrived, what=f"mail to {address} about version {beat.version}")

    async def _obligation(self, member: Member) -> dict[str, Any]:
        of_member = [one for one in await self._obligations() if one["agency"]["id"] == member.id]
        owed: dict[str, Any] = of_member[0]
        return owed

    async def _obligations(self) -> list[dict[str, Any]]:
        """Read what the recipients owe."""
        return [one for one in await self._all_owed() if one["owed"] == Owed.NOTICE]

    async def _all_owed(self) -> list[dict[str, Any]]:
        """Read what everybody owes: questions and promised updates are the poster's."""
        path = f"/v1/incidents/{self.record.incident_id}/obligations"
        return await self._stage.operator.list_all(path)

    def _member(self, beat: Beat) -> Member:
        assert beat.who is not None, "held by the check of the scenario"
        return self._cast[beat.who]

    @property
    def _poster(self) -> Client:
        return self._cast[self._scenario.poster].client


def _person(beat: Beat) -> Person:
    assert beat.person is not None, "held by the check of the scenario"
    return beat.person


def _late(made: Mapping[str, Any]) -> str:
    return ", late" if made["late"] else ""


def _figures(notice: Mapping[str, Any]) -> str:
    """Add up what a version says; one site unknown makes the sum unknown (I13)."""
    totals = [one.get("detained_total") for one in notice.get("counts", ())]
    known = [one for one in totals if one is not None]
    count = sum(known) if known and len(known) == len(totals) else None
    children = notice["children"]["status"]
    return f"{'unknown' if count is None else count} detained, children {children}"
