"""The report on paper: what it is, as of when and for whom stands at the top of every page."""

from playwright.async_api import Browser

from harness import chromium
from harness.member import Posted
from harness.printed import pages_of
from harness.town import Town
from noticebus.contracts.vocabulary import UserRole

NOTICES = 8  # each with three lines
HEAD_CHARS = 200


async def test_every_page_of_a_printed_report_begins_with_its_head(
    browser: Browser, town: Town, incident: Posted
) -> None:
    for _ in range(NOTICES):
        await town.bus.post_notice()
    async with chromium.window(browser, town.home) as seen:
        await town.sign_in(seen.page.context, UserRole.AUDITOR)
        await seen.page.goto("/reports/unacknowledged")
        pages = pages_of(await seen.page.pdf(format="Letter"))

    assert len(pages) >= 2
    for number, page in enumerate(pages, 1):
        head = " ".join(page.split()).replace(" ,", ",")[:HEAD_CHARS]
        assert f"Page {number} of {len(pages)}" in head
        assert "Unacknowledged notices, as of 2019-08-07" in head
        assert "Asked by Dana Reyes" in head
        assert "Filter: status=actual" in head
    assert "Sign out" not in "".join(pages)
    assert "St. Brigid Outreach" in "".join(pages)
