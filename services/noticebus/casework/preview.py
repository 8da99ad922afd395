"""A dry run of a notice: who would get it, and what each would see. Stores nothing."""

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A draft routed and bound as if it were posted now, and the places nobody answers for."""

    draft: Draft
    bound: Bound
    uncovered: list[dict[str, str]]

    @property
    def pairs(self) -> list[tuple[Obligation, Recipient]]:
        """Give what each recipient would owe, beside how it would be told."""
        return list(zip(self.bound.obligations, self.bound.routing.recipients, strict=True))


async def preview(desk: Desk, *, draft: Draft) -> Preview:
    """Route a draft as if it were posted now, the first 200 recipients by name."""
    return shown(await try_out(desk, draft=draft))


async def try_out(desk: Desk, *, draft: Draft) -> Tried:
    """Route and bind a draft as if it were posted now; nothing is stored."""
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
    return Tried(draft=draft, bound=bound, uncovered=uncovered_of(notice, found))


def shown(tried: Tried) -> Preview:
    """Show what was tried, the first 200 recipients by name."""
    bound, routing = tried.bound, tried.bound.routing
    mandatory = sum(one.standing is Standing.MANDATORY for one in bound.obligations)
    return Preview(
        count=len(tried.pairs),
        mandatory=mandatory,
        advisory=len(tried.pairs) - mandatory,
        recipients=tuple(
            _recipient(owed, recipient, bound)
            for owed, recipient in tried.pairs[: accepted.RECIPIENTS_SHOWN_MAX]
        ),
        unreachable=tuple(
            UnreachableView(
                agency=agency_ref(bound.facts[one.agency_id]), reason=one.unreachable_reason
            )
            for one in routing.unreachable[: accepted.RECIPIENTS_SHOWN_MAX]
            if one.unreachable_reason is not None
        ),
        uncovered=tuple(UncoveredView(**one) for one in tried.uncovered),
        warnings=tuple(
            WarningView(**one)
            for one in (*tried.draft.warnings, *accepted.loud(routing, tried.uncovered))
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
