"""The published OpenAPI: complete enough that the other agency's developer needs nothing else."""

import asyncio
import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from harness.desk import open_desk
from noticebus.contracts.vocabulary import Cause
from noticebus.contracts.webhook import EVENTS, event_type
from noticebus.gateway.app import create_app

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = ROOT / "schemas" / "openapi.json"
NEVER_REFUSED = frozenset({"/livez", "/metrics", "/.well-known/jwks.json"})
PROBLEM = "application/problem+json"
METHODS = frozenset({"get", "put", "post", "delete", "patch"})
Operation = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    async def fetch() -> dict[str, Any]:
        async with open_desk(tmp_path_factory.mktemp("openapi")) as desk:
            transport = httpx2.ASGITransport(app=create_app(desk))
            async with httpx2.AsyncClient(transport=transport, base_url=desk.base_url) as client:
                document: dict[str, Any] = (await client.get("/openapi.json")).json()
                return document

    return asyncio.run(fetch())


@pytest.fixture
def operations(served: dict[str, Any]) -> list[Operation]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in served["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def test_it_is_openapi_3_1_and_says_what_the_bus_is(served: dict[str, Any]) -> None:
    assert served["openapi"].startswith("3.1.")
    assert served["info"]["title"] == "noticebus"
    assert served["info"]["summary"]


def test_every_operation_is_described_for_its_reader(operations: list[Operation]) -> None:
    silent = [
        label
        for label, operation in operations
        if not operation.get("summary") or not operation.get("description")
    ]

    assert not silent


def test_every_operation_has_one_tag_in_lower_case(operations: list[Operation]) -> None:
    assert not [label for label, one in operations if len(one.get("tags", ())) != 1]
    assert all(tag.islower() for _, one in operations for tag in one["tags"])


def test_every_operation_has_a_name_of_its_own(operations: list[Operation]) -> None:
    names = [operation["operationId"] for _, operation in operations]

    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and "_v1_" not in name for name in names)


def test_every_body_has_an_example(operations: list[Operation]) -> None:
    bare = [
        label
        for label, operation in operations
        for content in _body(operation).values()
        if not content.get("examples")
    ]

    assert not bare


def test_every_operation_shows_an_error_it_may_answer_with(operations: list[Operation]) -> None:
    bare = [
        label
        for label, operation in operations
        if label.split()[1] not in NEVER_REFUSED and not _problem_examples(operation)
    ]

    assert not bare


def test_every_error_is_a_problem(operations: list[Operation]) -> None:
    others = [
        f"{label} {status}"
        for label, operation in operations
        for status, response in operation["responses"].items()
        if status[0] in "45" and list(response.get("content", {})) != [PROBLEM]
    ]

    assert not others


def test_every_success_says_what_it_holds(operations: list[Operation]) -> None:
    bare = [
        f"{label} {status}"
        for label, operation in operations
        for status, response in operation["responses"].items()
        if status[0] == "2" and not response.get("content")
    ]

    assert not bare


def test_everything_under_v1_needs_a_key(operations: list[Operation]) -> None:
    open_ = [label for label, one in operations if " /v1/" in label and not one.get("security")]

    assert not open_


def test_every_example_satisfies_its_schema(
    served: dict[str, Any], operations: list[Operation]
) -> None:
    wrong = [
        f"{label}, example {name}: {fault.json_path}: {fault.message}"
        for label, operation in operations
        for content in _contents(operation)
        for name, shown in content.get("examples", {}).items()
        for fault in _validator(served, content["schema"]).iter_errors(_shown(served, shown))
    ]

    assert not wrong


def test_webhooks_show_one_operation_per_event_type(served: dict[str, Any]) -> None:
    webhooks = served["webhooks"]

    assert set(webhooks) == {event_type(cause) for cause in EVENTS}
    for name, methods in webhooks.items():
        operation = methods["post"]
        headers = {one["name"].lower() for one in operation["parameters"] if one["in"] == "header"}
        assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}, name
        assert operation["description"]
        assert _body(operation)


@pytest.mark.parametrize("cause", list(EVENTS))
def test_webhook_schema_takes_the_published_example(served: dict[str, Any], cause: Cause) -> None:
    path = ROOT / "schemas" / "examples" / f"event.v1.{cause}.json"
    (content,) = _body(served["webhooks"][event_type(cause)]["post"]).values()

    _validator(served, content["schema"]).validate(json.loads(path.read_text(encoding="utf-8")))


def test_every_reference_leads_somewhere(served: dict[str, Any]) -> None:
    missing = [
        reference for reference in _references(served) if not _leads_somewhere(served, reference)
    ]

    assert not missing


def test_what_is_served_is_what_is_committed(served: dict[str, Any]) -> None:
    made = dict(runpy.run_path(str(ROOT / "tools" / "schemas.py"))["files"]())
    if COMMITTED.name not in made:
        pytest.skip("tools/schemas.py does not write openapi.json yet")

    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == served


def _body(operation: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    return content


def _contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from _body(operation).values()
    for response in operation["responses"].values():
        yield from response.get("content", {}).values()


def _problem_examples(operation: dict[str, Any]) -> list[Any]:
    return [
        shown
        for status, response in operation["responses"].items()
        if status[0] in "45"
        for content in response.get("content", {}).values()
        for shown in content.get("examples", {}).values()
    ]


def _shown(served: dict[str, Any], example: dict[str, Any]) -> Any:
    name = example.get("$ref", "").removeprefix("#/components/examples/")
    return served["components"]["examples"][name]["value"] if name else example["value"]


def _validator(served: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    whole = {**schema, "components": served["components"]}
    return Draft202012Validator(whole, format_checker=FormatChecker())


def _leads_somewhere(served: dict[str, Any], reference: str) -> bool:
    _, components, section, name = reference.split("/")
    return name in served[components].get(section, {})


def _references(node: Any) -> Iterator[str]:
    match node:
        case dict():
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)
