"""A second person for a notice that goes to many: asked, then approved or sent back.

The notice that is posted is its writer's, under the key of the draft: however many press, and
whoever of the two is first, it is one notice. Programs have controls of their own and are not
asked: see decision 25.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require
from noticebus.access.sessions import scopes_of
from noticebus.casework import post_drafts as drafts
from noticebus.casework import posting
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import Consent
from noticebus.casework.intake import Intake
from noticebus.casework.post_drafts import Kept, SentBack, Written
from noticebus.casework.posting import Checked, Confirmed
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import ConflictError, NotFoundError
from noticebus.ids import ActorId, IncidentId, NoticeId
from noticebus.store import ledger, notices, post_drafts, users
from noticebus.store.ledger import make_entry
from noticebus.store.post_drafts import PostDraft

WAITING_SHOWN = 20
WAITING_READ_MAX = 200  # some may be of people who may no longer post
PEOPLE_LOOKED_AT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A draft that waits for a second person: what may be said before it is looked at."""

    owner: ActorId
    key: str
    asked_by_name: str
    asked_at: dt.datetime
    recipients: int


async def ask(
    desk: Desk,
    principal: Principal,
    *,
    key: str,
    written: Written,
    post: NoticePost,
    confirmed: Confirmed,
) -> Checked | None:
    """Ask for a second person, if it still is what was confirmed; else nothing, and what it is now.

    Asked again for the same, it waits since the first time.
    """
    if await posting.was_posted(desk, principal, key=key, post=post):
        return None
    checked = await posting.check(desk, principal, post=post)
    if not checked.is_what(confirmed):
        return checked
    checked.require_current()
    now, pair = desk.world.now(), (principal.id, key)
    async with desk.database.begin() as conn:
        row = await post_drafts.find_draft(conn, owner=principal.id, key=key, now=now, lock=True)
        record = (await notices.find_idempotency_records(conn, [pair])).get(pair)
        if record is not None and posting.is_record_of(record, post):  # while it was checked
            return None
        agency_id = own_agency(principal)
        before = None if row is None or row.agency_id != agency_id else drafts.opened(desk, row)
        kept = drafts.merged(principal, before, key=key, written=written, now=now)
        again = kept.asked_at is not None and kept.recipients == checked.preview.count
        asked = replace(
            kept,
            asked_at=kept.asked_at if again else now,
            asked_by_name=principal.name,
            recipients=checked.preview.count,
            sent_back=None,
        )
        await post_drafts.put_draft(conn, drafts.sealed(desk, asked))
        if not again:
            await drafts.withdraw(desk, conn, [] if row is None else [row], why="changed")
            data = {
                "by": principal.id,
                "agency_id": asked.agency_id,
                "recipients": asked.recipients,
            }
            await ledger.append(conn, [make_entry("approval.asked", data, at=now)])
    desk.committed()
    return None


async def list_waiting(desk: Desk, principal: Principal) -> Sequence[Waiting]:
    """List what waits for this person: of the same agency, and asked for by somebody else."""
    if Scope.POST not in principal.scopes or principal.agency_id is None:
        return []
    async with desk.database.read() as conn:
        rows = await post_drafts.waiting_for(
            conn,
            agency_id=principal.agency_id,
            other_than=principal.id,
            now=desk.world.now(),
            limit=WAITING_READ_MAX,
        )
    posters = [row for roles, row in rows if Scope.POST in scopes_of(roles)]
    return [_waiting(one) for one in posters[:WAITING_SHOWN]]


async def anybody_else(desk: Desk, principal: Principal) -> bool:
    """Say whether anybody else of the agency may post, so could approve."""
    async with desk.database.read() as conn:
        found = await post_drafts.roles_of_others(
            conn,
            agency_id=own_agency(principal),
            other_than=principal.id,
            limit=PEOPLE_LOOKED_AT,
        )
    return any(Scope.POST in scopes_of(roles) for roles in found)


async def find_waiting(desk: Desk, principal: Principal, *, owner: str, key: str) -> Kept:
    """Read a draft that waits for this person; 404 for any other."""
    require(principal, Scope.POST)
    now = desk.world.now()
    async with desk.database.read() as conn:
        row = await post_drafts.find_draft(conn, owner=owner, key=key, now=now)
        found = None if row is None else drafts.opened(desk, row)
        if found is None or not await _waits_for(conn, principal, found):
            raise _nothing_waits()
    return found


def as_asker(principal: Principal, kept: Kept) -> Principal:
    """Give in whose name the notice is posted: the writer's, of the same agency."""
    return replace(principal, id=kept.owner, name=kept.asked_by_name or "")


async def approve(
    desk: Desk,
    intake: Intake,
    principal: Principal,
    *,
    kept: Kept,
    post: NoticePost,
    confirmed: Confirmed,
) -> Checked | None:
    """Post what waits, if it still is what the second person has read; else nothing."""
    asker = as_asker(principal, kept)
    if await posting.was_posted(desk, asker, key=kept.key, post=post):
        return None
    tried = await posting.try_post(desk, asker, post=post, key=kept.key)
    if not tried.checked.is_what(confirmed):
        return tried.checked
    tried.checked.require_current()
    consent = Consent(recipients=confirmed.count, approved_by=principal.id, asked_at=kept.asked_at)
    await intake.post(replace(tried.draft, from_console=True, consent=consent))
    return None


async def find_approved(
    desk: Desk, principal: Principal, *, owner: str, key: str
) -> IncidentId | None:
    """Give the incident of what somebody of the same agency has posted under `key`, if anybody."""
    require(principal, Scope.POST)
    pair = (owner, key)
    async with desk.database.read() as conn:
        record = (await notices.find_idempotency_records(conn, [pair])).get(pair)
        if record is None or "id" not in record.response:
            return None
        notice_id = NoticeId(record.response["id"])
        notice = (await notices.notices_by_id(conn, [notice_id])).get(notice_id)
    if notice is None or notice.agency_id != own_agency(principal):
        return None
    return notice.incident_id


async def send_back(
    desk: Desk, principal: Principal, *, owner: str, key: str, asked_at: dt.datetime, reason: str
) -> None:
    """Send back what was asked for at `asked_at`; its writer reads why, the ledger does not."""
    require(principal, Scope.POST)
    now = desk.world.now()
    async with desk.database.begin() as conn:
        row = await post_drafts.find_draft(conn, owner=owner, key=key, now=now, lock=True)
        kept = None if row is None else drafts.opened(desk, row)
        if kept is None or not await _waits_for(conn, principal, kept):
            raise _nothing_waits()
        if kept.asked_at != asked_at:
            raise ConflictError("It was changed and asked for anew. Read it, then decide.")
        back = SentBack(by_name=principal.name, at=now, reason=reason)
        returned = replace(kept, asked_at=None, asked_by_name=None, recipients=None, sent_back=back)
        await post_drafts.put_draft(conn, drafts.sealed(desk, returned))
        data = {"by": principal.id, "requested_by": owner, "agency_id": kept.agency_id}
        await ledger.append(conn, [make_entry("approval.sent_back", data, at=now)])
    desk.committed()


async def _waits_for(conn: AsyncConnection, principal: Principal, kept: Kept) -> bool:
    """Say whether a draft waits for this person, and its writer still may post."""
    if kept.asked_at is None or kept.owner == principal.id:
        return False
    if kept.agency_id != own_agency(principal):
        return False
    writer = await users.user_by_id(conn, kept.owner)
    return (
        writer is not None
        and writer.disabled_at is None
        and writer.agency_id == kept.agency_id
        and Scope.POST in scopes_of(writer.roles)
    )


def _waiting(row: PostDraft) -> Waiting:
    assert row.asked_at is not None, "only what was asked for waits"
    return Waiting(
        owner=row.owner,
        key=row.key,
        asked_by_name=row.asked_by_name or "",
        asked_at=row.asked_at,
        recipients=row.recipients or 0,
    )


def _nothing_waits() -> NotFoundError:
    return NotFoundError(
        "Nothing here waits for your approval: it was posted, changed, sent back or thrown away,"
        " or you asked for it yourself. See Post a notice for what waits."
    )
