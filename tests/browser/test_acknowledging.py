"""The page behind a mailed link, on an old phone: answered with a thumb or with keys alone.

A scanner of mail that opens the link, follows every link on its page and runs its scripts answers
nothing (I4).
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import pytest
import sqlalchemy as sa
from playwright.async_api import Browser, Page, Request, expect

from harness import chromium
from harness.chromium import NARROW, PHONE, Watched
from harness.keyboard import press_tab_until, type_into
from harness.member import Posted
from harness.town import DETAILED, Letter, Town
from noticebus.contracts.vocabulary import (
    Cause,
    Channel,
    ObligationState,
    Outcome,
    VerifiedBy,
)
from noticebus.store import tables

WIRE_BYTES_MAX = 30_000
TARGET_PX = 44
NO_ZOOM_PX = 16  # below it a phone enlarges the page when somebody types
TOUCH: Mapping[str, Any] = {"has_touch": True, "is_mobile": True}
TOO_SMALL = """
([target, noZoom]) => {
  const wrong = [];
  const all = (chosen) => [...document.querySelectorAll(chosen)]
    .filter((one) => one.checkVisibility() && one.type !== "checkbox");  // its label is the target
  const pressed = all("a, button, summary, select, input, textarea, label.choice");
  if (pressed.length < 5) wrong.push("there is little to press");
  for (const one of pressed) {
    const { height } = one.getBoundingClientRect();
    if (height < target) wrong.push(`${height} px: ${one.outerHTML.slice(0, 90)}`);
  }
  for (const one of all("input[type=text], select, textarea")) {
    const size = parseFloat(getComputedStyle(one).fontSize);
    if (size < noZoom) wrong.push(`letters of ${size} px: ${one.outerHTML.slice(0, 90)}`);
  }
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth !== clientWidth) wrong.push(`scrolls by ${scrollWidth - clientWidth} px`);
  return wrong;
}
"""
ACCEPT, RECEIVE = "We accept: we will act", "We have received this"


async def in_one_mail(town: Town, name: str, *posted: Posted) -> None:
    """Let the first mails about notices have gone to an agency's desk as one message."""
    desk, sent = town.bus.desk, tables.deliveries
    owed = [(await town.owed(one, name)).id for one in posted]
    now = desk.world.now()
    async with desk.database.begin() as conn:
        ours = sent.c.obligation_id.in_(owed) & (sent.c.contact_id == town.contacts[name].id)
        first = ours & (sent.c.cause == Cause.NOTICE) & (sent.c.channel == Channel.EMAIL)
        await conn.execute(sa.update(sent).where(first).values(bundle=f"of {owed[0]}"))
        ids = list((await conn.execute(sa.select(sent.c.id).where(first))).scalars())
        assert len(ids) == len(posted)
        tried = {"number": 90, "started_at": now, "finished_at": now, "body_digest": owed[0]}
        tried |= {"outcome": Outcome.DELIVERED, "response_excerpt": "", "error": ""}
        rows = [{"delivery_id": one, "duration_ms": 1, **tried} for one in ids]
        await conn.execute(tables.attempts.insert(), rows)


async def test_page_with_all_it_loads_is_small(browser: Browser, town: Town) -> None:
    posted = await town.bus.post_notice(**DETAILED)
    letter = await town.letter(posted, "church")
    asked: list[Request] = []

    def finished(request: Request) -> None:
        asked.append(request)

    async with chromium.window(browser, town.home, width=PHONE) as seen:
        seen.page.on("requestfinished", finished)
        await seen.page.goto(f"{letter.path}?lang=es")
        sizes = [await one.sizes() for one in asked]
        faults = await seen.faults_so_far()

    assert len(asked) == 2, "the page and its style sheet"
    wire = sum(one["responseBodySize"] + one["responseHeadersSize"] for one in sizes)
    assert 0 < wire < WIRE_BYTES_MAX
    assert faults == []


@pytest.mark.parametrize("language", ["en", "es"])
async def test_all_that_is_pressed_is_large_and_nothing_is_cut_off_on_the_narrowest_phone(
    browser: Browser, town: Town, language: str
) -> None:
    posted = await town.bus.post_notice(**DETAILED)
    letter = await town.letter(posted, "church")
    wrong: list[str] = []
    async with chromium.window(browser, town.home, width=NARROW, **TOUCH) as seen:
        await seen.page.goto(f"{letter.path}?lang={language}")
        await seen.page.locator("summary").tap()
        for text_percent in (100, 200):
            await seen.page.evaluate(
                "percent => { document.documentElement.style.fontSize = percent + '%' }",
                text_percent,
            )
            found = await seen.page.evaluate(TOO_SMALL, [TARGET_PX, NO_ZOOM_PX])
            wrong += [f"at {text_percent} %: {one}" for one in found]

        assert await seen.page.locator("html").get_attribute("lang") == language
    assert wrong == []


async def test_thumb_answers_without_a_script_and_reads_what_happens_next(
    browser: Browser, town: Town
) -> None:
    posted = await town.bus.post_notice(**DETAILED)
    letter = await town.letter(posted, "church")
    async with chromium.window(browser, town.home, width=PHONE, scripts=False, **TOUCH) as seen:
        page = seen.page
        await page.goto(letter.path)
        await page.get_by_role("button", name=ACCEPT).tap()  # nothing typed yet
        await expect(page.get_by_role("heading", name="Your answer")).to_be_visible()
        assert await town.is_open(posted, "church")

        await fill(page, letter)
        await page.get_by_text("Remember my name and role").tap()
        await page.get_by_role("button", name=ACCEPT).tap()
        await expect(page.locator("h1")).to_have_text("Your answer is recorded")
        await expect(page.get_by_text("You can close this page.")).to_be_visible()

        await page.goto((await town.letter(await town.bus.post_notice(), "church")).path)
        await expect(page.get_by_label("Your name")).to_have_value("Ana Ruiz")
        await expect(page.get_by_label("Your role")).to_have_value("volunteer")
        faults = await seen.faults_so_far()

    assert (await town.owed(posted, "church")).state is ObligationState.CLOSED
    assert faults == []


async def test_mistake_is_said_in_spanish_and_costs_nothing_that_was_typed(
    browser: Browser, town: Town
) -> None:
    posted = await town.bus.post_notice()
    letter = await town.letter(posted, "church")
    async with chromium.window(
        browser, town.home, width=PHONE, scripts=False, locale="es-MX", **TOUCH
    ) as seen:
        page = seen.page
        await page.goto(letter.path)
        await page.get_by_label("Código").fill(letter.wrong_code)
        await page.get_by_label("Su nombre").fill("Ana Ruiz")
        await page.get_by_label("Su cargo").fill("voluntaria")
        await page.get_by_role("button", name="Aceptamos: vamos a actuar").tap()
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("Ese no es el código")
        await alert.get_by_role("link").tap()
        await page.get_by_label("Código").fill(letter.code)
        await expect(page.get_by_label("Su nombre")).to_have_value("Ana Ruiz")
        await page.get_by_role("button", name="Aceptamos: vamos a actuar").tap()
        await expect(page.locator("h1")).to_have_text("Su respuesta está registrada")

    assert not await town.is_open(posted, "church")


@pytest.mark.parametrize("scripts", [True, False])
async def test_keys_alone_answer_and_enter_in_a_field_answers_nothing(
    browser: Browser, town: Town, scripts: bool
) -> None:
    posted = await town.bus.post_notice()
    letter = await town.letter(posted, "church")
    async with chromium.window(browser, town.home, scripts=scripts) as seen:
        page = seen.page
        await page.goto(letter.path)
        for label, value in typed(letter).items():
            await type_into(page, label, value)
        await page.keyboard.press("Enter")
        assert await town.is_open(posted, "church")

        await press_tab_until(page, page.get_by_role("button", name=RECEIVE))
        await page.keyboard.press("Space")
        await expect(page.locator("h1")).to_have_text("Your answer is recorded")

        await page.goto(letter.path)
        for label, value in typed(letter).items():
            await type_into(page, label, value)
        await press_tab_until(page, page.locator("summary"))
        await page.keyboard.press("Enter")
        await press_tab_until(page, page.get_by_label("If this is not yours: why"))
        await page.keyboard.type("we cannot")
        await press_tab_until(page, page.get_by_role("button", name="This is not ours"))
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Your answer is recorded")

    assert (await town.owed(posted, "church")).state is ObligationState.DECLINED


@pytest.mark.parametrize("scripts", [True, False])
async def test_scanner_that_follows_every_link_changes_nothing_and_one_press_is_one_answer(
    browser: Browser, town: Town, scripts: bool
) -> None:
    posted = await town.bus.post_notice()
    letter = await town.letter(posted, "church")
    async with chromium.window(browser, town.home, scripts=scripts) as seen:
        await scan(seen, letter)
        after = await town.owed(posted, "church")

        await seen.page.goto(letter.path)
        await fill(seen.page, letter)
        await seen.page.get_by_role("button", name=ACCEPT).click()
        await expect(seen.page.locator("h1")).to_have_text("Your answer is recorded")

    assert (after.state, after.received_at) == (ObligationState.OPEN, None)
    made = await town.answers(posted, "church")
    assert [one.verified_by for one in made] == [VerifiedBy.LINK]


async def scan(seen: Watched, letter: Letter) -> None:
    """Do to a link what mail scanners do: open it, its links, HEAD and prefetch; 50 times."""
    page = seen.page
    await page.goto(letter.path)
    found = await page.locator("a[href]").evaluate_all("all => all.map(one => one.href)")
    for address in {urljoin(seen.home, one) for one in found if one.startswith("http")}:
        await page.goto(address)
        assert (await page.request.head(address)).ok
    for _ in range(50):
        assert (await page.request.get(letter.path)).ok
    ahead = await page.request.get(letter.path, headers={"Sec-Purpose": "prefetch"})
    assert ahead.ok


async def fill(page: Page, letter: Letter) -> None:
    """Type what an answer needs."""
    for label, value in typed(letter).items():
        await page.get_by_label(label, exact=True).fill(value)


def typed(letter: Letter) -> dict[str, str]:
    """Give what is typed, by the label of its field."""
    return {"Code": letter.code, "Your name": "Ana Ruiz", "Your role": "volunteer"}
