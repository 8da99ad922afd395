"""What a committed transaction hands to the bus: the deliveries that are sent, in shards."""

from collections.abc import Iterable, Mapping

from noticebus.bus.port import Shard, split
from noticebus.ids import NoticeId
from noticebus.store.deliveries import Delivery
from noticebus.store.notices import Notice


def of(notice: Notice, deliveries: Iterable[Delivery]) -> list[Shard]:
    """Cut one notice's deliveries into shards, leaving out what is fetched rather than sent."""
    ids = [one.id for one in deliveries if one.due_at is not None]
    return split(notice.id, ids, notice=_summary(notice))


def of_many(notices: Mapping[NoticeId, Notice], deliveries: Iterable[Delivery]) -> list[Shard]:
    """Cut deliveries of several notices into shards, notice by notice."""
    grouped: dict[NoticeId, list[Delivery]] = {}
    for one in deliveries:
        assert one.notice_id is not None, "only what carries a notice goes to the bus"
        grouped.setdefault(one.notice_id, []).append(one)
    return [shard for id_, group in grouped.items() for shard in of(notices[id_], group)]


def _summary(notice: Notice) -> dict[str, object]:
    """Tell other consumers of the topic what it is about, without content."""
    return {
        "incident_id": notice.incident_id,
        "version": notice.version,
        "msg": notice.msg,
        "kind": notice.kind,
        "status": notice.status,
        "class": notice.notice_class,
    }
