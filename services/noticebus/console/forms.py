"""Forms of people's pages: read within bounds, and taken only from the page they were given on."""

import datetime as dt
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from fastapi import Request

from noticebus.access.sessions import Visitor
from noticebus.console.reading import read_instant
from noticebus.errors import BadRequestError, ForbiddenError, RefusedError, TooLargeError

FORM_TYPE = "application/x-www-form-urlencoded"
FORM_BYTES_MAX = 128 * 1024
FORM_FIELDS_MAX = 1000
CSRF_FIELD = "csrf"
KEY_FORM = re.compile(r"[A-Za-z0-9_-]{16,64}")  # of the key that makes a form sent twice one act


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What was typed and chosen. Of a field that must come once, the first counts."""

    values: Mapping[str, Sequence[str]]

    def text(self, name: str, default: str = "") -> str:
        """Give a field's text without the spaces around it."""
        return next(iter(self.values.get(name, ())), default).replace("\r\n", "\n").strip()

    def every(self, name: str) -> tuple[str, ...]:
        """Give every value of a field that may come more than once."""
        return tuple(self.values.get(name, ()))


def which_request(form: Form) -> dt.datetime:
    """Read when what is confirmed was asked for; BadRequestError where the page did not say."""
    try:
        return read_instant(form.text("requested_at"))
    except ValueError as error:
        raise BadRequestError(
            "The form cannot be read. Go back and load the page again."
        ) from error


async def read_form(request: Request, visitor: Visitor) -> Form:
    """Read a form of a page that `visitor` was given; ForbiddenError for one made elsewhere."""
    form = await read_open_form(request)
    if not hmac.compare_digest(form.text(CSRF_FIELD).encode(), visitor.csrf.encode()):
        raise ForbiddenError(
            "This form was not made for you, or you have signed in anew since."
            " Go back, load the page again and repeat what you did."
        )
    return form


async def read_open_form(
    request: Request, *, bytes_max: int = FORM_BYTES_MAX, fields_max: int = FORM_FIELDS_MAX
) -> Form:
    """Read a form of a page that needs no sign-in; one that another site sends is refused."""
    _refuse_other_sites(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM_TYPE:
        raise RefusedError(
            f"Send the page's own form, as {FORM_TYPE}.", code="unsupported-media-type"
        )
    body = await request.body()
    if len(body) > bytes_max:
        raise TooLargeError(f"The form is larger than {bytes_max:,} bytes. Shorten its texts.")
    try:
        found = parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=fields_max,
        )
    except ValueError as error:
        raise BadRequestError("The form cannot be read. Send it from the page.") from error
    if any("\x00" in value for values in found.values() for value in values):
        raise BadRequestError("The form contains a NUL character. Leave it out.")
    return Form(values=found)


def _refuse_other_sites(request: Request) -> None:
    """Go by what a browser says of a form's origin (Fetch Metadata); old ones say nothing."""
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise ForbiddenError("This form was sent from another site. Open the page here and use it.")
