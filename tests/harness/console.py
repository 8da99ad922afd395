"""The console over one desk: people who are signed in, and what their browsers would send."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from harness.api import Api
from harness.apps import lent_app
from noticebus.access.sessions import Sessions
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Intake
from noticebus.console import app as console
from noticebus.console.visitors import cookie_name
from noticebus.contracts.vocabulary import SignInMethod, UserRole
from noticebus.ids import new_user_id
from noticebus.store.agencies import Agency
from noticebus.store.users import User, insert_user

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(kw_only=True)
class Browser:
    """A browser without scripts. It keeps the form token of the page it saw last."""

    client: httpx2.AsyncClient
    user: User | None = None
    token: str = ""
    page: str = field(default="", repr=False)

    async def get(self, path: str, *, status: int = 200, **parts: Any) -> httpx2.Response:
        """Open a page; redirects are not followed."""
        return self._seen(await self.client.get(path, **parts), status)

    async def post(
        self, path: str, form: Mapping[str, str | Sequence[str]], *, status: int = 303
    ) -> httpx2.Response:
        """Send a form of the page seen last; whoever works by form is sent on with 303."""
        data = {"csrf": self.token, **form}
        return self._seen(await self.client.post(path, data=data), status)

    async def follow(self, response: httpx2.Response) -> httpx2.Response:
        """Go where a form sent the browser."""
        return await self.get(response.headers["location"])

    def _seen(self, response: httpx2.Response, status: int) -> httpx2.Response:
        assert response.status_code == status, response.text
        found = _CSRF.search(response.text)
        self.token = found[1] if found else self.token
        self.page = response.text
        return response


@dataclass(frozen=True, kw_only=True)
class Console:
    """The application with every page, its interface for programs, and its desk."""

    api: Api

    @property
    def desk(self) -> Desk:
        """Give the desk."""
        return self.api.desk

    def browser(self) -> Browser:
        """Open a browser in which nobody is signed in."""
        transport = httpx2.ASGITransport(app=self.api.app)
        client = httpx2.AsyncClient(transport=transport, base_url="https://bus.example.gov")
        return Browser(client=client)

    async def sign_in(
        self, *roles: UserRole, agency: Agency | None = None, name: str = "Dana Reyes"
    ) -> Browser:
        """Make a person with `roles` and sign that person in."""
        user_id = new_user_id()
        user = User(
            id=user_id,
            login=f"{user_id}@bus.example.gov",
            name=name,
            agency_id=None if agency is None else agency.id,
            roles=roles,
            password_hash=None,
            issuer=None,
            subject=None,
            failed_tries=0,
            locked_until=None,
            disabled_at=None,
            signed_in_at=None,
            revision=1,
            created_at=self.desk.world.now(),
        )
        async with self.desk.database.begin() as conn:
            await insert_user(conn, user)
        sessions: Sessions = self.api.app.state.sessions
        begun = await sessions.begin(user, method=SignInMethod.PASSWORD)
        browser = self.browser()
        browser.user = user
        browser.client.cookies.set(cookie_name(self.desk), begun.cookie)
        browser.client.headers["Sec-Fetch-Site"] = "same-origin"
        return browser


@contextlib.asynccontextmanager
async def open_console(desk: Desk) -> AsyncIterator[Console]:
    """Serve `desk` with every page for the length of the block, with its intake running."""
    intake = Intake(desk)
    with lent_app(desk, intake=intake, routers=console.ROUTERS) as app:
        console.install(app, desk)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(intake.run())
            try:
                yield Console(api=Api(app=app, desk=desk))
            finally:
                running.cancel()
