"""Every page, wide and on a phone: nothing stopped, nothing fetched elsewhere, nothing to trip on.

The pages are found by the application's own routes, so that a new one cannot be forgotten: a route
without a line in `VISITS` fails.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import pytest
import sqlalchemy as sa
from fastapi.routing import APIRoute
from playwright.async_api import expect

from harness import desk as furnish
from harness.chromium import NARROW, PHONE, WIDE
from harness.drafts import ask_for_approval
from harness.inspection import axe_faults, shape_faults
from harness.member import Posted
from harness.strain import forced_colour_faults, large_text_faults
from harness.town import Town
from harness.windows import Windows
from noticebus.casework import (
    exercise_runs,
    exercises,
    keys,
    questions,
    report_links,
    sign_in_links,
    speaking,
    waiving,
)
from noticebus.casework.answer import GivenAnswer
from noticebus.casework.reports import Asked
from noticebus.casework.users import Change
from noticebus.console.app import ROUTERS
from noticebus.contracts.key import ApiKeyPost
from noticebus.contracts.question import QuestionPost
from noticebus.contracts.vocabulary import Answer, QuestionTopic, Scope, UserRole
from noticebus.contracts.waiver import WaiverPost
from noticebus.ids import ExerciseId, NoticeId
from noticebus.store import tables

OPERATOR = (UserRole.OPERATOR, UserRole.SUPERVISOR, UserRole.AUDITOR)
OF_AGENCY = (UserRole.AGENCY_ADMINISTRATOR,)
FILES = "/static/"
NO_PAGES = {
    "/sign-in/oidc": "sends the browser to the identity provider",
    "/sign-in/oidc/callback": "the identity provider sends the browser here, and it goes on",
    "/heartbeat": "a part of every page",
    "/icon/{mark}.svg": "a drawing",
    "/reports/unacknowledged.{form}": "a file",
    "/post/drafts/{key}": "a step of the form that posts, with what was typed",
    "/post/posted/{key}": "a receipt, looked at where it is posted",
}

Address = Callable[[Town, Posted], Awaitable[str]]


@dataclass(frozen=True, kw_only=True)
class Visit:
    """How a route is looked at: by whom (nobody signed in without roles), and where."""

    by: tuple[UserRole, ...] = OPERATOR
    agency: str | None = None
    at: Address | None = None
    status: int = 200
    until: str = ""  # what stands on it when its scripts are done
    more: tuple[str, ...] = ()  # endings of other addresses of it


async def link(town: Town, incident: Posted) -> str:
    """Give the church's link."""
    return (await town.letter(incident, "church")).path


async def report_link(town: Town, _: Posted) -> str:
    """Give a link to the report."""
    key = ApiKeyPost(name="desk", agency_id=None, scopes=(Scope.OPERATE,))
    made = await keys.create_key(town.bus.desk, furnish.principal(Scope.ADMIN), post=key)
    operator = replace(furnish.principal(Scope.OPERATE), id=made.key.id)
    link = await report_links.make_link(town.bus.desk, operator, asked=Asked())
    return link.url.removeprefix(town.home)


async def sign_in_link(town: Town, _: Posted) -> str:
    """Give a link that signs somebody in."""
    desk, person = town.bus.desk, await town.person(UserRole.OPERATOR)
    change = Change(by="test", world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.begin() as conn:
        made = await sign_in_links.make_user_link(
            conn, desk.keyring, person, base_url=town.home, change=change
        )
    return made.removeprefix(town.home)


def first(path: str, table: sa.Table) -> Address:
    """Give an address with the id of the first row of a table in it."""

    async def address(town: Town, _: Posted) -> str:
        async with town.bus.desk.database.read() as conn:
            found = (await conn.execute(sa.select(table.c.id).order_by(table.c.id))).scalars()
            return path.format(next(iter(found)))

    return address


def silent(path: str) -> Address:
    """Give an address with the obligation of the silent church in it."""

    async def address(town: Town, incident: Posted) -> str:
        return path.format((await town.owed(incident, "church")).id)

    return address


async def receipt(town: Town, incident: Posted) -> str:
    """Give the page of an answer that was recorded."""
    (made,) = await town.answers(incident, "cps")
    return f"/obligations/{made.obligation_id}/answers/{made.id}"


def of_incident(path: str) -> Address:
    """Give an address with the incident in it."""

    async def address(_: Town, incident: Posted) -> str:
        return path.format(incident.incident_id)

    return address


def plain(path: str) -> Address:
    """Give an address that is always the same."""

    async def address(_: Town, __: Posted) -> str:
        return path

    return address


async def asked_about(town: Town, _: Posted) -> str:
    """Give the page that answers the question put about another notice."""
    posted = await town.bus.post_notice()
    cps = furnish.principal(Scope.ANSWER, agency=town.agencies["cps"])
    post = QuestionPost(topic=QuestionTopic.OTHER, text="Is the Oak Street bus line cut?")
    asked = await questions.ask(town.bus.desk, cps, incident_id=posted.incident_id, post=post)
    return f"/questions/{asked.question.id}/answer"


async def to_confirm(town: Town, _: Posted) -> str:
    """Give the page that confirms the cancel asked for of another notice."""
    posted = await town.bus.post_notice()
    await town.bus.request_cancel(posted)
    return f"/incidents/{posted.incident_id}/cancel/confirm"


async def to_approve(town: Town, _: Posted) -> str:
    """Give the page that approves what somebody else of the poster's has asked for."""
    office = town.agencies["poster"]
    writer = await town.person(UserRole.POSTER, agency=office)
    return await ask_for_approval(town.bus.desk, writer, office)


async def to_waive(town: Town, _: Posted) -> str:
    """Give the page that confirms the waiver somebody has asked for about another notice."""
    owed = await town.owed(await town.bus.post_notice(), "church")
    post = WaiverPost(reason="It has closed.", by_name="Lee Ortiz")
    await waiving.ask(
        town.bus.desk, furnish.principal(Scope.OPERATE), obligation_id=owed.id, post=post
    )
    return f"/obligations/{owed.id}/waive"


async def notice(_: Town, incident: Posted) -> str:
    """Give the page of a notice."""
    return f"/notices/{incident.id}"


async def agency(town: Town, _: Posted) -> str:
    """Give the page of a recipient."""
    return f"/agencies/{town.agencies['school'].id}"


async def certificate(town: Town, _: Posted) -> str:
    """Give the certificate of an exercise that the school completed."""
    desk, operator = town.bus.desk, furnish.principal(Scope.OPERATE)
    (scheduled,) = await exercises.list_exercises(desk, operator, before="", limit=1)
    run = await exercise_runs.run_now(
        desk, operator, exercise_id=ExerciseId(scheduled.id), key="certificate-of-the-gallery"
    )
    school = furnish.principal(Scope.ANSWER, agency=town.agencies["school"])
    given = GivenAnswer(answer=Answer.ACCEPTED, by_name="Jo Park", by_role="principal")
    await speaking.answer_as_agency(desk, school, notice_id=NoticeId(run.notice_id), given=given)
    return f"/exercises/{run.id}/certificate"


VISITS: Mapping[str, Visit] = {
    "/": Visit(),
    "/accessibility": Visit(by=()),
    "/docs": Visit(by=(), until="#interface .opblock"),
    "/status": Visit(),
    "/a/{token}": Visit(by=(), at=link, more=("?lang=es",)),
    "/agencies": Visit(),
    "/agencies/{agency_id}": Visit(at=agency),
    "/deliveries/{delivery_id}": Visit(at=first("/deliveries/{}", tables.deliveries)),
    "/endpoints/{subscription_id}": Visit(at=first("/endpoints/{}", tables.subscriptions)),
    "/endpoints/new": Visit(by=OF_AGENCY, agency="school"),
    "/endpoints/{subscription_id}/first-answer": Visit(
        at=first("/endpoints/{}/first-answer", tables.subscriptions)
    ),
    "/endpoints/{subscription_id}/replay": Visit(
        at=first("/endpoints/{}/replay?since=2019-08-07T08:00", tables.subscriptions)
    ),
    "/events": Visit(by=()),
    "/exercises": Visit(),
    "/exercises/new": Visit(by=(UserRole.POSTER,), agency="poster"),
    "/exercises/{exercise_id}": Visit(at=first("/exercises/{}", tables.exercises)),
    "/exercises/{exercise_id}/certificate": Visit(at=certificate),
    "/incidents": Visit(),
    "/incidents/{incident_id}": Visit(at=of_incident("/incidents/{}")),
    "/incidents/{incident_id}/all-clear": Visit(
        by=(UserRole.POSTER,), agency="poster", at=of_incident("/incidents/{}/all-clear")
    ),
    "/incidents/{incident_id}/cancel": Visit(
        by=(UserRole.POSTER,), agency="poster", at=of_incident("/incidents/{}/cancel")
    ),
    "/incidents/{incident_id}/cancel/confirm": Visit(at=to_confirm),
    "/incidents/{incident_id}/resend": Visit(at=of_incident("/incidents/{}/resend")),
    "/ledger": Visit(),
    "/reports/figures": Visit(more=("?status=exercise", "?by=places")),
    "/ledger/policies": Visit(),
    "/notices/{notice_id}": Visit(at=notice),
    "/obligations/{obligation_id}": Visit(at=silent("/obligations/{}")),
    "/obligations/{obligation_id}/answer": Visit(at=silent("/obligations/{}/answer")),
    "/obligations/{obligation_id}/answers/{acknowledgement_id}": Visit(at=receipt),
    "/obligations/{obligation_id}/attend": Visit(at=silent("/obligations/{}/attend")),
    "/obligations/{obligation_id}/waive": Visit(
        by=(UserRole.OPERATOR,), at=silent("/obligations/{}/waive")
    ),
    "/policies": Visit(),
    "/policies/simulation": Visit(),
    "/policies/{policy_id}": Visit(at=first("/policies/{}", tables.policies)),
    "/post": Visit(by=(UserRole.POSTER,), agency="poster"),
    "/post/approvals/{owner}/{key}": Visit(by=(UserRole.POSTER,), agency="poster", at=to_approve),
    "/post/new": Visit(
        by=(UserRole.POSTER,),
        agency="poster",
        at=plain("/post/new?template=worksite"),
    ),
    "/questions/{question_id}/answer": Visit(
        by=(UserRole.POSTER,), agency="poster", at=asked_about
    ),
    "/r/{token}": Visit(by=(), at=report_link),
    "/reports/unacknowledged": Visit(),
    "/sign-in": Visit(by=()),
    "/users": Visit(),
    "/users/{user_id}": Visit(at=first("/users/{}", tables.users)),
    "/sign-in/link/{token}": Visit(by=(), at=sign_in_link),
}


OTHERS: Mapping[str, tuple[str, Visit]] = {
    "home of an agency": ("/", Visit(by=OF_AGENCY, agency="school")),
    "home of a poster": ("/", Visit(by=(UserRole.POSTER,), agency="poster")),
    "incident of a poster": (
        "",
        Visit(by=(UserRole.POSTER,), agency="poster", at=of_incident("/incidents/{}")),
    ),
    "incident of an agency": (
        "",
        Visit(by=OF_AGENCY, agency="school", at=of_incident("/incidents/{}")),
    ),
    "record of an agency": ("", Visit(by=OF_AGENCY, agency="church", at=silent("/obligations/{}"))),
    "answer of an agency": (
        "",
        Visit(by=OF_AGENCY, agency="church", at=silent("/obligations/{}/answer")),
    ),
    "waiver that waits": ("", Visit(by=(UserRole.OPERATOR,), at=to_waive)),
    "nothing there": ("/incidents/inc_00000000000000000000000000", Visit(status=404)),
    "not allowed": ("/post", Visit(by=(UserRole.AUDITOR,), status=403)),
    "filter that is none": ("/reports/unacknowledged?area=Mississippi", Visit(status=422)),
    "link that is none": ("/a/none", Visit(by=(), status=404)),
}


def pages() -> list[str]:
    """Give the path of every page that the console has."""
    routes = [one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute)]
    paths = {one.path for one in routes if "GET" in (one.methods or ())}
    return sorted(one for one in paths - set(NO_PAGES) if not one.startswith(FILES))


def test_every_page_of_the_application_is_looked_at() -> None:
    assert pages() == sorted(VISITS), "say in VISITS how a new page is looked at"


@pytest.mark.parametrize("route", sorted(VISITS))
async def test_page_is_clean_and_open_to_everybody(
    route: str, windows: Windows, gallery: tuple[Town, Posted]
) -> None:
    visit = VISITS[route]
    address = route if visit.at is None else await visit.at(*gallery)
    wrong: list[str] = []
    for ending in ("", *visit.more):
        wrong += await looked_at(windows, visit, address + ending)
    assert wrong == []


@pytest.mark.parametrize("name", sorted(OTHERS))
async def test_page_that_others_see_is_clean_too(
    name: str, windows: Windows, gallery: tuple[Town, Posted]
) -> None:
    path, visit = OTHERS[name]
    address = path if visit.at is None else await visit.at(*gallery)
    assert await looked_at(windows, visit, address) == []


async def looked_at(windows: Windows, visit: Visit, address: str) -> list[str]:
    """Load a page wide and on a phone, under its own policy; give what is wrong at each width."""
    async with windows.tab(visit.by, agency=visit.agency) as seen:
        response = await seen.page.goto(address)
        assert response is not None
        assert response.status == visit.status, f"{address}: {response.status}"
        if visit.until:
            await expect(seen.page.locator(visit.until).first).to_be_visible()
        seen.faults += await forced_colour_faults(seen.page)
        for width in (WIDE, PHONE, NARROW):
            await seen.resize(width)
            if width == PHONE:  # what a phone loads, it loads as one
                seen.faults += await seen.policy_faults()
                await seen.page.reload()
                if visit.until:
                    await expect(seen.page.locator(visit.until).first).to_be_visible()
            wrong = await shape_faults(seen.page)
            if width != NARROW:
                wrong += await axe_faults(seen.page)
                wrong += await large_text_faults(seen.page)
            seen.faults += [f"at {width} px: {one}" for one in wrong]
        found = await seen.faults_so_far()
    refused = f"the server responded with a status of {visit.status}"
    return [one for one in found if refused not in one]
