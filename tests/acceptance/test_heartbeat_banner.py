"""The banner says how the bus itself is, on every page; the tab carries what is overdue."""

import datetime as dt

from harness.console import Console
from harness.desk import add_agency
from noticebus.casework.signs_of_life import Part
from noticebus.contracts.vocabulary import AgencyKind, UserRole
from noticebus.store import loop_ticks

PAGES = ("/", "/policies", "/exercises")


def all_tick(console: Console) -> None:
    """Let every part have looked for work at whatever moment the page is shown."""
    soon = console.desk.machine.now() + dt.timedelta(minutes=10)
    console.desk.signals.ticks.update(dict.fromkeys(Part, soon))


async def test_every_page_has_the_banner_and_asks_for_it_every_five_seconds(
    console: Console,
) -> None:
    all_tick(console)
    browser = await console.sign_in(UserRole.OPERATOR, UserRole.SUPERVISOR)
    for path in PAGES:
        page = await browser.get(path)
        assert 'hx-get="/heartbeat?was=alive" hx-trigger="every 5s"' in page.text
        assert "Dispatcher alive 0 s ago" in page.text
        assert 'role="alert">' not in page.text.split('id="heartbeat"')[1].split("</section>")[0]


async def test_banner_alone_is_no_page_and_shows_the_time_of_whoever_looks(
    console: Console,
) -> None:
    all_tick(console)
    browser = await console.sign_in(UserRole.OPERATOR)
    alone = await browser.get("/heartbeat?was=alive")
    assert "<html" not in alone.text
    assert ">13:00:00Z<" in alone.text
    assert "unsafe" not in alone.headers["content-security-policy"]

    await add_agency(console.desk, "Bus operators", kind=AgencyKind.OPERATOR)
    alone = await browser.get("/heartbeat?was=alive")
    assert ">08:00:00 CDT (13:00:00Z)<" in alone.text


async def test_stopped_dispatcher_makes_the_banner_unknown_and_is_read_out_once(
    console: Console,
) -> None:
    all_tick(console)
    desk = console.desk
    long_ago = desk.machine.now() - dt.timedelta(minutes=2)
    desk.signals.ticks[Part.DISPATCHER] = long_ago
    browser = await console.sign_in(UserRole.OPERATOR)
    first = await browser.get("/heartbeat?was=alive")
    assert "✗ UNKNOWN" in first.text
    assert "nobody is sending since 2 min ago" in first.text
    assert "Working" not in first.text
    assert 'role="alert"' in first.text
    again = await browser.get("/heartbeat?was=unknown")
    assert "✗ UNKNOWN" in again.text
    assert 'role="alert"' not in again.text

    async with desk.database.begin() as conn:  # another process takes over
        now = {Part.DISPATCHER.value: desk.machine.now()}
        await loop_ticks.write_ticks(conn, process="other", ticks=now)
    assert "✓ Working" in (await browser.get("/heartbeat?was=unknown")).text


async def test_bus_without_any_sign_of_life_says_so(console: Console) -> None:
    browser = await console.sign_in(UserRole.AUDITOR)
    page = await browser.get("/")
    assert "the bus gives no sign of life" in page.text


async def test_whoever_is_signed_out_meanwhile_is_sent_to_the_sign_in_page(
    console: Console,
) -> None:
    browser = console.browser()
    part = await browser.get("/heartbeat", status=401, headers={"HX-Request": "true"})
    assert part.headers["hx-redirect"].startswith("/sign-in")


async def test_icon_carries_the_count_and_none_other_can_be_asked_for(console: Console) -> None:
    browser = console.browser()
    for mark, shown in (("3", ">3<"), ("100", ">99+<"), ("unknown", ">?<"), ("quiet", ">n<")):
        icon = await browser.get(f"/icon/{mark}.svg")
        assert shown in icon.text
        assert icon.headers["content-type"] == "image/svg+xml"
        assert "script" not in icon.text
    for mark in ("101", "-1", "0x3", "%3Cb%3E"):
        await browser.get(f"/icon/{mark}.svg", status=404)
