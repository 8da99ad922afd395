"""What pages load: from the bus itself, kept for ever where its address changes with it."""

import gzip

import pytest

from harness.console import Console
from noticebus.console.static_files import FOREVER, INDEX, static

TEMPTING = (
    "/static/../app.py",
    "/static/..%2fapp.py",
    "/static/uswds-3.14.0/../../app.py",
    "/static/%2e%2e/%2e%2e/settings.py",
    "/static//etc/passwd",
    "/static/",
    "/static/uswds-3.14.0",
    "/static/uswds-3.14.0/css/",
    "/static/CONSOLE.CSS",
)


async def test_every_file_is_given_with_its_type_and_kept_for_ever_by_its_versioned_address(
    console: Console,
) -> None:
    browser = console.browser()
    for name in sorted(INDEX):
        folder, slash, rest = name.partition("/")
        address = static(f"{folder.rpartition('-')[0]}/{rest}" if slash else name)
        file = await browser.get(address)

        assert file.content == INDEX[name].read_bytes()
        assert file.headers["cache-control"] == FOREVER
        assert file.headers["x-content-type-options"] == "nosniff"
        assert "unsafe" not in file.headers["content-security-policy"]
        assert "set-cookie" not in file.headers


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("uswds/css/uswds.min.css", "text/css; charset=utf-8"),
        ("htmx/htmx.min.js", "text/javascript; charset=utf-8"),
        ("uswds/img/sprite.svg", "image/svg+xml"),
        ("uswds/fonts/source-sans-pro/sourcesanspro-bold-webfont.woff2", "font/woff2"),
        ("htmx/LICENSE", "text/plain; charset=utf-8"),
    ],
)
async def test_file_says_what_it_is(console: Console, name: str, media_type: str) -> None:
    file = await console.browser().get(static(name))
    assert file.headers["content-type"] == media_type


@pytest.mark.parametrize("path", TEMPTING)
async def test_no_address_leads_out_of_the_folder(console: Console, path: str) -> None:
    await console.browser().get(path, status=404)


async def test_browser_that_has_a_file_is_told_that_it_has_not_changed(console: Console) -> None:
    browser, address = console.browser(), static("report.css")
    first = await browser.get(address)
    again = await browser.get(address, status=304, headers={"If-None-Match": first.headers["etag"]})
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    await browser.get(address, headers={"If-None-Match": '"of-another-day"'})


async def test_file_is_packed_for_a_slow_line_and_the_packed_one_has_a_tag_of_its_own(
    console: Console,
) -> None:
    address = static("uswds/css/uswds.min.css")
    async with console.browser().client as client:
        packed = await client.get(address, headers={"Accept-Encoding": "gzip"})
        plain = await client.get(address, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.content == plain.content
    assert len(gzip.compress(plain.content)) < 70_000
    assert int(packed.headers["content-length"]) < 70_000


async def test_file_of_ours_without_its_hash_is_kept_a_short_while_only(console: Console) -> None:
    browser = console.browser()
    for address in ("/static/report.css", "/static/report.css?v=000000000000"):
        assert (await browser.get(address)).headers["cache-control"] == "public, max-age=300"


async def test_head_tells_the_size_and_gives_nothing(console: Console) -> None:
    async with console.browser().client as client:
        head = await client.head(static("htmx/htmx.min.js"), headers={"Accept-Encoding": "br"})
    assert head.status_code == 200
    assert head.content == b""
    assert int(head.headers["content-length"]) == 52_182
