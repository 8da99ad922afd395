"""Sign-in through an agency's own identity provider (OpenID Connect Core 1.0, section 3.1).

Authorization code with PKCE. What must match afterwards waits in a signed cookie for ten minutes.
The session that a sign-in begins has an id that was chosen at its start, so that none begins twice.
"""

import datetime as dt
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from noticebus.access.keyring import Keyring
from noticebus.access.oidc_provider import Exchange, Provider
from noticebus.access.signed_claims import Claims, read_claims, sign_claims
from noticebus.clock import Clock
from noticebus.contracts.vocabulary import UserRole
from noticebus.errors import RefusedError
from noticebus.ids import SessionId, new_session_id

STATE_FOR = dt.timedelta(minutes=10)
CALLBACK = "/sign-in/oidc/callback"
SCOPES = "openid profile email"
# Neither `none` nor what is signed with a shared secret (RFC 8725, section 3.1).
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519",
)  # fmt: skip
LEEWAY_S = 60
TOKEN_MAX = 16 * 1024
TEXT_MAX = 200
SUBJECT_MAX = 255  # OpenID Connect Core 1.0, section 2
_PURPOSE = b"oidc state v1"
_CODE = re.compile(r"[\x21-\x7e]{1,2000}")
_ERROR = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcClient:
    """What this bus is to the provider, and what its claims mean here."""

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    redirect_uri: str
    roles_claim: str = "groups"
    roles: Mapping[str, UserRole] = field(default_factory=dict)
    agency_claim: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """Where the browser goes, and what it carries meanwhile."""

    address: str
    cookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the provider says is there.

    `session_id` is that of the session to begin, `next` where the browser wanted to go.
    """

    issuer: str
    subject: str
    name: str
    login: str
    roles: frozenset[UserRole]
    agency_id: str | None
    session_id: SessionId
    next: str


class Oidc:
    """Sign-ins through one provider."""

    def __init__(self, client: OidcClient, *, keyring: Keyring, machine: Clock) -> None:
        self.provider = Provider(client.issuer, machine=machine)
        self._client = client
        self._keyring = keyring
        self._machine = machine

    async def start(self, *, next_path: str) -> Started:
        """Send a browser to the provider; UnavailableError where that does not answer."""
        endpoints = await self.provider.endpoints()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        claims: Claims = {
            "state": state,
            "nonce": nonce,
            "verifier": verifier,
            "next": next_path,
            "session": new_session_id(),
            "expires": int((self._machine.now() + STATE_FOR).timestamp()),
        }
        asked = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self._client.redirect_uri,
            "scope": SCOPES,
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if urlsplit(endpoints.authorization).query else "?"
        return Started(
            address=f"{endpoints.authorization}{joint}{urlencode(asked)}",
            cookie=sign_claims(self._keyring, _PURPOSE, claims),
        )

    async def finish(self, *, cookie: str, answer: Mapping[str, str]) -> Identity:
        """Give who came back.

        RefusedError where anything does not fit, UnavailableError where the provider is away.
        """
        waiting = self._waiting(cookie, state=answer.get("state", ""))
        if "error" in answer:
            raise _refused(f"The identity provider did not sign you in{_code_of(answer['error'])}.")
        if answer.get("iss", self._client.issuer) != self._client.issuer:  # RFC 9207
            raise _refused("The answer comes from another identity provider.")
        code = answer.get("code", "")
        if _CODE.fullmatch(code) is None:
            raise _refused("The identity provider sent no code.")
        token = await self.provider.exchange(
            Exchange(
                code=code,
                redirect_uri=self._client.redirect_uri,
                verifier=str(waiting["verifier"]),
                client_id=self._client.client_id,
                client_secret=self._client.client_secret,
            )
        )
        return self._identity(await self._claims(token, nonce=str(waiting["nonce"])), waiting)

    def _waiting(self, cookie: str, *, state: str) -> Claims:
        waiting = read_claims(self._keyring, _PURPOSE, cookie)
        if waiting is None or self._machine.now().timestamp() >= int(waiting["expires"]):
            raise _refused(
                "This sign-in was begun more than ten minutes ago, in another browser, or is over."
            )
        if not hmac.compare_digest(str(waiting["state"]).encode(), state.encode()):
            raise _refused("This answer belongs to another sign-in.")
        return waiting

    async def _claims(self, token: str, *, nonce: str) -> Mapping[str, Any]:
        """Give the claims of an ID token that is genuine, ours, of this sign-in, and lives."""
        if len(token) > TOKEN_MAX:
            raise _refused("The identity provider's token is too large.")
        try:
            try:
                verified = _verify(token, await self.provider.keys())
            except InvalidKeyIdError:  # the provider may have changed its key
                verified = _verify(token, await self.provider.keys(fresh=True))
            claims = CodeIDToken(
                verified.claims,
                verified.header,
                options={
                    "iss": {"essential": True, "value": self._client.issuer},
                    "aud": {"essential": True, "value": self._client.client_id},
                },
                params={"nonce": nonce, "client_id": self._client.client_id},
            )
            claims.validate(now=int(self._machine.now().timestamp()), leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise _refused("The identity provider's token does not hold.") from error
        return verified.claims

    def _identity(self, claims: Mapping[str, Any], waiting: Claims) -> Identity:
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_MAX:
            raise _refused("The identity provider's token names nobody.")
        login = _text(claims, "preferred_username") or _text(claims, "email") or subject
        mapped = (self._client.roles.get(one) for one in _listed(claims, self._client.roles_claim))
        agency = self._client.agency_claim
        return Identity(
            issuer=self._client.issuer,
            subject=subject,
            name=_text(claims, "name") or login,
            login=login[:TEXT_MAX],
            roles=frozenset(role for role in mapped if role is not None),
            agency_id=None if agency is None else next(iter(_listed(claims, agency)), None),
            session_id=SessionId(str(waiting["session"])),
            next=str(waiting["next"]),
        )


def _verify(token: str, keys: KeySet) -> jwt.Token:
    """Verify with the key that the token names; InvalidKeyIdError where that is not among `keys`.

    A set of more than one key needs a name (OpenID Connect Core 1.0, section 10.1).
    """
    return jwt.decode(
        token, lambda one: keys.get_by_kid(one.headers().get("kid")), algorithms=list(ALGORITHMS)
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    found = claims.get(name)
    return " ".join(found.split())[:TEXT_MAX] if isinstance(found, str) else ""


def _listed(claims: Mapping[str, Any], name: str) -> list[str]:
    """Read a claim that is a text or a list of texts; `a.b` is the claim `b` within `a`."""
    found: Any = claims.get(name)
    if found is None and "." in name:
        outer, _, inner = name.partition(".")
        within = claims.get(outer)
        return _listed(within, inner) if isinstance(within, Mapping) else []
    values = found if isinstance(found, list) else [found]
    return [one for one in values if isinstance(one, str)]


def _code_of(error: str) -> str:
    return f" ({error})" if _ERROR.fullmatch(error) else ""


def _refused(why: str) -> RefusedError:
    return RefusedError(f"{why} Go to the sign-in page and begin again.")
