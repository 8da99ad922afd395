"""Every route of the console: to strangers, to forms without their token, and in the ledger."""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute

from harness.api import furnish_county
from harness.console import Browser, Console
from harness.desk import SCOTT_COUNTY, notice_body
from harness.desk import principal as furnish_principal
from harness.drafts import ask_for_approval, keep_draft
from harness.orders import add_orders
from noticebus.access.sessions import Sessions
from noticebus.casework import posting, questions
from noticebus.casework.posting import Confirmed
from noticebus.console.app import ROUTERS
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.question import QuestionPost
from noticebus.contracts.vocabulary import QuestionTopic, Scope, Status, UserRole
from noticebus.gateway.app import ROUTERS as FOR_PROGRAMS
from noticebus.ids import AgencyId, IncidentId, QuestionId
from noticebus.store.matching import agencies_by_id
from noticebus.store.tables import deliveries, entries, obligations

# What needs no sign-in, and why.
OPEN = {
    "/sign-in": "the way in",
    "/sign-in/oidc": "the way in through a provider; 404 where there is none",
    "/sign-in/oidc/callback": "the way back from it",
    "/sign-in/link/{token}": "the link is the way in",
    "/sign-in/password": "the form that replaces a one-time password",
    "/a/{token}": "whoever got the mail answers; its own code is asked for",
    "/r/{token}": "a report lent by link",
}
OPEN_BELOW = ("/static/", "/icon/", "/docs", "/events", "/accessibility", "/status")
# What shows nothing of a notice, a person or an answer, so is not entered in the ledger, and why.
NOT_ENTERED = {
    "/agencies": "names, and how each stands",
    "/endpoints/new": "an empty form, and how many people can be told",
    "/exercises": "names and times of exercises",
    "/exercises/new": "an empty form",
    "/heartbeat": "how the bus stands",
    "/policies": "rules",
    "/policies/{policy_id}": "rules",
    "/post": "what a notice can be started from, one's own headlines, and how many wait",
    "/post/new": "an empty form",
}
OF_POSTERS = {
    "/incidents/{incident_id}/all-clear",
    "/incidents/{incident_id}/cancel",
    "/post/drafts/{key}",
    "/post/approvals/{owner}/{key}",
    "/post/posted/{key}",
    "/questions/{question_id}/answer",
}
LOOKED_AT = ("page.viewed", "report.read")


def routes(method: str) -> list[str]:
    """List the paths that answer `method`, of the console alone."""
    found = {
        route.path
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and method in (route.methods or ())
    }
    return sorted(found)


def filled(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "none", path)


def is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_BELOW)


def test_walk_finds_the_routes() -> None:
    assert {"/", "/users", "/sign-in", "/incidents"} <= set(routes("GET"))
    assert {"/sign-out", "/sign-in", "/users/{user_id}/disable"} <= set(routes("POST"))
    programs = {one.path for router in FOR_PROGRAMS for one in router.routes}  # type: ignore[attr-defined]
    assert not any(path.startswith("/v1/") for path in routes("POST"))
    assert "/v1/notices" in programs


async def test_stranger_is_sent_to_the_sign_in_page_from_every_page(console: Console) -> None:
    shown = []
    for path in routes("GET"):
        if is_open(path):
            continue
        answer = await console.browser().client.get(filled(path))
        where = answer.headers.get("location", "")
        if answer.status_code != 303 or not where.startswith("/sign-in?next="):
            shown.append((path, answer.status_code))
    assert shown == []


async def test_stranger_changes_nothing_by_any_form(console: Console) -> None:
    taken = []
    for path in routes("POST"):
        if path == "/a/{token}":
            continue
        answer = await console.browser().client.post(filled(path), data={"name": "x"})
        to_sign_in = answer.headers.get("location", "").startswith("/sign-in?next=")
        if answer.status_code != 403 and not to_sign_in:
            taken.append((path, answer.status_code))
    assert taken == []


@pytest.mark.parametrize("token", ["", "x" * 22])
async def test_form_without_its_token_is_refused_by_every_route(
    console: Console, token: str
) -> None:
    signed_in = [await console.sign_in(role) for role in (UserRole.SUPERVISOR, UserRole.POSTER)]
    taken = []
    for browser in signed_in:
        for path in routes("POST"):
            if path == "/a/{token}":
                continue
            data = {"csrf": token, "name": "x", "confirm": "yes", "revision": "1"}
            answer = await browser.client.post(filled(path), data=data)
            if answer.status_code != 403:
                taken.append((path, answer.status_code))
    assert taken == []


async def posted(console: Console, browser: Browser) -> tuple[str, str, str]:
    """Post a notice as whoever is signed in; give its incident, itself and the key of its form."""
    sessions: Sessions = console.api.app.state.sessions
    visitor = await sessions.find(next(one.value for one in browser.client.cookies.jar))
    assert visitor is not None
    principal, key = visitor.principal, "k" * 32
    post = NoticePost.model_validate(notice_body(console.desk))
    checked = await posting.check(console.desk, principal, post=post)
    assert not await posting.post_confirmed(
        console.desk,
        console.api.app.state.intake,
        principal,
        post=post,
        key=key,
        confirmed=Confirmed(count=checked.preview.count, mark=checked.mark),
    )
    receipt = await posting.get_posted(console.desk, principal, key=key)
    return receipt["incident_id"], receipt["id"], key


async def asked(console: Console, incident: str, school: str) -> QuestionId:
    """Put a question to the poster of an incident."""
    async with console.desk.database.read() as conn:
        (agency,) = (await agencies_by_id(conn, [AgencyId(school)])).values()
    principal = replace(
        furnish_principal(Scope.ANSWER), agency_id=agency.id, agency_kind=agency.kind
    )
    post = QuestionPost(topic=QuestionTopic.AGES)
    seen = await questions.ask(console.desk, principal, incident_id=IncidentId(incident), post=post)
    return seen.question.id


async def completed(console: Console, boss: Browser, exercise: str, school: str) -> str:
    """Run an exercise now, and give the certificate of the school that has completed it."""
    path = exercise.partition("?")[0]
    run = await boss.post(f"{path}/run", {"key": "certificate-of-a-school"})
    in_it = (obligations.c.agency_id == school) & (obligations.c.status == Status.EXERCISE)
    async with console.desk.database.read() as conn:
        told = in_it & obligations.c.round_started_at.is_not(None)
        owed = (await conn.execute(sa.select(obligations.c.id).where(told))).scalar_one()
    heard = {"answer": "accepted", "how": "phone", "on_behalf_of": "the school", "version": "1"}
    await boss.post(
        f"/obligations/{owed}/answer", {**heard, "name": "Jo Park", "role": "principal"}
    )
    return f"{run.headers['location'].partition('?')[0]}/certificate"


async def furnished(console: Console, poster: Browser, office: str, school: str) -> dict[str, str]:
    """Furnish one of everything, and give the address of each page that shows some of it."""
    incident, notice, key = await posted(console, poster)
    question = await asked(console, incident, school)
    (order,) = await add_orders(console.desk, 1, agency_id=school)
    async with console.desk.database.read() as conn:
        owed = (
            await conn.execute(sa.select(obligations.c.id).where(obligations.c.agency_id == school))
        ).scalar_one()
        written = sa.select(deliveries.c.id).where(deliveries.c.contact_id.is_not(None)).limit(1)
        delivery = (await conn.execute(written)).scalar_one()
    tomorrow = console.desk.world.now() + dt.timedelta(days=1)
    boss = await console.sign_in(UserRole.SUPERVISOR)
    await boss.get("/exercises/new")
    scheduled = await boss.post(
        "/exercises",
        {
            "name": "Autumn",
            "starts": f"{tomorrow:%Y-%m-%dT%H:%M}",
            "ends": f"{tomorrow + dt.timedelta(hours=2):%Y-%m-%dT%H:%M}",
            "class": "B",
            "agency": office,
            "counties": SCOTT_COUNTY,
            "headline": "Exercise near Morton",
            "unit": "Field office",
            "callback": "+16015550100",
        },
    )
    certificate = await completed(console, boss, scheduled.headers["location"], school)
    heard = {"answer": "received", "how": "phone", "on_behalf_of": "the school", "version": "1"}
    answered = await boss.post(
        f"/obligations/{owed}/answer", {**heard, "name": "Jo Park", "role": "principal"}
    )
    assert boss.user is not None
    return {
        "/": "/",
        "/agencies/{agency_id}": f"/agencies/{school}",
        "/deliveries/{delivery_id}": f"/deliveries/{delivery}",
        "/endpoints/{subscription_id}": f"/endpoints/{order.id}",
        "/endpoints/{subscription_id}/first-answer": f"/endpoints/{order.id}/first-answer",
        "/endpoints/{subscription_id}/replay": f"/endpoints/{order.id}/replay?after=0",
        "/exercises/{exercise_id}": scheduled.headers["location"],
        "/exercises/{exercise_id}/certificate": certificate,
        "/incidents": "/incidents",
        "/incidents/{incident_id}": f"/incidents/{incident}",
        "/incidents/{incident_id}/all-clear": f"/incidents/{incident}/all-clear",
        "/incidents/{incident_id}/cancel": f"/incidents/{incident}/cancel",
        "/incidents/{incident_id}/cancel/confirm": f"/incidents/{incident}/cancel/confirm",
        "/incidents/{incident_id}/resend": f"/incidents/{incident}/resend",
        "/ledger": "/ledger",
        "/ledger/policies": "/ledger/policies",
        "/notices/{notice_id}": f"/notices/{notice}",
        "/obligations/{obligation_id}": f"/obligations/{owed}",
        "/obligations/{obligation_id}/answer": f"/obligations/{owed}/answer",
        "/obligations/{obligation_id}/answers/{acknowledgement_id}": answered.headers["location"],
        "/obligations/{obligation_id}/attend": f"/obligations/{owed}/attend",
        "/obligations/{obligation_id}/waive": f"/obligations/{owed}/waive",
        "/policies/simulation": f"/policies/simulation?agency={school}",
        "/post/posted/{key}": f"/post/posted/{key}",
        "/questions/{question_id}/answer": f"/questions/{question}/answer",
        "/reports/figures": "/reports/figures",
        "/reports/unacknowledged": "/reports/unacknowledged",
        "/reports/unacknowledged.{form}": "/reports/unacknowledged.csv",
        "/users": "/users",
        "/users/{user_id}": f"/users/{boss.user.id}",
    }


async def looks(console: Console, browser: Browser) -> int:
    """Count the entries that say that somebody looked at something."""
    assert browser.user is not None
    async with console.desk.database.read() as conn:
        found = await conn.execute(sa.select(entries.c.body).where(entries.c.type.in_(LOOKED_AT)))
        return sum(browser.user.id.encode() in body for body in found.scalars())


async def test_every_page_with_something_restricted_on_it_is_in_the_ledger_when_it_is_seen(
    console: Console,
) -> None:
    county = await furnish_county(console.api)
    agencies = county.agencies
    poster = await console.sign_in(UserRole.POSTER, agency=agencies["poster"])
    writer = await console.sign_in(UserRole.POSTER, agency=agencies["poster"])
    assert poster.user is not None
    assert writer.user is not None
    pages: Mapping[str, str] = {
        **await furnished(console, poster, agencies["poster"].id, agencies["school"].id),
        "/post/drafts/{key}": await keep_draft(console.desk, poster.user, agencies["poster"]),
        "/post/approvals/{owner}/{key}": await ask_for_approval(
            console.desk, writer.user, agencies["poster"]
        ),
    }
    shown = {path for path in routes("GET") if not is_open(path) and path not in NOT_ENTERED}
    assert shown == set(pages)
    unseen = []
    for path, address in pages.items():
        browser = poster if path in OF_POSTERS else await console.sign_in(UserRole.SUPERVISOR)
        before = await looks(console, browser)
        await browser.get(address)
        if await looks(console, browser) != before + 1:
            unseen.append(path)
    assert unseen == []
