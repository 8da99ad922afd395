"""Which recurrence rules (RRULE, RFC 5545) are taken of a file: those that need no search."""

import re
from typing import Any

INTERVAL_MAX = 400

# Each rule that passes recurs for ever without a search: none can look for a day that never comes.
_PARTS = {
    "DAILY": frozenset(),
    "WEEKLY": frozenset({"BYDAY"}),
    "MONTHLY": frozenset({"BYDAY", "BYMONTHDAY"}),
}
_ANY = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"})
_DAY = re.compile(r"(?:[+-]?[1-4])?(?:MO|TU|WE|TH|FR|SA|SU)|-1(?:MO|TU|WE|TH|FR|SA|SU)")
_WEEKDAY = re.compile(r"MO|TU|WE|TH|FR|SA|SU")
_MONTHDAY_MAX = 28


def fault_of(rule: Any) -> str | None:
    """Say why a rule, as icalendar reads it, is not taken; None where it is."""
    names = {name.upper() for name in rule}
    frequency = str(next(iter(rule.get("FREQ", [""]))))
    allowed = _PARTS.get(frequency)
    if allowed is None or not names <= _ANY | allowed or len(names & allowed) > 1:
        return (
            "its RRULE is of a form that is not taken: DAILY, WEEKLY with BYDAY, or MONTHLY with"
            " BYDAY or BYMONTHDAY are, each with INTERVAL, and COUNT or UNTIL"
        )
    form = _DAY if frequency == "MONTHLY" else _WEEKDAY
    days = all(form.fullmatch(str(one)) for one in rule.get("BYDAY", []))
    numbers = all(1 <= abs(int(one)) <= _MONTHDAY_MAX for one in rule.get("BYMONTHDAY", []))
    intervals = all(1 <= int(one) <= INTERVAL_MAX for one in rule.get("INTERVAL", []))
    if not (days and numbers and intervals):
        return (
            "its RRULE is out of bounds: days of the month from -28 to 28, weeks of the month from "
            f"-4 to 4, INTERVAL from 1 to {INTERVAL_MAX}"
        )
    return None
