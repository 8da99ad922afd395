"""Updates, cancels, questions and the inbox over the real HTTP application, on both databases."""

import asyncio
import datetime as dt
import json
from collections import Counter
from typing import Any

import pytest
import sqlalchemy as sa

from harness.api import Api, Caller, County, Json
from harness.desk import add_agency, notice_body, principal
from harness.statements import count_statements
from noticebus.casework import subscriptions
from noticebus.casework.bodies import webhook_body
from noticebus.casework.views import Contents
from noticebus.contracts.answers import NoticeAccepted, ObligationView
from noticebus.contracts.inbox import InboxPage
from noticebus.contracts.incident import IncidentView
from noticebus.contracts.question import QuestionView
from noticebus.contracts.subscription import SubscriptionPost
from noticebus.contracts.vocabulary import Scope
from noticebus.ids import SubscriptionId
from noticebus.store import claims, inbox, notices
from noticebus.store.agencies import Agency
from noticebus.store.tables import attempts, deliveries, entries

COUNTED = {
    "sites": [{"site_id": "s1", "label": "food plant near Morton"}],
    "counts": [
        {
            "site_id": "s1",
            "as_of": "2019-08-07T12:50:00Z",
            "basis": "estimate",
            "encountered": 680,
        }
    ],
}
FIRST = {"name": "A. First", "role": "duty officer"}


def of(accepted: Json, tail: str = "") -> str:
    return f"/v1/incidents/{accepted['incident_id']}{tail}"


async def cancelled(api: Api, county: County, first: Json, reason: str) -> Json:
    asked = {"base_version": 1, "reason": reason, "by": FIRST}
    await county.poster.post(of(first, "/cancel"), asked, status=202)
    second = await api.caller(Scope.POST, agency=county.agencies["poster"])
    by = {"name": "B. Second", "role": "supervisor"}
    return await second.post(of(first, "/cancel/confirm"), {"by": by})


def an_update(api: Api, **changes: Any) -> Json:
    return notice_body(api.desk, base_version=1, change_reason="new_info") | changes


async def owed_states(reader: Caller, accepted: Json) -> Counter[str]:
    page = await reader.get(of(accepted, "/obligations"))
    return Counter(one["state"] for one in page["items"])


# --- the next version -----------------------------------------------------------------------------


async def test_material_update_opens_a_new_round_for_everybody(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    answer = {"answer": "accepted", "by": {"name": "A", "role": "b"}}
    await county.cps.post(f"/v1/notices/{first['id']}/acknowledgements", answer)
    assert await owed_states(county.poster, first) == {"open": 2, "closed": 1}

    second = NoticeAccepted.model_validate(
        await county.poster.post(of(first, "/updates"), an_update(api, **{"class": "A"}))
    )

    assert (second.version, second.incident_id) == (2, first["incident_id"])
    assert second.recipients.count == 3
    assert await owed_states(county.poster, first) == {"open": 3}


async def test_stale_update_is_refused_with_the_current_version(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    await county.poster.post(of(first, "/updates"), an_update(api))
    stored = await api.counts()

    problem = await county.poster.post(of(first, "/updates"), an_update(api), status=409)

    assert problem["code"] == "stale-version"
    assert problem["errors"][0]["pointer"] == "/base_version"
    assert await api.counts() == stored


async def test_falling_total_needs_a_correction(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk, **COUNTED))
    lower = json.loads(json.dumps(COUNTED))
    lower["counts"][0]["encountered"] = 640
    stored = await api.counts()

    problem = await county.poster.post(of(first, "/updates"), an_update(api, **lower), status=422)

    assert [one["pointer"] for one in problem["errors"]] == ["/counts/0/encountered"]
    assert "correction" in problem["errors"][0]["message"]
    assert await api.counts() == stored
    corrected = an_update(api, **lower, change_reason="correction")
    await county.poster.post(of(first, "/updates"), corrected)


@pytest.mark.parametrize("together", [False, True])
async def test_update_under_one_key_is_stored_once(
    api: Api, county: County, together: bool
) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))

    async def send() -> Json:
        return await county.poster.post(of(first, "/updates"), an_update(api), key="u")

    if together:
        async with asyncio.TaskGroup() as tasks:
            sent = [tasks.create_task(send()) for _ in range(3)]
        answers = [one.result() for one in sent]
    else:
        answers = [await send(), await send()]

    assert {one["id"] for one in answers} == {answers[0]["id"]}
    assert (await api.counts())["notices"] == 2


async def test_key_of_one_incident_does_not_answer_for_another(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    other = await county.poster.post_notice(notice_body(api.desk))
    await county.poster.post(of(first, "/updates"), an_update(api), key="u")

    problem = await county.poster.post(of(other, "/updates"), an_update(api), key="u", status=422)

    assert problem["code"] == "idempotency-key-reused"


async def test_only_the_posting_agency_changes_its_incident(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    other = await api.caller(Scope.POST, agency=county.agencies["cps"])
    end = {"base_version": 1, "reason": "Not ours", "by": FIRST}
    stored = await api.counts()

    await other.post(of(first, "/updates"), an_update(api), status=404)
    await other.post(of(first, "/cancel"), end, status=404)
    await county.cps.post(of(first, "/cancel"), end, status=403)
    await county.poster.post("/v1/incidents/nothing/updates", an_update(api), status=404)
    await county.poster.post("/v1/incidents/nothing/cancel", end, status=404)

    assert await api.counts() == stored


# --- the cancel -----------------------------------------------------------------------------------


async def test_cancel_withdraws_what_is_open_and_takes_no_further_version(
    api: Api, county: County
) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    answer = {"answer": "accepted", "by": {"name": "A", "role": "b"}}
    await county.cps.post(f"/v1/notices/{first['id']}/acknowledgements", answer)
    await add_agency(api.desk, "Responsible since, and unreachable")

    ended = NoticeAccepted.model_validate(await cancelled(api, county, first, "A mistake"))

    assert ended.version == 2
    assert await owed_states(county.poster, first) == {"withdrawn": 2, "closed": 1}
    told = await county.church.get(f"/v1/notices/{ended.id}")
    assert (told["msg"], told["reason"]) == ("cancel", "A mistake")
    incident = await county.poster.get(of(first))
    assert (incident["state"], incident["obligations"]) == (
        "cancelled",
        {"withdrawn": 2, "closed": 1},
    )
    problem = await county.poster.post(
        of(first, "/updates"), an_update(api, base_version=2), status=409
    )
    assert problem["code"] == "incident-cancelled"


async def test_cancel_is_asked_for_taken_back_and_confirmed_over_http(
    api: Api, county: County
) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    asked = {"base_version": 1, "reason": "A mistake", "by": FIRST}
    second = await api.caller(Scope.POST, agency=county.agencies["poster"])
    confirmed = {"by": {"name": "B. Second", "role": "supervisor"}}

    waiting = await county.poster.post(of(first, "/cancel"), asked, status=202)
    again = await county.poster.post(of(first, "/cancel"), asked, status=202)
    own = await county.poster.post(of(first, "/cancel/confirm"), confirmed, status=403)
    same_name = await second.post(of(first, "/cancel/confirm"), {"by": FIRST}, status=403)
    pending = await second.post(of(first, "/cancel"), asked, status=409)
    seen = (await county.poster.get(of(first)))["cancel_request"]
    hidden = (await county.cps.get(of(first)))["cancel_request"]
    kept = await second.send("DELETE", of(first, "/cancel"))
    nothing = await second.post(of(first, "/cancel/confirm"), confirmed, status=409)

    assert waiting == again == seen
    assert waiting["needs_second_person"] is True
    assert hidden is None
    assert (own["code"], same_name["code"]) == ("second-person-needed", "second-person-needed")
    assert (pending["code"], nothing["code"]) == ("cancel-pending", "no-cancel-requested")
    assert (kept.status_code, kept.json()["cancel_request"]) == (200, None)
    await county.cps.post(of(first, "/cancel/confirm"), confirmed, status=403)
    await second.post("/v1/incidents/nothing/cancel/confirm", confirmed, status=404)


async def test_all_clear_over_http_is_stored_once_under_its_key(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk, **{"class": "A"}))
    over = {"base_version": 1, "headline": "It is over", "still_open": []}

    refused = await county.poster.post(of(first, "/all-clear"), over, status=409)
    unsaid = await county.poster.post(
        of(first, "/all-clear"), {"base_version": 1, "headline": "It is over"}, status=422
    )
    reason = over | {"override_reason": "Reached by radio."}
    made = await county.poster.post(of(first, "/all-clear"), reason, key="c")
    again = await county.poster.post(of(first, "/all-clear"), reason, key="c")
    other = await county.poster.post(
        of(first, "/all-clear"), reason | {"headline": "Over"}, key="c", status=422
    )

    assert refused["code"] == "class-a-open"
    assert len(refused["errors"]) == 3
    assert unsaid["errors"][0]["pointer"] == "/still_open"
    assert made == again
    assert other["code"] == "idempotency-key-reused"
    assert (made["material"], made["version"]) == (False, 2)
    told = await county.church.get(f"/v1/notices/{made['id']}")
    assert (told["kind"], told["still_open"], told["msg"]) == ("all_clear", [], "update")
    assert "override_reason" not in told
    assert (await county.poster.get(of(first)))["state"] == "cleared"
    await county.cps.post(of(first, "/all-clear"), over, status=403)


@pytest.mark.parametrize("path", ["/v1/notices", "/updates"])
async def test_an_all_clear_is_no_plain_notice_or_update(
    api: Api, county: County, path: str
) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    body = an_update(api) if path == "/updates" else notice_body(api.desk)
    target = of(first, path) if path == "/updates" else path

    problem = await county.poster.post(
        target, body | {"kind": "all_clear"}, status=422, key="another"
    )

    assert problem["errors"][0]["pointer"] == "/kind"
    assert "all-clear" in problem["errors"][0]["message"]


async def test_notice_cancelled_before_its_release_is_seen_by_nobody(
    api: Api, county: County
) -> None:
    release = (api.desk.world.now() + dt.timedelta(hours=1)).isoformat()
    first = await county.poster.post_notice(notice_body(api.desk, release_at=release))

    ended = await cancelled(api, county, first, "Called off")

    assert (await api.counts())["deliveries"] == 0
    for notice_id in (first["id"], ended["id"]):
        await county.cps.get(f"/v1/notices/{notice_id}", status=404)
        await county.poster.get(f"/v1/notices/{notice_id}")
    assert (await county.cps.get("/v1/notices"))["items"] == []
    await county.cps.get(of(first), status=404)
    await county.cps.get(of(first, "/questions"), status=404)


# --- reading --------------------------------------------------------------------------------------


async def test_incident_shows_its_versions_to_each_party(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    await county.poster.post(of(first, "/updates"), an_update(api, headline="More is known"))

    whole = IncidentView.model_validate(await county.poster.get(of(first)))
    to_cps = IncidentView.model_validate(await county.cps.get(of(first)))

    assert [one.version for one in whole.versions] == [1, 2]
    assert whole.versions[1].headline == "More is known"
    assert whole.agency.id == county.agencies["poster"].id
    assert whole.obligations == {"open": 3}
    assert to_cps.versions == whole.versions
    assert to_cps.obligations is None


async def test_obligations_are_paged_for_the_poster_and_own_for_a_recipient(
    api: Api, county: County
) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    operator = await api.caller(Scope.OPERATE)

    for reader in (county.poster, operator):
        seen, path = [], of(first, "/obligations?limit=2")
        while True:
            page = await reader.get(path)
            seen += [ObligationView.model_validate(one).agency.id for one in page["items"]]
            if page["next"] is None:
                break
            path = of(first, f"/obligations?limit=2&cursor={page['next']}")
        assert sorted(seen) == sorted(
            county.agencies[name].id for name in ("cps", "school", "church")
        )
    (own,) = (await county.church.get(of(first, "/obligations")))["items"]
    assert own["agency"]["id"] == county.agencies["church"].id
    assert await county.church.get(f"/v1/obligations/{own['id']}") == own
    assert await county.poster.get(f"/v1/obligations/{own['id']}") == own
    await county.cps.get(f"/v1/obligations/{own['id']}", status=404)
    assert own["closes_with"] == "accepted"
    assert (own["attempts"], own["last_attempt"], own["delivered_at"]) == (0, None, None)


async def test_statements_do_not_grow_with_the_obligations(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    asked = count_statements(api)

    async def count(limit: int) -> int:
        asked.clear()
        await county.poster.get(of(first, f"/obligations?limit={limit}"))
        return sum(one.startswith("SELECT") for one in asked)

    assert await count(1) == await count(3)


# --- questions ------------------------------------------------------------------------------------


async def test_question_is_answered_for_everybody(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    body = {"topic": "how_many_children", "text": "How many children?"}

    asked = QuestionView.model_validate(await county.school.post(of(first, "/questions"), body))
    path = f"/v1/questions/{asked.id}/answers"
    later = (api.desk.world.now() + dt.timedelta(hours=3)).isoformat()
    promised = await county.poster.post(path, {"unknown_will_report_at": later})
    (waiting,) = (await county.cps.get(of(first, "/questions")))["items"]
    answered = await county.poster.post(path, {"number": 32})

    assert asked.asked_by.id == county.agencies["school"].id
    assert asked.receipt is not None
    assert (promised["state"], answered["state"]) == ("open", "answered")
    assert (waiting["state"], waiting["answer"]) == ("open", promised["answer"])
    assert answered["answer"]["number"] == 32
    assert answered["receipt"]["signature"]
    for reader in (county.poster, county.cps, county.church):
        (listed,) = (await reader.get(of(first, "/questions")))["items"]
        assert listed["answer"] == answered["answer"]
    problem = await county.poster.post(path, {"number": 33}, status=409)
    assert problem["code"] == "question-answered"


async def test_only_parties_ask_and_only_the_poster_answers(api: Api, county: County) -> None:
    first = await county.poster.post_notice(notice_body(api.desk))
    elsewhere = await add_agency(api.desk, "Elsewhere CPS", county_fips="28001")
    stranger = await api.caller(Scope.ANSWER, Scope.POST, agency=elsewhere)
    body = {"topic": "ages"}
    asked = await county.cps.post(of(first, "/questions"), body)
    stored = await api.counts()

    await stranger.post(of(first, "/questions"), body, status=404)
    await stranger.get(of(first, "/questions"), status=404)
    await stranger.post(f"/v1/questions/{asked['id']}/answers", {"number": 1}, status=404)
    await county.poster.post("/v1/questions/nothing/answers", {"number": 1}, status=404)
    await county.cps.post(of(first, "/questions"), {"topic": "other"}, status=422)

    assert await api.counts() == stored


async def test_embargoed_incident_takes_no_question_from_who_is_not_told_yet(
    api: Api, county: County
) -> None:
    release_at = (api.desk.world.now() + dt.timedelta(hours=1)).isoformat()
    first = await county.poster.post_notice(notice_body(api.desk, release_at=release_at))
    stored = await api.counts()

    await county.cps.post(of(first, "/questions"), {"topic": "ages"}, status=404)

    assert await api.counts() == stored


# --- the inbox ------------------------------------------------------------------------------------


async def subscribe(api: Api, agency: Agency) -> SubscriptionId:
    post = SubscriptionPost.model_validate(
        {
            "agency_id": agency.id,
            "name": "Feed",
            "channel": "inbox",
            "areas": [{"county_fips": ["28123"]}],
            "content_level": "partner",
        }
    )
    made = await subscriptions.create_subscription(
        api.desk, principal(Scope.ADMIN), post=post, allow=()
    )
    return made.subscription.id


async def test_inbox_gives_what_the_webhook_would_carry_without_a_gap(
    api: Api, county: County
) -> None:
    order = await subscribe(api, county.agencies["church"])
    for number in range(5):
        await county.poster.post_notice(notice_body(api.desk, headline=f"Notice {number}"))

    seen, after = [], 0
    while True:
        page = await county.church.send(
            "GET", f"/v1/inbox?subscription={order}&after={after}&limit=2"
        )
        read = InboxPage.model_validate_json(page.content)
        seen += [
            (one.data.subscription.sequence, one.data.notice)
            for one in read.items
            if one.data.subscription
        ]
        after = read.next_after
        if after == read.last_sequence:
            break
        assert page.headers["link"].endswith('rel="next"')

    assert [sequence for sequence, _ in seen] == [1, 2, 3, 4, 5]
    assert [(notice.model_extra or {})["headline"] for _, notice in seen] == [
        f"Notice {number}" for number in range(5)
    ]
    async with api.desk.database.read() as conn:
        (delivery, *_) = await inbox.inbox_page(conn, subscription_id=order, after=0, limit=1)
        assert delivery.notice_id is not None
        about = await notices.notices_by_id(conn, [delivery.notice_id])
        where = await claims.destinations_of(conn, [delivery.id])
    body = webhook_body(
        delivery,
        notice=about[delivery.notice_id],
        destination=where[delivery.id],
        base_url=api.desk.base_url,
        contents=Contents(),
    )
    first = await county.church.send("GET", f"/v1/inbox?subscription={order}&limit=1")
    assert body in first.content


async def test_fetching_is_delivery_once_and_never_an_answer(api: Api, county: County) -> None:
    order = await subscribe(api, county.agencies["church"])
    accepted = await county.poster.post_notice(notice_body(api.desk))
    path = f"/v1/inbox?subscription={order}"

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(county.church.get(path))
    before = await api.everything()
    await county.church.get(path)

    assert await api.everything() == before
    (owed,) = (await county.church.get(of(accepted, "/obligations")))["items"]
    assert owed["delivered_at"] is not None
    assert (owed["state"], owed["received_at"], owed["attempts"]) == ("open", None, 1)
    async with api.desk.database.read() as conn:
        fetched = sa.select(deliveries.c.state).where(deliveries.c.subscription_id == order)
        assert (await conn.execute(fetched)).scalars().all() == ["delivered"]
        assert len((await conn.execute(sa.select(attempts))).all()) == 1
        types = Counter((await conn.execute(sa.select(entries.c.type))).scalars())
    assert (types["delivery.delivered"], types["obligation.delivered"]) == (1, 1)


async def test_inbox_is_its_own_agencys(api: Api, county: County) -> None:
    order = await subscribe(api, county.agencies["church"])
    operator = await api.caller(Scope.OPERATE)

    await county.cps.get(f"/v1/inbox?subscription={order}", status=404)
    await operator.get(f"/v1/inbox?subscription={order}", status=403)
    await county.church.get("/v1/inbox?subscription=nothing", status=404)
    await county.church.get("/v1/inbox", status=422)
    await county.church.get(f"/v1/inbox?subscription={order}&after=-1", status=422)
    await county.church.get(f"/v1/inbox?subscription={order}&after={2**63}", status=422)
    empty = await county.church.get(f"/v1/inbox?subscription={order}&after=7")
    assert (empty["items"], empty["next_after"], empty["last_sequence"]) == ([], 7, 0)
