"""How the claims of a token are read, and how the bus shows itself to a provider."""

from typing import Any

import pytest

from noticebus.access.oidc import _listed, _text
from noticebus.access.oidc_provider import Provider, _basic
from noticebus.clock import SystemClock

ISSUER = "https://login.example/realms/staff"


@pytest.mark.parametrize(
    ("claims", "name", "found"),
    [
        ({"groups": ["a", "b"]}, "groups", ["a", "b"]),
        ({"groups": "a"}, "groups", ["a"]),
        ({"groups": None}, "groups", []),
        ({"groups": [1, "a", None, {"b": 1}]}, "groups", ["a"]),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ["a"]),
        ({"realm_access": ["roles"]}, "realm_access.roles", []),
        ({"https://bus.example/roles": ["a"]}, "https://bus.example/roles", ["a"]),
        ({}, "a.b", []),
    ],
)
def test_claim_is_a_text_a_list_or_within_another(
    claims: dict[str, Any], name: str, found: list[str]
) -> None:
    assert _listed(claims, name) == found


@pytest.mark.parametrize(
    ("value", "read"),
    [(" Dana \n Reyes ", "Dana Reyes"), (7, ""), (None, ""), ("x" * 300, "x" * 200)],
)
def test_text_of_a_claim_is_one_line_and_bounded(value: object, read: str) -> None:
    assert _text({"name": value}, "name") == read


@pytest.mark.parametrize(
    ("ways", "in_body"),
    [
        (None, False),
        (["client_secret_basic", "client_secret_post"], False),
        (["client_secret_post"], True),
        (["private_key_jwt"], False),
    ],
)
def test_secret_goes_into_the_header_unless_only_the_body_is_read(
    ways: list[str] | None, in_body: bool
) -> None:
    said = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/auth",
        "token_endpoint": f"{ISSUER}/token",
        "jwks_uri": f"{ISSUER}/keys",
    }
    if ways is not None:
        said["token_endpoint_auth_methods_supported"] = ways  # type: ignore[assignment]
    assert Provider(ISSUER, machine=SystemClock())._read(said).secret_in_body is in_body


def test_secret_is_encoded_before_it_goes_into_the_header() -> None:
    assert _basic("a b", "c:d") == "Basic YStiOmMlM0Fk"
