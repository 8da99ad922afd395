"""How endpoints do: failures in a row, staged warnings, the breaker, and the probes that close it.

Nothing is disabled here: a tripped endpoint is kept on, probed, and warned about.
"""

import datetime as dt

from noticebus.casework.desk import Desk


async def probe_due(_desk: Desk) -> dt.datetime | None:
    """Let one delivery through to each tripped endpoint whose time has come.

    Give the machine time of the next probe, or None where no endpoint is tripped.
    """
    return None
