"""Tell the log of an outage once as it begins, once a minute while it lasts, once as it ends."""

import asyncio
import datetime as dt
from collections.abc import Callable

import structlog

REMIND_AFTER = dt.timedelta(minutes=1)

log = structlog.get_logger()


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


class Outage:
    """The outages of one link, one after the other; `kind` names the link in the log.

    `seconds` gives a time that never goes back.
    """

    def __init__(self, kind: str, *, seconds: Callable[[], float] = _loop_time) -> None:
        self._kind = kind
        self._seconds = seconds
        self._began: float | None = None
        self._told_at = 0.0
        self._tries = 0

    def note(self, reason: str, *, given_up: int = 0) -> None:
        """Note one more try that failed, and tell of it if it is time to."""
        now = self._seconds()
        self._tries += 1
        if self._began is None:
            self._began = self._told_at = now
            log.warning("bus.disconnected", kind=self._kind, reason=reason, given_up=given_up)
        elif now - self._told_at >= REMIND_AFTER.total_seconds():
            self._told_at = now
            log.warning(
                "bus.still_away",
                kind=self._kind,
                reason=reason,
                attempts=self._tries,
                waited_s=round(now - self._began),
            )

    def end(self) -> None:
        """Note that the link works; tell of it if it did not."""
        if self._began is None:
            return
        log.info(
            "bus.back",
            kind=self._kind,
            attempts=self._tries,
            waited_s=round(self._seconds() - self._began),
        )
        self._began = None
        self._tries = 0
