"""Who answered last on a phone: name and role in a cookie of its own, if that person wished it.

The cookie proves nothing and opens nothing. It fills in two fields that can be typed over.
"""

import json
from dataclasses import dataclass

from fastapi import Request, Response

from noticebus.access.keyring import base64url, from_base64url

COOKIE = "noticebus_reader"
PATH = "/a/"
DAYS = 180
COOKIE_CHARS_MAX = 2000
FIELD_CHARS_MAX = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who is to be filled in."""

    name: str
    role: str


def read_reader(request: Request) -> Reader | None:
    """Give who is remembered; None where nobody is, or the cookie says nothing that can be read."""
    cookie = request.cookies.get(COOKIE, "")
    if not cookie or len(cookie) > COOKIE_CHARS_MAX:
        return None
    try:
        name, role = json.loads(from_base64url(cookie))
    except (ValueError, TypeError):
        return None
    if not all(isinstance(one, str) and len(one) <= FIELD_CHARS_MAX for one in (name, role)):
        return None
    return Reader(name=name, role=role)


def remember(response: Response, reader: Reader, *, secure: bool) -> None:
    """Fill in `reader` on this phone from now on."""
    response.set_cookie(
        COOKIE,
        base64url(json.dumps([reader.name, reader.role]).encode()),
        max_age=DAYS * 24 * 3600,
        path=PATH,
        secure=secure,
        httponly=True,
        samesite="lax",  # strict, it would not come along from a mail that is read in a browser
    )


def forget(response: Response) -> None:
    """Fill in nobody any more."""
    response.delete_cookie(COOKIE, path=PATH)
