"""Notices in the database: versions one after the other, releases, visibility, idempotency."""

import datetime as dt

from harness import desk as furnish
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import IncidentState, NoticeState
from noticebus.store import notices
from noticebus.store.agencies import Agency
from noticebus.store.notices import IdempotencyRecord, Notice

HOUR = dt.timedelta(hours=1)


async def post(desk: Desk, **changes: str) -> tuple[Agency, Agency, Notice]:
    county = await furnish.add_agency(desk, "Scott County CPS")
    poster = await furnish.add_agency(desk, "Field office", county_fips=None)
    body = furnish.notice_body(desk, **changes)
    return county, poster, await furnish.post_notice(desk, poster, body=body)


async def test_an_embargoed_notice_is_seen_by_its_poster_alone_until_it_is_released(
    desk: Desk,
) -> None:
    release_at = desk.world.now() + HOUR
    county, poster, notice = await post(desk, release_at=release_at.isoformat())

    async def seen_by(agency: Agency) -> int:
        async with desk.database.read() as conn:
            page = await notices.notice_page(conn, visible_to=agency.id, before=None, limit=10)
        return len(page)

    before = [await seen_by(poster), await seen_by(county)]
    async with desk.database.begin() as conn:
        early = await notices.lock_due_releases(conn, now=desk.world.now(), batch_size_max=10)
        due = await notices.lock_due_releases(conn, now=release_at, batch_size_max=10)
        upcoming = await notices.next_release_at(conn)
        await notices.mark_notices(
            conn, [notice.id], state=NoticeState.RELEASED, released_at=release_at
        )

    assert before == [1, 0]
    assert (early, [one.id for one in due]) == ([], [notice.id])
    assert upcoming == release_at
    assert await seen_by(county) == 1


async def test_a_version_follows_only_the_one_before_it(desk: Desk) -> None:
    _, _, notice = await post(desk)
    async with desk.database.begin() as conn:
        stale = await notices.advance_incident(
            conn, notice=notice, state=IncidentState.OPEN, ended_at=None
        )
        locked = await notices.lock_incidents(conn, [notice.incident_id])

    assert not stale
    assert locked[notice.incident_id].latest_notice_id == notice.id


async def test_old_idempotency_records_go_in_batches_and_younger_ones_stay(desk: Desk) -> None:
    now = desk.world.now()
    made = [
        IdempotencyRecord(
            client_id="c", key=str(n), fingerprint="f", response={"n": n}, created_at=now - n * HOUR
        )
        for n in range(4)
    ]
    async with desk.database.begin() as conn:
        await notices.insert_idempotency_records(conn, made)
        gone = [
            await notices.prune_idempotency_records(conn, before=now - HOUR, batch_size_max=1)
            for _ in range(3)
        ]
        left = await notices.find_idempotency_records(conn, [("c", str(n)) for n in range(4)])

    assert gone == [1, 1, 0]
    assert sorted(left) == [("c", "0"), ("c", "1")]
