"""Where the bus may call: every closed address, every odd way to write one."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.domain.egress_rules import Network, check_url, refusal

LOCAL = (ipaddress.ip_network("127.0.0.1/32"),)
EVERYTHING = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "unspecified"),  # noqa: S104 - called, not bound
        ("0.1.2.3", "unspecified"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("169.254.1.1", "link-local"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"),
        ("192.0.0.8", "reserved"),
        ("192.0.2.1", "documentation"),
        ("198.18.0.1", "benchmarking"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fe80::1%eth0", "zone"),
        ("2606:4700::1111%eth0", "zone"),
        ("::1%lo", "zone"),
        ("fc00::1", "unique local"),
        ("fd12:3456::1", "unique local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::8.8.8.8", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "mapped"),
        ("::ffff:8.8.8.8", "mapped"),
        ("64:ff9b::7f00:1", "NAT64"),
        ("64:ff9b::808:808", "NAT64"),
        ("64:ff9b:1::7f00:1", "local NAT64"),
        ("2002:7f00:1::", "6to4"),
        ("2002:808:808::1", "6to4"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
        ("2001:db8::1", "documentation"),
        ("2001:2::1", "reserved"),
        ("3fff::1", "documentation"),
        ("100::1", "reserved"),
        ("100:0:0:1::1", "reserved"),
        ("5f00::1", "reserved"),
        ("4000::1", "reserved"),
        ("3ffe::1", "reserved"),
        ("::ffff:0:808:808", "translated"),
        ("2a00:1450::5efe:a00:1", "ISATAP"),
        ("2a00:1450::200:5efe:808:808", "ISATAP"),
        ("2a00:1450::5efe:808:808", "ISATAP"),
    ],
)
def test_closed_addresses_are_refused_by_name(address: str, word: str) -> None:
    reason = refusal(address, allow=())

    assert reason is not None
    assert word in reason


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_open_with_tls_only(address: str) -> None:
    assert refusal(address, allow=()) is None
    assert "without TLS" in (refusal(address, allow=(), plain=True) or "")


def test_an_operator_can_open_a_network_also_without_tls() -> None:
    assert refusal("127.0.0.1", allow=LOCAL) is None
    assert refusal("127.0.0.1", allow=LOCAL, plain=True) is None
    assert refusal("127.0.0.2", allow=LOCAL) is not None
    assert refusal("::ffff:127.0.0.1", allow=LOCAL) is not None


def allowed(*networks: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(one) for one in networks)


@pytest.mark.parametrize(
    ("address", "carrier", "inside"),
    [
        ("::ffff:127.0.0.1", "::ffff:0:0/96", "127.0.0.1/32"),
        ("64:ff9b::7f00:1", "64:ff9b::/96", "127.0.0.1/32"),
        ("64:ff9b:1:7f00:0:100::", "64:ff9b:1::/48", "127.0.0.1/32"),
        ("2002:7f00:1::", "2002::/16", "127.0.0.1/32"),
        ("2001:0:1::80ff:fffe", "2001::/32", "127.0.0.1/32"),
        ("::ffff:0:7f00:1", "::ffff:0:0:0/96", "127.0.0.1/32"),
        ("2a00:1450::5efe:7f00:1", "2a00:1450::5efe:7f00:1/128", "127.0.0.1/32"),
    ],
)
def test_a_form_that_carries_ipv4_is_open_only_where_form_and_inside_both_are(
    address: str, carrier: str, inside: str
) -> None:
    """`::/0` opens IPv6, not the machine's own IPv4 written as IPv6."""
    assert refusal(address, allow=EVERYTHING) is not None
    assert refusal(address, allow=allowed("::/0", carrier)) is not None
    assert refusal(address, allow=allowed("::/0", inside)) is not None
    assert refusal(address, allow=allowed(carrier, inside)) is None


def test_a_form_that_carries_a_public_address_needs_no_second_entry() -> None:
    assert refusal("64:ff9b::808:808", allow=allowed("64:ff9b::/96")) is None


@pytest.mark.parametrize(
    ("allow", "opened", "closed"),
    [
        ("10.20.0.0/16", ["10.20.0.0", "10.20.255.255"], ["10.19.255.255", "10.21.0.0"]),
        ("127.0.0.1/32", ["127.0.0.1"], ["127.0.0.2", "::1", "::ffff:127.0.0.1"]),
        ("::1/128", ["::1"], ["127.0.0.1", "::", "::2"]),
        ("fd12::/16", ["fd12::1"], ["fd13::1", "fc00::1", "fd12::1%eth0"]),
        ("0.0.0.0/0", ["10.0.0.1", "127.0.0.1"], ["::1", "fd00::1", "169.254.169.254"]),
    ],
)
def test_the_allow_list_opens_what_it_says_and_nothing_else(
    allow: str, opened: list[str], closed: list[str]
) -> None:
    networks = allowed(allow)

    assert [one for one in opened if refusal(one, allow=networks, plain=True)] == []
    assert [one for one in closed if refusal(one, allow=networks) is None] == []


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.42.42",
        "169.254.0.23",
        "fd00:42::42",
        "fd00:ec2::254%eth0",
        "64:ff9b::a9fe:a9fe%1",
        "2a00:1450::5efe:a9fe:a9fe",
        "::ffff:0:a9fe:a9fe",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "2002:a9fe:a9fe::1",
        "2001:0:1::5601:5601",
    ],
)
def test_metadata_addresses_are_refused_whatever_the_allow_list_says(address: str) -> None:
    assert "metadata" in (refusal(address, allow=EVERYTHING) or "")


@pytest.mark.parametrize("text", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "localhost", ""])
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    assert "not an address" in (refusal(text, allow=EVERYTHING) or "")


@given(st.ip_addresses())
def test_no_address_that_python_knows_as_not_global_is_open(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if refusal(str(address), allow=()) is None:
        assert address.is_global
        assert not address.is_multicast


@pytest.mark.parametrize(
    "url",
    [
        "https://alerts.example.gov/noticebus",
        "https://alerts.example.gov:8443/a/b?c=d%20e",
        "https://xn--bcher-kva.example/",
        "https://_hooks.example.gov",
        "https://ALERTS.example.gov.",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]/hook",
    ],
)
def test_proper_urls_may_be_registered(url: str) -> None:
    assert check_url(url, allow=()) == ()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("http://alerts.example.gov/", "https"),
        ("ftp://alerts.example.gov/", "https"),
        ("//alerts.example.gov/", "https"),
        ("https://", "host name"),
        ("https:///path", "host name"),
        ("", "https"),
        ("https://user:secret@example.gov/", "password"),
        ("https://@example.gov/", "password"),
        ("https://example.gov/#part", "fragment"),
        ("https://example.gov:0/", "port"),
        ("https://example.gov:99999/", "cannot be read"),
        ("https://[::1/", "cannot be read"),
        ("https://example.gov/a b", "encoded"),
        ("https://example.gov/\r\nHost: x", "encoded"),
        ("https://example.gov\\@evil.example/", "encoded"),
        ("https://bücher.example/", "encoded"),
        ("https://-bad.example/", "valid name"),
        ("https://a..b/", "valid name"),
        ("https://" + "a" * 64 + ".example/", "valid name"),
        ("https://" + "a." * 130 + "example/", "valid name"),
        ("https://example.gov/" + "a" * 2048, "longer"),
        ("https://127.0.0.1/", "loopback"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:10.0.0.1]/", "mapped"),
        ("https://169.254.169.254/latest/meta-data", "metadata"),
        ("https://0x7f.1/", "unusual"),
        ("https://0x7f000001/", "unusual"),
        ("https://2130706433/", "unusual"),
        ("https://0177.0.0.1/", "unusual"),
        ("https://127.1/", "unusual"),
        ("https://127.1./", "unusual"),
        ("https://0x7f.0x0.0x0.0x1/", "unusual"),
        ("https://017700000001/", "unusual"),
        ("https://127.0.0.1./", "unusual"),
        ("https://127%2e0%2e0%2e1/", "valid name"),
        ("https://[fe80::1%25eth0]/", "zone"),
        ("https://[2606:4700::1111%25eth0]/", "zone"),
        ("https://[::ffff:7f00:1]/", "mapped"),
        ("https://[64:ff9b::7f00:1]/", "NAT64"),
        ("https://[2002:7f00:1::]/", "6to4"),
        ("https://[2001:0:1::80ff:fffe]/", "Teredo"),
        ("https://[2a00:1450::5efe:7f00:1]/", "ISATAP"),
        ("https://[v1.fe80]/", "unusual"),
        ("http://8.8.8.8/", "TLS"),
    ],
)
def test_improper_urls_are_refused_with_a_remedy(url: str, word: str) -> None:
    (detail,) = check_url(url, allow=(), pointer="/endpoint/url")

    assert detail.pointer == "/endpoint/url"
    assert word in detail.message


def test_plain_http_may_be_registered_where_an_operator_opened_a_network() -> None:
    assert check_url("http://127.0.0.1:8080/hook", allow=LOCAL) == ()
    assert check_url("http://receiver.internal/hook", allow=LOCAL) == ()
    assert check_url("http://127.0.0.2:8080/hook", allow=LOCAL) != ()


@given(st.text())
def test_any_text_is_judged_without_an_error(text: str) -> None:
    check_url(text, allow=())
    check_url("https://" + text, allow=())
