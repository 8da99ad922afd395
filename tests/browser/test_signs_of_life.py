"""A page that shows how the bus stands says UNKNOWN as soon as that is not known any more."""

import datetime as dt
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from harness import chromium
from harness.town import Town, open_town
from noticebus.casework.desk import Desk
from noticebus.casework.signs_of_life import Part
from noticebus.clock import ManualClock, SystemClock
from noticebus.contracts.vocabulary import UserRole
from noticebus.wiring import Role

ASKS_WITHIN = dt.timedelta(seconds=6)  # the page asks every five
UNKNOWN_AFTER = dt.timedelta(seconds=30) - ASKS_WITHIN  # since the last sign
A_MOMENT = dt.timedelta(seconds=1)


async def test_dispatcher_that_stopped_is_on_the_page_within_half_a_minute(
    browser: Browser, tmp_path: Path
) -> None:
    """There is no dispatcher but in name: it has given one sign of life, and gives no more."""
    machine = ManualClock(SystemClock().now())
    async with (
        open_town(tmp_path, machine=machine, roles=(Role.GATEWAY, Role.LEDGER)) as town,
        chromium.window(browser, town.home) as seen,
    ):
        desk, page = town.bus.desk, seen.page
        desk.ticked(Part.DISPATCHER)
        await town.sign_in(page.context, UserRole.OPERATOR)
        await page.goto("/")
        banner = page.locator("#heartbeat")
        await expect(banner).to_contain_text("Working")
        ready = await page.request.get("/readyz")
        assert ready.status == 200

        machine.advance(UNKNOWN_AFTER + A_MOMENT)
        await expect(banner).to_contain_text("UNKNOWN")
        await expect(banner).to_contain_text("nobody is sending")
        await expect(banner).to_have_attribute("data-life", "unknown")
        await expect(page.locator("#icon")).to_have_attribute("href", "/icon/unknown.svg")
        await expect(page.locator(".nb-heartbeat--alive")).to_have_count(0)

        machine.advance(ASKS_WITHIN)
        ready = await page.request.get("/readyz")
        assert ready.status == 503
        assert "dispatcher" in await ready.text()
        await page.goto("/")  # and whoever loads the page anew, without a script too
        await expect(banner).to_contain_text("UNKNOWN")
        assert await seen.policy_faults() == []


async def test_page_that_reaches_the_bus_no_more_says_so_itself_and_goes_on_when_it_answers(
    browser: Browser, town: Town
) -> None:
    async with chromium.window(browser, town.home) as seen:
        page = seen.page
        await page.clock.install()
        await town.sign_in(page.context, UserRole.OPERATOR)
        await page.goto("/")
        banner = page.locator("#heartbeat")
        await expect(banner).to_contain_text("Working")

        await page.context.set_offline(True)
        await page.clock.fast_forward("00:31")
        await page.clock.run_for("00:01")
        await expect(banner).to_contain_text("UNKNOWN")
        await expect(banner).to_contain_text("this page is not being updated")
        await expect(page).to_have_title(re.compile("^UNKNOWN: "))

        await page.context.set_offline(False)
        await page.clock.run_for("00:06")
        await expect(banner).to_contain_text("Working")


GREEN, WHITE = "rgb(236, 247, 237)", "rgb(255, 255, 255)"


async def test_report_left_open_is_not_green_once_the_bus_is_unknown_or_it_is_old(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = ManualClock(SystemClock().now())
    async with (
        open_town(tmp_path, machine=machine, roles=(Role.GATEWAY, Role.LEDGER)) as town,
        chromium.window(browser, town.home) as seen,
    ):
        desk, page = town.bus.desk, seen.page
        # The engine wakes for what the page enters: late on a busy machine, its own sign of life
        # would undo what is said here.
        monkeypatch.setattr(Desk, "ticked", lambda _desk, _loop: None)
        soon = machine.now() + dt.timedelta(minutes=2)
        desk.signals.ticks.update(dict.fromkeys(Part, soon))
        await page.clock.install()
        await town.sign_in(page.context, UserRole.OPERATOR)
        await page.goto("/reports/unacknowledged")
        sentence = page.locator("h1")
        await expect(sentence).to_contain_text("CLEAR: nothing is overdue. As of Wed 07 Aug 2019")
        await expect(sentence).to_have_css("background-color", GREEN)

        desk.signals.ticks[Part.ENGINE] = machine.now() - dt.timedelta(minutes=2)
        await page.clock.run_for("00:06")
        await expect(page.locator("#heartbeat")).to_contain_text("UNKNOWN")
        await expect(sentence).to_have_css("background-color", WHITE)

        desk.signals.ticks[Part.ENGINE] = soon
        await page.clock.run_for("00:06")
        await expect(sentence).to_have_css("background-color", GREEN)
        await page.clock.run_for("00:50")
        await expect(sentence).to_contain_text("That is 1 min ago: load the page again.")
        await expect(sentence).to_have_css("background-color", WHITE)


async def test_home_that_is_refused_its_contents_is_unknown_though_the_bus_shows_signs_of_life(
    browser: Browser, town: Town
) -> None:
    async def refuse(route: Route) -> None:
        await route.fulfill(status=503)

    async with chromium.window(browser, town.home) as seen:
        page = seen.page
        await page.clock.install()
        await town.sign_in(page.context, UserRole.OPERATOR)
        await page.goto("/")
        banner = page.locator("#heartbeat")
        await expect(banner).to_contain_text("Working")
        contents = re.compile(re.escape(town.home) + r"/(\?.*)?$")
        await page.route(contents, refuse)
        for _ in range(9):
            await page.clock.run_for("00:05")
            await page.wait_for_load_state("networkidle")
        await expect(banner).to_contain_text("UNKNOWN")
        await page.clock.run_for("00:06")
        await expect(banner).to_contain_text("UNKNOWN")
        await expect(page.locator("body")).to_have_class("nb-lost")

        await page.unroute(contents)
        await page.clock.run_for("00:16")
        await expect(page.locator("body")).not_to_have_class("nb-lost")
        await page.clock.run_for("00:06")
        await expect(banner).to_contain_text("Working")
