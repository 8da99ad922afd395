"""From whom a header counts, and what it may say."""

import datetime as dt
from ipaddress import ip_network

import pytest

from noticebus.access.proxy_header import TrustedProxy

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def proxy() -> TrustedProxy:
    networks = (ip_network("10.0.4.0/24"), ip_network("fd00::7/128"))
    return TrustedProxy(header="X-User", networks=networks)


@pytest.mark.parametrize("peer", ["10.0.4.7", "fd00::7", "::ffff:10.0.4.7"])
def test_proxy_is_known_by_the_address_it_speaks_from(peer: str) -> None:
    assert proxy().login([" Dana.Reyes "], peer=peer, now=NOW) == "dana.reyes"


@pytest.mark.parametrize("peer", ["10.0.5.7", "fd00::8", "::ffff:10.0.5.7", "testclient", "", None])
def test_nobody_else_is_the_proxy(peer: str | None) -> None:
    assert proxy().login(["dana.reyes"], peer=peer, now=NOW) is None


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("",),
        ("a",),
        ("a b",),
        ("-dana",),
        ("dana", "dana"),
        ("x" * 100,),
        ("oidc:dana",),
        ("ﬀ",),
    ],
)
def test_what_is_no_single_login_names_nobody(given: tuple[str, ...]) -> None:
    assert proxy().login(given, peer="10.0.4.7", now=NOW) is None
