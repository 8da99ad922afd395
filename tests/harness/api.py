"""The HTTP interface over one desk, its intake running, and callers with keys of their own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import sqlalchemy as sa
from fastapi import FastAPI

from harness.apps import lent_app
from harness.desk import add_agency, add_contact
from noticebus.access.principals import hash_key, new_key
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Intake
from noticebus.contracts.vocabulary import AgencyKind, Scope
from noticebus.ids import new_api_key_id
from noticebus.store.agencies import Agency
from noticebus.store.keys import ApiKey, insert_key
from noticebus.store.tables import loop_ticks, markers, metadata

Json = dict[str, Any]
BY_LOOPS = (loop_ticks, markers)  # what the bus writes of itself, whenever it comes to it
REQUESTED = [table for table in metadata.sorted_tables if table not in BY_LOOPS]


class Caller:
    """Somebody with a key. Every answer of 400 and more must be a problem with a page."""

    def __init__(self, app: FastAPI, secret: str) -> None:
        transport = httpx2.ASGITransport(app=app)
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._client = httpx2.AsyncClient(
            transport=transport, base_url="https://bus.example.gov", headers=headers
        )

    async def send(self, method: str, path: str, **parts: Any) -> httpx2.Response:
        """Send a request as it is."""
        return await self._client.request(method, path, **parts)

    async def get(self, path: str, *, status: int = 200) -> Json:
        """Read something."""
        return _checked(await self.send("GET", path), status)

    async def post(
        self, path: str, body: Any, *, status: int = 201, key: str | None = None
    ) -> Json:
        """Post something, under an Idempotency-Key where one is given."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return _checked(await self.send("POST", path, json=body, headers=headers), status)

    async def post_notice(self, body: Mapping[str, Any], *, status: int = 201) -> Json:
        """Post a notice under a fresh key."""
        return await self.post("/v1/notices", body, status=status, key=new_api_key_id())


@dataclass(frozen=True, kw_only=True)
class Api:
    """The application and its desk."""

    app: FastAPI
    desk: Desk

    async def caller(self, *scopes: Scope, agency: Agency | None = None) -> Caller:
        """Give a key with `scopes` to an agency, or to the bus itself."""
        key_id = new_api_key_id()
        secret = new_key(key_id)
        key = ApiKey(
            id=key_id,
            name="test",
            agency_id=None if agency is None else agency.id,
            scopes=scopes,
            created_at=self.desk.machine.now(),
            expires_at=None,
            revoked_at=None,
        )
        async with self.desk.database.begin() as conn:
            await insert_key(conn, key, secret_hash=hash_key(secret))
        return Caller(self.app, secret)

    async def counts(self) -> dict[str, int]:
        """Count the rows of every table that requests write."""
        async with self.desk.database.read() as conn:
            return {
                table.name: int(
                    (await conn.execute(sa.select(sa.func.count()).select_from(table))).scalar_one()
                )
                for table in REQUESTED
            }

    async def everything(self) -> dict[str, list[Any]]:
        """Read every row of every table that requests write, to tell whether anything changed."""
        async with self.desk.database.read() as conn:
            return {
                table.name: sorted(map(repr, (await conn.execute(sa.select(table))).all()))
                for table in REQUESTED
            }


@dataclass(frozen=True, kw_only=True)
class County:
    """A field office, and those who answer for Scott County: CPS, the district, a church."""

    poster: Caller
    cps: Caller
    school: Caller
    church: Caller
    agencies: Mapping[str, Agency]


async def furnish_county(api: Api) -> County:
    """Furnish the bus with one poster and three recipients that mail reaches."""
    made = {"poster": await add_agency(api.desk, "Field office", kind=AgencyKind.FEDERAL)}
    for name, kind in (
        ("cps", AgencyKind.CPS),
        ("school", AgencyKind.SCHOOL_DISTRICT),
        ("church", AgencyKind.FAITH),
    ):
        made[name] = await add_agency(api.desk, f"Scott County {name}", kind=kind)
        await add_contact(api.desk, made[name], f"{name} desk")
    answering = (Scope.ANSWER, Scope.SUBSCRIBE)
    return County(
        poster=await api.caller(Scope.POST, agency=made["poster"]),
        cps=await api.caller(*answering, agency=made["cps"]),
        school=await api.caller(*answering, agency=made["school"]),
        church=await api.caller(*answering, agency=made["church"]),
        agencies=made,
    )


@contextlib.asynccontextmanager
async def open_api(desk: Desk) -> AsyncIterator[Api]:
    """Serve `desk` for the length of the block, with its intake running."""
    intake = Intake(desk)
    with lent_app(desk, intake=intake) as app:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(intake.run())
            try:
                yield Api(app=app, desk=desk)
            finally:
                running.cancel()


def _checked(response: httpx2.Response, status: int) -> Json:
    assert response.status_code == status, response.text
    answer: Json = response.json()
    if status >= 400:
        assert response.headers["content-type"] == "application/problem+json"
        assert answer["status"] == status
        assert answer["request_id"] == response.headers["x-request-id"]
    return answer
