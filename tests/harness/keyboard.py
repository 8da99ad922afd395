"""Somebody who has keys alone: Tab goes on, and one can see where one is."""

from playwright.async_api import Locator, Page, expect

TABS_MAX = 800  # other tests of the same worker post notices too, and each is a row

_FOCUS = """
(wanted) => {
  const element = document.activeElement;
  if (!element || element === document.body) return null;
  if (!element.matches(":focus")) return null;  // a part of the browser's own, inside of it
  const draws = (style) => style.boxShadow !== "none"
    || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0);
  const label = element.nextElementSibling;  // a box is drawn before the label of some inputs
  const shows = draws(getComputedStyle(element))
    || (label?.tagName === "LABEL" && draws(getComputedStyle(label, "::before")));
  const said = element.outerHTML.slice(0, 120);
  return { shows, said, arrived: element === wanted, replaced: !wanted.isConnected };
}
"""


async def press_tab_until(page: Page, wanted: Locator) -> None:
    """Press Tab until `wanted` has the focus; whatever has it on the way shows it."""
    target = await wanted.element_handle()
    for _ in range(TABS_MAX):
        await page.keyboard.press("Tab")
        focus = await page.evaluate(_FOCUS, target)
        if focus is None:
            continue  # or the window's own controls: then the page begins anew
        assert focus["shows"], focus["said"]
        if focus["arrived"]:
            return
        if focus["replaced"]:  # the page has refreshed that part of itself
            target = await wanted.element_handle()
    await expect(wanted).to_be_focused()


async def type_into(page: Page, label: str, value: str) -> None:
    """Tab to the field with a label and type into it, over what it holds."""
    field = page.get_by_label(label, exact=True)
    await press_tab_until(page, field)
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.type(value)
    await expect(field).to_have_value(value)


async def choose(page: Page, label: str, option: str) -> None:
    """Tab to the list with a label and type the name of what is wanted in it."""
    field = page.get_by_label(label, exact=True)
    await press_tab_until(page, field)
    await page.keyboard.type(option)
    chosen = field.locator("option:checked")
    await expect(chosen).to_have_text(option)


async def press(page: Page, wanted: Locator, *, key: str = "Space") -> None:
    """Tab to something and press it: a button or a box with Space, a link with Enter."""
    await press_tab_until(page, wanted)
    await page.keyboard.press(key)
