"""Reads what went wrong on the wire as an outcome, a fault and a sentence with cause and remedy."""

import errno
import socket
import ssl
from dataclasses import dataclass

import aiohttp

from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher.egress import BlockedAddressError, BusyLookUpsError
from noticebus.dispatcher.proxy import Beyond, BeyondProxyError, ProxyFailedError
from noticebus.dispatcher.signs import Signs

# That there is no way to a network is known at our own end; that a host is not there, at its own.
_NO_WAY_OUT = {errno.ENETUNREACH, errno.ENETDOWN}
_NO_WAY_THERE = {errno.EHOSTUNREACH, errno.EHOSTDOWN}
_NO_ANSWER = {socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_MEMORY}  # says nothing of the name
_OUR_LIMITS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


class NoSlotError(Exception):
    """Every slot for this origin stayed taken: nothing was put on the wire."""


class UnusableCertificateError(Exception):
    """The client certificate or key cannot be used for TLS: nothing was put on the wire."""


class UnsendableHeaderError(ValueError):
    """A header of ours has a character that none may have: nothing was put on the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no answer to read."""

    outcome: Outcome
    fault: Fault
    error: str


class TokenError(Exception):
    """There is no access token to send with; `failure` says why and whose fault it is."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.error)
        self.failure = failure


NO_SLOT = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="Our own limit of requests to this server was used up. We try again by ourselves.",
)
TOKEN_AWAITED = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="Another request was still fetching the token. We try again by ourselves, and it uses up"
    " none of your tries.",
)
SILENT = Failure(
    outcome=Outcome.TIMED_OUT,
    fault=Fault.RECIPIENT,
    error="Your server did not answer in time. Answer 2xx at once and do the work afterwards.",
)
NO_CONNECTION_IN_TIME = Failure(
    outcome=Outcome.TIMED_OUT,
    fault=Fault.NETWORK,
    error="No connection within 5 seconds. Check that the server runs and a firewall lets us in.",
)
BAD_ANSWER = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.RECIPIENT,
    error="Your server did not answer in proper HTTP. Check that the port serves HTTP(S).",
)
BROKEN_OFF = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.RECIPIENT,
    error="Your server closed the connection before it answered. Its log says why; if it asks for"
    " a client certificate, look at the one in the subscription's credentials.",
)
NO_TLS = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.RECIPIENT,
    error="No TLS connection. Check that the port speaks TLS 1.2 or newer, and whether it asks for"
    " a client certificate.",
)
NO_SUCH_NAME = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.RECIPIENT,
    error="Your host name does not exist. Correct it, or its entry in the DNS.",
)
NO_NAME_JUST_NOW = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="We could not look the host name up just now: no name server answered. We try again by"
    " ourselves, and it uses up none of your tries. If this lasts, check its name servers.",
)
NO_NAME_SERVER = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.NETWORK,
    error="Your host name could not be looked up, while others are found. Check that the name"
    " servers of its zone answer.",
)
LOOK_UPS_BUSY = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="Our own look-ups of host names were all busy. We try again by ourselves, and it uses up"
    " none of your tries.",
)
NO_WAY_OUT = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="Our own network had no way to the server just now. We try again by ourselves, and it"
    " uses up none of your tries.",
)
NO_WAY_TO_IT = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.NETWORK,
    error="Your server has an address to which our network has no way, while others are reached."
    " Check its entries in the DNS: an IPv6 address alone may not do.",
)
NO_ROUTE = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.NETWORK,
    error="There is no route to your server. Check its address and its network.",
)
NOT_LISTENING = Failure(
    outcome=Outcome.FAILED,
    fault=Fault.RECIPIENT,
    error="Your server refused the connection. Check that it runs and listens on this port.",
)
CERTIFICATE_REFUSED = Failure(
    outcome=Outcome.REFUSED,
    fault=Fault.RECIPIENT,
    error="Your server did not accept our client certificate, or asked for one that we do not have."
    " Set one that it trusts and that has not ended, in the subscription's credentials.",
)
CERTIFICATE_UNUSABLE = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="We cannot use this endpoint's client certificate. Set another in its credentials.",
)
NOT_A_URL = Failure(
    outcome=Outcome.BLOCKED,
    fault=Fault.RECIPIENT,
    error="Your address is not in a usual form and is not called. Register it again.",
)
NO_HEADER = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="A header of our request has a character that none may have. An operator looks at the"
    " bus's own address (base_url).",
)
NOT_SIGNED = Failure(
    outcome=Outcome.UNSENDABLE,
    fault=Fault.OURS,
    error="The endpoint's secret cannot be used for signing. Rotate the secret.",
)


# The first kind that fits names the failure: some of these derive from others.
_KINDS: tuple[tuple[type[Exception], Failure], ...] = (
    (NoSlotError, NO_SLOT),
    (UnusableCertificateError, CERTIFICATE_UNUSABLE),
    (aiohttp.ConnectionTimeoutError, NO_CONNECTION_IN_TIME),
    (TimeoutError, SILENT),
    (aiohttp.ClientConnectorSSLError, NO_TLS),
    (aiohttp.ClientResponseError, BAD_ANSWER),
    (aiohttp.ClientPayloadError, BAD_ANSWER),
    (aiohttp.InvalidURL, NOT_A_URL),
    (UnsendableHeaderError, NO_HEADER),
    (ValueError, NOT_SIGNED),
)


_BEYOND_PROXY = {
    Beyond.REFUSED: NOT_LISTENING,
    Beyond.CLOSED: BROKEN_OFF,
    Beyond.SILENT: NO_CONNECTION_IN_TIME,
    Beyond.NO_ROUTE: NO_ROUTE,
    Beyond.UNAVAILABLE: NO_ROUTE,
}


def failure_of(error: Exception, *, signs: Signs) -> Failure:
    """Name what an exception of the HTTP client means; `signs` tell our own outages apart."""
    if isinstance(error, TokenError):
        return error.failure
    if _is_about_client_certificate(error):
        return CERTIFICATE_REFUSED
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate(error)
    fitting = (failure for kind, failure in _KINDS if isinstance(error, kind))
    if (failure := next(fitting, None)) is not None:
        return failure
    if isinstance(error, aiohttp.ClientConnectorError):
        return _weighed(_no_connection(error.os_error), host=error.host, signs=signs)
    return BROKEN_OFF


def _weighed(failure: Failure, *, host: str, signs: Signs) -> Failure:
    """Leave an outage ours unless others show that our own end works."""
    if failure is NO_NAME_JUST_NOW and signs.resolver_works(host):
        return NO_NAME_SERVER
    if failure is NO_WAY_OUT and signs.line_works(host):
        return NO_WAY_TO_IT
    return failure


def _is_about_client_certificate(error: BaseException | None) -> bool:
    """Look for the alert with which a server refuses a client's certificate.

    In TLS 1.3 it comes after the client's handshake, with what is read first.
    """
    while error is not None:
        said = str(getattr(error, "reason", None) or "")  # aiohttp's own have none
        if isinstance(error, ssl.SSLError) and "ALERT" in said:
            return "CERTIFICATE" in said or "UNKNOWN_CA" in said
        error = error.__cause__ or error.__context__
    return False


def _certificate(error: aiohttp.ClientConnectorCertificateError) -> Failure:
    reason = getattr(error.certificate_error, "verify_message", "") or "not valid"
    return Failure(
        outcome=Outcome.FAILED,
        fault=Fault.RECIPIENT,
        error=f"Your server's certificate was not accepted: {reason}. "
        "Install one for this host name, with its whole chain.",
    )


def _no_connection(error: OSError) -> Failure:
    match error:
        case BlockedAddressError():
            return Failure(
                outcome=Outcome.BLOCKED, fault=Fault.RECIPIENT, error=f"Not called: {error}."
            )
        case ProxyFailedError():
            return _proxy(error)
        case BeyondProxyError():
            return _BEYOND_PROXY[error.beyond]
        case BusyLookUpsError() | socket.gaierror():
            return _look_up(error)
        case ConnectionRefusedError():
            return NOT_LISTENING
        case _:
            return _of_number(error.errno)


def _look_up(error: BusyLookUpsError | socket.gaierror) -> Failure:
    if isinstance(error, BusyLookUpsError):
        return LOOK_UPS_BUSY
    return NO_NAME_JUST_NOW if error.errno in _NO_ANSWER else NO_SUCH_NAME


def _of_number(number: int | None) -> Failure:
    if number in _OUR_LIMITS:
        return NO_SLOT
    if number in _NO_WAY_OUT:
        return NO_WAY_OUT
    return NO_ROUTE if number in _NO_WAY_THERE else BROKEN_OFF


def _proxy(error: ProxyFailedError) -> Failure:
    return Failure(
        outcome=Outcome.UNSENDABLE,
        fault=Fault.OURS,
        error=f"Our proxy {error}. We try again by ourselves, and it uses up none of your tries.",
    )
