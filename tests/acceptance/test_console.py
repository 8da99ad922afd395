"""What every page of the console shares: the way in, the frame, refusals, headers."""

import sqlalchemy as sa

from harness.console import Console
from noticebus.access.principals import Principal
from noticebus.casework.page_views import ENTRY_TYPE, PageViews
from noticebus.contracts.vocabulary import UserRole
from noticebus.store.tables import entries
from noticebus.store.users import User


async def test_whoever_is_not_signed_in_is_sent_to_the_sign_in_page_and_back(
    console: Console,
) -> None:
    browser = console.browser()
    sent = await browser.get("/?class=A", status=303)
    assert sent.headers["location"] == "/sign-in?next=%2F%3Fclass%3DA"


async def test_view_is_entered_once_in_five_minutes_and_before_the_page_is_shown(
    console: Console,
) -> None:
    browser = await console.sign_in(UserRole.AUDITOR)
    assert browser.user is not None
    views, desk = PageViews(), console.desk
    principal = principal_of(browser.user)
    for _ in range(3):
        await views.enter(desk, principal, page="incident", about={"incident_id": "inc_1"})
    await views.enter(desk, principal, page="incident", about={"incident_id": "inc_2"})
    async with desk.database.read() as conn:
        found = (
            await conn.execute(sa.select(entries.c.incident_id).where(entries.c.type == ENTRY_TYPE))
        ).scalars()
        assert sorted(found) == ["inc_1", "inc_2"]


def principal_of(user: User) -> Principal:
    return Principal(
        id=user.id, name=user.name, agency_id=None, agency_kind=None, scopes=frozenset()
    )


async def test_page_says_who_is_signed_in_and_carries_the_strict_policy(console: Console) -> None:
    browser = await console.sign_in(UserRole.OPERATOR, name="Dana Reyes")
    page = await browser.get("/")
    assert "Dana Reyes" in page.text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
