"""Bodies to start from: the published examples."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from noticebus.contracts.faults import details

EXAMPLES = Path(__file__).resolve().parents[3] / "schemas" / "examples"

Body = dict[str, Any]
Said = Callable[[type[BaseModel], Body], dict[str, str]]


@pytest.fixture(scope="session")
def example() -> Callable[[str], Body]:
    """Read one example; each call gives a copy of its own."""
    read: dict[str, Body] = {}

    def get(name: str) -> Body:
        if name not in read:
            read[name] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
        return copy.deepcopy(read[name])

    return get


@pytest.fixture(scope="session")
def said() -> Said:
    """Validate a body and give what the model says about it: messages by pointer."""

    def check(model: type[BaseModel], body: Body) -> dict[str, str]:
        try:
            model.model_validate(body)
        except ValidationError as error:
            return {one.pointer: one.message for one in details(error)}
        return {}

    return check
