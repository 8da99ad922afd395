"""Buttons whose answer is shown once: a second press is told from a change by somebody else.

Of two presses the browser shows the answer to the second alone, and what the first made is lost.
"""

import asyncio
import datetime as dt
from collections import OrderedDict
from typing import Final
from weakref import WeakValueDictionary

from fastapi import Request

TWICE_WITHIN: Final = dt.timedelta(minutes=1)
REMEMBERED_MAX: Final = 1000

Press = tuple[str, ...]  # who pressed, and which form as which page showed it


class Presses:
    """What was pressed lately; of this process, remembered by the event loop's thread."""

    def __init__(self) -> None:
        self._lately: Final[OrderedDict[Press, dt.datetime]] = OrderedDict()
        self._turns: Final[WeakValueDictionary[Press, asyncio.Lock]] = WeakValueDictionary()

    def begin(self, press: Press, *, now: dt.datetime) -> bool:
        """Note a press; say whether the very same one went through, or is under way, just now."""
        before = self._lately.get(press)
        if before is not None and now - before < TWICE_WITHIN:
            return True
        self._lately.pop(press, None)
        self._lately[press] = now
        if len(self._lately) > REMEMBERED_MAX:
            self._lately.popitem(last=False)
        return False

    def turn(self, press: Press) -> asyncio.Lock:
        """Give what the very same presses wait on: a second one never overtakes the first."""
        return self._turns.setdefault(press, asyncio.Lock())

    def hid(self, press: Press, *, twice: bool) -> bool:
        """Say of a press that was refused whether one before it made something, now unseen.

        A first press that was refused made nothing: it is forgotten.
        """
        if twice and press in self._lately:
            return True
        self._lately.pop(press, None)
        return False


def presses_of(request: Request) -> Presses:
    """Give what this application remembers."""
    state = request.app.state
    if not hasattr(state, "presses"):
        state.presses = Presses()
    presses: Presses = state.presses
    return presses
