"""The demo's cast: every agency entered through the administration's own routes, with its key."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from noticebus.cli.client import Client
from noticebus.cli.demo.scenario import Scenario, ScenarioAgency
from noticebus.cli.demo.stage import Stage, eventually
from noticebus.cli.misbehaving import Misbehaviour
from noticebus.cli.receiver import Received, Receiver
from noticebus.contracts.vocabulary import Channel, ContentLevel, Position, SubscriptionState

Hear = Callable[[ScenarioAgency, Received], None]


@dataclass(slots=True, kw_only=True)
class Member:
    """An agency with its key, and its webhook receiver where it has one."""

    agency: ScenarioAgency
    id: str
    client: Client
    receiver: Receiver | None = None
    secrets: list[str] = field(default_factory=list)

    def event(self, *, version: int) -> dict[str, Any] | None:
        """Give the newest event about `version` that the receiver has taken and verified."""
        assert self.receiver is not None, "held by the check of the scenario"
        for one in reversed(self.receiver.received):
            data = one.event.get("data", {})
            about = data.get("notice", {}).get("version") == version and "obligation" in data
            if about and one.status == 200 and one.verdict.ok:  # noqa: PLR2004 - HTTP's own
                found: dict[str, Any] = data
                return found
        return None


async def engage(
    scenario: Scenario, stage: Stage, *, stack: AsyncExitStack, hear: Hear
) -> Mapping[str, Member]:
    """Enter the whole cast; every webhook has proved its consent when this returns."""
    cast: dict[str, Member] = {}
    async with asyncio.TaskGroup() as tasks:
        for agency in scenario.agencies:
            tasks.create_task(_enter(agency, scenario, stage, stack=stack, cast=cast, hear=hear))
    return {agency.key: cast[agency.key] for agency in scenario.agencies}


async def _enter(
    agency: ScenarioAgency,
    scenario: Scenario,
    stage: Stage,
    *,
    stack: AsyncExitStack,
    cast: dict[str, Member],
    hear: Hear,
) -> None:
    operator = stage.operator
    body = {"name": agency.name, "kind": agency.kind, "zone": scenario.zone}
    made = (await operator.call("POST", "/v1/agencies", body=body)).body
    contacts = {
        contact.position: await _make(
            operator,
            f"/v1/agencies/{made['id']}/contacts",
            contact.post().model_dump(mode="json", exclude_none=True),
        )
        for contact in agency.contacts
    }
    await _state(operator, agency, path=f"/v1/agencies/{made['id']}")
    key = await _key(operator, agency, agency_id=made["id"], posts=agency.key == scenario.poster)
    member = Member(agency=agency, id=made["id"], client=stage.client(key))
    cast[agency.key] = member
    areas = [area.model_dump(mode="json") for area in agency.areas]
    if agency.role is not None:
        duty = {"role": agency.role, "areas": areas}
        await _make(operator, f"/v1/agencies/{made['id']}/responsibilities", duty)
    if agency.webhook is not None:
        await _listen(member, stage, areas, stack=stack, hear=hear)
    elif agency.is_recipient and agency.role is None:
        mailbox = contacts[Position.ON_DUTY]["id"]
        order = _order(member, areas, channel=Channel.EMAIL, level=ContentLevel.PARTNER)
        await _make(operator, "/v1/subscriptions", {**order, "contact_id": mailbox})


async def _state(operator: Client, agency: ScenarioAgency, *, path: str) -> None:
    """State the agency's own calendar and policies, where it has any."""
    if agency.calendar is not None:
        stated = agency.calendar.model_dump(mode="json", exclude_none=True)
        await operator.call("PUT", f"{path}/calendar", body=stated)
    for notice_class, policy in agency.policies.items():
        agreed = policy.model_dump(mode="json", exclude_none=True)
        await operator.call("PUT", f"{path}/policies/{notice_class}", body=agreed)


async def _key(operator: Client, agency: ScenarioAgency, *, agency_id: str, posts: bool) -> str:
    scopes = ["post"] if posts else ["answer", "subscribe"]
    body = {"name": f"System of {agency.short}", "agency_id": agency_id, "scopes": scopes}
    made = await _make(operator, "/v1/api-keys", body)
    return str(made["key"])


async def _listen(
    member: Member,
    stage: Stage,
    areas: list[dict[str, Any]],
    *,
    stack: AsyncExitStack,
    hear: Hear,
) -> None:
    """Start the agency's receiver, subscribe it, and wait until the handshake is through."""
    endpoint = member.agency.webhook
    assert endpoint is not None, "held by the caller"
    fails = None if endpoint.down else endpoint.fail_first
    member.receiver = await stack.enter_async_context(
        Receiver(
            secrets=lambda: tuple(member.secrets),
            misbehaviour=Misbehaviour(fail=fails, status=endpoint.status),
            hear=lambda received: hear(member.agency, received),
        )
    )
    order = _order(member, areas, channel=Channel.WEBHOOK, level=endpoint.content_level)
    order["url"] = f"{member.receiver.url}hook"
    order["heartbeat_minutes"] = None  # a story of what happened needs no word that nothing did
    made = await _make(stage.operator, "/v1/subscriptions", order)
    member.secrets.append(made["secret"])

    async def consented() -> bool | None:
        seen = await stage.operator.call("GET", f"/v1/subscriptions/{made['id']}")
        return True if seen.body["state"] == SubscriptionState.ACTIVE else None

    await eventually(consented, what=f"the handshake with {member.agency.name}")


def _order(
    member: Member, areas: list[dict[str, Any]], *, channel: Channel, level: ContentLevel
) -> dict[str, Any]:
    return {
        "agency_id": member.id,
        "name": f"{member.agency.short}, {channel}",
        "areas": areas,
        "content_level": level,
        "channel": channel,
    }


async def _make(operator: Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = (await operator.call("POST", path, body=body)).body
    return made
