"""The pictures of the documentation, taken anew each time; `make screenshots` keeps them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from harness.chromium import PHONE, WIDE
from harness.member import Posted
from harness.pictures import picture_of
from harness.town import Town
from harness.windows import Windows
from noticebus.contracts.vocabulary import UserRole

KEPT_IN = os.environ.get("NOTICEBUS_TEST_PICTURES")
BYTES_MAX = 150_000
OPERATOR = (UserRole.OPERATOR, UserRole.SUPERVISOR)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What is shown: a page, by whom, how wide and how high."""

    page: str
    by: tuple[UserRole, ...] = OPERATOR
    agency: str | None = None
    width: int = WIDE
    height: int = 900


PICTURES: Mapping[str, Picture] = {
    "home": Picture(page="/"),
    "report": Picture(page="/reports/unacknowledged"),
    "incident": Picture(page="/incidents/{incident}", height=1060),
    "acknowledge": Picture(page="{link}", by=(), width=PHONE, height=1000),
    "post": Picture(page="/post/new?template=worksite", by=(UserRole.POSTER,), agency="poster"),
}
TYPED = {
    "Headline": "Enforcement action near Forest: children may need care",
    "When it happened": "2019-08-07T10:30",
    "Unit": "Field office",
    "Your role": "duty officer",
    "Telephone to ring back": "+16015550100",
}


@pytest.mark.parametrize("name", PICTURES)
async def test_picture_is_small_enough_to_keep(
    name: str, windows: Windows, gallery: tuple[Town, Posted], tmp_path: Path
) -> None:
    town, incident = gallery
    wanted = PICTURES[name]
    file = Path(KEPT_IN or tmp_path) / f"{name}.png"
    link = (await town.letter(incident, "church")).path
    async with windows.tab(wanted.by, agency=wanted.agency) as seen:
        await seen.page.set_viewport_size({"width": wanted.width, "height": wanted.height})
        await seen.page.goto(wanted.page.format(incident=incident.incident_id, link=link))
        if name == "post":
            await fill_in(seen.page)
        file.write_bytes(await picture_of(seen.page))

    assert 0 < file.stat().st_size < BYTES_MAX


async def fill_in(page: Page) -> None:
    """Go through the form as far as its check."""
    await page.get_by_label("State").select_option("Mississippi")
    await page.get_by_label("County name contains").fill("Scott")
    await page.get_by_role("button", name="Show counties").click()
    await page.get_by_text("Scott", exact=False).last.click()
    await page.get_by_role("button", name="Next", exact=True).last.click()
    for label, value in TYPED.items():
        await page.get_by_label(label).fill(value)
    await page.get_by_role("button", name="Next", exact=True).last.click()
    await page.get_by_role("button", name="See who gets what").click()
    await expect(page.locator("h1")).to_have_text("Post a notice: check")
