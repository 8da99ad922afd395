"""Where the bus may call (I11): rules over the addresses and URLs that agencies supply.

`check_url` serves the moment somebody registers an endpoint; `refusal` serves the moment a
connection is opened, with the very address it goes to.
"""

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from noticebus.errors import Detail

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
URL_CHARACTERS_MAX = 2048
_HOST_CHARACTERS_MAX = 253  # RFC 1035, section 2.3.4, as text

# Where a cloud hands out its machines' own credentials. No allow list opens these.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google, Oracle, DigitalOcean, OpenStack
        "169.254.170.2",  # AWS container credentials
        "169.254.170.23",  # AWS pod identity
        "168.63.129.16",  # Azure platform
        "100.100.100.200",  # Alibaba
        "169.254.42.42",  # Scaleway
        "169.254.0.23",  # Tencent
        "192.0.0.192",  # Oracle, older
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS pod identity
        "fd20:ce::254",  # Google
        "fd00:42::42",  # Scaleway
    )
)

# Prefixes of IPv6 whose addresses carry an IPv4 address.
_CARRIERS = tuple(
    (ipaddress.IPv6Network(text), word)
    for text, word in (
        ("::ffff:0:0/96", "IPv4 mapped into IPv6"),
        ("64:ff9b::/96", "IPv4 behind NAT64"),
        ("64:ff9b:1::/48", "IPv4 behind local NAT64"),
        ("2002::/16", "IPv4 inside 6to4"),
        ("2001::/32", "IPv4 inside Teredo"),
        ("::ffff:0:0:0/96", "IPv4 translated to IPv6"),
    )
)
_ISATAP = 0x5EFE  # RFC 5214, section 6.1: in the interface's half, under any prefix
_ISATAP_FLAGS = 0x03000000

# Read in order: the first that holds the address names it (IANA special-purpose registries).
_CLOSED = tuple(
    (ipaddress.ip_network(text), word)
    for text, word in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier-grade NAT address"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a reserved address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("::/96", "an IPv4-compatible address"),
        ("fc00::/7", "a private (unique local) address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a private (site-local) address"),
        ("ff00::/8", "a multicast address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a documentation address"),
        ("3fff::/20", "a documentation address"),
        ("3ffe::/16", "a reserved address"),
    )
)
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")  # all that IANA has handed out as global unicast
_NUMERIC_LABEL = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?")
_URL_TEXT = re.compile(r"[!$-;=?-\[\]_a-z~#]*", re.IGNORECASE)  # RFC 3986, section 2


def refusal(address: str, *, allow: Sequence[Network], plain: bool = False) -> str | None:
    """Say why the bus does not call `address`, or None where it may.

    `plain` is for `http`, which is open to addresses in `allow` only.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return f"{address} is not an address in its usual form"
    if parsed in _METADATA or not _METADATA.isdisjoint(_carried(parsed)):
        return f"{address} is a cloud's metadata address, which is never called"
    if "%" in address:
        return f"{address} names a zone of one machine (%…), which is not called"
    word = None if _is_allowed(parsed, allow=allow) else _unless_allowed(parsed, plain=plain)
    return None if word is None else f"{address} {word}"


def _unless_allowed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, *, plain: bool
) -> str | None:
    word = _closed_word(address)
    if word is not None:
        return f"is {word}; only an operator can allow it, in egress.allow"
    return "would be called without TLS; use https" if plain else None


def check_url(url: str, *, allow: Sequence[Network], pointer: str = "/url") -> tuple[Detail, ...]:
    """List what is wrong with an endpoint's URL as text; empty when it may be registered.

    The host's name is not looked up: what it means can change, so each connection checks that.
    """
    fault = _fault_of_text(url)
    if fault is None:
        fault = _fault_of_parts(url, allow=allow)
    return () if fault is None else (Detail(pointer=pointer, message=fault),)


def _is_allowed(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, *, allow: Sequence[Network]
) -> bool:
    """Say whether the operator's list opens `address`, exactly as it is written.

    A wide network of IPv6 opens no form that carries IPv4: that form has to be named, and the
    address inside it has to be open too, or `::/0` would open 127.0.0.1.
    """
    holding = [network for network in allow if address in network]
    carrier = _carrier_of(address)
    if carrier is None:
        return bool(holding)
    named = any(network.prefixlen >= carrier.prefixlen for network in holding)
    inside = _inside(address, carrier=carrier)
    return named and refusal(str(inside), allow=allow) is None


def _carrier_of(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv6Network | None:
    """Find the prefix that makes an address carry IPv4; its own /128 for an ISATAP address."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    found = next((network for network, _ in _CARRIERS if address in network), None)
    if found is None and _is_isatap(address):
        return ipaddress.IPv6Network((int(address), 128))
    return found


def _is_isatap(address: ipaddress.IPv6Address) -> bool:
    return (int(address) >> 32 & 0xFFFFFFFF) & ~_ISATAP_FLAGS == _ISATAP


def _closed_word(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    for carrier, word in _CARRIERS:
        if address in carrier:
            return f"{word}, a form that is not called"
    for network, word in _CLOSED:
        if address in network:
            return word
    if isinstance(address, ipaddress.IPv4Address):
        return None if address.is_global else "not a public address"
    if address not in _PUBLIC_IPV6:
        return "a reserved address"
    if _is_isatap(address):
        return "IPv4 inside ISATAP, a form that is not called"
    return None if address.is_global else "not a public address"


def _carried(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> frozenset[ipaddress.IPv4Address]:
    """List the IPv4 addresses that an IPv6 address may carry, whichever form it is read as."""
    if isinstance(address, ipaddress.IPv4Address):
        return frozenset()
    return frozenset(read(int(address)) for read in (_last, _teredo, _six_to_four, _split))


def _inside(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, *, carrier: ipaddress.IPv6Network
) -> ipaddress.IPv4Address:
    """Give the IPv4 address that a form of IPv6 carries."""
    read = {"2001::/32": _teredo, "2002::/16": _six_to_four, "64:ff9b:1::/48": _split}
    return read.get(str(carrier), _last)(int(address))


def _last(number: int) -> ipaddress.IPv4Address:  # mapped, compatible, NAT64, ISATAP
    return ipaddress.IPv4Address(number & 0xFFFFFFFF)


def _teredo(number: int) -> ipaddress.IPv4Address:  # RFC 4380, section 4
    return ipaddress.IPv4Address(~number & 0xFFFFFFFF)


def _six_to_four(number: int) -> ipaddress.IPv4Address:  # RFC 3056, section 2
    return ipaddress.IPv4Address(number >> 80 & 0xFFFFFFFF)


def _split(number: int) -> ipaddress.IPv4Address:  # RFC 6052, section 2.2, /48
    return ipaddress.IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF)


def _fault_of_text(url: str) -> str | None:
    if len(url) > URL_CHARACTERS_MAX:
        return f"The URL is longer than {URL_CHARACTERS_MAX} characters. Register a shorter one."
    if not _URL_TEXT.fullmatch(url):
        return "The URL holds a character that must be encoded: %xx in a path, punycode in a host."
    return None


def _fault_of_parts(url: str, *, allow: Sequence[Network]) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "The URL cannot be read. Write it like https://alerts.example.gov/noticebus."
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "The URL must start with https:// and a host name."
    if parts.username is not None or parts.password is not None:
        return "The URL must not hold a user name or password. Requests carry a signature instead."
    if "#" in url:
        return "The URL must not hold a fragment (#…). Leave it out."
    if port == 0:
        return "The URL's port must be from 1 to 65535."
    return _fault_of_host(parts, host=parts.hostname, allow=allow)


def _fault_of_host(parts: SplitResult, *, host: str, allow: Sequence[Network]) -> str | None:
    plain = parts.scheme == "http"
    if _is_literal(host):
        reason = refusal(host, allow=allow, plain=plain)
        return None if reason is None else f"{reason}. Register a public https address."
    numeric = _NUMERIC_LABEL.fullmatch(host.rstrip(".").rpartition(".")[2])
    if numeric or "[" in parts.netloc:
        return "The host is an address in an unusual form. Write four decimal numbers, or a name."
    if len(host) > _HOST_CHARACTERS_MAX or not _NAME.fullmatch(host):
        return "The host is not a valid name. Write it like alerts.example.gov."
    if plain and not allow:
        return "The URL must start with https://: notices are never sent without TLS."
    return None


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
