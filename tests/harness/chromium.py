"""A real Chromium, driven by playwright: Debian's own, or the one `NOTICEBUS_TEST_CHROMIUM` names.

`python tests/harness/chromium.py` installs it where the machine's package manager offers it, and
says what to do where it does not.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from harness import run

PATH_SETTING = "NOTICEBUS_TEST_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-quic", "--disable-background-networking")
ZONE = "America/Chicago"
WIDE, PHONE, NARROW = 1280, 390, 320
HEIGHTS = {WIDE: 900, PHONE: 844, NARROW: 640}
WITHIN_MS = 30_000
INSTALL_WITHIN_S = 900
expect.set_options(timeout=WITHIN_MS)
LISTENER = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`);
});
"""


@dataclass(kw_only=True)
class Watched:
    """One person's browser window, and everything in it that should not have happened."""

    page: Page
    home: str
    scripts: bool
    faults: list[str] = field(default_factory=list)

    async def resize(self, width: int) -> None:
        """Make the window as wide as one of the widths."""
        await self.page.set_viewport_size({"width": width, "height": HEIGHTS[width]})

    async def policy_faults(self) -> list[str]:
        """Give what the page's own content policy has stopped since it was loaded."""
        if not self.scripts:
            return []
        return [f"stopped by policy: {one}" for one in await self.page.evaluate("violations")]

    async def faults_so_far(self) -> list[str]:
        """Give everything that is wrong by now, on this page and on those before it."""
        return self.faults + await self.policy_faults()


def find() -> str | None:
    """Give the path of a Chromium on this machine; None without one."""
    if chosen := os.environ.get(PATH_SETTING):
        return chosen
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Start a Chromium for the length of the block; without one the tests are skipped, or fail."""
    path = find()
    if path is None:
        run.unavailable(f"No Chromium: {_how()}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@contextlib.asynccontextmanager
async def window(
    browser: Browser,
    home: str,
    *,
    width: int = WIDE,
    scripts: bool = True,
    **more: Any,
) -> AsyncIterator[Watched]:
    """Open a window of its own cookies, in which whatever leaves `home` is noted."""
    settings: dict[str, Any] = {
        "base_url": home,
        "viewport": {"width": width, "height": HEIGHTS[width]},
        "java_script_enabled": scripts,
        "timezone_id": ZONE,
        "locale": "en-US",
        "reduced_motion": "reduce",
    }
    context = await browser.new_context(**settings | more)
    context.set_default_timeout(WITHIN_MS)
    try:
        await context.add_init_script(LISTENER)
        yield watched(await context.new_page(), home, scripts=scripts)
    finally:
        await context.close()


def watched(page: Page, home: str, *, scripts: bool = True) -> Watched:
    """Note a page's requests to other hosts, its scripts' errors and what the console calls one."""
    seen = Watched(page=page, home=home, scripts=scripts)

    def asked(request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(home).netloc:
            seen.faults.append(f"asked another host: {request.url}")

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            seen.faults.append(f"console: {message.text} ({message.location['url']})")

    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: seen.faults.append(f"script: {error}"))
    return seen


def install() -> None:
    """Install Chromium with the package manager of a Debian, where that may be done quietly."""
    if find() is not None:
        return
    if os.environ.get(PATH_SETTING) or shutil.which("apt-get") is None or os.geteuid() != 0:
        run.say(f"no Chromium here, so that the browser tests are left out: {_how()}")
        return
    run.say("installing Chromium with apt-get, once, for the browser tests")
    get = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
    wanted = [*get, "install", "--yes", "--no-install-recommends", "chromium"]
    if not _called(wanted):
        _called([*get, "update"])
        _called(wanted)
    if find() is None:
        run.say(f"apt-get gave no Chromium: {_how()}")


def _called(command: list[str]) -> bool:
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command,
        env=quiet,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=INSTALL_WITHIN_S,
        check=False,
    )
    return done.returncode == 0


def _how() -> str:
    return f"install it (Debian: apt-get install chromium), or set {PATH_SETTING} to its path."


if __name__ == "__main__":
    install()
