"""Logins: what people type, and what a trusted proxy says of them."""

import re

# No colon: the logins of an identity provider's people begin with `oidc:`, and nobody types one.
_FORM = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,98}", re.ASCII)
FORM_SAID = "2 to 99 letters, digits and . _ @ + -, beginning with a letter or digit"
OIDC = "oidc:"


def read_login(text: str) -> str | None:
    """Read a login as it is stored, in lower case; None for what can be nobody's."""
    login = text.strip().lower()
    return login if _FORM.fullmatch(login) else None
