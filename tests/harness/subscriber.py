"""A subscriber as its technician sees the bus: over HTTP alone, its endpoint a real server."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from harness.api import Api, Caller
from harness.desk import SCOTT_COUNTY
from harness.member import Member
from harness.receivers import Behaviour, WebhookArrival
from harness.system import Bus
from noticebus.contracts.vocabulary import AgencyKind, Position, Scope
from noticebus.ids import SubscriptionId

Json = dict[str, Any]


def answering(headers: dict[str, str] | None = None, **terms: object) -> Behaviour:
    """Answer a handshake with its challenge as JSON, with `terms` beside it."""

    def body(arrival: WebhookArrival) -> bytes:
        challenge = json.loads(arrival.body)["data"]["challenge"]
        return json.dumps({"challenge": challenge, **terms}).encode()

    return Behaviour(headers=headers or {}, body=body)


@dataclass(frozen=True, kw_only=True)
class Subscriber:
    """One agency's active webhook, its own key, and the key of the bus's operator."""

    bus: Bus
    member: Member
    caller: Caller
    operator: Caller
    path: str

    async def view(self) -> Json:
        """Read the subscription."""
        return await self.caller.get(self.path)

    async def call(self, verb: str, body: object = None, *, status: int = 200) -> Json:
        """Post to one of the subscription's verbs."""
        return await self.caller.post(f"{self.path}/{verb}", body, status=status)

    async def edit(self, change: Json, *, status: int = 200) -> Json:
        """Change the subscription as it stands."""
        etag = f'"{(await self.view())["revision"]}"'
        answer = await self.caller.send("PATCH", self.path, json=change, headers={"If-Match": etag})
        assert answer.status_code == status, answer.text
        changed: Json = answer.json()
        return changed

    async def deliveries(self) -> list[Json]:
        """List what was sent, newest first."""
        listed: list[Json] = (await self.caller.get(f"{self.path}/deliveries"))["items"]
        return listed

    async def inbox(self, *, after: int = 0) -> Json:
        """Fetch what came after a number."""
        subscription_id = self.path.rpartition("/")[2]
        return await self.caller.get(f"/v1/inbox?subscription={subscription_id}&after={after}")

    async def entries(self, type_: str) -> list[Json]:
        """Read the ledger's entries of one type about this subscription."""
        await self.bus.settled()
        subscription_id = self.path.rpartition("/")[2]
        data = [one["data"] for one in await self.bus.entries_of() if one["type"] == type_]
        return [one for one in data if one["subscription_id"] == subscription_id]


async def subscriber(
    bus: Bus, *, answer: Behaviour | None = None, path: str = "", **order: object
) -> Subscriber:
    """Take an agency onto the bus with a webhook that has answered its handshake.

    `path` is put behind the receiver's own address.
    """
    member = await bus.agency(
        "Scott County CPS",
        kind=AgencyKind.CPS,
        contacts_at=[Position.ON_DUTY],
        endpoint=False,
    )
    member.receiver.then.append(answer or answering())
    api = Api(app=bus.system.app, desk=bus.desk)
    operator = await api.caller(Scope.OPERATE)
    asked = {
        "agency_id": member.row.id,
        "name": "County intake",
        "areas": [{"county_fips": [SCOTT_COUNTY]}],
        "content_level": "partner",
        "channel": "webhook",
        "url": member.receiver.url + path,
    }
    made = await operator.post("/v1/subscriptions", asked | order)
    member.secret = made["secret"]
    member.subscription_id = SubscriptionId(made["id"])
    await member.next_events()
    await bus.settled()
    return Subscriber(
        bus=bus,
        member=member,
        caller=await api.caller(Scope.SUBSCRIBE, Scope.ANSWER, agency=member.row),
        operator=operator,
        path=f"/v1/subscriptions/{made['id']}",
    )


def instant(text: str) -> dt.datetime:
    """Read an instant of an answer."""
    return dt.datetime.fromisoformat(text)
