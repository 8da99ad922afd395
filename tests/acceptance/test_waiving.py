"""Waiving an answer: two people, a reason, and nothing changes before the second one confirms."""

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.api import Caller, County, furnish_county
from harness.console import Browser, Console
from noticebus.casework.recount import audit_part
from noticebus.contracts.vocabulary import DeliveryState, ObligationState, Scope, UserRole
from noticebus.ids import ObligationId
from noticebus.ledger.sequencer import Sequencer
from noticebus.store.obligations import Obligation, obligation_by_id
from noticebus.store.tables import deliveries, entries, obligations, waive_requests

REASON = "Merged into <b>Scott County Schools</b>, which has answered."
ACCEPTED = {"answer": "accepted", "by": {"name": "Jo Park", "role": "principal"}}


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A silent school district, and the operators of one shift."""

    console: Console
    county: County
    notice: dict[str, Any]
    id: ObligationId
    dana: Browser
    lee: Browser
    program: Caller

    @property
    def path(self) -> str:
        return f"/obligations/{self.id}"

    async def owed(self) -> Obligation:
        async with self.console.desk.database.read() as conn:
            found = await obligation_by_id(conn, self.id)
        assert found is not None
        return found

    async def queued(self) -> int:
        waiting = sa.select(sa.func.count()).where(
            deliveries.c.obligation_id == self.id, deliveries.c.state == DeliveryState.QUEUED
        )
        async with self.console.desk.database.read() as conn:
            return int((await conn.execute(waiting)).scalar_one())

    async def entered(self) -> list[str]:
        told = sa.select(entries.c.type).where(entries.c.type.startswith("waiver."))
        async with self.console.desk.database.read() as conn:
            return list((await conn.execute(told.order_by(entries.c.position))).scalars())

    async def opens_again(self) -> None:
        """Post a version that asks for a new answer."""
        update = furnish.notice_body(self.console.desk) | {"class": "A"}
        await self.county.poster.post(
            f"/v1/incidents/{self.notice['incident_id']}/updates",
            {**update, "base_version": 1, "change_reason": "new_info", "material": True},
        )

    async def figures_hold(self) -> bool:
        """Say whether the counters and the ledger tell what the rows tell."""
        desk = self.console.desk
        await Sequencer(desk).sweep()
        parts = [await audit_part(desk.database, cursor=one) for one in ("", "counters:")]
        return not [found for part in parts for found in part.findings]


@pytest.fixture
async def shift(console: Console) -> Shift:
    county = await furnish_county(console.api)
    notice = await county.poster.post_notice(furnish.notice_body(console.desk))
    of_school = obligations.c.agency_id == county.agencies["school"].id
    async with console.desk.database.read() as conn:
        found = await conn.execute(sa.select(obligations.c.id).where(of_school))
    return Shift(
        console=console,
        county=county,
        notice=notice,
        id=ObligationId(found.scalar_one()),
        dana=await console.sign_in(UserRole.OPERATOR, name="Dana Reyes"),
        lee=await console.sign_in(UserRole.SUPERVISOR, name="Lee Ortiz"),
        program=await console.api.caller(Scope.OPERATE),
    )


async def confirm(browser: Browser, path: str, *, status: int = 303) -> None:
    """Open the page, and press its button."""
    await browser.get(f"{path}/waive")
    await again(browser, path, status=status)


async def again(browser: Browser, path: str, *, status: int) -> None:
    """Press the button of the page that was opened last."""
    read = re.search(r'name="requested_at" value="([^"]+)"', browser.page)
    moment = read[1] if read else dt.datetime(2019, 1, 1, tzinfo=dt.UTC).isoformat()
    await browser.post(f"{path}/waive/confirm", {"requested_at": moment}, status=status)


async def test_answer_is_waived_by_two_people_and_a_late_answer_still_counts(shift: Shift) -> None:
    before, queued = await shift.owed(), await shift.queued()
    assert queued > 0

    await shift.dana.get(f"{shift.path}/waive")
    await shift.dana.post(f"{shift.path}/waive", {"reason": " "}, status=422)
    assert "Write why no answer is needed" in shift.dana.page
    sent = await shift.dana.post(f"{shift.path}/waive", {"reason": REASON})
    await shift.dana.follow(sent)
    assert "waiver asked by" in shift.dana.page
    assert (await shift.owed(), await shift.queued()) == (before, queued)

    for page in ("/", "/reports/unacknowledged", shift.path):
        await shift.lee.get(page)
        assert "waiver asked by" in shift.lee.page
        assert "Dana Reyes" in shift.lee.page
    await confirm(shift.dana, shift.path, status=403)  # whoever asked does not confirm
    assert await shift.owed() == before

    await confirm(shift.lee, shift.path)
    waived = await shift.owed()
    assert (waived.state, waived.next_step_at) == (ObligationState.WAIVED, None)
    assert await shift.queued() == 0
    assert await shift.figures_hold()
    await again(shift.lee, shift.path, status=409)

    seen = await shift.lee.get(shift.path)
    assert "Waived by the operators" in seen.text
    assert "The operators waived the answer of Scott County school" in seen.text
    assert "&lt;b&gt;Scott County Schools" in seen.text
    assert re.search(r"Dana Reyes asked for it, .*; Lee Ortiz confirmed it:", seen.text, re.DOTALL)
    shown = (await shift.program.get(f"/v1{shift.path}"))["waiver"]
    assert (shown["by_name"], shown["confirmed_by_name"]) == ("Dana Reyes", "Lee Ortiz")
    assert shown["confirmed_by"] != shown["requested_by"]
    await shift.lee.get("/")
    assert "waiver asked by" not in shift.lee.page
    report = await shift.program.get("/v1/reports/unacknowledged")
    assert shift.id not in {one["obligation_id"] for one in report["items"]}
    school = await shift.console.sign_in(
        UserRole.AGENCY_ADMINISTRATOR, agency=shift.county.agencies["school"]
    )
    own = await school.get(shift.path)
    assert "Waived by the operators" in own.text
    assert "Scott County Schools" not in own.text  # why is the operators' own matter

    answers = f"/v1/notices/{shift.notice['id']}/acknowledgements"
    assert (await shift.county.school.post(answers, ACCEPTED))["closed"] is True
    assert "did not end the matter" not in (await shift.lee.get(shift.path)).text
    assert (await shift.owed()).state is ObligationState.CLOSED
    assert await shift.figures_hold()
    assert await shift.entered() == ["waiver.requested", "waiver.confirmed"]
    kept = sa.select(waive_requests.c.reason, waive_requests.c.confirmed_by_name)
    asked_again = {"reason": "It has closed.", "by_name": "Dana Reyes"}
    await shift.opens_again()
    await shift.program.post(f"/v1{shift.path}/waiver", asked_again, status=202)
    async with shift.console.desk.database.read() as conn:
        rows = [tuple(row) for row in await conn.execute(kept.order_by(waive_requests.c.epoch))]
    assert rows == [(REASON, "Lee Ortiz"), ("It has closed.", None)]


async def test_waiver_over_http_is_taken_back_and_ends_with_a_new_round(shift: Shift) -> None:
    other = await shift.console.api.caller(Scope.OPERATE)
    path, post = f"/v1{shift.path}/waiver", {"reason": "It has closed.", "by_name": "Dana Reyes"}
    refused = await shift.county.school.post(path, post, status=403)
    nothing = await other.post(f"{path}/confirmation", {"by_name": "Lee Ortiz"}, status=409)
    asked = await shift.program.post(path, post, status=202)
    repeated = await shift.program.post(path, post, status=202)
    pending = await other.post(path, post, status=409)
    same_name = await other.post(f"{path}/confirmation", {"by_name": "dana  REYES"}, status=403)
    unread = {"by_name": "Lee Ortiz", "requested_at": "2019-08-07T12:00:00Z"}
    another = await other.post(f"{path}/confirmation", unread, status=409)
    read = await other.get(f"/v1{shift.path}")
    own = await shift.county.school.get(f"/v1{shift.path}")

    assert asked == repeated == read["waiver"]
    assert own["waiver"] is None
    codes = [one["code"] for one in (refused, nothing, pending, same_name, another)]
    assert codes[:3] == ["forbidden", "no-waiver-requested", "waiver-pending"]
    assert codes[3:] == ["second-person-needed", "waiver-pending"]

    taken = await shift.program.send("DELETE", path)
    assert taken.json()["waiver"] is None
    await shift.program.post(path, post, status=202)
    await shift.opens_again()
    lapsed = await other.post(f"{path}/confirmation", {"by_name": "Lee Ortiz"}, status=409)

    assert lapsed["code"] == "no-waiver-requested"
    assert (await shift.owed()).state is ObligationState.OPEN
    kinds = ["waiver.requested", "waiver.taken_back", "waiver.requested"]
    assert await shift.entered() == kinds
