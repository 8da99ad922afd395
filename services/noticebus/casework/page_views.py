"""Views of restricted content: who looked at what, as entries in the ledger.

A page that keeps itself fresh is one view: the same person on the same page enters once in
`AGAIN_AFTER`, not with every refresh.
"""

import datetime as dt
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from noticebus.access.principals import Principal
from noticebus.casework.desk import Desk
from noticebus.ids import IncidentId
from noticebus.store import ledger

ENTRY_TYPE = "page.viewed"
AGAIN_AFTER = dt.timedelta(minutes=5)
REMEMBERED_MAX = 10_000

_Key = tuple[str, str, tuple[tuple[str, str], ...]]


class PageViews:
    """Enters each view once; what was entered lately is remembered by the event loop's thread."""

    def __init__(self) -> None:
        self._lately: Final[OrderedDict[_Key, dt.datetime]] = OrderedDict()

    async def enter(
        self, desk: Desk, principal: Principal, *, page: str, about: Mapping[str, str]
    ) -> None:
        """Enter that `principal` looked at `page`, which is about the things with these ids.

        `incident_id` among them makes it part of that incident's evidence. UnavailableError where
        it cannot be entered: then nothing is shown.
        """
        now = desk.machine.now()
        key = (principal.id, page, tuple(sorted(about.items())))
        entered = self._lately.get(key)
        if entered is not None and now - entered < AGAIN_AFTER:
            return
        incident_id = about.get("incident_id")
        entry = ledger.make_entry(
            ENTRY_TYPE,
            {"by": principal.id, "page": page, **about},
            at=desk.world.now(),
            incident_id=None if incident_id is None else IncidentId(incident_id),
        )
        async with desk.database.begin() as conn:
            await ledger.append(conn, [entry])
        desk.committed()
        self._lately.pop(key, None)
        self._lately[key] = now
        if len(self._lately) > REMEMBERED_MAX:
            self._lately.popitem(last=False)
