"""An endpoint's controls in a real browser: with scripts the answer comes by itself."""

import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, Page, expect

from harness import chromium
from harness.chromium import PHONE, WIDE
from harness.orders import add_orders
from harness.town import Town
from noticebus.access.keyring import new_webhook_secret
from noticebus.contracts.vocabulary import UserRole
from noticebus.store import tables


async def endpoint_of(town: Town) -> str:
    """Give the page of child protection's endpoint."""
    async with town.bus.desk.database.read() as conn:
        mine = tables.subscriptions.c.agency_id == town.agencies["cps"].id
        found = (await conn.execute(sa.select(tables.subscriptions.c.id).where(mine))).scalars()
        return f"/endpoints/{next(iter(found))}"


async def press(page: Page, button: str) -> None:
    """Press a button and wait for the page that it leads to."""
    async with page.expect_navigation():
        await page.get_by_role("button", name=button, exact=True).click()


async def test_answer_of_a_test_comes_onto_the_page_by_itself(browser: Browser, town: Town) -> None:
    agency = town.agencies["cps"]
    async with chromium.window(browser, town.home, width=WIDE) as seen:
        await town.sign_in(seen.page.context, UserRole.AGENCY_ADMINISTRATOR, agency=agency)
        await seen.page.goto(await endpoint_of(town))
        await press(seen.page, "Send a test")

        answer = seen.page.locator("#test-answer")
        await expect(answer).to_contain_text("delivered")
        await expect(answer).to_contain_text("Your server accepted it.")
        assert await answer.get_attribute("hx-trigger") is None, "it is asked for no more"
        seen.faults += await seen.policy_faults()
        assert seen.faults == []


@pytest.mark.parametrize("width", [WIDE, PHONE])
async def test_secret_is_rotated_and_revoked_without_scripts(
    browser: Browser, town: Town, width: int
) -> None:
    desk = town.bus.desk
    sealed = [{"sealed": desk.keyring.seal(new_webhook_secret()), "expires_at": None}]
    (order,) = await add_orders(desk, 1, secrets_sealed=sealed)  # one that nobody else uses
    async with chromium.window(browser, town.home, width=width, scripts=False) as seen:
        await town.sign_in(seen.page.context, UserRole.OPERATOR)
        await seen.page.goto(f"/endpoints/{order.id}")
        await press(seen.page, "Make a new secret")
        secret = await seen.page.get_by_label("Secret").input_value()
        assert secret.startswith("whsec_")
        assert secret not in seen.page.url
        await seen.page.get_by_role("link", name="I have copied it").click()
        assert secret not in await seen.page.content()
        await seen.page.get_by_text("Revoke the old secret now").click()
        await press(seen.page, "Revoke the old secret")

        said = seen.page.get_by_role("status")
        await expect(said).to_contain_text("Only the newest secret signs from now on.")
