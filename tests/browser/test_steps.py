"""Pages that stand behind a form: each step of a post, a receipt, a form with a mistake in it."""

from playwright.async_api import Browser, Page, expect

from harness import chromium
from harness.chromium import NARROW, PHONE, WIDE, Watched
from harness.inspection import axe_faults, shape_faults
from harness.member import Posted
from harness.town import DETAILED, Town
from noticebus.contracts.vocabulary import UserRole

TYPED = {
    "Headline": "Enforcement action near Forest: children may need care",
    "When it happened": "2019-08-07T07:30",
    "Unit": "Field office",
    "Your role": "duty officer",
    "Telephone to ring back": "+16015550100",
}


async def test_every_step_of_a_post_is_open_to_everybody(
    browser: Browser, town: Town, incident: Posted
) -> None:
    async with chromium.window(browser, town.home) as seen:
        page = seen.page
        await town.sign_in(page.context, UserRole.POSTER, agency=town.agencies["poster"])
        await page.goto("/post/new?template=exercise")
        await next_step(page)
        wrong = await inspected(seen, "no county is chosen")
        await page.get_by_label("State").select_option("Mississippi")
        await page.get_by_role("button", name="Show counties").click()
        wrong += await inspected(seen, "82 counties")
        await page.locator("label", has_text="Scott").click()
        await next_step(page)
        wrong += await inspected(seen, "what and when")
        for label, value in TYPED.items():
            await page.get_by_label(label).fill(value)
        await next_step(page)
        wrong += await inspected(seen, "numbers")
        await page.locator("#screened").fill("some")
        await page.get_by_role("button", name="See who gets what").click()
        wrong += await inspected(seen, "a number that is none")
        await page.locator("#screened").fill("")
        await page.get_by_role("button", name="See who gets what").click()
        await expect(page.locator("h1")).to_have_text("Post a notice: check")
        await page.locator("summary:visible").last.click()
        wrong += await inspected(seen, "check")
        await page.get_by_label("Type 3 to post").fill("3")
        await page.get_by_role("button", name="Post the exercise").click()
        await expect(page.locator("h1")).to_have_text("Posted")
        wrong += await inspected(seen, "posted")
    assert wrong == []


async def test_mistake_and_receipt_of_the_acknowledge_page_are_open_to_everybody(
    browser: Browser, town: Town
) -> None:
    posted = await town.bus.post_notice(**DETAILED)
    letter = await town.letter(posted, "church")
    async with chromium.window(browser, town.home) as seen:
        page = seen.page
        await page.goto(f"{letter.path}?lang=es")
        await page.get_by_label("Código").fill(letter.wrong_code)
        await page.get_by_label("Su nombre").fill("Ana Ruiz")
        await page.get_by_label("Su cargo").fill("voluntaria")
        await page.get_by_role("button", name="Lo hemos recibido").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        wrong = await inspected(seen, "mistake")
        await page.get_by_label("Código").fill(letter.code)
        await page.get_by_role("button", name="Lo hemos recibido").click()
        await expect(page.locator("h1")).to_have_text("Su respuesta está registrada")
        wrong += await inspected(seen, "receipt")
    assert wrong == []


async def test_call_written_down_without_a_reason_is_open_to_everybody(
    browser: Browser, town: Town, incident: Posted
) -> None:
    owed = await town.owed(incident, "church")
    async with chromium.window(browser, town.home) as seen:
        await town.sign_in(seen.page.context, UserRole.OPERATOR)
        await seen.page.goto(f"/obligations/{owed.id}/answer")
        await seen.page.get_by_text("They said something else").click()
        await seen.page.get_by_role("button", name="They decline").click()
        await expect(seen.page.get_by_role("alert").last).to_be_visible()
        assert await inspected(seen, "no reason") == []


async def next_step(page: Page) -> None:
    """Go on, as the button at the end of the form does."""
    await page.get_by_role("button", name="Next", exact=True).last.click()


async def inspected(seen: Watched, step: str) -> list[str]:
    """Give what is wrong with the page as it stands, wide and on phones."""
    for width in (WIDE, PHONE, NARROW):
        await seen.resize(width)
        wrong = await shape_faults(seen.page)
        if width != NARROW:
            wrong += await axe_faults(seen.page)
        seen.faults += [f"{step}, {width} px: {one}" for one in wrong]
    await seen.resize(WIDE)
    found = [one for one in await seen.faults_so_far() if "a status of 4" not in one]  # a mistake
    seen.faults.clear()
    return found
