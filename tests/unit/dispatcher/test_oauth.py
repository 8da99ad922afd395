"""Access tokens of a recipient's token server: fetched once, kept, replaced, never shown."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import ResolveResult

from harness.receivers import Behaviour, WebhookArrival, WebhookReceiver, webhook_receiver
from harness.roles import until
from harness.tokens import CLIENT_ID, CLIENT_SECRET, TokenServer, token_server, tokens_of
from noticebus.access.credentials import Credentials, OAuthClient
from noticebus.access.keyring import Keyring, new_webhook_secret
from noticebus.contracts.vocabulary import Fault, Outcome
from noticebus.dispatcher import oauth, webhook
from noticebus.dispatcher.answers import BEGINNING_MIN, mask
from noticebus.dispatcher.egress import EgressGuard
from noticebus.dispatcher.failures import TOKEN_AWAITED, Failure, TokenError
from noticebus.dispatcher.proxy import ForwardProxy
from noticebus.dispatcher.sessions import Sessions
from noticebus.dispatcher.webhook import WebhookRequest, WebhookSender
from noticebus.domain.delivery import AttemptResult

NOW = 1_800_000_000
KEYRING = Keyring(b"k" * 32)
LOCAL = EgressGuard.from_setting(["127.0.0.1/32"])


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as one:
        yield one


@pytest.fixture
async def server() -> AsyncIterator[TokenServer]:
    async with token_server() as one:
        yield one


@pytest.fixture
async def sender() -> AsyncIterator[WebhookSender]:
    async with WebhookSender(keyring=KEYRING, guard=LOCAL) as one:
        yield one


def client_of(server: TokenServer, **changes: Any) -> OAuthClient:
    made = OAuthClient(
        token_url=server.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        scope="notices.write audit",
        audience="https://intake.example",
    )
    return replace(made, **changes)


def request_to(
    receiver: WebhookReceiver, client: OAuthClient, *, subscription_id: str = "sub_1"
) -> WebhookRequest:
    return WebhookRequest(
        url=receiver.url,
        delivery_id="dlv_1",
        body=b"{}",
        secrets=(new_webhook_secret(),),
        subscription_id=subscription_id,
        credentials=Credentials(oauth2=client),
    )


def verdict(result: AttemptResult) -> tuple[Outcome, Fault | None, int | None]:
    return result.outcome, result.fault, result.status


async def test_a_token_is_fetched_once_and_shown_with_every_request(
    sender: WebhookSender, receiver: WebhookReceiver, server: TokenServer
) -> None:
    request = request_to(receiver, client_of(server))

    results = [await sender.send(request, timestamp=NOW + one) for one in range(3)]

    (fetch,) = server.fetches
    assert [one.outcome for one in results] == [Outcome.DELIVERED] * 3
    assert fetch.client == f"{CLIENT_ID}:{CLIENT_SECRET}"
    assert fetch.form == {
        "grant_type": "client_credentials",
        "scope": "notices.write audit",
        "audience": "https://intake.example",
    }
    assert tokens_of(receiver) == [server.newest] * 3


async def test_scope_and_audience_are_left_out_where_there_are_none(
    sender: WebhookSender, receiver: WebhookReceiver, server: TokenServer
) -> None:
    client = client_of(server, scope=None, audience=None)

    await sender.send(request_to(receiver, client), timestamp=NOW)

    assert server.fetches[0].form == {"grant_type": "client_credentials"}


@pytest.mark.parametrize(
    ("expires_in", "kept_for", "gone_after"),
    [(3600, 3539, 3540), (100, 79, 80), ("300", 239, 240), (None, 239, 240), ("soon", 239, 240)],
)
async def test_a_token_is_kept_until_shortly_before_it_ends(
    sender: WebhookSender,
    receiver: WebhookReceiver,
    server: TokenServer,
    expires_in: object,
    kept_for: int,
    gone_after: int,
) -> None:
    server.expires_in = expires_in
    request = request_to(receiver, client_of(server))

    await sender.send(request, timestamp=NOW)
    await sender.send(request, timestamp=NOW + kept_for)
    fetched_by_then = len(server.fetches)
    await sender.send(request, timestamp=NOW + gone_after)

    assert (fetched_by_then, len(server.fetches)) == (1, 2)


async def test_a_changed_client_and_another_subscription_get_tokens_of_their_own(
    sender: WebhookSender, receiver: WebhookReceiver, server: TokenServer
) -> None:
    client = client_of(server)

    for request in (
        request_to(receiver, client),
        request_to(receiver, client, subscription_id="sub_2"),
        request_to(receiver, replace(client, scope="other")),
        request_to(receiver, replace(client, scope="other")),
    ):
        await sender.send(request, timestamp=NOW)

    assert len(server.fetches) == 3
    assert len(set(tokens_of(receiver))) == 3


async def test_many_deliveries_at_once_fetch_one_token(
    sender: WebhookSender, receiver: WebhookReceiver, server: TokenServer
) -> None:
    request = request_to(receiver, client_of(server))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(sender.send(request, timestamp=NOW))

    assert len(server.fetches) == 1
    assert len(receiver.arrivals.all) == 20


async def test_a_kept_token_that_is_not_taken_is_replaced_once_within_the_attempt(
    sender: WebhookSender, receiver: WebhookReceiver, server: TokenServer
) -> None:
    request = request_to(receiver, client_of(server))
    await sender.send(request, timestamp=NOW)
    receiver.then.append(Behaviour(status=401))

    result = await sender.send(request, timestamp=NOW + 1)

    assert verdict(result) == (Outcome.DELIVERED, None, 200)
    assert len(server.fetches) == 2
    assert len(receiver.arrivals.all) == 3
    assert {one.headers["webhook-id"] for one in receiver.arrivals.all} == {"dlv_1"}
    assert tokens_of(receiver)[2] == server.newest != tokens_of(receiver)[1]


async def test_an_endpoint_that_takes_no_token_is_asked_twice_and_no_more(
    sender: WebhookSender, receiver: WebhookReceiver, server: TokenServer
) -> None:
    request = request_to(receiver, client_of(server))
    receiver.always = Behaviour(status=401)

    first = await sender.send(request, timestamp=NOW)
    second = await sender.send(request, timestamp=NOW)

    assert verdict(first) == verdict(second) == (Outcome.REFUSED, Fault.RECIPIENT, 401)
    assert len(receiver.arrivals.all) == 1 + 2  # a token just fetched is not fetched again
    assert len(server.fetches) == 2


@pytest.mark.parametrize(
    ("answer", "outcome", "words"),
    [
        (web.json_response({"error": "invalid_client"}, status=401), "refused", "401 (invalid_cl"),
        (
            web.json_response({"error": "psst-471147114711"}, status=400),
            "refused",
            "with 400. Check",
        ),
        (web.Response(status=429), "refused", "429"),
        (web.Response(status=503, text="psst-471147114711"), "failed", "failed with 503"),
        (web.Response(status=302, headers={"Location": "http://x/"}), "refused", "redirects"),
        (web.Response(text="<html>psst-471147114711"), "failed", "usable 'access_token'"),
        (web.json_response(["psst-471147114711"]), "failed", "usable 'access_token'"),
        (web.json_response({"access_token": "a\r\nX-Evil: 1"}), "failed", "usable 'access_token'"),
        (web.json_response({"access_token": 471147114711}), "failed", "usable 'access_token'"),
        (web.json_response({"access_token": "abc", "token_type": "mac"}), "failed", "'Bearer'"),
        (
            web.json_response({"access_token": "abc", "token_type": 471147114711}),
            "failed",
            "'Bearer'",
        ),
        (web.Response(text='{"access_token": "abc", "x": "' + "y" * 70_000), "failed", "usable"),
    ],
)
async def test_a_token_server_that_gives_no_token_is_named_and_is_the_recipients(
    sender: WebhookSender,
    receiver: WebhookReceiver,
    server: TokenServer,
    answer: web.Response,
    outcome: str,
    words: str,
) -> None:
    server.then.append(answer)

    result = await sender.send(request_to(receiver, client_of(server)), timestamp=NOW)

    assert verdict(result) == (Outcome(outcome), Fault.RECIPIENT, None)
    assert result.error.startswith("Your token server ")
    assert words in result.error
    assert "471147114711" not in str(result)  # no duration says that by chance
    assert receiver.arrivals.all == []


async def test_a_token_server_that_is_not_there_is_told_from_the_endpoint(
    sender: WebhookSender, receiver: WebhookReceiver, server: TokenServer
) -> None:
    dead, closed = "http://127.0.0.1:1/token", "http://127.0.0.2:1/token"

    refused = await sender.send(
        request_to(receiver, client_of(server, token_url=dead)), timestamp=NOW
    )
    blocked = await sender.send(
        request_to(receiver, client_of(server, token_url=closed)), timestamp=NOW
    )

    assert verdict(refused) == (Outcome.FAILED, Fault.RECIPIENT, None)
    assert refused.error.startswith("Your token server gave us no token. It refused the conn")
    assert verdict(blocked) == (Outcome.BLOCKED, Fault.RECIPIENT, None)
    assert "token server" in blocked.error
    assert receiver.arrivals.all == []


async def test_a_token_server_that_hangs_is_not_waited_for(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "TOKEN_S", 0.2)
    async with (
        webhook_receiver() as hanging,
        WebhookSender(keyring=KEYRING, guard=LOCAL) as sender,
    ):
        hanging.always = Behaviour(hang=True)
        client = client_of(TokenServer(url=hanging.url))

        result = await sender.send(request_to(receiver, client), timestamp=NOW)

    assert verdict(result) == (Outcome.TIMED_OUT, Fault.RECIPIENT, None)
    assert result.error.startswith("Your token server gave us no token. It did not answer in")


async def test_a_proxy_that_fails_on_the_way_to_the_token_server_is_our_fault(
    receiver: WebhookReceiver, server: TokenServer
) -> None:
    guard = EgressGuard(
        LOCAL.allow, proxy=ForwardProxy.from_setting("http://127.0.0.1:1", past=["localhost"])
    )
    async with WebhookSender(keyring=KEYRING, guard=guard) as sender:
        result = await sender.send(request_to(receiver, client_of(server)), timestamp=NOW)

    assert verdict(result) == (Outcome.UNSENDABLE, Fault.OURS, None)
    assert "proxy" in result.error


async def test_no_token_or_secret_is_in_what_is_kept_of_an_answer(
    sender: WebhookSender, receiver: WebhookReceiver, server: TokenServer
) -> None:
    """Goal: an endpoint that echoes what it got, in any part, gives nothing away."""
    client = client_of(server)

    def echo(arrival: WebhookArrival) -> bytes:
        sent = arrival.headers["authorization"]
        return json.dumps([sent, sent.split()[1], client.client_secret]).encode()

    receiver.always = Behaviour(
        status=500, body=echo, headers={"X-Request-Id": "token-1-0123456789"}
    )

    result = await sender.send(request_to(receiver, client), timestamp=NOW)

    assert "token-1" in str(tokens_of(receiver))
    for hidden in (server.newest, "0123456789", CLIENT_SECRET, oauth.basic(client)):
        assert hidden not in str(result)
        assert hidden not in repr(client)


@pytest.mark.parametrize("kept", [5, 6, 15, 16])
def test_the_beginning_of_a_secret_at_a_cut_is_masked(kept: int) -> None:
    secret = "abcdefghijklmnop"

    masked = mask(f"it was {secret[:kept]}".encode(), secrets=(secret,))

    assert masked == ("it was [masked]" if kept >= BEGINNING_MIN else "it was abcde")


async def test_tokens_of_subscriptions_unused_for_longest_are_forgotten(
    server: TokenServer,
) -> None:
    async with Sessions(LOCAL) as sessions:
        tokens = oauth.Tokens(sessions, kept_max=2)
        client = client_of(server)
        for name in ("a", "b", "a", "c", "a", "b"):
            await tokens.token(client, subscription_id=name, now=NOW)

    assert len(server.fetches) == 4  # a, b, c, and b again


async def test_a_token_that_was_replaced_meanwhile_is_not_forgotten(server: TokenServer) -> None:
    async with Sessions(LOCAL) as sessions:
        tokens = oauth.Tokens(sessions)
        first = await tokens.token(client_of(server), subscription_id="a", now=NOW)
        tokens.forget("a", first.value)
        second = await tokens.token(client_of(server), subscription_id="a", now=NOW)
        tokens.forget("a", first.value)
        third = await tokens.token(client_of(server), subscription_id="a", now=NOW)

    assert (second.kept, third.kept, third.value) == (False, True, second.value)


async def test_a_failed_fetch_leaves_no_token_behind(server: TokenServer) -> None:
    async with Sessions(LOCAL) as sessions:
        tokens = oauth.Tokens(sessions)
        server.then.append(web.Response(status=500))
        with pytest.raises(TokenError, match="failed with 500"):
            await tokens.token(client_of(server), subscription_id="a", now=NOW)
        found = await tokens.token(client_of(server), subscription_id="a", now=NOW)

    assert not found.kept


async def failure_of(tokens: oauth.Tokens, client: OAuthClient) -> Failure:
    with pytest.raises(TokenError) as caught:
        await tokens.token(client, subscription_id="a", now=NOW)
    return caught.value.failure


class SilentNameServer:
    """Answers for no name until it gives up."""

    def __init__(self) -> None:
        self.asked = 0
        self._given_up = threading.Event()

    def look_up(self, *_: object) -> list[ResolveResult]:
        self.asked += 1
        self._given_up.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answered")

    def give_up(self) -> None:
        self._given_up.set()

    async def is_asked(self) -> bool:
        return self.asked > 0


async def test_whoever_waits_for_a_fetch_that_our_own_outage_ends_asks_no_more() -> None:
    """Else what is left of its time would make the token server look silent."""
    names = SilentNameServer()
    client = client_of(TokenServer(url="http://login.example/token"))
    async with Sessions(EgressGuard(LOCAL.allow, look_up=names.look_up)) as sessions:
        tokens = oauth.Tokens(sessions)
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(failure_of(tokens, client)) for _ in range(3)]
            await until(names.is_asked)
            names.give_up()

        asked = names.asked
        await failure_of(tokens, client)

    assert {one.result().fault for one in waiting} == {Fault.OURS}
    assert asked == 1
    assert names.asked == 2, "who comes later asks again"


async def test_whoever_waits_for_a_silent_token_server_says_that_it_is_silent() -> None:
    async with webhook_receiver() as hanging, Sessions(LOCAL) as sessions:
        hanging.always = Behaviour(hang=True)
        client = client_of(TokenServer(url=hanging.url))
        tokens = oauth.Tokens(sessions, limit_s=0.2)
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(failure_of(tokens, client)) for _ in range(3)]

    assert {(one.result().outcome, one.result().fault) for one in waiting} == {
        (Outcome.TIMED_OUT, Fault.RECIPIENT)
    }
    assert len(hanging.arrivals.all) == 1


async def test_waiting_for_anothers_fetch_never_makes_a_token_server_silent(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "HEARD_S", 0)
    async with Sessions(LOCAL) as sessions:
        tokens = oauth.Tokens(sessions, limit_s=0.01)
        async with tokens._of("a").fetching:
            failure = await failure_of(tokens, client_of(server))

    assert failure is TOKEN_AWAITED
    assert failure.fault is Fault.OURS
    assert server.fetches == []


async def test_a_changed_client_does_not_fail_with_the_one_before_it(server: TokenServer) -> None:
    server.then.append(web.Response(status=401))
    async with Sessions(LOCAL) as sessions:
        tokens = oauth.Tokens(sessions)
        async with asyncio.TaskGroup() as tasks:
            refused = tasks.create_task(failure_of(tokens, client_of(server, client_secret="old")))
            await asyncio.sleep(0)  # it is the first in line
            token = tasks.create_task(tokens.token(client_of(server), subscription_id="a", now=NOW))

    assert "401" in refused.result().error
    assert token.result().value == server.newest
