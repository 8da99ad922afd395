"""Where one attempt's time goes: the look-up, the connection, TLS, and the wait for an answer.

A request says what it goes through to whoever runs it in the same context; what is lent to another
request, such as a look-up that two wait for, is told to the one that began it.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar, Token
from enum import StrEnum
from typing import Any, Self

from noticebus.domain.delivery import TimeSpent

SHORTEST_S = 0.001  # an address that is known already is found in less


class Phase(StrEnum):
    """What a request goes through, in this order."""

    LOOK_UP = "dns_ms"
    CONNECT = "connect_ms"
    TLS = "tls_ms"
    ANSWER = "first_byte_ms"


class Phases:
    """The stop-watch of one request: a phase runs until the next begins, or until the end.

    As a context it times the request that is made inside, until its answer begins (`end`) or it
    fails. One that is made once more is timed anew.
    """

    def __init__(self) -> None:
        self._token: Token[Phases | None] | None = None
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._spent: dict[Phase, float] = {}
        self._running: tuple[Phase, float] | None = None
        self._looked_up = False
        self._ended = False

    def __enter__(self) -> Self:
        if self._ended:
            self._begin_anew()
        self._token = _RUNNING.set(self)
        return self

    def __exit__(self, *raised: object) -> None:
        assert self._token is not None, "it was entered"
        _RUNNING.reset(self._token)
        self.end()

    def begin(self, phase: Phase) -> None:
        """Begin a phase; whatever comes after the end is too late to count."""
        if not self._ended:
            self._close()
            self._running = (phase, time.monotonic())

    def look_up(self) -> None:
        """Note that a name is really looked up, and not known already."""
        self._looked_up = True

    def end(self) -> None:
        """End what runs, as it stands: an attempt that failed in a phase spent its time there."""
        self._close()
        self._ended = True

    def spent(self) -> TimeSpent:
        """Give the milliseconds of each phase that was gone through."""
        found = dict(self._spent)
        if not self._looked_up and found.get(Phase.LOOK_UP, 0.0) < SHORTEST_S:
            found.pop(Phase.LOOK_UP, None)
        return TimeSpent(**{phase.value: round(1000 * took) for phase, took in found.items()})

    def _close(self) -> None:
        if self._running is not None:
            phase, since = self._running
            self._spent[phase] = self._spent.get(phase, 0.0) + time.monotonic() - since
        self._running = None


_RUNNING: ContextVar[Phases | None] = ContextVar("phases", default=None)


def begin(phase: Phase) -> None:
    """Begin a phase of the request that runs here, if one is timed."""
    phases = _RUNNING.get()
    if phases is not None:
        phases.begin(phase)


def connecting(make: Callable[[], Any], *rest: Any, tls: bool) -> tuple[Any, ...]:
    """Begin connecting, and give the arguments to do it with.

    The first makes the connection's protocol: it is called when the connection is open, before TLS.
    """
    begin(Phase.CONNECT)

    def made() -> Any:
        if tls:
            begin(Phase.TLS)
        return make()

    return (made, *rest)


def looks_up() -> None:
    """Note that a name is really looked up for the request that runs here, and not known."""
    phases = _RUNNING.get()
    if phases is not None:
        phases.look_up()
