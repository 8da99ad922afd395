"""The first page in a browser: it keeps itself fresh, and leaves a keyboard's focus where it is."""

import re
from pathlib import Path

from playwright.async_api import Browser, expect

from harness import chromium
from harness.system import minutes
from harness.town import Town, open_town
from noticebus.contracts.vocabulary import UserRole

REFRESHED = "00:16"  # the page asks every 15 s


async def test_page_turns_from_clear_to_action_by_itself_and_focus_stays_where_it_was(
    browser: Browser, tmp_path: Path
) -> None:
    async with open_town(tmp_path) as town, chromium.window(browser, town.home) as seen:
        page = seen.page
        await page.clock.install()
        await town.sign_in(page.context, UserRole.OPERATOR)
        await page.goto("/")
        sentence = page.locator("#sentence h1")
        await expect(sentence).to_contain_text("CLEAR")
        await expect(page).to_have_title("Home · noticebus")

        posted = await town.bus.post_notice()
        await page.clock.run_for(REFRESHED)
        owed = await town.owed(posted, "school")
        call = page.locator(f"#call-{owed.id}")
        await call.focus()
        await town.bus.fast_forward(minutes(47))
        await page.clock.run_for(REFRESHED)

        await expect(sentence).to_contain_text("ACTION")
        await expect(sentence).to_contain_text("Pine County Schools, 17 min overdue")
        await expect(page).to_have_title("(1) Home · noticebus")
        await expect(page.locator("#icon")).to_have_attribute("href", "/icon/1.svg")
        await expect(call).to_be_focused()
        assert await seen.faults_so_far() == []


async def test_clear_day_is_not_left_green_on_a_page_that_reaches_nobody(
    browser: Browser, tmp_path: Path
) -> None:
    async with open_town(tmp_path) as town, chromium.window(browser, town.home) as seen:
        page = seen.page
        await page.clock.install()
        await town.sign_in(page.context, UserRole.OPERATOR)
        await page.goto("/")
        sentence = page.locator("#sentence h1")
        await expect(sentence).to_have_css("background-color", "rgb(236, 247, 237)")

        await page.context.set_offline(True)
        await page.clock.fast_forward("00:31")
        await page.clock.run_for("00:01")
        await expect(sentence).to_have_css("background-color", "rgb(255, 255, 255)")
        await expect(page).to_have_title(re.compile("^UNKNOWN: "))
        await expect(page.locator("#icon")).to_have_attribute("href", "/icon/unknown.svg")


async def test_menu_on_a_phone_opens_without_a_script(browser: Browser, town: Town) -> None:
    window = chromium.window(browser, town.home, width=chromium.PHONE, scripts=False)
    async with window as seen:
        page = seen.page
        await town.sign_in(page.context, UserRole.OPERATOR)
        await page.goto("/")
        reach = page.get_by_role("link", name="Incidents", exact=True)
        await expect(reach).to_have_count(0)
        await page.locator("summary", has_text="Menu").click()
        await reach.click()
        await expect(page.locator("h1")).to_have_text("Incidents")
