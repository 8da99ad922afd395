"""The mails about an endpoint that fails. Pure: the same facts give the same text (I3)."""

import datetime as dt
from dataclasses import dataclass

from noticebus.domain.health import WARNED_AT
from noticebus.domain.mail import ComposedMail, local_time

_STILL_TRIED = (
    "Every notice is tried again on its schedule. Your contacts are told of what does not get"
    " through, and every deadline stands."
)
_HELD = (
    "What is for it is held now, and goes to it in its turn as soon as it works again: one delivery"
    " at a time is sent to find that out, every 5 minutes at least. Nothing is disabled. Meanwhile"
    " your contacts are told by mail or telephone, and every deadline stands."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointMail:
    """What the reader needs: whose endpoint fails, since when, how often, how, and what to do.

    `per_cent` is how near it is to being held back; `address` is the subscription's own on the HTTP
    interface; `zone` is the reader's. `error` is in the bus's own words.
    """

    agency: str
    name: str
    subscription_id: str
    per_cent: int
    failures: int
    since: dt.datetime
    error: str
    zone: str
    address: str


def compose_endpoint_mail(mail: EndpointMail) -> ComposedMail:
    """Write the warning, or at the last stage that the endpoint is held back."""
    name, agency = _one_line(mail.name), _one_line(mail.agency)
    down = mail.per_cent >= WARNED_AT[-1]
    head = "Endpoint down" if down else "Endpoint failing"
    since = local_time(mail.since, zone=mail.zone)
    which = f'The endpoint of the subscription "{name}" ({mail.subscription_id}) of {agency}'
    facts = [
        f"Since:    {since}",
        f"Failures: {mail.failures} in a row{_reached(mail)}",
        f"The last: {_one_line(mail.error)}",
    ]
    parts = [
        f"{which} {'does not work' if down else 'fails'}.",
        "\n".join(facts),
        _HELD if down else _STILL_TRIED,
        _remedy(mail, down=down),
    ]
    return ComposedMail(
        subject=_one_line(f"{head} since {since}: {name}, {agency}"),
        text="\n\n".join(parts) + "\n",
    )


def _reached(mail: EndpointMail) -> str:
    return "" if mail.per_cent >= WARNED_AT[-1] else f", {mail.per_cent} % of what trips it"


def _remedy(mail: EndpointMail, *, down: bool) -> str:
    command = f"noticebus subscription show {mail.subscription_id}"
    verb = "probe" if down else "test"
    return (
        "Have the person who runs that system look at it. What was tried and what came of it:\n\n"
        f"    {command}\n"
        f"    or GET {mail.address}/deliveries\n\n"
        f"When it is mended, try it at once: POST {mail.address}/{verb}"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
