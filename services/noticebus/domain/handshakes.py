"""What an endpoint agrees to in its handshake: how many requests a minute, how many at once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

RATE_MAX = 60_000  # requests a minute; also what `*`, any rate, stands for
CONCURRENCY_MAX = 1_000
RATE_ASKED = 1_200  # requests a minute: what the bus asks for when it introduces itself
ALLOWED_RATE = "webhook-allowed-rate"
ANY_RATE = "*"
DIGITS_MAX = 9  # of a number that is read at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """The terms of one handshake. What is None was not agreed; `notes` say what was ignored."""

    rate_per_minute: int | None = None
    concurrency: int | None = None
    notes: tuple[str, ...] = ()


def read_terms(headers: Mapping[str, str], body: str) -> Agreed:
    """Read the terms from an answer: `WebHook-Allowed-Rate`, or JSON beside the challenge.

    The header is CloudEvents' (HTTP 1.1 Web Hooks, section 4.2); its names here are in lower case.
    Where both say a rate, the JSON counts. Nonsense is ignored and noted.
    """
    said = _members(body)
    notes: list[str] = []
    by_header = headers.get(ALLOWED_RATE)
    rate = None if by_header is None else _rate(by_header.strip(), "WebHook-Allowed-Rate", notes)
    if "rate_per_minute" in said:
        rate = _rate(said["rate_per_minute"], "rate_per_minute", notes)
    concurrency = None
    if "concurrency" in said:
        concurrency = _number(said["concurrency"], "concurrency", most=CONCURRENCY_MAX, notes=notes)
    return Agreed(rate_per_minute=rate, concurrency=concurrency, notes=tuple(notes))


def _members(body: str) -> Mapping[str, object]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _rate(said: object, name: str, notes: list[str]) -> int | None:
    if said == ANY_RATE:
        return RATE_MAX
    if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) <= DIGITS_MAX:
        said = int(said)
    return _number(said, name, most=RATE_MAX, notes=notes)


def _number(said: object, name: str, *, most: int, notes: list[str]) -> int | None:
    if isinstance(said, int) and not isinstance(said, bool) and 1 <= said <= most:
        return said
    notes.append(f"{name} was ignored: give a whole number from 1 to {most}.")
    return None
