"""What an endpoint sent back may hold a key or secret: those are hidden before anybody reads it."""

import re

EXCERPT_MAX = 2048
SECRET_LIKE = re.compile(
    r"(whsec_|noticebus_live_|bearer\s+|basic\s+)[A-Za-z0-9+/=._~-]+", re.IGNORECASE
)


def mask(text: str) -> str:
    """Hide what looks like a key or secret that an endpoint sent back, and bound the length."""
    return SECRET_LIKE.sub(lambda found: f"{found[1]}…", text[:EXCERPT_MAX])
