"""Where an attempt's time went, as a page draws it and says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from noticebus.store.deliveries import Attempt

_NAMES: Mapping[str, str] = {
    "dns_ms": "name",
    "connect_ms": "connect",
    "tls_ms": "TLS",
    "first_byte_ms": "first byte",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One part of the bar, in percent of the whole."""

    key: str  # name, connect, tls, first-byte or rest: a class of the style sheet
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpentTime:
    """The bar of one attempt, and the same in words."""

    said: str
    stretches: tuple[Stretch, ...]


def spent_time(attempt: Attempt) -> SpentTime | None:
    """Draw where the time of a webhook's attempt went; None where nobody took note of it."""
    found = {
        name: took
        for column, name in _NAMES.items()
        if (took := getattr(attempt, column)) is not None
    }
    if not found:
        return None
    said = [f"{name} {took} ms" for name, took in found.items()]
    reused = found.keys() == {_NAMES["first_byte_ms"]}
    parts = [*found.items(), ("rest", max(attempt.duration_ms - sum(found.values()), 0))]
    return SpentTime(
        said=f"{', '.join(said)}, in all {attempt.duration_ms} ms"
        + ("; the connection was open already" if reused else ""),
        stretches=_stretches(parts),
    )


def _stretches(parts: list[tuple[str, int]]) -> tuple[Stretch, ...]:
    whole = sum(took for _, took in parts) or 1
    drawn, before = [], 0
    for name, took in parts:
        if took:
            key = name.lower().replace(" ", "-")
            drawn.append(Stretch(key=key, x=100 * before / whole, width=100 * took / whole))
        before += took
    return tuple(drawn)
