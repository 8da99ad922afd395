"""How the acknowledge page writes times, counts and what is known about children."""

import datetime as dt
import re
import zoneinfo
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup, escape

from noticebus.console.texts import Language, text
from noticebus.domain.phone_numbers import telephone

_DAYS = {
    Language.EN: "Mon Tue Wed Thu Fri Sat Sun",
    Language.ES: "lun mar mié jue vie sáb dom",
}
_MONTHS = {
    Language.EN: "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    Language.ES: "ene feb mar abr may jun jul ago sep oct nov dic",
}
_NOON = 12
_TELEPHONE = re.compile(r"(\+[0-9]{8,15})")  # E.164


def local_time(instant: dt.datetime, *, zone: str, language: Language) -> str:
    """Write an instant in the recipient's zone with day and zone abbreviation, to the minute."""
    local = instant.astimezone(zoneinfo.ZoneInfo(zone))
    day = _DAYS[language].split()[local.weekday()]
    month = _MONTHS[language].split()[local.month - 1]
    # Not strftime: its names follow the machine's locale.
    if language is Language.ES:
        return f"{day} {local.day} {month}, {local.hour}:{local:%M} {local.tzname()}"
    half = "AM" if local.hour < _NOON else "PM"
    hour = local.hour % _NOON or _NOON
    return f"{day} {month} {local.day}, {hour}:{local:%M} {half} {local.tzname()}"


def choose_language(asked: str | None, *, accepted: str) -> Language:
    """Choose the page's language: as asked, else as `Accept-Language` ranks them, else English."""
    if asked in set(Language):
        return Language(asked)
    known = [
        (_weight(weight), -place, Language(tag.strip()[:2].lower()))
        for place, part in enumerate(accepted[:200].split(","))
        for tag, _, weight in [part.partition(";")]
        if tag.strip()[:2].lower() in set(Language)
    ]
    return max(known)[2] if known else Language.EN


def _weight(parameter: str) -> float:
    try:
        return float(parameter.strip().removeprefix("q=") or 1)
    except ValueError:
        return 0.0


def children_line(children: Mapping[str, Any], *, language: Language) -> str:
    """Say what is known about children; what is not known says so and is never a zero (I13)."""
    status = children["status"]
    if status == "estimate":
        low, high = (_shown(children.get(name), language) for name in ("low", "high"))
        if children.get("low") in {0, "none reported", None}:
            return text(language, "children_up_to", high=high)
        if low == high:
            return text(language, "children_about", high=high)
        return text(language, "children_between", low=low, high=high)
    if status == "count":
        return text(language, "children_count", value=_shown(children.get("value"), language))
    return text(language, f"children_{status}")


def number(value: int | str | None, *, language: Language) -> str:
    """Write a count or a band of one; None is "not known"."""
    return _shown(value, language)


_BANDS = {"not known": "not_known", "none reported": "none_reported", "more than 1000": "over_1000"}


def _shown(value: int | str | None, language: Language) -> str:
    if value is None:
        return text(language, "not_known")
    key = _BANDS.get(str(value))
    return str(value) if key is None else text(language, key)


def telephones(line: str) -> Markup:
    """Write a line so that a tap on a telephone number in it rings there."""
    ring = Markup('<a class="call" href="tel:{}">{}</a>')
    parts = [
        ring.format(one, telephone(one)) if _TELEPHONE.fullmatch(one) else escape(one)
        for one in _TELEPHONE.split(line)
    ]
    return Markup("").join(parts)
