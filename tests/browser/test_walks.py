"""Signing in, reading the report, recording a call and posting, with keys alone.

Each walk is made twice: with scripts, and in a browser that runs none.
"""

import pytest
from playwright.async_api import Browser, Page, expect

from harness import chromium
from harness.chromium import Watched
from harness.keyboard import choose, press, press_tab_until, type_into
from harness.member import Posted
from harness.town import DETAILED, Town
from noticebus.access.passwords import Passwords
from noticebus.contracts.vocabulary import ObligationState, UserRole, VerifiedBy

PASSWORD = "seven lanterns in Morton"
SCRIPTS = pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no_scripts"])


@SCRIPTS
async def test_operator_signs_in_where_the_way_led_and_out_again(
    browser: Browser, town: Town, scripts: bool
) -> None:
    person = await town.person(UserRole.OPERATOR, password_hash=await Passwords().hash(PASSWORD))
    async with chromium.window(browser, town.home, scripts=scripts) as seen:
        page = seen.page
        await page.goto("/policies")
        await expect(page.locator("h1")).to_have_text("Sign in")
        await type_into(page, "Login", person.login)
        await type_into(page, "Password", "not the right one, sorry")
        await page.keyboard.press("Enter")
        await expect(page.locator("main [role=alert]")).to_be_visible()
        assert "401" in seen.faults.pop(), "the browser's own word about the refusal"

        await type_into(page, "Login", person.login)
        await type_into(page, "Password", PASSWORD)
        await press(page, page.get_by_role("button", name="Sign in"))
        await expect(page.locator("h1")).to_have_text("Policies")

        await press(page, page.get_by_role("button", name="Sign out"))
        await expect(page.locator("h1")).to_have_text("Sign in")
        await expect(page.get_by_text("You are signed out.")).to_be_visible()
        assert await seen.faults_so_far() == []


@SCRIPTS
async def test_operator_finds_the_silent_in_the_report_and_records_what_they_say(
    browser: Browser, town: Town, incident: Posted, scripts: bool
) -> None:
    posted = await town.bus.post_notice(**DETAILED)
    owed = await town.owed(posted, "church")
    async with chromium.window(browser, town.home, scripts=scripts) as seen:
        page = seen.page
        await town.sign_in(page.context, UserRole.OPERATOR)
        await page.goto("/")
        await press(page, page.get_by_role("link", name="Not acknowledged").first, key="Enter")
        await expect(page.locator("h1")).to_contain_text("ACTION")
        await press(page, page.get_by_text("Filter and past reports"))
        await choose(page, "Recipients", "church")
        await press(page, page.get_by_role("button", name="Show", exact=True))
        rows = page.locator("table.nb-lines tbody tr")
        await expect(rows.filter(has_text="St. Brigid Outreach").first).to_be_visible()
        await expect(rows.filter(has_text="Pine County Schools")).to_have_count(0)
        assert "kind=faith" in page.url

        record = rows.locator(f"a[href*='{owed.id}/answer']")
        await press(page, record, key="Enter")
        await expect(page.get_by_label("Who said it")).to_be_visible()
        await type_into(page, "Who said it", "Ana Ruiz")
        await type_into(page, "What that person is", "volunteer")
        await page.keyboard.press("Enter")
        await expect(page.locator("main [role=alert]")).to_contain_text("Nothing was recorded")
        assert await town.is_open(posted, "church")
        await type_into(page, "Who said it", "Ana Ruiz")
        await type_into(page, "What that person is", "volunteer")
        await press(page, page.get_by_role("button", name="They accept"))
        await expect(page.locator("main")).to_contain_text("Ana Ruiz")

    assert (await town.owed(posted, "church")).state is ObligationState.CLOSED
    (made,) = await town.answers(posted, "church")
    assert (made.verified_by, made.by_name) == (VerifiedBy.OPERATOR, "Ana Ruiz")


@SCRIPTS
async def test_duty_officer_posts_step_by_step_and_nothing_is_told_before_the_count_is_typed(
    browser: Browser, town: Town, scripts: bool
) -> None:
    headline = f"Action near Forest {'with' if scripts else 'without'} a script"
    async with chromium.window(browser, town.home, scripts=scripts) as seen:
        page = seen.page
        await town.sign_in(page.context, UserRole.POSTER, agency=town.agencies["poster"])
        await page.goto("/post")
        at_work = page.get_by_role("link", name="Enforcement action at a workplace")
        await press(page, at_work, key="Enter")
        await say_where(page)
        await say_what(page, headline)
        await press(page, page.get_by_role("button", name="See who gets what"))
        await expect(page.locator("h1")).to_have_text("Post a notice: check")
        await expect(page.locator("main")).to_contain_text("3 recipients would be told")

        await type_into(page, "Type 3 to post this to 3 recipients", "2")
        await press(page, page.get_by_role("button", name="Post it"))
        await expect(page.locator("main [role=alert]")).to_contain_text("Nothing was posted")
        seen.faults = [one for one in seen.faults if "422" not in one]
        await type_into(page, "Type 3 to post this to 3 recipients", "3")
        await press(page, page.get_by_role("button", name="Post it"))
        await expect(page.locator("h1")).to_have_text("Posted")
        await press(page, page.get_by_role("link", name="See who answers"), key="Enter")
        await expect(page.locator("main")).to_contain_text(headline)
        await at_rest(seen)


async def say_where(page: Page) -> None:
    """Choose Scott County, Mississippi."""
    await expect(page.locator("h1")).to_have_text("Post a notice: where")
    await choose(page, "State", "Mississippi")
    await type_into(page, "County name contains", "Scott")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Scott")).to_be_attached()
    await press(page, page.get_by_label("Scott"))
    await press(page, page.get_by_role("button", name="Next", exact=True).last)
    await expect(page.locator("h1")).to_have_text("Post a notice: what and when")


async def say_what(page: Page, headline: str) -> None:
    """Say what has happened, when, and who says so."""
    await type_into(page, "Headline", headline)
    when = page.get_by_label("When it happened")
    await press_tab_until(page, when)
    await when.fill("2019-08-07T07:30")
    await type_into(page, "Unit", "Field office")
    await type_into(page, "Your role", "duty officer")
    await type_into(page, "Telephone to ring back", "+16015550100")
    await press(page, page.get_by_role("button", name="Next", exact=True).last)
    await expect(page.locator("h1")).to_have_text("Post a notice: numbers")


async def at_rest(seen: Watched) -> None:
    """Fail if anything was stopped, or went elsewhere, on the way."""
    assert await seen.faults_so_far() == []
