"""Random calls of every published operation: none may be answered with a fault of ours."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis import Response as Answer
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fuzz.bodies import nearly_right
from fuzz.findings import BUSY, MAY_BE_BUSY, Tally
from fuzz.served import CALL_WITHIN_S, KNOWN_MAX, Bus

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
NOBODY = {"nobody": "", "stranger": "noticebus_live_" + "0" * 40}
UNREAD = frozenset({400, 401, 413, 415})  # what somebody without a key may hear
KNOWN_IN_TEN = 7
PER_ROUND_MAX = 250
REVISIONS = 3
REPEATED_ONE_IN = 8  # idempotency keys
PARTS = 4  # so that two workers share the work
PREFIX_OF = {
    "agency_id": "agy",
    "contact_id": "cnt",
    "incident_id": "inc",
    "key_id": "key",
    "notice_id": "ntc",
    "obligation_id": "obl",
    "offer_id": "ofr",
    "question_id": "qst",
    "responsibility_id": "rsp",
    "subscription_id": "sub",
    "subscription": "sub",
    "name": "schemas",
}


AnOperation: TypeAlias = APIOperation[Any, Any, Any, Any]
ACase: TypeAlias = Case[Any]
FAVOURED = {
    "POST /v1/notices": "poster",
    "POST /v1/notices/preview": "poster",
    "POST /v1/incidents/{incident_id}/updates": "poster",
    "POST /v1/incidents/{incident_id}/cancel": "poster",
    "POST /v1/incidents/{incident_id}/cancel/confirm": "poster",
    "DELETE /v1/incidents/{incident_id}/cancel": "poster",
    "POST /v1/incidents/{incident_id}/all-clear": "poster",
    "POST /v1/exercises": "poster",
    "DELETE /v1/exercises/{exercise_id}": "poster",
    "POST /v1/questions/{question_id}/answers": "poster",
    "POST /v1/incidents/{incident_id}/questions": "cps",
    "POST /v1/incidents/{incident_id}/offers": "cps",
    "POST /v1/offers/{offer_id}/answers": "cps",
    "POST /v1/notices/{notice_id}/acknowledgements": "cps",
    "GET /v1/inbox": "cps",
}
"""Who may do it, where that is not the administrator."""


class Fuzzer:
    """Draws calls for one operation after the other, makes them, and looks at the answers."""

    def __init__(
        self,
        bus: Bus,
        session: requests.Session,
        tally: Tally,
        *,
        operations: Sequence[AnOperation],
    ) -> None:
        self._bus = bus
        self._session = session
        self._tally = tally
        self._callers = [*bus.callers.items(), *NOBODY.items()]
        self._rounds = 0
        self._operations = operations

    def run(self, calls: int) -> None:
        """Make `calls` calls in rounds: one that has few different calls leaves room for others."""
        while self._tally.calls < calls:
            missing = calls - self._tally.calls
            each, more = divmod(missing, len(self._operations))
            for position, operation in enumerate(self._operations):
                wanted = min(each + (position < more), PER_ROUND_MAX)
                if wanted:
                    self._fuzz(operation, wanted)

    def _fuzz(self, operation: AnOperation, calls: int) -> None:
        self._rounds += 1
        bodies = nearly_right(self._bus, operation.label)

        @seed(self._tally.seed + self._rounds)
        @settings(
            max_examples=calls,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=_cases(operation), choices=_choices(len(self._callers)), body=_or_none(bodies))
        def call(case: ACase, choices: list[int], body: Any) -> None:
            self._call(case, choices, body)

        call()

    def _call(self, case: ACase, choices: list[int], body: Any) -> None:
        caller, known, use_body, which = choices
        name, key = self._caller(caller, case.operation.label)
        if known < KNOWN_IN_TEN:
            self._name_known(case, which)
        if body is not None and use_body:
            case.body, case.media_type = body, "application/json"
            repeated = which % REPEATED_ONE_IN == 0
            case.headers["Idempotency-Key"] = f"fuzz-{self._tally.calls - repeated}"
        for own in ("Authorization", "X-Api-Key"):
            case.headers.pop(own, None)
        headers = {"Authorization": f"Bearer {key}"} if key else {}

        def ask() -> Answer:
            response = case.call(
                base_url=self._bus.base_url,
                session=self._session,
                headers=headers,
                timeout=CALL_WITHIN_S,
            )
            self._tally.count(case.operation.label, response.status_code)
            return response

        response = self._tally.ask(case.operation.label, ask, is_busy=_is_busy)
        self._look(case, response, caller=name)
        if response.status_code < 300 and "json" in _media_type(response):
            self._bus.learn(json.loads(response.content))

    def _caller(self, choice: int, label: str) -> tuple[str, str]:
        if choice < len(self._callers):
            return self._callers[choice]
        name = FAVOURED.get(label, "administrator")
        return name, self._bus.callers[name]

    def _name_known(self, case: ACase, which: int) -> None:
        for holder in (case.path_parameters, case.query):
            for name in holder:
                ids = self._bus.known.get(PREFIX_OF.get(name, ""))
                if ids:
                    holder[name] = ids[which % len(ids)]
        if "If-Match" in case.headers or case.method in {"PATCH", "DELETE"}:
            case.headers["If-Match"] = f'"{which % REVISIONS + 1}"'

    def _look(self, case: ACase, response: Answer, *, caller: str) -> None:
        for what in _faults(case, response, caller=caller):
            example = f"{_command(case)}\n    {caller}: {response.content[:600]!r}"
            self._tally.fault(case.operation.label, what, example=example)


def _faults(case: ACase, response: Answer, *, caller: str) -> Iterator[str]:
    is_excused = response.status_code == BUSY and case.operation.label == MAY_BE_BUSY
    if response.status_code >= 500 and not is_excused:
        yield f"answered {response.status_code}"
    if response.status_code >= 400 and _media_type(response) != "application/problem+json":
        yield f"{response.status_code} is not a problem document"
    if caller in NOBODY and _is_guarded(case) and response.status_code not in UNREAD:
        yield f"{response.status_code} without a key"
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as group:
        for failure in group.exceptions:
            yield f"{response.status_code} {type(failure).__name__}: {failure.message[:300]}"


def _is_busy(response: Answer) -> bool:
    """Say whether it asks to come again later, as it may on a busy machine."""
    return response.status_code == BUSY and "retry-after" in response.headers


def _operations(openapi: dict[str, Any]) -> Iterator[AnOperation]:
    schema = schemathesis.openapi.from_dict(openapi)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        yield found.ok()


def _cases(operation: AnOperation) -> st.SearchStrategy[ACase]:
    positive = operation.as_strategy(GenerationMode.POSITIVE)
    if not operation.path_parameters and not operation.query and not operation.body:
        return positive  # nothing that could be wrong
    return positive | operation.as_strategy(GenerationMode.NEGATIVE)


def _choices(callers: int) -> st.SearchStrategy[list[int]]:
    bounds = (2 * callers - 1, 9, 2, KNOWN_MAX - 1)  # every other caller is the favoured one
    return st.tuples(*(st.integers(0, bound) for bound in bounds)).map(list)


def _or_none(bodies: st.SearchStrategy[Any] | None) -> st.SearchStrategy[Any]:
    return st.none() if bodies is None else bodies


def _is_guarded(case: ACase) -> bool:
    return bool(case.operation.definition.raw.get("security"))


def _media_type(response: Answer) -> str:
    return response.headers.get("content-type", [""])[0].partition(";")[0]


def _command(case: ACase) -> str:
    try:
        return case.as_curl_command()
    except (UnicodeError, ValueError):
        return f"{case.method} {case.path} {case.path_parameters!r} {case.query!r} {case.body!r}"


@pytest.mark.slow(reason="hundreds of calls are drawn and made, one after the other")
@pytest.mark.parametrize("part", range(PARTS))
def test_random_calls_of_every_operation_are_answered_as_published(
    bus: Bus, fuzz_calls: int, tally: Tally, part: int
) -> None:
    operations = list(_operations(bus.openapi))[part::PARTS]
    with requests.Session() as session:
        Fuzzer(bus, session, tally, operations=operations).run(fuzz_calls // PARTS)

    assert set(tally.statuses) == {operation.label for operation in operations}
    assert not tally.faults, tally.report()
    assert not tally.too_busy(), tally.too_busy()
