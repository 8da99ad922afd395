"""The page of one endpoint: how it stands in words, and its controls for those who may use them."""

import datetime as dt
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa

from harness.console import Browser, Console
from harness.desk import add_agency, add_contact
from harness.orders import add_deliveries, add_orders
from harness.statements import statements_of
from noticebus.access.keyring import new_webhook_secret
from noticebus.access.sessions import Sessions
from noticebus.casework.consent import ask_consent
from noticebus.console.visitors import cookie_name
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    DeliveryState,
    EndpointState,
    Fault,
    HeldReason,
    Outcome,
    PauseReason,
    SubscriptionState,
    UserRole,
)
from noticebus.domain.health import Health
from noticebus.store import endpoints
from noticebus.store.agencies import Agency
from noticebus.store.deliveries import Attempt, Delivery, insert_attempts
from noticebus.store.subscriptions import Subscription, find_subscription, update_subscription
from noticebus.store.tables import deliveries, entries, replays

HOSTILE = "<script>alert('x')</script>"


@dataclass(frozen=True, kw_only=True)
class Site:
    """The console, an agency with one webhook, and whoever came by a link of that agency's."""

    console: Console
    agency: Agency
    order: Subscription
    technician: Browser

    @property
    def path(self) -> str:
        return f"/endpoints/{self.order.id}"


@pytest.fixture
async def site(console: Console) -> Site:
    """Furnish an agency whose webhook has a secret of its own."""
    agency = await add_agency(console.desk, "Scott County CPS")
    await add_contact(console.desk, agency, "Dana Reyes")
    sealed = [{"sealed": console.desk.keyring.seal(new_webhook_secret()), "expires_at": None}]
    (order,) = await add_orders(
        console.desk, 1, agency_id=agency.id, name=HOSTILE, secrets_sealed=sealed
    )
    technician = await by_link(console, agency)
    return Site(console=console, agency=agency, order=order, technician=technician)


async def by_link(console: Console, agency: Agency) -> Browser:
    """Open a browser for whoever was given a link to an agency's pages."""
    sessions: Sessions = console.api.app.state.sessions
    maker = (await console.sign_in(UserRole.OPERATOR, name="Olga Operator")).user
    assert maker is not None
    async with console.desk.database.begin() as conn:
        begun = await sessions.begin_by_link(
            conn, agency_id=agency.id, name="State IT", granted_by=maker.id
        )
    browser = console.browser()
    browser.client.cookies.set(cookie_name(console.desk), begun.cookie)
    browser.client.headers["Sec-Fetch-Site"] = "same-origin"
    return browser


async def stands(site: Site, **facts: Any) -> None:
    """Bring the endpoint to a state of health."""
    now = site.console.desk.world.now()
    async with site.console.desk.database.begin() as conn:
        await endpoints.insert_missing(conn, [site.order.id], now=now)
        await endpoints.write(conn, {site.order.id: Health(**facts)}, now=now)


async def change(site: Site, **facts: Any) -> Subscription:
    """Write facts over the subscription, as somebody else would."""
    async with site.console.desk.database.begin() as conn:
        changed = replace(site.order, revision=site.order.revision + 1, **facts)
        assert await update_subscription(conn, changed, revision=site.order.revision)
    return changed


async def tried(site: Site, delivery: Delivery, **facts: Any) -> None:
    """Add an attempt of a delivery."""
    now = site.console.desk.world.now()
    attempt = Attempt(
        delivery_id=delivery.id,
        number=1,
        started_at=now,
        finished_at=now,
        outcome=Outcome.REFUSED,
        fault=Fault.RECIPIENT,
        status_code=302,
        body_digest="",
        response_excerpt=f"{HOSTILE} whsec_abcdefghijklmnop",
        error="",
        duration_ms=140,
    )
    async with site.console.desk.database.begin() as conn:
        await insert_attempts(conn, [replace(attempt, **facts)])


async def numbered(site: Site, *numbers: int) -> list[Delivery]:
    """Add delivered notices with these numbers."""
    facts = {"state": DeliveryState.DELIVERED, "due_at": None, "cause": Cause.NOTICE}
    return await add_deliveries(
        site.console.desk, *((site.order, {**facts, "sequence": one}) for one in numbers)
    )


def in_words(page: str) -> str:
    """Leave out how instants are marked."""
    return re.sub(r"</?(?:time|span)[^>]*>", "", page)


async def everything(site: Site) -> dict[str, list[Any]]:
    """Read every row, but for when sessions were seen last."""
    rows = await site.console.api.everything()
    return {name: found for name, found in rows.items() if name != "sessions"}


async def types_entered(site: Site) -> list[str]:
    """Name the ledger's entries in order."""
    async with site.console.desk.database.read() as conn:
        return list(
            (await conn.execute(sa.select(entries.c.type).order_by(entries.c.position))).scalars()
        )


async def test_healthy_endpoint_says_so_with_symbol_and_word_and_no_secret(site: Site) -> None:
    page = await site.technician.get(site.path)

    assert "✓</span> healthy" in page.text
    assert "It works. Nothing waits for it." in page.text
    assert "agency.example/hook" in page.text
    assert "whsec_abc" not in page.text
    assert page.headers["cache-control"] == "no-store"


async def test_hostile_name_and_excerpt_are_shown_as_text(site: Site) -> None:
    (delivery,) = await add_deliveries(site.console.desk, (site.order, {"attempts": 1}))
    await tried(site, delivery)

    endpoint = await site.technician.get(site.path)
    page = await site.technician.get(f"/deliveries/{delivery.id}")

    assert HOSTILE not in endpoint.text
    assert "&lt;script&gt;" in endpoint.text
    assert HOSTILE not in page.text
    assert "&lt;script&gt;" in page.text
    assert "whsec_abcdefghijklmnop" not in page.text


async def test_failing_endpoint_says_since_when_and_when_it_is_held_back(site: Site) -> None:
    now = site.console.desk.world.now()
    await stands(
        site,
        state=EndpointState.FAILING,
        failures=6,
        failing_since=now,
        last_error="Your server failed with 503.",
    )

    page = await site.technician.get(site.path)

    assert (
        "Failing since Wed 07 Aug 08:00 CDT (13:00Z): 6 in a row, warned at 5 of 10 failures;"
        " it will be held back at 10." in page.text
    )
    assert "Your server failed with 503." in page.text


async def test_held_back_endpoint_says_what_waits_and_when_it_is_tried(site: Site) -> None:
    desk = site.console.desk
    await stands(
        site,
        state=EndpointState.TRIPPED,
        failures=12,
        trips=2,
        tripped_at=desk.world.now(),
        probe_at=desk.machine.now() + dt.timedelta(minutes=4, seconds=30),
    )
    await add_deliveries(
        desk, (site.order, {"due_at": None, "held_reason": HeldReason.ENDPOINT_DOWN})
    )

    page = await site.technician.get(site.path)

    assert "held back" in page.text
    assert "after 12 failures in a row: the next try goes in 4 min, 1 delivery waits" in page.text
    assert "never switched off" in page.text


async def test_another_agencys_endpoint_and_delivery_are_not_there(site: Site) -> None:
    (delivery,) = await numbered(site, 1)
    stranger = await by_link(site.console, await add_agency(site.console.desk, "Elsewhere"))

    await stranger.get(site.path, status=404)
    await stranger.get(f"{site.path}/replay?after=0", status=404)
    await stranger.get(f"/deliveries/{delivery.id}", status=404)
    await stranger.get("/agencies")
    before = await everything(site)
    for action in ("test", "pause", "rotate-secret", "renew", "verify"):
        await stranger.post(
            f"{site.path}/{action}", {"revision": "1", "overlap_hours": "0"}, status=404
        )
    await stranger.post(f"/deliveries/{delivery.id}/send-again", {"total": "1"}, status=404)
    assert await everything(site) == before


async def test_whoever_came_by_a_link_sees_no_obligations_and_makes_no_link(site: Site) -> None:
    (delivery,) = await numbered(site, 1)
    administrator = await site.console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=site.agency)

    borrowed = (await site.technician.get(f"/agencies/{site.agency.id}")).text
    own = (await administrator.get(f"/agencies/{site.agency.id}")).text

    assert "Dana Reyes" in borrowed
    assert "How it has answered" not in borrowed
    assert f"/agencies/{site.agency.id}/links" not in borrowed
    assert "How it has answered" in own
    assert f"/agencies/{site.agency.id}/links" in own
    page = await site.technician.get(f"/deliveries/{delivery.id}")
    assert "What this means" in page.text
    assert 'href="/obligations/' not in page.text


async def test_auditor_reads_and_has_no_buttons_and_can_post_none(site: Site) -> None:
    auditor = await site.console.sign_in(UserRole.AUDITOR)
    (delivery,) = await numbered(site, 1)

    page = await auditor.get(site.path)
    shown = await auditor.get(f"/deliveries/{delivery.id}")

    assert "What you can do" not in page.text
    assert "Send this one again" not in shown.text
    before = await everything(site)
    await auditor.post(f"{site.path}/test", {"revision": "1"}, status=403)
    await auditor.post(
        f"{site.path}/rotate-secret", {"revision": "1", "overlap_hours": "1"}, status=403
    )
    await auditor.post(f"/deliveries/{delivery.id}/send-again", {"total": "1"}, status=403)
    await auditor.get(f"{site.path}/replay?after=0", status=403)
    assert await everything(site) == before


async def test_form_from_elsewhere_does_nothing(site: Site) -> None:
    await site.technician.get(site.path)
    before = await everything(site)

    await site.technician.post(f"{site.path}/pause", {"csrf": "guess", "revision": "1"}, status=403)

    assert await everything(site) == before


async def test_test_is_sent_and_its_real_error_is_shown_on_the_same_page(site: Site) -> None:
    await site.technician.get(site.path)
    sent = await site.technician.post(f"{site.path}/test", {"revision": "1"})
    waiting = await site.technician.follow(sent)
    found = re.search(r"test=(dlv_[0-9a-z]{26})", sent.headers["location"])
    assert found is not None
    assert 'hx-trigger="every 2s"' in waiting.text

    async with site.console.desk.database.read() as conn:
        row = (
            (await conn.execute(sa.select(deliveries).where(deliveries.c.id == found[1])))
            .mappings()
            .one()
        )
    await tried(site, Delivery(**row))
    answered = await site.technician.get(f"{site.path}?test={found[1]}")

    assert "refused</span> 302 in 140 ms" in answered.text
    assert "redirects are not followed" in answered.text
    assert 'hx-trigger="every 2s"' not in answered.text


async def test_delivery_of_another_endpoint_is_shown_as_nobodys_test(site: Site) -> None:
    (other,) = await add_orders(site.console.desk, 1)
    (foreign,) = await add_deliveries(site.console.desk, (other, {}))

    page = await site.technician.get(f"{site.path}?test={foreign.id}")

    assert "Your test" not in page.text


async def test_new_secret_is_shown_once_and_the_old_one_signs_on(site: Site) -> None:
    await site.technician.get(site.path)
    shown = await site.technician.post(
        f"{site.path}/rotate-secret", {"revision": "1", "overlap_hours": "24"}, status=200
    )
    (secret,) = re.findall(r'value="(whsec_[^"]+)"', shown.text)
    again = await site.technician.get(site.path)

    assert shown.headers["cache-control"] == "no-store"
    assert "23 h 59 min from now" in shown.text
    assert secret not in again.text
    assert "2; the old one until" in again.text
    async with site.console.desk.database.read() as conn:
        bodies = (await conn.execute(sa.select(entries.c.body))).scalars().all()
    assert all(secret.encode() not in body for body in bodies)


async def test_sending_the_rotation_twice_makes_one_secret(site: Site) -> None:
    await site.technician.get(site.path)
    form = {"revision": "1", "overlap_hours": "24"}
    await site.technician.post(f"{site.path}/rotate-secret", form, status=200)
    second = await site.technician.post(f"{site.path}/rotate-secret", form, status=409)

    assert "You clicked twice: a new secret was made, and shown to nobody." in second.text
    assert "The secret before it signs until" in second.text
    assert 'name="revision" value="2"' in second.text
    assert (await types_entered(site)).count("subscription.secret_rotated") == 1

    await site.technician.post(f"{site.path}/rotate-secret", {**form, "revision": "2"}, status=200)
    other = await site.console.sign_in(UserRole.OPERATOR)
    await other.get(site.path)
    refused = await other.post(f"{site.path}/rotate-secret", form, status=412)
    assert "Somebody changed it while you looked at it." in refused.text


async def test_old_secret_is_revoked_at_once_and_only_once(site: Site) -> None:
    await site.technician.get(site.path)
    await site.technician.post(
        f"{site.path}/rotate-secret", {"revision": "1", "overlap_hours": "24"}, status=200
    )
    page = await site.technician.get(site.path)
    assert "Revoke the old secret now" in page.text
    done = await site.technician.post(f"{site.path}/revoke-old-secrets", {"revision": "2"})
    after = await site.technician.follow(done)

    assert "Revoke the old secret now" not in after.text
    assert "Only the newest secret signs from now on." in after.text
    assert (await types_entered(site))[-1] == "subscription.old_secrets_revoked"
    refused = await site.technician.post(
        f"{site.path}/revoke-old-secrets", {"revision": "3"}, status=409
    )
    assert "there is no older one to revoke" in refused.text


@pytest.mark.parametrize("hours", ["", "-1", "169", "many", "1.5", "٣"])
async def test_overlap_that_is_no_number_of_hours_changes_nothing(site: Site, hours: str) -> None:
    await site.technician.get(site.path)
    before = await everything(site)

    page = await site.technician.post(
        f"{site.path}/rotate-secret", {"revision": "1", "overlap_hours": hours}, status=422
    )

    assert "from 0 to 168" in page.text
    assert await everything(site) == before


async def test_pause_and_resume_and_what_a_stale_form_says(site: Site) -> None:
    await site.technician.get(site.path)
    paused = await site.technician.follow(
        await site.technician.post(f"{site.path}/pause", {"revision": "1"})
    )
    assert "Paused by State IT since" in paused.text
    stale = await site.technician.post(
        f"{site.path}/resume", {"revision": "1", "held": "send"}, status=412
    )
    assert "Below is how it stands now." in stale.text
    unsaid = await site.technician.post(f"{site.path}/resume", {"revision": "2"}, status=422)
    assert "send it, or leave it" in unsaid.text
    left = await site.technician.follow(
        await site.technician.post(f"{site.path}/resume", {"revision": "2", "held": "leave"})
    )
    assert "stays in the inbox and is not sent" in left.text


async def test_who_of_the_bus_paused_it_is_not_named_to_the_agency(site: Site) -> None:
    operator = await site.console.sign_in(UserRole.OPERATOR, name="Olga Operator")
    await operator.get(site.path)
    await operator.post(f"{site.path}/pause", {"revision": "1"})

    theirs = await site.technician.get(site.path)
    ours = await operator.get(site.path)

    assert "Paused by the operators of the bus since" in theirs.text
    assert "Olga" not in theirs.text
    assert "Paused by Olga Operator since" in ours.text


async def test_lapsed_lease_is_renewed_by_its_button(site: Site) -> None:
    now = site.console.desk.world.now()
    await change(
        site,
        state=SubscriptionState.PAUSED,
        paused_at=now,
        pause_reason=PauseReason.LEASE_LAPSED,
        lease_until=now,
    )
    page = await site.technician.get(site.path)
    assert "because nobody renewed its lease" in page.text
    after = await site.technician.follow(
        await site.technician.post(f"{site.path}/renew", {"revision": "2"})
    )
    assert "The lease is renewed." in after.text
    assert "healthy" in after.text


async def test_replay_is_counted_first_and_begins_only_with_that_number(site: Site) -> None:
    await numbered(site, 5, 6, 7)
    counted = await site.technician.get(f"{site.path}/replay?since=2019-08-07T07:00")
    said = "<strong>3 deliveries</strong> since Wed 07 Aug 2019, 07:00 CDT (12:00Z)"
    assert said in in_words(counted.text)
    before = await everything(site)
    wrong = await site.technician.post(
        f"{site.path}/replay", {"after": "4", "until": "7", "total": "2"}, status=409
    )
    assert "It would be 3 deliveries now, not the 2 that were confirmed." in wrong.text
    assert await everything(site) == before
    begun = await site.technician.follow(
        await site.technician.post(
            f"{site.path}/replay", {"after": "4", "until": "7", "total": "3"}
        )
    )
    assert "0 of 3" in begun.text
    (replay_id,) = re.findall(r"replays/(rpl_[0-9a-z]{26})/cancel", begun.text)
    cancelled = await site.technician.follow(
        await site.technician.post(f"{site.path}/replays/{replay_id}/cancel", {})
    )
    assert "Cancelled. What is on its way arrives" in cancelled.text


@pytest.mark.parametrize("query", ["since=yesterday", "since=", "after=-1", "since=0001-01-01"])
async def test_replay_since_nonsense_says_what_to_write(site: Site, query: str) -> None:
    await site.technician.get(site.path)
    before = await everything(site)

    page = await site.technician.get(f"{site.path}/replay?{query}", status=422)

    assert "like 2019-08-07T09:30" in page.text or "a whole number" in page.text
    assert await everything(site) == before


async def test_one_delivery_is_sent_again_by_its_number(site: Site) -> None:
    _, wanted, _ = await numbered(site, 5, 6, 7)
    page = await site.technician.get(f"/deliveries/{wanted.id}")
    assert "Number 6 goes again, alone" in page.text
    await site.technician.post(f"/deliveries/{wanted.id}/send-again", {"total": "3"}, status=409)
    sent = await site.technician.post(f"/deliveries/{wanted.id}/send-again", {"total": "1"})

    assert sent.headers["location"] == f"{site.path}?said=replay-begun#replays"
    async with site.console.desk.database.read() as conn:
        (row,) = (await conn.execute(sa.select(replays))).mappings().all()
    assert (row["after_sequence"], row["until_sequence"], row["total"]) == (5, 6, 1)


async def test_operator_approves_and_the_agency_cannot(site: Site) -> None:
    await change(site, state=SubscriptionState.PENDING_APPROVAL, approved_at=None, verified_at=None)
    page = await site.technician.get(site.path)
    assert "Nothing is sent until an operator of the bus approves it." in page.text
    assert ">Approve<" not in page.text
    await site.technician.post(f"{site.path}/approve", {"revision": "2"}, status=403)
    operator = await site.console.sign_in(UserRole.OPERATOR)
    assert ">Approve<" in (await operator.get(site.path)).text
    after = await operator.follow(await operator.post(f"{site.path}/approve", {"revision": "2"}))
    assert "has not answered the handshake" in after.text
    again = await operator.follow(await operator.post(f"{site.path}/verify", {"revision": "3"}))
    assert "The handshake is on its way." in again.text


async def test_probe_is_refused_with_the_reason_while_it_works(site: Site) -> None:
    await site.technician.get(site.path)
    refused = await site.technician.post(f"{site.path}/probe", {"revision": "1"}, status=409)
    await stands(site, state=EndpointState.TRIPPED, failures=10, trips=1)
    done = await site.technician.post(f"{site.path}/probe", {"revision": "1"})

    assert "there is nothing to probe" in refused.text
    assert "probed" in done.headers["location"]


async def test_unknown_button_is_nothing(site: Site) -> None:
    await site.technician.get(site.path)
    await site.technician.post(f"{site.path}/explode", {"revision": "1"}, status=404)


async def test_page_takes_as_many_statements_with_fifty_attempts_as_with_one(site: Site) -> None:
    (first,) = await add_deliveries(site.console.desk, (site.order, {"attempts": 1}))
    await tried(site, first)
    await site.technician.get(site.path)
    with statements_of(site.console.desk) as few:
        await site.technician.get(site.path)
    more = await add_deliveries(
        site.console.desk, *((site.order, {"attempts": 1, "round": n}) for n in range(1, 61))
    )
    for one in more:
        await tried(site, one)
    with statements_of(site.console.desk) as many:
        page = await site.technician.get(site.path)

    assert len(many) == len(few)
    assert page.text.count("/deliveries/dlv_") == 50


async def test_snippets_carry_their_id_and_address_and_no_secret(site: Site) -> None:
    page = await site.technician.get(site.path)

    assert page.text.count(f"Subscription {site.order.id}") == 6
    assert page.text.count("https://agency.example/hook") >= 6
    assert "has not entered from which addresses it calls" in page.text


async def test_what_of_an_address_may_be_secret_is_masked(site: Site) -> None:
    await change(site, url="https://agency.example/hook?code=topsecret")

    page = await site.technician.get(site.path)

    assert "topsecret" not in page.text
    assert "code=[masked]" in page.text


async def test_reader_of_a_topic_confirms_it_with_the_challenge(site: Site) -> None:
    await change(
        site,
        channel=Channel.KAFKA,
        url=None,
        state=SubscriptionState.PENDING_VERIFICATION,
        verified_at=None,
        challenge="seen-in-the-topic",
    )
    async with site.console.desk.database.begin() as conn:
        locked = await find_subscription(conn, subscription_id=site.order.id)
        assert locked is not None
        await ask_consent(conn, site.console.desk, locked)
    page = await site.technician.get(site.path)
    assert "Confirm that the topic is read" in page.text
    assert "seen-in-the-topic" not in page.text
    wrong = await site.technician.post(f"{site.path}/confirm", {"challenge": "guess"}, status=422)
    assert "This is not the challenge." in wrong.text
    right = await site.technician.follow(
        await site.technician.post(f"{site.path}/confirm", {"challenge": "seen-in-the-topic"})
    )
    assert "Confirmed: the topic is read." in right.text
    assert "healthy" in right.text


async def test_what_the_endpoint_is_shown_is_said_as_facts_to_whoever_manages_it(
    site: Site,
) -> None:
    facts = {
        "sealed": "sealed1.never",
        "client_certificate": {
            "subject": "CN=bus",
            "issuer": "CN=State CA",
            "not_after": "2020-08-07T13:00:00Z",
            "fingerprint_sha256": "ab",
        },
        "oauth2": {
            "token_url": "https://login.cps.example/t?k=topsecret",
            "client_id": "noticebus",
        },
    }
    await change(site, credentials_sealed=facts)
    auditor = await site.console.sign_in(UserRole.AUDITOR)

    theirs = (await site.technician.get(site.path)).text
    audited = (await auditor.get(site.path)).text

    assert "a client certificate of CN=bus, issued by CN=State CA, until 07 Aug 2020" in theirs
    assert "a token from login.cps.example, for the client noticebus" in theirs
    assert "sealed1" not in theirs
    assert "topsecret" not in theirs
    assert "CN=bus" not in audited


async def test_inbox_has_neither_test_nor_replay(console: Console) -> None:
    agency = await add_agency(console.desk, "Church", county_fips=None)
    (order,) = await add_orders(
        console.desk, 1, agency_id=agency.id, channel=Channel.INBOX, url=None
    )
    technician = await by_link(console, agency)

    page = await technician.get(f"/endpoints/{order.id}")

    assert "✓</span> active" in page.text
    assert "Send a test" not in page.text
    assert "Send again what it was sent" not in page.text
    refused = await technician.get(f"/endpoints/{order.id}/replay?after=0", status=409)
    assert "Only a webhook or a Kafka topic is sent anything again" in refused.text
