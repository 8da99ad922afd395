"""Posting, trying out and reading notices over the real HTTP application, on both databases."""

import asyncio
import datetime as dt
import json

import pytest

from harness.api import Api, Caller, County, Json
from harness.desk import add_agency, notice_body, world
from noticebus.contracts.answers import NoticeAccepted, NoticeView, Preview
from noticebus.contracts.vocabulary import AgencyKind, Scope

KEY = {"Idempotency-Key": "4f0c1f3e"}
NOTICES = "/v1/notices"
SITE = {"site_id": "s1", "label": "food plant near Morton"}
COUNTS = {
    "site_id": "s1",
    "as_of": "2019-08-07T12:50:00Z",
    "basis": "estimate",
    "detained_total": 100,
    "in_custody": 96,
    "released_on_site_humanitarian": 4,
    "released_on_site_other": 0,
    "released_after_processing": 0,
    "transferred_out": 0,
}


async def test_poster_is_told_who_must_answer_and_by_when(api: Api, county: County) -> None:
    response = await county.poster.send("POST", NOTICES, json=notice_body(api.desk), headers=KEY)

    assert response.status_code == 201
    answer = response.json()
    accepted = NoticeAccepted.model_validate(answer)
    assert response.headers["location"] == f"{NOTICES}/{accepted.id}"
    assert accepted.recipients.count == accepted.recipients.mandatory == 3
    assert {one.agency.id for one in accepted.recipients.obligations} == {
        county.agencies[name].id for name in ("cps", "school", "church")
    }
    assert all(one.due_at and one.channels for one in accepted.recipients.obligations)
    assert accepted.recipients.uncovered == ()
    assert answer["warnings"] == []
    assert accepted.receipt.leaf_hash
    assert accepted.receipt.signature


async def test_answer_comes_after_everything_is_stored(api: Api, county: County) -> None:
    """I1: notice, obligations, deliveries, the key's record and the entries are in the database."""
    before = await api.counts()

    accepted = await county.poster.post_notice(notice_body(api.desk))

    after = await api.counts()
    added = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert accepted["recipients"]["count"] == 3
    assert added == {
        "incidents": 1,
        "notices": 1,
        "obligations": 3,
        "deliveries": 3,
        "obligation_history": 3,
        "entries": 2,
        "idempotency_records": 1,
        "notice_areas": 3,
    }


async def test_nobody_responsible_is_accepted_loudly(api: Api, county: County) -> None:
    body = notice_body(api.desk, areas=[{"county_fips": ["28001"]}])

    accepted = await county.poster.post_notice(body)

    assert accepted["recipients"]["count"] == 0
    assert {one["code"] for one in accepted["warnings"]} == {"no-recipient", "uncovered"}
    assert {"county_fips": "28001", "missing": "cps"} in accepted["recipients"]["uncovered"]
    NoticeAccepted.model_validate(accepted)


async def test_recipient_that_nothing_reaches_is_named_with_the_reason(
    api: Api, county: County
) -> None:
    await add_agency(api.desk, "Second church", kind=AgencyKind.FAITH)

    accepted = await county.poster.post_notice(notice_body(api.desk))

    (unreachable,) = accepted["recipients"]["unreachable"]
    assert unreachable["agency"]["name"] == "Second church"
    assert unreachable["reason"] == "no_verified_channel"
    assert "unreachable" in {one["code"] for one in accepted["warnings"]}


async def test_polygon_is_resolved_to_its_counties(api: Api, county: County) -> None:
    around_morton = [[32.2, -89.8], [32.2, -89.4], [32.5, -89.4], [32.5, -89.8], [32.2, -89.8]]
    body = notice_body(api.desk, areas=[{"polygon": around_morton}])

    accepted = await county.poster.post_notice(body)

    assert accepted["recipients"]["count"] == 3


# --- the same notice again ------------------------------------------------------------------------


async def test_same_key_again_gets_the_same_answer_and_stores_nothing(
    api: Api, county: County
) -> None:
    body = notice_body(api.desk)
    first = await county.poster.send("POST", NOTICES, json=body, headers=KEY)
    stored = await api.counts()

    again = await county.poster.send("POST", NOTICES, json=body, headers=KEY)

    assert again.status_code == first.status_code == 201
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert await api.counts() == stored


async def test_concurrent_equal_posts_make_one_notice(api: Api, county: County) -> None:
    body = notice_body(api.desk)

    async with asyncio.TaskGroup() as tasks:
        posts = [
            tasks.create_task(county.poster.post(NOTICES, body, key="the-same")) for _ in range(6)
        ]

    assert len({json.dumps(one.result(), sort_keys=True) for one in posts}) == 1
    counts = await api.counts()
    assert (counts["notices"], counts["idempotency_records"]) == (1, 1)


async def test_concurrent_posts_of_many_keys_are_all_stored(api: Api, county: County) -> None:
    body = notice_body(api.desk)

    async with asyncio.TaskGroup() as tasks:
        posts = [tasks.create_task(county.poster.post_notice(body)) for _ in range(20)]

    assert len({one.result()["incident_id"] for one in posts}) == 20
    assert (await api.counts())["obligations"] == 60


async def test_same_key_on_another_notice_is_refused(api: Api, county: County) -> None:
    await county.poster.post(NOTICES, notice_body(api.desk), key="k")
    stored = await api.counts()

    problem = await county.poster.post(
        NOTICES, notice_body(api.desk, headline="Another"), key="k", status=422
    )

    assert problem["code"] == "idempotency-key-reused"
    assert await api.counts() == stored


async def test_two_clients_may_use_the_same_key(api: Api, county: County) -> None:
    other = await api.caller(Scope.POST, agency=county.agencies["poster"])

    first = await county.poster.post(NOTICES, notice_body(api.desk), key="k")
    second = await other.post(NOTICES, notice_body(api.desk), key="k")

    assert first["id"] != second["id"]


async def test_notice_without_a_usable_key_is_refused(api: Api, county: County) -> None:
    body = notice_body(api.desk)
    stored = await api.counts()

    for key in (None, "", "two words", "k" * 256, "clé"):
        headers = {} if key is None else {"Idempotency-Key": key.encode()}
        response = await county.poster.send("POST", NOTICES, json=body, headers=headers)
        assert response.status_code == 400, key
        code = "idempotency-key-missing" if key is None else "idempotency-key-invalid"
        assert response.json()["code"] == code
        assert response.json()["errors"][0]["pointer"] == "/headers/Idempotency-Key"

    assert await api.counts() == stored


# --- bad input ------------------------------------------------------------------------------------


BAD: dict[str, tuple[Json, str]] = {
    "unknown field": ({"headlines": "x"}, "/headlines"),
    "time without zone": ({"occurred_at": "2019-08-07T12:55:00"}, "/occurred_at"),
    "expires before it occurred": ({"expires_at": "2019-08-07T01:00:00Z"}, "/expires_at"),
    "no such county": ({"areas": [{"county_fips": ["28999"]}]}, "/areas/0/county_fips/0"),
    "one such county": ({"areas": [{"county_fips": ["28123", "99999"]}]}, "/areas/0/county_fips/1"),
    "nowhere": ({"areas": []}, "/areas"),
    "no children": ({"children": None}, "/children"),
    "no such class": ({"class": "E"}, "/class"),
    "kind not carried": ({"kind": "family_safety"}, "/kind"),
    "long headline": ({"headline": "x" * 161}, "/headline"),
    "control character": ({"headline": "tab\there"}, "/headline"),
    "site twice": ({"sites": [SITE, SITE]}, "/sites/1/site_id"),
    "counts of no site": ({"counts": [COUNTS]}, "/counts/0/site_id"),
    "sum": ({"sites": [SITE], "counts": [COUNTS | {"in_custody": 5}]}, "/counts/0"),
    "negative": ({"sites": [SITE], "counts": [COUNTS | {"detained_total": -1}]}, "/counts/0/det"),
    "huge": ({"sites": [SITE], "counts": [COUNTS | {"detained_total": 10**40}]}, "/counts/0/det"),
    "telephone": (
        {"sender": {"unit": "u", "role": "r", "callback_phone": "601"}},
        "/sender/callback_phone",
    ),
}


async def test_bad_notice_is_refused_with_a_pointer_and_nothing_is_stored(
    api: Api, county: County
) -> None:
    stored = await api.counts()

    for what, (changes, pointer) in BAD.items():
        problem = await county.poster.post_notice(notice_body(api.desk, **changes), status=422)
        pointers = [one["pointer"] for one in problem["errors"]]
        assert any(one.startswith(pointer) for one in pointers), (what, problem["errors"])
        assert all(one["message"] for one in problem["errors"])

    assert await api.counts() == stored


async def test_body_over_its_bound_is_refused(api: Api, county: County) -> None:
    stored = await api.counts()
    body = notice_body(api.desk, description="x" * 257 * 1024)

    problem = await county.poster.post_notice(body, status=413)

    assert problem["code"] == "too-large"
    assert await api.counts() == stored


HOSTILE = {
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    "nul": b'{"headline":"a\\u0000b"}',
    "raw nul": b'{"headline":"a\x00b"}',
    "surrogate": b'{"headline":"\\ud800","kind":"\\udfff"}',
    "surrogate name": b'{"\\ud800":1}',
    "huge integer": b'{"counts":[{"detained_total":' + b"9" * 5_000 + b"}]}",
    "huge float": b'{"areas":[{"point":[1e999,-1e999],"radius_km":1e400}]}',
    "not a number": b'{"areas":[{"point":[NaN,Infinity],"radius_km":-Infinity}]}',
    "twice": b'{"kind":"advance","kind":"all_clear"}',
    "not utf-8": b'{"headline":"\xff\xfe"}',
    "utf-16": '{"kind":"advance"}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf{}",
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'"notice"',
    "cut": b'{"kind":',
}


@pytest.mark.parametrize("path", [NOTICES, f"{NOTICES}/preview"])
async def test_hostile_body_is_refused_and_never_a_fault(
    api: Api, county: County, path: str
) -> None:
    stored = await api.counts()
    headers = {**KEY, "Content-Type": "application/json"}

    for what, body in HOSTILE.items():
        response = await county.poster.send("POST", path, content=body, headers=headers)
        assert response.status_code in {400, 422}, (what, response.text)
        assert response.headers["content-type"] == "application/problem+json"

    assert await api.counts() == stored


async def test_only_a_posters_key_may_post(api: Api, county: County) -> None:
    keyless = Caller(api.app, "")
    unbound = await api.caller(Scope.POST)
    body = notice_body(api.desk)
    stored = await api.counts()

    await keyless.post_notice(body, status=401)
    await county.cps.post_notice(body, status=403)
    await unbound.post_notice(body, status=403)

    assert await api.counts() == stored


# --- trying out -----------------------------------------------------------------------------------


async def test_preview_shows_who_would_see_what_and_stores_nothing(
    api: Api, county: County
) -> None:
    place = {"label": "Processing centre", "address": "1 Main Street, Pearl"}
    body = notice_body(
        api.desk, processing_place=place, areas=[{"county_fips": ["28123", "28001"]}]
    )
    before = await api.everything()

    preview = Preview.model_validate(
        await county.poster.post(f"{NOTICES}/preview", body, status=200)
    )

    assert await api.everything() == before
    assert preview.count == preview.mandatory == 3
    seen = {one.agency.name: one for one in preview.recipients}
    assert seen["Scott County cps"].content_level == "cps"
    assert seen["Scott County cps"].notice["processing_place"] == place
    assert seen["Scott County church"].content_level == "partner"
    assert seen["Scott County church"].notice["processing_place"] == {"label": place["label"]}
    assert {one.county_fips for one in preview.uncovered} == {"28001"}
    assert all(one.due_at for one in preview.recipients)
    assert "id" not in seen["Scott County cps"].notice


async def test_preview_is_a_posters(api: Api, county: County) -> None:
    await county.cps.post(f"{NOTICES}/preview", notice_body(api.desk), status=403)


# --- reading back ---------------------------------------------------------------------------------


async def test_each_reader_sees_a_notice_at_its_own_level(api: Api, county: County) -> None:
    stranger_agency = await add_agency(api.desk, "Elsewhere CPS", county_fips="28001")
    stranger = await api.caller(Scope.ANSWER, agency=stranger_agency)
    operator = await api.caller(Scope.OPERATE)
    place = {"label": "Processing centre", "address": "1 Main Street, Pearl"}
    body = notice_body(api.desk, processing_place=place, purpose="child_safety")
    path = (await county.poster.send("POST", NOTICES, json=body, headers=KEY)).headers["location"]

    whole = await county.poster.get(path)
    to_cps = await county.cps.get(path)
    to_church = await county.church.get(path)

    assert await operator.get(path) == whole
    assert whole["purpose"] == to_cps["purpose"] == "child_safety"
    assert whole["uncovered"] == []
    assert to_cps["processing_place"] == place
    assert to_church["processing_place"] == {"label": place["label"]}
    assert "purpose" not in to_church
    assert "uncovered" not in to_cps
    assert {one["state"] for one in (whole, to_cps, to_church)} == {"released"}
    await stranger.get(path, status=404)
    for one in (whole, to_cps, to_church):
        NoticeView.model_validate(one)


async def test_embargoed_notice_is_seen_by_its_poster_alone(api: Api, county: County) -> None:
    release = (api.desk.world.now() + dt.timedelta(hours=2)).isoformat()
    accepted = await county.poster.post_notice(notice_body(api.desk, release_at=release))
    path = f"{NOTICES}/{accepted['id']}"

    assert accepted["state"] == "scheduled"
    assert (await county.poster.get(path))["state"] == "scheduled"
    await county.cps.get(path, status=404)
    assert (await county.cps.get(NOTICES))["items"] == []
    await county.cps.get(f"/v1/incidents/{accepted['incident_id']}", status=404)
    await county.cps.get(f"/v1/incidents/{accepted['incident_id']}/obligations", status=404)
    for one in accepted["recipients"]["obligations"]:
        await county.cps.get(f"/v1/obligations/{one['id']}", status=404)


async def test_list_gives_newest_first_page_by_page(api: Api, county: County) -> None:
    for number in range(5):
        await county.poster.post_notice(notice_body(api.desk, headline=f"Notice {number}"))
    operator = await api.caller(Scope.AUDIT)

    for reader in (county.poster, county.cps, operator):
        headlines, path = [], f"{NOTICES}?limit=2"
        while True:
            page = await reader.get(path)
            headlines += [one["headline"] for one in page["items"]]
            if page["next"] is None:
                break
            path = f"{NOTICES}?limit=2&cursor={page['next']}"
        assert headlines == [f"Notice {number}" for number in (4, 3, 2, 1, 0)]


async def test_reading_changes_nothing(api: Api, county: County) -> None:
    """I4: no GET is an answer, or leaves anything behind."""
    accepted = await county.poster.post_notice(notice_body(api.desk))
    incident = f"/v1/incidents/{accepted['incident_id']}"
    owed = accepted["recipients"]["obligations"][0]["id"]
    paths = [
        NOTICES,
        f"{NOTICES}/{accepted['id']}",
        incident,
        f"{incident}/obligations",
        f"{incident}/questions",
        f"{incident}/offers",
        f"/v1/obligations/{owed}",
    ]
    world(api.desk).advance(dt.timedelta(minutes=5))
    before = await api.everything()

    for path in paths:
        for reader in (county.poster, county.cps, county.church):
            for method in ("GET", "HEAD", "OPTIONS"):
                response = await reader.send(method, path)
                assert response.status_code < 500, response.text

    assert await api.everything() == before


NOTHING_THERE = (
    f"{NOTICES}/nothing",
    f"{NOTICES}/ntc_01k6v3x8hkfz2rj3m0c4k7s9ta",
    f"{NOTICES}/%ff%fe",
    f"{NOTICES}/{'x' * 3000}",
    "/v1/incidents/nothing",
    "/v1/incidents/nothing/obligations",
    "/v1/incidents/nothing/questions",
    "/v1/incidents/nothing/offers",
    "/v1/obligations/nothing",
)


async def test_what_is_not_there_is_not_found(api: Api, county: County) -> None:
    for path in NOTHING_THERE:
        problem = await county.poster.get(path, status=404)
        assert problem["code"] == "not-found", path


async def test_foreign_cursor_is_refused(api: Api, county: County) -> None:
    await county.poster.get(f"{NOTICES}?cursor=%20%20", status=400)
    await county.poster.get(f"{NOTICES}?limit=0", status=422)
    await county.poster.get(f"{NOTICES}?limit=9999999999999999999999", status=422)
