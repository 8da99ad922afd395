"""F14: a redirect that is followed turns a log-in page's 200 into a delivery. Here it does not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.place import Place, embedded, production
from harness.receivers import Behaviour, WebhookReceiver, redirect, webhook_receiver
from harness.system import Bus, open_bus
from noticebus.contracts.vocabulary import Channel, DeliveryState, Fault, Outcome, Position

STATUSES = (301, 302, 303, 307, 308)


@pytest.fixture(params=["sqlite", "postgresql"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    made = embedded(tmp_path) if request.param == "sqlite" else production(tmp_path)
    async with made as lent:
        yield lent


@pytest.fixture
async def bus(place: Place) -> AsyncIterator[Bus]:
    async with open_bus(place) as opened:
        yield opened


@pytest.fixture
async def login() -> AsyncIterator[WebhookReceiver]:
    """Lend a log-in page that answers 200 to everything, on a host that the bus may call."""
    async with webhook_receiver() as page:
        page.always = Behaviour(status=200, body=b"<form>Sign in to continue</form>")
        yield page


async def test_a_log_in_page_behind_a_redirect_is_never_a_delivery(
    bus: Bus, login: WebhookReceiver
) -> None:
    redirecting = {}
    for status in STATUSES:
        county = await bus.agency(f"County {status}", contacts_at=[Position.ON_DUTY])
        county.receiver.always = redirect(f"{login.url}?next=/hook", status)
        redirecting[county.row.id] = county, status

    notice = await bus.post_notice()
    for county, _ in redirecting.values():
        await county.receives("notice", notice)
        await county.mailed(Position.ON_DUTY)
    await bus.carried()

    for delivery in await bus.deliveries_of(notice):
        if delivery.channel is not Channel.WEBHOOK:
            continue
        (tried,) = await bus.attempts_of(delivery)
        _, status = redirecting.pop(delivery.agency_id)
        assert delivery.state is DeliveryState.QUEUED  # tried again later; mail has gone meanwhile
        assert (tried.outcome, tried.fault) == (Outcome.REFUSED, Fault.RECIPIENT)
        assert tried.status_code == status
        assert "redirects are not followed" in tried.error
    assert redirecting == {}
    assert login.arrivals.all == []
    assert len(await bus.unacknowledged()) == len(STATUSES)
