"""How the banner and the tab say how the bus is: words, the clock of whoever looks, the icon."""

import datetime as dt
from zoneinfo import ZoneInfo

from noticebus.casework.signs_of_life import Part, Signs

TROUBLES = {
    Part.DISPATCHER: "nobody is sending",
    Part.ENGINE: "silence escalates nowhere",
    Part.SEQUENCER: "the ledger is not being written",
}
COUNT_MAX = 99
ICON = "/icon/{}.svg"
UNKNOWN = "unknown"
QUIET = "quiet"  # a page that counts nothing


def clock(signs: Signs) -> str:
    """Write the bus's time, in the zone of whoever looks and in UTC."""
    utc = signs.at.astimezone(dt.UTC)
    if signs.zone is None:
        return f"{utc:%H:%M:%S}Z"
    return f"{signs.at.astimezone(ZoneInfo(signs.zone)):%H:%M:%S %Z} ({utc:%H:%M:%S}Z)"


def moment(at: dt.datetime, zone: str | None) -> str:
    """Write an instant in a zone and in UTC: `Thu 08 Aug 2019, 07:55 CDT (12:55Z)`."""
    utc = at.astimezone(dt.UTC)
    if zone is None:
        return f"{utc:%a %d %b %Y, %H:%M}Z"
    return f"{at.astimezone(ZoneInfo(zone)):%a %d %b %Y, %H:%M %Z} ({utc:%H:%MZ})"


def icon(overdue: int | str | None) -> str:
    """Give the address of the tab's icon, which carries how many are overdue."""
    if overdue is None:
        return ICON.format(QUIET)
    if isinstance(overdue, str):
        return ICON.format(UNKNOWN)
    return ICON.format(min(overdue, COUNT_MAX + 1))
