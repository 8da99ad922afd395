"""What runs, what it stands on; the interface as a page that asks nobody else."""

import asyncio
import datetime as dt
import re
from dataclasses import replace

import pytest

from harness.console import Console, open_console
from harness.statements import statements_of
from harness.system import Bus
from noticebus.casework import audit
from noticebus.casework.signs_of_life import Part
from noticebus.casework.status import read_state
from noticebus.contracts.vocabulary import UserRole
from noticebus.store import loop_ticks, migrate


async def test_status_says_what_works_and_what_nobody_has_heard_of(console: Console) -> None:
    desk = console.desk
    ticks = {"dispatcher": desk.machine.now(), "engine": desk.machine.now() - dt.timedelta(hours=1)}
    async with desk.database.begin() as conn:
        await loop_ticks.write_ticks(conn, process="host/1/abc", ticks=ticks)
    browser = await console.sign_in(UserRole.OPERATOR)
    page = (await browser.get("/status")).text
    states = re.findall(r'data-label="State"><span class="nb-state nb-state--(\w+)">', page)

    assert states == ["bad", "good", "bad", "bad", "bad", "bad"]
    assert "host/1/abc" in page
    assert "1 h 0 min ago" in page
    assert "not yet recounted" in page
    assert "✓ answers" in page


async def test_machines_are_shown_to_those_who_watch_over_the_bus_alone(console: Console) -> None:
    desk = console.desk
    async with desk.database.begin() as conn:
        await loop_ticks.write_ticks(
            conn, process="host/1/abc", ticks={"dispatcher": desk.machine.now()}
        )
    browser = await console.sign_in(UserRole.AGENCY_ADMINISTRATOR)
    assert "host/1/abc" not in (await browser.get("/status")).text


async def test_verdict_of_the_auditor_stands_on_the_page(console: Console) -> None:
    await audit.look(console.desk)
    browser = await console.sign_in(UserRole.AUDITOR)
    assert "✓ recounted and good" in (await browser.get("/status")).text


async def test_status_takes_a_constant_number_of_statements(console: Console) -> None:
    with statements_of(console.desk) as few:
        await read_state(console.desk)
    now = console.desk.machine.now()
    async with console.desk.database.begin() as conn:
        for number in range(20):
            await loop_ticks.write_ticks(conn, process=f"host/{number}/a", ticks={"engine": now})
    with statements_of(console.desk) as many:
        state = await read_state(console.desk)
    assert len(many) == len(few)
    assert [one.processes for one in state.components if one.loop == "engine"] == [20]


async def test_running_bus_is_at_the_revision_of_its_release(bus: Bus) -> None:
    async with asyncio.timeout(30):
        while not set(Part) <= set(bus.desk.signals.ticks):  # noqa: ASYNC110 - first turns
            await asyncio.sleep(0)
    state = await read_state(bus.desk)
    assert state.revision == state.newest == migrate.newest()
    assert all(one.works for one in state.components if one.loop in set(Part))


async def test_interface_is_described_without_signing_in_and_by_files_of_ours(
    console: Console,
) -> None:
    page = await console.browser().get("/docs")
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', page.text)

    assert 'data-description="/openapi.json"' in page.text
    assert all(one.startswith("/") and not one.startswith("//") for one in loaded)
    for address in loaded:
        if address.startswith("/static/"):
            await console.browser().get(address)
    policy = page.headers["content-security-policy"]
    assert "img-src 'self' data:;" in policy
    assert policy.count("data:") == 1


@pytest.mark.parametrize("path", ["/accessibility", "/sign-in", "/sign-in/link/nothing"])
async def test_page_for_whoever_has_no_access_says_where_the_operators_are_rung(
    console: Console, path: str
) -> None:
    status = 404 if path.endswith("nothing") else 200
    silent = (await console.browser().get(path, status=status)).text
    async with open_console(replace(console.desk, operators_phone="+16015550110")) as numbered:
        page = (await numbered.browser().get(path, status=status)).text

    assert 'href="tel:+16015550110"' in page
    assert "(601) 555-0110" in page
    assert "tel:" not in silent


async def test_statement_on_accessibility_is_for_everybody(console: Console) -> None:
    page = await console.browser().get("/accessibility")
    assert "WCAG" in page.text
    assert "What is not good yet" in page.text
