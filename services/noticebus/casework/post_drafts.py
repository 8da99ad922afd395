"""Drafts of notices that people type in the console: sealed, their owner's alone, kept for a week.

What is typed may be what few may read. So it is in no log, entry or figure, and on no page of
another person until its owner asks one to approve it.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, own_agency, require
from noticebus.casework.desk import Desk
from noticebus.contracts.vocabulary import Scope
from noticebus.errors import NotFoundError, RefusedError
from noticebus.ids import ActorId, AgencyId
from noticebus.store import ledger, notices, post_drafts
from noticebus.store.ledger import make_entry
from noticebus.store.post_drafts import Gone, PostDraft

KEPT_FOR = dt.timedelta(days=7)  # as long as an answer under the same key, by default
DRAFTS_MAX = 20  # of one person; the oldest goes


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was typed, as the form has it. `step` is where its writer was."""

    template: str
    step: str
    counties: tuple[str, ...]
    values: Mapping[str, str]

    def says_the_same(self, other: "Written") -> bool:
        """Say whether it is the same notice, wherever its writer was."""
        return _notice_in(self) == _notice_in(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentBack:
    """That a second person did not approve it, and why."""

    by_name: str
    at: dt.datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A draft, opened. `asked_at` says since when it waits for a second person."""

    owner: ActorId
    key: str
    agency_id: AgencyId
    written: Written
    begun_at: dt.datetime
    saved_at: dt.datetime
    asked_at: dt.datetime | None = None
    asked_by_name: str | None = None
    recipients: int | None = None
    sent_back: SentBack | None = None


async def save(desk: Desk, principal: Principal, *, key: str, written: Written) -> Kept | None:
    """Save what was typed under `key`; None, and nothing, where it is posted already.

    A draft that waits for a second person does so no longer once it says something else.
    """
    require(principal, Scope.POST)
    agency_id, now = own_agency(principal), desk.world.now()
    pair, withdrawn = (principal.id, key), False
    async with desk.database.begin() as conn:
        row = await post_drafts.find_draft(conn, owner=principal.id, key=key, now=now, lock=True)
        if await notices.find_idempotency_records(conn, [pair]):  # after the lock: as it is now
            return None
        before = None if row is None or row.agency_id != agency_id else opened(desk, row)
        kept = merged(principal, before, key=key, written=written, now=now)
        await post_drafts.put_draft(conn, sealed(desk, kept))
        if row is None:
            await post_drafts.keep_newest(conn, owner=principal.id, drafts_max=DRAFTS_MAX)
        elif kept.asked_at is None:
            withdrawn = await withdraw(desk, conn, [row], why="changed")
    if withdrawn:
        desk.signals.entries.ring()
    return kept


async def list_own(desk: Desk, principal: Principal) -> Sequence[Kept]:
    """List a person's drafts, the one saved last first; what cannot be unsealed is left out."""
    require(principal, Scope.POST)
    async with desk.database.read() as conn:
        rows = await post_drafts.drafts_of(
            conn,
            owner=principal.id,
            agency_id=own_agency(principal),
            now=desk.world.now(),
            limit=DRAFTS_MAX,
        )
    found = [opened(desk, one) for one in rows]
    return [one for one in found if one is not None]


async def find_own(desk: Desk, principal: Principal, *, key: str) -> Kept:
    """Read a person's own draft; 404 for one that is another's, posted, or gone."""
    require(principal, Scope.POST)
    agency_id = own_agency(principal)
    async with desk.database.read() as conn:
        row = await post_drafts.find_draft(conn, owner=principal.id, key=key, now=desk.world.now())
    kept = None if row is None or row.agency_id != agency_id else opened(desk, row)
    if kept is None:
        raise NotFoundError(
            "There is no draft here: it was posted, thrown away, or is older than a week."
            " Begin again at Post a notice."
        )
    return kept


async def throw_away(desk: Desk, principal: Principal, *, key: str) -> None:
    """Delete a person's own draft; again, or where there is none, changes nothing."""
    require(principal, Scope.POST)
    async with desk.database.begin() as conn:
        gone = await post_drafts.delete_drafts(conn, [(principal.id, key)])
        withdrawn = await withdraw(desk, conn, gone, why="thrown_away")
    if withdrawn:
        desk.signals.entries.ring()


async def withdraw(
    desk: Desk, conn: AsyncConnection, rows: Sequence[PostDraft | Gone], *, why: str
) -> bool:
    """Enter for each of `rows` that waited for a second person that it does so no longer.

    Say whether any did: then the sequencer is rung for after the commit.
    """
    now = desk.world.now()
    withdrawn = [
        {
            "requested_by": one.owner,
            "agency_id": one.agency_id,
            "asked_at": one.asked_at.isoformat(),
            "why": why,
        }
        for one in rows
        if one.asked_at is not None
    ]
    if withdrawn:
        made = [make_entry("approval.withdrawn", data, at=now) for data in withdrawn]
        await ledger.append(conn, made)
    return bool(withdrawn)


def merged(
    principal: Principal, before: Kept | None, *, key: str, written: Written, now: dt.datetime
) -> Kept:
    """Put what is typed now in the place of what was; only the same may go on waiting."""
    if before is None:
        return Kept(
            owner=principal.id,
            key=key,
            agency_id=own_agency(principal),
            written=written,
            begun_at=now,
            saved_at=now,
        )
    kept = replace(before, written=written, saved_at=now)
    if written.says_the_same(before.written):
        return kept
    return replace(kept, asked_at=None, asked_by_name=None, recipients=None)


def sealed(desk: Desk, kept: Kept) -> PostDraft:
    """Seal a draft for its row."""
    written, back = kept.written, kept.sent_back
    content = {
        "template": written.template,
        "step": written.step,
        "counties": written.counties,
        "values": _filled(written.values),
        "begun_at": kept.begun_at.isoformat(),
        "sent_back": back and {**_said(back), "at": back.at.isoformat()},
    }
    return PostDraft(
        owner=kept.owner,
        key=kept.key,
        agency_id=kept.agency_id,
        sealed=desk.keyring.seal(json.dumps(content)),
        saved_at=kept.saved_at,
        expires_at=kept.saved_at + KEPT_FOR,
        asked_at=kept.asked_at,
        asked_by_name=kept.asked_by_name,
        recipients=kept.recipients,
    )


def opened(desk: Desk, row: PostDraft) -> Kept | None:
    """Unseal a draft; None for one sealed under a root secret that is gone."""
    try:
        content = json.loads(desk.keyring.unseal(row.sealed))
    except RefusedError:
        return None
    back = content["sent_back"]
    return Kept(
        owner=row.owner,
        key=row.key,
        agency_id=row.agency_id,
        written=Written(
            template=content["template"],
            step=content["step"],
            counties=tuple(content["counties"]),
            values=content["values"],
        ),
        begun_at=dt.datetime.fromisoformat(content["begun_at"]),
        saved_at=row.saved_at,
        asked_at=row.asked_at,
        asked_by_name=row.asked_by_name,
        recipients=row.recipients,
        sent_back=back and SentBack(**{**back, "at": dt.datetime.fromisoformat(back["at"])}),
    )


def _notice_in(written: Written) -> tuple[object, ...]:
    return written.template, written.counties, _filled(written.values)


def _filled(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _said(back: SentBack) -> dict[str, str]:
    return {"by_name": back.by_name, "reason": back.reason}
