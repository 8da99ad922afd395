"""One version of a notice as its page shows it: what the reader may see, what changed, who got it.

The content is what `GET /v1/notices/{id}` gives the same reader, and so is that of the version
before it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal, require, sees_every_agency
from noticebus.casework.desk import Desk
from noticebus.casework.reading import READERS, is_told, seen_notice
from noticebus.casework.views import level_of
from noticebus.contracts.vocabulary import ContentLevel
from noticebus.domain.notice_changes import Change, changes, fields_of
from noticebus.domain.progress import Progress
from noticebus.errors import NotFoundError
from noticebus.ids import AgencyId, NoticeId
from noticebus.store import (
    ledger_pages,
    matching,
    notices,
    obligation_facts,
    progress,
    report_facts,
)
from noticebus.store.ledger_pages import LedgerEntry
from noticebus.store.matching import AgencyFacts
from noticebus.store.notices import Notice
from noticebus.store.obligation_facts import Sent
from noticebus.store.report_facts import Named

LEVELS_SHOWN = 400
ACCEPTED_READ = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticePage:
    """What one reader sees of one version. `level` is None where it is seen whole.

    `progress` is that of the round which the version began, for who sees it whole; None where no
    round runs on it.
    """

    now: dt.datetime
    notice: Notice
    versions: Sequence[Notice]
    before: Notice | None
    content: Mapping[str, Any]
    fields: Mapping[str, str]
    changes: Sequence[Change]
    level: ContentLevel | None
    poster: AgencyFacts
    progress: Progress | None
    sent: Sequence[Sent]
    cut: bool
    agencies: Mapping[AgencyId, Named]
    entry: LedgerEntry | None

    @property
    def whole(self) -> bool:
        return self.level is None


async def read_notice(desk: Desk, principal: Principal, *, notice_id: str) -> NoticePage:
    """Read one version for its page: a constant number of statements, whoever was sent it."""
    require(principal, *READERS)
    async with desk.database.read() as conn:
        notice = (await notices.notices_by_id(conn, [NoticeId(notice_id)])).get(NoticeId(notice_id))
        if notice is None or not await is_told(conn, principal, notice):
            raise NotFoundError(
                f"There is no notice {notice_id} that you may see. Check the address."
            )
        whole = sees_every_agency(principal) or principal.agency_id == notice.agency_id
        versions = [
            one
            for one in await notices.versions_of(conn, notice.incident_id)
            if whole or one.released_at is not None
        ]
        before = next((one for one in reversed(versions) if one.version < notice.version), None)
        content = seen_notice(notice, principal).content
        sent = await obligation_facts.levels_of(
            conn,
            notice.id,
            incident_id=notice.incident_id,
            agency_id=None if whole else principal.agency_id,
            limit=LEVELS_SHOWN,
        )
        posters = await matching.agencies_by_id(conn, [notice.agency_id])
        return NoticePage(
            now=desk.world.now(),
            notice=notice,
            versions=versions,
            before=before,
            content=content,
            fields=fields_of(content),
            changes=() if before is None else changes(_content(before, principal), content),
            level=_level(principal, whole=whole),
            poster=posters[notice.agency_id],
            progress=await progress.progress_of(conn, notice.incident_id, notice_id=notice.id)
            if whole
            else None,
            sent=sent,
            cut=len(sent) == LEVELS_SHOWN,
            agencies=await report_facts.named(conn, {one.agency_id for one in sent}),
            entry=await _entry(conn, notice),
        )


def _content(notice: Notice, principal: Principal) -> Mapping[str, Any]:
    return seen_notice(notice, principal).content


def _level(principal: Principal, *, whole: bool) -> ContentLevel | None:
    if whole:
        return None
    assert principal.agency_kind is not None, "a recipient is an agency"
    return level_of(principal.agency_kind)


async def _entry(conn: AsyncConnection, notice: Notice) -> LedgerEntry | None:
    """Find the entry under which the version was accepted: what its receipt is about."""
    found = await ledger_pages.entries_of(
        conn, notice.incident_id, types=["notice.accepted"], limit=ACCEPTED_READ
    )
    return next((one for one in found if one.data.get("notice_id") == notice.id), None)
