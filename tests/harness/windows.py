"""Windows that stay open from one page to the next: one for each kind of visitor.

To sign in and to load what all pages share takes longer than most pages do.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from playwright.async_api import Browser

from harness import chromium
from harness.chromium import Watched
from harness.town import Town
from noticebus.contracts.vocabulary import UserRole

Kind = tuple[tuple[UserRole, ...], str | None]


@dataclass(frozen=True, kw_only=True)
class Windows:
    """The windows of the people who look at a bus, each opened once."""

    browser: Browser
    town: Town
    _stack: contextlib.AsyncExitStack
    _open: dict[Kind, Watched] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def tab(
        self, roles: tuple[UserRole, ...], *, agency: str | None = None
    ) -> AsyncIterator[Watched]:
        """Lend a new tab in the window of somebody with `roles`; of nobody, without any."""
        window = self._open.get((roles, agency)) or await self._sign_in(roles, agency)
        page = await window.page.context.new_page()
        try:
            yield chromium.watched(page, window.home)
        finally:
            await page.close()

    async def _sign_in(self, roles: tuple[UserRole, ...], agency: str | None) -> Watched:
        opened = chromium.window(self.browser, self.town.home)
        window = self._open[roles, agency] = await self._stack.enter_async_context(opened)
        if roles:
            of = None if agency is None else self.town.agencies[agency]
            await self.town.sign_in(window.page.context, *roles, agency=of)
        return window


@contextlib.asynccontextmanager
async def open_windows(browser: Browser, town: Town) -> AsyncIterator[Windows]:
    """Lend windows onto a bus for the length of the block."""
    async with contextlib.AsyncExitStack() as stack:
        yield Windows(browser=browser, town=town, _stack=stack)
