"""What people do: a call written down in two clicks, who is on what, a notice posted by steps."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from harness import chromium
from harness.chromium import PHONE
from harness.member import Posted
from harness.town import Town
from noticebus.contracts.vocabulary import UserRole

NEXT = ".nb-go .usa-button--big"
WRITTEN = {
    "#headline": "Enforcement action near Morton: children may need care",
    "#occurred": "2019-08-07T07:55",
    "#unit": "Field office",
    "#role": "duty officer",
    "#callback": "(601) 555-0100",
}


@pytest_asyncio.fixture(loop_scope="session")
async def posted(town: Town) -> AsyncIterator[Posted]:
    """Post a notice of this test's own, which nobody has answered."""
    yield await town.bus.post_notice()


async def test_operator_says_i_am_on_this_and_keeps_the_place_and_the_sentence(
    browser: Browser, town: Town, posted: Posted
) -> None:
    owed = await town.owed(posted, "church")
    button = f"#attend-{owed.id}"
    async with chromium.window(browser, town.home) as seen:
        await town.sign_in(seen.page.context, UserRole.OPERATOR)
        await seen.page.goto(f"/incidents/{posted.incident_id}")
        before = await seen.page.locator("h1").inner_text()
        await seen.page.click(button)
        await expect(seen.page.locator(button)).to_have_text("I am off this: St. Brigid Outreach")
        await expect(seen.page.locator(button)).to_be_focused()
        await expect(seen.page.locator("h1")).to_have_text(before)
        await expect(seen.page.get_by_role("status").first).to_contain_text("You are on this")
        assert await seen.faults_so_far() == []


async def test_first_page_keeps_its_sentence_when_somebody_says_i_am_on_this(
    browser: Browser, town: Town, incident: Posted
) -> None:
    button = f"#attend-{(await town.owed(incident, 'church')).id}"
    async with chromium.window(browser, town.home) as seen:
        await town.sign_in(seen.page.context, UserRole.OPERATOR)
        await seen.page.goto("/")
        working = seen.page.locator("tr", has=seen.page.locator(button)).locator(".nb-working")
        await seen.page.click(button)
        await expect(working).to_contain_text("You are on this")
        await expect(seen.page.locator("#sentence h1")).to_contain_text("ACTION")
        await expect(seen.page.locator("#sentence")).to_have_count(1)
        await seen.page.click(button)
        await expect(working).to_have_count(0)
        assert await seen.faults_so_far() == []


async def test_press_that_is_refused_or_reaches_nobody_says_so_beside_the_button(
    browser: Browser, town: Town, posted: Posted
) -> None:
    owed = await town.owed(posted, "church")
    place = f"#actions-{owed.id}"
    async with chromium.window(browser, town.home) as seen:
        page = seen.page
        await town.sign_in(page.context, UserRole.OPERATOR)
        await page.goto(f"/incidents/{posted.incident_id}")
        await page.context.set_offline(True)
        await page.click(f"#attend-{owed.id}")
        failed = page.locator(f"{place} .nb-failed")
        await expect(failed).to_contain_text("The bus did not answer. It is not known whether")
        await expect(page.locator("#announced")).to_contain_text("The bus did not answer.")

        await page.context.set_offline(False)
        await page.evaluate(f"document.querySelector('{place} [name=csrf]').value = 'x'")
        await page.click(f"#attend-{owed.id}")
        await expect(failed).to_contain_text("This was not done. This form was not made for you")
        await expect(page.locator(".nb-failed")).to_have_count(1)
        assert await seen.policy_faults() == []


@pytest.mark.parametrize("scripts", [True, False])
async def test_phone_answer_takes_two_clicks_from_the_row(
    browser: Browser, town: Town, posted: Posted, *, scripts: bool
) -> None:
    owed = await town.owed(posted, "school")
    async with chromium.window(browser, town.home, width=PHONE, scripts=scripts) as seen:
        await town.sign_in(seen.page.context, UserRole.OPERATOR)
        await seen.page.goto(f"/incidents/{posted.incident_id}")

        await seen.page.locator(f"#actions-{owed.id}").get_by_text("Record a call").click()
        shown = await seen.page.input_value("#name")
        await seen.page.get_by_role("button", name="They accept").click()

        await expect(seen.page.locator("h1")).to_have_text("Recorded")
        assert not await town.is_open(posted, "school")
        (made,) = await town.answers(posted, "school")
        assert (made.how, made.by_name) == ("phone", shown)
        assert shown
        await seen.page.get_by_text("Back to where you were").click()
        assert seen.page.url.endswith(f"/incidents/{posted.incident_id}")
        assert await seen.faults_so_far() == []


async def test_enter_in_a_field_records_nothing(
    browser: Browser, town: Town, posted: Posted
) -> None:
    owed = await town.owed(posted, "school")
    async with chromium.window(browser, town.home) as seen:
        await town.sign_in(seen.page.context, UserRole.OPERATOR)
        await seen.page.goto(f"/obligations/{owed.id}/answer")
        await seen.page.fill("#name", "Lee Ito")
        await seen.page.press("#name", "Enter")
        await expect(seen.page.get_by_role("alert").last).to_contain_text("Nothing was recorded")
        await expect(seen.page.locator("#name")).to_have_value("Lee Ito")
        assert await town.answers(posted, "school") == []


async def test_duty_officer_posts_an_exercise_with_a_thumb_and_without_a_script(
    browser: Browser, town: Town
) -> None:
    async with chromium.window(browser, town.home, width=PHONE, scripts=False) as seen:
        page = seen.page
        await town.sign_in(page.context, UserRole.POSTER, agency=town.agencies["poster"])
        await page.goto("/post")
        await page.get_by_text("DRILL: an exercise, now").click()
        await page.select_option("#state", "28")
        await page.fill("#filter", "scott")
        await page.press("#filter", "Enter")
        await page.click("label[for=county-28123]")
        await page.click(NEXT)
        for field, value in WRITTEN.items():
            await page.fill(field, value)
        await page.click(NEXT)
        await page.click(NEXT)
        await page.fill("#count", await page.inner_text("label[for=count] strong"))
        await page.get_by_role("button", name="Post the exercise").click()
        await expect(page.locator("h1")).to_have_text("Posted")
        assert await seen.faults_so_far() == []
