"""Who is calling back: a telephone provider signs what it sends with the account's token.

The signature is Twilio's `X-Twilio-Signature`: HMAC-SHA1, in Base64, over the whole public address
and then every parameter's name and value, sorted by name.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def provider_signature(token: str, *, url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Sign a callback as the provider does; of a name given twice each value counts once."""
    signed = url + "".join(name + value for name, value in sorted(set(parameters)))
    # The provider chose the hash; as a keyed one it is not weakened by collisions.
    mac = hmac.new(token.encode(), signed.encode("utf-8", "replace"), hashlib.sha1)
    return base64.b64encode(mac.digest()).decode("ascii")


def is_from_provider(
    token: str, *, url: str, parameters: Iterable[tuple[str, str]], given: str
) -> bool:
    """Compare a callback's signature in constant time."""
    expected = provider_signature(token, url=url, parameters=parameters)
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))
