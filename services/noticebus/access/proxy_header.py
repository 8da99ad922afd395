"""Who a trusted proxy says is there: one header, from its own address, and from nobody else's."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import structlog

from noticebus.access.logins import read_login

WARN_EVERY = dt.timedelta(minutes=1)

log = structlog.get_logger(__name__)

Network = IPv4Network | IPv6Network


@dataclass(slots=True, kw_only=True)
class TrustedProxy:
    """The proxy: the name of its header, and the networks that it speaks from."""

    header: str
    networks: tuple[Network, ...]
    _warned_at: dt.datetime | None = field(default=None, init=False)

    def login(self, given: Sequence[str], *, peer: str | None, now: dt.datetime) -> str | None:
        """Give the login that the proxy named; None without one, and for what is not the proxy's.

        `given` is every value of the header in the request. A header that came twice may be half
        somebody else's, so that neither counts.
        """
        if not given:
            return None
        if not self._is_proxy(peer):
            self._warn("peer", now=now)
            return None
        login = read_login(given[0]) if len(given) == 1 else None
        if login is None:
            self._warn("repeated" if len(given) > 1 else "form", now=now)
        return login

    def _is_proxy(self, peer: str | None) -> bool:
        try:
            address = ip_address(peer or "")
        except ValueError:
            return False
        return any(_plain(address) in network for network in self.networks)

    def _warn(self, reason: str, *, now: dt.datetime) -> None:
        """Say once a minute that a header was ignored, never what it said."""
        if self._warned_at is None or now - self._warned_at >= WARN_EVERY:
            self._warned_at = now
            log.warning("sign_in.header_ignored", reason=reason)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Write an IPv4 address that a socket for both kinds shows as IPv6 as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
