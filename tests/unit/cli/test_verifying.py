import base64

import pytest

from noticebus.access.keyring import Keyring
from noticebus.cli.verifying import jwks_keys, key_id, public_key_bytes, secret_bytes

KEYRING = Keyring(b"k" * 32)
PUBLIC = jwks_keys(KEYRING.public_jwks())


def test_a_public_key_is_read_as_the_bus_writes_it() -> None:
    assert public_key_bytes("whpk_" + base64.b64encode(PUBLIC[0]).decode()) == PUBLIC[0]


def test_what_is_no_public_key_is_refused() -> None:
    with pytest.raises(ValueError, match=r"."):
        public_key_bytes("whpk_AAAA")


def test_a_key_is_named_as_the_buss_key_set_names_it() -> None:
    assert key_id(PUBLIC[0]) == KEYRING.public_jwks()["keys"][0]["kid"]


@pytest.mark.parametrize("text", ["hunter2", "whsec_***", "whsec_", "whsec_a-_b"])
def test_what_is_no_secret_is_not_read(text: str) -> None:
    assert secret_bytes(text) is None
