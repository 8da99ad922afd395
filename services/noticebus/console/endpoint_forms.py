"""What the forms of an endpoint's page say, read with a sentence about each fault."""

import datetime as dt
from zoneinfo import ZoneInfo

from noticebus.console.forms import Form
from noticebus.console.reading import read_local, read_whole
from noticebus.errors import Detail, InvalidError

NUMBER_MAX = 2**53 - 1
OVERLAP_HOURS_MAX = 168
NOTHING_CHANGED = "Nothing was changed."


def revision_in(form: Form) -> int:
    """Read which revision the page showed: what was changed meanwhile is not overwritten."""
    return number_in(form.text("revision"), name="revision")


def number_in(text: str, *, name: str) -> int:
    """Read a number that the page itself wrote, or that somebody typed."""
    number = read_whole(text)
    if number is not None and number <= NUMBER_MAX:
        return number
    raise _invalid(name, f"'{name}' must be a whole number from 0 on. {NOTHING_CHANGED}")


def overlap_in(form: Form) -> dt.timedelta:
    """Read for how many hours the old secret signs on."""
    hours = read_whole(form.text("overlap_hours"))
    if hours is not None and hours <= OVERLAP_HOURS_MAX:
        return dt.timedelta(hours=hours)
    raise _invalid(
        "overlap_hours",
        f"Give the hours for which the old secret signs on, from 0 to {OVERLAP_HOURS_MAX}."
        f" {NOTHING_CHANGED}",
    )


def since_in(text: str, *, zone: str) -> dt.datetime:
    """Read a local time of the agency's, as a browser's field or a person writes it; UTC."""
    try:
        return read_local(text.strip(), zone=zone)
    except ValueError as error:
        raise _invalid(
            "since",
            f"Give the date and time from which to send again, like 2019-08-07T09:30, in {zone}."
            " Nothing was sent.",
        ) from error


def local_field(at: dt.datetime, *, zone: str) -> str:
    """Write an instant as a browser's field for a local time has it."""
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}"


def _invalid(name: str, sentence: str) -> InvalidError:
    return InvalidError(sentence, details=(Detail(pointer=f"/{name}", message=sentence),))
