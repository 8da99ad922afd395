"""An identity provider as the bus asks it: its description, its keys, a code turned into a token.

The issuer is the operator's own setting, so no guard stands before it; every answer has a time
limit and a size limit, and no redirect is followed.
"""

import asyncio
import base64
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlsplit

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from noticebus.clock import Clock
from noticebus.errors import UnavailableError

ASK_S = 5.0
ANSWER_BYTES_MAX = 256 * 1024
KEPT_FOR = dt.timedelta(hours=1)
KEYS_AGAIN_AFTER = dt.timedelta(minutes=1)  # for a key that is not among those kept
RETRY_AFTER_S = 60
FAILED_FOR = dt.timedelta(seconds=5)
WELL_KNOWN = "/.well-known/openid-configuration"
_CLIENT_IN_BODY = "client_secret_post"
_CLIENT_IN_HEADER = "client_secret_basic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """What of a provider's description (OpenID Connect Discovery 1.0, section 3) is used."""

    authorization: str
    token: str
    keys: str
    secret_in_body: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A code to be turned into a token, and who asks (RFC 6749, section 4.1.3; RFC 7636)."""

    code: str
    redirect_uri: str
    verifier: str
    client_id: str
    client_secret: str | None = field(repr=False)


class Provider:
    """One issuer. What it said of itself and its keys is kept for `KEPT_FOR`."""

    def __init__(self, issuer: str, *, machine: Clock) -> None:
        self.issuer = issuer
        self.host = urlsplit(issuer).netloc
        self._machine = machine
        self._asking = asyncio.Lock()
        self._endpoints: tuple[dt.datetime, Endpoints] | None = None
        self._keys: tuple[dt.datetime, KeySet] | None = None
        self._failed: tuple[dt.datetime, str] | None = None

    async def endpoints(self) -> Endpoints:
        """Give its endpoints; UnavailableError where it does not answer as it must."""
        async with self._asking:
            if (kept := self._endpoints) is None or self._age(kept[0]) >= KEPT_FOR:
                found = await self._fetch(self.issuer.rstrip("/") + WELL_KNOWN)
                kept = self._endpoints = (self._machine.now(), self._read(found))
            return kept[1]

    async def keys(self, *, fresh: bool = False) -> KeySet:
        """Give its keys; `fresh` asks again, but not twice within `KEYS_AGAIN_AFTER`."""
        address = (await self.endpoints()).keys
        async with self._asking:
            oldest = KEYS_AGAIN_AFTER if fresh else KEPT_FOR
            if (kept := self._keys) is None or self._age(kept[0]) >= oldest:
                found = await self._fetch(address)
                kept = self._keys = (self._machine.now(), self._key_set(found))
            return kept[1]

    async def exchange(self, asked: Exchange) -> str:
        """Turn a code into an ID token, not looked at yet."""
        endpoints = await self.endpoints()
        form = {
            "grant_type": "authorization_code",
            "code": asked.code,
            "redirect_uri": asked.redirect_uri,
            "code_verifier": asked.verifier,
            "client_id": asked.client_id,
        }
        headers = {}
        if asked.client_secret is not None and endpoints.secret_in_body:
            form["client_secret"] = asked.client_secret
        elif asked.client_secret is not None:
            headers["Authorization"] = _basic(asked.client_id, asked.client_secret)
        found = await self._ask("POST", endpoints.token, form=form, headers=headers)
        token = found.get("id_token")
        if not isinstance(token, str):
            raise self._trouble("gave no ID token")
        return token

    async def _fetch(self, address: str) -> dict[str, Any]:
        """Fetch what is kept; a provider that has just failed is not asked for each in turn."""
        if self._failed is not None and self._age(self._failed[0]) < FAILED_FOR:
            raise UnavailableError(self._failed[1], retry_after_s=RETRY_AFTER_S)
        try:
            return await self._ask("GET", address)
        except UnavailableError as error:
            self._failed = (self._machine.now(), error.message)
            raise

    async def _ask(
        self,
        method: str,
        address: str,
        *,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        limit = aiohttp.ClientTimeout(total=ASK_S)
        jar = aiohttp.DummyCookieJar()
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, cookie_jar=jar) as session,
                session.request(
                    method, address, data=form, headers=headers, allow_redirects=False
                ) as answer,
            ):
                body = await _read(answer)
        except TimeoutError as error:
            raise self._trouble(f"did not answer within {ASK_S:.0f} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._trouble("could not be reached") from error
        if answer.status != 200:  # noqa: PLR2004 - HTTP's own
            raise self._trouble(f"answered with status {answer.status}")
        return self._object(body)

    def _object(self, body: bytes | None) -> dict[str, Any]:
        try:
            found = json.loads(body or b"")
        except ValueError as error:
            raise self._trouble("gave an answer that cannot be read") from error
        if not isinstance(found, dict):
            raise self._trouble("gave an answer that cannot be read")
        return found

    def _read(self, found: Mapping[str, Any]) -> Endpoints:
        if found.get("issuer") != self.issuer:
            raise self._trouble("calls itself something else than `oidc_issuer` says")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        scheme = urlsplit(self.issuer).scheme
        addresses = [str(found.get(name, "")) for name in names]
        for address in addresses:
            if urlsplit(address).scheme not in {"https", scheme} or not urlsplit(address).netloc:
                raise self._trouble("names no endpoints that can be trusted")
        ways = found.get("token_endpoint_auth_methods_supported", [_CLIENT_IN_HEADER])
        return Endpoints(
            authorization=addresses[0],
            token=addresses[1],
            keys=addresses[2],
            secret_in_body=_CLIENT_IN_HEADER not in ways and _CLIENT_IN_BODY in ways,
        )

    def _key_set(self, found: Mapping[str, Any]) -> KeySet:
        listed = found.get("keys")
        if not isinstance(listed, list):
            raise self._trouble("gave no keys")
        signing = [one for one in listed if isinstance(one, dict) and one.get("use") != "enc"]
        try:
            return KeySet.import_key_set({"keys": signing})
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise self._trouble("gave keys that cannot be read") from error

    def _trouble(self, what: str) -> UnavailableError:
        return UnavailableError(
            f"The identity provider {self.host} {what}. Try again in a minute; if it stays so, tell"
            " whoever runs the bus. Whoever has a password here can sign in with it.",
            retry_after_s=RETRY_AFTER_S,
        )

    def _age(self, since: dt.datetime) -> dt.timedelta:
        return self._machine.now() - since


async def _read(answer: aiohttp.ClientResponse) -> bytes | None:
    """Read an answer whole; None where it is longer than anything a provider has to say."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(16 * 1024):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            return None
    return bytes(body)


def _basic(client_id: str, secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"  # RFC 6749, section 2.3.1
    return f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"
