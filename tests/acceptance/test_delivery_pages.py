"""The page of one delivery: by endpoint, mail or telephone, each as far as the reader may see."""

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from harness.console import Browser, Console
from harness.desk import add_agency, add_contact
from harness.orders import add_deliveries, add_orders
from noticebus.casework.bodies import webhook_body
from noticebus.casework.page_views import ENTRY_TYPE
from noticebus.casework.views import Contents
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    Channel,
    DeliveryState,
    Fault,
    HeldReason,
    Outcome,
    UserRole,
)
from noticebus.store import claims
from noticebus.store.agencies import Agency
from noticebus.store.deliveries import Attempt, Delivery, insert_attempts
from noticebus.store.subscriptions import Subscription
from noticebus.store.tables import entries

TELEPHONE = "+16015550142"


@dataclass(frozen=True, kw_only=True)
class Hand:
    """The console, an agency with a webhook, its administrator and an operator of the bus."""

    console: Console
    agency: Agency
    order: Subscription
    theirs: Browser
    operator: Browser

    async def deliver(self, **facts: Any) -> Delivery:
        """Add a delivery to the webhook."""
        (made,) = await add_deliveries(self.console.desk, (self.order, facts))
        return made

    async def write(self, contact_id: str, channel: Channel, **facts: Any) -> Delivery:
        """Add a delivery to a contact."""
        return await self.deliver(
            subscription_id=None,
            contact_id=contact_id,
            channel=channel,
            cause=Cause.STEP,
            destination=f"{contact_id} {channel}",
            **facts,
        )


@pytest.fixture
async def hand(console: Console) -> Hand:
    """Furnish an agency with one webhook, and those who look."""
    agency = await add_agency(console.desk, "Scott County CPS")
    (order,) = await add_orders(console.desk, 1, agency_id=agency.id)
    return Hand(
        console=console,
        agency=agency,
        order=order,
        theirs=await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=agency),
        operator=await console.sign_in(UserRole.OPERATOR),
    )


async def tried(hand: Hand, delivery: Delivery, **facts: Any) -> None:
    """Add an attempt of a delivery that failed, with `facts`."""
    now = hand.console.desk.world.now()
    said: dict[str, Any] = {
        "number": 1,
        "outcome": Outcome.FAILED,
        "fault": Fault.RECIPIENT,
        "status_code": 503,
        "body_digest": "",
        "response_excerpt": "",
        "error": "",
        "duration_ms": 12,
    }
    attempt = Attempt(delivery_id=delivery.id, started_at=now, finished_at=now, **(said | facts))
    async with hand.console.desk.database.begin() as conn:
        await insert_attempts(conn, [attempt])


async def digest_of(hand: Hand, delivery: Delivery) -> str:
    """Give the digest of what a dispatcher would put on the wire."""
    desk = hand.console.desk
    async with desk.database.read() as conn:
        destination = (await claims.destinations_of(conn, [delivery.id]))[delivery.id]
    body = webhook_body(
        delivery,
        notice=None,
        destination=destination,
        contents=Contents(),
        base_url=desk.base_url,
    )
    return hashlib.sha256(body).hexdigest()


async def views_entered(hand: Hand) -> list[str]:
    """Give what was entered of views."""
    async with hand.console.desk.database.read() as conn:
        found = await conn.execute(sa.select(entries.c.body).where(entries.c.type == ENTRY_TYPE))
        return [bytes(one).decode() for one in found.scalars()]


async def test_agency_reads_the_body_that_went_and_the_operator_does_not(hand: Hand) -> None:
    delivery = await hand.deliver(attempts=1)
    await tried(hand, delivery, body_digest=await digest_of(hand, delivery))

    operators = (await hand.operator.get(f"/deliveries/{delivery.id}")).text
    entered_before = await views_entered(hand)
    theirs = (await hand.theirs.get(f"/deliveries/{delivery.id}")).text

    assert "org.noticebus.test.v1" in theirs
    assert "--data-binary &#39;{" in theirs
    assert "org.noticebus.test.v1" not in operators
    assert "Only the agency it went to may read it" in operators
    assert "--data-binary @body.json" in operators
    assert entered_before == []
    (entered,) = await views_entered(hand)
    assert delivery.id in entered


async def test_signature_is_masked_and_a_secret_that_came_back_too(hand: Hand) -> None:
    delivery = await hand.deliver(attempts=1)
    await tried(
        hand,
        delivery,
        response_excerpt="Authorization: Bearer abc.def",
        response_headers={"location": "/?token=Bearer abc.def"},
        error="It said whsec_abcdefgh.",
    )

    page = (await hand.theirs.get(f"/deliveries/{delivery.id}")).text

    assert "v1,[masked] v1a,[masked]" in page
    assert "abc.def" not in page
    assert "abcdefgh" not in page


async def test_every_try_says_whose_fault_it_was_and_what_to_do(hand: Hand) -> None:
    delivery = await hand.deliver(attempts=2)
    await tried(hand, delivery, status_code=401, connect_ms=2, first_byte_ms=9)
    await tried(
        hand,
        delivery,
        number=2,
        outcome=Outcome.UNSENDABLE,
        fault=Fault.OURS,
        status_code=None,
        error="Our own network had no way to the server just now.",
    )

    page = (await hand.theirs.get(f"/deliveries/{delivery.id}")).text

    assert page.index("Try 2:") < page.index("Try 1:")
    assert "Your server asked for a log-in." in page
    assert "It used up none of your tries." in page
    assert page.count("connect 2 ms, first byte 9 ms, in all 12 ms") == 2  # beside it, and drawn
    assert "not arrived yet, and tried again" in page


async def test_what_waits_says_for_what(hand: Hand) -> None:
    delivery = await hand.deliver(due_at=None, held_reason=HeldReason.PAUSED)

    page = (await hand.theirs.get(f"/deliveries/{delivery.id}")).text

    assert "because the subscription is paused" in page
    assert "It has not been tried yet." in page


async def test_mail_and_text_message_show_whom_they_went_to(hand: Hand) -> None:
    contact = await add_contact(
        hand.console.desk, hand.agency, "Rosa Alvarez", email="rosa@cps.example", phone=TELEPHONE
    )
    mail = await hand.write(contact.id, Channel.EMAIL, state=DeliveryState.DELIVERED, due_at=None)
    text = await hand.write(
        contact.id, Channel.SMS, state=DeliveryState.HANDED_OVER, due_at=None, step=1
    )
    await tried(
        hand,
        text,
        outcome=Outcome.HANDED_OVER,
        fault=None,
        status_code=201,
        provider_id="SM123",
        provider_status="queued",
    )

    mailed = (await hand.operator.get(f"/deliveries/{mail.id}")).text
    texted = (await hand.theirs.get(f"/deliveries/{text.id}")).text

    assert "rosa@cps.example" in mailed
    assert TELEPHONE not in mailed
    assert "Whether anybody has read it, this does not say." in mailed
    assert "Send this one again" not in mailed
    assert f'href="tel:{TELEPHONE}"' in texted
    assert "SM123" in texted
    assert "has not said what came of it" in texted
    assert len(await views_entered(hand)) == 2


async def test_agency_is_not_told_which_operator_was_written_to_about_it(hand: Hand) -> None:
    desk = hand.console.desk
    operators = await add_agency(desk, "Bus operators", kind=AgencyKind.OPERATOR)
    person = await add_contact(desk, operators, "Olga Operator", email="olga@bus.example")
    warned = await hand.write(person.id, Channel.EMAIL)
    await tried(hand, warned, status_code=550, response_excerpt="olga@bus.example: no mailbox")

    theirs = (await hand.theirs.get(f"/deliveries/{warned.id}")).text
    ours = (await hand.operator.get(f"/deliveries/{warned.id}")).text

    assert "a contact elsewhere" in theirs
    assert "Olga" not in theirs
    assert "olga@bus.example" not in theirs
    assert "Olga Operator" in ours
    assert "olga@bus.example: no mailbox" in ours
    assert "no mailbox" not in theirs
    assert "Try 1" in theirs


async def test_another_agencys_mail_is_not_there(hand: Hand) -> None:
    desk = hand.console.desk
    other = await add_agency(desk, "Elsewhere")
    contact = await add_contact(desk, other, "Somebody")
    mail = await hand.write(contact.id, Channel.EMAIL, agency_id=other.id)

    await hand.theirs.get(f"/deliveries/{mail.id}", status=404)
    await hand.theirs.get("/deliveries/dlv_nothing", status=404)


async def test_only_what_has_a_number_is_sent_again(hand: Hand) -> None:
    delivery = await hand.deliver()
    page = (await hand.theirs.get(f"/deliveries/{delivery.id}")).text
    before = await hand.console.api.counts()

    assert "Send this one again" not in page
    await hand.theirs.get("/agencies")
    refused = await hand.theirs.post(
        f"/deliveries/{delivery.id}/send-again", {"total": "1"}, status=409
    )
    assert "Only what has a number is sent again" in refused.text
    unread = await hand.theirs.post(
        f"/deliveries/{delivery.id}/send-again", {"total": "all"}, status=422
    )
    assert "must be a whole number" in unread.text
    assert await hand.console.api.counts() == before


async def test_topic_has_no_address_and_no_curl(hand: Hand) -> None:
    (topic,) = await add_orders(
        hand.console.desk, 1, agency_id=hand.agency.id, channel=Channel.KAFKA, url=None
    )
    (delivery,) = await add_deliveries(hand.console.desk, (topic, {"channel": Channel.KAFKA}))

    page = (await hand.theirs.get(f"/deliveries/{delivery.id}")).text

    assert "ce_id" in page
    assert "curl" not in page
