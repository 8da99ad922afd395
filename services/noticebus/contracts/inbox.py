"""The feed that a subscriber pulls, instead of a webhook or to fill a gap."""

from noticebus.contracts.base import Published, SubscriptionIdText
from noticebus.contracts.webhook import Event, NoticeEventData


class InboxPage(Published):
    """What a subscription was sent after a number, in order (I10).

    `items` are the webhook's bodies, byte for byte, with `sequence` rising by one from `after` on.
    Ask again with `after=next_after` until it equals `last_sequence`: then nothing was missed.
    """

    subscription_id: SubscriptionIdText
    after: int
    items: tuple[Event[NoticeEventData], ...]
    next_after: int
    last_sequence: int
