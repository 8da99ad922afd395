"""A dry run of a notice: who would get it, and what each would see. Stores nothing."""

from noticebus.casework import accepted
from noticebus.casework.binding import Moment
from noticebus.casework.desk import Desk
from noticebus.casework.drafts import Draft
from noticebus.casework.obligation_views import agency_ref
from noticebus.casework.recipients import Bound, bind_all, find, route_notice, uncovered_of
from noticebus.casework.views import level_of, notice_content
from noticebus.contracts.answers import (
    Preview,
    PreviewRecipient,
    UncoveredView,
    UnreachableView,
    WarningView,
)
from noticebus.contracts.vocabulary import Standing
from noticebus.domain.routing import Recipient
from noticebus.store.obligations import Obligation

MADE_ON_POSTING = ("id", "incident_id", "accepted_at")


async def preview(desk: Desk, *, draft: Draft) -> Preview:
    """Route a draft as if it were posted now, the first 200 recipients by name."""
    at = Moment(world=desk.world.now(), machine=desk.machine.now())
    async with desk.database.read() as conn:
        found = await find(
            conn,
            desk,
            area_keys=draft.places.keys,
            kinds={draft.kind},
            poster_ids={draft.agency_id},
        )
        notice = draft.notice(poster=found.facts[draft.agency_id], now=at.world)
        routing = route_notice(notice, found)
        (bound,) = await bind_all(conn, [(notice, routing)], found, at=at)
        uncovered = uncovered_of(notice, found)
    mandatory = sum(one.standing is Standing.MANDATORY for one in bound.obligations)
    pairs = list(zip(bound.obligations, routing.recipients, strict=True))
    return Preview(
        count=len(pairs),
        mandatory=mandatory,
        advisory=len(pairs) - mandatory,
        recipients=tuple(
            _recipient(owed, recipient, bound)
            for owed, recipient in pairs[: accepted.RECIPIENTS_SHOWN_MAX]
        ),
        unreachable=tuple(
            UnreachableView(
                agency=agency_ref(bound.facts[one.agency_id]), reason=one.unreachable_reason
            )
            for one in routing.unreachable[: accepted.RECIPIENTS_SHOWN_MAX]
            if one.unreachable_reason is not None
        ),
        uncovered=tuple(UncoveredView(**one) for one in uncovered),
        warnings=tuple(
            WarningView(**one) for one in (*draft.warnings, *accepted.loud(routing, uncovered))
        ),
    )


def _recipient(owed: Obligation, recipient: Recipient, bound: Bound) -> PreviewRecipient:
    level = level_of(recipient.kind)
    content = notice_content(bound.notice, level)
    return PreviewRecipient(
        agency=agency_ref(bound.facts[owed.agency_id]),
        notice_class=owed.notice_class,
        standing=owed.standing,
        due_at=owed.due_at,
        channels=recipient.channels,
        content_level=level,
        notice={name: value for name, value in content.items() if name not in MADE_ON_POSTING},
    )
