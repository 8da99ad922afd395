"""The mails about a lease that ends. Pure: the same facts give the same text (I3)."""

import datetime as dt
from dataclasses import dataclass

from noticebus.domain.mail import ComposedMail, local_time

_WHY = (
    "It brings notices to a system of the agency. One that nobody renews is paused on that day,"
    " so that no notice goes to a system that nobody watches any more. What comes then is kept,"
    " and the agency's contacts are told by mail as before."
)
_MEANWHILE = (
    "Its system gets no notices now. They are kept for it, the agency's contacts get them by mail,"
    " and every deadline stands."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseMail:
    """What the reader needs: whose subscription, until when, and where it is renewed.

    `address` is the subscription's own on the HTTP interface; `zone` is the reader's.
    """

    agency: str
    name: str
    subscription_id: str
    until: dt.datetime
    zone: str
    address: str


def compose_lease_ends(mail: LeaseMail) -> ComposedMail:
    """Write the warning before a lease ends."""
    until = local_time(mail.until, zone=mail.zone)
    return ComposedMail(
        subject=_one_line(f"Renew by {until}: {mail.name}, {mail.agency}"),
        text="\n\n".join(
            [
                f"{_which(mail)} must be renewed by {until}.",
                _WHY,
                _remedy(mail),
            ]
        )
        + "\n",
    )


def compose_lease_lapsed(mail: LeaseMail) -> ComposedMail:
    """Write what is said when nobody renewed it."""
    until = local_time(mail.until, zone=mail.zone)
    return ComposedMail(
        subject=_one_line(f"Paused, not renewed: {mail.name}, {mail.agency}"),
        text="\n\n".join(
            [
                f"{_which(mail)} was to be renewed by {until}. Nobody did, so it is paused.",
                _MEANWHILE,
                _remedy(mail),
            ]
        )
        + "\n",
    )


def _which(mail: LeaseMail) -> str:
    name, agency = _one_line(mail.name), _one_line(mail.agency)
    return f'The subscription "{name}" ({mail.subscription_id}) of {agency}'


def _remedy(mail: LeaseMail) -> str:
    return (
        "If the system is in use, renew it; what was kept for it goes to it then:\n\n"
        f"    noticebus subscription renew {mail.subscription_id}\n"
        f"    or POST {mail.address}/renew\n\n"
        f"If it is not, end it: DELETE {mail.address}"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
