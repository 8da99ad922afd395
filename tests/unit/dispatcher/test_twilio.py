"""Text messages and calls against a real local provider that takes, refuses, stalls and fails."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator

import pytest

from harness import telephone
from harness.telephone import ACCOUNT, NUMBER, TOKEN, Fault, Provider
from noticebus.contracts.vocabulary import Fault as Whose
from noticebus.contracts.vocabulary import Outcome
from noticebus.dispatcher.slots import SendLimits
from noticebus.dispatcher.telephone import CallRequest, Telephone, TextRequest
from noticebus.dispatcher.twilio import ANSWER_BYTES_MAX, CONNECTIONS_MAX, TwilioTelephone
from noticebus.domain.delivery import AttemptResult
from noticebus.domain.telephone import compose_last_words

SHORT = dt.timedelta(seconds=0.3)
PHONE = "+16015550123"
STATUS = "https://bus.example.gov/v1/telephone/twilio/status?delivery=dlv_1"


def made(url: str, *, token: str = TOKEN, limits: SendLimits | None = None) -> TwilioTelephone:
    return TwilioTelephone(
        url=url,
        account=ACCOUNT,
        token=token,
        number=NUMBER,
        base_url="https://bus.example.gov/",
        limits=limits or SendLimits(),
    )


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with telephone.provider() as one:
        yield one


@pytest.fixture
async def phone(provider: Provider) -> AsyncIterator[Telephone]:
    async with made(provider.url) as one:
        yield one


async def text(phone: Telephone) -> AttemptResult:
    return await phone.text(TextRequest(delivery_id="dlv_1", to=PHONE, text="Sí & no"))


async def test_a_text_is_handed_over_with_the_providers_id(
    provider: Provider, phone: Telephone
) -> None:
    result = await text(phone)

    (handed,) = provider.handed.all
    assert handed.kind == "Messages"
    assert handed.fields == {
        "To": PHONE,
        "From": NUMBER,
        "Body": "Sí & no",
        "StatusCallback": STATUS,
    }
    assert (result.outcome, result.fault, result.status) == (Outcome.HANDED_OVER, None, 201)
    assert result.provider_id == handed.sid
    assert result.response_excerpt == ""
    assert result.error == ""


async def test_a_call_is_handed_over_with_what_it_says(
    provider: Provider, phone: Telephone
) -> None:
    document = compose_last_words("Hello & goodbye.")

    result = await phone.call(CallRequest(delivery_id="dlv_1", to=PHONE, document=document))

    (handed,) = provider.handed.all
    assert handed.kind == "Calls"
    assert handed.fields == {
        "To": PHONE,
        "From": NUMBER,
        "Twiml": document,
        "StatusCallback": STATUS,
    }
    assert (result.outcome, result.provider_id) == (Outcome.HANDED_OVER, handed.sid)


async def test_a_repeat_is_the_same_bytes(provider: Provider, phone: Telephone) -> None:
    provider.then.append(Fault(status=500))
    first, second = await text(phone), await text(phone)

    assert first.body_digest == second.body_digest
    assert len(first.body_digest) == 64


@pytest.mark.parametrize("code", [21211, 21214, 21217, 21610, 21612, 21614, 21635, 13224])
async def test_a_number_that_cannot_be_reached_is_the_recipients_fault(
    provider: Provider, phone: Telephone, code: int
) -> None:
    provider.refused[PHONE] = code

    result = await text(phone)

    assert (result.outcome, result.fault) == (Outcome.REFUSED, Whose.RECIPIENT)
    assert result.status == 400
    assert result.response_excerpt == f"code {code}"
    assert result.error.endswith("Correct the contact.")
    assert result.retry_after == dt.timedelta(hours=1)
    assert PHONE not in repr(result)


@pytest.mark.parametrize(
    ("fault", "outcome", "said"),
    [
        (Fault(status=401, code=20003), Outcome.UNSENDABLE, "does not know us"),
        (Fault(status=403), Outcome.UNSENDABLE, "does not know us"),
        (Fault(status=400, code=21606), Outcome.UNSENDABLE, "did not take the request"),
        (Fault(status=404, code=20404), Outcome.UNSENDABLE, "did not take the request"),
        (Fault(status=301), Outcome.UNSENDABLE, "did not take the request"),
        (Fault(status=500), Outcome.FAILED, "failed"),
        (Fault(status=503, body=b"<html>"), Outcome.FAILED, "failed"),
        (Fault(status=201, body=b"not json"), Outcome.FAILED, "cannot be read"),
        (Fault(status=201, body=b"[]"), Outcome.FAILED, "cannot be read"),
        (Fault(status=201, body=b'{"sid": 7}'), Outcome.FAILED, "cannot be read"),
        (Fault(status=201, body=b'{"sid": ""}'), Outcome.FAILED, "cannot be read"),
        (Fault(status=201, body=b"[" * 60_000), Outcome.FAILED, "cannot be read"),
        (Fault(status=400, body=b'{"code": "x"}'), Outcome.UNSENDABLE, "did not take"),
    ],
)
async def test_what_is_wrong_between_us_and_the_provider_is_our_fault(
    provider: Provider, phone: Telephone, fault: Fault, outcome: Outcome, said: str
) -> None:
    provider.then.append(fault)

    result = await text(phone)

    assert (result.outcome, result.fault) == (outcome, Whose.OURS)
    assert said in result.error
    assert result.provider_id is None


async def test_a_wrong_token_is_our_fault(provider: Provider) -> None:
    async with made(provider.url, token="wrong") as phone:
        result = await text(phone)

    assert (result.outcome, result.fault, result.status) == (Outcome.UNSENDABLE, Whose.OURS, 401)


async def test_too_many_requests_wait_as_long_as_the_provider_says(
    provider: Provider, phone: Telephone
) -> None:
    provider.then.extend(
        [
            Fault(status=429, code=20429, headers={"Retry-After": "30"}),
            Fault(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        ]
    )
    counted, dated = await text(phone), await text(phone)

    assert (counted.outcome, counted.fault) == (Outcome.FAILED, Whose.OURS)
    assert counted.retry_after == dt.timedelta(seconds=30)
    assert dated.retry_after is None


async def test_a_provider_that_does_not_answer_is_given_up_in_time(provider: Provider) -> None:
    provider.then.append(Fault(status=201, delay_s=5))

    async with made(provider.url, limits=SendLimits(request=SHORT)) as phone:
        result = await text(phone)

    assert (result.outcome, result.fault) == (Outcome.TIMED_OUT, Whose.OURS)


async def test_a_provider_that_is_away_is_our_fault() -> None:
    async with telephone.provider() as gone:
        url = gone.url
    async with made(url) as phone:
        result = await text(phone)

    assert (result.outcome, result.fault) == (Outcome.FAILED, Whose.OURS)
    assert "cannot be reached" in result.error


async def test_an_answer_without_end_is_read_within_bounds(
    provider: Provider, phone: Telephone
) -> None:
    provider.then.append(Fault(status=201, body=b" " * (ANSWER_BYTES_MAX + 1) + b'{"sid":"SM1"}'))

    assert (await text(phone)).outcome is Outcome.FAILED
    assert (await text(phone)).outcome is Outcome.HANDED_OVER


async def test_waiting_for_a_free_connection_is_our_fault(provider: Provider) -> None:
    provider.then.extend([Fault(status=500, delay_s=1)] * CONNECTIONS_MAX)
    limits = SendLimits(request=SHORT, slot=dt.timedelta(0))
    async with made(provider.url, limits=limits) as phone, asyncio.TaskGroup() as tasks:
        sent = [tasks.create_task(text(phone)) for _ in range(CONNECTIONS_MAX + 1)]
    outcomes = [one.result().outcome for one in sent]

    assert outcomes.count(Outcome.UNSENDABLE) == 1
    assert outcomes.count(Outcome.TIMED_OUT) == CONNECTIONS_MAX


async def test_the_account_can_be_asked_for(provider: Provider) -> None:
    async with made(provider.url) as right, made(provider.url, token="wrong") as wrong:
        assert await right.answers() == 200
        assert await wrong.answers() == 401


def test_no_number_is_in_what_a_request_looks_like() -> None:
    assert PHONE not in repr(TextRequest(delivery_id="dlv_1", to=PHONE, text="x"))
    assert PHONE not in repr(CallRequest(delivery_id="dlv_1", to=PHONE, document="x"))
