"""Working on it: one person at a time, shown to the others, and nothing in the clock moves."""

import asyncio
import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from harness import desk as furnish
from harness.api import County, furnish_county
from harness.console import Console
from harness.statements import statements_of
from noticebus.casework.attendance import LASTS
from noticebus.contracts.vocabulary import UserRole
from noticebus.ids import ObligationId
from noticebus.store import attendances as store
from noticebus.store.tables import attendances, entries, obligations


@pytest.fixture
async def silent(console: Console) -> County:
    """Post a notice that three recipients must answer, none of whom has."""
    county = await furnish_county(console.api)
    await county.poster.post_notice(furnish.notice_body(console.desk))
    return county


async def owed_by(console: Console, county: County, name: str) -> ObligationId:
    async with console.desk.database.read() as conn:
        found = await conn.execute(
            sa.select(obligations.c.id).where(
                obligations.c.agency_id == county.agencies[name].id, obligations.c.owed == "notice"
            )
        )
        return ObligationId(found.scalar_one())


async def rows(console: Console) -> list[Any]:
    async with console.desk.database.read() as conn:
        return list((await conn.execute(sa.select(attendances))).mappings())


async def entered(console: Console) -> list[str]:
    async with console.desk.database.read() as conn:
        found = await conn.execute(
            sa.select(entries.c.type)
            .where(entries.c.type.in_(["obligation.attended", "obligation.left"]))
            .order_by(entries.c.position)
        )
        return list(found.scalars())


async def test_operator_says_so_and_says_when_off_it_and_the_clock_does_not_move(
    console: Console, silent: County
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR, name="Dana Reyes")
    before = await console.api.everything()

    await dana.get(f"/obligations/{owed}/attend")
    assert "Nobody is on this now." in dana.page
    assert "the bus goes on calling" in dana.page
    there = await dana.post(f"/obligations/{owed}/attend", {"back": "/reports?class=A"})
    assert there.headers["location"] == f"/reports?class=A&said=attending#actions-{owed}"
    (row,) = await rows(console)
    assert row["name"] == "Dana Reyes"
    assert row["lapses_at"] == console.desk.world.now() + LASTS
    after = await console.api.everything()
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"attendances", "entries", "sessions"}

    await dana.post(f"/obligations/{owed}/leave", {"back": "/"})
    assert await rows(console) == []
    assert await entered(console) == ["obligation.attended", "obligation.left"]


async def test_same_button_twice_is_one_fact(console: Console, silent: County) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/attend")
    for _ in range(2):
        await dana.post(f"/obligations/{owed}/attend", {})
    assert await entered(console) == ["obligation.attended"]

    furnish.world(console.desk).advance(dt.timedelta(minutes=10))
    await dana.post(f"/obligations/{owed}/attend", {})
    (row,) = await rows(console)
    assert row["lapses_at"] == console.desk.world.now() + LASTS
    assert row["began_at"] == console.desk.world.now() - dt.timedelta(minutes=10)


async def test_of_two_operators_at_once_one_wins_and_the_other_sees_who(
    console: Console, silent: County
) -> None:
    owed = await owed_by(console, silent, "cps")
    names = ("Dana Reyes", "Lee <b>Ito</b>")
    both = [await console.sign_in(UserRole.OPERATOR, name=name) for name in names]
    for browser in both:
        await browser.get(f"/obligations/{owed}/attend")
    async with asyncio.TaskGroup() as tasks:
        made = [
            tasks.create_task(one.post(f"/obligations/{owed}/attend", {"back": "/"}))
            for one in both
        ]
    said = ["said=attending" in one.result().headers["location"] for one in made]
    assert sorted(said) == [False, True]
    winner, loser = both[said.index(True)], both[said.index(False)]
    (row,) = await rows(console)
    assert winner.user is not None
    assert row["actor"] == winner.user.id
    await loser.follow(made[said.index(False)].result())
    assert "Somebody else is on this already" in loser.page
    shown = {"Dana Reyes": "Dana Reyes", "Lee <b>Ito</b>": "Lee &lt;b&gt;Ito&lt;/b&gt;"}
    assert f"<strong>{shown[winner.user.name]}</strong>" in loser.page
    assert await entered(console) == ["obligation.attended"]


async def test_somebody_elses_is_taken_over_by_saying_so_and_only_as_it_was_seen(
    console: Console, silent: County
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR, name="Dana Reyes")
    lee = await console.sign_in(UserRole.OPERATOR, name="Lee Ito")
    kim = await console.sign_in(UserRole.OPERATOR, name="Kim Oh")
    await dana.get(f"/obligations/{owed}/attend")
    await dana.post(f"/obligations/{owed}/attend", {})
    began = (await rows(console))[0]["began_at"]
    assert dana.user is not None
    furnish.world(console.desk).advance(dt.timedelta(minutes=2))
    seen = {"from": dana.user.id, "since": began.isoformat()}
    for browser in (lee, kim):
        await browser.get(f"/obligations/{owed}/attend")
        assert "Take over from Dana Reyes" in browser.page
        assert "2 min" in browser.page
        assert "08:00 CDT" in browser.page
        assert f'value="{seen["since"]}"' in browser.page

    await lee.post(f"/obligations/{owed}/attend", {**seen, "back": "/"})
    too_late = await kim.post(f"/obligations/{owed}/attend", {**seen, "back": "/"})

    assert [one["name"] for one in await rows(console)] == ["Lee Ito"]
    await kim.follow(too_late)
    assert "<strong>Lee Ito</strong>" in kim.page
    await dana.get(f"/obligations/{owed}/attend")
    left = await dana.post(f"/obligations/{owed}/leave", {"back": "/"})
    assert "said=not-on-it" in left.headers["location"]
    assert [one["name"] for one in await rows(console)] == ["Lee Ito"]


@pytest.mark.parametrize("since", ["", "yesterday", "2019-08-07T13:00:00"])
async def test_take_over_that_names_nobody_takes_over_nothing(
    console: Console, silent: County, since: str
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR, name="Dana Reyes")
    lee = await console.sign_in(UserRole.OPERATOR, name="Lee Ito")
    await dana.get(f"/obligations/{owed}/attend")
    await dana.post(f"/obligations/{owed}/attend", {})
    await lee.get(f"/obligations/{owed}/attend")
    assert dana.user is not None
    await lee.post(f"/obligations/{owed}/attend", {"from": dana.user.id, "since": since})
    assert [one["name"] for one in await rows(console)] == ["Dana Reyes"]


async def test_it_lapses_and_an_answer_ends_it(console: Console, silent: County) -> None:
    cps, school = [await owed_by(console, silent, name) for name in ("cps", "school")]
    dana = await console.sign_in(UserRole.OPERATOR, name="Dana Reyes")
    await dana.get(f"/obligations/{cps}/attend")
    for owed in (cps, school):
        await dana.post(f"/obligations/{owed}/attend", {})
    notice_id = (await silent.poster.get("/v1/notices"))["items"][0]["id"]
    answer = {"answer": "accepted", "by": {"name": "Jo Park", "role": "intake"}}
    await silent.cps.post(f"/v1/notices/{notice_id}/acknowledgements", answer)

    assert set(await working(console, cps, school)) == {school}
    await dana.get(f"/obligations/{cps}/attend")
    assert "nobody needs to work on it" in dana.page
    await dana.post(f"/obligations/{cps}/attend", {}, status=409)
    furnish.world(console.desk).advance(LASTS)
    assert await working(console, cps, school) == {}


async def working(console: Console, *owed: ObligationId) -> dict[ObligationId, store.Attendance]:
    with statements_of(console.desk) as asked:
        async with console.desk.database.read() as conn:
            found = await store.of(conn, owed, now=console.desk.world.now())
    assert len(asked) == 1
    return found


@pytest.mark.parametrize("role", [UserRole.AUDITOR, UserRole.AGENCY_ADMINISTRATOR, UserRole.POSTER])
async def test_only_operators_work_on_things(
    console: Console, silent: County, role: UserRole
) -> None:
    owed = await owed_by(console, silent, "cps")
    somebody = await console.sign_in(role, agency=silent.agencies["cps"])
    await somebody.get("/")
    before = await console.api.everything()
    await somebody.get(f"/obligations/{owed}/attend", status=403)
    for verb in ("attend", "leave"):
        await somebody.post(f"/obligations/{owed}/{verb}", {}, status=403)
    assert await console.api.everything() == before


async def test_what_is_not_there_and_forms_made_elsewhere_store_nothing(
    console: Console, silent: County
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get("/")
    before = await console.api.everything()
    await dana.get("/obligations/obl_0/attend", status=404)
    for verb in ("attend", "leave"):
        await dana.post(f"/obligations/obl_0/{verb}", {}, status=404)
        await dana.post(f"/obligations/{owed}/{verb}", {"csrf": "another"}, status=403)
    assert await console.api.everything() == before


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a b", "/x#y"]
)
async def test_form_comes_back_to_this_console_only(
    console: Console, silent: County, back: str
) -> None:
    owed = await owed_by(console, silent, "cps")
    dana = await console.sign_in(UserRole.OPERATOR)
    await dana.get(f"/obligations/{owed}/attend")
    there = await dana.post(f"/obligations/{owed}/attend", {"back": back})
    assert there.headers["location"] == f"/?said=attending#actions-{owed}"
