"""Answering all of one message: what its other parts are, and their answers by the one code.

A code belongs to its message (decision 3). Where several notices went to a contact as one message,
whoever holds the code of one part holds the whole of it. Each obligation still gets an answer and
an entry of its own.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.links import LinkClaims
from noticebus.casework import links
from noticebus.casework.answer import Answered, GivenAnswer
from noticebus.casework.desk import Desk
from noticebus.casework.links import AnsweredByLink, LinkFacts
from noticebus.casework.spacing import LOOK_BACK
from noticebus.casework.views import notice_content
from noticebus.contracts.vocabulary import ContentLevel, ObligationState, VerifiedBy
from noticebus.errors import RefusedError, UnavailableError
from noticebus.store import bundled, delegations, notices
from noticebus.store.bundled import Part
from noticebus.store.notices import Notice

log = structlog.get_logger(__name__)

SHOWN_MAX = 20  # what is left is shown once these are answered: the page stays small


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Another part of the message, as its reader may see it before any code."""

    claims: LinkClaims
    headline: str
    reported_at: dt.datetime
    due_at: dt.datetime | None
    agency: str
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredOther:
    """What became of one: its answer, or None where it could not be taken here."""

    other: Other
    answered: Answered | None

    @property
    def fresh(self) -> bool:
        """Say whether an answer was added."""
        return self.answered is not None and self.answered.fresh

    @property
    def is_open(self) -> bool:
        """Say whether it still waits for an answer; so does, for all we know, what took none."""
        return self.answered is None or self.answered.obligation.state is ObligationState.OPEN


async def others_of(desk: Desk, facts: LinkFacts) -> Sequence[Other]:
    """Read what else of the same message may be answered with it; nothing where it went alone."""
    if not facts.may_answer or facts.locked:
        return ()
    claims = facts.claims
    async with desk.database.read() as conn:
        found = await bundled.parts_beside(
            conn,
            obligation_id=claims.obligation_id,
            version=claims.version,
            contact_id=claims.contact_id,
            ended_since=facts.now - links.LIFE_AFTER_END,
            wrong_codes_max=links.WRONG_CODES_MAX,
            made_within=LOOK_BACK,
            limit=SHOWN_MAX,
        )
        if not found:
            return ()
        spoken = await _spoken_for(conn, facts, found)
        about = await notices.notices_by_id(conn, {one.notice_id for one in spoken})
    return [_other(one, about[one.notice_id], facts) for one in spoken]


async def answer_all(
    desk: Desk, token: str, *, code: str, given: GivenAnswer, chosen: Collection[str]
) -> tuple[AnsweredByLink, list[AnsweredOther]]:
    """Record one person's answer to what a link is about and to `chosen` of the same message.

    The code is the link's own, and a wrong one counts against that link alone (decision 3). What is
    no longer open, or was not in the message, is left as it is.
    """
    found = await others_of(desk, await links.look(desk, token))
    others = [one for one in found if one.claims.obligation_id in chosen]
    first = await links.answer_by_link(desk, token, code=code, given=given)
    answered = [AnsweredOther(other=one, answered=None) for one in others]
    for number, one in enumerate(others):
        try:
            answered[number] = await _answered(desk, one, given=given)
        except UnavailableError:  # nor is it there for the rest, each of which would wait for it
            log.warning("bundle.left", obligation_id=one.claims.obligation_id, exc_info=True)
            break
    return first, answered


async def _answered(desk: Desk, other: Other, *, given: GivenAnswer) -> AnsweredOther:
    """Record one more answer; one that is refused spoils no other."""
    try:
        facts = await links.facts_of(desk, other.claims)
        if facts.locked:
            return AnsweredOther(other=other, answered=None)
        outcome = await links.record_answer(desk, facts, given=given, by=VerifiedBy.LINK)
    except RefusedError:
        return AnsweredOther(other=other, answered=None)
    return AnsweredOther(other=other, answered=outcome.answered)


async def _spoken_for(conn: AsyncConnection, facts: LinkFacts, found: Sequence[Part]) -> list[Part]:
    """Keep what the contact may answer: its own agency's, and of whom that stands in for."""
    strangers = {one.agency_id for one in found} - {facts.contact_agency_id}
    living = await delegations.living_of(conn, strangers) if strangers else {}
    delegated = {
        one
        for one in strangers
        if one in living and living[one].delegate_id == facts.contact_agency_id
    }
    return [one for one in found if one.agency_id in {facts.contact_agency_id, *delegated}]


def _other(part: Part, notice: Notice, facts: LinkFacts) -> Other:
    public = notice_content(notice, ContentLevel.PUBLIC)
    return Other(
        claims=links.claims_of(
            obligation_id=part.obligation_id, notice=notice, contact_id=facts.claims.contact_id
        ),
        headline=public.get("headline", ""),
        reported_at=notice.released_at or notice.accepted_at,
        due_at=part.due_at,
        agency="" if part.agency_id == facts.agency.id else part.agency_name,
        zone=part.zone,
    )
