"""Posting by a person: what exactly would go to whom, and the notice only if it still is that."""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from noticebus.access.principals import Principal, require
from noticebus.casework.bodies import HOTLINE, MEETS_CHILDREN
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import Consent, Draft, fingerprint_of, first_version
from noticebus.casework.intake import Intake
from noticebus.casework.preview import MADE_ON_POSTING, Tried, shown, try_out
from noticebus.casework.tracing import APPROVED, CONSENT_TYPES
from noticebus.casework.views import level_of, notice_content, place_line
from noticebus.contracts.answers import Preview
from noticebus.contracts.notice import NoticePost
from noticebus.contracts.vocabulary import (
    AgencyKind,
    Cause,
    ContentLevel,
    NoticeClass,
    Owed,
    Scope,
)
from noticebus.domain.mail import ComposedMail, NoticeMail, compose_notice_mail
from noticebus.domain.routing import Recipient
from noticebus.errors import ConflictError, Detail, ForbiddenError, InvalidError, NotFoundError
from noticebus.ids import IncidentId
from noticebus.store import ledger_pages, notices
from noticebus.store.actors import actors_by_id
from noticebus.store.notices import IdempotencyRecord
from noticebus.store.obligations import Obligation

THEIR_LINK = "https://…/a/… (a link of their own)"
THEIR_CODE = "••••••"
_MARK_DIGITS = 16
_TIMES = ("expires_at", "next_update_due", "release_at")


class PostedAlreadyError(ConflictError):
    """Something else was posted under the key; `posted` is what its poster was answered then."""

    def __init__(self, posted: Mapping[str, Any]) -> None:
        super().__init__(
            "It was posted already, as it stood then. This change was not sent: post an update."
        )
        self.posted = posted


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one kind of recipient reads: a mail, if any, and the notice at its content level."""

    kind: AgencyKind
    count: int
    level: ContentLevel
    content: Mapping[str, Any]
    mail: ComposedMail


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A notice as it would go now. `mark` changes with its content, its recipients or their ways.

    `zones` are those of the recipients shown, in their order; `areas` are the places as posted.
    `past` holds those of its times that lie behind: it was written for a while ago.
    """

    preview: Preview
    readings: Sequence[Reading]
    zones: Sequence[str]
    areas: Sequence[Mapping[str, Any]]
    past: Mapping[str, dt.datetime]
    mark: str

    def is_what(self, confirmed: "Confirmed") -> bool:
        """Say whether it still is what a person was shown, and the count typed is right."""
        return (self.preview.count, self.mark) == (confirmed.count, confirmed.mark)

    def require_current(self) -> None:
        """Refuse what has expired meanwhile: nobody should be told it as if it still held."""
        if "expires_at" in self.past:
            said = "It has expired: this time is past. Nothing goes out before it is another."
            raise InvalidError(
                "Nothing was posted.", details=(Detail(pointer="/expires_at", message=said),)
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What a person confirmed: the number of recipients, and the mark of what was shown.

    `alone`: that no second person can be reached, where one is asked for.
    """

    count: int
    mark: str
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A draft, and what it comes to now."""

    draft: Draft
    checked: Checked


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """On whose word a notice went out: `by_name` None where its poster could reach nobody."""

    by_name: str | None
    asked_by_name: str
    at: dt.datetime


async def check(desk: Desk, principal: Principal, *, post: NoticePost) -> Checked:
    """Try a notice out: whom it would reach, and what each kind of recipient would read."""
    tried = await try_out(desk, draft=await first_version(desk, principal, post=post, key=""))
    return _checked(desk, post, tried)


async def post_confirmed(
    desk: Desk,
    intake: Intake,
    principal: Principal,
    *,
    post: NoticePost,
    key: str,
    confirmed: Confirmed,
) -> Checked | None:
    """Post a notice if it still is what was confirmed; else nothing, and what it would be now.

    One key is one notice, however often the button is pressed.
    """
    if await was_posted(desk, principal, key=key, post=post):
        return None
    ready = await try_post(desk, principal, post=post, key=key)
    if not ready.checked.is_what(confirmed):
        return ready.checked
    ready.checked.require_current()
    consent = _own_word(desk, post, confirmed)
    await intake.post(replace(ready.draft, from_console=True, consent=consent))
    return None


async def try_post(desk: Desk, principal: Principal, *, post: NoticePost, key: str) -> Ready:
    """Prepare a notice to be posted under `key`, and see what it comes to; nothing is stored."""
    draft = await first_version(desk, principal, post=post, key=key)
    return Ready(draft=draft, checked=_checked(desk, post, await try_out(desk, draft=draft)))


def needs_second(desk: Desk, *, recipients: int) -> bool:
    """Say whether a notice to so many, posted by a person, needs a second one's approval."""
    return desk.approval_above is not None and recipients > desk.approval_above


def may_go_alone(post: NoticePost) -> bool:
    """Say whether its poster may send it without a second person: class A must not wait."""
    return post.notice_class is NoticeClass.A


async def find_posted(desk: Desk, principal: Principal, *, key: str) -> Mapping[str, Any] | None:
    """Give what the caller was answered when it posted under `key`; None where it has not."""
    found = await _find_record(desk, principal, key=key)
    return None if found is None else found.response


async def was_posted(
    desk: Desk, principal: Principal, *, key: str, post: NoticePost | None
) -> bool:
    """Say whether this was posted under `key`; `post` is None where it cannot be read.

    Raises PostedAlreadyError where something else was: what is typed now has gone to nobody.
    """
    found = await _find_record(desk, principal, key=key)
    return found is not None and is_record_of(found, post)


def is_record_of(record: IdempotencyRecord, post: NoticePost | None) -> bool:
    """Say that a record is of this post; PostedAlreadyError where it is of another."""
    if post is None or record.fingerprint != fingerprint_of(post):
        raise PostedAlreadyError(record.response)
    return True


async def get_posted(desk: Desk, principal: Principal, *, key: str) -> Mapping[str, Any]:
    """Give what the caller was answered when it posted under `key`; 404 where it has not."""
    found = await find_posted(desk, principal, key=key)
    if found is None:
        raise NotFoundError("There is no receipt here. Look the notice up by its incident.")
    return found


async def find_approval(desk: Desk, *, incident_id: IncidentId) -> Approval | None:
    """Give on whose word an incident's first notice went out; None where no second was asked for.

    The caller has shown that the reader may see the incident.
    """
    async with desk.database.read() as conn:
        found = await ledger_pages.entries_of(conn, incident_id, types=CONSENT_TYPES, limit=1)
        if not found:
            return None
        data = found[0].data
        named = await actors_by_id(conn, {data["by"], data["requested_by"]})
    names = {actor_id: actor.name for actor_id, actor in named.items()}
    return Approval(
        by_name=names.get(data["by"], data["by"]) if found[0].type == APPROVED else None,
        asked_by_name=names.get(data["requested_by"], data["requested_by"]),
        at=found[0].recorded_at,
    )


async def _find_record(desk: Desk, principal: Principal, *, key: str) -> IdempotencyRecord | None:
    require(principal, Scope.POST)
    async with desk.database.read() as conn:
        pair = (principal.id, key)
        found = (await notices.find_idempotency_records(conn, [pair])).get(pair)
    return None if found is None or "incident_id" not in found.response else found


def _own_word(desk: Desk, post: NoticePost, confirmed: Confirmed) -> Consent | None:
    """Give the poster's own word where it stands for a second person's; refuse where it cannot."""
    if not needs_second(desk, recipients=confirmed.count):
        return None
    if not (confirmed.alone and may_go_alone(post)):
        raise ForbiddenError(
            f"This goes to {confirmed.count} recipients. Above {desk.approval_above} a second"
            " person of your agency approves it. Go back, check it again and ask for one.",
            code="second-person-needed",
        )
    return Consent(recipients=confirmed.count, approved_by=None, asked_at=None)


def _checked(desk: Desk, post: NoticePost, tried: Tried) -> Checked:
    preview, now = shown(tried), desk.world.now()
    times = {name: getattr(post, name) for name in _TIMES}
    named = tried.pairs[: len(preview.recipients)]
    return Checked(
        preview=preview,
        readings=_readings(desk, tried),
        zones=[tried.bound.facts[owed.agency_id].zone for owed, _ in named],
        areas=tried.draft.content["areas"],
        past={name: at for name, at in times.items() if at is not None and at <= now},
        mark=_mark(tried),
    )


def _readings(desk: Desk, tried: Tried) -> list[Reading]:
    """Take the first recipient of each kind: the others of it read the same."""
    by_kind: dict[AgencyKind, list[tuple[Obligation, Recipient]]] = {}
    for owed, recipient in tried.pairs:
        by_kind.setdefault(recipient.kind, []).append((owed, recipient))
    return [_reading(desk, tried, kind, group) for kind, group in sorted(by_kind.items())]


def _reading(
    desk: Desk, tried: Tried, kind: AgencyKind, group: Sequence[tuple[Obligation, Recipient]]
) -> Reading:
    notice, (owed, _) = tried.bound.notice, group[0]
    facts = tried.bound.facts[owed.agency_id]
    content = notice_content(notice, level_of(kind))
    return Reading(
        kind=kind,
        count=len(group),
        level=level_of(kind),
        content={name: value for name, value in content.items() if name not in MADE_ON_POSTING},
        mail=compose_notice_mail(
            NoticeMail(
                status=notice.status,
                notice_class=notice.notice_class,
                kind=notice.kind,
                msg=notice.msg,
                cause=Cause.NOTICE,
                version=notice.version,
                reminder=0,
                escalation=False,
                owed=Owed.NOTICE,
                agency=facts.name,
                place=place_line(notice.area_keys, desk.places),
                due_at=owed.due_at,
                zone=facts.zone,
                link=THEIR_LINK,
                code=THEIR_CODE,
                hotline=HOTLINE if kind in MEETS_CHILDREN else "",
                operators_phone=desk.operators_phone,
            )
        ),
    )


def _mark(tried: Tried) -> str:
    """Digest what was shown: the content, and each recipient with its ways and its standing."""
    told = sorted(
        "/".join(
            [
                owed.agency_id,
                owed.standing,
                recipient.unreachable_reason or "",
                *recipient.channels,
                *recipient.subscription_ids,
                *recipient.contact_ids,
            ]
        )
        for owed, recipient in tried.pairs
    )
    gaps = sorted(str(sorted(one.items())) for one in tried.uncovered)
    facts = "\n".join([tried.draft.fingerprint, *told, *gaps])
    return hashlib.sha256(facts.encode()).hexdigest()[:_MARK_DIGITS]
