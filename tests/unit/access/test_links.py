"""Acknowledge links: only ours, only in time, and a code that only the same message holds."""

import dataclasses
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from noticebus.access.keyring import Keyring
from noticebus.access.links import LinkClaims, code_for, code_matches, mint, read
from noticebus.errors import NotFoundError, RefusedError
from noticebus.ids import new_contact_id, new_obligation_id

KEYRING = Keyring(b"k" * 32)
NOW = dt.datetime(2019, 8, 7, 15, 0, tzinfo=dt.UTC)
CLAIMS = LinkClaims(
    obligation_id=new_obligation_id(),
    version=2,
    contact_id=new_contact_id(),
    expires_at=NOW + dt.timedelta(days=30),
)


def test_a_link_reads_back_as_it_was_minted() -> None:
    assert read(KEYRING, mint(KEYRING, CLAIMS), now=NOW) == CLAIMS


def test_the_same_claims_give_the_same_link_and_code() -> None:
    precise = dataclasses.replace(CLAIMS, expires_at=CLAIMS.expires_at.replace(microsecond=7))

    assert mint(KEYRING, CLAIMS) == mint(Keyring(b"k" * 32), precise)
    assert code_for(KEYRING, CLAIMS) == code_for(Keyring(b"k" * 32), precise)


def test_a_link_is_short_and_needs_no_escaping() -> None:
    token = mint(KEYRING, CLAIMS)

    assert len(token) == 80
    assert token.replace("-", "").replace("_", "").isalnum()


@given(st.integers(0, 79), st.characters(min_codepoint=45, max_codepoint=122))
def test_a_changed_link_is_not_found(place: int, character: str) -> None:
    token = mint(KEYRING, CLAIMS)
    changed = token[:place] + character + token[place + 1 :]

    if changed != token:
        with pytest.raises(NotFoundError):
            read(KEYRING, changed, now=NOW)


@given(st.text())
def test_any_other_text_is_not_found(token: str) -> None:
    with pytest.raises(NotFoundError):
        read(KEYRING, token, now=NOW)


def test_a_link_of_another_bus_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="Copy the whole address"):
        read(KEYRING, mint(Keyring(b"x" * 32), CLAIMS), now=NOW)


def test_an_expired_link_is_refused_with_a_way_out() -> None:
    token = mint(KEYRING, CLAIMS)

    with pytest.raises(RefusedError, match="newer message") as caught:
        read(KEYRING, token, now=CLAIMS.expires_at)

    assert caught.value.code == "link-expired"
    assert read(KEYRING, token, now=CLAIMS.expires_at - dt.timedelta(seconds=1)) == CLAIMS


def test_links_and_codes_outlive_a_rotation() -> None:
    during = Keyring(b"n" * 32, older=[b"k" * 32])

    assert read(during, mint(KEYRING, CLAIMS), now=NOW) == CLAIMS
    assert code_matches(during, CLAIMS, given=code_for(KEYRING, CLAIMS))


def test_a_code_is_six_digits_and_matches_as_people_type_it() -> None:
    code = code_for(KEYRING, CLAIMS)

    assert len(code) == 6
    assert code.isdigit()
    assert code_matches(KEYRING, CLAIMS, given=f" {code[:3]}-{code[3:]} ")


@pytest.mark.parametrize("given_code", ["", "12345", "abcdef", "١٢٣٤٥٦"])
def test_another_code_does_not_match(given_code: str) -> None:
    assert not code_matches(KEYRING, CLAIMS, given=given_code)


def test_a_code_serves_one_message_only() -> None:
    """Not every pair differs (six digits), so this looks at many versions."""
    codes = {code_for(KEYRING, dataclasses.replace(CLAIMS, version=n)) for n in range(100)}

    assert len(codes) > 90
