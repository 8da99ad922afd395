"""The link in a mail to one contact: what opening it notes, and what an answer on its page needs.

Opening a link answers nothing (I4): mail scanners open them all. An answer needs the one-time code
of the same message, a typed name, and a contact that still speaks for the recipient.
"""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access import links
from noticebus.access.links import LinkClaims
from noticebus.casework import more_time
from noticebus.casework.answer import About, Actor, Answered, GivenAnswer, answer
from noticebus.casework.desk import Desk
from noticebus.casework.speaking import on_behalf, speaks_for
from noticebus.casework.tracing import obligation_entry
from noticebus.casework.views import level_of, notice_content
from noticebus.contracts.vocabulary import ContentLevel, NoticeState, VerifiedBy
from noticebus.errors import ForbiddenError, NotFoundError, RefusedError
from noticebus.ids import AgencyId, ContactId, ObligationId
from noticebus.store import acknowledgements, agencies, ledger, notices, obligations
from noticebus.store.acknowledgements import Acknowledgement
from noticebus.store.agencies import Agency, Contact
from noticebus.store.deliveries import Delivery
from noticebus.store.notices import Incident, Notice
from noticebus.store.obligations import Obligation

LIFE_MAX = dt.timedelta(days=400)
LIFE_AFTER_END = dt.timedelta(days=30)
WRONG_CODES_MAX = 5


class _Key(TypedDict):
    obligation_id: ObligationId
    contact_id: ContactId
    version: int


class WrongCodeError(ForbiddenError):
    """The typed code is not the one of this message; the try has been counted."""

    code = "code-wrong"

    def __init__(self, *, tries_left: int) -> None:
        super().__init__(
            "This is not the code of the message with this link. Copy it from the same message; "
            f"{tries_left} more tries, then the link is locked."
        )
        self.tries_left = tries_left


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkFacts:
    """What stands behind a link now.

    `may_answer` is false for contacts of an agency that does not stand in for the recipient;
    `on_behalf_of` names the recipient where the contact is not its own, `latest_eta` bounds what a
    school may ask for.
    """

    claims: LinkClaims
    obligation: Obligation
    notice: Notice
    agency: Agency
    latest_version: int
    answers: tuple[Acknowledgement, ...]
    wrong_codes: int
    may_answer: bool
    on_behalf_of: str | None
    contact_agency_id: AgencyId
    latest_eta: dt.datetime | None
    now: dt.datetime

    @property
    def locked(self) -> bool:
        return self.wrong_codes >= WRONG_CODES_MAX

    def summary(self) -> dict[str, Any]:
        """Give what anybody who holds the link may read: the public tier (I8)."""
        return notice_content(self.notice, ContentLevel.PUBLIC)

    def detail(self) -> dict[str, Any]:
        """Give what the recipient may read; only after the right code."""
        return notice_content(self.notice, level_of(self.agency.kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredByLink:
    """An answer taken on the page, and the facts as they are after it."""

    facts: LinkFacts
    answered: Answered


def claims_for(delivery: Delivery, notice: Notice) -> LinkClaims:
    """Give the claims of the link in a delivery: a pure function of stored facts (I3)."""
    assert delivery.obligation_id is not None, "a link answers an obligation"
    assert delivery.contact_id is not None, "a link speaks for one contact"
    return claims_of(
        obligation_id=delivery.obligation_id, notice=notice, contact_id=delivery.contact_id
    )


def claims_of(*, obligation_id: ObligationId, notice: Notice, contact_id: ContactId) -> LinkClaims:
    """Give the claims of one contact's link about one version, valid for at most `LIFE_MAX`."""
    return LinkClaims(
        obligation_id=obligation_id,
        version=notice.version,
        contact_id=contact_id,
        expires_at=(notice.accepted_at + LIFE_MAX).replace(microsecond=0),
    )


def link_address(desk: Desk, claims: LinkClaims) -> str:
    """Write the address of the page that a link opens."""
    return f"{desk.base_url.rstrip('/')}/a/{links.mint(desk.keyring, claims)}"


async def look(desk: Desk, token: str) -> LinkFacts:
    """Read what stands behind a link and note nothing, as for a HEAD or a prefetch."""
    return await facts_of(desk, links.read(desk.keyring, token, now=desk.world.now()))


async def facts_of(desk: Desk, claims: LinkClaims) -> LinkFacts:
    """Read what stands behind the claims of a message; raise where they lead nowhere any more."""
    async with desk.database.read() as conn:
        return await _facts(conn, claims, now=desk.world.now())


async def open_link(desk: Desk, token: str) -> LinkFacts:
    """Read what stands behind a link; note once that somebody, or a scanner, may have looked."""
    facts = await look(desk, token)
    if facts.may_answer and facts.obligation.opened_at is None:
        return await _note_opened(desk, facts)
    return facts


async def answer_by_link(
    desk: Desk, token: str, *, code: str, given: GivenAnswer
) -> AnsweredByLink:
    """Record the answer typed on a link's page, if the code is right; late ones too.

    Raises WrongCodeError, and ForbiddenError `link-locked` once too many codes were wrong.
    """
    claims = links.read(desk.keyring, token, now=desk.world.now())
    return await answer_by_code(desk, claims, code=code, given=given, by=VerifiedBy.LINK)


async def answer_by_code(
    desk: Desk, claims: LinkClaims, *, code: str, given: GivenAnswer, by: VerifiedBy
) -> AnsweredByLink:
    """Record the answer of whoever holds the code of a message, however the code came back."""
    facts = await facts_of(desk, claims)
    _refuse_read_only(facts)
    await check_code(desk, facts.claims, code=code)
    return await record_answer(desk, facts, given=given, by=by)


async def record_answer(
    desk: Desk, facts: LinkFacts, *, given: GivenAnswer, by: VerifiedBy
) -> AnsweredByLink:
    """Record an answer about one part of a message whose code has been found right."""
    _refuse_read_only(facts)
    answered = await answer(
        desk,
        obligation_id=facts.claims.obligation_id,
        about=About(notice_id=facts.notice.id, version=facts.claims.version),
        given=given,
        actor=Actor(
            verified_by=by,
            id=facts.claims.contact_id,
            on_behalf_of=facts.on_behalf_of,
            agency_id=facts.contact_agency_id,
        ),
    )
    return AnsweredByLink(facts=replace(facts, obligation=answered.obligation), answered=answered)


async def _facts(conn: AsyncConnection, claims: LinkClaims, *, now: dt.datetime) -> LinkFacts:
    owed = await obligations.obligation_by_id(conn, claims.obligation_id)
    contact = await agencies.find_contact(conn, contact_id=claims.contact_id)
    if owed is None or contact is None:
        raise _nothing_there()
    incident = await notices.incident_by_id(conn, owed.incident_id)
    agency = await agencies.find_agency(conn, agency_id=owed.agency_id)
    assert incident is not None, "an obligation belongs to an incident"
    assert agency is not None, "an obligation binds an agency"
    _refuse_ended(contact, incident, now=now)
    released = {
        one.version: one
        for one in await notices.versions_of(conn, incident.id)
        if one.state is not NoticeState.SCHEDULED
    }
    if claims.version not in released:
        raise _nothing_there()
    given = await acknowledgements.acknowledgements_of(conn, [owed.id])
    return LinkFacts(
        claims=claims,
        obligation=owed,
        notice=released[claims.version],
        agency=agency,
        latest_version=max(released),
        answers=tuple(given.get(owed.id, ())),
        wrong_codes=await acknowledgements.wrong_codes(conn, **_key(claims)),
        may_answer=await speaks_for(conn, contact.agency_id, owed.agency_id),
        on_behalf_of=await on_behalf(conn, contact.agency_id, owed.agency_id),
        contact_agency_id=contact.agency_id,
        latest_eta=await more_time.latest_eta(conn, owed, now=now),
        now=now,
    )


def _refuse_read_only(facts: LinkFacts) -> None:
    if not facts.may_answer:
        raise ForbiddenError(
            "This link lets the bus's operators read along. Record what the recipient tells you"
            " as an operator's record, with how it reached you.",
            code="link-read-only",
        )


def _refuse_ended(contact: Contact, incident: Incident, *, now: dt.datetime) -> None:
    if contact.ended_at is not None:
        raise ForbiddenError(
            "This link was sent to a contact who no longer answers for the agency. "
            "Ask a present contact of the agency, or ring the bus's operators.",
            code="link-contact-ended",
        )
    if incident.ended_at is not None and now >= incident.ended_at + LIFE_AFTER_END:
        raise RefusedError(
            "This link has expired: the incident ended more than 30 days ago. "
            "Ring the bus's operators if you still have something to say about it.",
            code="link-expired",
        )


async def _note_opened(desk: Desk, facts: LinkFacts) -> LinkFacts:
    claims = facts.claims
    async with desk.database.begin() as conn:
        if not await acknowledgements.note_opened(
            conn, obligation_id=claims.obligation_id, at=facts.now
        ):
            return facts  # another opening was first
        opened = await obligations.obligation_by_id(conn, claims.obligation_id)
        assert opened is not None, "its row has just been updated"
        await _enter(conn, "link.opened", opened, claims, at=facts.now)
    desk.committed()
    return replace(facts, obligation=opened)


async def check_code(desk: Desk, claims: LinkClaims, *, code: str) -> None:
    """Raise unless `code` is right; a wrong one is counted, committed, and then refused."""
    left = 0
    async with desk.database.begin() as conn:
        # The lock makes parallel guesses wait for one another, so that none slips by uncounted.
        (owed,) = await obligations.lock_obligations(conn, ids=[claims.obligation_id])
        tried = await acknowledgements.wrong_codes(conn, **_key(claims))
        if tried < WRONG_CODES_MAX:
            if links.code_matches(desk.keyring, claims, given=code):
                return
            await acknowledgements.count_wrong_code(conn, **_key(claims))
            left = WRONG_CODES_MAX - tried - 1
            if left == 0:
                await _enter(conn, "link.locked", owed, claims, at=desk.world.now())
    if left:
        raise WrongCodeError(tries_left=left)
    raise ForbiddenError(
        "This link is locked: too many wrong codes were typed. Ring the bus's operators;"
        " they record your answer.",
        code="link-locked",
    )


async def _enter(
    conn: AsyncConnection, type_: str, owed: Obligation, claims: LinkClaims, *, at: dt.datetime
) -> None:
    body = {"version": claims.version, "contact_id": claims.contact_id}
    entry, line = obligation_entry(type_, owed, body, at=at)
    await ledger.append(conn, [entry])
    await ledger.append_history(conn, [line])


def _key(claims: LinkClaims) -> _Key:
    return {
        "obligation_id": claims.obligation_id,
        "contact_id": claims.contact_id,
        "version": claims.version,
    }


def _nothing_there() -> NotFoundError:
    return NotFoundError(
        "There is nothing behind this link any more. Use the link in a newer message.",
        code="link-unknown",
    )
