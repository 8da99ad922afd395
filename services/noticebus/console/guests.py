"""Forms for whoever is not signed in: taken only from a browser that was given them.

A cookie holds a random text, the form the text's MAC. Another site can send neither: it can have
nobody sign in as somebody of its own choice.
"""

import hmac
import re
import secrets

from fastapi import Request, Response

from noticebus.access.keyring import base64url
from noticebus.casework.desk import Desk
from noticebus.console.forms import CSRF_FIELD, Form, read_open_form
from noticebus.console.visitors import cookie_name
from noticebus.errors import ForbiddenError

GUEST = "noticebus_guest"
FORM_BYTES_MAX = 16 * 1024
_NONCE = re.compile(r"[A-Za-z0-9_-]{22,64}", re.ASCII)
_PURPOSE = b"guest form v1"
_MAC_BYTES = 16  # HMAC-SHA256 cut to 128 bits (RFC 2104, section 5)


def guest_nonce(request: Request, desk: Desk) -> str:
    """Give the text that the browser carries already, or a new one."""
    held = request.cookies.get(cookie_name(desk, GUEST), "")
    return held if _NONCE.fullmatch(held) else secrets.token_urlsafe(24)


def guest_token(desk: Desk, nonce: str) -> str:
    """Give what goes into the form."""
    return base64url(desk.keyring.token_mac([_PURPOSE, nonce.encode()])[:_MAC_BYTES])


def carry(response: Response, desk: Desk, nonce: str) -> Response:
    """Have the browser carry the text."""
    set_cookie(response, desk, GUEST, nonce)
    return response


async def read_guest_form(request: Request, desk: Desk) -> Form:
    """Read a form that `guest_token` went into; ForbiddenError for any other."""
    form = await read_open_form(request, bytes_max=FORM_BYTES_MAX, fields_max=20)
    nonce = request.cookies.get(cookie_name(desk, GUEST), "")
    macs = desk.keyring.token_macs([_PURPOSE, nonce.encode()])
    given = form.text(CSRF_FIELD).encode()
    found = [hmac.compare_digest(base64url(one[:_MAC_BYTES]).encode(), given) for one in macs]
    if not (_NONCE.fullmatch(nonce) and any(found)):
        raise ForbiddenError(
            "This form was not given to your browser, or it keeps no cookies."
            " Allow cookies for this site, load the page again and repeat what you did."
        )
    return form


def set_cookie(
    response: Response, desk: Desk, name: str, value: str, *, seconds: int | None = None
) -> None:
    """Set a cookie that no script and no other site can use, until the browser is closed."""
    response.set_cookie(
        cookie_name(desk, name),
        value,
        max_age=seconds,
        path="/",
        secure=desk.base_url.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


def drop_cookie(response: Response, desk: Desk, name: str) -> None:
    """Have the browser forget a cookie."""
    set_cookie(response, desk, name, "", seconds=0)
