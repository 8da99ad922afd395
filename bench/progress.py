"""What takes long says on standard error what is being done, how far it is, how long it took."""

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

SAID_EVERY_S = 5


@dataclass(slots=True, kw_only=True)
class Progress:
    """Steps one after the other or side by side, and the seconds that each took."""

    took_s: dict[str, float] = field(default_factory=dict)
    _done: Counter[str] = field(default_factory=Counter)
    _said_at: float = field(default_factory=time.perf_counter)

    @contextlib.contextmanager
    def step(self, name: str, *, said_from_s: float = 0) -> Iterator[None]:
        """Say that a block begins and how long it took; with a limit, only where it was longer."""
        began = time.perf_counter()
        if not said_from_s:
            self.say(f"{name} …")
        yield
        took = round(time.perf_counter() - began, 1)
        if took >= said_from_s:
            self.took_s[name] = took
            self.say(f"{name}: {took} s")

    def done(self, name: str, count: int, *, of: int) -> None:
        """Count what a step has done, and say how far it is, once in a while."""
        self._done[name] += count
        if time.perf_counter() - self._said_at >= SAID_EVERY_S:
            self.say(f"{name}: {self._done[name]:,} of {of:,}")

    def say(self, text: str) -> None:
        """Say something at once."""
        self._said_at = time.perf_counter()
        print(f"  {text}", file=sys.stderr, flush=True)
