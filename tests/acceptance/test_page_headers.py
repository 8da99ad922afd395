"""Every address of the console answers with the strict headers, whoever asks and whatever comes."""

import re

import pytest
from fastapi.routing import APIRoute

from harness.console import Console
from noticebus.console.app import ROUTERS
from noticebus.contracts.vocabulary import UserRole

KEPT = ("/static/", "/icon/")  # what carries its version in its address
PARAMETER = re.compile(r"\{[^}]+\}")
ASKS = {"script-src", "style-src", "img-src", "font-src", "connect-src"}


def addresses() -> list[str]:
    """Give an address of every route that can be opened."""
    routes = [one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute)]
    paths = {one.path for one in routes if "GET" in (one.methods or ())}
    return sorted(PARAMETER.sub("none", one) for one in paths)


def directives(policy: str) -> dict[str, list[str]]:
    found = (one.split() for one in policy.split(";"))
    return {words[0]: words[1:] for words in found if words}


@pytest.mark.parametrize("signed_in", [True, False])
async def test_every_address_has_the_strict_headers(console: Console, signed_in: bool) -> None:
    browser = console.browser()
    if signed_in:
        browser = await console.sign_in(UserRole.OPERATOR, UserRole.SUPERVISOR)
    for address in addresses():
        answer = await browser.client.get(address)
        policy = directives(answer.headers["content-security-policy"])

        assert policy["default-src"] == ["'none'"], address
        assert policy["frame-ancestors"] == ["'none'"], address
        assert policy["base-uri"] == ["'none'"], address
        assert "unsafe" not in answer.headers["content-security-policy"], address
        for name in ASKS & set(policy):
            allowed = {"'self'", "data:"} if (address, name) == ("/docs", "img-src") else {"'self'"}
            assert set(policy[name]) <= allowed, (address, name)
        assert answer.headers["x-content-type-options"] == "nosniff", address
        assert answer.headers["referrer-policy"] == "no-referrer", address
        assert answer.headers["x-frame-options"] == "DENY", address
        if answer.is_success and address.startswith(KEPT):
            continue
        assert answer.headers["cache-control"] in {"no-store", "private, no-store"}, address


async def test_walk_meets_every_page(console: Console) -> None:
    assert {"/", "/status", "/docs", "/accessibility", "/heartbeat"} <= set(addresses())
    await console.browser().get("/redoc", status=404)
