"""Browsers that have signed in before, so that a stranger's tries lock no one out of their own.

A cookie remembers, signed, as whom a browser has signed in (OWASP, "Slow Down Online Guessing
Attacks with Device Cookies"). It opens nothing: tries of such browsers are counted apart.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from noticebus.access.keyring import Keyring
from noticebus.access.passwords import name_of
from noticebus.access.signed_claims import TOKEN_MAX, Claims, read_claims, sign_claims

COOKIE = "noticebus_device"
KNOWN_FOR = dt.timedelta(days=90)  # since the last sign-in
PEOPLE_MAX = 8  # whom one browser is known to: a desk is shared by a shift
_PURPOSE = b"device v2"
_BETWEEN = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A browser as one person's, under the password of then: another one ends it."""

    user_id: str
    password: str
    expires: int

    def is_of(self, user_id: str, stored: str | None) -> bool:
        """Say whether it is a person's whose password is stored as `stored`."""
        return (self.user_id, self.password) == (user_id, name_of(stored))


def read_devices(keyring: Keyring, cookie: str, *, now: dt.datetime) -> tuple[Device, ...]:
    """Give as whom a browser has signed in, the latest first; nothing that the bus did not sign."""
    if len(cookie) > TOKEN_MAX:
        return ()
    read = [read_claims(keyring, _PURPOSE, one) for one in cookie.split(_BETWEEN)[:PEOPLE_MAX]]
    found = [
        Device(user_id=str(one["user"]), password=str(one["hash"]), expires=int(one["expires"]))
        for one in read
        if one is not None
    ]
    return tuple(one for one in found if now.timestamp() < one.expires)


def remember(
    keyring: Keyring,
    known: Sequence[Device],
    *,
    user_id: str,
    stored: str | None,
    now: dt.datetime,
) -> str:
    """Write the cookie of a browser in which somebody has just signed in."""
    fresh = Device(
        user_id=user_id,
        password=name_of(stored),
        expires=int((now + KNOWN_FOR).timestamp()),
    )
    others = [one for one in known if one.user_id != user_id]
    return _BETWEEN.join(_signed(keyring, one) for one in [fresh, *others][:PEOPLE_MAX])


def _signed(keyring: Keyring, device: Device) -> str:
    claims: Claims = {
        "user": device.user_id,
        "hash": device.password,
        "expires": device.expires,
    }
    return sign_claims(keyring, _PURPOSE, claims)
