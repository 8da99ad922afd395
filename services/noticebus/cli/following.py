"""What a receiver can tell from the numbers: gaps, repeats, heartbeats, what came late (I10)."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

IDS_KEPT_MAX = 10_000
SUBSCRIPTIONS_MAX = 1_000
MISSING_MAX = 1_000  # numbers missed that are remembered per subscription, the oldest first
HEARTBEAT = "org.noticebus.heartbeat.v1"
NOTICE = "org.noticebus.notice.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What one arrival is: its id's `time`th one, its number, and what there is to say of it."""

    time: int
    subscription_id: str | None = None
    sequence: int | None = None
    missing: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(slots=True)
class _Numbers:
    highest: int
    missing: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Seen:
    times: int
    digest: bytes


class Follower:
    """Follows what arrives. Remembers the last 10,000 ids and 1,000 subscriptions."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._numbers: OrderedDict[str, _Numbers] = OrderedDict()

    def take(self, event: dict[str, Any], body: bytes) -> Noted:
        """Note one event that is believed, and say what follows from its id and its number."""
        time, remarks = self._repeat(str(event.get("id", "")), body)
        subscription_id, sequence = _numbered(event)
        if subscription_id is None or sequence is None:
            return Noted(time=time, remarks=remarks)
        missing, said = self._count(
            subscription_id, sequence, heartbeat=event.get("type") == HEARTBEAT
        )
        return Noted(
            time=time,
            subscription_id=subscription_id,
            sequence=sequence,
            missing=missing,
            remarks=(*remarks, *said),
        )

    def _repeat(self, delivery_id: str, body: bytes) -> tuple[int, tuple[str, ...]]:
        digest = hashlib.sha256(body).digest()
        seen = self._seen.setdefault(delivery_id, _Seen(0, digest))
        self._seen.move_to_end(delivery_id)
        if len(self._seen) > IDS_KEPT_MAX:
            self._seen.popitem(last=False)
        seen.times += 1
        if seen.times == 1:
            return 1, ()
        same = "with the same body" if seen.digest == digest else "with ANOTHER body"
        return seen.times, (f"again {delivery_id}, arrival {seen.times}, {same}",)

    def _count(
        self, subscription_id: str, sequence: int, *, heartbeat: bool
    ) -> tuple[tuple[int, ...], tuple[str, ...]]:
        before = self._numbers.get(subscription_id)
        if before is None:
            self._numbers[subscription_id] = _Numbers(sequence)
            if len(self._numbers) > SUBSCRIPTIONS_MAX:
                self._numbers.popitem(last=False)
            return (), ()
        self._numbers.move_to_end(subscription_id)
        last = before.highest
        before.highest = max(last, sequence)
        # A heartbeat's number was given to a notice before it: that one is missing too.
        until = sequence + 1 if heartbeat else sequence
        gap = range(last + 1, until)
        remembered = gap[: MISSING_MAX - len(before.missing)]
        before.missing.update(remembered)
        if gap:
            return tuple(remembered), (
                _gap(subscription_id, gap, told=_told(last, sequence, heartbeat=heartbeat)),
            )
        if not heartbeat and sequence in before.missing:
            before.missing.discard(sequence)
            return (), (f"{sequence} came late: {_left(before.missing)}",)
        return (), ()


def _numbered(event: dict[str, Any]) -> tuple[str | None, int | None]:
    """Give subscription and number of a notice or a heartbeat; nothing else has one of its own."""
    data = event.get("data")
    part = data.get("subscription") if isinstance(data, dict) else None
    if event.get("type") not in {NOTICE, HEARTBEAT} or not isinstance(part, dict):
        return None, None
    named, sequence = part.get("id"), part.get("sequence")
    if not isinstance(named, str) or not isinstance(sequence, int) or sequence < 0:
        return None, None
    return named, sequence


def _told(last: int, sequence: int, *, heartbeat: bool) -> str:
    return f"a heartbeat says {sequence}, here is {last}" if heartbeat else f"{last}, {sequence}"


def _gap(subscription_id: str, gap: range, *, told: str) -> str:
    which = f"{gap[0]} is" if len(gap) == 1 else f"{gap[0]} to {gap[-1]} are"
    last = gap[0] - 1
    return (
        f"{told}: {which} missing (late, or lost); fetch what is after {last}:"
        f" GET /v1/inbox?subscription={subscription_id}&after={last}"
    )


def _left(missing: set[int]) -> str:
    return f"{len(missing)} still missing" if missing else "nothing is missing any more"
