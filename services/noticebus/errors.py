"""Every error noticebus raises on purpose.

NoticebusError
├── RefusedError            the caller's fault; 4xx; never retried as it is
│   ├── InvalidError        422  the request does not say what it must; carries JSON pointers
│   ├── BadRequestError     400  the request cannot be read at all
│   ├── UnauthenticatedError 401 no key, or one we do not know
│   ├── ForbiddenError      403  a known key that may not do this
│   ├── NotFoundError       404  nothing there that the caller may see
│   ├── ConflictError       409  true once, no longer: stale version, other state
│   ├── PreconditionError   412  `If-Match` names another revision
│   ├── TooLargeError       413  a body over the limit
│   └── RateLimitedError    429  later, please
└── UnavailableError        503  ours or a dependency's; safe to retry
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One fault in a request: where (RFC 6901 JSON pointer) and a sentence that says what to do."""

    pointer: str
    message: str


class NoticebusError(Exception):
    """The root. `code` is stable and names the problem's page.

    The message is a sentence for a person.
    """

    code = "internal"
    status = 500

    def __init__(
        self, message: str, *, code: str | None = None, details: tuple[Detail, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        if code is not None:
            self.code = code


class RefusedError(NoticebusError):
    code = "refused"
    status = 400


class InvalidError(RefusedError):
    code = "invalid"
    status = 422


class BadRequestError(RefusedError):
    code = "bad-request"
    status = 400


class UnauthenticatedError(RefusedError):
    code = "unauthenticated"
    status = 401


class ForbiddenError(RefusedError):
    code = "forbidden"
    status = 403


class NotFoundError(RefusedError):
    code = "not-found"
    status = 404


class ConflictError(RefusedError):
    code = "conflict"
    status = 409


class PreconditionError(RefusedError):
    code = "stale-revision"
    status = 412


class TooLargeError(RefusedError):
    code = "too-large"
    status = 413


class RateLimitedError(RefusedError):
    code = "rate-limited"
    status = 429


class UnavailableError(NoticebusError):
    code = "unavailable"
    status = 503

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: int = 2,
        code: str | None = None,
        details: tuple[Detail, ...] = (),
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.retry_after_s = retry_after_s
