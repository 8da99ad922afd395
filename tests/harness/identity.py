"""An OpenID provider on this machine: real endpoints, real keys, and faults on demand."""

import base64
import contextlib
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey

from harness.ports import free_port

CLIENT_ID = "noticebus"
CLIENT_SECRET = "s3cret/with:signs"


@dataclass(kw_only=True)
class IdentityProvider:
    """The provider. `says` are the claims of whoever signs in next; the rest are its faults."""

    issuer: str
    machine_now: Any
    says: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)  # to the claims that it makes itself
    describes: dict[str, Any] = field(default_factory=dict)  # changes to its description
    alg: str = "ES256"
    signs_with: Any = None
    kid: str | None = "first"
    token_answer: Mapping[str, Any] | None = None
    token_status: int = 200
    description_status: int = 200
    secret_in_body: bool = False
    secret: str | None = CLIENT_SECRET
    keys: list[ECKey] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = [new_key("first")]

    def authorize(self, address: str, **more: str) -> str:
        """Sign in at the authorization address, and give the path of the bus to come back to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code"
        assert asked["client_id"] == CLIENT_ID
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        back = urlsplit(asked["redirect_uri"]).path
        return f"{back}?{urlencode({'code': code, 'state': asked['state'], **more})}"

    async def describe(self, _request: web.Request) -> web.Response:
        self.asked.append("description")
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                **self.describes,
            },
            status=self.description_status,
        )

    async def show_keys(self, _request: web.Request) -> web.Response:
        self.asked.append("keys")
        return web.json_response(KeySet(list(self.keys)).as_dict(private=False))

    async def token(self, request: web.Request) -> web.Response:
        self.asked.append("token")
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        if self.token_answer is not None or self.token_status != 200:
            return web.json_response(self.token_answer, status=self.token_status)
        if asked is None or not self._fits(request, form, asked):
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(
            {"access_token": "unused", "token_type": "Bearer", "id_token": self.id_token(asked)}
        )

    def id_token(self, asked: Mapping[str, str]) -> str:
        """Sign what it says of the person."""
        now = int(self.machine_now().timestamp())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "sub": "248289761001",
            **self.says,
            **self.changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.alg == "none":
            parts = ({"alg": "none"}, claims)
            return ".".join([*(_part(one) for one in parts), ""])
        header = {"alg": self.alg} | ({} if self.kid is None else {"kid": self.kid})
        key = self.signs_with or self.keys[-1]
        return jwt.encode(header, claims, key, algorithms=[self.alg])

    def _fits(self, request: web.Request, form: Any, asked: Mapping[str, str]) -> bool:
        challenge = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        if self.secret_in_body:
            shown = "Authorization" not in request.headers and form.get("client_secret")
            given, expected = shown, self.secret
        else:
            encoded = request.headers["Authorization"].removeprefix("Basic ")
            given = base64.b64decode(encoded).decode()
            expected = f"{CLIENT_ID}:s3cret%2Fwith%3Asigns"
        return (
            form["grant_type"] == "authorization_code"
            and form["redirect_uri"] == asked["redirect_uri"]
            and base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() == asked["code_challenge"]
            and given == expected
        )


def new_key(kid: str) -> ECKey:
    """Make a key of the provider's."""
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig", "alg": "ES256"})


def shared_key() -> OctKey:
    """Give the client's secret as a key, which a token must never be signed with."""
    return OctKey.import_key(CLIENT_SECRET * 3)


@contextlib.asynccontextmanager
async def identity_provider(machine_now: Any) -> AsyncIterator[IdentityProvider]:
    """Run a provider for the length of the block."""
    port = free_port()
    provider = IdentityProvider(issuer=f"http://127.0.0.1:{port}", machine_now=machine_now)
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.describe)
    app.router.add_get("/keys", provider.show_keys)
    app.router.add_post("/token", provider.token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield provider
    finally:
        await runner.cleanup()


def _part(record: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(record).encode()).rstrip(b"=").decode()
