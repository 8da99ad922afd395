"""A new webhook from the console: contacts first, its secret once, its server's first answer."""

import re
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from harness.console import Browser, Console
from harness.desk import add_agency, add_contact
from harness.desk import principal as furnish_principal
from noticebus.casework import consent
from noticebus.casework.desk import Desk
from noticebus.casework.subscriptions import approve_subscription
from noticebus.contracts.vocabulary import Fault, Outcome, Scope, UserRole
from noticebus.ids import DeliveryId
from noticebus.store.deliveries import Attempt, insert_attempts
from noticebus.store.tables import deliveries, entries, subscriptions

FORM: Mapping[str, str | Sequence[str]] = {
    "name": "County intake",
    "url": "https://alerts.example.gov/noticebus",
    "county": ("28123", "28089"),
    "kind": "enforcement_action",
    "content_level": "partner",
}
LOOKS_AGAIN = 'hx-trigger="every 2s" hx-select="#answer"'


async def stored(desk: Desk) -> list[str]:
    async with desk.database.read() as conn:
        return list((await conn.execute(sa.select(subscriptions.c.id))).scalars())


async def answered(desk: Desk, order_id: str, *, number: int, outcome: Outcome, error: str) -> None:
    """Record what the server answered to the handshake, with 200 in either case."""
    now = desk.world.now()
    async with desk.database.begin() as conn:
        of_it = deliveries.c.subscription_id == order_id
        handshake = (await conn.execute(sa.select(deliveries.c.id).where(of_it))).scalar_one()
        attempt = Attempt(
            delivery_id=DeliveryId(handshake),
            number=number,
            started_at=now,
            finished_at=now,
            outcome=outcome,
            fault=None if outcome is Outcome.DELIVERED else Fault.RECIPIENT,
            status_code=200,
            body_digest="",
            response_excerpt="",
            error=error,
            duration_ms=140,
        )
        await insert_attempts(conn, [attempt])
        if outcome is Outcome.DELIVERED:
            await consent.confirm_handshake(conn, desk, subscription_id=order_id, challenge_ok=True)


def filled(browser: Browser, **changes: str) -> dict[str, str | Sequence[str]]:
    """Fill the form in with the key of the page seen last."""
    key = re.search(r'name="key" value="([^"]+)"', browser.page)
    assert key is not None
    return {**FORM, "go": "make", "key": key[1], **changes}


async def test_technician_makes_a_webhook_sees_its_secret_once_and_waits_for_its_answer(
    console: Console,
) -> None:
    desk = console.desk
    agency = await add_agency(desk, "Scott County CPS")
    theirs = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=agency)
    without = (await theirs.get("/endpoints/new")).text
    await add_contact(desk, agency, "Rosa Alvarez", email="rosa@cps.example")

    await theirs.get("/endpoints/new")
    shown = await theirs.post(
        "/endpoints/new", {**filled(theirs), "go": "show", "state": "28"}, status=200
    )
    wrong = await theirs.post(
        "/endpoints/new", filled(theirs, url="https://10.0.0.1/x"), status=422
    )
    before = await stored(desk)
    form = filled(theirs)
    made = await theirs.post("/endpoints/new", form, status=200)
    await theirs.post("/endpoints/new", {**form, "key": ""}, status=422)
    again = await theirs.post("/endpoints/new", form)
    twice = await theirs.get(again.headers["location"])

    assert "Contacts come first" in without
    assert 'name="url"' not in without
    assert "All of Mississippi" in shown.text
    assert 'value="28123" checked' in shown.text
    assert 'href="#url"' in wrong.text
    assert before == []
    (order_id,) = await stored(desk)
    assert again.headers["location"].startswith(f"/endpoints/{order_id}?")
    assert "This webhook was made already" in twice.text
    assert "rotate-secret" in twice.text
    (secret,) = re.findall(r'value="(whsec_[^"]+)"', made.text)
    assert made.headers["cache-control"] == "no-store"
    assert order_id in made.text.partition("Verify our signature")[2]
    assert "https://alerts.example.gov/noticebus" in made.text

    page = f"/endpoints/{order_id}/first-answer"
    unapproved = (await theirs.get(page)).text
    operator = furnish_principal(Scope.OPERATE)
    await approve_subscription(desk, operator, subscription_id=order_id)
    waiting = (await theirs.get(page)).text
    await answered(desk, order_id, number=1, outcome=Outcome.REFUSED, error="Answer with it.")
    unlike = (await theirs.get(page)).text
    await answered(desk, order_id, number=2, outcome=Outcome.DELIVERED, error="")
    right = (await theirs.get(page)).text

    assert "An operator of the bus has to approve" in unapproved
    assert "Waiting for your server to answer our test" in waiting
    assert "✓ 200 in 140 ms" in unlike
    assert "✕ it did not echo the challenge" in unlike
    assert "Answer with it." in unlike
    assert 'hx-trigger="every 30s"' in unapproved
    assert all(LOOKS_AGAIN in one for one in (waiting, unlike))
    assert "✓ it echoed the challenge" in right
    assert LOOKS_AGAIN not in right
    assert not any(secret in one for one in (twice.text, unapproved, waiting, unlike, right))
    async with desk.database.read() as conn:
        bodies = (await conn.execute(sa.select(entries.c.body))).scalars().all()
    assert not any(secret.encode() in bytes(body) for body in bodies)


async def test_only_those_who_manage_an_agencys_endpoints_make_one(console: Console) -> None:
    agency = await add_agency(console.desk, "Scott County CPS")
    other = await add_agency(console.desk, "Elsewhere")
    await add_contact(console.desk, agency, "Rosa Alvarez", email="rosa@cps.example")
    stranger = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR, agency=other)
    auditor = await console.sign_in(UserRole.AUDITOR)
    operator = await console.sign_in(UserRole.OPERATOR)
    path = f"/endpoints/new?agency={agency.id}"

    await stranger.get(path, status=404)
    await auditor.get(path, status=403)
    await operator.get("/endpoints/new", status=303)
    assert "You approve it by making it." in (await operator.get(path)).text
    assert path in (await operator.get(f"/agencies/{agency.id}")).text
    assert path not in (await stranger.get("/agencies")).text
