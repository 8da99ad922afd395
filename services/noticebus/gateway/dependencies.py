"""What handlers are handed: the desk, the caller, a page's bounds, a precondition."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Header, Query, Request, Response
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from noticebus.access.principals import Principal, Principals
from noticebus.casework.desk import Desk
from noticebus.casework.intake import Intake
from noticebus.domain.egress_rules import Network
from noticebus.errors import BadRequestError, Detail, PreconditionError, UnauthenticatedError

PAGE_MAX = 200
PAGE_DEFAULT = 50
CURSOR_MAX = 120
KEY_FORM = re.compile(r"[\x21-\x7e]{1,255}")  # visible ASCII
REVISION_FORM = re.compile(r'(?:W/)?"([0-9]{1,9})"')

Check = Callable[[], Awaitable[str | None]]  # what is wrong, or None


class HasId(Protocol):
    """What a list shows: cursors are made of ids."""

    @property
    def id(self) -> str: ...


Listed = TypeVar("Listed", bound=HasId)

_bearer = HTTPBearer(auto_error=False, description="An API key of the bus: `noticebus_live_…`.")
_api_key = APIKeyHeader(
    name="X-Api-Key",
    auto_error=False,
    description="The same key, for gateways that pass it this way.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The bounds of one page of a list: after which id, and how many."""

    after: str
    limit: int


async def get_desk(request: Request) -> Desk:
    """Give the desk the application was created with."""
    desk: Desk = request.app.state.desk
    return desk


async def get_intake(request: Request) -> Intake:
    """Give the queue through which notices are committed."""
    intake: Intake = request.app.state.intake
    return intake


async def get_caller(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    api_key: Annotated[str | None, Depends(_api_key)],
) -> Principal:
    """Identify the caller by its API key; 401 where there is none."""
    key = bearer.credentials if bearer is not None else api_key
    if not key:
        raise UnauthenticatedError(
            "The request carries no API key. Send 'Authorization: Bearer noticebus_live_…'."
        )
    principals: Principals = request.app.state.principals
    return await principals.authenticate(key)


async def get_page(
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="How many at most.")] = PAGE_DEFAULT,
    cursor: Annotated[
        str, Query(max_length=CURSOR_MAX, description="`next` of the page before; opaque.")
    ] = "",
) -> Page:
    """Read a page's bounds from the query."""
    return Page(after=decode_cursor(cursor), limit=limit)


async def get_revision(
    if_match: Annotated[
        str | None, Header(description='The `ETag` of what you change, as in `"3"`.')
    ] = None,
) -> int | None:
    """Read the revision an edit is based on from `If-Match`; None where the header is absent."""
    if if_match is None:
        return None
    found = REVISION_FORM.fullmatch(if_match.strip())
    if found is None:
        raise PreconditionError(
            "'If-Match' does not hold an ETag of this thing. "
            "Read it again and send its 'ETag' back."
        )
    return int(found[1])


async def get_key(
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="1 to 255 visible ASCII characters of your own, new for each post. "
            "Repeat the request with the same key and it is answered as the first time.",
            examples=["4f0c1f3e-6a5d-4a0e-9b7a-7d1f0f4d9d3b"],
        ),
    ] = None,
) -> str | None:
    """Read the key under which a repeat is recognised; None where there is none."""
    if key is not None and KEY_FORM.fullmatch(key) is None:
        raise _no_key("is not 1 to 255 visible ASCII characters", code="idempotency-key-invalid")
    return key


async def require_key(key: Annotated[str | None, Depends(get_key)]) -> str:
    """Read the key of a post that needs one."""
    if key is None:
        raise _no_key("is missing")
    return key


async def get_checks(request: Request) -> Mapping[str, Check]:
    """Give the readiness checks the application was created with."""
    checks: Mapping[str, Check] = request.app.state.checks
    return checks


async def get_egress_allow(request: Request) -> Sequence[Network]:
    """Give the networks that an operator opened for endpoints."""
    allow: Sequence[Network] = request.app.state.egress_allow
    return allow


TheDesk = Annotated[Desk, Depends(get_desk)]
Caller = Annotated[Principal, Depends(get_caller)]
TheIntake = Annotated[Intake, Depends(get_intake)]
Key = Annotated[str, Depends(require_key)]
OptionalKey = Annotated[str | None, Depends(get_key)]
ThePage = Annotated[Page, Depends(get_page)]
IfMatch = Annotated[int | None, Depends(get_revision)]
EgressAllow = Annotated[Sequence[Network], Depends(get_egress_allow)]
Checks = Annotated[Mapping[str, Check], Depends(get_checks)]


def cut(found: Sequence[Listed], page: Page) -> tuple[Sequence[Listed], str | None]:
    """Cut what was read, one more than asked for, to the page; its last id where one follows."""
    shown = found[: page.limit]
    return shown, shown[-1].id if len(found) > page.limit else None


def encode_cursor(last: str) -> str:
    """Make the opaque cursor of the page that follows `last`."""
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """Read a cursor back; 400 where it is not one of ours."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (UnicodeError, binascii.Error) as error:
        raise _foreign_cursor() from error
    if not all(character.isalnum() or character in "_-:." for character in decoded):
        raise _foreign_cursor()
    return decoded


def link_next(request: Request, response: Response, *, last: str | None) -> str | None:
    """Set `Link: rel="next"` and give its cursor; `last` is None where no page follows."""
    if last is None:
        return None
    cursor = encode_cursor(last)
    base_url = request.app.state.desk.base_url.rstrip("/")
    target = request.url.include_query_params(cursor=cursor)
    response.headers["Link"] = f'<{base_url}{target.path}?{target.query}>; rel="next"'
    return cursor


def set_etag(response: Response, revision: int) -> None:
    """Say which revision was answered, for the `If-Match` of the next edit."""
    response.headers["ETag"] = f'"{revision}"'


def _no_key(what: str, *, code: str = "idempotency-key-missing") -> BadRequestError:
    sentence = (
        f"The header 'Idempotency-Key' {what}. Make a new random key for each post, such as a"
        " UUID, and send the same one when you repeat it. Nothing was stored."
    )
    detail = Detail(pointer="/headers/Idempotency-Key", message=sentence)
    return BadRequestError(sentence, code=code, details=(detail,))


def _foreign_cursor() -> BadRequestError:
    return BadRequestError(
        "The cursor is not one the bus gave out. Start again without it and follow 'next'."
    )
