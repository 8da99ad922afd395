"""The published schemas and examples, read by a validator that is not ours."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel

from noticebus.contracts.canonical import canonical
from noticebus.contracts.vocabulary import Cause
from noticebus.contracts.webhook import EVENTS, event_type

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas"
EXAMPLES = sorted((SCHEMAS / "examples").glob("*.json"))
TOOL = runpy.run_path(str(ROOT / "tools" / "schemas.py"))
MODELS: dict[str, type[BaseModel]] = {**TOOL["ACCEPTED"], **TOOL["PUBLISHED"]}


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _validator(name: str) -> Draft202012Validator:
    schema = _read(SCHEMAS / name)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def _schema_of(example: Path) -> str:
    return ".".join(example.name.split(".")[:2]) + ".json"


def _ids(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


@pytest.mark.parametrize("example", EXAMPLES, ids=_ids(EXAMPLES))
def test_example_satisfies_its_schema_and_its_model(example: Path) -> None:
    value, schema = _read(example), _schema_of(example)

    _validator(schema).validate(value)
    MODELS[schema].model_validate(value)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_schema_is_valid_and_names_itself(name: str) -> None:
    schema = _read(SCHEMAS / name)

    Draft202012Validator.check_schema(schema)
    assert schema["$id"].endswith(name.removesuffix(".json"))


@pytest.mark.parametrize("name", sorted(TOOL["ACCEPTED"]))
def test_schema_of_what_we_accept_refuses_unknown_fields(name: str) -> None:
    example = next(one for one in EXAMPLES if _schema_of(one) == name)

    assert not _validator(name).is_valid({**_read(example), "unheard_of": 1})


@pytest.mark.parametrize("cause", list(EVENTS))
def test_event_example_points_at_a_schema_that_its_data_satisfies(cause: Cause) -> None:
    event = _read(SCHEMAS / "examples" / f"event.v1.{cause}.json")

    assert event["type"] == event_type(cause)
    _validator(event["dataschema"].rpartition("/")[2]).validate(event["data"])
    EVENTS[cause].model_validate(event)


@pytest.mark.parametrize("example", EXAMPLES, ids=_ids(EXAMPLES))
def test_example_survives_reading_and_writing(example: Path) -> None:
    value = _read(example)
    model = MODELS[_schema_of(example)].model_validate(value)

    again = type(model).model_validate(model.model_dump(mode="json"))

    assert again == model
    assert canonical(again.model_dump(mode="json")) == canonical(model.model_dump(mode="json"))


@pytest.fixture(scope="module")
def made() -> list[tuple[str, str]]:
    """Make every file's text once, which takes seconds."""
    return list(TOOL["files"]())


@pytest.fixture
def tool(made: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Lend the tool, with what it makes already made; FOLDER may be changed."""
    names = TOOL["check"].__globals__
    monkeypatch.setitem(names, "files", lambda: iter(made))
    monkeypatch.setitem(names, "FOLDER", SCHEMAS)
    return dict(names)


def test_committed_schemas_are_what_the_models_say(tool: dict[str, Any]) -> None:
    assert tool["check"]() == 0


def test_stale_missing_and_foreign_schemas_are_named(
    tool: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool["check"].__globals__["FOLDER"] = tmp_path
    assert tool["write"]() == 0
    assert tool["check"]() == 0
    (tmp_path / "notice.v1.json").unlink()
    (tmp_path / "event.v1.json").write_text("{}\n", encoding="utf-8")
    (tmp_path / "stranger.json").write_text("{}\n", encoding="utf-8")

    assert tool["check"]() == 1

    said = capsys.readouterr().out
    assert all(name in said for name in ("notice.v1.json", "event.v1.json", "stranger.json"))
    assert "make schemas" in said
